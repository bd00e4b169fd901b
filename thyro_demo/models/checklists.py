"""Reporting checklists of a model card: TRIPOD+AI and CLAIM 2024, filled item by item.

The items stand in a few words of our own; the published wording counts. An answer is a
fact, the place that tells it, or why the item is not done or does not apply. What depends
on the frames or on the bundle stands in braces and is filled in by `write`.

References
----------
Collins et al., "TRIPOD+AI statement: updated guidance for reporting clinical prediction
models that use regression or machine learning methods", BMJ 385, 2024, e078378.
Tejani et al., "Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024
Update", Radiology: Artificial Intelligence 6(4), 2024, e240300.
"""

from dataclasses import dataclass
from typing import Any, Literal

Origin = Literal["public", "own", "drawn"]
"""Frames of the public thyroid set, of a folder of the trainer's, or phantoms alone."""

# As `datasets.thyroid` names them.
_PUBLIC_SOURCES = {"ddti", "web300", "other"}


@dataclass(frozen=True)
class Row:
    """One item of a checklist.

    Parameters
    ----------
    number : str
        As the guideline counts it.
    item : str
        What it asks for, in a few words of our own.
    answer : str
        Markdown with fields in braces.
    """

    number: str
    item: str
    answer: str


TRIPOD_AI = (
    Row(
        "1", "Title: model, people, outcome", 'Card, "What it is"; the title names the model alone.'
    ),
    Row("2", "Abstract", 'Not done: a card has none. Its short form is Card, "What it is".'),
    Row(
        "3a",
        "Medical setting, reason for the model",
        "Diagnosis, as material for teaching how such models are made, measured and fooled: "
        'README, "What it is". Other models are not reviewed.',
    ),
    Row(
        "3b",
        "Who it is for, and where in care",
        'Students, teachers and researchers: README, "What it is". It has no place in care.',
    ),
    Row("3c", "Known inequalities in health", "{people}"),
    Row(
        "4",
        "Aims",
        "To train a network for teaching and to measure it on frames held out; development "
        "alone, no outside evaluation.",
    ),
    Row("5a", "Data: source, reason, how typical", 'Card, "Data": {typical}'),
    Row("5b", "Dates of collection", "{dates}"),
    Row("6a", "Places and centres", "{centres}"),
    Row("6b", "Who could be included", "{included}"),
    Row("6c", "Treatments", "{treatments}"),
    Row(
        "7",
        "Preparation and checks of the data",
        "{preparation} Not compared between groups of people.",
    ),
    Row("8a", "Outcome and its time", "{label} No time horizon: the frame is labelled as it is."),
    Row("8b", "Who judged the outcome", "{readers}"),
    Row("8c", "Blinding of that judgement", "{blinding}"),
    Row("9a", "Choice of predictors", "The pixels of one frame; none was chosen."),
    Row(
        "9b",
        "Predictors and how they were measured",
        "RGB values, 0–255, of the cropped frame; for the scanners see CLAIM, item 13.",
    ),
    Row("9c", "Who judged the predictors", "Does not apply: pixels are not judged."),
    Row("10", "Sample size", "{size}"),
    Row("11", "Missing data", "{missing}"),
    Row("12a", "How the data were used", "{partition}"),
    Row(
        "12b",
        "Handling of predictors",
        "Scaled inside the network; in training also shifted, zoomed and changed in brightness "
        "as `stages` in {settings} tells.",
    ),
    Row(
        "12c",
        "Kind of model, building, internal validation",
        'Card, "What it is". Settings of the stages are those of the recipe, chosen by hand: '
        "{tuning} C and gamma of a machine are chosen by AUROC in five grouped inner folds of each "
        "training part. Validation: item 12a.",
    ),
    Row("12d", "Differences between clusters", "{clusters}"),
    Row(
        "12e",
        "Measures and plots",
        "{measures} Not done: net benefit, because no use in care is claimed.",
    ),
    Row(
        "12f",
        "Updating of the model",
        "Does not apply: there was no outside evaluation to update it after. For calibration "
        'see Card, "How it did".',
    ),
    Row(
        "12g",
        "How predictions were computed",
        "By the heads as they were trained in each fold; for the shipped ones: "
        "`python -m thyro_demo predict IMAGE`.",
    ),
    Row(
        "13",
        "Class imbalance",
        "The loss of a stage weighs the classes where `class_weights` in {settings} says so; "
        "a forest balances the sample of each tree, an SVM does not. Scores are then "
        "calibrated on the mix of the set.",
    ),
    Row("14", "Fairness", "{people}"),
    Row(
        "15",
        "Output and thresholds",
        'A model score, 0–1, for each head: Card, "Operating points".',
    ),
    Row(
        "16",
        "Training against evaluation data",
        "None by design: folds of one set, dealt alike by label and source. Other places differ.",
    ),
    Row("17", "Ethics and consent", "{ethics}"),
    Row("18a", "Funding", "Not done: the project makes no statement."),
    Row("18b", "Conflicts of interest", "Not done: no declarations were collected."),
    Row("18c", "Protocol", "{protocol}"),
    Row("18d", "Registration", "Not done: the work was never registered."),
    Row("18e", "Sharing of data", "{sharing}"),
    Row("18f", "Sharing of code", 'All of it, Apache 2.0: README, "Licence". {command}'),
    Row(
        "19",
        "Patients and public",
        "Not done: none took part in planning, training, measuring or writing.",
    ),
    Row("20a", "Flow, with and without the outcome", "{flow}"),
    Row("20b", "Who they were", "{characteristics}"),
    Row("20c", "Comparison with development data", "Does not apply: there is no second set."),
    Row("21", "Numbers in each analysis", '{flow} Earlier stages: Card, "What it is".'),
    Row("22", "The full model", "{model}"),
    Row("23a", "Performance with intervals", "{performance} Not by groups of people: item 14."),
    Row("23b", "Performance across clusters", "{clusters}"),
    Row("24", "Results of updating", "Does not apply: see item 12f."),
    Row(
        "25",
        "Interpretation",
        'Card, "Where it fails"; README, "Limits". Fairness stays open (item 14), and other '
        "studies are not compared.",
    ),
    Row("26", "Limitations", 'Card, "Where it fails"; README, "Limits".'),
    Row(
        "27a",
        "Poor or missing input",
        "A file that cannot be read is refused, a frame unlike the training images is announced: "
        'Card, "Where it fails". Nothing measures the quality of a frame.',
    ),
    Row(
        "27b",
        "What users have to do and know",
        "They choose the frame, and may give a region (`python -m thyro_demo predict IMAGE --roi "
        "LEFT TOP RIGHT BOTTOM`). No skill is asked for: nothing may be decided by the score.",
    ),
    Row(
        "27c",
        "Next steps",
        "Frames of other centres, with pathology, age and sex: items 14 and 16, CLAIM, item 33.",
    ),
)
"""TRIPOD+AI: 27 items, 52 with their parts."""

CLAIM = (
    Row("1", "AI named in the title", 'Card, "What it is": a deep convolutional network.'),
    Row("2", "Summary", 'Not done: a card has none. Its short form is Card, "What it is".'),
    Row(
        "3", "Background, intended role", 'Teaching: README, "What it is". It has no role in care.'
    ),
    Row(
        "4",
        "Aims and hypotheses",
        "To train a network for teaching and to measure it on frames held out; no hypothesis.",
    ),
    Row("5", "Prospective or retrospective", "{direction}"),
    Row("6", "Goal of the study", "A model for teaching that tells two labels of one frame apart."),
    Row("7", "Data sources", 'Card, "Data": {typical}'),
    Row("8", "Inclusion and exclusion", "{included}"),
    Row("9", "Preprocessing", "{preparation}"),
    Row(
        "10",
        "Choice of image parts",
        "{region}",
    ),
    Row("11", "De-identification", "{identity}"),
    Row("12", "Missing data", "{missing}"),
    Row("13", "Acquisition", "{acquisition}"),
    Row("14", "Reference standard", "{label}"),
    Row("15", "Reason for that standard", "{reason}"),
    Row("16", "Who annotated", "{readers}"),
    Row(
        "17", "Annotation of the test set", "As in training: test frames are folds of the same set."
    ),
    Row("18", "Variability of readers", "{variability}"),
    Row("19", "Assignment to partitions", "{partition}"),
    Row("20", "Level at which partitions are apart", "{disjoint}"),
    Row("21", "Size of the test set", "{size}"),
    Row(
        "22",
        "The model in detail",
        "{input} in, a score of each head out; layers of the networks: "
        "`thyro_demo/models/backbones.py`. {model}",
    ),
    Row(
        "23",
        "Software",
        '`versions` in `manifest.json`; README, "Why each dependency".',
    ),
    Row(
        "24",
        "First weights",
        "{first}; what is random has the seed that `stages` in {settings} names.",
    ),
    Row(
        "25",
        "Training",
        "Optimiser, rates, schedule, batch, epochs and augmentation: `stages` in {settings}; "
        "the code: `thyro_demo/models/transfer.py`.",
    ),
    Row(
        "26",
        "Choice of the final model",
        "Where a stage has `patience`, a fold keeps the epoch of least loss on groups set aside "
        "within its training part, else the last. {final}: the figures are of those of the folds, "
        "not of itself.",
    ),
    Row("27", "Ensembles", "{ensemble}"),
    Row("28", "Measures", "{measures}"),
    Row("29", "Uncertainty", "{uncertainty}"),
    Row("30", "Robustness", "{robustness}"),
    Row("31", "Explanations", "{explanations}"),
    Row("32", "Evaluation on internal data", "{performance}"),
    Row(
        "33",
        "Testing on external data",
        "Not done: nothing beyond the folds held out. For a set of your own: "
        "`python -m thyro_demo evaluate BUNDLE --data FOLDER`.",
    ),
    Row("34", "Trial registration", "Does not apply: it is no trial."),
    Row("35", "Numbers included and excluded", "{flow}"),
    Row("36", "Who they were, by partition", "{characteristics}"),
    Row(
        "37",
        "Performance on all partitions",
        "{performance} Not done: figures on training frames, which say little.",
    ),
    Row("38", "Accuracy and its precision", "{performance}"),
    Row("39", "Failures", "{failures}"),
    Row("40", "Limitations", 'Card, "Where it fails"; README, "Limits".'),
    Row("41", "Meaning for practice", "None: teaching and research only, never a diagnosis."),
    Row("42", "Full protocol", "{protocol}"),
    Row("43", "Availability", "{model} {sharing}"),
    Row("44", "Funding", "Not done: the project makes no statement."),
)
"""CLAIM 2024: 44 items."""

_NOBODY = "Does not apply: nobody was scanned."
_OWNER = "Not done: only those who made the folder can tell."

_BY_ORIGIN: dict[Origin, dict[str, str]] = {
    "public": {
        "people": "Not done: the frames come without age, sex or origin of the patients.",
        "typical": "a public set, taken as it is; it is typical of no clinic.",
        "dates": "Not done: the set states none.",
        "centres": "Not done: the set names none; for DDTI see Pedraza et al. 2015.",
        "included": "Every frame at hand, each labelled benign or malignant; by what rule "
        "patients came into the set is not stated.",
        "treatments": "Not done: the set states none.",
        "label": "The folder of the frame, benign or malignant. DDTI frames follow TI-RADS grades "
        "(2 and 3 benign, 4a to 5 malignant); how the others were labelled is not stated. "
        "None is known to rest on pathology.",
        "readers": "Not done: the set does not say who read the frames, or with what training.",
        "blinding": "Not done: a grade is read from the very frame that the model scores.",
        "tuning": "recipes were tried on this same set while the project was made, so the figures "
        "may be a little too good.",
        "ethics": "Not done: no committee was asked. The frames were public before; approval and "
        "consent are for those who published them to tell.",
        "sharing": 'The frames are not passed on: README, "Data and licences".',
        "direction": "Retrospective: others had collected and published the frames.",
        "identity": "By those who published the frames, and not examined again; text outside the "
        "scan area is cropped away.",
        "acquisition": "Not done: the set states no scanner or settings; for DDTI see Pedraza et "
        "al. 2015.",
        "reason": "It is the only label that the set has; pathology would be better.",
        "variability": "Not done: the set gives none. A second reading of some DDTI frames often "
        'disagreed: README, "Data and licences".',
        "disjoint": "Group: the DDTI case where an index names it, elsewhere near copies. "
        "Patients of the other frames are not named, so two unlike frames of one patient may "
        "stand on both sides.",
    },
    "own": {
        "people": "Not done: nothing about the patients is read from the folder.",
        "typical": "a folder that its trainer chose; how typical it is, the card cannot know.",
        "dates": _OWNER,
        "centres": _OWNER,
        "included": "Frames labelled benign or malignant; others were left out. Why a frame is in "
        "the folder, the card cannot know.",
        "treatments": _OWNER,
        "label": "Benign or malignant as the folder says; what that rests on, the card cannot "
        "know.",
        "readers": _OWNER,
        "blinding": _OWNER,
        "tuning": "where a trainer tried several and kept the best, the figures are too good.",
        "ethics": _OWNER,
        "sharing": "The frames are not in the bundle; whether they are to be had, only those who "
        "made the folder can tell.",
        "direction": "Retrospective: the frames were there before the model.",
        "identity": "Not done: left to those who made the folder; text outside the scan area is "
        "cropped away.",
        "acquisition": _OWNER,
        "reason": "It is the label that the folder has.",
        "variability": _OWNER,
        "disjoint": "Group: what the folder names, elsewhere near copies. Where it names no "
        "patient, two unlike frames of one may stand on both sides.",
    },
    "drawn": {
        "people": "Does not apply: phantoms have no patients.",
        "typical": "frames of one simulator; they are typical of no clinic.",
        "dates": _NOBODY,
        "centres": _NOBODY,
        "included": "Every phantom labelled benign or malignant.",
        "treatments": _NOBODY,
        "label": "Benign or malignant, drawn by chance from the TI-RADS points of the phantom.",
        "readers": _NOBODY,
        "blinding": _NOBODY,
        "tuning": "where a trainer tried several and kept the best, the figures are too good.",
        "ethics": _NOBODY,
        "sharing": "Phantoms are drawn again by their seed: `python -m thyro_demo phantom FOLDER`.",
        "direction": "Does not apply: the frames are drawn.",
        "identity": _NOBODY,
        "acquisition": 'Simulated: README, "What it is"; the code: `thyro_demo/data/phantom`.',
        "reason": "It is the rule that the phantoms are to teach.",
        "variability": _NOBODY,
        "disjoint": "Group: the simulated patient.",
    },
}


def origin(summary: dict[str, Any]) -> Origin:
    """Tell what frames the figures of a bundle are about, by their sources.

    Parameters
    ----------
    summary : dict
        `metrics` of a manifest.

    Returns
    -------
    {"public", "own", "drawn"}
        "drawn" where there were no real frames.
    """
    sources = _sources(summary)
    if sources == {"phantom"}:
        return "drawn"
    return "public" if sources <= _PUBLIC_SOURCES else "own"


def _sources(summary: dict[str, Any]) -> set[str]:
    return {source for head in summary["heads"].values() for source in head["by_source"]}


def write(manifest: dict[str, Any]) -> str:
    """Fill both checklists for a bundle.

    Parameters
    ----------
    manifest : dict
        Of the bundle; see `bundle.write`.

    Returns
    -------
    str
        Markdown: a folded table for each checklist. "Card" is the card that it stands in,
        "README" that of the project.
    """
    facts = _BY_ORIGIN[origin(manifest["metrics"])] | _facts(manifest)
    titles = {
        "TRIPOD+AI (Collins et al., BMJ 2024): 27 items": TRIPOD_AI,
        "CLAIM 2024 (Tejani et al., Radiology: Artificial Intelligence 2024): 44 items": CLAIM,
    }
    return "\n\n".join(_folded(title, rows, facts) for title, rows in titles.items())


def _folded(title: str, rows: tuple[Row, ...], facts: dict[str, str]) -> str:
    lines = [f"| {row.number} | {row.item} | {row.answer.format(**facts)} |" for row in rows]
    # Without the empty lines Markdown would show the table as text.
    return "\n".join(
        [
            "<details>",
            f"<summary>{title}</summary>",
            "",
            "| # | Item | Answer |",
            "|---|---|---|",
            *lines,
            "",
            "</details>",
        ]
    )


def _facts(manifest: dict[str, Any]) -> dict[str, str]:
    """Give the answers that are the same for all frames, or come from the manifest."""
    kind = origin(manifest["metrics"])
    within = "phantom" if kind == "drawn" else "source"
    return {
        **_of_the_model(manifest),
        "size": "Not done: no size was calculated. What was at hand was used, and the intervals "
        "show what it allows.",
        "missing": "None: the frame is the only input, and one without a label is left out.",
        "partition": "Grouped cross-validation with a fixed seed, folds alike in label and source "
        "(`kfold` in `thyro_demo/data/splits.py`): each frame is scored by a network and heads "
        "that saw none of its group.",
        "clusters": "Does not apply: phantoms have one source."
        if kind == "drawn"
        else 'Figures within each source: Card, "How it did". What differs between sources was '
        "not modelled, and centres are not known.",
        "measures": "AUROC, sensitivity, specificity, accuracy, F1, ECE and Brier score: Card, "
        '"How it did"; average precision in `manifest.json`. Plots for a set of your own: '
        "`python -m thyro_demo evaluate BUNDLE --data FOLDER --report DIR`.",
        "uncertainty": f"95 % intervals from {manifest['metrics']['interval']['resamples']} "
        f"bootstrap resamples of whole groups ({manifest['metrics']['unit']}); differences of "
        "AUROC on the same resamples: `auroc_differences` in `manifest.json`.",
        "performance": f'Out of fold, overall and within each {within}: Card, "How it did".',
        "flow": _flow(manifest),
        "characteristics": f"Frames, groups and labels within each {within}: `by_source` in "
        f"`manifest.json`. {_BY_ORIGIN[kind]['people']}",
        "protocol": "Not done: none was written. The recipe is code, and named its primary head, "
        f"{manifest['primary']}, before any test fold was scored.",
        "robustness": _robustness(manifest),
        "explanations": "Heatmaps for each head, `thyro_demo/explain`, measured: Card, "
        '"Where the heatmaps look".'
        if "localisation" in manifest
        else "Heatmaps for each head, `thyro_demo/explain`. Not done: they were not compared with "
        "outlines.",
        "failures": '`confusion` in `manifest.json` counts them; Card, "Where it fails". '
        + (
            "Examples are phantoms; the frames are not ours to show."
            if "phantom_failures" in manifest
            else "Not done: examples; the frames are not ours to show."
        ),
    }


def _of_the_model(manifest: dict[str, Any]) -> dict[str, str]:
    """Say what goes in, what lies beside the card and how it was made."""
    marked = manifest.get("region") == "roi"
    cropped = f"Cropped to the {'region marked around the nodule' if marked else 'scan area'}"
    region = (
        "The nodule, in a region that a person marks; training took it from outlines."
        if marked
        else "The scan area, found by a rule in `thyro_demo/data/preprocess.py`; nobody chose it."
    )
    facts = {
        "region": region,
        "preparation": f"{cropped}, resized for the network, copies put into one group: "
        "`thyro_demo/data/preprocess.py`, `thyro_demo/data/splits.py`.",
    }
    if "members" in manifest:
        names = ", ".join(member["name"] for member in manifest["members"])
        return facts | {
            "input": "One frame, for each of its members,",
            "model": "`heads.skops` beside this card and the bundles of its members; terms: "
            'README, "Licence".',
            "ensemble": f'It is one, of {names}: Card, "What it is".',
            "command": "Made by `python -m thyro_demo train ensemble`.",
            "settings": "the `manifest.json` of each member",
            "first": "Those of its members: their cards",
            "final": "Its machine is fitted on all frames",
        }
    side = manifest["input_size"]
    return facts | {
        "input": f"One frame of {side} × {side} pixels",
        "model": '`model.keras` and `heads.skops` beside this card; terms: README, "Licence".',
        "ensemble": "None of networks: each head is scored by itself.",
        "command": f"Trained by `python -m thyro_demo train {manifest['recipe']} --backbone "
        f"{manifest['backbone']}{_start(manifest)}`.",
        "settings": "`manifest.json`",
        "first": 'The start and the stages in Card, "What it is"',
        "final": "The shipped network is trained on all frames for the mean number of epochs",
    }


def _start(manifest: dict[str, Any]) -> str:
    """Write the option of a chain that did not start from random weights."""
    return "" if manifest.get("start", "none") == "none" else f" --start {manifest['start']}"


def _flow(manifest: dict[str, Any]) -> str:
    """Count frames, groups and labels."""
    summary = manifest["metrics"]
    whole = _sources(summary) == _PUBLIC_SOURCES
    counted = " of the 795 that the authors of the set count" if whole else ""
    text = (
        f"{summary['n']} frames{counted}, in {summary['groups']} groups: {summary['positives']} "
        f"{summary['positive']}, {summary['n'] - summary['positives']} not. No flow chart."
    )
    # Of phantoms alone, these are the frames counted above.
    apart = manifest.get("phantom_metrics", {}).get("n")
    return f"{text} {apart} phantoms, trained on as well, are counted apart." if apart else text


def _robustness(manifest: dict[str, Any]) -> str:
    """Name the sensitivity analyses that the manifest holds."""
    parts = {
        "with_and_without_phantoms": 'no phantoms in the last stage (Card, "How it did")',
        "phantom_failures": 'phantoms made to mislead (Card, "Where it fails")',
        "rounding": 'rounded weights (Card, "What it is")',
    }
    done = [text for key, text in parts.items() if key in manifest]
    if not done:
        return "Not done: nothing but the folds was varied."
    return f"In part: {', '.join(done)}. Not done: other seeds, scanners or added noise."
