"""Seeded B-mode phantoms of the thyroid, with nodules made of ACR TI-RADS features.

`physics` turns maps of tissue into speckle, `anatomy` draws the neck, `nodule` the five
features, `scanner` the printed marks; `frame` draws one frame of one patient, `cohort`
many patients, `sheet` the examples and the contact sheet.
"""

from thyro_demo.data.phantom.cohort import cohort, plans, sample_features, save, write
from thyro_demo.data.phantom.frame import (
    LABEL_MIDDLE,
    LABEL_SLOPE,
    Phantom,
    draw,
    label_of,
    malignant_probability,
)
from thyro_demo.data.phantom.physics import uniform_envelope
from thyro_demo.data.phantom.scanner import ScannerFrame
from thyro_demo.data.phantom.sheet import EXAMPLES, PITFALLS, contact_sheet, example

__all__ = [
    "EXAMPLES",
    "LABEL_MIDDLE",
    "LABEL_SLOPE",
    "PITFALLS",
    "Phantom",
    "ScannerFrame",
    "cohort",
    "contact_sheet",
    "draw",
    "example",
    "label_of",
    "malignant_probability",
    "plans",
    "sample_features",
    "save",
    "uniform_envelope",
    "write",
]
