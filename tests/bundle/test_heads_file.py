"""A heads file comes back as it was saved, or is refused before anything in it is built."""

import copy
import pickle
import re
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer

from thyro_demo.bundle import heads_file
from thyro_demo.errors import BundleError
from thyro_demo.files import sha256
from thyro_demo.models.heads import KINDS, CalibratedHead


@pytest.fixture
def path(tmp_path):
    return tmp_path / "heads.skops"


def refused(path, sentence):
    """Check that a file is refused even where its checksum is vouched for."""
    checksum = sha256(path) if path.is_file() else None
    with pytest.raises(BundleError, match=sentence) as caught:
        heads_file.load(path, checksum)
    assert re.fullmatch(r"[A-Z][^\n]*\. Received: [^\n]+\.", str(caught.value))


def test_saved_heads_score_as_before(fitted, vectors, path):
    heads_file.save(fitted, path)
    loaded = heads_file.load(path, sha256(path))
    assert set(loaded) == set(KINDS)
    for kind, model in fitted.items():
        np.testing.assert_array_equal(
            CalibratedHead(loaded[kind]).scores(vectors[0]),
            CalibratedHead(model).scores(vectors[0]),
        )


@pytest.mark.parametrize("checksum", [None, 64 * "0"])
def test_a_forest_is_built_from_the_file_of_its_checksum_alone(checksum, fitted, path):
    heads_file.save({"forest": fitted["forest"]}, path)
    with pytest.raises(BundleError, match=r"must have the checksum that.*Received: .*\.$"):
        heads_file.load(path, checksum)
    heads_file.save({"svm": fitted["svm"]}, path)
    assert set(heads_file.load(path, checksum)) == {"svm"}


def test_a_file_with_a_function_of_its_own_is_refused(path):
    skops.io.dump({"svm": FunctionTransformer(pickle.dumps)}, path)
    refused(path, r"SVMs and forests alone\. Received: .*dumps.*\.$")


def test_a_file_with_another_class_is_refused(path):
    class Stranger:
        pass

    Stranger.__qualname__ = "Stranger"
    skops.io.dump({"svm": Stranger()}, path)
    refused(path, r"alone\. Received: .*Stranger.*\.$")


def test_estimators_that_skops_trusts_but_no_bundle_has_are_refused(vectors, path):
    from sklearn.neighbors import KNeighborsClassifier

    skops.io.dump({"svm": KNeighborsClassifier().fit(*vectors[:2])}, path)
    refused(path, r"alone\. Received: .*KNeighborsClassifier.*\.$")


def test_a_file_without_heads_by_name_is_refused(fitted, path):
    skops.io.dump(fitted["svm"], path)
    refused(path, r"undamaged\. Received: .*\.$")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text", "no schema"])
def test_a_damaged_file_is_refused(damage, fitted, path):
    heads_file.save({"svm": fitted["svm"]}, path)
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "no schema":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("schema.json", "{}")
    else:
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"svm"}[damage])
    refused(path, r"undamaged\. Received: .*heads\.skops \(\w+\)\.$")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_called_what_it_is(protocol, path):
    path.write_bytes(pickle.dumps({"svm": 1}, protocol))
    refused(path, r"never a pickle.*\(a pickle\)\.$")


def forge(path, member, change):
    """Replace the content of one member of an archive."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content[member] = change(content[member])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, each in content.items():
            archive.writestr(name, each)


def test_an_array_that_claims_more_than_follows_is_refused(fitted, path):
    heads_file.save({"svm": fitted["svm"]}, path)
    with zipfile.ZipFile(path) as archive:
        largest = max(
            archive.infolist(), key=lambda info: info.file_size * info.filename.endswith("npy")
        )
    forge(
        path,
        largest.filename,
        lambda content: re.sub(rb"\((\d)", rb"(9\1", content, count=1)[: len(content)],
    )
    refused(path, r"as large as its header states.*Received: .*\.$")


def test_a_member_that_is_no_array_is_refused(fitted, path):
    heads_file.save({"svm": fitted["svm"]}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil.npy", b"")
    refused(path, r"numbered arrays alone.*evil.*\.$")


def svm(model):
    return model.calibrated_classifiers_[0].estimator[-1]


def shorter(name):
    def change(model):
        held = getattr(svm(model), name)
        setattr(svm(model), name, held[..., :-1] if held.ndim > 1 else held[:-1])

    return change


def with_nan(model):
    svm(model).support_vectors_[0, 0] = np.nan


def with_more_claimed(model):
    svm(model)._n_support = svm(model)._n_support + 1000


@pytest.mark.parametrize(
    "change",
    [shorter("support_"), shorter("_dual_coef_"), shorter("_n_support"),
     shorter("support_vectors_"), with_nan, with_more_claimed],
)  # fmt: skip
def test_an_svm_whose_arrays_do_not_fit_is_refused(change, fitted, path):
    model = copy.deepcopy(fitted["svm"])
    change(model)
    heads_file.save({"svm": model}, path)
    refused(path, r"must fit each other.*Received: .*with svm.*\.$")


@pytest.mark.parametrize(
    ("field", "value"),
    [("left_child", 10**6), ("right_child", -7), ("left_child", 0), ("feature", 10**6),
     ("feature", -1)],
)  # fmt: skip
def test_a_forged_tree_is_refused_though_its_checksum_fits(field, value, fitted, path):
    """Followed, it would read memory that is not its own, or go in circles for ever."""
    model = copy.deepcopy(fitted["forest"])
    tree = model.calibrated_classifiers_[0].estimator.estimators_[0].tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    heads_file.save({"forest": model}, path)
    refused(path, r"must fit each other.*Received: .*with forest.*\.$")
