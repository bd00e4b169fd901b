"""A bundle that several commands refuse, made once for this room."""

import json
import shutil

import pytest


@pytest.fixture(scope="session")
def trained(tiny_weights, tmp_path_factory):
    """Return a bundle whose whole network was trained on thyroid frames."""
    folder = tmp_path_factory.mktemp("trained") / "tiny"
    shutil.copytree(tiny_weights / "tiny", folder)
    facts = json.loads((folder / "manifest.json").read_text("utf-8"))
    facts["chain"] = [{"stage": "thyroid", "trained": "all"}]
    (folder / "manifest.json").write_text(json.dumps(facts), "utf-8")
    return folder
