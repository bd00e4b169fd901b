"""Every recipe can be run on every network that it names."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thyro_demo.data import phantom
from thyro_demo.data.splits import PARTS
from thyro_demo.errors import DataError, RecipeError
from thyro_demo.models.backbones import BACKBONES, backbone
from thyro_demo.models.heads import KINDS
from thyro_demo.training import recipes
from thyro_demo.training.frozen_cache import boundary
from thyro_demo.training.recipes import RECIPES, precision, recipe
from thyro_demo.training.sources import SOURCES

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
def test_a_bundle_names_its_primary_head_and_a_network_alone_has_none(chosen):
    last, _ = chosen.stages[-1]
    assert chosen.writes_bundle == (SOURCES[last].folder == "thyroid_us")
    if chosen.writes_bundle:
        assert chosen.primary in chosen.heads
        assert set(chosen.heads) <= {"softmax", *KINDS}
        assert chosen.heads[0] == "softmax"
    else:
        assert (chosen.heads, chosen.primary, chosen.phantoms) == ((), "", 0)


@every_recipe
def test_a_recipe_is_resolved_for_each_of_its_networks(chosen):
    """Natural images get the passes that suit the network, the rest its arithmetic."""
    for name in chosen.backbones:
        found = recipe(chosen.name, name)
        assert [source for source, _ in found.stages] == [source for source, _ in chosen.stages]
        for _, stage in found.stages:
            assert stage.precision == precision(name)
            if stage.name == "natural-64":
                assert stage == recipe("natural-64", name).stages[0][1]
                assert (stage.trainable, stage.epochs) == ("all", len(stage.sides))
    assert recipe(chosen.name) == recipe(chosen.name, chosen.backbones[0])


@pytest.fixture
def processor(monkeypatch, tmp_path):
    """Let the host have the processor with these flags."""

    def set_flags(flags):
        file = tmp_path / "cpuinfo"
        file.write_text(f"flags : fpu {flags}\n")
        monkeypatch.setattr(recipes, "_PROCESSOR", file)
        monkeypatch.setattr(recipes.tf.config, "list_physical_devices", lambda kind: [])
        recipes._quick_bfloat16.cache_clear()

    yield set_flags
    recipes._quick_bfloat16.cache_clear()


def test_half_precision_is_for_processors_that_have_it(processor):
    processor("avx2 fma")
    assert precision("vgg16") == "float32"
    processor("avx2 avx512_bf16")
    assert precision("vgg16") == "mixed_bfloat16"
    assert precision("efficientnet-b0") == "float32"


def test_networks_differ_in_sides_and_rate():
    vgg, deep = (recipe("progressive", name).stages[0][1] for name in ("vgg16", "efficientnet-b0"))
    assert max(vgg.sides) < max(deep.sides) <= deep.input_size
    assert vgg.learning_rate < deep.learning_rate


@every_recipe
def test_stages_of_a_chain_have_folders_of_their_own(chosen):
    names = [stage.name for _, stage in chosen.stages]
    assert len(set(names)) == len(names)


@every_recipe
def test_phantoms_are_at_most_half(chosen):
    assert 0 <= chosen.phantoms <= 0.5


def test_an_unknown_recipe_is_refused_with_those_that_exist():
    known = "one of progressive, find-and-read,"
    with pytest.raises(RecipeError, match=rf"{known}.*Received: 'cake'\.$"):
        recipe("cake")


def test_whoever_brings_weights_is_spared_the_stage_from_random_ones():
    whole, later = recipe("progressive"), recipe("progressive", None, "imagenet")
    assert whole.stages[0][0] == "natural"
    assert later.stages == whole.stages[1:]
    assert recipe("head", None, "imagenet") == recipe("head")
    with pytest.raises(RecipeError, match=r"with random weights\. Received: .* imagenet\.$"):
        recipe("natural-64", "vgg16", "imagenet")


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


@pytest.fixture
def thyroid(tmp_path):
    """Lay out a thyroid set of three frames, two of them from a DDTI with one outline."""
    grey = Image.new("L", (40, 32), 90)
    for folder in ("ddti", "thyroid_us"):
        (tmp_path / folder).mkdir()
    outline = [{"points": [{"x": 5, "y": 6}, {"x": 30, "y": 6}, {"x": 30, "y": 20}]}]
    for case, svg in ((7, json.dumps(outline)), (8, "[]")):
        grey.save(tmp_path / "ddti" / f"{case}_1.jpg")
        mark = f"<mark><image>1</image><svg>{svg}</svg></mark>"
        (tmp_path / "ddti" / f"{case}.xml").write_text(f"<case><tirads>3</tirads>{mark}</case>")
    rows = ["path,label,group,source,ddti_file"]
    for name, file in (("a", "8_1.jpg"), ("b", "7_1.jpg"), ("c", "")):
        grey.save(tmp_path / "thyroid_us" / f"{name}.png")
        rows.append(f"{name}.png,benign,{name},ddti,{file}")
    (tmp_path / "thyroid_us" / "index.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "thyroid_us"


def test_nodules_are_read_from_the_frames_that_have_an_outline(thyroid):
    source = SOURCES["nodule"]
    assert source.roi
    records = source.read(str(thyroid))
    assert [Path(path).name for path in records["path"]] == ["b.png"]
    np.testing.assert_array_equal(records["polygons"][0], [[[5, 6], [30, 6], [30, 20]]])
    assert len(SOURCES["thyroid"].read(str(thyroid))) == 3


def test_a_set_without_outlines_is_refused_in_a_sentence(thyroid):
    index = thyroid / "index.csv"
    index.write_text(index.read_text().replace("ddti_file", "remark"))
    with pytest.raises(DataError, match=r"^[^.]*\. Received: \S+ without outlines\.$"):
        SOURCES["nodule"].read(str(thyroid))


def test_nodules_of_phantoms_are_those_of_their_masks(tmp_path):
    drawn = phantom.write(phantom.cohort(2, 1, seed=3, shape=(120, 160)), tmp_path / "drawn")
    records = SOURCES["nodule"].read(str(drawn))
    assert len(records) == 2
    assert all(Path(path).is_file() for path in records["mask_path"])
