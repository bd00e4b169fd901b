"""Frames a second are counted, not guessed."""

from thyro_demo.bench import phantom


def test_it_draws_the_frames_it_counts(monkeypatch):
    drawn = []
    cohort = phantom.cohort

    def noting(patients, frames, seed, **options):
        for one in cohort(patients, frames, seed=seed, **options):
            drawn.append((seed, one.frame.shape))
            yield one

    monkeypatch.setattr(phantom, "cohort", noting)
    outcome = phantom.run(frames=4, rounds=2)
    (figure,) = outcome.figures
    assert figure.at_least
    assert figure.bound == 60
    assert [seed for seed, _ in drawn if seed] == [1] * 4 + [2] * 4
    assert {shape for _, shape in drawn} == {(360, 480)}
