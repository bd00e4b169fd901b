"""Phantoms that are planned are those that would have been drawn."""

from pathlib import Path

import pandas as pd
import pytest

from thyro_demo.study import setting


@pytest.mark.filterwarnings("ignore:IProgress")
def test_planned_phantoms_are_those_that_are_drawn_one_by_one_or_all_at_once(tmp_path):
    drawn = setting.scanners(tmp_path / "drawn", 1, seed=7)
    planned = setting.planned(tmp_path / "planned", 1, seed=7)
    for column in ("label", "group", "source", "width", "height"):
        assert list(planned[column]) == list(drawn[column])
    assert list(planned["points"].astype(float)) == list(drawn["points"].astype(float))
    some = planned.iloc[1:3]
    setting.draw_planned(some)
    assert [Path(path).is_file() for path in planned["path"]] == [False, True, True, *[False] * 3]
    for column in ("path", "mask_path"):
        for one, other in zip(some[column], drawn[column][1:3], strict=True):
            assert Path(one).read_bytes() == Path(other).read_bytes()
    before = Path(some["path"].iloc[0]).stat().st_mtime_ns
    setting.draw_planned(some)
    assert Path(some["path"].iloc[0]).stat().st_mtime_ns == before


def test_frames_without_a_plan_are_there_already():
    setting.draw_planned(pd.DataFrame({"path": ["real.png"]}))
