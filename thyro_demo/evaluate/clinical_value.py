"""What a decision is worth for patients: predictive values, net benefit, another prevalence."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit


class PredictiveValues(NamedTuple):
    """What a decision means for the patient it was made about.

    Attributes
    ----------
    positive : float or ndarray
        Share of malignant nodules among those that are flagged, 0–1.
    negative : float or ndarray
        Share of benign nodules among those that are not, 0–1.
    """

    positive: Any
    negative: Any


def predictive_values(
    sensitivity: float, specificity: float, prevalence: ArrayLike
) -> PredictiveValues:
    """Compute by Bayes' rule what a flag is worth at a prevalence.

    Parameters
    ----------
    sensitivity, specificity : float
        Of the decision, 0–1.
    prevalence : float or ndarray
        Share of malignant nodules among the patients, 0–1.

    Returns
    -------
    PredictiveValues
        Both predictive values; NaN where nobody is flagged, or everybody.

    Examples
    --------
    >>> print(predictive_values(0.9, 0.9, prevalence=0.1).positive.round(3))
    0.5
    """
    sick = np.asarray(prevalence, float)
    flagged = np.stack([sensitivity * sick, (1 - specificity) * (1 - sick)])
    left = np.stack([specificity * (1 - sick), (1 - sensitivity) * sick])
    with np.errstate(invalid="ignore"):
        return PredictiveValues(flagged[0] / flagged.sum(axis=0), left[0] / left.sum(axis=0))


def net_benefit(
    sensitivity: float, specificity: float, prevalence: float, threshold: ArrayLike
) -> NDArray[np.float64]:
    """Weigh cancers found against needless biopsies.

    Parameters
    ----------
    sensitivity, specificity : float
        Of the decision, 0–1.
    prevalence : float
        Share of malignant nodules, 0–1.
    threshold : float or ndarray
        Threshold probability, 0 up to 1: whoever would still biopsy at a chance of cancer of one
        in ten (0.1) counts nine needless biopsies as much as one cancer found.

    Returns
    -------
    ndarray of float64
        Cancers found a nodule, less needless biopsies at that price; 0 for doing nothing.

    References
    ----------
    Vickers and Elkin, Medical Decision Making 26:565–574 (2006), the formula of Peirce.

    Examples
    --------
    >>> print(net_benefit(0.9, 0.9, prevalence=0.1, threshold=0.1).round(2))
    0.08
    """
    cost = np.asarray(threshold, float)
    false = (1 - specificity) * (1 - prevalence)
    return sensitivity * prevalence - false * cost / (1 - cost)


def at_prevalence(scores: ArrayLike, before: float, after: float) -> NDArray[np.float64]:
    """Move calibrated probabilities to another share of malignant cases.

    Parameters
    ----------
    scores : ndarray of float (n,)
        Probabilities, 0–1, calibrated where the share is `before`.
    before, after : float
        Shares of malignant cases, above 0 and below 1.

    Returns
    -------
    ndarray of float64 (n,)
        Probabilities where the share is `after`, if nodules of each class look the same there.

    Examples
    --------
    >>> print(at_prevalence([0.5, 0.9], before=0.5, after=0.1).round(2))
    [0.1 0.5]
    """
    certain = np.clip(np.asarray(scores, float), 1e-12, 1 - 1e-12)
    return expit(logit(certain) + logit(after) - logit(before))
