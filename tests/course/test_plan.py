"""The minutes of a section follow from its words, its pictures and what students do in it."""

from pathlib import Path

from thyro_demo.course import plan

WORDS = "\n".join(["# word word word word word word word"] * 60)
SCRIPT = f"""\
# %% [markdown]
# # Chapter 9. One
#
# ## Before we start
#
# Install it.

# %% [markdown]
# ## 1. *Long* section
#
{WORDS}
#
# [slug]: https://example.org/not/said

# %%
show.picture(figure)
words = "in code are not said"
print(tasks.check(function, cases))

# %% [markdown]
# ## 2. Short section
#
# Few words.

# %% [markdown]
# ## Exercises
#
# **1.** Do it.
#
# <details><summary>Answer</summary>
#
# Done.
#
# </details>
#
# **2.** And this.
#
# ## Quiz
#
# **1.** Is it?

# %% [markdown]
# ## What this chapter claims, checked
"""


def test_minutes_follow_from_words_pictures_and_tasks():
    assert plan.sections(SCRIPT) == [
        plan.Section("1. Long section", round(420 / 140 + 1.5), 5),
        plan.Section("2. Short section", 1, 0),
        plan.Section("Exercises", 0, 10),
        plan.Section("Quiz", 0, 1),
    ]


def test_each_chapter_has_a_row_with_its_sums(tmp_path: Path):
    (tmp_path / "09_one.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "lecture.py").write_text(SCRIPT, encoding="utf-8")
    *_, row = plan.table(tmp_path).splitlines()
    listed = "1. Long section 4+5 · 2. Short section 1 · Exercises 10 · Quiz 1"
    assert row == f"| 9 | 5 | 16 | {listed} |"
