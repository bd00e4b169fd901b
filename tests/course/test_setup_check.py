"""The set-up check is green where a lecture can be held, and says what to do where not."""

import json
from importlib import metadata

import pytest

from thyro_demo.course import setup_check


def by_name(found):
    return {one.what: one for one in found}


def test_the_environment_of_the_tests_is_ready(tmp_path):
    found = by_name(setup_check.look(tmp_path))
    for name in (*setup_check.NEEDED, "network efficientnet-b0", "network vgg16"):
        assert found[name].good, name
    assert found["tensorflow"].found == metadata.version("tensorflow")
    assert "core" in found["computes on"].found or found["computes on"].found


@pytest.mark.parametrize("version", ["0.1", "99.0"])
def test_a_version_outside_its_range_is_not_ready(monkeypatch, tmp_path, version):
    known = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: version if name == "keras" else known(name)
    )
    found = by_name(setup_check.look(tmp_path))["keras"]
    assert (found.found, found.good) == (version, False)
    assert found.advice.startswith("pip install 'keras")


def test_a_package_that_is_missing_is_not_ready(monkeypatch, tmp_path):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    found = by_name(setup_check.look(tmp_path))["gradio"]
    assert (found.found, found.good) == ("not installed", False)


@pytest.mark.parametrize("content", [None, b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_network_that_is_missing_or_a_pointer_is_not_ready(monkeypatch, tmp_path, content):
    folder = tmp_path / "weights" / "small"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"files": {"model.keras": "0"}}), "utf-8")
    if content is not None:
        (folder / "model.keras").write_bytes(content)
    monkeypatch.setenv("THYRO_WEIGHTS", str(folder.parent))
    monkeypatch.setattr(setup_check, "read_manifest", lambda path: {"files": {"model.keras": "0"}})
    found = by_name(setup_check.look(tmp_path))["network small"]
    assert (found.found, found.good) == ("model.keras is missing", False)


def test_little_memory_or_disk_is_not_ready(monkeypatch, tmp_path):
    monkeypatch.setattr(setup_check, "MEMORY_GB", 1e6)
    monkeypatch.setattr(setup_check, "DISK_GB", 1e9)
    found = by_name(setup_check.look(tmp_path))
    assert not found["disk"].good
    assert "OUT" in found["disk"].advice
    assert not found["memory"].good or found["memory"].found == "not reported here"


def test_the_table_holds_words_besides_colours_and_escapes_names():
    found = [
        setup_check.Finding("good", "1", True, "nothing"),
        setup_check.Finding("<bad>", "2", False, "do this"),
    ]
    table = setup_check.table(found)
    assert table.count("✔ ready") == table.count("✘ not ready") == 1
    assert "&lt;bad&gt;" in table
    assert "do this" in table
    assert "nothing" not in table
