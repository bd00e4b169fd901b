"""The version ranges leave out what published advisories warn of, or something else guards it."""

import csv
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from thyro_demo.data.images import decode
from thyro_demo.errors import ImageError

ROOT = Path(__file__).resolve().parents[1]
with open(ROOT / "tests" / "advisories.csv", encoding="utf-8", newline="") as stream:
    ADVISORIES = list(csv.DictReader(stream))
ANSWERS = ("", "guarded", "Colab", "capped")
"""Left out by the range; refused by our own code; Colab's own version; no version to be had."""


def admitted(package: str) -> SpecifierSet:
    """Return the range of a requirement."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    stated = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    return next(each.specifier for each in stated if each.name == package)


def lowest(package: str) -> str:
    return next(bound.version for bound in admitted(package) if bound.operator == ">=")


each_advisory = pytest.mark.parametrize("advisory", ADVISORIES, ids=lambda each: each["id"])


@each_advisory
def test_the_lowest_version_admitted_is_not_affected_or_guarded(advisory):
    package, answer = advisory["package"], advisory["answer"].partition(":")[0]
    affected = SpecifierSet(advisory["affected"]).contains(lowest(package))
    assert answer in ANSWERS
    # An answer that is no longer needed is untrue.
    assert affected == bool(answer)


@each_advisory
def test_a_version_without_the_fault_can_be_installed_unless_it_is_capped(advisory):
    can_be = admitted(advisory["package"]).contains(advisory["fixed"], prereleases=False)
    above = SpecifierSet(f">={advisory['fixed']}").contains(lowest(advisory["package"]))
    assert (can_be or above) == (not advisory["answer"].startswith("capped"))
    assert not SpecifierSet(advisory["affected"]).contains(advisory["fixed"])


@each_advisory
def test_an_advisory_can_be_looked_up(advisory):
    assert re.fullmatch(r"(CVE|PYSEC)-\d{4}-\d+|GHSA(-\w{4}){3}", advisory["id"])
    assert re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", advisory["published"])


def test_a_guard_that_an_answer_names_is_there():
    for advisory in ADVISORIES:
        named = re.match(r"guarded: (\w+)", advisory["answer"])
        if named:
            assert list((ROOT / "thyro_demo").rglob(f"{named[1]}.py")), advisory


@pytest.mark.parametrize("head", [b"8BPS\0\1", b"SIMPLE  =                    T"])
def test_formats_that_are_declared_not_to_be_opened_are_not(head):
    with pytest.raises(ImageError, match="must be a PNG"):
        decode(head + bytes(4000))
