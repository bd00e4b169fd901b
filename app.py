"""Open the app: ``python app.py``, the same as ``python -m thyro_demo ui``."""

import sys

from thyro_demo.cli import main

if __name__ == "__main__":
    sys.exit(main(["ui", *sys.argv[1:]]))
