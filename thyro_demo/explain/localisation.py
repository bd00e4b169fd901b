"""How a head's heatmap compares with the outline that a radiologist drew of the nodule.

Two figures from the literature: is the maximum of the map on the nodule, and what share of the
map is. Both mean little by themselves, because nodules are large and are put near the middle of
the view, so every map is compared, frame by frame, with a Gaussian in the middle of the scan area
that has not seen the image (`evaluate_maps`).

Three limits. A map of 7 × 7 cells is no sharper than a cell, so on a smaller nodule the share
stays low wherever the map is. On a split screen the middle of the scan area is the seam between
two views, where the Gaussian finds no nodule: such frames and single views are best summarised
apart. And a map on the nodule shows where a head found its evidence, not that the evidence is
sound or the score right.
"""

import numpy as np
from numpy.typing import NDArray

from thyro_demo.data import scan_area
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import ThyroError
from thyro_demo.explain.gradcam import scale

# Along a side, as of a network's last feature map: a random map as coarse as a real one has no
# sharper and no duller peaks.
_CELLS = 9


def pointing(heatmap: np.ndarray, mask: np.ndarray) -> float:
    """Compute whether the maximum of a map is on the nodule.

    Parameters
    ----------
    heatmap : ndarray of float, shape (H, W)
        The map, of the scan area alone where there is a border around it: without
        positive evidence (`gradcam.scale`) a map counts as flat, and a flat map has
        `mask`'s share of the array.
    mask : ndarray of bool, shape (H, W)
        The nodule.

    Returns
    -------
    float
        1 inside, 0 outside. Pixels that share the maximum count as the share of them
        that is inside: what one of them, drawn at random, would score on average.

    Raises
    ------
    ThyroError
        If map and mask differ in shape.

    References
    ----------
    Zhang et al., "Top-down neural attention by excitation backprop", International
    Journal of Computer Vision 126, 2018, the pointing game. Two departures: ties, which
    the first pixel in memory would decide; and no tolerance around the object (15 pixels
    in the usual implementations, for instance TorchRay), which would add more to a small
    nodule than to a large one.

    Examples
    --------
    >>> nodule = np.array([[False, False], [False, True]])
    >>> pointing(np.array([[0.1, 0.2], [0.3, 0.4]]), nodule)
    1.0
    """
    evidence, inside = _evidence(heatmap, mask)
    return float(inside[evidence == evidence.max()].mean())


def energy(heatmap: np.ndarray, mask: np.ndarray) -> float:
    """Compute the share of a map that is on the nodule.

    Parameters
    ----------
    heatmap : ndarray of float, shape (H, W)
        The map, of the scan area alone as in `pointing`; its positive part counts.
    mask : ndarray of bool, shape (H, W)
        The nodule.

    Returns
    -------
    float
        0–1. A map without positive evidence counts as flat and has `mask`'s share of
        the array: it prefers no place, which 0 would punish as looking away.

    Raises
    ------
    ThyroError
        If map and mask differ in shape.

    References
    ----------
    Wang et al., "Score-CAM: Score-weighted visual explanations for convolutional neural
    networks", CVPR Workshops 2020, the energy-based pointing game, with the outline in
    place of the bounding box.

    Examples
    --------
    >>> nodule = np.array([[False, False], [False, True]])
    >>> round(energy(np.array([[0.1, 0.2], [0.3, 0.4]]), nodule), 2)
    0.4
    """
    evidence, inside = _evidence(heatmap, mask)
    # Summed apart, so that a map that is inside altogether has 1 without rounding.
    hit = evidence[inside].sum(dtype=np.float64)
    missed = evidence[~inside].sum(dtype=np.float64)
    return float(hit / (hit + missed))


def best_overlap(heatmap: np.ndarray, mask: np.ndarray) -> float:
    """Compute the overlap (IoU) of map and nodule at the threshold that suits the map best.

    The threshold is chosen with the outline in hand, which flatters every map.

    Parameters
    ----------
    heatmap : ndarray of float, shape (H, W)
        The map, of the scan area alone as in `pointing`.
    mask : ndarray of bool, shape (H, W)
        The nodule.

    Returns
    -------
    float
        0–1: intersection over union of the nodule and the pixels at or above the threshold. A
        flat map has `mask`'s share of the array.

    Raises
    ------
    ThyroError
        If map and mask differ in shape.

    References
    ----------
    Choe et al., "Evaluating weakly supervised object localization methods right", CVPR 2020,
    section 3: the threshold is part of the measure, not of the map. They choose one for a whole
    set on images held out; here each map has its own.

    Examples
    --------
    >>> nodule = np.array([[False, True], [False, True]])
    >>> best_overlap(np.array([[0.1, 0.4], [0.2, 0.3]]), nodule)
    1.0
    """
    evidence, nodule = _evidence(heatmap, mask)
    order = np.argsort(-evidence.ravel(), kind="stable")
    sorted_down, inside = evidence.ravel()[order], nodule.ravel()[order]
    hit, size = np.cumsum(inside), np.arange(1, inside.size + 1)
    # Between pixels of one value there is no threshold.
    ends = np.append(sorted_down[:-1] != sorted_down[1:], True)
    return float((hit / (size + inside.sum() - hit))[ends].max())


def dice(drawn: np.ndarray, mask: np.ndarray) -> float:
    """Compute how far a drawn nodule and the outlined one overlap.

    Parameters
    ----------
    drawn : ndarray of bool, shape (H, W)
        What a network takes for the nodule, of the scan area alone where there is a border.
    mask : ndarray of bool, shape (H, W)
        The nodule.

    Returns
    -------
    float
        Twice the pixels that both share over the sum of the pixels of each: 0 without a shared
        pixel, 1 where both are the same, and where both are empty.

    Raises
    ------
    ThyroError
        If both differ in shape.

    References
    ----------
    Dice, "Measures of the amount of ecologic association between species", Ecology 26, 1945:
    the coincidence index, with pixels in place of samples.

    Examples
    --------
    >>> nodule = np.array([[False, True], [False, True]])
    >>> print(round(dice(np.array([[True, True], [False, True]]), nodule), 2))
    0.8
    """
    if drawn.shape != mask.shape:
        raise ThyroError(
            "A drawn nodule must have the height and width of its mask. "
            f"Received: drawn {drawn.shape}, mask {mask.shape}."
        )
    size = np.count_nonzero(drawn) + np.count_nonzero(mask)
    return 2 * np.count_nonzero(drawn & mask) / size if size else 1.0


def within(heatmap: np.ndarray, box: Box, nodule: np.ndarray) -> dict[str, float]:
    """Measure a heatmap within the scan area.

    Parameters
    ----------
    heatmap : ndarray of float, shape (H, W)
        In the frame's coordinates, 0 outside the scan area, as `scan_area.place` returns it.
    box : Box
        The scan area.
    nodule : ndarray of bool, shape (H, W)
        The nodule.

    Returns
    -------
    dict of str to float
        `pointing` and `energy`, 0–1.

    Raises
    ------
    ThyroError
        If map and nodule differ in shape.
    """
    _check_shapes(heatmap, nodule)
    cut = scan_area.crop(heatmap, box), scan_area.crop(nodule, box)
    return {"pointing": pointing(*cut), "energy": energy(*cut)}


def centred_gaussian(shape: tuple[int, int], box: Box, spread: float = 0.25) -> np.ndarray:
    """Draw the map of an onlooker who looks at the centre whatever the image shows.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the frame in pixels.
    box : Box
        The scan area.
    spread : float
        Standard deviation along each axis as a fraction of the box's side, above 0: in
        the square that a network sees, the Gaussian is round.

    Returns
    -------
    ndarray of float32, shape (H, W)
        0–1, with its peak in the middle of the box; 0 outside the box.

    Raises
    ------
    ThyroError
        If the spread is not above 0.
    ImageError
        If the box is empty or reaches out of the frame.

    Examples
    --------
    >>> centred_gaussian((3, 5), Box(1, 0, 4, 3)).round(1)
    array([[0. , 0.2, 0.4, 0.2, 0. ],
           [0. , 0.4, 1. , 0.4, 0. ],
           [0. , 0.2, 0.4, 0.2, 0. ]], dtype=float32)
    """
    if not spread > 0:
        raise ThyroError(f"The spread must be above 0. Received: spread={spread}.")
    frame = np.zeros(shape, np.float32)
    down, across = (
        np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (spread * side)) ** 2)
        for side in (box.height, box.width)
    )
    scan_area.crop(frame, box)[:] = np.outer(down, across)
    return frame


def random_map(shape: tuple[int, int], box: Box, seed: int) -> np.ndarray:
    """Draw the map of an onlooker who looks anywhere.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the frame in pixels.
    box : Box
        The scan area.
    seed : int
        Of the noise, 0 or more.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Noise, 0–1, as coarse as a network's last feature map; 0 outside the box.
    """
    noise = np.random.default_rng(seed).random((_CELLS, _CELLS)).astype(np.float32)
    return scan_area.place(noise, box, shape)


def _evidence(heatmap: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, NDArray[np.bool_]]:
    """Return the positive part of a map, ones where there is none, and the mask as bool."""
    _check_shapes(heatmap, mask)
    evidence = scale(heatmap)
    return evidence if evidence.any() else np.ones_like(evidence), mask.astype(bool)


def _check_shapes(heatmap: np.ndarray, mask: np.ndarray) -> None:
    if heatmap.ndim != 2 or heatmap.shape != mask.shape:
        raise ThyroError(
            "A heatmap must have the height and width of its mask. "
            f"Received: heatmap {heatmap.shape}, mask {mask.shape}."
        )
