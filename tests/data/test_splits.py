"""Nothing that belongs together is on two sides of a split."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from thyro_demo.data import splits
from thyro_demo.errors import DataError, LeakError

SOURCES = ("ddti", "web300", "other")


@st.composite
def tables(draw_from, most_images=3):
    """Record tables of 30 to 90 groups, one label a group, up to `most_images` images each."""
    sizes = draw_from(st.lists(st.integers(1, most_images), min_size=30, max_size=90))
    rng = np.random.default_rng(draw_from(st.integers(0, 2**32 - 1)))
    shares = rng.dirichlet([4, 4, 4])
    rows = []
    for group, size in enumerate(sizes):
        # Every third group is malignant, so that no label is ever too scarce.
        label = "malignant" if group % 3 == 0 else "benign"
        source = str(rng.choice(SOURCES, p=shares))
        rows += [{"label": label, "group": f"g{group}", "source": source}] * size
    records = pd.DataFrame(rows).sample(frac=1, random_state=rng.integers(2**31))
    records.insert(0, "path", [f"{row}.png" for row in range(len(records))])
    return records


def table_of(paths, **columns) -> pd.DataFrame:
    records = pd.DataFrame({"path": [str(path) for path in paths]})
    return records.assign(**({"label": "benign", "group": np.nan, "source": "x"} | columns))


class TestKfold:
    @given(tables(), st.integers(2, 6), st.integers(0, 5))
    @settings(deadline=None, max_examples=40)
    def test_a_group_never_crosses_and_the_folds_add_up(self, records, folds, seed):
        assigned = splits.kfold(records, folds, seed)
        assert assigned.groupby("group")["fold"].nunique().max() == 1
        assert sorted(assigned["fold"].unique()) == list(range(folds))
        pd.testing.assert_frame_equal(assigned.drop(columns="fold"), records)
        splits.check(assigned, "fold", hashes=False)

    @given(tables(), st.integers(0, 5))
    @settings(deadline=None, max_examples=25)
    def test_label_proportions_are_kept(self, records, seed):
        assigned = splits.kfold(records, 3, seed)
        malignant = assigned["label"] == "malignant"
        # A fold can be off by about a group of three images.
        for _, share in malignant.groupby(assigned["fold"]):
            assert abs(share.mean() - malignant.mean()) < 0.2

    def test_same_seed_same_folds_other_seed_others(self):
        records = table_of(range(60), group=[f"g{i // 2}" for i in range(60)])
        first, again, other = (splits.kfold(records, 5, seed)["fold"] for seed in (1, 1, 2))
        assert first.equals(again)
        assert not first.equals(other)

    def test_sources_are_assigned_evenly_within_a_label(self):
        records = table_of(range(90), group=[f"g{i}" for i in range(90)])
        records["source"] = np.repeat(SOURCES, 30)
        assigned = splits.kfold(records, 5)
        counts = pd.crosstab(assigned["source"], assigned["fold"])
        assert (counts == 6).all(axis=None)

    def test_the_one_image_of_a_rare_source_is_assigned_all_the_same(self):
        records = table_of(range(31), group=[f"g{i}" for i in range(31)])
        records["source"] = ["rare"] + ["common"] * 30
        assert splits.kfold(records, 5)["fold"].notna().all()

    def test_missing_groups_need_an_explicit_choice(self):
        records = table_of(range(20))
        with pytest.raises(DataError, match=r"image-level.*Received: 20 of 20"):
            splits.kfold(records)
        assert set(splits.kfold(records, image_level=True)["fold"]) == set(range(5))

    def test_images_with_a_group_stay_together_at_image_level(self):
        records = table_of(range(40), group=["patient"] * 8 + [np.nan] * 32)
        assigned = splits.kfold(records, 4, image_level=True)
        assert assigned["fold"][:8].nunique() == 1

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"label": np.nan}, r"must have a label. Received: none for 0"),
            ({"group": "one"}, r"one group per fold.*Received: 1 of label benign"),
        ],
    )
    def test_table_that_cannot_be_assigned_is_refused(self, change, sentence):
        records = table_of(range(12), group=[f"g{i}" for i in range(12)]).assign(**change)
        with pytest.raises(DataError, match=sentence):
            splits.kfold(records)

    @pytest.mark.parametrize("folds", [1, 0, -2])
    def test_fewer_than_two_folds_are_refused(self, folds):
        with pytest.raises(DataError, match=f"Received: folds={folds}"):
            splits.kfold(table_of(range(9)), folds, image_level=True)

    def test_empty_table_is_refused(self):
        with pytest.raises(DataError, match="empty table"):
            splits.kfold(table_of([]))


class TestSplit:
    @given(tables(), st.integers(0, 5))
    @settings(deadline=None, max_examples=40)
    def test_a_group_never_crosses_and_the_parts_add_up(self, records, seed):
        assigned = splits.split(records, seed=seed)
        assert assigned.groupby("group")["split"].nunique().max() == 1
        assert set(assigned["split"]) == set(splits.PARTS)
        pd.testing.assert_frame_equal(assigned.drop(columns="split"), records)

    @given(
        st.sampled_from([(0.7, 0.15, 0.15), (0.6, 0.2, 0.2), (0.8, 0.2, 0.0), (0.5, 0.0, 0.5)]),
        st.integers(0, 5),
    )
    @settings(deadline=None, max_examples=25)
    def test_fractions_and_labels_are_met(self, fractions, seed):
        records = table_of(range(400), group=[f"g{i // 2}" for i in range(400)])
        records["label"] = ["benign"] * 260 + ["malignant"] * 140
        assigned = splits.split(records, fractions, seed)
        for part, fraction in zip(splits.PARTS, fractions, strict=True):
            inside = assigned[assigned["split"] == part]
            assert len(inside) / 400 == pytest.approx(fraction, abs=0.02)
            if fraction:
                # 70 malignant groups over 20 steps: each step holds 6 or 8 of its 20 images.
                assert (inside["label"] == "malignant").mean() == pytest.approx(0.35, abs=0.051)

    def test_three_groups_of_a_label_reach_all_three_parts(self):
        records = table_of(range(9), group=np.repeat(["a", "b", "c"], 3))
        assert set(splits.split(records)["split"]) == set(splits.PARTS)

    def test_one_part_takes_everything(self):
        records = table_of(range(3), group=["a", "b", "c"])
        assert set(splits.split(records, (0, 0, 1))["split"]) == {"test"}

    @pytest.mark.parametrize(
        "fractions", [(0.7, 0.2, 0.2), (0.5, 0.5), (1.2, -0.1, -0.1), (np.nan, 0.5, 0.5)]
    )
    def test_shares_of_no_whole_are_refused(self, fractions):
        with pytest.raises(DataError, match="add up to 1"):
            splits.split(table_of(range(20)), fractions, image_level=True)

    def test_fewer_groups_than_parts_are_refused(self):
        with pytest.raises(DataError, match=r"one group per part, 3 in all. Received: 2"):
            splits.split(table_of(range(8), group=np.repeat(["a", "b"], 4)))


class TestCheck:
    def test_group_on_two_sides_is_named(self):
        records = table_of(["a.png", "b.png"], group="p7", split=["train", "test"])
        with pytest.raises(LeakError, match=r"group p7 with a.png in train and b.png in test"):
            splits.check(records, "split", hashes=False)

    def test_near_duplicate_on_two_sides_is_named(self, frames, tmp_path):
        for name, frame in (("a", frames[0]), ("b", (frames[0] * 0.7).astype(np.uint8))):
            Image.fromarray(frame).save(tmp_path / f"{name}.png")
        records = table_of([tmp_path / "a.png", tmp_path / "b.png"], group=["p1", "p2"])
        records["fold"] = [0, 1]
        splits.check(records, "fold", hashes=False)
        with pytest.raises(LeakError, match=r"a\.png in 0 and .*b\.png in 1, one of 1"):
            splits.check(records, "fold")

    def test_images_without_group_or_side_are_free(self):
        records = table_of(["a", "b", "c"], group=[np.nan, np.nan, "p"])
        records["split"] = ["train", "test", None]
        splits.check(records, "split", hashes=False)

    def test_missing_column_is_refused(self):
        with pytest.raises(DataError, match="Received: column=fold, not one of path, label"):
            splits.check(table_of(["a"]), "fold")

    def test_published_split_of_the_real_thyroid_set_leaks(self, clustered):
        records, clusters = clustered
        assert splits.crossing(clusters, records["published_split"])
        with pytest.raises(LeakError, match="A group must be on one side"):
            splits.check(records, "published_split")

    def test_grouped_folds_of_the_real_thyroid_set_do_not(self, clustered):
        records, clusters = clustered
        assigned = splits.kfold(records)
        splits.check(assigned, "fold", hashes=False)
        assert not splits.crossing(clusters, assigned["fold"])
