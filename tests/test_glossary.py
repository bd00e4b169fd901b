"""One word for one thing, and each word of the field explained once.

Old words are found nowhere but in the aliases that still read them. The course explains its terms
in one glossary, which the chapters link at first use.
"""

import re
import subprocess
from pathlib import Path

import pytest

from thyro_demo.cli.docs import anchors

ROOT = Path(__file__).parents[1]
COURSE = ROOT / "notebooks"
GLOSSARY = (COURSE / "GLOSSARY.md").read_text(encoding="utf-8")
ADDRESS = "https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md"
KINDS = ("*.py", "*.md", "*.jinja", "*.yaml", "*.html")
# Old words, what is written in their place, and the files that keep one as an alias.
OLD = [
    (r"silence_branches", "zero_init_residual", ()),
    (r"check_unseen", "check_not_trained_on", ()),
    (r"near.cop(y|ies)", "near duplicate", ()),
    (
        r"familiarity",
        "out of distribution",
        ("thyro_demo/bundle/manifest.py", "tests/bundle/test_bundle.py"),
    ),
    (r"\bdeals?\b|\bdealt\b|\bdealing\b", "assign", ()),
    (r"(\b|_)told(\b|_)", "reported", ()),
    (r"\b(SVM|the|this|each) machine\b|(?<!vector )\bmachines\b", "SVM or host", ()),
    (r"(?<!standard[- ])\bdeviation pooling\b", "standard-deviation pooling", ()),
    (
        r"(?<!\w)--start\b",
        "--initial-weights",
        ("thyro_demo/cli/study.py", "thyro_demo/cli/train.py", "tests/cli/test_study.py"),
    ),
    (r"\btuned alone\b", "fine-tuned alone", ()),
    (r"\breads? above\b", "above the threshold", ()),
    (r"\bwhole\((path|folder|file)\)", "atomic_write", ()),
]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Read the pages of the project, but this one."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *KINDS]
    listed = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    return {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in sorted(listed.stdout.splitlines())
        if (ROOT / name).is_file() and name != "tests/test_glossary.py"
    }


@pytest.mark.parametrize(("old", "new", "aliases"), OLD, ids=[new for _, new, _ in OLD])
def test_an_old_word_is_found_in_its_aliases_alone(old, new, aliases, pages):
    found = {name for name, text in pages.items() if re.search(old, text, re.IGNORECASE)}
    assert found == set(aliases), f"write {new}"


def entries() -> dict[str, tuple[str, str]]:
    """Return the anchor of each term, its explanation, and the chapter said to use it first."""
    found = re.findall(
        r"^### (.+)\n\n((?:.+\n)+?)\*First in \[chapter \w+\]\((.+)\.ipynb\)\.\*$",
        GLOSSARY,
        re.MULTILINE,
    )
    return {anchors(f"# {term}").pop(): (text, first) for term, text, first in found}


def linked() -> dict[str, set[str]]:
    """Return the terms that each chapter links, in the order of the course, and the README's."""
    chapters = {path.stem: path for path in sorted(COURSE.glob("*.py"))}
    pages = chapters | {"README": COURSE / "README.md"}
    place = rf"(?:{re.escape(ADDRESS)}|(?<=\]\()GLOSSARY\.md)#([\w-]+)"
    return {
        name: set(re.findall(place, path.read_text(encoding="utf-8")))
        for name, path in pages.items()
    }


def test_terms_of_the_glossary_are_sorted_and_explained_in_a_sentence_or_two():
    terms = re.findall("^### (.+)$", GLOSSARY, re.MULTILINE)
    assert terms == sorted(terms, key=str.lower)
    assert len(entries()) == len(terms)
    for term, (text, _) in entries().items():
        # "et al." ends no sentence, and neither does the point of 0.5.
        assert 1 <= len(re.findall(r"(?<! al)[.](?=\s|$|\*)", text)) <= 2, term


def test_each_link_to_the_glossary_leads_to_a_term_and_each_term_is_linked():
    assert set().union(*linked().values()) == set(entries())


def test_the_glossary_names_the_chapter_that_links_a_term_first():
    chapters = {name: terms for name, terms in linked().items() if name[0].isdigit()}
    for term, (_, first) in entries().items():
        assert (COURSE / f"{first}.ipynb").is_file(), term
        assert next((name for name in chapters if term in chapters[name]), first) == first, term
