"""The loaders of all sets under one name: `datasets.load`, `datasets.ddti` and so on."""

from thyro_demo.data.loaders import (
    LAYOUTS,
    Layout,
    busi,
    class_folders,
    covid_xray,
    ddti,
    index_csv,
    layout,
    load,
    mini_mias,
    notes,
    paediatric_pneumonia,
    phantoms,
    radiographs,
    sweeps,
    thyroid,
    tiny_imagenet,
)
from thyro_demo.data.loaders.labels import BENIGN, MALIGNANT
from thyro_demo.data.loaders.mini_mias import Abnormality
from thyro_demo.data.loaders.records import REQUIRED

__all__ = [
    "BENIGN",
    "LAYOUTS",
    "MALIGNANT",
    "REQUIRED",
    "Abnormality",
    "Layout",
    "busi",
    "class_folders",
    "covid_xray",
    "ddti",
    "index_csv",
    "layout",
    "load",
    "mini_mias",
    "notes",
    "paediatric_pneumonia",
    "phantoms",
    "radiographs",
    "sweeps",
    "thyroid",
    "tiny_imagenet",
]
