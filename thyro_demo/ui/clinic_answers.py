"""What the page "Clinic" answers: frames, scores, and the same verdicts for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from thyro_demo.clinical import measurement, teaching_rule, tirads
from thyro_demo.data.frame import Frame, Spacing
from thyro_demo.engine import NOTICE, Comparison, Engine
from thyro_demo.errors import DataError, ThyroError
from thyro_demo.ui import clinic_texts as texts
from thyro_demo.ui.catalogue import figure
from thyro_demo.ui.clinic_tables import FEATURES
from thyro_demo.ui.examples import Example
from thyro_demo.ui.frame_box import loaded
from thyro_demo.ui.html import DEFECT
from thyro_demo.ui.offered import NO_BUNDLE, OfferedModels
from thyro_demo.ui.pictures import frame_address
from thyro_demo.ui.results import wording
from thyro_demo.ui.sentences import said
from thyro_demo.ui.warmup import WarmUp

_NO_FRAME = (
    "Choose a phantom, or upload, drop, paste or photograph a frame first. Received: no frame."
)


class ClinicAnswers:
    """The handlers of the page; each request brings all that its answer depends on.

    Parameters
    ----------
    engine : Engine
        What scores.
    examples : sequence of Example
        Frames on offer.
    warm_up : WarmUp or None
        The loading of the networks that the first score waits for.
    """

    def __init__(
        self,
        engine: Engine,
        examples: Sequence[Example],
        warm_up: WarmUp | None,
    ) -> None:
        self._engine = engine
        self._examples = {example.name: example for example in examples}
        self._warm_up = warm_up
        offered = OfferedModels.of(engine)
        # Two calipers are a line; a network that reads a nodule wants a box.
        titles = {
            name: title for name, title in offered.titles.items() if name not in offered.need_mark
        }
        ensembles = [name for name in titles if engine.kind(name) == "ensemble"]
        self.titles = {name: titles[name] for name in dict.fromkeys([*ensembles, *titles])}

    # For the page

    def frame(self, asked: Any) -> Iterator[dict[str, Any]]:
        """Take a frame in: its picture, size, spacing, and what is known of it."""
        yield from _answered(self._take, asked)

    def score(self, asked: Any) -> Iterator[dict[str, Any]]:
        """Score a frame with the primary head of a model, at its frozen Youden point."""
        yield from _answered(lambda of: self._score(self._frame(of)[0], of.get("model")), asked)

    # For programs

    def clinic(
        self,
        image: str | None,
        size_mm: str,
        model: str,
        composition: str,
        echogenicity: str,
        shape: str,
        margin: str,
        foci: Any,
    ) -> dict[str, Any]:
        """Answer what the API page promises, ``texts/api.yaml``.

        Parameters
        ----------
        image : str or None
            The image file.
        size_mm : str
            Longest diameter as it is typed; may be empty.
        model : str
            Name of the model; empty for the page's first.
        composition, echogenicity, shape, margin : str
            Names of `tirads`' tables; all empty leaves TI-RADS out.
        foci : list of str or None
            Names of `tirads.FOCI`.

        Returns
        -------
        dict
            Score, rule, TI-RADS and verdict.
        """
        try:
            size = _size(size_mm)
            named = (composition, echogenicity, shape, margin)
            # Asked before the networks are: a wrong name must not cost a forward pass.
            points = _points(named, foci) if any(named) or foci else None
            if image is None:
                raise ThyroError(_NO_FRAME)
            scored = self._score(loaded(image), model or next(iter(self.titles), None))
        except ThyroError as error:
            raise gr.Error(str(error), print_exception=False) from error
        judged = judge(points, size, scored["positive"], not scored["notices"])
        return {"notice": NOTICE, "size_mm": size} | scored | judged

    def tirads(
        self, composition: str, echogenicity: str, shape: str, margin: str, foci: Any, size_mm: str
    ) -> dict[str, Any]:
        """Answer what the API page promises, ``texts/api.yaml``.

        Parameters
        ----------
        composition, echogenicity, shape, margin : str
            Names of `tirads`' tables.
        foci : list of str or None
            Names of `tirads.FOCI`.
        size_mm : str
            Longest diameter as it is typed; may be empty.

        Returns
        -------
        dict
            Points, level and advice.
        """
        try:
            points = _points((composition, echogenicity, shape, margin), foci)
            return {"notice": NOTICE} | _advice(points, _size(size_mm))
        except ThyroError as error:
            raise gr.Error(str(error), print_exception=False) from error

    # Steps

    def _take(self, asked: dict[str, Any]) -> dict[str, Any]:
        frame, example = self._frame(asked)
        height, width = frame.pixels.shape[:2]
        return {
            "picture": frame_address(frame.pixels),
            "width": width,
            "height": height,
            "spacing": None if frame.spacing is None else list(frame.spacing),
            "known": [said(one) for one in frame.notices] if example is None else _known(example),
            "loading": self._warm_up is not None and not self._warm_up.ready,
        }

    def _frame(self, asked: dict[str, Any]) -> tuple[Frame, Example | None]:
        """Read what the page asks about: an example by its name, or an upload by its path."""
        name, file = asked.get("example"), asked.get("file")
        if isinstance(name, str) and name in self._examples:
            example = self._examples[name]
            pitch = example.spacing_mm
            spacing = None if pitch is None else Spacing(pitch, pitch)
            return Frame(example.read(), spacing=spacing), example
        # The gate has looked at the path, which it knows by this form alone.
        path = file.get("path") if isinstance(file, dict) else None
        if isinstance(path, str):
            return loaded(path), None
        if name is not None:
            raise ThyroError(
                f"An example must be one of those on the page. Received: {str(name)[:80]}."
            )
        raise ThyroError(_NO_FRAME)

    def _score(self, frame: Frame, model: Any) -> dict[str, Any]:
        if not self.titles:
            raise ThyroError(NO_BUNDLE)
        if not isinstance(model, str) or model not in self.titles:
            raise ThyroError(
                f"The model must be one of {', '.join(self.titles)}. Received: {str(model)[:80]}."
            )
        if self._warm_up is not None:
            self._warm_up.wait()
        return self._read(self._engine.compare(frame, [model], ()), model, frame.notices)

    def _read(
        self, comparison: Comparison, model: str, of_the_file: Sequence[str]
    ) -> dict[str, Any]:
        """Take the primary head's prediction out of a comparison of one model."""
        head = self._engine.primary(model)
        shown = next(one for one in comparison.predictions if one.head == head)
        words = wording(shown)
        return {
            "model": model,
            "title": self.titles[model],
            "head": words.head,
            "score": shown.score,
            "threshold": shown.threshold,
            "shown": [words.score, words.threshold],
            "positive": shown.positive,
            # What is wrong with the score; text in a file's picture is shown with the frame.
            "notices": [said(one) for one in comparison.notices if one not in of_the_file],
            "agreement": said(comparison.agreement),
        }


def _answered(
    work: Callable[[dict[str, Any]], dict[str, Any]], asked: Any
) -> Iterator[dict[str, Any]]:
    """Answer the page under the number of its request, also when the work fails."""
    asked = asked if isinstance(asked, dict) else {}
    number = {"of": asked.get("number")}
    try:
        answer = work(asked)
    except ThyroError as error:
        answer = {"refusal": said(str(error))}
    except Exception:
        # Else the page would wait for ever; the log has the rest.
        yield number | {"refusal": said(DEFECT)}
        raise
    yield number | answer


def _size(text: Any) -> float | None:
    """Read a size; None where there is none."""
    shown = "" if text is None else str(text)
    return measurement.read(shown, measurement.SIZE) if shown.strip() else None


def _points(named: Sequence[str], foci: Any) -> int:
    """Count points; spongiform stops the count, so that nothing else need be named."""
    chosen = dict(zip(FEATURES, named, strict=True))
    for feature, name in chosen.items():
        stopped = chosen["composition"] == tirads.SPONGIFORM
        if name not in FEATURES[feature] and (name or not stopped):
            raise DataError(
                f"{feature} must be one of {', '.join(FEATURES[feature])}. "
                f"Received: {str(name or 'nothing')[:80]}."
            )
    if foci is not None and not (
        isinstance(foci, list) and all(isinstance(focus, str) for focus in foci)
    ):
        raise DataError(
            f"foci must be a list of names, such as {list(tirads.FOCI)[-1:]}. "
            f"Received: {str(foci)[:80]}."
        )
    # What was left unnamed behind "spongiform" adds nothing.
    full = {feature: name or next(iter(FEATURES[feature])) for feature, name in chosen.items()}
    return tirads.points(tirads.Features(**full, foci=tuple(foci or ())))


def judge(points: int | None, size: float | None, positive: bool, reliable: bool) -> dict[str, Any]:
    """Hold TI-RADS and the model against each other, as the page does in the browser.

    Parameters
    ----------
    points : int or None
        TI-RADS points; None where no feature was named.
    size : float or None
        Longest diameter in millimetres; None where it is not known.
    positive : bool
        Whether the model score reaches its threshold.
    reliable : bool
        Whether no notice goes before the score.

    Returns
    -------
    dict
        The teaching rule, TI-RADS, whether they agree, and the sentence about it.
    """
    text = texts.texts()
    rule, discussed = text["waiting_size"], None
    agree, verdict = None, text["to_compare"]
    if not reliable:
        rule, verdict = text["unreliable"], text["not_compared"]
    elif size is not None:
        discussed = teaching_rule.is_discussed(positive, size)
        rule = texts.rule(discussed, positive)
        if points is not None:
            found = teaching_rule.compare(points, positive, size)
            agree, verdict = found.agree, texts.verdict(points, found)
    return {
        "rule": {"discussed": discussed, "sentence": rule, "caption": texts.caption()},
        "tirads": None if points is None else _advice(points, size),
        "agree": agree,
        "verdict": verdict,
    }


def _advice(points: int, size: float | None) -> dict[str, Any]:
    """Look a total up: with a size the advice, without one what sizes it asks for."""
    advice = None if size is None else tirads.recommendation(points, size)
    return {
        "points": points,
        "level": tirads.level(points),
        "action": advice and advice.action,
        "years": advice and list(advice.years),
        "sentence": advice.sentence if advice else texts.schedule(points),
    }


def _known(example: Example) -> list[str]:
    """Write what the page unfolds when asked: name, size and truth, which its caption keeps."""
    text = texts.texts()
    size = figure(f"{example.size_mm or 0:g}")
    sized = text["drawn_size"].format(size=size) if example.size_mm else ""
    named = text["name"].format(name=said(example.caption))
    return [sentence for sentence in (named, sized, said(example.truth)) if sentence]
