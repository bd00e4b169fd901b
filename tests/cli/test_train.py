"""`train` lists recipes, answers mistakes in a sentence, and survives being killed."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from thyro_demo.cli import main
from thyro_demo.data import phantom
from thyro_demo.study.questions import ensembles
from thyro_demo.training.recipes import RECIPES
from thyro_demo.training.sources import SOURCES

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Draw 20 patients of both classes, one frame each."""
    folder = tmp_path_factory.mktemp("data") / "frames"
    phantom.write(phantom.cohort(20, 1, seed=3, shape=(120, 160)), folder)
    index = pd.read_csv(folder / "index.csv")
    index["label"] = np.where(index.index % 2 == 0, "benign", "malignant")
    index.to_csv(folder / "index.csv", index=False)
    return folder


def test_the_list_says_which_bundles_an_ensemble_joins(capsys):
    """It joins those beside its own folder, be they shipped or not."""
    main(["train", "list"])
    line = capsys.readouterr().out.splitlines()[-1]
    assert all(name in line for name in ensembles.MEMBERS)
    assert line.endswith(" beside --out")


def test_the_list_names_every_recipe_and_its_networks(capsys):
    assert main(["train", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*RECIPES, "ensemble"]
    for line, recipe in zip(lines, RECIPES.values(), strict=False):
        assert recipe.summary in line
        assert all(name in line for name in recipe.backbones)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        (["cake", "--data", "{data}"], "Received: recipe='cake'."),
        (["head"], "Received: None."),
        (["head", "--data", "nowhere"], "Received: nowhere."),
        (["head", "--data", "{empty}"], "Received: "),
        (["two-layer-cnn", "--backbone", "vgg16", "--data", "{data}"], "Received: 'vgg16'."),
        (["head", "--work", "{data}/index.csv", "--data", "{data}"], "Received: the file "),
        (["two-layer-cnn", "--epochs", "0", "--data", "{data}"], "Received: 0."),
        (
            [
                "head",
                "--initial-weights",
                "{trained}",
                "--backbone",
                "two-layer-cnn",
                "--data",
                "{data}",
            ],
            "trained on them: all.",
        ),
        (["radiographs", "--data", "{data}", "--out", "network"], "Received: network."),
        (["radiographs", "--data", "{data}", "--out", "{empty}"], "Received: the folder "),
        (["ensemble"], "Received: None."),
        (["ensemble", "--backbone", "vgg16", "--epochs", "1"], "Received: --backbone, --epochs."),
        (["radiographs", "--heads", "svm", "--data", "{data}"], "Received: svm."),
        (["nodules", "--mlp", "--data", "{empty}"], "Received: --mlp."),
        (["head", "--initial-weights", "nosuch", "--data", "{data}"], "Received: 'nosuch'."),
        (["ensemble", "--data", "{data}", "--out", "{data}/index.csv"], "Received: the file "),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(
    arguments, received, frames, trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THYRO_DATA", raising=False)
    monkeypatch.setattr("tensorflow.config.experimental.enable_op_determinism", lambda: None)
    (tmp_path / "empty").mkdir()
    places = {"data": frames, "empty": tmp_path / "empty", "trained": trained}
    filled = [each.format(**places) for each in arguments]
    assert main(["train", *filled]) == 2
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert received in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "weights").exists()


# Runs the command line, with small forests, and writes a line for every epoch that is kept.
_WATCHED = """
import os, sys
from contextlib import contextmanager
from thyro_demo.cli import main, set_environment
set_environment()
from thyro_demo.models import heads
from thyro_demo.training import loop
journal, heads.TREES = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 5
plain = loop.atomic_write
@contextmanager
def atomic_write(path):
    with plain(path) as temporary:
        yield temporary
    if path.name == "state.npz":
        os.write(journal, f"{path.parent.name}\\n".encode())
        print("epoch", flush=True)
loop.atomic_write = atomic_write
folder, data = sys.argv[2:]
for recipe in ("head", "two-layer-cnn"):
    code = main(["train", recipe, "--backbone", "two-layer-cnn", "--data", data, "--epochs", "3",
                 "--work", f"{folder}/work-{recipe}", "--out", f"{folder}/{recipe}"])
    if code:
        sys.exit(code)
"""


def _start(folder, frames):
    # Progress bars go to a file: nobody reads them, and a full pipe would stop the training.
    with open(folder / "errors.txt", "w") as errors:
        return subprocess.Popen(
            [sys.executable, "-c", _WATCHED, folder / "journal", folder, frames],
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip


def _finish(process, folder):
    process.communicate(timeout=400)
    assert process.returncode == 0, (folder / "errors.txt").read_text()[-2000:]


@pytest.mark.slow
def test_training_killed_three_times_ends_as_if_it_never_was(frames, tmp_path):
    """SIGKILL at random moments, in training on cached views and in training of everything."""
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    undisturbed = _start(tmp_path / "whole", frames)
    rng = np.random.default_rng()
    for _ in range(3):
        process = _start(tmp_path / "killed", frames)
        for _ in range(rng.integers(3, 12)):
            process.stdout.readline()
        try:
            process.wait(timeout=rng.uniform(0, 0.3))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
    _finish(_start(tmp_path / "killed", frames), tmp_path / "killed")
    _finish(undisturbed, tmp_path / "whole")
    for recipe in ("head", "two-layer-cnn"):
        folders = tmp_path / "whole", tmp_path / "killed"
        whole, killed = (pd.read_csv(each / f"work-{recipe}" / "oof.csv") for each in folders)
        pd.testing.assert_frame_equal(whole, killed, atol=1e-6, rtol=0)
        scores = [_scores(each / recipe) for each in folders]
        np.testing.assert_allclose(scores[1], scores[0], atol=1e-6)
    # Nothing starts from zero: a kill costs no epoch that was kept.
    whole, killed = (
        Counter((tmp_path / name / "journal").read_text().split()) for name in ("whole", "killed")
    )
    assert not killed - whole
    # A kill may come between an epoch that is kept and its line in the journal.
    assert (whole - killed).total() <= 3


def _scores(folder):
    from thyro_demo.bundle import store

    loaded = store.load(folder)
    rng = np.random.default_rng(0)
    size = loaded.input_size
    batch = rng.integers(0, 256, (8, size, size, 3)).astype(np.float32)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["metrics"]["n"] > 0
    return np.stack(list(loaded.scores(loaded.forward(batch)).values()))


def test_labels_in_another_case_are_trained_on_and_others_are_named(frames, tmp_path, capsys):
    """Left out are the three that are neither; the recipe ends before it trains."""
    folder = tmp_path / "mixed"
    shutil.copytree(frames, folder)
    index = pd.read_csv(folder / "index.csv").drop(columns="mask_path")
    index["label"] = np.where(index.index % 3 == 0, index["label"].str.title(), index["label"])
    index.loc[:2, "label"] = ["unsure", "normal", "unsure"]
    index.to_csv(folder / "index.csv", index=False)
    shutil.rmtree(folder / "masks")
    read = []

    def stop(job):
        read.append(SOURCES["thyroid"].read(str(job.data)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tensorflow.config.experimental.enable_op_determinism", lambda: None)
        patch.setattr("thyro_demo.training.run.run", stop)
        places = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
        assert main(["train", "two-layer-cnn", "--data", str(folder), *places]) == 0
    printed = capsys.readouterr()
    assert "2 images with unsure" in printed.out
    assert "1 images with normal" in printed.out
    assert "Labels read in another spelling: " in printed.err
    counts = read[0]["label"].value_counts()
    assert counts["benign"] + counts["malignant"] == len(index) - 3


def test_unreadable_images_are_named_and_counted_before_training(frames, tmp_path, capsys):
    folder = tmp_path / "damaged"
    shutil.copytree(frames, folder)
    for name in ("000003", "000007"):
        (folder / "frames" / f"{name}.png").write_bytes(b"no image")
    places = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tensorflow.config.experimental.enable_op_determinism", lambda: None)
        assert main(["train", "two-layer-cnn", "--data", str(folder), *places]) == 2
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert "2 that cannot" in printed
    assert "000007.png" in printed
