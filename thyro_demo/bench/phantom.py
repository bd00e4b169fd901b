"""How fast phantoms are drawn."""

from time import perf_counter

from tqdm import tqdm

from thyro_demo.bench.figures import Figure, Outcome
from thyro_demo.data.phantom import cohort

TARGET = 60.0
SHAPE = (360, 480)
WORKERS = 2


def run(frames: int = 120, rounds: int = 3) -> Outcome:
    """Draw a cohort and count its frames a second.

    Parameters
    ----------
    frames : int
        Frames that are drawn in a round, two a patient.
    rounds : int
        Rounds; the median counts.

    Returns
    -------
    Outcome
        One figure.
    """
    list(cohort(5, 2, seed=0, shape=SHAPE, workers=WORKERS))
    rates = sorted(_rate(frames, seed) for seed in range(1, rounds + 1))
    rate = rates[len(rates) // 2]
    figure = Figure(
        f"phantoms of {SHAPE[1]} × {SHAPE[0]}, array out",
        ours=rate,
        unit="frames/s",
        value=rate,
        bound=TARGET,
        target=f"≥ {TARGET:.0f} frames/s",
        at_least=True,
    )
    return Outcome(
        "phantom", [figure], settings={"frames": frames, "rounds": rounds, "workers": WORKERS}
    )


def _rate(frames: int, seed: int) -> float:
    patients = -(-frames // 2)
    drawn = cohort(patients, 2, seed=seed, shape=SHAPE, workers=WORKERS)
    start = perf_counter()
    for _ in tqdm(drawn, "Phantoms", 2 * patients, unit="frame"):
        pass
    return 2 * patients / (perf_counter() - start)
