"""What one reader has before them: a comparison, no larger than the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from thyro_demo.data.frame import Spacing, shrunk
from thyro_demo.engine import Comparison, Prediction
from thyro_demo.ui import outlines, results
from thyro_demo.ui.pictures import fitted


@dataclass
class Shown:
    """A comparison on the page; kept for ten minutes at most.

    Frame and heatmaps are no larger than they are shown: those of one large frame would
    take a gigabyte. Heatmaps and a box are added in place: a reader draws a box while further
    heatmaps are being drawn, and each must find what the other has added.

    Attributes
    ----------
    path : str
        The frame as it came, for heatmaps yet to be drawn.
    record : dict
        The comparison as plain values, with the sizes of the frame as it came.
    comparison : Comparison
        The comparison with a frame and heatmaps that fit the page.
    nodule : Nodule or None
        Where the nodule is known to be, in the coordinates of that frame.
    drawn : Nodule or None
        A box that the reader drew on it.
    """

    path: str
    record: dict[str, Any]
    comparison: Comparison
    nodule: outlines.Nodule | None
    drawn: outlines.Nodule | None = None

    @classmethod
    def of(cls, path: str, comparison: Comparison, mask: np.ndarray | None) -> Shown:
        """Keep what the page can show of a comparison, and of the nodule's mask if there is one."""
        frame = fitted(comparison.frame)
        share = frame.shape[1] / comparison.frame.shape[1]
        known = outlines.known(mask, comparison.roi, comparison.frame.shape[:2])
        if known is not None:
            known = replace(known, mask=fitted(known.mask.astype(np.float32)) >= 0.5)
        small = replace(
            comparison,
            frame=frame,
            box=shrunk(comparison.box, share, frame.shape),
            predictions=[_small(prediction) for prediction in comparison.predictions],
            spacing=comparison.spacing and Spacing(*(one / share for one in comparison.spacing)),
            nodules={name: fitted(drawn) for name, drawn in comparison.nodules.items()},
        )
        return cls(path, comparison.to_dict(), small, known)

    def without_heatmap(self, heads: Sequence[str]) -> list[Prediction]:
        """List the predictions of some heads whose heatmaps are yet to be drawn."""
        return [
            shown
            for shown in self.comparison.predictions
            if shown.head in heads and shown.heatmap is None
        ]

    def add_heatmap(self, drawn: Prediction) -> None:
        """Put a prediction with its heatmap in the place of the one without."""
        predictions = [
            _small(drawn) if (shown.model, shown.head) == (drawn.model, drawn.head) else shown
            for shown in self.comparison.predictions
        ]
        self.comparison = replace(self.comparison, predictions=predictions)

    def enclose(self, edges: tuple[float, ...] | None) -> None:
        """Measure the heatmaps by a box of the reader's, or no longer; see `outlines.boxed`."""
        shape = self.comparison.frame.shape[0], self.comparison.frame.shape[1]
        self.drawn = None if edges is None else outlines.boxed(edges, shape)

    @property
    def heads(self) -> list[str]:
        """All heads beside softmax, in the order of their first model."""
        heads = dict.fromkeys(one.head for one in self.comparison.predictions)
        return [head for head in heads if head != "softmax"]

    def ordered(self, heads: Sequence[str]) -> list[Prediction]:
        """Order what is to be shown: softmax, where there is one, then the heads asked for."""
        wanted = ["softmax", *heads]
        chosen = [shown for shown in self.comparison.predictions if shown.head in wanted]
        return sorted(chosen, key=lambda shown: wanted.index(shown.head))

    def nodule_mask(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return where the nodule is known to be, else where the networks draw it.

        Parameters
        ----------
        shape : tuple of int
            Of the frame as it came.

        Returns
        -------
        ndarray of bool, shape (H, W)
            All False where neither is a nodule.
        """
        if self.nodule is not None:
            small = self.nodule.mask
        elif found := outlines.found(self.comparison):
            small = np.mean(list(found.values()), axis=0) >= outlines.DRAWN
        else:
            small = np.zeros((1, 1), bool)
        return np.asarray(
            Image.fromarray(small).resize((shape[1], shape[0]), Image.Resampling.NEAREST)
        )

    def tiles(self, heads: Sequence[str], titles: dict[str, str], grid: bool = False) -> str:
        """Write the heatmaps asked for, each with its share on the nodule.

        Parameters
        ----------
        heads : sequence of str
            The heads to show beside softmax.
        titles : dict of str to str
            Display name of each model.
        grid : bool, optional
            Whether to show all heads instead, small, with a row for each model.

        Returns
        -------
        str
            HTML.
        """
        # Another thread may put a box in the place of this one.
        drawn = self.drawn
        nodules = outlines.found(self.comparison).items()
        is_known = self.nodule is not None and self.nodule.what == outlines.KNOWN
        return results.heatmaps(
            self.comparison.frame,
            self.ordered(self.heads if grid else heads),
            titles,
            results.Lines(
                # A box of the reader's takes the place of what the networks draw.
                {} if drawn else {name: outlines.border(one) for name, one in nodules},
                outlines.border(self.nodule.mask, outlines.GREEN)
                if is_known and self.nodule
                else None,
                outlines.border(drawn.mask, outlines.YELLOW) if drawn else None,
            ),
            outlines.shares(self.comparison, drawn or self.nodule),
            grid,
            self.comparison.spacing,
        )


def _small(prediction: Prediction) -> Prediction:
    if prediction.heatmap is None:
        return prediction
    return replace(prediction, heatmap=fitted(prediction.heatmap))
