# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Chapter 1b. From a frame to a fair split
#
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/ThyroDemo/ThyroDemo/blob/main/notebooks/01b_from_frame_to_split.ipynb
#
# **For teaching and research only. Nothing here is a medical device, and no score is a diagnosis.**
#
# After this chapter you can
#
# 1. prepare a **frame** (one ultrasound picture) for a **network** (a program that learns from
#    examples, chapter 2): crop it, cut out a nodule, put its grey values on a scale;
# 2. look through a collection of frames for sources, sizes and near duplicates;
# 3. split patients, not images, into those to learn from and those to test on, and show what goes
#    wrong otherwise.
#
# You need no data and no graphics card. Run the cells from top to bottom with *Shift + Enter*.

# %% [markdown]
# ## Before we start
#
# The next cell is folded; run it all the same. In Google Colab it fetches the project and installs
# what Colab lacks; on your own computer it installs nothing.

# %% cellView="form"
# @title Set up { display-mode: "form" }
import os
import subprocess
import sys
from pathlib import Path

HOME = "https://github.com/ThyroDemo/ThyroDemo"
places = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "ThyroDemo"]
here = any((place / "thyro_demo").is_dir() for place in places)
if "google.colab" in sys.modules and not here:
    subprocess.run(["git", "clone", "--depth", "1", HOME], check=True)
    needs = ["-r", "ThyroDemo/requirements.txt"]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *needs], check=True)
# The project runs from its own folder, wherever this notebook was opened.
root = next((place for place in places if (place / "thyro_demo").is_dir()), None)
if root is None:
    raise SystemExit(f"A chapter runs inside the project's folder ({HOME}). Received: {Path.cwd()}")
os.chdir(root)
sys.path.insert(0, str(root))

# %% [markdown]
# What you may change is all in one cell. `FAST` makes everything small, for a quick look; `SEED`
# fixes what chance decides, so that the same seed gives the same numbers; `DATA` names a folder of
# real images (leave it empty for drawn ones); `OUT` is where results go.

# %% tags=["parameters"]
FAST = os.environ.get("THYRO_FAST", "0") == "1"
SEED = 0
DATA = "" if FAST else os.environ.get("THYRO_DATA", "")
OUT = "runs/course"

# %%
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes to its own developers
warnings.filterwarnings("ignore", message="IProgress not found")  # plain progress bars will do

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

from thyro_demo.course import collection, show, tasks
from thyro_demo.course.lesson import begin
from thyro_demo.data import images, near_duplicates, scan_area, splits
from thyro_demo.data.roi import NODULE_MARGIN, widen
from thyro_demo.errors import LeakError
from thyro_demo.evaluate import baseline, intervals, metrics
from thyro_demo.evaluate.formatting import gain

lesson = begin("1b", FAST, SEED, DATA, OUT)

# %% [markdown]
# ## 1. From a frame to what a network sees
#
# A stored frame is not only ultrasound. Around the scan the scanner prints its name, settings, a
# scale; sometimes a clinic or a date. None of it is tissue, and all of it can betray the answer:
# if one hospital sends most of the cancers, its logo predicts cancer. So the first step is to
# **crop** to the **scan area**. We find it by density: tissue is bright nearly everywhere, text
# is thin strokes on black.
#
# *Before you run it:* which share of the pixels of such a frame is tissue?

# %%
stored = collection.stored_frames(lesson, 6)
areas = [scan_area.find(frame) for frame in stored]

# %% cellView="form"
# @title Draw scan areas { display-mode: "form" }
figure, grid = plt.subplots(2, 3, figsize=(11, 7), layout="constrained")
for axes, frame, area in zip(grid.flat, stored, areas, strict=True):
    kept = area.width * area.height / frame[..., 0].size
    show.frame(axes, frame, f"{kept:.0%} of the pixels are kept")
    collection.draw_box(axes, area, show.ORANGE, "scan area")
figure.suptitle(f"The scan area, found in {lesson.images}")
show.picture(figure)

# %% [markdown]
# *What to see:* whether the orange box holds all of the scan and none of the print. Where something
# is printed *inside* the scan (a measuring cross, a mark), no crop can remove it: look for it
# before you trust a model. A frame without any border should keep (nearly) all of its pixels.
#
# The second choice is how much of the neck to show. A **[region of interest][region-of-interest]**
# (ROI) is a box around the nodule, drawn by a person, with a margin. It makes the task easier, and
# it uses knowledge: who draws the box has found the nodule already.
#
# [region-of-interest]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#region-of-interest

# %%
frame, tight = collection.pick_nodule(collection.outlined_frames(lesson))
whole = scan_area.find(frame)
region = widen(tight, NODULE_MARGIN, frame.shape)
SIDE = 96

# %% cellView="form"
# @title Draw frame, scan area and nodule { display-mode: "form" }
figure, row = plt.subplots(1, 3, figsize=(11, 3.9), layout="constrained")
show.frame(row[0], frame, "The frame")
for box, colour, name in ((whole, show.ORANGE, "scan area"), (region, show.OUTLINE, "ROI")):
    collection.draw_box(row[0], box, colour, name)
row[0].legend(loc="lower right", fontsize=9)
for axes, box, name in zip(row[1:], (whole, region), ("Scan area", "ROI"), strict=True):
    square = scan_area.resize(scan_area.crop(frame, box), SIDE)
    show.frame(axes, square.astype(np.uint8), f"{name}, {SIDE} × {SIDE}")
show.picture(figure)

# %% [markdown]
# *What to see:* a network takes squares of one size, so everything is stretched to fit; note what
# that does to "taller than wide" in a wide frame. In the ROI the nodule takes the middle of the
# square and more of its edge can be read; in the whole scan it has fewer pixels, but the
# neighbourhood is there.
#
# Last, **normalisation**: networks learn best from numbers around zero. Two ways are common: the
# same formula for all frames (grey 0–255 becomes −1 to 1), or each frame by its own mean and its
# own spread (the standard deviation).

# %%
looks = [scan_area.prepare(one, SIDE)[0].mean(axis=2) for one in stored]
fixed = [look / 127.5 - 1 for look in looks]
own = [(look - look.mean()) / look.std() for look in looks]

# %% cellView="form"
# @title Draw grey values { display-mode: "form" }
figure, row = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for axes, version, name, unit in zip(
    row,
    (looks, fixed, own),
    ("As stored", "One formula for all", "Each by its own mean"),
    ("Grey (0–255)", "Grey (−1 to 1)", "Grey (spreads from the mean)"),
    strict=True,
):
    for one in version:
        heights, edges = np.histogram(one, 40, density=True)
        axes.plot((edges[1:] + edges[:-1]) / 2, heights, linewidth=1.5)
    axes.set(title=name, xlabel=unit, ylabel="Density of pixels")
figure.suptitle("Grey values of the six frames above, one line each")
show.picture(figure)

# %% [markdown]
# *What to see:* one formula moves all lines together and keeps their differences; scaling each
# frame by itself gives each line the mean 0 and the spread 1. Look at the peaks on the left: black
# was one number for all frames, and is another in each now. The second takes away much of
# what gain and dynamic range did, and with it that a frame is dark as a whole. The published
# networks of this course want the first, with formulas of their own, and it is built into each, so
# nobody can forget it.
#
# ## 2. Know your collection
#
# A **record table** has one row an image: its `path`, its `label`, its `source` (where it came
# from) and its `group`. The **group** is what must stay together, here the patient. Before you
# train anything, look at the table.

# %%
records = lesson.thyroid()
display(records[["path", "label", "group", "source", "width", "height"]].head(4))
mix = records.groupby("source").agg(
    images=("path", "size"),
    groups=("group", "nunique"),
    malignant=("label", lambda labels: f"{(labels == 'malignant').mean():.0%}"),
)
mix

# %%
sizes = records.assign(bad=records["label"] == "malignant").groupby(["width", "height"])["bad"]
counted = sizes.agg(["size", "mean"]).reset_index()

# %% cellView="form"
# @title Draw the sizes of the files { display-mode: "form" }
figure, axes = plt.subplots(figsize=(8.5, 4), layout="constrained")
areas_of = 20 + 4 * counted["size"]
dots = axes.scatter(
    counted["width"], counted["height"], areas_of, counted["mean"], cmap="cividis", vmin=0, vmax=1
)
figure.colorbar(dots, label="Malignant (share, 0–1)")
axes.set(title=f"Size of the files: {lesson.images}", xlabel="Width (pixels)")
axes.set(ylabel="Height (pixels)")
axes.margins(0.15)
show.picture(figure)

# %% [markdown]
# *What to see:* each dot is one size of file (width and height in pixels); the larger the dot, the
# more files. A large dot is often one source: many places, and websites, store one size. If large
# dots differ in colour, the *size of the file* goes along with the label, and a model that has
# learned nothing about nodules can still score well. The table above says how the shares of
# malignant frames differ. Phantoms have no such trap: each of their scanners draws benign and
# malignant in equal parts, give or take chance, so expect dots of much the same colour. Chapter 0
# prints what the same control reaches on the real set, chapter 5 comes back to it, and at the end
# of this one we measure it here.
#
# ### Near duplicates
#
# Collections from the web often hold the same frame twice: another size, another brightness, saved
# again. For a computer these are different files: **[near duplicates][near-duplicate]**. We look
# for them with a **perceptual hash**, a fingerprint of what a picture looks like. Any picture is a
# sum of waves, broad ones and fine ones; the hash asks of each of the 64 broadest "is its number
# above the median?". Near duplicates answer alike. The phantoms have none, so for them we hide
# three; real sets are taken as they are.
#
# [near-duplicate]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#near-duplicate

# %%
found = collection.with_duplicates(lesson, records)
found = found.assign(cluster=near_duplicates.clusters(found))
sets = [rows for _, rows in found.groupby("cluster") if len(rows) > 1]
across = sum(rows["group"].nunique() > 1 for rows in sets)
print(
    f"{len(sets)} sets of near duplicates in {len(found)} frames; {across} of them across groups."
)

# %% cellView="form"
# @title Draw near duplicates { display-mode: "form" }
figure, row = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
for axes, (_, record) in zip(row, sets[0].iterrows(), strict=False):
    size = f"{record['width']:.0f} × {record['height']:.0f} pixels"
    show.frame(axes, images.decode(record["path"]), f"{record['label']}, {size}")
sample = found.sample(min(len(found), 200), random_state=SEED)
row[2].hist(collection.hash_distances(sample), np.arange(-1, 66, 2), color=show.BLUE)
row[2].axvline(near_duplicates.MAX_DISTANCE, color=show.ORANGE, linestyle="--")
row[2].set(title=f"All pairs of {len(sample)} frames", xlabel="Answers that differ (of 64)")
row[2].set(ylabel="Pairs (each step is ten times)", yscale="log")
show.picture(figure)

# %% [markdown]
# *What to see:* left and middle, two files that the hash calls one frame; are they? Right, in how
# many answers pairs of frames differ; coin tosses would differ in half, 32. Where does the hill
# lie, and are there pairs far to the left of it? Pairs left of the dashed line are looked at again
# in finer detail, and only those that agree there as well count as near duplicates. (Different
# patients can share an outline, and so a hash.)
#
# Near duplicates belong in one group. The package joins them, along with the patients they belong
# to. (`lesson.thyroid` does so for every chapter, which is why real sets have none left across
# groups here.)

# %%
joined = near_duplicates.group(found)
print(f"{found['group'].nunique()} groups before, {joined['group'].nunique()} after joining.")
per_group = joined.groupby("group").size().value_counts().sort_index()

# %% cellView="form"
# @title Draw how many frames a group has { display-mode: "form" }
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.bar(per_group.index.astype(str), per_group, color=show.BLUE)
axes.set(title="How many frames a group has", xlabel="Frames in the group", ylabel="Groups")
show.picture(figure)

# %% [markdown]
# *What to see:* every group with two frames or more can be torn apart by a careless split. Where
# a set does not say who the patients are, groups are near duplicates only, and two different frames
# of one patient may still hide in two groups: the split is then as good as can be known, no
# better.
#
# ## 3. A split that does not cheat
#
# To find out how good a model is, we must ask it about images it has not learned from. The usual
# way is **cross-validation**: split all images into, say, five heaps (**folds**), train on four,
# ask about the fifth, and go round until each image has been asked about once. Scores won this way
# are called **out-of-fold**.
#
# Now the trap. Two frames of one patient show the same neck and mostly carry the same label. If one
# of them is in training and the other is asked about, the model may just recognise the neck. That
# is a **[leak][leak]**: the answer crosses from one side to the other. Let us split once by image
# and once by group, and count.
#
# [leak]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#leak

# %%
FOLDS = 3 if FAST else 5
by_image = collection.split_by_image(joined, FOLDS, SEED)
by_group = splits.kfold(joined, FOLDS, seed=SEED)
several = joined.groupby("group")["path"].transform("size") > 1
first = joined.loc[several, "group"].unique()[:20]

# %% cellView="form"
# @title Draw two splits { display-mode: "form" }
figure, pair = plt.subplots(1, 2, figsize=(11, 3.2), sharey=True, layout="constrained")
for axes, assigned, how in zip(pair, (by_image, by_group), ("image", "group"), strict=True):
    for place, name in enumerate(first, start=1):
        folds = assigned.loc[assigned["group"] == name, "fold"]
        colour = show.ORANGE if folds.nunique() > 1 else show.BLUE
        axes.plot([place] * len(folds), folds, "o-", color=colour)
    torn = len(splits.crossing(assigned["group"], assigned["fold"]))
    every = joined["group"].nunique()
    axes.set(title=f"Split by {how}: {torn} of {every} groups torn apart", ylabel="Fold")
    axes.set(xlabel="Group (the first 20 with more than one frame)", xticks=range(1, 21, 3))
pair[0].set_yticks(range(FOLDS))
show.picture(figure)

# %% [markdown]
# *What to see:* on the left, an orange line joins frames of one group that lie in different folds;
# on the right each group is one blue dot, because all its frames lie in the same fold. (The number
# above each picture counts *all* groups, the picture shows the first 20 alone.) The package refuses
# to work with a split that tears a group apart:

# %%
try:
    splits.check(by_image, "fold", hashes=False)
    refused = False
except LeakError as error:
    refused = True
    print("Refused:", error)
splits.check(by_group, "fold", hashes=False)
print("Split by group: nothing crosses.")

# %% [markdown]
# **Your turn.** How would you find such a leak in a table of someone else's? The line has to count
# the groups that have more than one fold. `set` keeps each thing once, and `zip(groups, folds)`
# pairs each frame's group with its fold. Put your own line in place of the three dots, and run the
# cell until it says "Right". Never programmed? One of these three is right:
#
# ```python
# return len(set(groups))
# return len(set(folds)) - 1
# return len(set(zip(groups, folds))) - len(set(groups))
# ```


# %%
def torn_apart(groups, folds):
    """Count the groups that have frames in more than one fold."""
    return ...


TRIED = [((["a", "a", "b"], [0, 1, 1]), 1), ((["a", "a", "b"], [2, 2, 0]), 0)]
print(tasks.check(torn_apart, TRIED))

# %% [markdown]
# <details><summary>Answer</summary>
#
# The third, `return len(set(zip(groups, folds))) - len(set(groups))`: each group that stays whole
# gives one pair, a torn one more. With *two* folds that is the number of torn groups; a group in
# three folds it counts twice. Those who program count each once: `return sum(len({f for g, f in
# zip(groups, folds) if g == one}) > 1 for one in set(groups))`.
#
# </details>
#
# ### What a leak is worth
#
# Take the simplest model that can remember: it keeps all training frames, and answers for a new one
# by whether the most similar malignant frame or the most similar benign frame is closer. We measure
# it with the **[AUROC][auroc]**: 0.5 is a coin, 1 is perfect. The **interval** beside it estimates
# how far the number would move with other patients of the same kind: we draw as many groups as we
# have, with replacement (the same group may come twice, another not at all), two thousand times,
# and keep the middle 95 % of the answers. This is called a **[bootstrap][bootstrap]**.
#
# Beside it is a **[control][control]**: a model that is shown the *size of the file* and nothing
# else.
#
# *Before you run it:* how large is the gap between the split by image and the split by group?
#
# [auroc]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#auroc
# [bootstrap]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#bootstrap
# [control]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#control

# %%
rows = collection.thumbnails(joined)
asked = {
    "memory, split by image": collection.score_by_nearest(by_image, rows),
    "memory, split by group": collection.score_by_nearest(by_group, rows),
    "size of the file, split by group": by_group.assign(
        score=baseline.image_size_scores(by_group), same_group=False
    ),
}
figures = {
    name: intervals.group_bootstrap(
        metrics.auroc, table["label"] == "malignant", table["score"], table["group"]
    )
    for name, table in asked.items()
}
title = f"Out of fold, {len(joined)} frames in {joined['group'].nunique()} groups"

# %% cellView="form"
# @title Draw what a memory reaches { display-mode: "form" }
show.picture(show.intervals(figures, title, "AUROC (0–1; the dashed line is a coin)"))

# %% [markdown]
# *What to see:* the distance between the first two rows. It is the same model on the same frames;
# only the split differs, so what the first has more is leak, give or take the luck of the split. As
# a rule the gap is wide where patients have many frames, and narrow where few groups have more than
# one. And compare with the last row: what the size of the file reaches, no one should call reading
# an ultrasound. (On phantoms it should be near a coin. On the real set it is well above: chapter 0,
# *How good are these networks?*) An interval that crosses the dashed line does not show that a
# model is better than a coin.
#
# The difference itself, on the same resampled groups. If 0 lies outside its interval, luck in
# choosing these patients is a poor explanation:

# %%
recognised = {name: table["same_group"].mean() for name, table in asked.items()}
leak = intervals.paired_group_bootstrap(
    metrics.auroc,
    joined["label"] == "malignant",
    asked["memory, split by image"]["score"],
    asked["memory, split by group"]["score"],
    joined["group"],
)
apart = leak.low > 0 or leak.high < 0
verdict = "0 lies outside" if apart else "0 lies inside: these frames don't show a difference"
alike = f"{recognised['memory, split by image']:.0%} by image"
alike += f", {recognised['memory, split by group']:.0%} by group"
display(Markdown(f"AUROC by image minus by group: **{gain(leak, 2)}**; {verdict}."))
display(Markdown(f"Frames whose most similar training frame is of their own group: {alike}."))

# %% [markdown]
# ## Exercises
#
# **1.** The hash finds brighter and smaller copies. Save a frame mirrored left to right (`frame[:,
# ::-1]`), and count the answers that differ: `near_duplicates.perceptual_hash` of both, then
# `int(one ^ other).bit_count()`. Is a mirrored frame a copy?
#
# <details><summary>Answer</summary>
#
# Mirroring changes the sign of every second wave across, so those answers flip, about half of
# the 64, and the hash does not find it. For a split it *is* a copy: same patient, same label.
# Who mirrors frames to have more of them must do so after splitting.
#
# </details>
#
# **2.** Split by group, but choose the best of ten networks on the test part. Has anything leaked?
#
# <details><summary>Answer</summary>
#
# Yes: the choice. The best of ten on the test part looks better than it is. Choose on a validation
# part of other groups, and ask the test part once.
#
# </details>
#
# ## Further reading
#
# - What a split by record does to brain MRI: [Rumala, *How You Split Matters*, 2023][rumala].
# - Folds of whole groups with equal shares of the classes: [StratifiedGroupKFold][folds] in
#   scikit-learn's documentation.
#
# [rumala]: https://arxiv.org/abs/2309.00350
# [folds]: https://scikit-learn.org/1.6/modules/generated/sklearn.model_selection.StratifiedGroupKFold.html

# %% [markdown]
# ## Quiz
#
# **1.** All malignant frames of a set come with a white arrow printed beside the scan. What will a
# network learn, and what helps?
#
# <details><summary>Answer</summary>
#
# Most likely to find the arrow. Cropping to the scan area helps here, for the arrow lies outside.
# Were it inside the scan, one would need other frames.
#
# </details>
#
# **2.** What is a group, and why must it not cross a split?
#
# <details><summary>Answer</summary>
#
# All images of one patient, near duplicates included. On both sides of a split they let a model
# recognise the patient in place of the disease.
#
# </details>
#
# **3.** A near duplicate of a training frame is in the test part, under another file name. What
# does the test measure there?
#
# <details><summary>Answer</summary>
#
# Memory. The frame has been seen, whatever its file is called, so it must be in the group of its
# original, on one side of the split.
#
# </details>
#
# **4.** A set does not say who its patients are. How do you group its frames?
#
# <details><summary>Answer</summary>
#
# By near duplicates, which is as good as can be known, and say so beside each figure: two different
# frames of one patient may still be on two sides.
#
# </details>
#
# **5.** Why is a control needed that sees the size of the file alone?
#
# <details><summary>Answer</summary>
#
# It cannot know the disease. What it reaches, the source of the frames explains without any; the
# source may explain more, in ways that the size of the file does not show.
#
# </details>

# %% [markdown]
# ## What this chapter claims, checked

# %%
# No box leaves its frame, and normalising a frame by itself gives mean 0 and spread 1.
assert all(
    box.right <= one.shape[1] and box.bottom <= one.shape[0]
    for box, one in zip(areas, stored, strict=True)
)
assert all(abs(one.mean()) < 1e-3 and abs(one.std() - 1) < 1e-3 for one in own)
# Near duplicates are found, and joined into one group; nothing crosses a split by group.
assert sets
assert joined.groupby(found["cluster"])["group"].nunique().eq(1).all()
assert not splits.crossing(by_group["group"], by_group["fold"])
assert refused == bool(splits.crossing(by_image["group"], by_image["fold"]))
# Split by group, no frame can be recognised by its own group.
assert recognised["memory, split by group"] == 0
assert recognised["memory, split by image"] > 0
assert all(one.low <= one.value <= one.high for one in figures.values())
print("All claims hold.")
