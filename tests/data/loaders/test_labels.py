"""A label means the same in whatever case, language or shorthand it is written."""

import pandas as pd
import pytest

from thyro_demo.data.loaders import labels


def unified(*words: str) -> list[str]:
    return list(labels.unified(pd.Series(words))[0])


@pytest.mark.parametrize(
    ("benign", "malignant"),
    [
        ("Benign", "Malignant"),
        ("BENIGN", "malignant"),
        ("benin", "malin"),
        ("Bénin", "Maligne"),
        ("be\u0301nigne", "maligne"),
        ("gutartig", "bösartig"),
        ("benigno", "maligno"),
        ("łagodny", "złośliwy"),
        ("良性", "恶性"),
        ("양성", "악성"),
        ("B", "M"),
        ("b", "m"),
        ("0", "1"),
        ("0.0", "1.0"),
        ("benign.", "_malignant_"),
        ("benin", "M"),
        ("0_benign", "1_malignant"),
        ("Benign nodules", "malignant-lesion"),
        ("class_benign", "CLASS 1 MALIGNANT"),
    ],
)
def test_both_labels_are_read_in_every_spelling(benign, malignant):
    assert unified(malignant, benign, malignant) == ["malignant", "benign", "malignant"]


def test_what_was_read_as_what_is_reported_with_counts():
    series = pd.Series(["Benign", "benign", "M", "M"])
    assert labels.unified(series)[1] == [
        "Labels read in another spelling: Benign as benign (1), M as malignant (2)."
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("benign", "malignant"),
        ("goitre", "normal"),
        ("0", "1", "2"),
        ("M", "F"),
        ("not benign", "benign or malignant"),
        ("case 1", "case 2"),
        ("grade 2 nodule", "grade 3 nodule"),
        ("1_cyst", "2_cyst"),
    ],
)
def test_labels_that_are_right_or_of_another_set_stay(words):
    same, sentences = labels.unified(pd.Series(words))
    assert list(same) == list(words)
    assert sentences == []


def test_shorthand_beside_a_word_that_is_not_known_is_left_alone():
    assert unified("M", "unsure", "Benign") == ["M", "unsure", "benign"]


def test_normal_is_read_beside_nodules_and_left_to_other_sets():
    assert unified("Normal", "Benign") == ["normal", "benign"]
    assert unified("Normal", "Covid") == ["Normal", "Covid"]


def test_of_spellings_that_differ_in_case_the_commonest_is_used_for_all():
    assert unified("goitre", "Goitre", "goitre", "cyst") == ["goitre", "goitre", "goitre", "cyst"]
