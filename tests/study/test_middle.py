"""The middle stage is judged on the same frames, chain beside chain."""

import numpy as np
import pandas as pd
import pytest

from thyro_demo.errors import RecipeError
from thyro_demo.evaluate import metrics
from thyro_demo.models.manifest import weights_root
from thyro_demo.models.recipes import RECIPES
from thyro_demo.study import differences, middle


@pytest.fixture(scope="module")
def table(scored):
    """Compare three made-up chains on two networks: the second gains, the third loses."""
    chains = {"natural": scored(1.0), "better": scored(2.5), "worse": scored(0.0, seed=2)}
    compared = differences.against(chains, middle.REFERENCE, "chain")
    parts = [compared.assign(backbone=name) for name in ("vgg16", "resnet50")]
    return pd.concat(parts, ignore_index=True)


def test_every_chain_goes_on_from_one_above_it():
    names = [row.name for row in middle.ROWS]
    assert len(set(names)) == len(names)
    assert middle.REFERENCE in names
    for place, row in enumerate(middle.ROWS):
        assert row.base is None or row.base in names[:place]


def test_a_gain_is_the_difference_to_natural_images_on_the_same_frames(table, scored):
    chains = {"natural": scored(1.0), "better": scored(2.5), "worse": scored(0.0, seed=2)}
    assert len(table) == 2 * 3 * 3
    for row in table.to_dict("records"):
        found, reference = chains[row["chain"]], chains["natural"]
        mask = (found["source"] == row["source"]) | (row["source"] == "all")
        positive = found["label"][mask] == "malignant"
        value = metrics.auroc(positive, found["score"][mask])
        assert row["auroc"] == pytest.approx(value)
        gain = value - metrics.auroc(positive, reference["score"][mask])
        assert row["gain"] == pytest.approx(gain, abs=1e-12)
        assert row["low"] <= row["auroc"] <= row["high"]
        assert row["gain_low"] <= row["gain"] <= row["gain_high"]
    assert set(table["source"]) == {"all", "east", "west"}
    plain = table[table["chain"] == "natural"]
    assert (plain[["gain", "gain_low", "gain_high"]] == 0).all(axis=None)


def test_the_table_has_a_row_for_each_chain_and_a_column_for_each_network(table):
    head, rule, *rows = middle.markdown(table).splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["Chain", "VGG-16", "ResNet-50"]
    assert rule.count("|") == head.count("|")
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == ["natural", "better", "worse"]
    for name, vgg, resnet in cells:
        (row,) = table[(table["chain"] == name) & (table["source"] == "all")
                       & (table["backbone"] == "vgg16")].to_dict("records")  # fmt: skip
        assert vgg == resnet
        assert vgg.startswith(f"{row['auroc']:.3f}")
        if name == "natural":
            assert vgg == f"{row['auroc']:.3f} ({row['low']:.3f}–{row['high']:.3f})"
        else:
            told = [f"{row[key]:+.3f}".replace("-", "−") for key in
                    ("gain", "gain_low", "gain_high")]  # fmt: skip
            assert vgg.endswith(f", {told[0]} ({told[1]} to {told[2]})")


def test_the_figure_shows_the_gains_without_the_chain_they_are_against(table):
    panels = middle.draw(table).axes
    assert [axes.get_title() for axes in panels] == ["VGG-16", "ResNet-50"]
    # The panels share their names, which stand beside the first.
    names = [tick.get_text() for tick in panels[0].get_yticklabels()]
    for axes, name in zip(panels, ("vgg16", "resnet50"), strict=True):
        mine = table[(table["source"] == "all") & (table["backbone"] == name)].set_index("chain")
        points, *_ = axes.containers[0]
        gains = dict(zip(names, points.get_xdata(), strict=True))
        assert gains == pytest.approx(mine.loc[["better", "worse"], "gain"].to_dict())


def test_a_network_that_is_missing_is_told_before_any_work(tmp_path):
    with pytest.raises(RecipeError, match=r"train natural-64 --backbone vgg16.*is missing\.$"):
        middle.run(tmp_path, tmp_path / "work", {"vgg16": tmp_path / "none.keras"})
    assert not (tmp_path / "work").exists()


def test_each_chain_is_trained_once_from_the_network_of_its_base(tmp_path, monkeypatch):
    jobs = []

    def fake(job):
        jobs.append(job)
        job.out.parent.mkdir(parents=True, exist_ok=True)
        job.out.write_bytes(b"")

    monkeypatch.setattr(middle.chain, "run", fake)
    natural = tmp_path / "natural.keras"
    found = {row.name: middle._network(row, "vgg16", natural, tmp_path, tmp_path / "work")
             for _ in range(2) for row in middle.ROWS}  # fmt: skip
    assert (found["random"], found["natural"]) == ("none", str(natural))
    shipped = [row for row in middle.ROWS if row.recipe == "shipped"]
    assert {found[row.name] for row in shipped} <= {str(weights_root() / "vgg16")}
    trained = [row for row in middle.ROWS if row.recipe in RECIPES and row.recipe != "natural-64"]
    assert [str(job.out) for job in jobs] == [found[row.name] for row in trained]
    assert [job.start for job in jobs] == [found[row.base] for row in trained]
    assert len({job.work for job in jobs}) == len(trained)
    for job, row in zip(jobs, trained, strict=True):
        ((_, stage),) = job.recipe.stages
        assert job.recipe.name == row.recipe
        assert (stage.input_size, stage.limit) == (middle.SIDE, middle.IMAGES)
        assert stage.epochs == middle.EPOCHS
    assert np.unique([job.backbone for job in jobs]) == ["vgg16"]
