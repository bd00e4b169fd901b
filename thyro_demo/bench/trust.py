"""What strangers, faults and crowds can do to the app: nothing that is lost, or that gets through.

Bad inputs, hostile bundles, injected faults, attacks on a running app, and a crowd that visits
it; everything stays on this computer.
"""

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from thyro_demo.bench import attacks, crowd, faults, fuzz, strangers
from thyro_demo.bench.attacks import Attack
from thyro_demo.bench.crowd import Held
from thyro_demo.bench.figures import Figure, Outcome
from thyro_demo.bench.fuzz import Tally
from thyro_demo.bench.visitor import running
from thyro_demo.bundle import manifest
from thyro_demo.errors import ThyroError

INPUTS = 12_000
LEAST_INPUTS = 10_000
SECONDS, SECONDS_FAST = 300.0, 20.0
GROWTH_PERCENT, P95_S = 5.0, 30.0
NETWORK = "efficientnet-b0"
"""Which bundle serves: where it is missing, the first that is a network."""


def run(weights: Path | None = None, fast: bool = False) -> Outcome:
    """Try all of it, and count what got through.

    Parameters
    ----------
    weights : Path, optional
        Folder of bundles, of which one serves; by default the shipped ones, or where there
        are none an EfficientNet-B0 with random weights.
    fast : bool
        Let the crowd stay for 20 seconds in place of five minutes.

    Returns
    -------
    Outcome
        Counts of what got through or was lost, each of which must be 0, and how the app
        bore the crowd. Its notes report how each kind was answered.

    Raises
    ------
    ThyroError
        If the app does not come up, or there is no bundle with a network.
    """
    seconds = SECONDS_FAST if fast else SECONDS
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        good, stand_in = _good_bundle(weights, work)
        tallies = fuzz.run(INPUTS)
        small = faults.small_bundle(_folder(work, "small"))
        refusals = strangers.tried(small, _folder(work, "strangers"))
        injected, left_out = faults.run(_folder(work, "faults"))
        attacks.lay_out(good, _folder(work, "attacked"))
        with running(work / "attacked", work) as app:
            tried = attacks.run(app, _folder(work, "host"), good.name)
        shutil.copytree(good, _folder(work, "visited") / good.name)
        with running(work / "visited", work) as app:
            held = crowd.run(app, good.name, seconds)
    figures = [
        *_input_figures(tallies),
        _none("hostile bundles that were loaded", refusals, _loaded(refusals)),
        _none("faults that lost something", injected, [f for f, lost in injected.items() if lost]),
        _none_of(sum(one.tried for one in tried), "attacks that got through",
                 sum(len(one.through) for one in tried)),
        *_crowd_figures(held, seconds),
    ]  # fmt: skip
    notes = [
        *_input_notes(tallies),
        *(f"hostile bundle, {name}: {refusal or 'LOADED'}" for name, refusal in refusals.items()),
        *(f"fault, {name}: {lost or 'nothing lost'}" for name, lost in injected.items()),
        *(line for one in tried for line in _attack_notes(one)),
        *_crowd_notes(held, good.name, stand_in),
    ]
    settings = {
        "seed": fuzz.SEED, "seconds": seconds, "network": good.name, "untrained": stand_in,
    }  # fmt: skip
    return Outcome("trust", figures, left_out, settings, notes)


def _folder(work: Path, name: str) -> Path:
    (work / name).mkdir()
    return work / name


def _good_bundle(weights: Path | None, work: Path) -> tuple[Path, bool]:
    """Choose a bundle of one network, or make one with random weights."""
    root = manifest.weights_root() if weights is None else weights
    names = [
        name for name in manifest.names(root)
        if manifest.kind(manifest.read_manifest(root / name)) == "scan"
    ]  # fmt: skip
    if names:
        return root / (NETWORK if NETWORK in names else names[0]), False
    if weights is not None:
        raise ThyroError(
            f"A folder of bundles must hold one with a network. Received: weights={weights}."
        )
    from thyro_demo.bench.untrained import untrained

    made = _folder(work, "untrained")
    untrained(NETWORK).write(made)
    return made / manifest.names(made)[0], True


def _none_of(tried: int, name: str, bad: int) -> Figure:
    return Figure(name, bad, f"of {tried:,}", value=bad, bound=0, target="0")


def _none(name: str, tried: Iterable[str], bad: Sequence[str]) -> Figure:
    return _none_of(len(list(tried)), name, len(bad))


def _loaded(refusals: dict[str, str]) -> list[str]:
    return [name for name, refusal in refusals.items() if "Received: " not in refusal]


def _input_figures(tallies: dict[str, Tally]) -> list[Figure]:
    tried = sum(one.read + one.refused + len(one.failures) for one in tallies.values())
    failed = sum(len(one.failures) for one in tallies.values())
    return [
        Figure("bad inputs tried", tried, "inputs", value=tried, bound=LEAST_INPUTS,
               target=f"≥ {LEAST_INPUTS:,}", at_least=True),
        _none_of(tried, "bad inputs without an answer", failed),
    ]  # fmt: skip


def _input_notes(tallies: dict[str, Tally]) -> list[str]:
    """Report how each kind was answered, and all that is needed to repeat a failure."""
    lines = [
        f"bad {kind}: {one.refused:,} refused in a sentence, {one.read:,} read in spite of it, "
        f"{len(one.failures)} without an answer"
        for kind, one in tallies.items()
    ]
    return lines + [f"repeat {failure}" for one in tallies.values() for failure in one.failures[:3]]


def _attack_notes(attack: Attack) -> list[str]:
    outcome = f"all refused ({attack.answer})" if not attack.through else "GOT THROUGH"
    lines = [f"attack, {attack.name}, {attack.tried} ways: {outcome}"]
    return lines + [f"through: {way}" for way in attack.through[:5]]


def _crowd_figures(held: Held, seconds: float) -> list[Figure]:
    faults_met = len(held.errors) + held.lost
    asked = len(held.seconds) + held.busy + faults_met
    return [
        _none_of(asked, f"faults met by a crowd in {seconds:.0f} s", faults_met),
        Figure("95 of 100 comparisons within", held.p95_s, "s", value=held.p95_s, bound=P95_S,
               target=f"≤ {P95_S:.0f} s"),
        Figure("memory after warm-up, least to most", held.growth_percent, "%",
               value=held.growth_percent, bound=GROWTH_PERCENT, target=f"≤ {GROWTH_PERCENT:.0f} %"),
    ]  # fmt: skip


def _crowd_notes(held: Held, name: str, stand_in: bool) -> list[str]:
    weights = "random weights" if stand_in else "the shipped weights"
    memory = f"{max(held.memory, default=0) / 2**20:,.0f} MB at most"
    lines = [
        f"crowd: {crowd.CONNECTED} open pages and {crowd.COMPUTING} who compare at once, "
        f"{len(held.seconds):,} comparisons by {name} with {weights}, {held.busy} sent away as the "
        f"queue was full, {held.lost} pages disconnected, {memory}"
    ]
    return lines + [f"met: {error}" for error in held.errors[:5]]
