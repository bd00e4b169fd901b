"""Chapters with the outputs of a rehearsal on phantoms, so that they can be read without running.

A rehearsal runs a chapter with ``THYRO_FAST=1``, without real images. What is published records a
hash of the code that made it, by which it is later known to be stale.
"""

import ast
import base64
import hashlib
import io
import os
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from thyro_demo.course import slides
from thyro_demo.errors import StudyError
from thyro_demo.files import atomic_write

MOST_MB = 6.0
"""What all published chapters may take together."""

KEY = "thyro_demo"
"""Under which the metadata of a published notebook hold the hash of its code."""

_ROOT = Path(__file__).resolve().parents[2]
_COLOURS = 128
_QUALITY = 70
_TIMEOUT_S = 7200
_SETTINGS = ("THYRO_FAST", "THYRO_DATA")
_FLEETING = ("application/vnd.jupyter.widget-view+json",)


def code_hash(notebook: dict[str, Any], root: Path = _ROOT) -> str:
    """Compute the hash of a chapter's code: its code cells, and the lessons that they import.

    Parameters
    ----------
    notebook : dict
        From `slides.read`.
    root : Path
        Folder of the project.

    Returns
    -------
    str
        SHA-256 in hexadecimal. Of the package, modules of `course` count that a cell imports by
        name; the rest changes too often for the pictures that it seldom changes. Of these modules
        neither comments nor docstrings count, which change no output; of cells both do, since
        readers see them.
    """
    cells = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    digest = hashlib.sha256("\0".join(cells).encode())
    for file in sorted(set(_imported(cells, root))):
        digest.update(_bare(file.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()


def _bare(source: str) -> str:
    """Drop the comments, docstrings and blank lines of a module.

    The text is cut, not written anew: `ast.unparse` differs from one Python to the next.
    """
    lines = source.splitlines()
    dropped = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column].rstrip()
        # Only outside strings is a line blank in this sense.
        if token.type == tokenize.NL and not lines[row - 1]:
            dropped.add(row)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for note in filter(_is_note, node.body):
                dropped |= set(range(note.lineno, 1 + (note.end_lineno or note.lineno)))
    return "\n".join(line for row, line in enumerate(lines, 1) if row not in dropped)


def _is_note(node: ast.stmt) -> bool:
    """Recognise a string that nothing reads: a docstring, or the note under a constant."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imported(cells: Iterable[str], root: Path) -> Iterator[Path]:
    """Find the files of the course's modules that some code imports by name."""
    for node in ast.walk(ast.parse("\n".join(cells))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("thyro_demo.course"):
            base = root.joinpath(*str(node.module).split("."))
            for place in (base, *(base / alias.name for alias in node.names)):
                for file in (place.with_suffix(".py"), place / "__init__.py"):
                    if file.is_file():
                        yield file


def stale(chapters: Iterable[Path], folder: Path, root: Path = _ROOT) -> list[str]:
    """List the published chapters whose code has changed since, and those that are missing.

    Parameters
    ----------
    chapters : iterable of Path
        Notebooks as they are now.
    folder : Path
        Where the published ones are.
    root : Path
        Folder of the project.

    Returns
    -------
    list of str
        Names of notebooks.

    Raises
    ------
    DataError
        If a file is no notebook.
    """
    names = []
    for path in chapters:
        published = folder / path.name
        known = slides.read(published)["metadata"].get(KEY) if published.is_file() else None
        if known != {"code": code_hash(slides.read(path), root)}:
            names.append(path.name)
    return names


def publish(path: Path, folder: Path, root: Path = _ROOT) -> int:
    """Run a chapter as a rehearsal, and write it with its outputs.

    Parameters
    ----------
    path : Path
        Its `.ipynb` file.
    folder : Path
        Where to; the chapter's own folder keeps the outputs in the chapter itself.
    root : Path
        Folder of the project.

    Returns
    -------
    int
        Bytes of what was written.

    Raises
    ------
    StudyError
        If a cell fails, or the packages of `requirements-dev.txt` are missing.
    """
    notebook = execute(path, {"THYRO_FAST": "1"}, root)
    notebook.metadata[KEY] = {"code": code_hash(slides.read(path), root)}
    for name in ("widgets", "language_info"):  # of the host that ran it
        notebook.metadata.pop(name, None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [lasting for one in cell.outputs if (lasting := _lasting(one, root))]
    return write(notebook, folder / path.name)


def write(notebook: Any, file: Path) -> int:
    """Write a notebook, whole or not at all.

    Parameters
    ----------
    notebook : NotebookNode
        From `execute`.
    file : Path
        Its `.ipynb` file; the folder is made.

    Returns
    -------
    int
        Bytes of what was written.
    """
    import nbformat

    content = nbformat.writes(notebook)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as temporary:
        temporary.write_text(f"{content}\n", encoding="utf-8")
    return len(content.encode())


def execute(path: Path, settings: Mapping[str, str], root: Path = _ROOT) -> Any:
    """Run all cells of a chapter.

    Parameters
    ----------
    path : Path
        Its `.ipynb` file.
    settings : mapping of str to str
        "THYRO_FAST" and "THYRO_DATA", where they are to be set; else the chapter has neither.
    root : Path
        Folder of the project.

    Returns
    -------
    NotebookNode
        The chapter with its outputs.

    Raises
    ------
    StudyError
        If a cell fails, or the packages of `requirements-dev.txt` are missing.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        raise StudyError(
            "To run chapters, the packages of requirements-dev.txt must be installed. "
            f"Received: {error.name} is missing."
        ) from error
    notebook = nbformat.read(path, as_version=4)
    known = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
    environment = known | {"TQDM_DISABLE": "1", "PYTHONPATH": str(root)} | dict(settings)
    client = NotebookClient(
        notebook, timeout=_TIMEOUT_S, resources={"metadata": {"path": str(path.parent)}}
    )
    print(f"Running {path.name} …", file=sys.stderr)
    try:
        client.execute(env=environment)
    except CellExecutionError as error:
        raise StudyError(
            f"Each cell of {path.name} must run. Received: {error.ename}: {error.evalue}."
        ) from error
    return notebook


def _lasting(output: Any, root: Path) -> Any:
    """Keep what is worth reading later: no progress, no warnings, smaller pictures, no host."""
    if output.output_type == "stream":
        lines = output.text.replace(f"{root}/", "").splitlines(keepends=True)
        output.text = "".join(line for line in lines if not line.startswith("WARNING:"))
        return output if output.name == "stdout" and output.text else None
    data = output.get("data", {})
    if any(kind in data for kind in _FLEETING):
        return None
    if "image/png" in data:
        kind, packed = smaller(data.pop("image/png"))
        data[kind] = packed
        # The name of the Python object beside a picture tells nobody anything.
        data.pop("text/plain", None)
    return output


def smaller(png: str) -> tuple[str, str]:
    """Save a picture smaller: a plot with a palette of `_COLOURS` colours, a frame as JPEG.

    Parameters
    ----------
    png : str
        PNG in base64.

    Returns
    -------
    kind, picture : str
        "image/png" or "image/jpeg", and the smaller of the two in base64; its size in pixels stays.
    """
    packed, photo = io.BytesIO(), io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        plain = picture.convert("RGB")
    # Of the ways to choose a palette the one that keeps rare colours: an outline, a bright spot.
    few = plain.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(packed, "PNG", optimize=True)
    # Without subsampling, which would wash out the colours of a heatmap.
    plain.save(photo, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    kinds = {"image/png": packed, "image/jpeg": photo}
    written = {kind: base64.b64encode(one.getvalue()).decode() for kind, one in kinds.items()}
    kind = min(written, key=lambda one: len(written[one]))
    return ("image/png", png) if len(png) <= len(written[kind]) else (kind, written[kind])
