"""A bundle comes back as it was written, or is refused in one sentence."""

import json
import re
import shutil

import keras
import numpy as np
import pytest
import skops.io

from thyro_demo.bundle import compress, heads_file, store
from thyro_demo.bundle.bundle import POSITIVE
from thyro_demo.bundle.manifest import names, read_manifest, weights_root
from thyro_demo.errors import BundleError
from thyro_demo.files import sha256
from thyro_demo.models.backbones import BACKBONES
from thyro_demo.models.networks import build

SENTENCE = re.compile(r"[A-Z][^\n]*\. Received: [^\n]+\.")


@pytest.fixture(scope="module")
def tiny(tiny_weights):
    return store.load(tiny_weights / "tiny")


@pytest.fixture
def copy(tiny_weights, tmp_path):
    return shutil.copytree(tiny_weights / "tiny", tmp_path / "tiny")


@pytest.fixture
def batch(spotted_frames):
    return spotted_frames[0][:6].astype(np.float32)


def edit(folder, **entries):
    """Change entries of a manifest; None takes one out."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8")) | entries
    kept = {name: value for name, value in manifest.items() if value is not None}
    (folder / "manifest.json").write_text(json.dumps(kept), "utf-8")


def trust(folder):
    """Write the checksums of the files as they are now into the manifest."""
    edit(folder, files={name: sha256(folder / name) for name in ("model.keras", "heads.skops")})


def assert_refused(folder, naming=""):
    with pytest.raises(BundleError) as caught:
        store.load(folder)
    assert SENTENCE.fullmatch(str(caught.value)), caught.value
    assert naming in str(caught.value)


def parts_of(tiny):
    """Return what `store.write` takes, from a bundle that was loaded."""
    added = ("format", "files", "probe", "versions")
    manifest = {name: value for name, value in tiny.manifest.items() if name not in added}
    fitted = {name: head.model for name, head in tiny.heads.items()}
    return manifest, tiny.network, fitted | {"ood": tiny._spaces}, "# Card\n"


def test_a_bundle_comes_back_as_it_was_written(tiny, batch, tmp_path):
    folder = store.write(tmp_path / "again", *parts_of(tiny))
    again = store.load(folder)
    before, after = tiny.scores(tiny.forward(batch)), again.scores(again.forward(batch))
    assert list(before) == list(after) == ["softmax", "svm", "forest"]
    for head, scores in before.items():
        np.testing.assert_array_equal(after[head], scores)
    assert again.thresholds == tiny.thresholds
    assert (folder / "README.md").read_text("utf-8") == "# Card\n"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "heads.skops", "manifest.json", "model.keras",
    ]  # fmt: skip


def test_earlier_stages_are_beside_the_network_and_go_with_it(tiny, small, tmp_path):
    extra = {"natural-64": small(), "radiographs": small("mlp")}
    folder = store.write(tmp_path / "long", *parts_of(tiny), extra=extra)
    files = read_manifest(folder)["files"]
    assert set(files) == {"model.keras", "heads.skops", "natural-64.keras", "radiographs.keras"}
    for name, network in extra.items():
        assert files[f"{name}.keras"] == sha256(folder / f"{name}.keras")
        saved = keras.saving.load_model(folder / f"{name}.keras", compile=False)
        assert saved.output_shape == network.output_shape
    assert store.load(folder).name == "tiny"
    store.write(folder, *parts_of(tiny))
    assert not list(folder.glob("*64.keras"))


def test_a_network_beside_the_bundle_has_a_known_name(tiny, small, tmp_path):
    with pytest.raises(BundleError, match=r"natural-64, radiographs\. Received: notes\.$"):
        store.write(tmp_path / "tiny", *parts_of(tiny), extra={"notes": small()})
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "notes.keras").write_text("mine")
    with pytest.raises(BundleError, match=r"with notes\.keras\.$"):
        store.write(tmp_path / "tiny", *parts_of(tiny))
    assert (tmp_path / "tiny" / "notes.keras").read_text() == "mine"


def test_the_forward_pass_returns_what_the_network_does(tiny, batch):
    forward = tiny.forward(batch)
    np.testing.assert_allclose(forward.probabilities, tiny.network(batch), atol=1e-6)
    np.testing.assert_allclose(tiny.pool(forward.feature_map), forward.features, atol=1e-6)
    np.testing.assert_allclose(
        tiny.heads["svm"].scores(forward.features), tiny.scores(forward)["svm"]
    )


def test_the_softmax_gradient_is_that_of_the_log_odds(tiny, batch):
    forward = tiny.forward(batch[:2])
    kernel, bias = tiny.network.get_layer("logits").get_weights()

    def odds(feature_map):
        logits = tiny.pool(feature_map).astype(np.float64) @ kernel + bias
        return logits[:, POSITIVE] - logits[:, 1 - POSITIVE]

    rng = np.random.default_rng(0)
    for _ in range(5):
        direction = rng.normal(size=forward.feature_map.shape).astype(np.float32)
        step = 0.5 * direction
        difference = odds(forward.feature_map + step) - odds(forward.feature_map - step)
        along = (forward.softmax_gradient * direction).sum(axis=(1, 2, 3))
        np.testing.assert_allclose(along, difference, rtol=1e-2, atol=1e-4)


def test_pull_back_is_the_transpose_of_pooling(tiny, batch):
    forward = tiny.forward(batch[:2])
    rng = np.random.default_rng(1)
    cotangent = rng.normal(size=forward.features.shape).astype(np.float32)
    pulled = tiny.pull_back(forward.feature_map, cotangent)
    for _ in range(5):
        step = 0.5 * rng.normal(size=forward.feature_map.shape).astype(np.float32)
        pools = tiny.pool(forward.feature_map + step) - tiny.pool(forward.feature_map - step)
        np.testing.assert_allclose(
            2 * (pulled * step).sum(axis=(1, 2, 3)), (pools * cotangent).sum(axis=1),
            rtol=1e-2, atol=1e-3,
        )  # fmt: skip


def test_training_images_are_in_distribution_and_nonsense_is_not(tiny, spotted_frames):
    frames = spotted_frames[0].astype(np.float32)
    known = tiny.ood_score(tiny.forward(frames))
    assert np.mean(known <= 1) > 0.9
    board = np.indices((64, 64)).sum(axis=0) // 2 % 2 * 255.0
    strange = np.repeat(board[None, :, :, None], 3, axis=3).astype(np.float32)
    assert tiny.ood_score(tiny.forward(strange))[0] > 1


def test_slimming_hardly_changes_the_scores_and_only_once(small, batch):
    network = small()
    before = network(batch).numpy()
    compress.shorten(network)
    once = network.get_weights()
    assert np.abs(network(batch).numpy() - before).max() < 0.01
    compress.shorten(network)
    for first, second in zip(once, network.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_slimming_keeps_values_that_half_precision_lacks(small):
    network = small()
    kernel = network.get_layer("logits").get_weights()[0]
    network.get_layer("logits").set_weights([kernel, np.array([1e6, -1e6], np.float32)])
    compress.shorten(network)
    np.testing.assert_array_equal(network.get_layer("logits").get_weights()[1], [1e6, -1e6])


@pytest.mark.parametrize("file", ["manifest.json", "model.keras", "heads.skops"])
def test_a_missing_file_is_reported(file, copy):
    (copy / file).unlink()
    assert_refused(copy)


@pytest.mark.parametrize("file", ["model.keras", "heads.skops"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "foreign"])
def test_a_damaged_file_is_refused_by_its_checksum(file, damage, copy):
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 1
    damaged = {"flipped": bytes(content), "cut": bytes(content[:1000]), "empty": b"",
               "foreign": b"PK\x03\x04 something else"}[damage]  # fmt: skip
    (copy / file).write_bytes(damaged)
    assert_refused(copy, f"{file} (changed)")


@pytest.mark.parametrize("file", ["model.keras", "heads.skops"])
def test_a_damaged_file_with_a_checksum_to_match_is_refused_too(file, copy):
    (copy / file).write_bytes((copy / file).read_bytes()[:5000])
    trust(copy)
    assert_refused(copy, file)


def test_a_network_of_another_size_is_refused(copy):
    build(BACKBONES["two-layer-cnn"], input_size=96).save(copy / "model.keras")
    trust(copy)
    assert_refused(copy, "model.keras")


def test_a_network_of_another_kind_is_refused(copy):
    image = keras.Input((64, 64, 3))
    keras.Model(image, keras.layers.Flatten()(image)).save(copy / "model.keras")
    trust(copy)
    assert_refused(copy, "model.keras")


def test_a_bundle_with_one_space_for_all_kinds_of_training_image_scores_alike(copy, tiny):
    """Its space is named "familiarity", its limit "familiarity_limit"."""
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    fitted = heads_file.load(copy / "heads.skops", manifest["files"]["heads.skops"])
    (space,), (limit,) = fitted.pop("ood").values(), manifest.pop("ood_limits").values()
    heads_file.save(fitted | {"familiarity": space}, copy / "heads.skops")
    (copy / "manifest.json").write_text(json.dumps(manifest | {"familiarity_limit": limit}))
    trust(copy)
    forward = tiny.forward(np.full((1, 64, 64, 3), 90, np.float32))
    np.testing.assert_allclose(store.load(copy).ood_score(forward), tiny.ood_score(forward))


def test_limits_of_other_kinds_than_the_spaces_are_refused(copy):
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    (limit,) = manifest["ood_limits"].values()
    more = manifest | {"ood_limits": {"frame": limit, "another": limit}}
    (copy / "manifest.json").write_text(json.dumps(more))
    assert_refused(copy, "2 limits for 1 kinds of training image")


def test_heads_that_do_not_fit_the_manifest_are_refused(copy, tiny):
    heads_file.save({"ood": tiny._spaces}, copy / "heads.skops")
    trust(copy)
    assert_refused(copy, "without forest, svm")


def test_something_else_under_the_name_of_a_head_is_refused(copy, tiny):
    (space,) = tiny._spaces.values()
    skops.io.dump({"svm": space, "forest": space, "ood": tiny._spaces}, copy / "heads.skops")
    trust(copy)
    assert_refused(copy)


def test_a_head_that_scores_otherwise_here_is_refused(copy):
    edit(copy, probe=read_manifest(copy)["probe"] | {"svm": 0.123456789})
    assert_refused(copy, "scikit-learn")


def test_a_head_without_a_probe_is_refused(copy):
    edit(copy, probe={})
    assert_refused(copy)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", '"format"', "\ufffe", '{"format": 1}', "[" * 100_000]
)
def test_a_manifest_that_is_none_is_refused(text, copy):
    (copy / "manifest.json").write_text(text, "utf-8")
    assert_refused(copy, "manifest.json")


def test_a_manifest_that_is_no_text_is_refused(copy):
    (copy / "manifest.json").write_bytes(b"\xff\xfe\x00\x9c")
    assert_refused(copy, "manifest.json")


@pytest.mark.parametrize("entry", ["format", "heads", "files", "thresholds", "training_images"])
def test_a_manifest_without_an_entry_is_refused(entry, copy):
    edit(copy, **{entry: None})
    assert_refused(copy, f"lacks {entry}")


@pytest.mark.parametrize(
    "entries",
    [
        {"format": 2},
        {"name": "../../elsewhere"},
        {"name": "/elsewhere"},
        {"name": ".hidden"},
        {"heads": ["softmax", "../svm"]},
        {"heads": "softmax"},
        {"primary": "mlp"},
        {"input_size": "64"},
        {"input_size": 0},
        {"classes": ["malignant"]},
        {"thresholds": {"softmax": {"youden": 0.5, "sens95": 0.2}}},
        {"thresholds": []},
        {"ood_limits": {"phantom": float("nan")}},
        {"ood_limits": {"phantom": 0.0}},
        {"files": ["model.keras"]},
        {"probe": {"svm": "high"}},
        {"training_images": "all"},
        {"title": 5},
        {"region": "left lobe"},
        {"pooling": "maximum"},
        {"pooling": ["average"]},
        {"chain": "natural"},
        {"chain": ["head"]},
    ],
    ids=str,
)
def test_a_manifest_that_this_project_would_not_write_is_refused(entries, copy):
    edit(copy, **entries)
    assert_refused(copy, "manifest.json")


def test_checksums_are_read_of_the_bundles_own_files_alone(copy, tmp_path):
    """Names of other files in the manifest open nothing."""
    shutil.move(copy / "model.keras", tmp_path / "model.keras")
    edit(copy, files={"../model.keras": sha256(tmp_path / "model.keras"),
                      "heads.skops": sha256(copy / "heads.skops")})  # fmt: skip
    assert_refused(copy, "model.keras (missing)")


def test_a_folder_that_is_none_is_refused(tmp_path):
    assert_refused(tmp_path / "nothing")


class Killed(BaseException):
    pass


@pytest.mark.parametrize("earlier", [False, True])
def test_a_bundle_whose_writing_was_stopped_is_never_seen(earlier, tiny, tmp_path, monkeypatch):
    if earlier:
        store.write(tmp_path / "tiny", *parts_of(tiny))
        before = (tmp_path / "tiny" / "manifest.json").read_bytes()

    def stop(*_):
        raise Killed

    monkeypatch.setattr(heads_file, "save", stop)
    with pytest.raises(Killed):
        store.write(tmp_path / "tiny", *parts_of(tiny))
    assert names(tmp_path) == (["tiny"] if earlier else [])
    if earlier:
        assert (tmp_path / "tiny" / "manifest.json").read_bytes() == before


def test_what_a_killed_writer_left_behind_is_no_bundle(copy, tmp_path):
    """A kill just before the last rename leaves a whole folder under a hidden name."""
    copy.rename(tmp_path / ".tiny-1a2b3c4d")
    assert names(tmp_path) == []


def test_a_manifest_never_holds_nan(tiny, tmp_path):
    manifest, *rest = parts_of(tiny)
    with pytest.raises(ValueError, match="JSON"):
        store.write(tmp_path / "tiny", manifest | {"metrics": float("nan")}, *rest)
    assert names(tmp_path) == []


def test_names_are_those_of_the_folder_that_is_meant(tiny_weights, tmp_path, monkeypatch):
    assert names(tiny_weights) == ["tiny"]
    assert names(tmp_path / "nothing") == []
    monkeypatch.setenv("THYRO_WEIGHTS", str(tiny_weights))
    assert weights_root() == tiny_weights
    assert names() == ["tiny"]
    monkeypatch.delenv("THYRO_WEIGHTS")
    assert weights_root().name == "weights"
