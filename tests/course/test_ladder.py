"""A chain is computed again from another start, and a head is asked about frames it has not met."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from thyro_demo.course import ladder
from thyro_demo.errors import DataError
from thyro_demo.evaluate import metrics


def test_each_shipped_stage_follows_the_one_before():
    chain = ladder.chain()
    assert list(chain) == [ladder.RANDOM, ladder.NATURAL, ladder.RADIOGRAPHS, ladder.FULL]
    assert ladder.base(chain) == ladder.NATURAL
    assert all(Path(file).is_file() for file in list(chain.values())[1:])


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_of_the_other_networks_the_end_alone_is_shipped(name):
    chain = ladder.chain(name)
    assert list(chain) == [ladder.RANDOM, ladder.FULL]
    assert ladder.base(chain) == ladder.FULL


@pytest.mark.parametrize("name", ["efficientnet-b0", "resnet50", "vgg16"])
def test_another_start_brings_no_shipped_stage_along(name):
    chain = ladder.chain(name, "imagenet")
    assert chain == {ladder.RANDOM: "none", "ImageNet": "imagenet"}
    assert ladder.base(chain) == "ImageNet"
    alone = ladder.chain(name, "none")
    assert alone == {ladder.RANDOM: "none"}
    assert ladder.base(alone) == ladder.RANDOM
    assert ladder.base(ladder.chain(name, "mine/first.keras")) == "first"


def test_a_chain_without_one_of_its_stages_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"natural-64\.keras"):
        ladder.chain(root=tmp_path)


def test_a_stage_that_knows_more_is_higher_on_the_ladder():
    rng = np.random.default_rng(0)
    number = np.arange(120)
    table = pd.DataFrame(
        {
            "path": [f"{n}.png" for n in number],
            "label": np.where(number // 2 % 2, "malignant", "benign"),
            "group": number // 2,
            "source": "drawn",
            "fold": number // 2 % 5,
        }
    )
    ill = (table["label"] == "malignant").to_numpy()
    noise = rng.normal(size=(120, 8))
    scored = ladder.climb({"nothing": noise, "much": noise + 2 * ill[:, None]}, table)
    nothing, much = (
        metrics.auroc(one["label"] == "malignant", one["score"]) for one in scored.values()
    )
    assert much > 0.95
    assert nothing < 0.7
    assert all(set(one["path"]) == set(table["path"]) for one in scored.values())


def test_frames_are_laid_out_stage_by_stage_the_same_way_each_time():
    rng = np.random.default_rng(0)
    malignant = np.arange(40) % 2 == 1
    features = {"first": rng.normal(size=(40, 50)), "later": rng.normal(size=(40, 5))}
    laid_out = ladder.planes(features, seed=1)
    assert {name: places.shape for name, places in laid_out.items()} == dict.fromkeys(
        features, (40, 2)
    )
    again = ladder.planes(features, seed=1)
    assert all(np.array_equal(laid_out[name], again[name]) for name in features)
    figure = ladder.draw_planes(laid_out, malignant, "Neighbours")
    assert [axes.get_title() for axes in figure.axes] == list(features)
