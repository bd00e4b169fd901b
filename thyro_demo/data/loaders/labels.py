"""The labels of a user's set, in whatever case, language or shorthand they are written."""

import re
import unicodedata

import pandas as pd

BENIGN, MALIGNANT, NORMAL = "benign", "malignant", "normal"

_WORDS = {
    BENIGN: "benign benin benigne benigno benigna gutartig goedaardig lagodny lagodna "
    "доброкачественный доброкачественная 良性 양성",
    MALIGNANT: "malignant malign malin maligne maligno maligna bosartig boesartig "
    "kwaadaardig zlosliwy zlosliwa злокачественный злокачественная 恶性 惡性 悪性 악성",
    NORMAL: "normal normale normaal normalny",
}
# Shorthand is read only where every label of the set is one that is known here.
_SHORT = {"b": BENIGN, "m": MALIGNANT, "n": NORMAL, "0": BENIGN, "1": MALIGNANT}
_BESIDE = re.compile(r"(?:nodule|lesion|tumou?r|case|image)s?|class|label")
# Letters that Unicode does not take apart into a plain one and an accent.
_LETTERS = str.maketrans({"ł": "l", "ß": "ss"})


def _plain(label: str) -> str:
    """Write a label without case, accents and the decimals of a spreadsheet."""
    apart = unicodedata.normalize("NFKD", label.casefold().translate(_LETTERS))
    bare = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return re.sub(r"\.0$", "", bare.strip(" .:;_-"))


def _meaning(label: str) -> str | None:
    """Find which label a word means; folders are also called "1_malignant nodules"."""
    words = [word for word in re.split(r"[\s_-]+", _plain(label)) if not _BESIDE.fullmatch(word)]
    meaningful = [word for word in words if not word.isdecimal()]
    return _KNOWN.get(meaningful[0]) if len(meaningful) == 1 else None


# Through the same function, because it also takes the letters of Korean apart.
_KNOWN = {_plain(word): label for label, words in _WORDS.items() for word in words.split()}


def is_known(label: str) -> bool:
    """Check whether a label means benign, malignant or normal in a language known here."""
    return _meaning(label) is not None


def unified(labels: pd.Series) -> tuple[pd.Series, list[str]]:
    """Write labels in one way, and report, with counts, what was read as what."""
    # Benign, malignant and, beside them, normal in any language; of other labels that differ in
    # case or accents alone, the commonest spelling.
    counts = {str(label): int(count) for label, count in labels.value_counts().items()}
    meant = {label: _meaning(label) for label in counts}
    if all(meant[label] or _plain(label) in _SHORT for label in counts):
        meant = {label: meant[label] or _SHORT[_plain(label)] for label in counts}
    if not {BENIGN, MALIGNANT} & set(meant.values()):
        # A set about something else: its "Normal" is its own.
        meant = dict.fromkeys(counts)
    spelled: dict[str, str] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label.swapcase())):
        spelled[label] = meant[label] or next(
            (other for other in spelled.values() if _plain(other) == _plain(label)), label
        )
    read = [
        f"{label} as {spelled[label]} ({counts[label]})"
        for label in sorted(counts)
        if label != spelled[label]
    ]
    sentences = [f"Labels read in another spelling: {', '.join(read)}."] if read else []
    return labels.map(spelled), sentences
