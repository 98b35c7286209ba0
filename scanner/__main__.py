"""``python -m scanner`` is ``tlsweep``."""

import sys

from scanner.cli import main

if __name__ == "__main__":
    sys.exit(main())
