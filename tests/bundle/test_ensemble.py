"""An ensemble reads what its members computed, and only members it was fitted on."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit, logit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.bench.untrained import untrained
from thyro_demo.bundle import bundle, ensemble, store
from thyro_demo.bundle.manifest import kind, names, of_networks, read_manifest
from thyro_demo.data.scan_area import resize
from thyro_demo.engine import Engine, score_records
from thyro_demo.errors import BundleError
from thyro_demo.explain.gradcam import scale
from thyro_demo.explain.heatmaps import heatmap
from thyro_demo.explain.svm import svm_gradient
from thyro_demo.files import sha256
from thyro_demo.models import heads as models

SENTENCE = re.compile(r"[A-Z][^\n]*\. Received: [^\n]+\.")
MEMBERS = ("tiny", "two-layer-cnn")

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="session")
def root(tiny_weights, spotted_frames, tmp_path_factory):
    """Write two small networks of different input and grid, and "both", their ensemble."""
    root = tmp_path_factory.mktemp("ensemble")
    shutil.copytree(tiny_weights / "tiny", root / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "TREES", 5)
        untrained("two-layer-cnn", rows=60, input_size=96).write(root)
    frames, labels = spotted_frames
    networks = [store.load(root / name) for name in MEMBERS]
    forwards = [network.forward(_squares(frames, network)) for network in networks]
    svm = CalibratedClassifierCV(
        make_pipeline(StandardScaler(), SVC(gamma=0.005)), cv=4, ensemble=False
    ).fit(ensemble.joined(forwards), labels)
    manifest = {
        "name": "both",
        "title": "Both nets",
        "backbone": "ensemble",
        "classes": ["benign", "malignant"],
        "members": [ensemble.member(root / name) for name in MEMBERS],
        "heads": ["svm", "average"],
        "primary": "svm",
        "average": {
            "of": [["tiny", "svm"], ["two-layer-cnn", "forest"]],
            "slope": 1.5,
            "intercept": -0.25,
        },
        "thresholds": {head: {"youden": 0.5, "sens95": 0.25} for head in ("svm", "average")},
        "training_images": [],
    }
    ensemble.write(root / "both", manifest, {"svm": svm}, "# Both nets\n")
    return root


@pytest.fixture(scope="module")
def both(root):
    return ensemble.load(root / "both")


@pytest.fixture(scope="module")
def forwards(both, spotted_frames):
    frames = spotted_frames[0][:6]
    return [network.forward(_squares(frames, network)) for network in both.networks]


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    return tmp_path / "copy"


def _squares(frames, network):
    """Resize frames as the engine does."""
    return np.stack([resize(frame, network.input_size) for frame in frames])


def edit(folder, **entries):
    manifest = json.loads((folder / "manifest.json").read_text("utf-8")) | entries
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def assert_refused(folder, naming):
    with pytest.raises(BundleError) as caught:
        ensemble.load(folder)
    assert SENTENCE.fullmatch(str(caught.value)), caught.value
    assert naming in str(caught.value)


def test_an_ensemble_is_a_bundle_without_a_network(root):
    assert names(root) == ["both", "tiny", "two-layer-cnn"]
    assert sorted(path.name for path in (root / "both").iterdir()) == [
        "README.md", "heads.skops", "manifest.json",
    ]  # fmt: skip
    assert kind(read_manifest(root / "both")) == "ensemble"
    assert isinstance(ensemble.load_any(root / "both"), ensemble.Ensemble)
    assert isinstance(ensemble.load_any(root / "tiny"), bundle.Bundle)


@pytest.mark.parametrize(("name", "run"), [("both", MEMBERS), ("tiny", ("tiny",))])
def test_the_networks_of_a_bundle_are_its_members_or_itself(root, name, run):
    assert [facts["name"] for facts in of_networks(root / name)] == list(run)


def test_the_svm_reads_the_members_features_one_after_the_other(both, forwards):
    rows = np.hstack([forward.features for forward in forwards])
    expected = both.heads["svm"].model.predict_proba(rows.astype(np.float64))[:, 1]
    np.testing.assert_allclose(both.scores(*forwards)["svm"], expected, rtol=1e-9)


def test_certain_scores_have_finite_log_odds_that_keep_their_order():
    scores = np.array([[0.0, 1e-9, 0.2, 0.5, 1.0], [0.0, 1e-9, 0.4, 0.5, 1.0]])
    odds = ensemble.mean_log_odds(scores)
    assert np.isfinite(odds).all()
    assert (np.diff(odds) >= 0).all()
    np.testing.assert_allclose(odds[2:4], logit([0.3, 0.5]), atol=1e-12)


def test_the_average_is_a_sigmoid_over_the_mean_of_calibrated_scores(both, forwards):
    tiny, other = both.networks
    mean = (tiny.scores(forwards[0])["svm"] + other.scores(forwards[1])["forest"]) / 2
    expected = expit(1.5 * logit(mean) - 0.25)
    np.testing.assert_allclose(both.scores(*forwards)["average"], expected, rtol=1e-12)
    assert list(both.scores(*forwards)) == ["svm", "average"]


def test_sure_members_leave_the_average_finite(both, forwards, monkeypatch):
    for network in both.networks:
        monkeypatch.setattr(network, "score", lambda *_: np.ones(1))
    (score,) = both.scores(*forwards)["average"]
    assert score == pytest.approx(expit(1.5 * logit(1 - 1e-6) - 0.25))


def test_an_image_is_as_strange_as_to_the_member_it_is_strangest_to(both, monkeypatch):
    for network, score in zip(both.networks, (0.5, 1.5), strict=True):
        monkeypatch.setattr(network, "ood_score", lambda _, score=score: np.array([score]))
    assert both.ood_score(None, None) == 1.5


def test_the_map_of_the_svm_adds_up_what_each_member_contributes(both, forwards):
    features = [forward.features[1].astype(np.float64) for forward in forwards]
    decide = both.heads["svm"].pipeline.decision_function
    slope = svm_gradient(both.heads["svm"], np.concatenate(features))
    parts = np.split(slope, [both.networks[0].dims])
    maps = [forward.feature_map[1] @ part for forward, part in zip(forwards, parts, strict=True)]
    for place, drawn in enumerate(maps):
        # Features are means of the map: its mean is how fast they move the decision value.
        moved = [np.concatenate([one * (1 + step * (place == index))
                 for index, one in enumerate(features)]) for step in (-1e-3, 1e-3)]  # fmt: skip
        low, high = decide(np.stack(moved))
        assert drawn.mean() == pytest.approx((high - low) / 2e-3, rel=1e-3)
    shapes = [drawn.shape for drawn in maps]
    assert shapes[0] != shapes[1]
    expected = scale(sum(_resized(drawn.astype(np.float32), max(shapes)) for drawn in maps))
    np.testing.assert_allclose(heatmap(both, forwards, "svm", row=1), expected, atol=1e-4)


def _resized(drawn, shape):
    size = (shape[1], shape[0])
    return np.asarray(Image.fromarray(drawn).resize(size, Image.Resampling.BILINEAR))


def test_the_map_of_the_average_is_the_mean_of_its_heads_own_maps(both, forwards):
    maps = [
        heatmap(network, [forward], head, row=2)
        for network, forward, head in zip(both.networks, forwards, ("svm", "forest"), strict=True)
    ]
    shape = max(drawn.shape for drawn in maps)
    np.testing.assert_allclose(
        heatmap(both, forwards, "average", row=2),
        np.mean([_resized(drawn, shape) for drawn in maps], axis=0),
        atol=1e-6,
    )


def test_one_pass_of_each_member_serves_all(root, spotted_frames, monkeypatch):
    engine = Engine(root)
    engine.warm_up()
    ran = []
    run = bundle.Bundle.forward
    monkeypatch.setattr(
        bundle.Bundle, "forward", lambda self, batch: ran.append(self.name) or run(self, batch)
    )
    frame = spotted_frames[0][1]
    alone = engine.compare(frame, ["both"], maps=("svm", "average"))
    assert ran == list(MEMBERS)
    assert [one.head for one in alone.predictions] == ["svm", "average"]
    assert all(one.heatmap.shape == (64, 64) for one in alone.predictions)
    both = engine.compare(frame, ["both", "tiny"])
    assert ran == list(MEMBERS)
    assert [one.score for one in both.predictions[:2]] == [one.score for one in alone.predictions]
    # Its time is that of both passes; the member's own only that of one.
    assert both.predictions[0].milliseconds > both.predictions[2].milliseconds


def test_a_table_is_scored_as_single_images_are(root, both, spotted_frames, tmp_path):
    frames, labels = spotted_frames
    paths = [str(tmp_path / f"{index}.png") for index in range(5)]
    for path, frame in zip(paths, frames, strict=False):
        Image.fromarray(frame).save(path)
    records = pd.DataFrame({"path": paths, "label": labels[:5], "group": paths, "source": "drawn"})
    table = score_records(both, records, batch=3)
    engine = Engine(root)
    for path, rows in table.groupby("path"):
        single = {one.head: one.score for one in engine.compare(path, ["both"]).predictions}
        np.testing.assert_allclose(
            rows["score"], [single[head] for head in rows["head"]], atol=1e-5
        )


def test_a_member_that_is_missing_or_another_is_refused(copy, root):
    shutil.rmtree(copy / "tiny")
    assert_refused(copy / "both", "tiny (missing)")
    shutil.copytree(root / "two-layer-cnn", copy / "tiny")
    assert_refused(copy / "both", "tiny (another checksum)")
    with pytest.raises(BundleError, match="another checksum"):
        Engine(copy).compare(np.zeros((64, 64, 3), np.uint8), ["both"])


def test_a_member_whose_file_is_damaged_is_refused(copy):
    (copy / "tiny" / "model.keras").write_bytes(b"cut")
    assert_refused(copy / "both", "model.keras (changed)")


def test_a_member_trained_again_in_memory_is_not_taken_for_the_old_one(copy):
    engine = Engine(copy)
    trained = store.load(copy / "two-layer-cnn")
    del trained.manifest["files"]
    engine.add(trained)
    with pytest.raises(BundleError, match="another checksum"):
        engine.warm_up(["both"])


def test_a_member_that_reads_marked_nodules_is_refused(copy):
    edit(copy / "tiny", region="roi")
    assert_refused(copy / "both", "reads a marked nodule")


def test_an_ensemble_that_names_itself_is_refused(copy):
    manifest = read_manifest(copy / "both")
    entry = ensemble.member(copy / "both")
    edit(copy / "both", members=[entry, *manifest["members"][1:]], average=manifest["average"] | {
        "of": [["both", "svm"]],
    })  # fmt: skip
    assert_refused(copy / "both", "both (")


def test_an_svm_on_the_features_of_fewer_members_is_refused(copy):
    shutil.copytree(copy / "tiny", copy / "third")
    members = read_manifest(copy / "both")["members"]
    edit(copy / "both", members=[*members, ensemble.member(copy / "third")])
    assert_refused(copy / "both", "heads.skops")


def test_an_svm_that_scores_otherwise_here_is_refused(copy):
    edit(copy / "both", probe={"svm": 0.123456789})
    assert_refused(copy / "both", "scikit-learn")


def test_a_damaged_heads_file_is_refused(copy):
    path = copy / "both" / "heads.skops"
    path.write_bytes(path.read_bytes()[:500])
    assert_refused(copy / "both", "heads.skops (changed)")
    edit(copy / "both", files={"heads.skops": sha256(path)})
    assert_refused(copy / "both", "heads.skops")


@pytest.mark.parametrize(
    "entries",
    [
        {"members": []},
        {"members": "all"},
        {"members": [{"name": "../tiny", "sha256": "", "heads_sha256": ""}] * 2},
        {"members": [{"name": "tiny", "sha256": "", "heads_sha256": ""}] * 2},
        {"members": [{"name": "tiny"}, {"name": "two-layer-cnn"}]},
        {"region": "roi"},
        {"heads": ["svm", "forest"]},
        {"average": None},
        {"average": {"of": [["other", "svm"]], "slope": 1.0, "intercept": 0.0}},
        {"average": {"of": [], "slope": 1.0, "intercept": 0.0}},
        {"average": {"of": [["tiny", "svm"]], "slope": float("nan"), "intercept": 0.0}},
    ],
    ids=str,
)
def test_a_manifest_that_this_project_would_not_write_is_refused(entries, copy):
    edit(copy / "both", **entries)
    assert_refused(copy / "both", "manifest.json")


def test_an_average_of_a_head_that_a_member_lacks_is_refused(copy):
    average = read_manifest(copy / "both")["average"]
    edit(copy / "both", average=average | {"of": [["tiny", "linear-svm"]]})
    assert_refused(copy / "both", "linear-svm")
