"""Benchmarks that need ROS: modules to be run by themselves, each with its figures as one JSON object on stdout."""
