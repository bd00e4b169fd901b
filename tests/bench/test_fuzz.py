"""Every damaged file gets a result or a sentence, and can be made again by its number."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thyro_demo.bench import fuzz


@pytest.mark.parametrize("kind", fuzz.SHARES)
def test_an_input_follows_from_its_number_alone(kind):
    first = [fuzz.made(kind, 3, number) for number in range(20)]
    assert [fuzz.made(kind, 3, number) for number in reversed(range(20))] == first[::-1]
    assert len(set(first)) > 10
    assert fuzz.made(kind, 4, 0) != first[0]


@pytest.mark.parametrize("kind", fuzz.SHARES)
def test_a_sound_file_of_each_kind_is_read(kind, tmp_path):
    # One bit, and frames of more than 16, have no sound way in some formats.
    whole = len(fuzz._sound(kind)) if kind in ("dicom", "heic") else 1
    assert all(fuzz.answer(kind, content, tmp_path) for content in fuzz._sound(kind)[:whole])


@settings(max_examples=300)
@given(st.sampled_from(["table", "manifest"]), st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_damaged_table_or_manifest_gets_a_result_or_a_sentence(kind, seed, number):
    with tempfile.TemporaryDirectory() as scratch:
        fuzz.answer(kind, fuzz.made(kind, seed, number), Path(scratch))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.data())
def test_a_manifest_with_any_value_anywhere_gets_a_result_or_a_sentence(data):
    facts = data.draw(st.sampled_from(list(fuzz._manifests())))
    name = data.draw(st.sampled_from(sorted(facts)))
    content = fuzz.json.dumps(facts | {name: data.draw(JSON)}).encode()
    with tempfile.TemporaryDirectory() as scratch:
        fuzz.answer("manifest", content, Path(scratch))


@settings(max_examples=200)
@given(st.lists(st.lists(st.text(max_size=9), max_size=4), max_size=4), st.sampled_from(",;\t"))
def test_any_table_gets_a_result_or_a_sentence(rows, separator):
    lines = ["path,label,group", *(separator.join(row) for row in rows)]
    with tempfile.TemporaryDirectory() as scratch:
        fuzz.answer("table", "\n".join(lines).encode("utf-8", "replace"), Path(scratch))


@pytest.mark.slow
def test_ten_thousand_damaged_files_get_a_result_or_a_sentence():
    tallies = fuzz.run(10_000, seed=1)
    failures = [str(failure) for tally in tallies.values() for failure in tally.failures]
    assert failures == []
    assert sum(tally.read + tally.refused for tally in tallies.values()) == 10_000


def test_a_failure_reports_all_that_repeats_it(monkeypatch):
    def stumble(content, scratch):
        raise KeyError("no such\ncolumn")

    monkeypatch.setattr(fuzz, "_decode", stumble)
    monkeypatch.setattr(fuzz, "SHARES", {"png": 1.0})
    (failure,) = fuzz.run(1, seed=9)["png"].failures
    shown = str(failure)
    assert "png, seed 9, number 0: KeyError" in shown
    assert fuzz.made("png", 9, 0).hex()[:100] in shown
    assert "\n" not in shown
