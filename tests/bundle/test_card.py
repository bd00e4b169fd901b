"""A model card shows what its manifest holds, and nothing of what it lacks."""

import re

import pytest
from huggingface_hub import ModelCard

from thyro_demo.bundle import card

FIGURES = ("auroc", "sensitivity", "specificity", "accuracy", "f1", "ece", "brier")
OPTIONAL = (
    "Where the heatmaps look", "With and without phantoms", "Stage checkpoints", "mantissa",
    "Shown on phantoms",
)  # fmt: skip


def figure(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def by_source(value):
    return {"all": figure(value), "by_source": {"ddti": figure(value), "other": figure(value)}}


@pytest.fixture
def bare():
    """Return the manifest of a bundle without anything that is optional."""
    figures = {name: figure(0.7) for name in FIGURES}
    head = figures | {"by_source": {"ddti": figures, "other": figures}}
    metrics = {
        "n": 48, "groups": 24, "positives": 30, "positive": "malignant", "unit": "group",
        "interval": {"resamples": 2000}, "split": "out-of-fold",
        "heads": {"svm": head, "forest": head},
    }  # fmt: skip
    stage = {
        "stage": "thyroid", "trained": "head", "input size": 224, "classes": 2, "images": 48,
        "phantoms": 12, "epochs": 6,
    }  # fmt: skip
    return {
        "name": "b0", "title": "B0", "backbone": "efficientnet-b0", "recipe": "head",
        "initial_weights": "none", "input_size": 224, "heads": ["svm", "forest"], "primary": "svm",
        "thresholds": {name: {"youden": 0.5, "sens95": 0.3} for name in ("svm", "forest")},
        "chain": [stage], "metrics": metrics,
    }  # fmt: skip


@pytest.fixture
def full(bare):
    """Return a manifest with everything that a card can show."""
    pair = {"pointing": figure(0.61), "energy": figure(0.42)}
    gains = {"pointing_gain": figure(-0.02), "energy_gain": figure(0.25)}
    without = {"svm": by_source(0.73), "forest": by_source(0.74)}
    return bare | {
        "localisation": {
            "n": 31, "groups": 29, "unit": "group", "heads": {"svm": pair | gains},
            "gaussian": {"pointing": figure(0.63), "energy": figure(0.17)},
        },
        "phantom_failures": [
            {"pitfall": "calipers", "share": 0.4, "n": 50, "sentence": "Calipers move the score."},
            {"pitfall": "split", "share": 0.2, "n": 50, "sentence": "Split screens do, too."},
        ],
        "with_and_without_phantoms": {
            "with": {"svm": by_source(0.71), "forest": by_source(0.72), "size": by_source(0.55)},
            "without": without,
        },
        "checkpoints": {"natural-64.keras": "after natural images"},
        "rounding": {"mantissa_bits": 7, "largest_move": 0.00441},
    }  # fmt: skip


def sections(text):
    """Collect the text under each heading of the second level."""
    return dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))


def test_sections_that_the_checklists_name_are_in_the_card(bare, full):
    for manifest in (bare, full):
        text = card.write(manifest)
        named = set(re.findall(r'Card, "([^"]+)"', text))
        assert len(named) >= 5
        assert named <= set(sections(text))


def test_checklists_are_folded_at_the_end(bare):
    text = card.write(bare)
    assert list(sections(text))[-1] == "Checklists"
    assert text.count("<details>") == text.count("</details>") == 2
    # The page takes off what is between the first two of these lines.
    assert re.findall(r"^---$", text, re.MULTILINE) == ["---", "---"]


def test_a_card_is_silent_about_optional_facts_that_it_lacks(bare):
    text = card.write(bare)
    assert not any(words in text for words in OPTIONAL)
    assert "\n\n\n" not in text


def test_every_optional_fact_is_shown(full):
    text = card.write(full)
    assert all(words in text for words in OPTIONAL)
    assert "\n\n\n" not in text


def test_heatmaps_are_beside_the_gaussian_with_signed_gains(full):
    shown = sections(card.write(full))["Where the heatmaps look"]
    assert (
        "| svm | 0.610 (0.510–0.710) | -0.020 (-0.120 to +0.080) "
        "| 0.420 (0.320–0.520) | +0.250 (+0.150 to +0.350) |"
    ) in shown
    assert "| Gaussian at the centre | 0.630 (0.530–0.730) | – | 0.170 (0.070–0.270) | – |" in shown
    assert "31 DDTI frames of 29 cases" in shown


def test_heatmaps_of_one_group_have_no_interval(full):
    for name in ("pointing", "energy", "pointing_gain", "energy_gain"):
        full["localisation"]["heads"]["svm"][name] |= {"low": None, "high": None}
    assert "| svm | 0.610 | -0.020 | 0.420 | +0.250 |" in card.write(full)


def test_training_with_and_without_phantoms_is_shown_head_by_head(full):
    shown = sections(card.write(full))["How it did"].split("### With and without phantoms")[1]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in shown.splitlines()[4:]]
    rows = [row for row in rows if row]
    assert rows[0] == ["Head", "Phantoms", "All", "DDTI frames (560×360)", "the rest"]
    runs = [(head, run, all_frames[:5]) for head, run, all_frames, *_ in rows[2:]]
    # The baseline of the image's size has no run without phantoms: it sees none.
    assert runs == [
        ("svm", "with", "0.710"), ("svm", "without", "0.730"),
        ("forest", "with", "0.720"), ("forest", "without", "0.740"),
    ]  # fmt: skip


def test_phantoms_that_the_network_met_before_are_counted_as_drawn(full):
    assert "had met" not in card.write(full)
    met = {
        "stage": "phantoms", "trained": "last block", "input size": 224, "classes": 2,
        "images": 1700, "validation images": 300, "validation accuracy": 0.72, "epochs": 4,
    }  # fmt: skip
    text = card.write(full | {"chain": [met, *full["chain"]]})
    assert "had met 1,700 phantoms" in text
    assert "Phantoms: frames drawn by this project." in sections(text)["Data"]
    (row,) = [line for line in text.splitlines() if line.startswith("| phantoms |")]
    # Wilson's interval of 216 of 300.
    assert row.endswith("| 0 | 1,700 | 4 | 72.0 (66.7–76.8) of 300 |")
    outlined = met | {"stage": "nodules", "images": 1670, "phantoms": 1020}
    head = met | {"stage": "thyroid", "trained": "head", "phantoms": 638}
    text = card.write(full | {"chain": [met, outlined, head]})
    assert "had met 2,720 phantoms" in text
    assert "| 2 | 1,670 | 1,020 | 4 |" in text


def test_each_known_failure_is_a_bullet_where_it_fails(full):
    shown = sections(card.write(full))["Where it fails"]
    after = shown.split("Shown on phantoms")[1]
    assert re.findall(r"^- (.+)$", after, re.MULTILINE) == [
        "Calipers move the score.", "Split screens do, too.",
    ]  # fmt: skip


def test_checkpoints_and_rounding_are_shown_with_the_network(full):
    shown = sections(card.write(full))["What it is"]
    assert "- `natural-64.keras`: after natural images" in shown
    assert re.search(
        r"7 bits of mantissa.*move of any out-of-fold score was 0\.0044\.", shown, re.S
    )


def test_a_network_that_sees_marked_nodules_does_not_claim_the_scan_area(bare):
    assert "cropped to its scan area" in card.write(bare)
    shown = sections(card.write(bare | {"region": "roi"}))["What it is"]
    assert "scan area" not in shown


def test_hugging_face_reads_the_head_of_a_card(full):
    data = ModelCard(card.write(full)).data
    assert (data.license, data.library_name) == ("apache-2.0", "keras")
    assert data.tags == ["thyroid", "ultrasound", "teaching"]


# --- Tables over several bundles


@pytest.fixture
def two(full):
    """Return the manifests of a network and of an ensemble that agree on the baseline."""
    heads = full["metrics"]["heads"]
    metrics = full["metrics"] | {"heads": heads | {"image size only": heads["forest"]}}
    joined = {key: full[key] for key in ("primary", "localisation")}
    joined |= {"name": "both", "recipe": "ensemble", "members": [], "metrics": metrics}
    return [full | {"metrics": metrics}, joined]


def test_every_head_has_a_row_with_its_command(two):
    table = card.results(two)
    assert [row["head"] for row in table.rows] == ["**svm**", "forest", "image size only"] * 2
    assert table.rows[0]["command"].endswith(
        "study cv head --data sets --backbone efficientnet-b0`"
    )
    assert table.rows[-1]["command"].endswith("study cv ensemble --data sets`")
    # The source that the bundle has not met stays empty.
    assert "| 0.700 (0.600–0.800) |  | 0.700 (0.600–0.800) |" in table.markdown()


def test_the_headline_shows_primary_heads_and_a_common_baseline_once(two):
    names = [row["bundle"] for row in card.headline(two).rows]
    assert names == ["`b0`, svm", "`both`, svm", "image size only"]


def test_heatmaps_of_all_bundles_are_beside_the_gaussian(two):
    rows = card.localisation(two).rows
    assert [row["head"] for row in rows] == ["svm", "Gaussian at the centre"] * 2
    assert "| 0.610 (0.510–0.710), −0.020 (−0.120 to +0.080) |" in card.localisation(two).markdown()
