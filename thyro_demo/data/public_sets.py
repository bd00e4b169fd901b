"""What is known of each public set: its home, size, licence and traps, and how it is fetched.

No image is part of this project. A set keeps the licence of its home; fetching it is
the user's act, who sees the licence first. Addresses are those that the homes, or several
projects that read them, state; where none of them states a lasting one, a set is fetched by hand.
"""

from pathlib import Path
from typing import Literal, NamedTuple

PLACE = Path("data")
"""Folder under the working directory into which sets are fetched, and where they are found."""


class PublicSet(NamedTuple):
    """A set that a loader can read.

    Attributes
    ----------
    title : str
        What a reader calls it.
    folder : str
        Its folder under `PLACE` and ``THYRO_DATA``.
    layout : str
        Its key in `datasets.LAYOUTS`.
    home : str
        Address of the page of its public home.
    licence : str
        What its home states about use, in a few words.
    size : str
        How much there is.
    wanted : str
        What to download at home, by hand.
    way : {"git", "archive", "kaggle", "hand"}
        How it is fetched.
    address : str
        What is cloned, downloaded, or asked of Kaggle.
    checksum : str
        Algorithm and digits of the archive, such as "md5:90…"; empty where none is stated.
    names : tuple of str
        Other names of its folder: those that its archive unpacks to.
    traps : str
        What misleads whoever takes the images as they are.
    """

    title: str
    folder: str
    layout: str
    home: str
    licence: str
    size: str
    wanted: str
    way: Literal["git", "archive", "kaggle", "hand"]
    address: str = ""
    checksum: str = ""
    names: tuple[str, ...] = ()
    traps: str = ""

    def by_hand(self, out: Path) -> str:
        """Describe how the set comes into a folder without this program."""
        return f"download {self.wanted} from {self.home} and unpack it into {out}"


_OWN_STUDY = "none stated: for your own study, do not pass the images on"
_P1 = "https://github.com/lyndachaouchi/Ultrasound-imaging-classifications-of-Thyroid-nodules"
_SWEEPS = "https://github.com/arcegor/tirads"
_MENDELEY = "https://data.mendeley.com"
_TINY = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"

SETS: dict[str, PublicSet] = {
    "p1": PublicSet(
        "P1 thyroid ultrasound",
        "thyroid_us",
        "thyroid",
        _P1,
        _OWN_STUDY,
        "795 frames",
        "the repository (Code, Download ZIP)",
        "git",
        _P1,
        names=("Ultrasound-imaging-classifications-of-Thyroid-nodules", "BDD20test80train"),
        traps="the source predicts the class; grades are printed on frames; copies are in both "
        "published parts",
    ),
    "ddti": PublicSet(
        "DDTI thyroid ultrasound",
        "ddti",
        "ddti",
        "https://cimalab.unal.edu.co/projects/detail/20/",
        "read the terms at its home, cite Pedraza et al. 2015, doi.org/10.1117/12.2073532",
        "some 480 frames with findings and outlines",
        "the archive of frames and XML files",
        "kaggle",
        "dasmehdixtr/ddti-thyroid-ultrasound-images",
        traps="labels are TI-RADS grades, which are printed on some frames; six XML files are cut",
    ),
    "sweeps": PublicSet(
        "Thyroid sweeps with nodule masks",
        "thyroid_sweeps",
        "sweeps",
        _SWEEPS,
        _OWN_STUDY,
        "frames of 900×600 and 687×528 pixels, with masks",
        "the repository (Code, Download ZIP)",
        "git",
        _SWEEPS,
        names=("tirads", "tirads-main", "tirads-master"),
        traps="neighbouring frames are near duplicates: split by case, 83 with 84 and 85 with 86 "
        "(the 1,015 frames used here are 51 cases); marks of the examiner inside the frame; a "
        "sector cut out of black; masks of one reader; no diagnosis",
    ),
    "busi": PublicSet(
        "BUSI breast ultrasound",
        "busi",
        "busi",
        "https://scholar.cu.edu.eg/?q=afahmy/pages/dataset",
        "read the terms at its home, cite Al-Dhabyani et al. 2020, "
        "doi.org/10.1016/j.dib.2019.104863",
        "780 frames with masks, about 200 MB",
        "Dataset_BUSI.zip (or the copy of it that kaggle.com/datasets/aryashah2k/"
        "breast-ultrasound-images-dataset keeps)",
        "archive",
        "https://scholar.cu.edu.eg/Dataset_BUSI.zip",
        names=("Dataset_BUSI_with_GT", "Dataset_BUSI"),
        traps="no patients stated, yet many near duplicates, some of them under two labels",
    ),
    "covid": PublicSet(
        "COVID-19 Radiography Database",
        "radiographs/covid19_xray",
        "covid_xray",
        "https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database",
        "mixed, read the terms at its home",
        "21,165 films with masks of the lungs",
        "the data set",
        "kaggle",
        "tawsifurrahman/covid19-radiography-database",
        names=("COVID-19_Radiography_Dataset",),
        traps="no patients stated; each class comes from other hospitals; films of the paediatric "
        "set are among its classes normal and viral pneumonia",
    ),
    "paediatric": PublicSet(
        "Paediatric pneumonia radiographs",
        "radiographs/paediatric_pneumonia",
        "paediatric_pneumonia",
        f"{_MENDELEY}/datasets/rscbjbr9sj/2",
        "CC BY 4.0, cite Kermany et al. 2018, doi.org/10.17632/rscbjbr9sj.2",
        "5,856 films, 1,235,512,464 bytes",
        "ChestXRay2017.zip",
        "archive",
        f"{_MENDELEY}/public-files/datasets/rscbjbr9sj/files/"
        "f12eaf6d-6023-432f-acc9-80c9d7393433/file_downloaded",
        names=("chest_xray", "ChestXRay2017"),
        traps="numbers of patients occur in both published parts: split by group",
    ),
    "mini_mias": PublicSet(
        "mini-MIAS mammograms",
        "mini_mias",
        "mini_mias",
        "http://peipa.essex.ac.uk/info/mias.html",
        "the research agreement in its Licence.txt, cite Suckling et al. 1994",
        "322 films of 1024×1024 pixels",
        "all-mias.tar.gz",
        "archive",
        "http://peipa.essex.ac.uk/pix/mias/all-mias.tar.gz",
        names=("all-mias",),
        traps="two consecutive films are one patient",
    ),
    "tiny_imagenet": PublicSet(
        "Tiny ImageNet photographs",
        "tiny_imagenet",
        "tiny_imagenet",
        _TINY,
        "terms of ImageNet: research and teaching, not commercial",
        "110,000 labelled photographs of 64×64 pixels, 248,100,043 bytes",
        "tiny-imagenet-200.zip",
        "archive",
        _TINY,
        checksum="md5:90528d7ca1a48142e341f4ef8d21d0de",
        names=("tiny-imagenet-200",),
    ),
}
"""Key of the command line to what is known of each public set."""


def how(key: str) -> str:
    """Describe how a set is fetched.

    Parameters
    ----------
    key : str
        A key of `SETS`.

    Returns
    -------
    str
        A command, or what to do by hand.
    """
    known = SETS[key]
    by_hand = known.by_hand(PLACE / known.folder)
    if known.way == "hand":
        return by_hand
    after = ", after pip install kagglehub" if known.way == "kaggle" else ""
    return f"python -m thyro_demo data fetch {key}{after}; or {by_hand}"
