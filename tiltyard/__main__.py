"""`python -m tiltyard` is the command `tiltyard`."""

import sys

from tiltyard.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
