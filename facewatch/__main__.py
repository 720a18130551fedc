"""`python -m facewatch` is the same as `facewatch`."""

import sys

if __name__ == "__main__":
    # Not above: every worker process imports this module, and none needs the command line.
    from facewatch.cli import main

    sys.exit(main())
