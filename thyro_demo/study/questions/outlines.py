"""Measure the maps of a network that has no bundle, on outlines that it has not learned."""

from pathlib import Path
from typing import Any

import keras
import pandas as pd

from thyro_demo.bundle.bundle import Bundle
from thyro_demo.explain import localise_records
from thyro_demo.explain.localise_records import Localised
from thyro_demo.models import nodule_map
from thyro_demo.models.backbones import backbone
from thyro_demo.training.out_of_fold import CLASSES

HEAD = "softmax"
"""The one head that such a network has."""


def bare_bundle(name: str, network: keras.Model) -> Bundle:
    """Make a bundle of a network that has no heads but its softmax.

    Parameters
    ----------
    name : str
        A key of `backbones.BACKBONES`.
    network : keras.Model
        From `networks.build`, with or without a nodule map.

    Returns
    -------
    Bundle
        Its threshold is 0.5.
    """
    weighted = len(network.outputs) > 1
    manifest: dict[str, Any] = {
        "name": name,
        "title": name,
        "classes": list(CLASSES),
        "input_size": network.input_shape[1],
        "cam_layer": nodule_map.READ if weighted else backbone(name).cam_layer,
        "pooling": "nodule" if weighted else "average",
        "heads": [HEAD],
        "thresholds": {HEAD: {"youden": 0.5}},
    }
    return Bundle(Path(name), manifest, network, {"ood": {}})


def localise(bundle: Bundle, records: pd.DataFrame) -> Localised:
    """Measure the maps of a bundle on outlined frames.

    Parameters
    ----------
    bundle : Bundle
        From `bare_bundle`.
    records : DataFrame
        Outlined frames that lent it no outline; see `cards.unlearned`.

    Returns
    -------
    Localised
        Frame by frame.
    """
    return localise_records.run(bundle, records, pd.Series(False, records.index))[1]


def summarise(localised: Localised, bundle: Bundle) -> dict[str, Any]:
    """Average what was measured.

    Parameters
    ----------
    localised : Localised
        From `localise`.
    bundle : Bundle
        Whose maps they are.

    Returns
    -------
    dict
        As from `localise_records.summarise`.

    Raises
    ------
    ValueError
        If no frame has a nodule, which `cards.unlearned` refuses.
    """
    summary = localise_records.summarise(localised, bundle, {HEAD: 0.5})
    if summary is None:
        raise ValueError("no frame with a nodule")
    return summary
