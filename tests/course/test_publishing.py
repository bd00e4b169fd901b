"""A published chapter holds its outputs, small ones, and is known to be stale by its code."""

import base64
import io
import json

import nbformat
import numpy as np
import pytest
from PIL import Image

from thyro_demo import cli
from thyro_demo.cli import course
from thyro_demo.course import publishing, slides
from thyro_demo.errors import StudyError

CODE = """\
import base64, io, os, sys
from IPython.display import Image as Shown, display
from PIL import Image
print("fast", os.environ["THYRO_FAST"], "data", os.environ.get("THYRO_DATA"))
print(os.getcwd())
print("a warning", file=sys.stderr)
print("WARNING:tensorflow: of no use to readers")
png = io.BytesIO()
Image.linear_gradient("L").convert("RGB").save(png, "PNG", compress_level=0)
display(Shown(png.getvalue()))
"""


def notebook(*cells):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    return made


@pytest.fixture
def project(tmp_path):
    """Make a project of one chapter and one module of its own."""
    module = tmp_path / "thyro_demo" / "course" / "show.py"
    module.parent.mkdir(parents=True)
    module.write_text("COLOUR = 1\n", "utf-8")
    chapter = tmp_path / "notebooks" / "00_one.ipynb"
    chapter.parent.mkdir()
    nbformat.write(notebook(CODE), chapter)
    return tmp_path


@pytest.fixture
def chapter(project):
    return project / "notebooks" / "00_one.ipynb"


def outputs(path):
    return [one for cell in slides.read(path)["cells"] for one in cell["outputs"]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_chapter_is_run_small_and_its_outputs_are_kept_without_the_fleeting(
    project, chapter, monkeypatch, tmp_path
):
    monkeypatch.setenv("THYRO_DATA", "somewhere")
    size = publishing.publish(chapter, tmp_path / "out", project)
    published = tmp_path / "out" / chapter.name
    assert size == published.stat().st_size - 1
    text, picture = outputs(published)
    assert "fast 1 data None" in "".join(text["text"])
    assert "WARNING" not in "".join(text["text"])
    assert str(project) not in published.read_text(encoding="utf-8")
    assert picture["data"].keys() == {"image/png"}
    assert not outputs(chapter)
    assert publishing.stale([chapter], tmp_path / "out", project) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_cell_that_fails_is_reported_and_nothing_is_written(project, chapter, tmp_path):
    nbformat.write(notebook("1 / 0"), chapter)
    with pytest.raises(StudyError, match=r"00_one.ipynb must run. Received: ZeroDivisionError"):
        publishing.publish(chapter, tmp_path / "out", project)
    assert not (tmp_path / "out").exists()


def test_what_is_published_goes_stale_with_its_cells_and_with_what_they_import(project, chapter):
    module = project / "thyro_demo" / "course" / "show.py"
    nbformat.write(notebook("from thyro_demo.course import show"), chapter)
    before = publishing.code_hash(slides.read(chapter), project)
    module.write_text("COLOUR = 2\n", "utf-8")
    changed = publishing.code_hash(slides.read(chapter), project)
    nbformat.write(notebook("from thyro_demo.course import show\n1"), chapter)
    assert len({before, changed, publishing.code_hash(slides.read(chapter), project)}) == 3
    content = nbformat.read(chapter, 4)
    content.cells.append(nbformat.v4.new_markdown_cell("More words."))
    nbformat.write(content, chapter)
    known = publishing.code_hash(slides.read(chapter), project)
    content.cells[-1].source = "Other words."
    nbformat.write(content, chapter)
    assert publishing.code_hash(slides.read(chapter), project) == known


BEFORE = '''\
"""A module."""

COLOUR = 1
"""Of a plot."""


def draw():
    """Draw."""
    # At once.
    return "a"  # why
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("A module.", "Another module.", True),
        ("Of a plot.", "Of every plot.", True),
        ("Draw.", "Draw it.\n\n    At length.\n    ", True),
        ("  # why", "", True),
        ("    # At once.\n", "", True),
        ("\n\n\n", "\n\n", True),
        ("COLOUR = 1", "COLOUR = 2", False),
        ('return "a"', 'return "b"', False),
    ],
)
def test_words_about_the_code_of_a_module_make_nothing_stale(project, chapter, old, new, same):
    module = project / "thyro_demo" / "course" / "show.py"
    nbformat.write(notebook("from thyro_demo.course import show"), chapter)
    module.write_text(BEFORE, "utf-8")
    known = publishing.code_hash(slides.read(chapter), project)
    assert old in BEFORE
    module.write_text(BEFORE.replace(old, new), "utf-8")
    assert (publishing.code_hash(slides.read(chapter), project) == known) is same


def test_a_plot_and_a_frame_get_smaller_each_in_its_way_and_keep_their_size_in_pixels():
    plot = np.full((60, 80, 3), 255, np.uint8)
    plot[::10] = 0
    grain = np.random.default_rng(0).integers(0, 256, (60, 80, 1)).repeat(3, 2).astype(np.uint8)
    for pixels, wanted in ((plot, "image/png"), (grain, "image/jpeg")):
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG", compress_level=0)
        before = base64.b64encode(png.getvalue()).decode()
        kind, after = publishing.smaller(before)
        assert kind == wanted
        assert len(after) < len(before)
        assert Image.open(io.BytesIO(base64.b64decode(after))).size == (80, 60)


def test_a_rare_colour_stays_what_it_was():
    across, down = np.meshgrid(np.arange(256), np.arange(200))
    picture = np.stack([across, 255 - across, down], -1).astype(np.uint8)
    picture[100:102, 100:110] = (86, 180, 233)
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG", compress_level=0)
    _, after = publishing.smaller(base64.b64encode(png.getvalue()).decode())
    with Image.open(io.BytesIO(base64.b64decode(after))) as kept:
        found = np.asarray(kept.convert("RGB"))[101, 105].astype(int)
    assert np.abs(found - (86, 180, 233)).max() < 30


def test_the_command_publishes_what_is_stale_and_nothing_else(
    project, chapter, monkeypatch, tmp_path, capsys
):
    out, run = tmp_path / "out", []

    def publish(path, folder):
        run.append(path.name)
        made = json.loads(path.read_text("utf-8"))
        made["metadata"][publishing.KEY] = {"code": publishing.code_hash(slides.read(path))}
        folder.mkdir(exist_ok=True)
        (folder / path.name).write_text(json.dumps(made), "utf-8")
        return 10

    monkeypatch.setattr(course, "_NOTEBOOKS", chapter.parent)
    monkeypatch.setattr(publishing, "publish", publish)
    command = ["course", "publish", "--out", str(out)]
    assert cli.main([*command, "--check"]) == 1
    assert "00_one.ipynb: its code has changed" in capsys.readouterr().out
    assert cli.main(command) == cli.main(command) == 0
    assert run == ["00_one.ipynb"]
    assert cli.main([*command, "--check"]) == 0
    # A table that it shows may have changed: whoever names a chapter wants it made anew.
    assert cli.main([*command, "0"]) == 0
    assert run == ["00_one.ipynb"] * 2
    monkeypatch.setattr(publishing, "MOST_MB", 0.0)
    assert cli.main(command) == 1
