"""A bundle is whole or refused, a card admits what is missing, a file loses its secrets."""

import numpy as np
import pytest
from PIL import Image

from thyro_demo.bundle import store
from thyro_demo.bundle.manifest import names, read_manifest, weights_root
from thyro_demo.course import shipping
from thyro_demo.data import images, phantom, scan_area
from thyro_demo.data.phantom import chest_film


@pytest.fixture(scope="module")
def folder(tiny_weights):
    return tiny_weights / "tiny"


def test_contents_name_each_file_and_the_hash_of_those_vouched_for(folder):
    table = shipping.contents(folder).set_index("file")
    assert set(table.index) == set(shipping.NEEDED)
    assert set(table.index[table["sha256"] != ""]) == set(read_manifest(folder)["files"])


def test_saving_again_changes_the_name_and_no_score(folder, tmp_path, spotted_frames):
    loaded = store.load(folder)
    copy = store.load(shipping.save_again(loaded, tmp_path / "mine", "My bundle"))
    batch = spotted_frames[0][:3].astype(np.float32)
    before, after = (one.scores(one.forward(batch)) for one in (loaded, copy))
    assert (copy.name, copy.title) == ("mine", "My bundle")
    assert list(before) == list(after)
    for head in before:
        np.testing.assert_allclose(after[head], before[head], atol=1e-6)


def test_every_damage_is_refused_and_the_original_left_alone(folder, tmp_path):
    messages = shipping.damages(folder, tmp_path)
    assert messages
    assert all("Received:" in sentence for sentence in messages.values())
    assert len(set(messages.values())) == len(messages)
    assert str(tmp_path) not in "".join(messages.values())
    assert not list(tmp_path.iterdir())
    store.load(folder)


def test_sections_are_cut_at_headings_of_the_second_level():
    card = "# Title\nintro\n## One\na\n### Inner\nb\n## Two\nc\n"
    assert shipping.sections(card) == {"One": "a\n### Inner\nb", "Two": "c"}


@pytest.mark.parametrize("name", names())
def test_checklists_of_the_shipped_cards_are_read_whole(name):
    card = (weights_root() / name / "README.md").read_text(encoding="utf-8")
    items = shipping.checklist(card)
    assert set(items["state"]) <= set(shipping.STATES)
    claim = items.loc[items["guideline"] == "CLAIM", "item"]
    assert claim.tolist() == [str(number) for number in range(1, 45)]
    tripod = items.loc[items["guideline"] == "TRIPOD+AI", "item"]
    assert {item.rstrip("abcdefgh") for item in tripod} == {str(n) for n in range(1, 28)}
    assert (items["state"] == "not done").any()


def test_each_answer_has_its_state():
    row = "| 1 | Asked | {} |"
    answers = ("Yes.", "Card. Not done: plots.", "Not done: none.", "Does not apply: no trial.")
    for answer, state in zip(answers, shipping.STATES, strict=True):
        card = f"<details>\n<summary>CLAIM 2024</summary>\n\n{row.format(answer)}\n</details>"
        assert shipping.checklist(card)["state"].tolist() == [state]


def _film(seed):
    return np.dstack([chest_film.draw(np.random.default_rng(seed), 360, False)] * 3)


def test_what_is_like_nothing_seen_is_far_off(folder, spotted_frames):
    loaded = store.load(folder)
    assert shipping.ood_score(loaded, _film(0)) > 1
    assert shipping.ood_score(loaded, spotted_frames[0][0]) < 1


def test_the_guard_is_counted_with_an_interval(folder, spotted_frames):
    loaded = store.load(folder)
    films = [_film(seed) for seed in range(4)]
    known = list(spotted_frames[0][:4])
    flagged, silent = (
        shipping.share_out_of_distribution(loaded, frames) for frames in (films, known)
    )
    assert flagged["value"] == 1
    assert silent["value"] == 0
    for figure in (flagged, silent):
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
        assert figure["high"] - figure["low"] > 0.3


def test_a_name_on_the_margin_is_cropped_away_and_one_beside_the_pixels_stripped(tmp_path):
    scan = phantom.draw(None, seed=2, scanner=phantom.ScannerFrame())
    plain = scan.rgb
    named = shipping.with_name(plain, "DOE, JANE")
    assert not np.array_equal(named, plain)
    box = scan_area.find(named)
    assert np.array_equal(scan_area.crop(named, box), scan_area.crop(plain, box))

    beside = Image.Exif()
    beside[0x010E] = "DOE^JANE"
    Image.fromarray(named).save(tmp_path / "private.jpg", exif=beside)
    clean = shipping.strip_metadata(tmp_path / "private.jpg", tmp_path / "clean.png")
    assert not Image.open(clean).getexif()
    assert b"DOE" not in clean.read_bytes()
    # The pixels are as they were, the name on them among them.
    assert np.array_equal(images.decode(clean), images.decode(tmp_path / "private.jpg"))
