"""Tables are scored as single images are, all of them or none."""

from pathlib import Path

import numpy as np
import pytest

from thyro_demo.bundle import store
from thyro_demo.data.scan_area import Box
from thyro_demo.engine import Engine, score_records
from thyro_demo.errors import DataError


def test_scores_of_a_table_equal_those_of_single_images(real, records):
    table = score_records(store.load(real.root / "tiny"), records, batch=4)
    assert len(table) == 30
    for path, rows in table.groupby("path"):
        single = {one.head: one.score for one in real.compare(path).predictions}
        np.testing.assert_allclose(
            rows["score"], [single[head] for head in rows["head"]], atol=1e-5
        )


def test_a_table_with_unreadable_images_is_refused_by_name(real, records):
    Path(records["path"][3]).write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"1 unreadable, .*3\.png\.$"):
        score_records(store.load(real.root / "tiny"), records)


def test_a_table_is_scored_inside_its_outlines_by_a_network_that_reads_nodules(
    spotted_frames, records, fake_bundle, tmp_path
):
    frames, records = spotted_frames[0][:3], records[:3]
    judged = fake_bundle("nodule", region="roi")
    boxes = [Box(10, 10, 30, 30), Box(0, 20, 20, 40), Box(44, 44, 64, 64)]
    table = score_records(judged, records.assign(roi=[" ".join(map(str, b)) for b in boxes]))
    engine = Engine(tmp_path)
    engine.add(judged)
    for frame, box, rows in zip(frames, boxes, table.groupby("path"), strict=False):
        single = [one.score for one in engine.compare(frame, roi=box).predictions]
        np.testing.assert_allclose(rows[1]["score"], single)
    with pytest.raises(DataError, match=r"1 without, .*1\.png\.$"):
        score_records(judged, records.assign(roi=["10 10 30 30", None, "44 44 64 64"]))
