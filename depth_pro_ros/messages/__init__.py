"""What the fields of ROS messages mean, in NumPy, without ROS.

A message here is any object with the fields of its type: rclpy's own, or those that rosbags reads from a bag.
"""
