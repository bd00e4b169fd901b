"""Slides hold the headings, first sentences and pictures of the chapters, and need no network."""

import json
import re

import pytest

from thyro_demo import cli
from thyro_demo.course import slides
from thyro_demo.errors import DataError

PNG = "iVBORw0KGgoAAAANSUhEUg=="
MANY = " ".join(f"Sentence number {number} is here." for number in range(30))


def cell(kind, source, **more):
    return {"cell_type": kind, "source": source.splitlines(True), "metadata": {}, **more}


def picture(source):
    return cell(
        "code", source, outputs=[{"output_type": "display_data", "data": {"image/png": PNG}}]
    )


@pytest.fixture
def folder(tmp_path):
    cells = [
        cell(
            "markdown",
            "# Chapter 1. *Seeing* `sound`\n\n[![Open in Colab][badge]][colab]\n\n"
            "**For teaching and research only. No score is a diagnosis.**\n\n"
            "After this chapter you can\n\n1. hear;\n2. see.\n\n[badge]: https://a.b\n",
        ),
        cell("markdown", "## Before we start\n\nInstall it."),
        picture("print('installed')"),
        cell(
            "markdown", f"## 1. Echoes\n\nA [pulse][echo] returns. {MANY}\n\n[echo]: https://c.d#e"
        ),
        picture("draw()"),
        cell("markdown", "*What to see:* the peak. It is high.\n\nNow more of it."),
        cell(
            "markdown",
            "## Quiz\n\n**1.** Is it?\n\n<details><summary>Answer</summary>\n\nIt is.\n\n"
            "</details>\n\n**2.** And this?\n\n<details><summary>Answer</summary>\n\nNo.\n\n"
            "</details>",
        ),
        cell("markdown", "## What this chapter claims, checked"),
        cell("code", "assert True", outputs=[]),
    ]
    (tmp_path / "01_seeing.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}}), "utf-8")
    (tmp_path / "00b_other.ipynb").write_text(json.dumps({"cells": [], "metadata": {}}), "utf-8")
    return tmp_path


@pytest.fixture
def made(folder):
    return list(slides.of_chapter(slides.read(folder / "01_seeing.ipynb")))


def test_a_chapter_opens_with_its_title_and_what_one_can_do_afterwards(made):
    first = made[0]
    assert (first.title, first.opens) == ("Chapter 1. Seeing sound", True)
    assert "<strong>For teaching and research only. No score is a diagnosis.</strong>" in first.body
    assert "<li>hear;</li>" in first.body
    assert "Colab" not in first.body
    assert not any(slide.opens for slide in made[1:])


def test_set_up_and_checks_are_left_out(made):
    assert [slide.title for slide in made[1:]] == ["1. Echoes"] * 3 + ["Quiz"] * 2


def test_what_is_too_long_for_a_slide_is_in_its_notes(made):
    text = made[1]
    assert '<a href="https://c.d#e">pulse</a> returns.' in text.body
    words = len(re.sub("<[^>]+>", "", text.body).split())
    assert words <= slides.MOST_WORDS
    assert "Sentence number 29 is here." in text.notes


def test_a_picture_has_what_to_see_and_the_text_after_it_comes_next(made):
    shown, after = made[2], made[3]
    assert shown.picture == f"data:image/png;base64,{PNG}"
    assert "the peak." in shown.body
    assert "It is high." in shown.notes
    assert "Now more of it." in after.body


def test_each_question_has_a_slide_with_its_answer_folded(made):
    assert "Is it?" in made[-2].body
    assert "<details><summary>Answer</summary>" in made[-2].body
    assert "And this?" in made[-1].body


def test_chapters_are_chosen_by_number_in_the_order_of_the_course(folder):
    names = [path.stem for path in slides.find(folder)]
    assert names == ["00b_other", "01_seeing"]
    assert [path.stem for path in slides.find(folder, ["1"])] == ["01_seeing"]
    with pytest.raises(DataError, match=r"0b, 1. Received: 9"):
        slides.find(folder, ["9"])
    with pytest.raises(DataError, match="a folder with notebooks"):
        slides.find(folder / "none")


def test_what_is_no_notebook_is_refused(folder):
    (folder / "02_bad.ipynb").write_text("{}", "utf-8")
    with pytest.raises(DataError, match="must be a Jupyter notebook"):
        slides.write(slides.find(folder), folder / "deck.html")
    assert not (folder / "deck.html").exists()


def test_one_command_writes_the_whole_course_and_nothing_is_fetched(tmp_path, capsys):
    out = tmp_path / "decks" / "course.html"
    assert cli.main(["course", "slides", "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    count = page.count("<section")
    assert capsys.readouterr().out == f"Wrote {out}: {count} slides.\n"
    assert count > 100
    for number in ("0", "0b", "1", "7"):
        assert f"<h1>Chapter {number}. " in page
    assert "<h1>A lecture of 50 minutes</h1>" in page
    # Links are for readers; nothing is loaded by the page itself.
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=\"(?!data:)", page)
    assert "@import" not in page


def test_an_unknown_chapter_ends_in_a_sentence(tmp_path, capsys):
    assert cli.main(["course", "slides", "99", "--out", str(tmp_path / "deck.html")]) == 2
    assert "Received: 99." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
