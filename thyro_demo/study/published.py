"""What the published systems are and say of themselves: data, light enough for `--help`."""

from dataclasses import dataclass

PROTOCOLS = {
    "P1": "progressive transfer on three networks, and each flaw of its first evaluation",
    "P2": "features of six networks, their concatenations and ensembles, beside radiologists",
    "P3": "classical CAD: handcrafted features of the outlined nodule, SVM and forest",
    "P4": "internal, external and leave-one-source-out tests of networks and ensembles",
    "P5": "autoimmune or normal, split by patient, and the split that leaks",
    "P6": "a network of two layers, on mammogram patches and on thyroid frames",
}


@dataclass(frozen=True)
class Published:
    """One row of a published table.

    Parameters
    ----------
    system : str
        As the paper names it.
    accuracy, sensitivity, specificity, f1, auroc : float or None
        As printed, in percent (`auroc` from 0 to 1); None where nothing is printed.
    note : str
        What has to be known to read the row.
    """

    system: str
    accuracy: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    f1: float | None = None
    auroc: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Protocol:
    """What a published system is and says of itself.

    Parameters
    ----------
    key : str
        A key of `PROTOCOLS`.
    title : str
        One line for people.
    reference : str
        Authors, title, journal and year.
    positive : str
        The label that counts as positive.
    published : tuple of Published
        Its table.
    """

    key: str
    title: str
    reference: str
    positive: str
    published: tuple[Published, ...]
