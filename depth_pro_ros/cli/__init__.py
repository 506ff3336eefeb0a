"""The `depth_pro_ros` command and its subcommands."""
