"""Every text of the pages is there in every language, and every sentence has its pair."""

import ast
import importlib
import itertools
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from thyro_demo.clinical import measurement, tirads
from thyro_demo.course.lecture import CASES
from thyro_demo.data import images
from thyro_demo.engine import HEADS, NOTICE, Prediction
from thyro_demo.engine import sentences as engine_sentences
from thyro_demo.errors import ThyroError
from thyro_demo.ui import catalogue, outlines, pages, sentences
from thyro_demo.ui.catalogue import LANGUAGES, language, words
from thyro_demo.ui.examples import collect
from thyro_demo.ui.redirects import COOKIE
from thyro_demo.ui.results import NO_EVIDENCE
from thyro_demo.ui.sentences import said

UI = Path(catalogue.__file__).parent
OTHERS = [code for code in LANGUAGES if code != catalogue.DEFAULT]
FILES = sorted(path.stem for path in (UI / "texts" / catalogue.DEFAULT).glob("*.yaml"))

SAME = {
    "", "mm", "mm/px", "dB", "px", "{size} mm", "points", "{count} point",
    "{count} points", "Composition", "Score", "Scores", "Gain", "TI-RADS", "ACR TI-RADS 2017",
    "SVM", "Softmax", "hypo-", "hyper-", "iso-", "an-", "Macro|calcifi|cations", "normal",
    "macrocalcifications", "Calipers", "←", "→", "0", "1", "2", "3", "Q", "F", "{} %",
}  # fmt: skip
"""What is written alike in several languages."""


def flat(texts: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """List texts with the keys that lead to them."""
    if isinstance(texts, str):
        yield at, texts
        return
    for key, text in texts.items() if isinstance(texts, dict) else enumerate(texts):
        yield from flat(text, f"{at}/{key}")


def fields(text: str) -> list[str]:
    return sorted(re.findall(r"\{\w*\}", text))


def written(file: str, code: str) -> dict[str, str]:
    """Return the texts of a file as its author typed them."""
    return dict(flat(catalogue.read(f"{code}/{file}.yaml")))


# The catalogue


def test_every_language_has_the_same_files():
    for code in LANGUAGES:
        assert sorted(path.stem for path in (UI / "texts" / code).iterdir()) == FILES
    assert FILES == ["clinic", "common", "compare", "play", "present"]


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("file", FILES)
def test_every_text_is_there_in_every_language(file, code):
    english, other = written(file, catalogue.DEFAULT), written(file, code)
    assert list(other) == list(english)
    for key, text in english.items():
        assert fields(other[key]) == fields(text), key
        assert bool(other[key].strip()) == bool(text.strip()), key
        assert other[key] != text or text in SAME or key == "/singular", f"{key}: {text}"


@pytest.mark.parametrize("file", FILES)
def test_no_line_breaks_before_a_sign_of_a_french_text(file):
    texts = dict(flat(words(file, "fr")))
    for key, text in texts.items():
        assert not re.search(r"\S [:;?!%»]|« ", text), key
        # A sign that stands alone is no address, no time and no part of a name.
        assert not re.search(r"[^\W\d][;?!]", text), key
    assert any("\N{NO-BREAK SPACE}:" in text for text in texts.values()) or file == "present"


@pytest.mark.parametrize("template", sorted((UI / "templates").iterdir()), ids=lambda one: one.stem)
def test_a_template_holds_no_words(template):
    source = re.sub(r"\{#.*?#\}|\{%.*?%\}", "", template.read_text(encoding="utf-8"), flags=re.S)
    source = re.sub(r"\{\{.*?\}\}", "", source, flags=re.S)
    shown = [re.sub(r"<[^>]*>", " ", source)]
    shown += re.findall(r'(?:aria-label|title|alt|placeholder|content)="([^"]*)"', source)
    found = {
        word for text in shown for word in re.findall(r"[^\W\d_]{2,}", re.sub(r"&\w+;", "", text))
    }
    # A name, a unit, and what sites read of a posted link.
    assert found <= {"ThyroDemo", "ms", "website", "preview", "png", "summary_large_image"} | {
        "summary", "large", "image"
    }  # fmt: skip


@pytest.mark.parametrize("script", sorted(UI.glob("*.js")), ids=lambda one: one.name)
def test_a_script_holds_no_words(script):
    source = re.sub(r"^\s*//.*$", "", script.read_text(encoding="utf-8"), flags=re.M)
    literals = re.findall(r"'([^'\n]*)'|`([^`\n]*)`", source)
    for literal in itertools.chain.from_iterable(literals):
        said_there = re.sub(r"\$\{[^}]*\}", "", literal)
        assert not re.search(r"\b[A-Z][a-z]+ [a-z]+ [a-z]+", said_there), literal


def test_every_head_has_a_name_on_the_pages():
    names = words("common", catalogue.DEFAULT)["heads"]
    assert {head: name.casefold() for head, name in names.items()} == {
        head: name.casefold() for head, name in HEADS.items()
    }


def test_figures_are_written_as_the_language_writes_them():
    assert (catalogue.figure("0.65"), catalogue.percent(0.613)) == ("0.65", "61%")
    with language("fr"):
        assert (catalogue.figure("0.65"), catalogue.percent(0.613)) == (
            "0,65",
            "61\N{NO-BREAK SPACE}%",
        )
        assert catalogue.joined(["a", "b", "c"]) == "a, b et c"
    assert catalogue.current() == catalogue.DEFAULT


def test_points_are_counted_as_the_language_counts_them():
    assert [catalogue.counted(points) for points in (0, 1, 2)] == [
        "0 points",
        "1 point",
        "2 points",
    ]
    with language("fr"):
        assert [catalogue.counted(points) for points in (0, 1, 2)] == [
            "0 point",
            "1 point",
            "2 points",
        ]


# Sentences of the rooms below


def test_every_sentence_has_its_pair_in_every_language():
    for row in itertools.chain.from_iterable(sentences.table().values()):
        assert list(row) == list(LANGUAGES)
        for code in OTHERS:
            assert row[code].strip()
            assert fields(row[code]) == fields(row[catalogue.DEFAULT])
            assert row[code] != row[catalogue.DEFAULT] or row[code] in SAME


def unpaired(found: list[str]) -> list[str]:
    """List the sentences that a page in another language would show as they are."""
    missed = []
    for code in OTHERS:
        with language(code):
            missed += [one for one in found if one and one not in SAME and said(one) == one]
    return missed


READERS = (
    "images",
    "dicom",
    "frame",
    "raster",
    "lossless_jpeg",
    "contents",
    "scan_area",
    "changes",
)
ROOMS = {
    "ui": {path.stem for path in UI.glob("*.py")} - {"launch", "__init__"},
    "data": set(READERS),
    "engine": {"compare", "frame_cache", "sentences"},
    "clinical": {"measurement", "tirads", "teaching_rule"},
    "bundle": {"bundle", "ensemble", "heads_file", "manifest", "network_file", "store"},
}
"""The modules whose refusals a visitor can meet: those of the command line are not among them."""

OF_TRAINING = (
    "A bundle's folder must be",
    "A network beside the bundle's own",
    "The note beside a network must",
)
"""Refusals of these modules to whoever saves a bundle."""

LOCALS = {
    "held": ["1, the only one", "one from 1 to 7"],
    "needed": [engine_sentences.mark_needed(["A"]), engine_sentences.mark_needed(["A", "B"])],
    "kind.rule()": [measurement.SIZE.rule(), measurement.SPACING.rule()],
    "largest": ["20 MB"],
    "of": [""],
}
"""Values of names that a sentence is made of, where they are more than a number or a name."""


def values(part: ast.expr, module: ModuleType) -> list[str]:
    """Write what an expression can be, or a number for what nobody knows before it is run."""
    if isinstance(part, ast.Constant):
        return [str(part.value)]
    if isinstance(part, ast.IfExp):
        return values(part.body, module) + values(part.orelse, module)
    if isinstance(part, ast.JoinedStr):
        each = [
            values(one.value, module)
            if isinstance(one, ast.FormattedValue)
            else values(one, module)
            for one in part.values
        ]
        return ["".join(parts) for parts in itertools.product(*each)]
    name = ast.unparse(part)
    if name in LOCALS:
        return LOCALS[name]
    known = getattr(module, name, None) if isinstance(part, ast.Name) else None
    return [known if isinstance(known, str) else "7"]


def refusals(room: str, name: str) -> list[str]:
    """List every sentence with which a module refuses something."""
    module = importlib.import_module(f"thyro_demo.{room}.{name}")
    found = []
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if not called.endswith(("Error", "Refused")) or called.startswith("gr.") or not node.args:
            continue
        kind = getattr(module, called, None)
        if isinstance(kind, type) and (issubclass(kind, ThyroError) or called == "Refused"):
            found += values(node.args[1 if called == "Refused" else 0], module)
    return [one for one in found if one != "7" and not one.startswith(OF_TRAINING)]


@pytest.mark.parametrize(
    ("room", "name"), [(room, name) for room, names in ROOMS.items() for name in sorted(names)]
)
def test_every_refusal_that_a_visitor_can_meet_has_its_pair(room, name):
    assert unpaired(refusals(room, name)) == []


def test_the_refusals_are_found():
    """Else a module in which none is found would pass."""
    assert len(refusals("data", "dicom")) >= 6
    assert len(refusals("ui", "guard")) >= 8
    assert "A frame must be RGB of uint8, shape (H, W, 3). Received: 7, shape 7." in refusals(
        "engine", "frame_cache"
    )


def test_every_sentence_about_scores_has_its_pair():
    titles = {"a": "VGG-16", "b": "ResNet-50"}
    sides = itertools.chain(*(itertools.product((True, False), repeat=n) for n in range(1, 6)))
    found = [
        engine_sentences.agreement(
            [
                Prediction("ab"[at % 2], list(HEADS)[at // 2], 0.5, 0.4, side, None, 1.0)
                for at, side in enumerate(each)
            ],
            titles,
        )
        for each in sides
    ]
    for names in (["a"], ["a", "b"]):
        found += engine_sentences.notices(titles, names, names)
        found.append(
            engine_sentences.mark_needed([titles[one] for one in names]) + " to include it."
        )
    assert unpaired([*found, NOTICE, NO_EVIDENCE]) == []


def test_all_that_is_known_of_a_frame_has_its_pair():
    from thyro_demo.data import dicom

    found = [words for one in collect() for words in (one.caption, one.truth, one.label)]
    found += [case.point for case in CASES] + ["Real frame, benign"]
    found += ["Real frame of the fetched set p1, labelled benign there."]
    found += [dicom._BURNED, dicom._PERHAPS_BURNED]
    found += ["This loop has 300 frames; the first 60 can be shown."]
    found += [outlines.KNOWN, outlines.BY_READER, outlines._OWN, "the marked box"]
    tables = (tirads.COMPOSITION, tirads.ECHOGENICITY, tirads.SHAPE, tirads.MARGIN, tirads.FOCI)
    found += [name for table in tables for name in table]
    found += [advice.sentence for points in range(18) for _, advice in tirads.bands(points)]
    assert unpaired(found) == []


BAD = {
    "empty.png": b"",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "report.pdf": b"%PDF-1.7\n",
    "notes.txt": b"a few words",
    "noise.bin": bytes(range(128, 256)) * 4,
    "cut.png": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "cut.dcm": bytes(128) + b"DICM" + bytes(range(60)),
    "cut.heic": b"\x00\x00\x00\x18ftypheic" + bytes(40),
    "cut.tif": b"II*\x00" + bytes(20),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_frame_is_refused_in_the_language_of_the_page(tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name])
    with pytest.raises(ThyroError) as refused:
        images.load(tmp_path / name)
    with language("fr"):
        sentence = said(str(refused.value))
    assert re.search(r"\b(doit|doivent)\b.* Reçu\N{NO-BREAK SPACE}: ", sentence)
    assert name in sentence
    english = r"\b(must|file|an|the|with|which|Received)\b"
    # What a library reports of a file is quoted.
    assert not re.search(english, re.sub(r"\([^()]*\)", "", sentence.replace(name, "")))


def test_figures_and_names_within_a_sentence_follow_the_language():
    with language("fr"):
        assert said("An image may have at most 50,000,000 pixels; scale it down first.").count(
            "50\N{NO-BREAK SPACE}000\N{NO-BREAK SPACE}000"
        )
        assert "VGG-16 et ResNet-50" in said(
            "No nodule found by VGG-16 and ResNet-50: the scores below come from the whole frame "
            "and mean little."
        )
        assert said("malignant") == "malin"
        assert said("A sentence of nobody's.") == "A sentence of nobody's."
    assert said("malignant") == "malignant"


# Which page is shown


@pytest.mark.parametrize(
    ("asked", "accepts", "cookie", "leads_to"),
    [
        ("", "fr-CH, fr;q=0.9, en;q=0.8", "", "./fr"),
        ("play?seed=3", "fr", "", "./fr-play?seed=3"),
        ("?case=spongiform", "de, fr;q=0.4", "", "./fr?case=spongiform"),
        ("", "en-US,en;q=0.9,fr;q=0.8", "", ""),
        ("", "de-DE, it", "", ""),
        ("", "fr;q=0, *", "", ""),
        ("", ", ;q=;, fr;q=x", "", ""),
        ("", "", "", ""),
        ("", "fr", "en", ""),
        ("clinic", "en", "fr", "./fr-clinic"),
        ("clinic", "en", "xx", ""),
        # Whoever asks for a language by its address has chosen.
        ("fr-play", "en", "en", ""),
        ("config", "fr", "fr", ""),
        ("gradio_api/info", "fr", "fr", ""),
    ],
)
def test_a_first_visit_follows_the_browser_and_later_ones_the_choice(
    served, asked, accepts, cookie, leads_to
):
    headers = {"Accept-Language": accepts} | ({"Cookie": f"{COOKIE}={cookie}"} if cookie else {})
    answer = httpx.get(f"{served[0]}{asked}", headers=headers, trust_env=False)
    assert answer.headers.get("location", "") == leads_to
    assert answer.status_code == (307 if leads_to else 200)


@pytest.mark.parametrize(
    "own", [{"Sec-Fetch-Site": "same-origin"}, {"Referer": "{address}fr-play"}]
)
def test_a_link_of_our_own_pages_leads_where_it_says(served, own):
    """Also where the browser keeps no choice, as in the frame of a notebook."""
    headers = {name: value.format(address=served[0]) for name, value in own.items()}
    asked = httpx.get(
        f"{served[0]}play", headers=headers | {"Accept-Language": "fr"}, trust_env=False
    )
    assert asked.status_code == 200


def test_a_refused_request_is_answered_in_the_language_of_its_page(served):
    def refused(page: str) -> str:
        headers = {"Referer": f"{served[0]}{page}"} if page is not None else {}
        return httpx.post(f"{served[0]}gradio_api/none", headers=headers, trust_env=False).text

    assert refused("fr").startswith("Une adresse doit")
    assert refused("fr-play?seed=1").startswith("Une adresse doit")
    assert refused("play") == refused("") == refused("none")
    assert refused("play").startswith("An address must")


def test_programs_are_served_once_and_in_english(served_app):
    app = served_app[0]
    public = [fn for fn in app.fns.values() if fn.api_visibility != "private"]
    assert {fn.page for fn in public} <= {
        page.path for page in pages.PAGES if page.language == "en"
    }
    assert {str(fn.api_name) for fn in public} == {
        "compare", "maps", "play", "play_scores", "clinic", "tirads", "present"
    }  # fmt: skip
    for name in ("compare", "maps", "play", "play_scores", "clinic", "tirads", "present"):
        assert "teaching and research only" in catalogue.api(name)


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.path or "/")
def test_a_page_carries_its_own_parts_alone(served_app, page):
    app = served_app[0]
    html = httpx.get(f"{app.local_url}{page.path}", trust_env=False).text
    config, _ = json.JSONDecoder().raw_decode(html.partition("window.gradio_config = ")[2])
    ids = {component["id"] for component in config["components"]}
    assert ids == set(app.config["page"][page.path]["components"])
    assert f'lang="{page.language}"' in html
    shown = [str(component["props"].get("value")) for component in config["components"]]
    assert any(page.line in unescape(value) for value in shown)
