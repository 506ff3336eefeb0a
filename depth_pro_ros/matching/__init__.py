"""From images to metric samples: stereo disparity, feature tracks, landmarks, odometry; OpenCV."""
