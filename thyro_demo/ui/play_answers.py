"""What the page "Play" answers: a drawn frame, its points, and what networks make of it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from thyro_demo.clinical import tirads
from thyro_demo.data.phantom import Phantom, malignant_probability
from thyro_demo.engine import NOTICE, Engine, Prediction
from thyro_demo.errors import ThyroError
from thyro_demo.ui import play_state
from thyro_demo.ui.offered import OfferedModels
from thyro_demo.ui.pictures import blank, frame_address, map_address
from thyro_demo.ui.play_state import State
from thyro_demo.ui.results import NO_EVIDENCE, wording
from thyro_demo.ui.sentences import said
from thyro_demo.ui.warmup import WarmUp

_FIRST = ("softmax", "average")
"""The head that speaks for a model where one has to, in this order."""


class PlayAnswers:
    """The handlers of the page.

    Parameters
    ----------
    engine : Engine
        What scores and explains.
    warm_up : WarmUp or None
        The loading of the networks; until it is done, frames come without scores.
    """

    def __init__(self, engine: Engine, warm_up: WarmUp | None) -> None:
        self._engine = engine
        self._warm_up = warm_up
        self.models = OfferedModels.of(engine)
        self.networks = [name for name in self.models.titles if self._engine.kind(name) == "scan"]

    def frame(self, raw: Any) -> dict[str, Any]:
        """Draw a frame, with the scores and the heatmap of the chosen network.

        Parameters
        ----------
        raw : object
            The state, as `play_state.read` takes it.

        Returns
        -------
        dict
            Values that ``json.dumps`` takes; "loading" instead of scores while the networks load.
        """
        state = play_state.read(raw, self.networks)
        drawn = state.draw()
        answer = _facts(state, drawn) | {"frame": frame_address(drawn.rgb)}
        if not state.network:
            return answer
        if self._warm_up is not None and not self._warm_up.ready:
            self._warm_up.start()
            return answer | {"loading": True}
        comparison = self._engine.compare(drawn.rgb, [state.network], _FIRST[:1])
        first = comparison.predictions[0]
        empty = first.heatmap is None or blank(first.heatmap)
        return answer | {
            "scores": [_score(shown) for shown in comparison.predictions],
            "map": "" if first.heatmap is None or empty else map_address(first.heatmap),
            "map_note": said(NO_EVIDENCE) if empty else "",
            "notices": [said(one) for one in comparison.notices],
            "milliseconds": round(comparison.milliseconds, 1),
        }

    def scores(self, raw: Any) -> dict[str, Any]:
        """Draw a frame, and score it with every network that needs no marked nodule.

        Parameters
        ----------
        raw : object
            The state, as `play_state.read` takes it.

        Returns
        -------
        dict
            Values that ``json.dumps`` takes.
        """
        state = play_state.read(raw, self.networks)
        drawn = state.draw()
        if self._warm_up is not None:
            self._warm_up.wait()
        found = {}
        if names := self.models.ticked:
            comparison = self._engine.compare(drawn.rgb, names, ())
            for name in names:
                heads = {one.head: one for one in comparison.predictions if one.model == name}
                first = next((heads[head] for head in _FIRST if head in heads), None)
                found[name] = _score(first or next(iter(heads.values())))
        return _facts(state, drawn) | {"scores": found}

    def live_frame(self, raw: Any) -> dict[str, Any]:
        """Answer the page with a frame, or with the sentence of a refusal."""
        return _worded(self.frame, raw)

    def live_scores(self, raw: Any) -> dict[str, Any]:
        """Answer the page with scores, or with the sentence of a refusal."""
        return _worded(self.scores, raw)

    def frame_for_programs(self, state: Any) -> dict[str, Any]:
        """Draw and score a frame, once the networks are there: as ``texts/api.yaml`` promises.

        Parameters
        ----------
        state : object
            As for `frame`.

        Returns
        -------
        dict
            As `frame`.
        """
        if self._warm_up is not None:
            self._warm_up.wait()
        return _raised(self.frame, state)

    def scores_for_programs(self, state: Any) -> dict[str, Any]:
        """Score a frame with every network: what ``texts/api.yaml`` promises.

        Parameters
        ----------
        state : object
            As for `frame`.

        Returns
        -------
        dict
            As `scores`.
        """
        return _raised(self.scores, state)


def _worded(handler: Any, raw: Any) -> dict[str, Any]:
    try:
        return handler(raw)
    except ThyroError as error:
        return {"refused": said(str(error))}


def _raised(handler: Any, raw: Any) -> dict[str, Any]:
    try:
        return handler(raw)
    except ThyroError as error:
        raise gr.Error(str(error), print_exception=False) from error


def _facts(state: State, drawn: Phantom) -> dict[str, Any]:
    """Collect what is true of a phantom, whatever a network makes of it."""
    features, points = state.features, tirads.points(state.features)
    return {
        "notice": NOTICE,
        "state": state.to_dict(),
        "points": points,
        "level": tirads.level(points) or "",
        "parts": _parts(features),
        "chance": round(malignant_probability(points), 4),
        "depth_mm": _depth_mm(state, drawn),
    }


def _parts(features: tirads.Features) -> dict[str, int]:
    """Split the points by feature; of a spongiform nodule no other feature counts."""
    if features.composition == "spongiform":
        return dict.fromkeys(("composition", "echogenicity", "shape", "margin", "foci"), 0)
    return {
        "composition": tirads.COMPOSITION[features.composition],
        "echogenicity": tirads.ECHOGENICITY[features.echogenicity],
        "shape": tirads.SHAPE[features.shape],
        "margin": tirads.MARGIN[features.margin],
        "foci": sum(tirads.FOCI[focus] for focus in features.foci),
    }


def _depth_mm(state: State, drawn: Phantom) -> float:
    """Measure the scan, which is deeper than asked for where gland and nodule need the room."""
    shape = drawn.frame.shape[0], drawn.frame.shape[1]
    rows = state.scanner.scan_shape(shape)[0] if state.scanner else shape[0]
    return round(drawn.spacing_mm * rows, 1)


def _score(shown: Prediction) -> dict[str, Any]:
    words = wording(shown)
    return {
        "head": shown.head,
        "title": words.head,
        "score": shown.score,
        "threshold": shown.threshold,
        "positive": bool(shown.positive),
        "text": words.score,
        "threshold_text": words.threshold,
        "side": words.side,
    }
