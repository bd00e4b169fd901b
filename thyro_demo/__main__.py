"""Entry of ``python -m thyro_demo``."""

import sys

from thyro_demo.cli import main

if __name__ == "__main__":
    sys.exit(main())
