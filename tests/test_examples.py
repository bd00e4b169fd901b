"""The examples in docstrings print what they promise, and what a user calls has one."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Both load a shipped network.
SLOW = {"thyro_demo.bundle.store", "thyro_demo.engine.compare"}
# What a student in a notebook, or a researcher, calls.
CALLED = {
    "bundle.manifest": ("names", "read_manifest"),
    "bundle.store": ("load",),
    "clinical.tirads": ("level", "points", "recommendation"),
    "course.scratch": ("convolve", "pool"),
    "course.seeing": ("reflected",),
    "data.datasets": ("layout", "load"),
    "data.images": ("decode",),
    "data.masks": ("polygon_mask",),
    "data.near_duplicates": ("group", "perceptual_hash"),
    "data.phantom.cohort": ("cohort", "write"),
    "data.phantom.frame": ("draw",),
    "data.phantom.sheet": ("example",),
    "data.roi": ("mask_box", "nodule_boxes", "widen"),
    "data.scan_area": ("crop", "find", "place", "prepare", "resize"),
    "data.splits": ("check", "crossing", "kfold", "split"),
    "engine.compare": ("Engine", "Engine.compare"),
    "evaluate.clinical_value": ("at_prevalence", "net_benefit", "predictive_values"),
    "evaluate.curves": ("calibration_bins", "pr_points", "roc_points"),
    "evaluate.formatting": ("count_of", "gain", "number", "percent", "with_interval"),
    "evaluate.intervals": ("group_bootstrap", "paired_group_bootstrap", "share"),
    "evaluate.metrics": (
        "accuracy",
        "auroc",
        "average_precision",
        "brier",
        "confusion",
        "expected_calibration_error",
        "f1",
        "sensitivity",
        "specificity",
    ),
    "evaluate.operating_points": ("at_sensitivity", "youden"),
    "evaluate.report": ("summarise",),
    "explain.faithfulness": ("Curves",),
    "explain.gradcam": ("grad_cam", "hires_cam"),
    "explain.localisation": ("best_overlap", "centred_gaussian", "dice", "energy", "pointing"),
    "explain.overlay": ("overlay",),
    "explain.similarity": ("cka", "correlation", "rank_correlation"),
    "models.backbones": ("backbone",),
    "models.heads": ("fit",),
    "models.networks": ("build",),
    "models.ood": ("score",),
    "training.recipes": ("recipe",),
    "training.stage": ("learning_rate",),
}


def modules_with_examples() -> list[str]:
    """Find the modules whose source holds an example."""
    found = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "thyro_demo").rglob("*.py")
        if ">>> " in path.read_text(encoding="utf-8")
    ]
    return sorted(found)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in modules_with_examples()
    ],
)
def test_examples_print_what_they_promise(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize("module", CALLED)
def test_what_a_user_calls_has_an_example(module):
    loaded = importlib.import_module(f"thyro_demo.{module}")
    found = doctest.DocTestFinder(exclude_empty=True).find(loaded)
    shown = {test.name.removeprefix(f"{loaded.__name__}.") for test in found if test.examples}
    assert set(CALLED[module]) <= shown
