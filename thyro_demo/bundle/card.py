"""Model cards: what a bundle is, what it was trained on, how it did, where it fails."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from thyro_demo.bundle import checklists
from thyro_demo.bundle.manifest import UNTOUCHED
from thyro_demo.evaluate import intervals
from thyro_demo.evaluate.formatting import gain, with_interval
from thyro_demo.evaluate.results import Cell, Column, Interval, Result, figure

SOURCES = {
    "ddti": "DDTI frames (560×360)",
    "web300": "300×225 frames",
    "other": "the rest",
}
"""Titles of the sources of the public thyroid set, in the order of tables."""

_BLIND = "image size only"
"""The baseline that sees no pixels, under the name that it has among the heads of a manifest."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    # Markdown, whose signs are not HTML's.
    autoescape=False,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)

_EARLIER = {
    "natural-64": "Natural images: Tiny ImageNet. ",
    "radiographs": "Radiographs: the COVID-19 Radiography Database and the paediatric pneumonia "
    "set\nof Kermany et al. (2018). ",
    "phantoms": "Phantoms: frames drawn by this project. ",
    "nodules": "Outlined nodules: thyroid sweeps (the public repository arcegor/tirads), BUSI "
    "(Al-Dhabyani et al.\n2020), phantoms of this project, and DDTI (Pedraza et al. 2015) without "
    "the cases of the thyroid set. ",
}
"""What the stages before the last are trained on, by name."""

_LABELS = {
    "drawn": "drawn by a rule of the phantoms",
    "public": "partly radiologists' grades, not pathology",
    "own": "those of the folder it was trained on, which this card cannot vouch for",
}


def write(manifest: dict[str, Any]) -> str:
    """Write the model card of a bundle from its manifest.

    Parameters
    ----------
    manifest : dict
        Of the bundle; see `store.write`. Shown where it has them: `localisation` (from
        `explain.evaluate_maps.summarise`); `phantom_failures` (list of dict, each with a
        `sentence`); `with_and_without_phantoms` ("with" and "without", each figures of AUROC by
        head, "all" and "by_source"); `checkpoints` (a line by file name); `rounding`
        (`mantissa_bits`, and `largest_move` of any out-of-fold score).

    Returns
    -------
    str
        Markdown in the layout of Hugging Face model cards (Mitchell et al. 2019); the text is in
        `card.md.jinja`.
    """
    summary, chain = manifest["metrics"], manifest["chain"]
    origin = checklists.origin(summary)
    # The chain of the initial weights may hold a stage of the same name.
    stages = dict.fromkeys(row["stage"] for row in chain)
    return _TEMPLATES.get_template("card.md.jinja").render(
        m={"checkpoints": {}, "phantom_failures": [], **manifest},
        summary=summary,
        origin=origin,
        labels=_LABELS,
        frames="phantoms" if origin == "drawn" else "real frames",
        heads=", ".join(manifest["heads"]),
        members=", ".join(f"`{member['name']}`" for member in manifest.get("members", ())),
        seen="the nodule marked on it" if manifest.get("region") == "roi" else "its scan area",
        earlier="".join(_EARLIER.get(stage, "") for stage in stages),
        size=f"{summary['n']} frames in {summary['groups']} groups",
        sources=", ".join(_sources(summary["heads"])),
        met=sum(_learned(row).phantoms for row in chain if row["trained"] not in UNTOUCHED),
        table=lambda name: _TABLES[name](manifest),
        checklists=checklists.write(manifest),
    )


def results(manifests: list[dict[str, Any]]) -> Result:
    """Collect the AUROC of every head of the bundles, overall and within each source.

    Parameters
    ----------
    manifests : list of dict
        Of the shipped bundles, one at least.

    Returns
    -------
    Result
        A row a head, with the command that computes it again from the bundle and the frames.
    """
    rows: list[dict[str, Cell]] = []
    for manifest in manifests:
        command = f"python -m thyro_demo study cv {manifest['recipe']} --data sets"
        if "members" not in manifest:
            command += f" --backbone {manifest['backbone']}"
        for head, figures in manifest["metrics"]["heads"].items():
            name = f"**{head}**" if head == manifest["primary"] else head
            cells = {"bundle": f"`{manifest['name']}`", "head": name, "command": f"`{command}`"}
            rows.append(cells | _aurocs(figures))
    return _published(
        "AUROC out of fold on the real frames, the primary head of each bundle in bold.",
        "the command of its row",
        manifests[0]["metrics"],
        {"bundle": "Bundle", "head": "Head"} | _AUROCS | {"command": "Command"},
        rows,
    )


def headline(manifests: list[dict[str, Any]]) -> Result:
    """Collect the AUROC of the primary heads alone, and of the baseline that sees no pixels.

    Parameters
    ----------
    manifests : list of dict
        Of the shipped bundles, one at least.

    Returns
    -------
    Result
        A row a bundle, then the baseline, once where all bundles agree on it.
    """
    rows: list[dict[str, Cell]] = []
    blind: list[dict[str, Cell]] = []
    for manifest in manifests:
        known = manifest["metrics"]["heads"]
        name = f"`{manifest['name']}`, {manifest['primary']}"
        rows.append({"bundle": name} | _aurocs(known[manifest["primary"]]))
        if _BLIND in known:
            baseline = {"bundle": _BLIND} | _aurocs(known[_BLIND])
            blind += [baseline] if baseline not in blind else []
    return _published(
        "AUROC of the primary heads, out of fold on the real frames.",
        "the commands in [weights/README.md](weights/README.md#results)",
        manifests[0]["metrics"],
        {"bundle": "Bundle and head"} | _AUROCS,
        rows + blind,
    )


def localisation(manifests: list[dict[str, Any]]) -> Result:
    """Collect where the heatmaps of the bundles look, beside a Gaussian at the centre.

    Parameters
    ----------
    manifests : list of dict
        Of the shipped bundles; one at least has `localisation`.

    Returns
    -------
    Result
        A row a head: pointing game and energy inside the outline, with the gains over the
        Gaussian.
    """
    found = {each["name"]: each["localisation"] for each in manifests if "localisation" in each}
    rows: list[dict[str, Cell]] = []
    for name, measured in found.items():
        for head, figures in measured["heads"].items():
            cells = {
                key: figure(figures[key], gain=figures[f"{key}_gain"])
                for key in ("pointing", "energy")
            }
            rows.append({"bundle": f"`{name}`", "head": head, **cells})
        blind = {key: figure(measured["gaussian"][key]) for key in ("pointing", "energy")}
        rows.append({"bundle": f"`{name}`", "head": "Gaussian at the centre", **blind})
    first = next(iter(found.values()))
    return _published(
        f"Where the heatmaps look, on {first['n']} DDTI frames of {first['groups']} cases whose "
        "outlines no network has learned, with the gain of each head over a Gaussian at the "
        "centre.",
        "python -m thyro_demo study card weights/BUNDLE --data sets",
        manifests[0]["metrics"]
        | {"split": "cases of which no outline was learned", "unit": first["unit"]},
        {"bundle": "Bundle", "head": "Head", "pointing": "Pointing game", "energy": "Energy"},
        rows,
    )


_AUROCS = {"all": "All"} | SOURCES
_TEXTS = {"bundle", "head", "command"}


def _aurocs(figures: dict[str, Any]) -> dict[str, Cell]:
    """Collect the AUROC of a head over all frames and within each source that it has."""
    within = {key: part["auroc"] for key, part in figures["by_source"].items() if key in SOURCES}
    return {key: figure(one) for key, one in {"all": figures["auroc"], **within}.items()}


def _published(
    what: str,
    made_by: str,
    summary: dict[str, Any],
    titles: dict[str, str],
    rows: list[dict[str, Cell]],
) -> Result:
    return Result(
        what=what,
        made_by=made_by,
        split=summary["split"],
        unit=summary["unit"],
        interval=Interval(
            method="bootstrap of whole groups", resamples=summary["interval"]["resamples"]
        ),
        columns=tuple(
            Column(key=key, title=title, show="text" if key in _TEXTS else "figure")
            for key, title in titles.items()
        ),
        rows=tuple(rows),
    )


# --- Tables of a card


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(head)
    lines = [f"| {' | '.join(row)} |" for row in (titles, *rows)]
    return "\n".join([lines[0], "|---" * len(titles) + "|", *lines[1:]])


def _shown(estimate: dict[str, float | None]) -> str:
    return with_interval(estimate, 3, dashes=False)


def _sources(heads: dict[str, Any]) -> list[str]:
    return list(next(iter(heads.values()))["by_source"])


def _chain(manifest: dict[str, Any]) -> str:
    """Table of the stages that the network was trained in."""
    rows = []
    for row in manifest["chain"]:
        real, drawn = _learned(row)
        rows.append((row["stage"], row["trained"], f"{row['input size']} px", str(row["classes"]),
                     f"{real:,}", f"{drawn:,}", str(row["epochs"]), _accuracy(row)))  # fmt: skip
    head = ["Stage", "Trained", "Input", "Classes", "Images", "Phantoms", "Epochs"]
    return _table([*head, "Correct, %"], rows)


class _Learned(NamedTuple):
    """How many images and phantoms a stage was trained on."""

    images: int
    phantoms: int


def _learned(row: dict[str, Any]) -> _Learned:
    """Count the training images of a stage."""
    # Manifests of before say nothing of drawn frames where a stage is trained on nothing else.
    if row["stage"] == "phantoms" and "phantoms" not in row:
        return _Learned(0, row["images"])
    return _Learned(row["images"], row.get("phantoms", 0))


def _accuracy(row: dict[str, Any]) -> str:
    """Write the validation accuracy of a stage with its interval and the count behind it."""
    accuracy, count = row.get("validation accuracy"), row.get("validation images")
    if accuracy is None or not count:
        return "–"
    found = intervals.share(round(accuracy * count), count)
    return f"{with_interval((accuracy, found.low, found.high), 1, scale=100)} of {count:,}"


def _ranking(summary: dict[str, Any]) -> str:
    """Table of AUROC overall and within each source."""
    sources = _sources(summary["heads"])
    rows = (
        (head, _shown(figures["auroc"]),
         *(_shown(figures["by_source"][source]["auroc"]) for source in sources))
        for head, figures in summary["heads"].items()
    )  # fmt: skip
    titles = (SOURCES.get(source, source) for source in sources)
    return _table(["Head", f"All ({summary['n']} images)", *titles], rows)


def _decisions(manifest: dict[str, Any]) -> str:
    """Table of what each head gets right at its operating point."""
    names = ("sensitivity", "specificity", "accuracy", "f1", "ece", "brier")
    rows = (
        (head, *(_shown(figures[name]) for name in names))
        for head, figures in manifest["metrics"]["heads"].items()
        if figures["sensitivity"]["value"] is not None
    )
    return _table(["Head", *(name.upper() if len(name) < 4 else name for name in names)], rows)


def _with_and_without(manifest: dict[str, Any]) -> str:
    """Table of AUROC on real frames, with and without phantoms in the last stage."""
    runs = manifest["with_and_without_phantoms"]
    sources = _sources(runs["without"])
    rows = (
        (head, run, _shown(runs[run][head]["all"]),
         *(_shown(runs[run][head]["by_source"][source]) for source in sources))
        # A baseline that sees no pixels is not trained, and so is in one run alone.
        for head in runs["without"] for run in ("with", "without")
    )  # fmt: skip
    titles = (SOURCES.get(source, source) for source in sources)
    return _table(["Head", "Phantoms", "All", *titles], rows)


def _gain(estimate: dict[str, float | None]) -> str:
    """Write a difference with the hyphens of a card that is read as plain Markdown."""
    return gain(estimate, dashes=False).replace("−", "-")


def _localisation(manifest: dict[str, Any]) -> str:
    """Table of where the heatmap of each head looks, beside one that has seen no image."""
    found = manifest["localisation"]
    rows = [
        (head, _shown(figures["pointing"]), _gain(figures["pointing_gain"]),
         _shown(figures["energy"]), _gain(figures["energy_gain"]))
        for head, figures in found["heads"].items()
    ]  # fmt: skip
    blind = found["gaussian"]
    rows.append(
        ("Gaussian at the centre", _shown(blind["pointing"]), "–", _shown(blind["energy"]), "–")
    )
    return _table(("Head", "Pointing game", "Gain", "Energy", "Gain"), rows)


def _thresholds(manifest: dict[str, Any]) -> str:
    rows = (
        (head, f"{points['youden']:.3f}", f"{points['sens95']:.3f}")
        for head, points in manifest["thresholds"].items()
    )
    return _table(("Head", "youden", "sens95"), rows)


_TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "chain": _chain,
    "ranking": lambda manifest: _ranking(manifest["metrics"]),
    "decisions": _decisions,
    "phantoms": lambda manifest: _ranking(manifest["phantom_metrics"]),
    "with_and_without": _with_and_without,
    "thresholds": _thresholds,
    "localisation": _localisation,
}
"""The tables of the template, by name."""
