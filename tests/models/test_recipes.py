"""Every recipe can be run on every network that it names."""

import numpy as np
import pytest
from PIL import Image

from thyro_demo.data.splits import PARTS
from thyro_demo.errors import RecipeError
from thyro_demo.models.backbones import BACKBONES, backbone
from thyro_demo.models.heads import KINDS
from thyro_demo.models.recipes import RECIPES, SOURCES, recipe
from thyro_demo.models.transfer import boundary

every_recipe = pytest.mark.parametrize("chosen", RECIPES.values(), ids=RECIPES)


@every_recipe
def test_every_network_has_the_blocks_that_its_recipes_train(chosen):
    assert chosen.backbones
    for name in chosen.backbones:
        for source, stage in chosen.stages:
            assert source in SOURCES
            cut = boundary(backbone(name), stage.trainable)
            assert cut is None or cut == "features" or cut in BACKBONES[name].boundaries.values()


@every_recipe
def test_the_primary_head_is_named_among_the_heads(chosen):
    assert chosen.primary in chosen.heads
    assert set(chosen.heads) <= {"softmax", *KINDS}
    assert chosen.heads[0] == "softmax"


@every_recipe
def test_stages_of_a_chain_have_folders_of_their_own(chosen):
    names = [stage.name for _, stage in chosen.stages]
    assert len(set(names)) == len(names)


@every_recipe
def test_phantoms_are_at_most_a_fifth(chosen):
    assert 0 <= chosen.phantoms <= 0.2


def test_an_unknown_recipe_is_refused_with_those_that_exist():
    with pytest.raises(RecipeError, match=r"one of progressive, head,.*Received: 'cake'\.$"):
        recipe("cake")


def test_natural_images_come_in_the_parts_that_splits_know(tmp_path):
    for folder in ("train/n01/images", "val/images"):
        (tmp_path / folder).mkdir(parents=True)
    grey = Image.fromarray(np.full((64, 64, 3), 90, np.uint8))
    grey.save(tmp_path / "train/n01/images/a.JPEG", "JPEG")
    grey.save(tmp_path / "val/images/b.JPEG", "JPEG")
    (tmp_path / "val/val_annotations.txt").write_text("b.JPEG\tn01\t0\t0\t63\t63\n")
    (tmp_path / "wnids.txt").write_text("n01\n")
    records = SOURCES["natural"].read(str(tmp_path))
    assert set(records["split"]) == {"train", "validation"} < set(PARTS)
