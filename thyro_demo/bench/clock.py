"""Time rivals in turns, so that what else the computer does weighs on all of them alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from tqdm import tqdm


@dataclass(frozen=True)
class Entrant:
    """One side of a race.

    Parameters
    ----------
    name : str
        Key of its time.
    run : callable
        Takes the number of the round, so that no round can profit from what an earlier
        one left in a cache.
    prepare : callable or None
        Called before `run` with the same number, outside the timing.
    """

    name: str
    run: Callable[[int], object]
    prepare: Callable[[int], object] | None = None


def race(entrants: Sequence[Entrant], rounds: int, warm_up: int, title: str) -> dict[str, float]:
    """Run all entrants in every round and return the median of each.

    The order rotates from round to round: whoever runs after a hungry rival finds the
    processor's caches cold, and that should not always be the same one.

    Parameters
    ----------
    entrants : sequence of Entrant
        Who runs.
    rounds : int
        Rounds that count.
    warm_up : int
        Rounds before them that do not.
    title : str
        Of the progress bar.

    Returns
    -------
    dict of str to float
        Median seconds by name.
    """
    seconds: dict[str, list[float]] = {entrant.name: [] for entrant in entrants}
    for turn in tqdm(range(warm_up + rounds), title, unit="round"):
        shift = turn % len(entrants)
        for entrant in [*entrants[shift:], *entrants[:shift]]:
            if entrant.prepare is not None:
                entrant.prepare(turn)
            start = perf_counter()
            entrant.run(turn)
            took = perf_counter() - start
            if turn >= warm_up:
                seconds[entrant.name].append(took)
    return {name: median(taken) for name, taken in seconds.items()}
