"""`docs`: write the generated tables of the READMEs, or check that none was changed by hand.

A README holds a table between two comments, the first of which names it: one of `TABLES`, or a file
of `weights/results`; all other text is the author's. A model card is made from its manifest as a
whole.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from thyro_demo.errors import ThyroError
from thyro_demo.files import atomic_write

HELP = "write the generated tables of the READMEs, or check them"

PAGES = (
    "README.md",
    "weights/README.md",
    "notebooks/README.md",
    "notebooks/GLOSSARY.md",
    "thyro_demo/README.md",
)

CHANGED = 1
"""Exit code of `--check` when a page is not as it would be written, or names what is not there."""

_A_TABLE = "table "

_BLOCK = re.compile(r"(<!-- table: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)#?([^)\s]*)\)")
_PATH = re.compile(r"`((?:[\w.*-]+/)*[\w.*-]+/?)`")
_FIGURE = re.compile(r"(?<![\d.])\d\.\d{3}\b")

_ENDINGS = {".py", ".md", ".toml", ".txt", ".yaml", ".jinja", ".ipynb"}
"""Endings by which a name without a folder is known to be a file of the project."""

_OUTPUTS = {"runs", "out", "data", "sets"}
"""Folders that commands write or read, in examples: they are not part of the project."""


class _Page(NamedTuple):
    """A document: its name, what it should hold, and what differs from that."""

    name: str
    wanted: str
    differing: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit with 1 when a table or card differs, or a path does not exist",
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(__file__).resolve().parents[2],
        metavar="DIR",
        help="folder of the project (default: the one that holds this command)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the READMEs and the model cards, or check them; `CHANGED` where one differs."""
    root = args.root
    pages = [_page(root, name) for name in PAGES]
    cards = list(_cards(root))
    failures = []
    for page in (*pages, *cards):
        if not page.differing:
            continue
        if args.check:
            failures += [f"{page.name}: the {name} differs." for name in page.differing]
            continue
        with atomic_write(root / page.name) as temporary:
            temporary.write_text(page.wanted, encoding="utf-8")
        names = (name.removeprefix(_A_TABLE) for name in page.differing)
        print(f"Wrote {page.name}: {', '.join(names)}.")
    shown = {one for page in pages for block in _BLOCK.finditer(page.wanted)
             for one in _FIGURE.findall(block[3])}  # fmt: skip
    for page in (*pages, *cards):
        failures += [f"{page.name}: {failure}" for failure in _misleading(root, page)]
    for page in pages:
        failures += [f"{page.name}: {failure}" for failure in _untabled(page, shown)]
    for failure in failures:
        print(failure)
    return CHANGED if failures else 0


def _page(root: Path, name: str) -> _Page:
    """Read a README and write its tables anew."""
    try:
        text = (root / name).read_text(encoding="utf-8")
    except OSError as error:
        raise ThyroError(
            f"A project must hold the pages {', '.join(PAGES)}. Received: {root}, without {name}."
        ) from error
    differing = []

    def written(block: re.Match[str]) -> str:
        body = f"{_table(root, block[2])}\n"
        if body != block[3]:
            differing.append(f"{_A_TABLE}{block[2]}")
        return f"{block[1]}{body}{block[4]}"

    return _Page(name, _BLOCK.sub(written, text), differing)


def _table(root: Path, name: str) -> str:
    if name in TABLES:
        return TABLES[name](root)
    from thyro_demo.evaluate import results

    return results.read(root / "weights" / "results" / f"{name}.json").section()


def _cards(root: Path) -> Iterator[_Page]:
    """Read the model cards and write them anew."""
    from thyro_demo.bundle import card

    for manifest in _manifests(root):
        name = f"weights/{manifest['name']}/README.md"
        text, wanted = (root / name).read_text(encoding="utf-8"), card.write(manifest)
        fresh = set(_TABLE.findall(wanted))
        tables = [_title(table) for table in _TABLE.findall(text) if table not in fresh]
        yield _Page(name, wanted, tables or (["text"] if text != wanted else []))


def _title(table: str) -> str:
    """Name a table of a card by its first line."""
    return f"{_A_TABLE}{table.partition(chr(10))[0].strip('| ')}"


def _misleading(root: Path, page: _Page) -> Iterator[str]:
    """Find paths and headings that do not exist."""
    text = _FENCED.sub("", page.wanted)
    here = (root / page.name).parent
    for file, heading in _LINK.findall(text):
        place = here / file if file else root / page.name
        if not place.exists():
            yield f"the link {file} leads nowhere."
        elif heading and heading not in anchors(place.read_text(encoding="utf-8")):
            yield f"the link {file}#{heading} leads to no heading."
    for path in dict.fromkeys(_PATH.findall(text)):
        if not _exists(path, (here, root, root / "thyro_demo")):
            yield f"the path {path} does not exist."


def _untabled(page: _Page, shown: set[str]) -> Iterator[str]:
    """Find figures in prose that no table has."""
    text = _FENCED.sub("", page.wanted)
    for figure in dict.fromkeys(_FIGURE.findall(_BLOCK.sub("", text))):
        if figure not in shown:
            yield f"the figure {figure} is in no table."


def anchors(text: str) -> set[str]:
    """Collect the addresses that GitHub makes of a page's headings, such as "what-it-is"."""
    titles = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def _exists(path: str, folders: tuple[Path, ...]) -> bool:
    """Look for a path in the folders that a page may mean; other code counts as existing."""
    if any(any(folder.glob(path)) for folder in folders):
        return True
    first, _, rest = path.partition("/")
    if Path(path).suffix in _ENDINGS:
        return False
    known = bool(rest) and any((folder / first).is_dir() for folder in folders)
    return not known or first in _OUTPUTS


# --- The tables that are not results


def _manifests(root: Path) -> list[dict[str, Any]]:
    from thyro_demo.bundle import manifest

    weights = root / "weights"
    return [manifest.read_manifest(weights / name) for name in manifest.names(weights)]


def _headline(root: Path) -> str:
    from thyro_demo.bundle import card

    return card.headline(_manifests(root)).section()


def _bundles(root: Path) -> str:
    from thyro_demo.bundle import card

    return card.results(_manifests(root)).section()


def _localisation(root: Path) -> str:
    from thyro_demo.bundle import card

    return card.localisation(_manifests(root)).section()


def _commands(root: Path) -> str:
    """Print the help as on a terminal of 80 columns."""
    from thyro_demo import cli

    parser = cli.build_parser()
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=78)
    return f"```text\n{parser.format_help()}```"


def _sets(root: Path) -> str:
    from thyro_demo.data.public_sets import SETS

    ways = {"git": "git", "archive": "archive", "kaggle": "kagglehub", "hand": "by hand"}
    rows = [
        f"| `{key}` | {s.title} | {s.size} | {s.licence} | {ways[s.way]} | <{s.home}> |"
        for key, s in SETS.items()
    ]
    titles = ("Key", "Set", "Size", "Terms, as its home states them", "Comes by", "Home")
    head = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    return "\n".join([*head, *rows])


def _cases(root: Path) -> str:
    from thyro_demo.course import lecture

    return lecture.table()


def _plan(root: Path) -> str:
    from thyro_demo.course import plan

    return plan.table(root / "notebooks")


def _chapters(root: Path) -> str:
    """List the chapters with what each promises in its first cell."""
    lines = ["| | Chapter | After it you can | Open in |", "|---|---|---|---|"]
    for file in sorted((root / "notebooks").glob("[0-9]*.py")):
        text = re.sub("^# ?", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        number, title = re.findall(r"^# Chapter (\w+)\. (.+)$", text, re.MULTILINE)[0]
        colab = re.findall(r"^\[colab\]: (\S+)$", text, re.MULTILINE)[0]
        promised = text.partition("After this chapter you can\n\n")[2].partition("\n\n")[0]
        items = " ".join(re.sub(r"^\d+\. ", "", " ".join(promised.split()))
                         for promised in re.split(r"\n(?=\d+\. )", promised))  # fmt: skip
        lines.append(f"| {number} | [{title}]({file.stem}.ipynb) | {items} | [Colab]({colab}) |")
    return "\n".join(lines)


def _floors(root: Path) -> list[tuple[int, list[str]]]:
    """Read the floors of the house from the import contract, the top one first."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    floors = [layer.split(" | ") for layer in layers if layer != "__main__"]
    return [(len(floors) - 1 - number, rooms) for number, rooms in enumerate(floors)]


def _rooms(root: Path) -> str:
    """List the rooms with their floors and the first line of their docstrings."""
    lines = ["| Floor | Room | Its job |", "|---|---|---|"]
    package = root / "thyro_demo"
    for floor, rooms in _floors(root):
        for room in rooms:
            folder = (package / room).is_dir()
            file = package / room / "__init__.py" if folder else package / f"{room}.py"
            name = f"thyro_demo/{room}/" if folder else f"thyro_demo/{room}.py"
            lines.append(f"| {floor} | `{name}` | {_job(file)} |")
    return "\n".join(lines)


def _modules(root: Path) -> str:
    """List every module with the first line of its docstring, the top floor first."""
    lines = ["| Module | Its job |", "|---|---|"]
    package = root / "thyro_demo"
    for _, rooms in _floors(root):
        for room in rooms:
            files = sorted((package / room).rglob("*.py")) or [package / f"{room}.py"]
            for file in files:
                name = file.relative_to(package).as_posix().removesuffix("__init__.py")
                lines.append(f"| `{name}` | {_job(file)} |")
    return "\n".join(lines)


def _job(file: Path) -> str:
    """Read the first line of a module's docstring, without importing it."""
    found = re.match(r'r?"""(.+?)(?:"""|\n)', file.read_text(encoding="utf-8"))
    return found[1].replace("``", "`").replace("|", "\\|") if found else ""


TABLES: dict[str, Callable[[Path], str]] = {
    "headline": _headline,
    "bundles": _bundles,
    "localisation": _localisation,
    "commands": _commands,
    "sets": _sets,
    "cases": _cases,
    "chapters": _chapters,
    "plan": _plan,
    "rooms": _rooms,
    "modules": _modules,
}
"""Tables by name, each a function of the folder of the project; all others are results."""
