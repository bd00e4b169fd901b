"""Patches are where their films show what they are named after, and look alike but for that."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from thyro_demo.data import datasets, patches
from thyro_demo.data.images import decode
from thyro_demo.data.scan_area import Box, crop
from thyro_demo.errors import DataError

SIDE = 256
DISC, BREAST = 220, 90
# Of films 1, 3, 5 and 7: centre from the left and from the top, and radius, in pixels.
DISCS = {1: (60, 60, 12), 3: (60, 180, 20), 5: (60, 120, 9), 7: (6, 128, 10)}


def film(number):
    """Draw half an ellipse of tissue, a bright label outside it, and a disc that is a mass."""
    image = Image.new("L", (SIDE, SIDE), 3)
    pen = ImageDraw.Draw(image)
    pen.ellipse((-160, 8, 160, 248), fill=BREAST)
    pen.rectangle((210, 10, 245, 40), fill=255)
    if number in DISCS:
        x, y, radius = DISCS[number]
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=DISC)
    return image


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Write a small mini-MIAS: four masses, a calcification, an asymmetry and four bare films."""
    folder = tmp_path_factory.mktemp("mias")
    lines = []
    for number in range(1, 11):
        film(number).save(folder / f"mdb{number:03d}.png")
        row = "D NORM"
        if number in DISCS:
            # Info.txt counts from the lower left corner of a film of 1024 pixels.
            x, y, radius = (4 * value for value in DISCS[number])
            row = f"G {'CIRC' if number < 5 else 'SPIC'} B {x} {1024 - y} {radius}"
        if number == 9:
            row = "G CALC M 300 500 60"
        if number == 10:
            row = "G ASYM B 300 500 60"
        lines.append(f"mdb{number:03d} {row}")
    (folder / "Info.txt").write_text("\n".join(lines), encoding="utf-8")
    return datasets.mini_mias(folder)


@pytest.fixture(scope="module")
def chosen(films):
    return patches.mini_mias(films, per_film=6)


def test_each_mass_is_whole_and_in_the_middle_of_its_patch(chosen):
    """A y axis that points down, or full-scale pixels, would miss the discs."""
    masses = chosen[chosen["label"] == patches.MASS]
    assert sorted(masses["film"]) == ["mdb001", "mdb003", "mdb005", "mdb007"]
    for row in masses.itertuples():
        x, _, radius = DISCS[int(row.film[3:])]
        found = crop(decode(row.path)[..., 0], row.roi) == DISC
        assert found.sum() == (decode(row.path)[..., 0] == DISC).sum()
        rows, columns = np.nonzero(found)
        assert rows.mean() == pytest.approx(row.roi.height / 2, abs=1)
        if x > 1.4 * radius:
            assert columns.mean() == pytest.approx(row.roi.width / 2, abs=1)
        assert row.roi.width == pytest.approx(2.8 * radius, abs=1)


def test_every_patch_is_a_square_within_its_film(chosen):
    for box in chosen["roi"]:
        assert box.width == box.height
        assert min(box.left, box.top) >= 0
        assert max(box.right, box.bottom) <= SIDE


def test_normal_patches_come_from_the_breast_of_films_without_any_abnormality(chosen):
    normal = chosen[chosen["label"] == patches.NORMAL]
    assert sorted(set(normal["film"])) == ["mdb002", "mdb004", "mdb006", "mdb008"]
    assert (normal["film"].value_counts() == 6).all()
    for row in normal.itertuples():
        grey = crop(decode(row.path)[..., 0], row.roi)
        assert (grey == 255).sum() == 0
        # As much as of the patches with a mass, which are all in the breast.
        assert (grey == BREAST).mean() > 0.95


def test_patches_of_both_labels_are_about_as_large(chosen):
    np.testing.assert_array_equal(chosen["width"], [box.width for box in chosen["roi"]])
    sides = {label: np.log(rows["width"]) for label, rows in chosen.groupby("label")}
    normal, mass = sides[patches.NORMAL], sides[patches.MASS]
    assert mass.min() - 0.6 < normal.min() <= normal.max() < mass.max() + 0.6
    assert normal.mean() == pytest.approx(mass.mean(), abs=0.25)


def test_no_side_of_a_mass_is_repeated(films):
    """A side that one mass and many normal patches share would betray the held-out mass."""
    many = patches.mini_mias(films, per_film=60)
    sides = many[many["label"] == patches.NORMAL]["width"]
    masses = set(many[many["label"] == patches.MASS]["width"])
    assert sides.isin(masses).mean() < 0.4
    assert sides.nunique() > 20


def test_false_positives_are_where_the_tissue_is_brightest_in_the_middle(films, tmp_path):
    """A bare film with a bright spot: the detector marks it, chance does not."""
    spotted = films.copy()
    path = tmp_path / "spot.png"
    image = film(2)
    ImageDraw.Draw(image).ellipse((70, 110, 90, 130), fill=DISC)
    image.save(path)
    spotted.loc[spotted["path"].str.endswith("mdb002.png"), "path"] = str(path)

    def hits(false_positives):
        found = patches.mini_mias(spotted, 40, false_positives=false_positives)
        found = found[found["film"] == "spot"]
        near = [box.left < 80 < box.right and box.top < 120 < box.bottom for box in found["roi"]]
        return np.mean(near)

    assert hits(True) > 2 * hits(False)


def test_the_breast_is_found_without_label(films):
    mask = patches.breast(decode(films["path"].iloc[1]))
    drawn = np.asarray(film(2))
    assert not mask[drawn == 255].any()
    assert (mask != (drawn == BREAST)).mean() < 0.005


def test_the_same_seed_chooses_the_same_patches(films, chosen):
    again = patches.mini_mias(films, per_film=6)
    pd.testing.assert_frame_equal(again, chosen)
    other = patches.mini_mias(films, per_film=6, seed=1)
    assert list(other["roi"]) != list(chosen["roi"])


def test_left_and_right_film_stay_one_group(chosen):
    numbers = chosen["film"].str[3:].astype(int)
    assert (chosen.groupby((numbers + 1) // 2)["group"].nunique() == 1).all()
    assert chosen["group"].nunique() == 4


def test_written_patches_show_what_was_chosen(chosen, tmp_path):
    written = patches.write(chosen, tmp_path / "patches", 48)
    assert written["path"].is_unique
    assert "roi" not in written
    for before, after in zip(chosen.itertuples(), written.itertuples(), strict=True):
        assert before.label == after.label
        grey = decode(after.path)[..., 0]
        assert grey.shape == (48, 48)
        cut = crop(decode(before.path)[..., 0], before.roi)
        middle = len(cut) // 2
        assert grey.mean() == pytest.approx(cut.mean(), abs=3)
        assert grey[:24].mean() == pytest.approx(cut[:middle].mean(), abs=3)
        assert grey[:, :24].mean() == pytest.approx(cut[:, :middle].mean(), abs=3)


def test_patches_replace_patches_and_nothing_else(chosen, tmp_path):
    folder = tmp_path / "patches"
    patches.write(chosen, folder, 48)
    patches.write(chosen[:2], folder, 48)
    assert len(list(folder.iterdir())) == 2
    for name in ("thesis.txt", "holiday.png"):
        (folder / name).write_text("mine")
        with pytest.raises(DataError, match="Received: folder="):
            patches.write(chosen[:2], folder, 48)
        assert (folder / name).read_text() == "mine"
        (folder / name).unlink()
    with pytest.raises(DataError, match="Received: folder="):
        patches.write(chosen[:2], chosen["path"].iloc[0], 48)


def test_nodules_and_glands_of_phantoms_become_patches(tmp_path):
    masks = np.zeros((3, 60, 80), np.uint8)
    masks[0, 20:40, 30:60] = 255
    rows = []
    for number, label in enumerate(("benign", "normal", "autoimmune")):
        Image.fromarray(np.full((60, 80), 50 + number, np.uint8)).save(tmp_path / f"{number}.png")
        Image.fromarray(masks[number]).save(tmp_path / f"m{number}.png")
        rows.append(
            {"path": str(tmp_path / f"{number}.png"), "mask_path": str(tmp_path / f"m{number}.png"),
             "label": label, "group": str(number), "source": "phantom", "width": 80, "height": 60}
        )  # fmt: skip
    found = patches.phantoms(pd.DataFrame(rows), per_film=3)
    assert list(found["label"]) == [patches.MASS, *[patches.NORMAL] * 3]
    assert list(found["group"]) == ["0", "1", "1", "1"]
    assert found["roi"].iloc[0] == Box(24, 9, 66, 51)
    assert (found["source"] == "phantom").all()


def test_films_without_a_mass_are_refused(films):
    with pytest.raises(DataError, match=r"at least one mass.*Received: 0 masses"):
        patches.mini_mias(films[films["label"] == "normal"])
    with pytest.raises(DataError, match="per_film=0"):
        patches.mini_mias(films, per_film=0)
