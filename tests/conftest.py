"""Fixtures shared by all rooms."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def thyro_data() -> Path:
    """Folder of real images named by THYRO_DATA; tests that need it are skipped without it."""
    folder = os.environ.get("THYRO_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("THYRO_DATA names no folder of real images")
    return Path(folder)
