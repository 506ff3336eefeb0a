"""`python -m depth_pro_ros` is the `depth_pro_ros` command."""

import sys

from depth_pro_ros.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
