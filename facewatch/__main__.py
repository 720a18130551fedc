"""`python -m facewatch` is the same as `facewatch`."""

import sys

from facewatch.cli import main

if __name__ == "__main__":
    sys.exit(main())
