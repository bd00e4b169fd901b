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
# # Chapter 4. Heads
#
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/ThyroDemo/ThyroDemo/blob/main/notebooks/04_heads.ipynb
#
# **For teaching and research only. Nothing here is a medical device, and no score is a diagnosis.**
#
# After this chapter you can
#
# 1. say what a head reads, and draw the boundary of a softmax, a support vector machine and a
#    forest;
# 2. say what C, gamma and the size of a leaf do, and choose them without looking at test frames;
# 3. turn a score into a probability, and say on which frames that was learned;
# 4. join several networks by their features or by their probabilities;
# 5. set a classical system beside them, and compare all of them by paired differences;
# 6. say why a published accuracy is not a rival to beat.
#
# You need no data and no graphics card; how long each part takes is printed as it runs.

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
# fixes what chance decides; `DATA` names a folder of real sets in place of drawn frames (phantoms);
# `OUT` is where results go.

# %% tags=["parameters"]
FAST = os.environ.get("THYRO_FAST", "0") == "1"
SEED = 0
DATA = os.environ.get("THYRO_DATA", "")
OUT = "runs/course"

# %%
import time
import warnings
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes to its own developers
warnings.filterwarnings("ignore", message="IProgress not found")  # plain progress bars will do

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.bundle.manifest import read_manifest
from thyro_demo.course import boundaries, claims, heads, show, tasks
from thyro_demo.course.lesson import begin, write_index
from thyro_demo.data import splits
from thyro_demo.evaluate.forest_plot import forest_plot
from thyro_demo.evaluate.formatting import gain, with_interval
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.recipes import recipe
from thyro_demo.training.run import run

lesson = begin(4, FAST, SEED, DATA, OUT)

# %% [markdown]
# ## 1. What a head reads
#
# The images are ultrasound **frames** of a **nodule**, a lump in the thyroid gland, or frames drawn
# like them (**phantoms**). A **network** is a chain of layers that turns an image into numbers, by
# **weights** that training has set. Its last layers give a stack of small pictures, the **feature
# map**; each of them shows where in the frame some pattern was found. Pooling makes one number of
# each picture: its **average**, or its **standard deviation**, that is how much it varies across
# the frame. These numbers are the **features**. A **head** is whatever turns features into a
# **score**, here of the class "malignant" (cancer) against "benign" (harmless).
#
# In chapter 3 a network went from photographs over chest radiographs to ultrasound. Now it stays
# **frozen**: not one of its weights changes. So every frame has to pass through it only once. We
# keep the features in a file and can try as many heads as we like, in seconds.
#
# The frames come in **groups**: all frames of a patient, and near duplicates of a frame, belong
# together. They are **split into folds** in whole groups. A head is always asked about a fold that
# it has not learned from; scores won this way are called **out of fold**.
#
# A rehearsal (`FAST`) on phantoms runs no network: it takes features of the shipped ones that were
# computed beforehand, as their own heads read them, weighted with the network's answer to "where is
# the nodule?".

# %%
FOLDS = heads.FAST_FOLDS if FAST else heads.FOLDS
records = splits.kfold(heads.frames(lesson), FOLDS, seed=SEED)
labels = (records["label"] == "malignant").to_numpy(int)
groups = records["group"].to_numpy()
shown = heads.shown(lesson, records)
chosen = heads.networks(lesson)
began = time.perf_counter()
read, rows = heads.features(lesson, chosen, shown)
print(f"{len(records)} {lesson.images} in {len(set(groups))} groups, {FOLDS} folds")
print(f"Reading features took {time.perf_counter() - began:.0f} s")
pd.DataFrame(
    {"network": title, "weights": chosen[title].weights, "features": found["std"].shape[1]}
    for title, found in rows.items()
)

# %% cellView="form"
# @title Draw what heads read { display-mode: "form" }
FIRST = next(iter(rows))  # the network of chapter 3
features = rows[FIRST]["std"]
spread = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
order = np.argsort(labels, kind="stable")
figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
picture = axes.imshow(spread[order][:, :120], cmap="RdBu_r", vmin=-3, vmax=3, aspect="auto")
axes.axhline(np.count_nonzero(labels == 0) - 0.5, color="black", linewidth=2)
axes.set(title=f"What heads read: the first 120 features of {FIRST}")
axes.set(xlabel="Feature (one column each)", ylabel="Frame (benign above the line)")
figure.colorbar(picture, ax=axes, label="Standard deviations from the mean of all frames")
show.picture(figure)

# %% [markdown]
# *What to see:* one row is all that a head ever learns of a frame. Look for a column that is red
# above the black line and blue below it, or the reverse. Where you find no clear one, no single
# feature knows the class, and a head has to weigh many of them. Neighbouring rows that look alike
# are often two frames of one patient.
#
# ## 2. Three heads, three kinds of boundary
#
# - **Softmax**: one weight for each feature, added up and squeezed between 0 and 1. Of two classes
#   it is the same as logistic regression. It is the usual last layer of a network.
# - **Support vector machine** (SVM): looks for the boundary that
#   keeps the widest distance from both classes. Its *kernel* says how alike two frames are; the
#   usual one, called RBF, lets that likeness fade with their distance, so that the boundary may
#   bend.
# - **Random forest**: many decision trees. Each asks questions of the kind "is feature 17 above
#   0.3?", each grows on another random draw of the frames, and in the end they vote.
#
# A frame with a thousand features is a point in a space of a thousand dimensions, and nobody can
# look at that. So for the pictures, and for nothing else, we squash the features into the two
# directions in which frames differ most (**principal components**).
#
# **Predict:** which of the three can enclose an island of malignant frames amid benign ones?

# %%
points = boundaries.plane(features)
THREE = {
    "Softmax: a straight line": LogisticRegression(),
    "SVM (RBF): a smooth curve": SVC(C=1.0, gamma=0.5),
    "Forest: steps": RandomForestClassifier(100, min_samples_leaf=3, random_state=SEED),
}
for model in THREE.values():
    model.fit(points, labels)

# %% cellView="form"
# @title Draw three boundaries { display-mode: "form" }
figure, panels = plt.subplots(1, 3, figsize=(12, 4.2), sharey=True, layout="constrained")
for axes, (title, model) in zip(panels, THREE.items(), strict=True):
    boundaries.draw_boundary(axes, model, points, labels, title)
panels[0].legend(loc="upper left", fontsize=9)
figure.suptitle("The same frames, three heads; on the black line a head is undecided")
show.picture(figure)

# %% [markdown]
# *What to see:* the shape of the black line, not where it runs. The softmax can draw a straight
# line only; the SVM bends it; the forest builds it of steps along the axes, because each of its
# questions is about one feature. Colour far from any frame is a guess: nothing was learned there.
#
# ## 3. What the settings do
#
# A head has **settings** that it does not learn but is given.
#
# - **C** of an SVM is the price of a frame on the wrong side. A small C allows many, and gives
#   a calm boundary. A large C tries to get every single frame right.
# - **Gamma** says how fast likeness fades. With a small gamma a frame speaks for a wide
#   neighbourhood, with a large one only for itself.
# - **Leaf size** of a forest is the fewest frames that a tree may still set apart. With 1, a tree
#   goes on until it knows each frame by name.
#
# Above each picture are two figures. The first asks the head about the frames it has just learned
# from. The second comes from **inner folds**: the frames are split into five folds, again in whole
# groups, and each is scored by a head that learned from the other four. Both are **AUROC**s (area
# under the receiver operating characteristic curve): take one malignant and one benign frame at
# random; how often does the malignant one get the higher score? 0.5 is a coin, 1 is perfect.


# %% cellView="form"
# @title Draw what C and gamma do { display-mode: "form" }
def compare_settings(models, across):
    """Draw the boundary of each model, with its figures on learned and on new frames."""
    figure, panels = plt.subplots(
        len(models) // across, across, figsize=(12, 4.1 * len(models) // across), sharex=True,
        sharey=True, layout="constrained", squeeze=False,
    )  # fmt: skip
    for axes, (name, model) in zip(panels.flat, models.items(), strict=True):
        found = boundaries.judge(model, points, labels, groups)
        title = f"{name}\nlearned {found.learned:.2f}, new {found.inner:.2f}"
        boundaries.draw_boundary(axes, model.fit(points, labels), points, labels, title)
    return figure


svms = {
    f"C = {cost:g}, gamma = {gamma:g}": SVC(C=cost, gamma=gamma)
    for gamma in (0.1, 10.0)
    for cost in (0.1, 1.0, 100.0)
}
figure = compare_settings(svms, 3)
figure.suptitle("An SVM with small and large C and gamma, in two dimensions")
show.picture(figure)

# %% [markdown]
# *What to see:* look in the lower row, where gamma is large, for islands around a few frames. The
# first figure tends to be higher there, most of all with a large C: such an SVM recognises what it
# has seen. Compare the second figure. The gap between the two is, chance aside, what has been
# memorised: **overfitting**. A panel without a black line has no boundary at all: with so small a C
# that SVM calls every place malignant. Its values still differ, so it still has an AUROC.

# %% cellView="form"
# @title Draw what the size of a leaf does { display-mode: "form" }
forests = {
    f"Leaves of {leaf} or more": RandomForestClassifier(
        100, min_samples_leaf=leaf, random_state=SEED
    )
    for leaf in (1, 5, 15)
}
figure = compare_settings(forests, 3)
figure.suptitle("A forest with small and large leaves, in two dimensions")
show.picture(figure)

# %% [markdown]
# *What to see:* with leaves of one frame the picture is a patchwork and the first figure perfect,
# or nearly so; with larger leaves it becomes calmer. Whether that helps on new frames, the
# second figure alone can say.
#
# Why grouped *inner* folds? Settings have to be chosen by something. Choose them by the learned
# frames, and the island wins. Choose them by the test fold, and the test fold is no test any more.
# So the training part is split once more, inside. And in groups: with one frame of a patient to
# learn from and the other one to be asked about, the island would look like knowledge.
#
# Now with all features, as the heads of this project choose their settings. **Predict:** in which
# corner of the table will the figure on learned frames be highest? (Several cells may tie, at
# 1.00.)

# %%
costs, widths = (1.0, 10.0), (0.3, 1.0, 3.0)
if not FAST:
    costs = (0.1, 1.0, 10.0)
known = records["fold"].to_numpy() != 0
tried = boundaries.search(
    make_pipeline(StandardScaler(), SVC()),
    {"svc__C": costs, "svc__gamma": [width / features.shape[1] for width in widths]},
    features[known],
    labels[known],
    groups[known],
)

# %% cellView="form"
# @title Draw the choice of C and gamma { display-mode: "form" }
tried["times"] = (tried["svc__gamma"] * features.shape[1]).round(2)
figure = boundaries.draw_search(
    tried,
    {"svc__C": "C", "times": "Gamma × number of features"},
    f"Choosing C and gamma on {FIRST}, without fold 0",
)
show.picture(figure)

# %% [markdown]
# *What to see:* on the left, high figures say nothing: the head has seen these frames. On the right
# is what counts; the orange frame is the pair that is taken. Compare how little its neighbours
# differ from it: a choice among near equals is mostly luck, and its figure flatters a little, as
# the best of several always does. So it is never reported. Fold 0 was not asked; it is kept for the
# test.
#
# ## 4. From a score to a probability
#
# An SVM answers with a **decision value**: above 0 malignant, below 0 benign, without any upper
# end. A forest answers with a share of votes. Neither is a probability. **Calibration** makes one
# of it: of all frames with a score near 0.8, about 80 % should be malignant. The way of Platt
# (1999) lays an S-shaped curve through the answers, a **sigmoid** with two numbers to learn. It has
# to learn from answers about frames that the head has *not* learned from: on its own frames a head
# is far too sure. Each fold is calibrated by what the other folds say.
#
# The next cell fits all heads of this chapter, each once for each fold, also those of the coming
# sections.

# %%
began = time.perf_counter()
scored = heads.score(lesson, read, shown, records)
print(f"{scored['head'].nunique()} heads took {time.perf_counter() - began:.0f} s")
PRIMARY = f"{FIRST}: SVM"  # named before any score was looked at
mine = scored[scored["head"] == PRIMARY]
sick = (mine["label"] == "malignant").to_numpy()

# %% cellView="form"
# @title Draw decision values and sigmoids { display-mode: "form" }
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for value, colour, name in ((False, show.BLUE, "benign"), (True, show.ORANGE, "malignant")):
    left.hist(mine["raw"][sick == value], 20, color=colour, alpha=0.55, label=name)
left.set(title="Decision values, out of fold", xlabel="Decision value", ylabel="Frames")
left.legend()
for _, part in mine.sort_values("raw").groupby("fold"):
    right.plot(part["raw"], part["score"], color=show.GREY, linewidth=1.5)
edges = np.quantile(mine["raw"], np.linspace(0, 1, 6))
where = np.clip(np.searchsorted(edges, mine["raw"]) - 1, 0, 4)
right.plot(
    [mine["raw"][where == one].mean() for one in range(5)],
    [sick[where == one].mean() for one in range(5)],
    "o", color=show.ORANGE, markersize=9, label="observed in fifths of the frames",
)  # fmt: skip
right.set(title="Sigmoids of the folds", xlabel="Decision value", ylabel="Share malignant (0–1)")
right.set_ylim(-0.02, 1.02)
right.legend()
show.picture(figure)
falling = sum(part["raw"].corr(part["score"]) < 0 for _, part in mine.groupby("fold"))
print(f"In this run {falling} of {FOLDS} sigmoids fall.")

# %% [markdown]
# *What to see:* on the left, how much the two colours overlap; no curve can part what overlaps. On
# the right, each grey line is the sigmoid of one fold, learned on the others. Where frames of both
# classes get like decision values, an honest sigmoid is flat and stays near the share of malignant
# frames: it says "I don't know". A sigmoid that *falls* (the line under the picture counts them)
# was learned on folds where, by chance, malignant frames had the lower values: it turns the head
# round, and says that the head knows nothing that holds. The orange dots show how often the label
# really was malignant. Chapter 5 measures how well lines and dots agree.
#
# A calibrated score holds for the mix of cases it was learned on. In a clinic where one nodule in
# ten is malignant, the same score means less; that too is in chapter 5.
#
# ## 5. Several networks
#
# Two ways to join networks. Both are asked in a published study, Lee et al., Scientific Reports
# 2019. It is the second of six works that this project runs again, so we call it P2
# (`weights/README.md` lists P1 to P6):
#
# - **Concatenation**: set the features of the networks side by side in one long row, and fit one
#   head on it.
# - **Averaging** (an **[ensemble][ensemble]**): let each network have its own head, and average the
#   probabilities. It works best where the members err on different frames.
#
# All of them are asked about the same frames in the same folds. Here are their AUROCs, out of
# fold, each with a 95 % **interval**: we draw as many groups as we have, with replacement, two
# thousand times, compute the figure each time and keep the middle 95 % of the answers (a
# **bootstrap** of groups).
#
# **Predict:** will two networks together do better than the better one alone?
#
# [ensemble]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#ensemble

# %% cellView="form"
# @title Draw the AUROC of every head { display-mode: "form" }
found = heads.areas(scored)
figure = show.intervals(
    found,
    f"Every head, out of fold\n({len(records)} {lesson.images}, {len(set(groups))} groups)",
    "AUROC (0–1; the dashed line is a coin)",
    colours=(show.BLUE,),
)
show.picture(figure)

# %% [markdown]
# *What to see:* how long the lines are, and how much they overlap. One of these rows is the
# highest, and somebody would publish it as "the best model". With so many rows the best one is best
# by luck as well. Where a line holds 0.5, these frames do not show that the head is better than a
# coin; a whole line below 0.5 is most likely chance too: where there is little to learn, scoring
# each fold by heads of the other folds (**cross-validation**) leans slightly below it.
#
# Whether a head is better than another one is asked on the *same* resampled groups, because what
# is hard for both cancels out. That is a **paired difference**. The head that all others are
# compared with was named above, before any score was looked at: the SVM on the first network.

# %% cellView="form"
# @title Draw what each head adds { display-mode: "form" }
differ = heads.gains(scored, PRIMARY)
figure = forest_plot(
    {f"What each head adds to\n“{PRIMARY}”, on the same frames": differ},
    "Difference of AUROC (the dashed line: no difference)",
    reference=0.0,
    colours=(show.GREEN,),
    decimals=3,
    size=(8.5, 1.3 + 0.42 * len(differ)),
)
figure.axes[0].set_ylabel("With 95 % interval")
show.picture(figure)
clear = [name for name, one in differ.items() if one["low"] > 0 or one["high"] < 0]
print(f"{len(clear)} of {len(differ)} differences leave 0 outside: {', '.join(clear) or 'none'}")

# %% [markdown]
# *What to see:* which lines leave the dashed one outside. Only there do these frames show a
# difference. (An end that just clears 0 in the third digit is as good as undecided: other patients
# would move it.) Of twenty comparisons between equals, one is expected to do so by chance; so a
# single line that just clears it is a reason to repeat, not to announce. A weak partner may drag a
# good network down: joining is no gain by itself.
#
# ### Your turn: a weighted average
#
# What is the average of the members' probabilities, if the first member counts `weight` times? Put
# your own line in place of the three dots, and run the cell until it says "Right".


# %%
def average(probabilities, weight):
    """Average the members' probabilities, the first one counted several times."""
    return ...


CASES = [(([0.2, 0.8], 1), 0.5), (([0.2, 0.8], 3), 0.35), (([0.2, 0.8, 0.5], 2), 0.425)]
print(tasks.check(average, CASES))

# %% [markdown]
# <details><summary>Answer</summary>
#
# `return (sum(probabilities) + (weight - 1) * probabilities[0]) / (len(probabilities) + weight -
# 1)`: the first member counts `weight` times, each other one once; divide by all that was counted.
#
# </details>
#
# ## 6. A classical system beside them
#
# Before networks, a person outlined the nodule, and a program measured it there (P3, after a
# lecture on such systems): its **shape** (area, roundness, how convex it is), its **grey levels**
# (mean, spread), and its **texture** (how often a dark pixel is beside a bright one, how long
# runs of equal grey are, how rough it is at several scales). 132 numbers, each with a formula that
# can be read, then an SVM or a forest. It sees nothing outside the outline, and somebody has to
# draw that.
#
# Phantoms know their outline, since we drew them. Of the real frames, only those from DDTI (the
# Digital Database of Thyroid Images) have one. The network is set beside it on the same frames. It
# is given the whole **scan area**, the part of the frame that shows tissue, with nobody's outline
# (what its head reads there, section 1 says), and its head has learned from all frames of the other
# folds, not from the outlined ones alone.

# %% cellView="form"
# @title Set a classical system beside them { display-mode: "form" }
nodules = heads.outlined(lesson, records)
beside = {}
if len(nodules):
    by_hand = heads.classical(lesson, nodules)
    same = mine[mine["path"].isin(set(nodules["path"]))]
    both = pd.concat([by_hand, same], ignore_index=True)
    beside = heads.areas(both)
    figure = show.intervals(
        beside,
        f"By formulas within an outline, or by a network\n({len(nodules)} outlined frames)",
        "AUROC (0–1; the dashed line is a coin)",
        colours=(show.GREEN, show.GREEN, show.BLUE),
    )
    show.picture(figure)
    for name, difference in heads.gains(both, PRIMARY).items():
        print(f"{name} minus network: {gain(difference, 2)}")
else:
    print("No outlines are at hand (DATA with a folder ddti beside the thyroid set has some).")

# %% [markdown]
# *What to see:* whether the green lines reach higher than the blue one. On phantoms the formulas
# have an easy life: the label was drawn from features such as shape and brightness, and the outline
# is exact to the pixel. On real frames the outline itself may betray the answer, as a radiologist
# who suspects cancer draws more carefully, or more jaggedly. A comparison between "with outline"
# and "without" is never quite fair.
#
# ## 7. What was published
#
# Here are accuracies from two published works beside ours. **Accuracy** is the share of frames that
# are called right at a **threshold**: a score at or above it counts as malignant. Ours is chosen on
# the other folds, where the share of malignant frames that are found (**sensitivity**) and the
# share of benign ones that are left alone (**specificity**) have the largest sum, the Youden point.
# The intervals of the published figures are computed from their counts of images, as if each were
# of another patient; so they are, if anything, too narrow.

# %% cellView="form"
# @title Draw accuracies here and in print { display-mode: "form" }
ours = heads.accuracies(scored, list(dict.fromkeys(name for name in found if FIRST in name))[:4])
ours = {f"Here: {name}": figure for name, figure in ours.items()}
published = heads.published_accuracies()
figure = show.intervals(
    ours | published,
    "Accuracies here and in print:\nOTHER test images, other splits, other units",
    "Accuracy (0–1)",
    reference=None,
    colours=(show.BLUE,) * len(ours) + (show.ORANGE,) * len(published),
)
show.picture(figure)

# %% [markdown]
# *What to see:* blue is ours, orange is published. P1 is the thesis that this project grew from.
# **Do not rank them.** The test images differ (even where the set is the same, as P1's is if `DATA`
# names it, the test part is another). So does the share of malignant ones, and with it the accuracy
# of someone who always says "malignant". The published test parts hold about 150 images, so that
# their intervals are wide, and P2's are picks from dozens of systems that were tried on the same
# test images. P1's split even has some images on both sides; chapter 5 shows what that adds.
# Figures can be compared where images, split and unit are the same: the differences of section 5
# are.
#
# ## 8. A bundle for the next chapters
#
# At last, the three heads on the first network once more, by the **recipe**, the list of steps and
# settings, that the command line uses: out-of-fold figures, thresholds, calibration, then heads
# fitted on all frames. It leaves a **bundle**, a folder with network, heads, a **model card** for
# people and a manifest, which says the same to programs. The next chapters go on from it. (A
# rehearsal on phantoms fits these heads on a handful of small frames, and its figures say so.)

# %%
first = chosen[FIRST]
standard = recipe("head", first.backbone)
((source, stage),) = standard.stages
# One view of each frame, without changes drawn by chance, and smaller frames: for time.
quick = replace(stage, views=1, input_size=64 if FAST else first.side or 224)
job = TrainingJob(
    recipe=replace(standard, folds=2 if FAST else FOLDS, stages=((source, quick),)),
    backbone=first.backbone,
    data=lesson.find("p1") or write_index(lesson.thyroid(), lesson.root / "phantoms"),
    work=lesson.here / "work",
    out=lesson.here / "bundles" / "heads",
    initial_weights=first.weights,
    epochs=4 if FAST else None,
    title=f"{FIRST} with the heads of chapter 4",
)
began = time.perf_counter()
bundle = run(job)
print(f"Written in {time.perf_counter() - began:.0f} s:", *sorted(p.name for p in bundle.iterdir()))
summary = read_manifest(bundle)["metrics"]
pd.Series(
    {head: with_interval(part["auroc"]) for head, part in summary["heads"].items()},
    name=f"AUROC out of fold ({summary['n']} frames, {summary['groups']} groups)",
)

# %% [markdown]
# A row "image size", where there is one, is a control: a forest that sees the width and height of
# the image file and nothing else. Where its whole interval lies above 0.5, the size of an image
# betrays something of its class, as it does when each hospital has its own size and its own mix of
# patients. A network may have learned just that. Chapter 5 takes this apart.

# %% [markdown]
# ## Exercises
#
# **1.** Draw the three boundaries again with `points[:, ::-1]`, that is with the axes swapped.
# Which boundary changes more than by mirroring?
#
# <details><summary>Answer</summary>
#
# None of them in principle: softmax and SVM do not care, and a forest asks about single
# features whichever comes first. Only the forest's chance (which feature is tried first) is drawn
# anew. *Rotate* the points by 45 degrees instead, and the forest's steps no longer fit what they
# fitted before, while softmax and SVM just rotate along.
#
# </details>
#
# **2.** Set gamma to 1000 in section 3. What do the two figures say, and what does the SVM
# answer far from all frames?
#
# <details><summary>Answer</summary>
#
# Learned: close to 1. New: little better than a coin, unless a new frame lies almost on a known
# one. Far from every frame all likenesses are 0, so that its answer is one and the same number
# everywhere, whatever you ask.
#
# </details>
#
# **3.** Replace `groups` by `np.arange(len(labels))` in the call of `boundaries.search`. What
# happens to the table on the right, and why is that bad news?
#
# <details><summary>Answer</summary>
#
# Every frame then is its own group. Where patients have several frames, the figures tend to rise,
# most for large C and gamma: the head recognises the patient. Settings chosen so are those that
# recognise best, and on new patients they disappoint.
#
# </details>
#
# **4.** Average a network with itself, in thought. What happens to its AUROC? And if the second
# member guesses?
#
# <details><summary>Answer</summary>
#
# With itself: nothing, the order of frames stays. A member that guesses adds noise, and as a rule
# the AUROC falls: the more, the more its scores vary; hardly, if they all stay close to one value,
# as the calibrated scores of an honest guesser do.
#
# </details>

# %% [markdown]
# ## Quiz
#
# **1.** A head reads 1,280 features of a frame. Does it know where in the frame something was?
#
# <details><summary>Answer</summary>
#
# No. Pooling made one number of each small picture; the place is gone. The standard deviation still
# shows that a pattern stands out *somewhere*.
#
# </details>
#
# **2.** A forest has an AUROC of 1.00 on the frames it has learned from. What does that say?
#
# <details><summary>Answer</summary>
#
# Next to nothing: with leaves of one frame it nearly always does, even if labels are assigned by a
# coin.
#
# </details>
#
# **3.** Why may settings not be chosen on the test fold, even if nothing is trained on it?
#
# <details><summary>Answer</summary>
#
# The best of several settings on that fold is partly the luckiest there. Its figure then contains
# that luck, and new frames will not repeat it.
#
# </details>
#
# **4.** Two heads have AUROCs of 0.74 (0.66–0.81) and 0.78 (0.70–0.85). Is the second better?
#
# <details><summary>Answer</summary>
#
# That cannot be seen from two intervals. Ask for the paired difference on the same groups; it may
# leave 0 outside although the intervals overlap, or not.
#
# </details>
#
# **5.** Which frames may the sigmoid of a calibration learn from?
#
# <details><summary>Answer</summary>
#
# From frames that the head has not learned from, and that it will not be judged on: a part set
# aside for such choices (validation frames), or the other folds.
#
# </details>

# %% [markdown]
# ## What this chapter claims, checked
#
# What has to hold in every run, whatever chance decides, computed from this one. The rest of the
# chapter holds "in this run": change `SEED`, and look again.

# %%
grown = [boundaries.judge(model, points, labels, groups).learned for model in forests.values()]
line = THREE["Softmax: a straight line"].decision_function(points)
claims.table(claims.heads(line, points, grown, scored, PRIMARY, found | published))
