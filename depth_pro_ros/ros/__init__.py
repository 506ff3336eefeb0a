"""The ROS edge: nodes and the conversions between messages and arrays; only here are rclpy and *_msgs imported."""
