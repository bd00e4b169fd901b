"""Predictive values are counts of patients, and doing nothing has no net benefit."""

import numpy as np
import pytest

from thyro_demo.evaluate.clinical_value import at_prevalence, net_benefit, predictive_values


def test_predictive_values_are_counts_of_a_thousand_nodules():
    # 100 malignant, 90 flagged; 900 benign, 90 flagged: half of the flags are right.
    found = predictive_values(0.9, 0.9, 0.1)
    assert found.positive == pytest.approx(0.5)
    assert found.negative == pytest.approx(810 / 820)
    # A coin knows nothing: what is flagged is as often malignant as everybody is.
    many = np.linspace(0.1, 0.9, 9)
    assert predictive_values(0.5, 0.5, many).positive == pytest.approx(many)
    assert np.isnan(predictive_values(0.0, 1.0, 0.1).positive)


def test_net_benefit_of_doing_nothing_is_0_and_of_biopsying_everybody_at_the_prevalence_too():
    assert net_benefit(0.0, 1.0, 0.2, 0.3) == 0
    assert net_benefit(1.0, 0.0, 0.2, 0.2) == pytest.approx(0)
    assert net_benefit(1.0, 1.0, 0.2, np.array([0.1, 0.5])) == pytest.approx(0.2)


def test_moved_probabilities_are_those_of_the_other_mix():
    assert at_prevalence([0.3], 0.5, 0.5) == pytest.approx([0.3])
    # The score that means "as everybody here" means so there as well.
    assert at_prevalence([0.5], 0.5, 0.1) == pytest.approx([0.1])
    # A flag of odds 9 : 1 among equals has odds 1 : 1 where one in ten is malignant.
    assert at_prevalence([0.9], 0.5, 0.1) == pytest.approx([0.5])
    there = at_prevalence([0.0, 0.2, 0.8, 1.0], 0.5, 0.1)
    assert np.all(np.diff(there) > 0)
