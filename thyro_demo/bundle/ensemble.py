"""Ensembles: bundles without a network of their own, which read what other bundles computed.

The manifest names the members, whose folders are beside the ensemble's, with the checksums
of their networks and heads. One forward pass of each member serves the member and every
ensemble it belongs to. Head "svm" is an SVM on the members' pooled features, one after
the other; "average" is a sigmoid over the mean of calibrated scores of the members' heads.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from thyro_demo.bundle import store
from thyro_demo.bundle.bundle import Bundle, Forward
from thyro_demo.bundle.manifest import check_place, kind, read_manifest
from thyro_demo.errors import BundleError
from thyro_demo.files import atomic_write
from thyro_demo.models.heads import CalibratedHead

_SURE = 1e-6
"""Scores nearer to 0 or 1 are taken for so near: certainty has no finite log-odds."""


class Ensemble:
    """A loaded ensemble. It is asked as a `Bundle` is, with the forward pass of each member.

    Parameters
    ----------
    folder : Path
        Its folder.
    manifest : dict
        Content of its `manifest.json`.
    networks : sequence of Bundle
        The members, in the manifest's order.
    fitted : dict of str to object
        Calibrated heads by name.

    Raises
    ------
    ValueError
        If the heads do not fit the members.
    """

    def __init__(
        self,
        folder: Path,
        manifest: dict[str, Any],
        networks: Sequence[Bundle],
        fitted: dict[str, Any],
    ):
        self.folder, self.manifest, self.networks = folder, manifest, tuple(networks)
        self.name: str = manifest["name"]
        self.title: str = manifest["title"]
        self.classes: list[str] = manifest["classes"]
        self.thresholds: dict[str, dict[str, float]] = manifest["thresholds"]
        self.heads = {name: CalibratedHead(fitted[name]) for name in _estimators(manifest)}
        self.averaged: list[tuple[int, str]] = []
        """Which heads "average" is the mean of: place among `networks`, name of the head."""
        if "average" in manifest["heads"]:
            places = [member["name"] for member in manifest["members"]]
            self.averaged = [(places.index(name), head) for name, head in manifest["average"]["of"]]
        self._check_fit()

    def _check_fit(self) -> None:
        dims = sum(network.dims for network in self.networks)
        for name, head in self.heads.items():
            if head.kind != "svm" or head.model.n_features_in_ != dims:
                raise ValueError(f"a head {name} that is no SVM on {dims} features")
        for place, averaged in self.averaged:
            if averaged not in self.networks[place].manifest["heads"]:
                raise ValueError(f"an average of a head {averaged} that a member lacks")

    def scores(self, *forwards: Forward) -> dict[str, np.ndarray]:
        """Score a batch with every head.

        Parameters
        ----------
        *forwards : Forward
            Of each member over the same images, in the order of `networks`.

        Returns
        -------
        dict of str to ndarray of float64 (n,)
            Score of the positive class by head, 0–1, in the manifest's order.
        """
        return {
            head: self._average(forwards)
            if head == "average"
            else self.heads[head].scores(joined(forwards))
            for head in self.manifest["heads"]
        }

    def _average(self, forwards: Sequence[Forward]) -> np.ndarray:
        scores = [
            self.networks[place].score(forwards[place], head) for place, head in self.averaged
        ]
        sigmoid = self.manifest["average"]
        return expit(sigmoid["slope"] * mean_log_odds(scores) + sigmoid["intercept"])

    def ood_score(self, *forwards: Forward) -> np.ndarray:
        """Report how far images are from the training images of the members.

        Parameters
        ----------
        *forwards : Forward
            As for `scores`.

        Returns
        -------
        ndarray of float64 (n,)
            The largest of the members' scores: an image that is strange to one of them
            spoils what is joined.
        """
        pairs = zip(self.networks, forwards, strict=True)
        return np.max([network.ood_score(forward) for network, forward in pairs], axis=0)


def mean_log_odds(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Average the scores of several heads: what the sigmoid of "average" is fitted on and reads.

    Parameters
    ----------
    scores : sequence of ndarray of float64 (n,)
        Calibrated scores, 0–1, one array a head.

    Returns
    -------
    ndarray of float64 (n,)
        Log-odds of their mean, always finite.
    """
    return logit(np.clip(np.mean(scores, axis=0), _SURE, 1 - _SURE))


def joined(forwards: Sequence[Forward]) -> np.ndarray:
    """Put the pooled features of several networks one after the other, float32 (n, sum of d)."""
    return np.concatenate([forward.features for forward in forwards], axis=1)


def member(folder: str | Path) -> dict[str, str]:
    """Write the entry of "members" for a bundle as it is now.

    Parameters
    ----------
    folder : str or Path
        The bundle.

    Returns
    -------
    dict of str to str
        "name", the folder's, "sha256" of its network and "heads_sha256".

    Raises
    ------
    BundleError
        If it is no bundle, or an ensemble itself.
    """
    folder = Path(folder)
    return _entry(folder.name, read_manifest(folder))


def _entry(name: str, manifest: dict[str, Any]) -> dict[str, str]:
    # An ensemble has no network, and a bundle in memory no files.
    files = manifest.get("files", {})
    return {
        "name": name,
        "sha256": files.get("model.keras", ""),
        "heads_sha256": files.get("heads.skops", ""),
    }


def write(folder: str | Path, manifest: dict[str, Any], fitted: dict[str, Any], card: str) -> Path:
    """Write an ensemble, whole or not at all.

    Parameters
    ----------
    folder : str or Path
        Its folder, beside its members; an earlier bundle of this name is replaced.
    manifest : dict
        All but "format", "files", "probe" and "versions", which are added here. "members"
        holds what `member` returns, in the order of the SVM's features; "average", where
        it is among the heads, holds "of" (pairs of member and head), "slope" and
        "intercept".
    fitted : dict of str to object
        "svm", an SVM on the members' features one after the other (see `joined`).
    card : str
        Markdown of the model card.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        If the folder holds anything but an earlier bundle.
    """
    folder = Path(folder)
    check_place(folder)
    heads = {name: CalibratedHead(fitted[name]) for name in _estimators(manifest)}
    with atomic_write(folder) as temporary:
        temporary.mkdir()
        store.write_facts(temporary, manifest, fitted, card, store.probe(heads))
    return folder


def load(folder: str | Path, bundle_named: Callable[[str], Bundle] | None = None) -> Ensemble:
    """Load an ensemble and refuse one that is damaged or whose members have changed.

    Parameters
    ----------
    folder : str or Path
        The ensemble; its members are beside it.
    bundle_named : callable, optional
        Returns a member by its name, where it is loaded already; by default each is loaded.

    Returns
    -------
    Ensemble
        Ready to run.

    Raises
    ------
    BundleError
        If a member is missing, has another checksum or reads marked nodules, or a file of
        the ensemble is missing, does not match its checksum, or scores otherwise here.
    """
    folder = Path(folder).resolve()
    manifest = read_manifest(folder)
    fitted = store.load_heads(folder, manifest, _estimators(manifest), ("heads.skops",))
    for entry in manifest["members"]:
        beside = folder.parent / entry["name"]
        _check_member(entry, read_manifest(beside) if beside.is_dir() else None, beside)
    networks = []
    for entry in manifest["members"]:
        beside = folder.parent / entry["name"]
        network = store.load(beside) if bundle_named is None else bundle_named(entry["name"])
        # Another one of its name may have been loaded, or trained, before.
        _check_member(entry, network.manifest, beside)
        networks.append(network)
    try:
        ensemble = Ensemble(folder, manifest, networks, fitted)
    except (ValueError, TypeError, AttributeError) as error:
        raise BundleError(
            "The heads of an ensemble must fit its members. "
            f"Received: {folder / 'heads.skops'} ({error})."
        ) from error
    store.check_probe(manifest, ensemble.heads)
    return ensemble


def load_any(
    folder: str | Path, bundle_named: Callable[[str], Any] | None = None
) -> Bundle | Ensemble:
    """Load a bundle, whether it is a network or an ensemble.

    Parameters
    ----------
    folder : str or Path
        The bundle.
    bundle_named : callable, optional
        As for `load`.

    Returns
    -------
    Bundle or Ensemble
        Ready to run.

    Raises
    ------
    BundleError
        As `load` and `store.load` do.
    """
    if kind(read_manifest(folder)) == "ensemble":
        return load(folder, bundle_named)
    return store.load(folder)


def _estimators(manifest: dict[str, Any]) -> list[str]:
    """Name the heads that a heads file holds: the average is no estimator."""
    return [head for head in manifest["heads"] if head != "average"]


def _check_member(entry: dict[str, str], found: dict[str, Any] | None, beside: Path) -> None:
    """Refuse a member that is missing or not the one the ensemble was fitted on."""
    if found is None:
        fault = "missing"
    elif entry | _entry(entry["name"], found) != entry:
        fault = "another checksum"
    elif kind(found) != "scan":
        fault = "reads a marked nodule"
    else:
        return
    raise BundleError(
        "The members of an ensemble must be beside it as they were when it was fitted, and "
        f"read the scan area; fetch them again. Received: {beside} ({fault})."
    )
