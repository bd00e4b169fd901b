"""Keep uploads in a folder of their own, and no longer than the process runs."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path


@functools.cache
def private_folder() -> Path:
    """Make the folder and tell Gradio of it; call this before any component is made.

    Returns
    -------
    Path
        The folder, readable by this user alone. It goes when the process ends.
    """
    folder = tempfile.mkdtemp(prefix="thyro-demo-")
    os.environ["GRADIO_TEMP_DIR"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
