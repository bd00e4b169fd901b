"""The sweeps are read from their index or their home: cases, masks, and no label."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo import cli
from thyro_demo.data import datasets, splits
from thyro_demo.data.masks import nodule_mask
from thyro_demo.errors import DataError

SHAPE = (48, 64)


def draw(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def frame(case: int, number: int) -> np.ndarray:
    """Draw a frame: frames of a case differ in a little noise alone."""
    rng = np.random.default_rng(case)
    still = rng.integers(0, 200, SHAPE)
    return (still + np.random.default_rng(number).integers(0, 5, SHAPE)).astype(np.uint8)


def mask(number: int) -> np.ndarray:
    """Draw a nodule that is not there in the first frame."""
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[10 : 10 + 4 * number, 20:30] = 255
    return drawn


@pytest.fixture
def indexed(tmp_path):
    rows = []
    for case in range(1, 7):
        for number in range(3):
            name = f"{case}_{number}"
            draw(tmp_path / "frames" / f"{name}.jpg", frame(case, number))
            draw(tmp_path / "masks" / f"{name}.png", mask(number))
            rows.append(
                {
                    "path": f"frames/{name}.jpg",
                    "mask_path": f"masks/{name}.png" if case < 6 else "",
                    "group": case,
                    "source": "sweep900" if case % 2 else "sweep687",
                    "width": SHAPE[1],
                    "height": SHAPE[0],
                    "nodule_share": mask(number).mean() / 255,
                }
            )
    pd.DataFrame(rows).to_csv(tmp_path / "index.csv", index=False)
    return tmp_path


def test_the_index_is_recognised_and_states_no_label(indexed):
    assert datasets.layout(indexed) == "sweeps"
    records = datasets.load(indexed)
    assert tuple(records.columns[:4]) == datasets.REQUIRED
    assert len(records) == 18
    assert records["label"].isna().all()
    assert set(records["group"]) == set("123456")
    assert set(records["source"]) == {"sweep900", "sweep687"}
    assert records["mask_path"].isna().sum() == 3
    assert all(Path(path).is_file() for path in records["mask_path"].dropna())
    assert datasets.notes(records) == []


def test_the_mask_takes_the_share_that_the_index_states(indexed):
    for _, record in datasets.sweeps(indexed).iterrows():
        found = nodule_mask(record)
        if isinstance(record["mask_path"], str):
            assert found.mean() == pytest.approx(record["nodule_share"])
        elif record["nodule_share"] == 0:
            assert not found.any()
        else:
            assert found is None


def test_a_table_with_labels_is_no_sweep(indexed):
    table = pd.read_csv(indexed / "index.csv").assign(label="benign")
    table.to_csv(indexed / "index.csv", index=False)
    assert datasets.layout(indexed) == "index_csv"


@pytest.mark.parametrize("place", [".", "source"])
def test_the_layout_of_the_home_is_read(tmp_path, place):
    for case in (1, 12):
        for number in range(2):
            draw(tmp_path / place / "images" / f"{case}_{number}.jpg", frame(case, number))
    draw(tmp_path / place / "labels" / "12_1_label.jpg", mask(1))
    draw(tmp_path / place / "labels" / "1_1.label.jpg", mask(1))
    draw(tmp_path / place / "images" / "boxes.jpg", frame(0, 0))
    assert datasets.layout(tmp_path) == "sweeps"
    records = datasets.load(tmp_path, quiet=True)
    assert list(records["group"]) == ["12", "12", "1", "1"]
    assert list(records["mask_path"].notna()) == [False, True, False, True]
    assert "boxes.jpg" in datasets.notes(records)[0]
    # A JPEG smears the edge of a mask; its half is the edge.
    assert nodule_mask(records.iloc[1]).sum() == 40


def test_another_layout_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"thyroid sweeps must hold .* Received: "):
        datasets.sweeps(tmp_path)
    draw(tmp_path / "1.png", frame(1, 1))
    (tmp_path / "index.csv").write_text("path,group\n1.png,1\n")
    with pytest.raises(DataError, match=r"column mask_path. Received: "):
        datasets.sweeps(tmp_path)


def test_check_counts_cases_and_near_duplicates(indexed, capsys):
    assert cli.main(["data", "check", str(indexed)]) == 0
    text = capsys.readouterr().out
    assert "thyroid sweeps, 18 images" in text
    assert "groups: 6; images without a group: 0" in text
    assert "near duplicates: 12 images beyond the first of each" in text
    assert "near duplicates in two groups: 0" in text


def test_a_split_keeps_cases_whole_and_the_table_is_read_again(indexed, capsys):
    out = indexed / "index.csv"
    assert cli.main(["data", "split", str(indexed), "--out", str(out)]) == 0
    records = datasets.load(indexed)
    assert set(records["split"]) == set(splits.PARTS)
    assert records["label"].isna().all()
    splits.check(records, "split")
    assert records["mask_path"].notna().sum() == 15
    assert "No image has a label" in capsys.readouterr().out


def test_real_set(thyro_data):
    assert datasets.layout(thyro_data / "thyroid_sweeps") == "sweeps"
    records = datasets.load(thyro_data / "thyroid_sweeps")
    assert len(records) == 1015
    assert records["group"].nunique() == 51
    assert records["source"].nunique() == 2
    assert (records["nodule_share"] > 0).sum() == 797
    for _, record in records.sample(20, random_state=0).iterrows():
        assert nodule_mask(record).mean() == pytest.approx(record["nodule_share"], abs=1e-3)
