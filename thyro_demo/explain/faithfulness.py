"""Deletion and insertion: whether a score falls, and rises, with the hot pixels of a map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from thyro_demo.data import scan_area
from thyro_demo.data.scan_area import Box

if TYPE_CHECKING:
    from thyro_demo.bundle.bundle import Bundle


@dataclass(frozen=True, eq=False)
class Curves:
    """How a score falls and rises as a frame is blurred, or made sharp, along a map.

    Parameters
    ----------
    shares : ndarray of float64, shape (steps + 1,)
        Share of the scan area that was changed, 0–1.
    deletion : ndarray of float64, shape (steps + 1,)
        Score, 0–1, while the hottest pixels are blurred first.
    insertion : ndarray of float64, shape (steps + 1,)
        Score, 0–1, while the hottest pixels are made sharp first.

    Examples
    --------
    >>> steps = np.array([0.0, 0.5, 1.0])
    >>> found = Curves(steps, np.array([0.9, 0.3, 0.1]), np.array([0.1, 0.7, 0.9]))
    >>> {name: round(area, 2) for name, area in found.areas.items()}
    {'deletion': 0.4, 'insertion': 0.6}
    """

    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def areas(self) -> dict[str, float]:
        """Areas under both curves, 0–1, by their names."""
        return {
            name: float(((curve[1:] + curve[:-1]) / 2).mean())
            for name, curve in (("deletion", self.deletion), ("insertion", self.insertion))
        }


def curves(
    bundle: "Bundle", head: str, frame: np.ndarray, heatmap: np.ndarray, steps: int = 10
) -> Curves:
    """Score a frame again and again while its pixels are blurred, or made sharp, along a map.

    Where a map names the pixels that the score rests on, the score falls soon when they are
    blurred and rises soon when they are made sharp.

    Parameters
    ----------
    bundle : Bundle
        One network.
    head : str
        Whose score is computed.
    frame : ndarray of uint8, shape (H, W, 3)
        RGB.
    heatmap : ndarray of float32, shape (H, W)
        0–1, in the frame's coordinates.
    steps : int
        Number of equal parts into which the pixels are split.

    Returns
    -------
    Curves
        Of 2 · (steps + 1) forward passes.

    References
    ----------
    Petsiuk et al., "RISE: Randomized input sampling for explanation of black-box models",
    BMVC 2018, section 4.2. One departure: deleted pixels are blurred in both curves, because a
    grey hole is itself like no frame that the network has seen.
    """
    square, box = scan_area.prepare(frame, bundle.input_size)
    side = bundle.input_size
    heat = scan_area.place(scan_area.crop(heatmap, box), Box(0, 0, side, side), (side, side))
    picture = Image.fromarray(np.round(square).astype(np.uint8))
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(side / 16)), np.float32)
    # Equal pixels, all those without evidence among them, go in a random order.
    tiebreak = np.random.default_rng(0).random(heat.size)
    rank = np.empty(heat.size, int)
    rank[np.lexsort((tiebreak, -heat.ravel()))] = np.arange(heat.size)
    shares = np.linspace(0, 1, steps + 1)
    hot = (rank.reshape(side, side) < shares[:, None, None] * heat.size)[..., None]
    batch = np.concatenate([np.where(hot, blurred, square), np.where(hot, square, blurred)])
    scores = bundle.score(bundle.forward(batch.astype(np.float32)), head)
    return Curves(shares, scores[: steps + 1], scores[steps + 1 :])


def mean_curves(several: Sequence[Curves]) -> Curves:
    """Average the curves of several frames, all with the same number of steps."""
    return Curves(
        several[0].shares,
        np.mean([one.deletion for one in several], axis=0),
        np.mean([one.insertion for one in several], axis=0),
    )
