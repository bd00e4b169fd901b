"""The gradient of an SVM's decision value is the one that small steps measure."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.errors import BundleError
from thyro_demo.explain.svm import average_svm_map, svm_gradient
from thyro_demo.models import heads
from thyro_demo.models.heads import CalibratedHead


def _training_rows(features=6):
    rng = np.random.default_rng(0)
    rows = rng.normal(3, 2, (80, features)) * np.arange(1, features + 1)
    labels = (rows[:, 0] - 0.2 * rows[:, 1] * rng.random(80) > 1).astype(int)
    return rows, labels


@pytest.fixture(params=[("linear", "scale"), ("rbf", "scale"), ("rbf", 0.3)], ids=str)
def svm(request):
    kernel, gamma = request.param
    pipeline = make_pipeline(StandardScaler(), SVC(kernel=kernel, gamma=gamma))
    return SimpleNamespace(pipeline=pipeline.fit(*_training_rows()))


def _finite_differences(function, row, step=1e-5):
    steps = step * np.eye(len(row))
    return (function(row + steps) - function(row - steps)) / (2 * step)


def test_svm_gradient_equals_finite_differences(svm):
    rows, _ = _training_rows()
    for row in rows[:5] + 0.1:
        np.testing.assert_allclose(
            svm_gradient(svm, row),
            _finite_differences(svm.pipeline.decision_function, row),
            atol=1e-7,
            rtol=1e-5,
        )


def test_a_step_along_the_gradient_raises_the_decision_value(svm):
    rows, _ = _training_rows()
    steps = svm_gradient(svm, rows)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    decide = svm.pipeline.decision_function
    assert (decide(rows + 1e-4 * steps) > decide(rows)).all()


def test_svm_gradient_of_a_batch_is_that_of_its_rows(svm):
    rows, _ = _training_rows()
    single = [svm_gradient(svm, row) for row in rows[:4]]
    np.testing.assert_allclose(svm_gradient(svm, rows[:4]), single, rtol=1e-12, atol=1e-15)


def test_a_kernel_without_known_gradient_is_refused_in_one_sentence():
    rows, labels = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    pipeline = make_pipeline(StandardScaler(), SVC(kernel="poly")).fit(rows, labels)
    with pytest.raises(BundleError, match=r"Received: kernel='poly'\.$"):
        svm_gradient(SimpleNamespace(pipeline=pipeline), rows[0])


def test_a_map_glows_where_the_channel_is_that_the_head_learned_from():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = rng.normal(size=(60, 6)).astype(np.float32)
    features[:, 2] += 4.0 * labels
    head = CalibratedHead(heads.fit("linear-svm", features, labels, np.arange(60)))
    cells = np.zeros((3, 4, 6), np.float32)
    cells[1, 2, 2] = 24.0
    drawn = average_svm_map(head, cells)
    assert drawn.shape == (3, 4)
    assert drawn[1, 2] == 1.0
    assert np.count_nonzero(drawn) == 1
