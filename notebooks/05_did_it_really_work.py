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
# # Chapter 5. Did it really work?
#
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/ThyroDemo/ThyroDemo/blob/main/notebooks/05_did_it_really_work.ipynb
#
# **For teaching and research only. Nothing here is a medical device, and no score is a diagnosis.**
#
# After this chapter you can
#
# 1. report a figure with its interval, and say what was drawn to get it;
# 2. find out whether a score knows the disease or the scanner that took the picture;
# 3. check whether 0.8 means 80 %, and set it right;
# 4. choose an operating point, freeze it, and say what a flag is worth in a clinic;
# 5. take a published figure apart: which flaw adds how much;
# 6. find the bug in an evaluation by reading it, and prove it with a coin.
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

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes to its own developers
warnings.filterwarnings("ignore", message="IProgress not found")  # plain progress bars will do

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from thyro_demo.course import claims, evaluation, heads, misread, show, tasks
from thyro_demo.course.lesson import begin
from thyro_demo.data import splits
from thyro_demo.evaluate import intervals, metrics, operating_points
from thyro_demo.evaluate.clinical_value import at_prevalence, net_benefit, predictive_values
from thyro_demo.evaluate.formatting import with_interval
from thyro_demo.study import setting
from thyro_demo.study.protocols.p1.tables import PRINTED
from thyro_demo.study.questions import leaks
from thyro_demo.training import out_of_fold

lesson = begin(5, FAST, SEED, DATA, OUT)

# %% [markdown]
# ## 1. A figure and its interval
#
# We go on with the network of chapter 4, or with the one that is shipped if you skipped it (a
# rehearsal on phantoms takes features of the shipped one that were computed beforehand). It is
# **frozen**: none of its weights, the numbers that training sets, learns from the frames of this
# chapter. It turns a **frame**, an ultrasound image of a lump in the thyroid gland (a **nodule**),
# into numbers, the **features**. A **head** on top, here a support vector machine (SVM), turns
# those into a **score** between 0 (**benign**, harmless) and 1 (**malignant**, cancer).
#
# Frames of one patient, and near duplicates of a frame, form a **group**. Whole groups are **split
# into folds**; each fold is scored by a head that learned from the others only. Such scores are
# called **out of fold**.

# %%
FOLDS = 3 if FAST else heads.FOLDS
records = splits.kfold(heads.frames(lesson), FOLDS, seed=SEED)
chosen = evaluation.network(lesson)
began = time.perf_counter()
shown = heads.shown(lesson, records)
read = heads.features(lesson, {"network": chosen}, shown)[1]["network"]
rows = read["std"]
scored = out_of_fold.score_features(rows, records)
sick = (scored["label"] == "malignant").to_numpy()
total = scored["group"].nunique()
print(f"{len(records)} {lesson.images} in {total} groups, {sick.sum()} of them malignant")
print(f"Network: {chosen.backbone}; features and heads took {time.perf_counter() - began:.0f} s")

# %% [markdown]
# The figure is the **AUROC** (area under the receiver operating characteristic curve): take one
# malignant and one benign frame at random; how often does the malignant one score higher? 0.5 is a
# coin, 1 is perfect.
#
# And the **interval**: other patients would have given another number. How different? We have no
# others, so we pretend, and draw from those we have, with replacement, as many as there are, two
# thousand times. The middle 95 % of the two thousand AUROCs is the interval: a **bootstrap**. What
# do we draw, though: images, or groups? Let us do both. And then copy every frame three times more,
# which adds not a grain of knowledge, and do both again. **Predict:** which of the four intervals
# will change?

# %%
copies = pd.concat([scored] * 4, ignore_index=True)
four = {
    f"{what}, drawing {unit}s": heads.area(table, unit)
    for what, table in (("frames as they are", scored), ("every frame four times", copies))
    for unit in ("group", "image")
}

# %% cellView="form"
# @title Draw one AUROC and four intervals { display-mode: "form" }
axis, two = "AUROC (0–1; the dashed line is a coin)", (show.BLUE, show.ORANGE)
show.picture(show.intervals(four, "One AUROC, four intervals", axis, colours=two))

# %% [markdown]
# *What to see:* the dots lie on one line, since copies change no AUROC. The blue intervals (groups)
# are the same in both cases. The lower orange one (images) is about half as wide as the upper one:
# drawing images takes copies for evidence. Two frames of one patient are half a copy, so the upper
# orange line tends to be too narrow as well, the more so the more frames a patient has.
#
# How many patients does it take? We keep some of the groups only, and measure the length.

# %% cellView="form"
# @title Draw how the interval shrinks { display-mode: "form" }
counts = sorted({max(10, round(total * share)) for share in (0.25, 0.5, 0.75, 1.0)})
lengths = evaluation.interval_lengths(scored, counts, 2 if FAST else 5, SEED)
figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
axes.plot(lengths["groups"], lengths["length"], "o-", color=show.BLUE, label="measured")
many = np.geomspace(counts[0], 20 * total, 50)
rule = lengths["length"].iloc[-1] * np.sqrt(total / many)
axes.plot(many, rule, "--", color=show.GREY, label="one over the square root")
axes.set(title="Length of the interval", xlabel="Groups", ylabel="From low to high (AUROC)")
axes.set(xscale="log", yscale="log")
for side in (axes.xaxis, axes.yaxis):
    side.set_major_formatter("{x:g}")
axes.yaxis.set_minor_formatter("{x:.2g}")
axes.legend()
show.picture(figure)
print(f"For a tenth of today's length, about {100 * total:,} groups would be needed.")

# %% [markdown]
# *What to see:* the blue dots follow the dashed line, as far as chance lets them. Four times the
# patients halve the interval, a hundred times as many give a tenth. That is why small studies
# differ so much from each other, and why a second decimal is seldom worth printing.
#
# ## 2. Does it know the disease, or the scanner?
#
# Sets are collected from many places: a hospital full of cancer patients, a textbook, a website. If
# one **source** holds mostly malignant frames and another mostly benign ones, whoever recognises
# the source knows the class, without looking at any nodule. Sources are easily recognised: often
# each has frames of its own size.
#
# The real thyroid set brings this trap along. Phantoms, our drawn frames, don't, so we make one
# **on purpose**: of three simulated scanners we keep mostly malignant patients of the first, mostly
# benign ones of the last, and leave out the others. No image is changed.

# %%
if lesson.find("p1") is None:
    shares = {"scanner A": 0.8, "scanner B": 0.5, "scanner C": 0.2}
    mixed = splits.kfold(evaluation.unequal_sources(records, shares, SEED), FOLDS, seed=0)
    places = {path: place for place, path in enumerate(records["path"])}
    uneven = rows[[places[path] for path in mixed["path"]]]
    answered = out_of_fold.score_features(uneven, mixed)
else:
    mixed, answered = records, scored
size = out_of_fold.size_rows(mixed)
mixed.groupby("source").agg(
    frames=("path", "size"),
    groups=("group", "nunique"),
    malignant=("label", lambda names: round((names == "malignant").mean(), 2)),
)

# %% [markdown]
# **Predict:** how well can one guess the class without a look at any pixel?
#
# Beside the network is a **control**: a forest of decision trees that sees the width and the
# height of the image file, and nothing else. It has never seen a pixel.

# %% cellView="form"
# @title Draw all sources and each source { display-mode: "form" }
table = {f"network, {where}": one for where, one in evaluation.by_source(answered).items()}
if size is not None:
    table |= {f"image size, {where}": one for where, one in evaluation.by_source(size).items()}
figure = show.intervals(
    table,
    f"Over all frames and within each source ({len(mixed)} frames, out of fold)",
    "AUROC (0–1; the dashed line is a coin)",
    colours=(show.BLUE,) * (len(table) if size is None else len(table) // 2) + (show.GREY,) * 9,
)
show.picture(figure)

# %% [markdown]
# *What to see:* first the grey rows. Over all sources, does the size of the image alone leave the
# coin behind? Within a source, where all frames have one size, it has nothing to go by: a dot away
# from the dashed line is chance there, and the length of its line says how much chance can do. Then
# the blue rows: what the network has over all sources, and how much of it is left *within* one.
# Only the latter can be about nodules. A line that crosses the dashed one within a source is what
# few patients look like: it shows neither knowledge nor its absence. So whenever a set has several
# sources: report each of them, and the control.
#
# ## 3. Does 0.8 mean 80 %?
#
# An AUROC sees the order of scores only. A doctor reads the number. It is **calibrated** if, of all
# frames with a score near 0.8, about 80 % are malignant. Two figures measure that:
#
# - **ECE** (expected calibration error): sort the scores into bins, and average the gap between the
#   mean score and the share that is malignant. 0 is perfect. With few frames some gap is left by
#   chance even then, and resampling adds to it, so that a bootstrap interval would lie too high. In
#   its place we print the ECE that *calibrated* scores would get by chance on as many frames.
# - **Brier score**: the mean squared distance between score and label (0 or 1). 0 is perfect, 0.25
#   is what "always 0.5" gets. It rewards both calibration and knowledge.
#
# **Platt**'s remedy learns two numbers on frames that the head did not learn from (validation data,
# or here the other folds): how far to shift the head's answer, and how far to stretch it. We
# compare three: the SVM's own answer, squeezed into 0–1 by an S-shaped curve whose middle, 0.5,
# is the SVM's boundary; the same answer stretched threefold before, which makes it surer of
# itself; and Platt's.

# %% cellView="form"
# @title Draw the reliability of three answers { display-mode: "form" }
raw = scored["raw"].to_numpy()
answers = {
    "own answer": expit(raw),
    "stretched": expit(3 * raw),
    "after Platt": scored["score"].to_numpy(),
}
figure = evaluation.draw_reliability(
    {name: (sick, scores) for name, scores in answers.items()},
    f"Reliability, out of fold ({len(scored)} frames)",
)
show.picture(figure)

# %% [markdown]
# *What to see:* the dashed diagonal is perfect calibration. A line flatter than the diagonal is too
# sure of itself: its low scores are too low and its high scores too high. A steeper one is too
# timid. Look at where the largest dots lie. Where a head knows little, Platt pulls its scores
# together around the share of malignant frames: the line gets short, and that is honest.

# %%
kinds = {"Brier": metrics.brier, "AUROC": metrics.auroc}
pd.DataFrame(
    {
        "score": name,
        "ECE": round(metrics.expected_calibration_error(sick, scores), 2),
        "ECE by chance": round(evaluation.chance_ece(scores, SEED), 2),
    }
    | {
        kind: with_interval(intervals.group_bootstrap(figure, sick, scores, scored["group"]))
        for kind, figure in kinds.items()
    }
    for name, scores in answers.items()
)

# %% [markdown]
# Read across: the first two rows have the same AUROC, to the last digit, for stretching keeps the
# order. Their ECE and Brier scores differ. So an AUROC says nothing about calibration. An ECE
# hardly above that "by chance" shows no lack of calibration on these frames. Then there was nothing
# to set right, and Platt may even come out a little above the own answer: it has to learn two
# numbers from few frames, and pays for that. Where the own answer is far above chance, look how
# much Platt takes off. (Platt's AUROC may differ a little, or with few patients even a lot: each
# fold has its own sigmoid.)
#
# ## 4. Operating points
#
# Someday somebody has to decide: take a sample with a needle (**biopsy**), or not. A **threshold**
# (operating point) turns a score into a decision. **Sensitivity** is the share of malignant frames
# that are flagged, **specificity** the share of benign ones that are left alone. Two common
# choices:
#
# - the **Youden** point, where sensitivity + specificity is largest;
# - **sensitivity 95 %**: miss no more than one in twenty, whatever it costs.
#
# The threshold of each fold is chosen on the *other* folds, and frozen. To see why, we also choose
# it on the very frames that are reported.

# %%
CHOICES = {"Youden": operating_points.youden, "sensitivity 95 %": operating_points.at_sensitivity}
called = {name: evaluation.decide(scored, choose) for name, choose in CHOICES.items()}
rates = {name: evaluation.rates(table) for name, table in called.items()}
peeked = operating_points.youden(sick, scored["score"])
cheated = scored.assign(called=scored["score"] >= peeked)

# %% cellView="form"
# @title Draw decisions at three thresholds { display-mode: "form" }
figure, panels = plt.subplots(1, 3, figsize=(11, 3.9), layout="constrained")
shown_tables = called | {"Youden, PEEKED": cheated}
for axes, (name, one) in zip(panels, shown_tables.items(), strict=True):
    evaluation.draw_confusion(axes, one, name)
figure.suptitle("Decisions, out of fold: counts, and shares of each label")
show.picture(figure)

# %% [markdown]
# *What to see:* the upper row of each table are benign frames, the lower one malignant frames; the
# share at the lower right is the sensitivity, that at the upper left the specificity. Compare the
# first table with the third: same scores, but the third chose its threshold on these frames, so
# that its two shares add up, as a rule, to at least as much. And see whether the second table
# really reaches 95 % on frames that it was not chosen on.

# %%
pd.DataFrame(rates).map(with_interval)

# %% [markdown]
# These are the rates at the frozen thresholds, with intervals over groups. Moving the threshold
# buys sensitivity with specificity. The accuracy mixes both by the share of malignant frames in
# *this* set; in another mix it is another number, though nothing about the head has changed.
#
# ### Frames that it misread
#
# A rate counts errors; look at some. **Predict:** will the missed nodules look harmless to you too?

# %% cellView="form"
# @title Draw the frames that it misread most { display-mode: "form" }
wrong = misread.worst(called["Youden"])
setting.draw_planned(records[records["path"].isin(wrong["path"])])  # phantoms of a rehearsal
figure = misread.draw(wrong, records, "Misread at the Youden point, the worst of each kind")
show.picture(figure)
for name, found in misread.against_points(scored, records).items():
    print(f"AUROC, {name}: {with_interval(found)}")

# %% [markdown]
# *What to see:* frames whose score was far on the wrong side. Ask of each what a careful reader
# would have said, before you blame the network: a label can go against the look of a nodule. These
# are the worst of many and show no rate; a gallery gives ideas, and the next set of patients tests
# them.
#
# Where the frames are drawn, there is a **reader** to compare with, one who counts the TI-RADS
# points of every nodule without a mistake (the lines under the picture). Labels of phantoms were
# drawn from these points, by chance, so that nobody can do better in the long run, nor reach 1. How
# far below is the network? No such reader exists for patients: people count differently, and not
# every cancer has points.
#
# ### What a flag is worth
#
# The computer flags a nodule. How likely is it that it *is* malignant? That is the **positive
# predictive value** ([PPV][predictive-value]), and it depends on how many malignant nodules come
# through the door, the **prevalence**. By Bayes' rule:
#
# $$\text{PPV} = \frac{\text{sens} \cdot \text{prev}}{\text{sens} \cdot \text{prev} +
# (1 - \text{spec})(1 - \text{prev})}$$
#
# In sets for research often half of the frames are malignant, or more. In a clinic, of all nodules
# that are looked into, about 7 to 15 % are (guideline of the American Thyroid Association: Haugen
# et al., Thyroid 26:1, 2016). For comparison we add a very good decision: sensitivity and
# specificity of 90 %.
#
# [predictive-value]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#predictive-value

# %% [markdown]
# ### Your turn: Bayes' rule
#
# Put the formula above in place of the three dots, and run the cell until it says "Right".
# **Predict** first: how many of 100 flags of the very good decision are right where one nodule in
# ten is malignant?


# %%
def ppv(sensitivity, specificity, prevalence):
    """Return the share of flagged nodules that are malignant."""
    return ...


CASES = [((0.9, 0.9, 0.1), 0.5), ((0.9, 0.9, 0.5), 0.9), ((0.95, 0.5, 0.02), 0.03733)]
print(tasks.check(ppv, CASES))

# %% [markdown]
# <details><summary>Answer</summary>
#
# `return sensitivity * prevalence / (sensitivity * prevalence + (1 - specificity) * (1 -
# prevalence))`: flags come from malignant nodules and from benign ones.
#
# </details>

# %% cellView="form"
# @title Draw what a decision is worth { display-mode: "form" }
CLINIC = 0.10
prevalence = np.linspace(0.01, 0.99, 99)
ours = [rates["Youden"][name]["value"] for name in ("sensitivity", "specificity")]
decisions = {"ours, Youden": ours, "a very good one": [0.9, 0.9]}
figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for (name, pair), colour in zip(decisions.items(), (show.BLUE, show.GREEN), strict=True):
    worth = predictive_values(*pair, prevalence)
    axes.plot(prevalence, worth.positive, color=colour, linewidth=2, label=f"PPV, {name}")
    axes.plot(prevalence, 1 - worth.negative, "--", color=colour, label=f"missed, {name}")
axes.axvspan(0.07, 0.15, color=show.GREY, alpha=0.3, label="clinic: 7–15 %")
axes.axvline(sick.mean(), color=show.ORANGE, label="this set")
axes.set(title="What a decision is worth", xlabel="Prevalence (share malignant, 0–1)")
axes.set_ylabel("Share malignant (0–1)")
axes.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
show.picture(figure)
for name, pair in decisions.items():
    worth = predictive_values(*pair, np.array([sick.mean(), CLINIC]))
    print(f"{name}: PPV {worth.positive[0]:.2f} in this set, {worth.positive[1]:.2f} in a clinic")

# %% [markdown]
# *What to see:* follow a solid line (malignant among the flagged) from the orange mark leftwards to
# the grey band. Even of the very good decision's flags only half are right where one nodule in ten
# is malignant. The dashed lines (malignant among those *not* flagged) have to be low. Neither can
# be read off a set that was put together for research. For the same reason a calibrated score has
# to be moved to the clinic's prevalence. If benign and malignant nodules look there as they look
# here, these scores become:

# %%
there = at_prevalence([0.2, 0.5, 0.8, 0.95], float(sick.mean()), CLINIC)
pd.DataFrame({"score in this set": [0.2, 0.5, 0.8, 0.95], "in a clinic": there.round(2)})

# %% [markdown]
# ### Does it do more good than harm?
#
# **Net benefit** (Vickers and Elkin 2006) weighs cancers found against needless biopsies. The price
# is set by the **threshold probability**, the chance of cancer from which on somebody would take a
# biopsy: whoever would biopsy at a 10 % chance of cancer counts nine needless biopsies as much as
# one cancer found. Two simple rivals: biopsy everybody, biopsy nobody. The latter has a net benefit
# of 0.

# %% cellView="form"
# @title Draw the net benefit { display-mode: "form" }
price = np.linspace(0.01, 0.4, 60)
curves = {name: net_benefit(*pair, CLINIC, price) for name, pair in decisions.items()}
curves["biopsy everybody"] = net_benefit(1.0, 0.0, CLINIC, price)
curves["biopsy nobody"] = np.zeros(len(price))
styles = (show.BLUE, show.GREEN, show.ORANGE, show.GREY)
figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for (name, curve), colour in zip(curves.items(), styles, strict=True):
    axes.plot(price, curve, color=colour, linewidth=2, label=name)
axes.set(title=f"Net benefit at a prevalence of {CLINIC:.0%}", ylim=(-0.1, 0.11))
axes.set_xlabel("Threshold probability (0–1; higher: a needless biopsy weighs more)")
axes.set_ylabel("Net benefit")
axes.legend(fontsize=9)
show.picture(figure)

# %% [markdown]
# *What to see:* at each price the highest line is the best thing to do. A decision helps only where
# it lies above *both* orange (everybody) and grey (nobody). A low price, at the left, favours
# "biopsy everybody"; to the right, a decision with many false alarms sinks below zero, where it
# does more harm than good. Neither AUROC nor accuracy shows that.
#
# ## 5. Published figures, and how much of them was leakage
#
# The work that this project grew from (P1) printed these figures for its test part or, in the lower
# rows, for its validation part, the one that choices are made on (RF is a random forest, MLP a head
# of several layers):

# %%
pd.DataFrame(
    {
        "system": one.row.system,
        "accuracy, %": one.row.accuracy,
        "sensitivity, %": one.row.sensitivity,
        "specificity, %": one.row.specificity,
        "right": f"{one.right} of {one.images}",
    }
    for one in PRINTED
)

# %% [markdown]
# Its public notebooks let us see how they came about. A **leak** is whatever lets the answer cross
# from the test side to the training side. Its split lists some images twice and assigns them by
# image; frames were not cropped, so that printed text came along; training images were not brought
# to the range of values of the test images (**normalised**); and the generator (the code that hands
# images to the network, batch by batch) shuffled the test images, while their labels stayed in
# order. We switch these flaws on one at a time, on one frozen network with the same head and the
# same images:

# %%
QUICK = ("sound", "test images in training", "image-level split", "shuffled predictions")
wanted = [flaw for flaw in leaks.FLAWS if not FAST or flaw.name in QUICK]
pd.DataFrame({"evaluation": flaw.name, "what is done": flaw.sentence} for flaw in wanted)

# %%
began = time.perf_counter()
three = splits.kfold(records, 3, seed=0)  # three folds, for time
gains = evaluation.evaluate_flaws(lesson, chosen, three, [flaw.name for flaw in wanted])
print(f"{len(wanted)} evaluations took {time.perf_counter() - began:.0f} s")

# %% cellView="form"
# @title Draw the sound evaluation and the flawed ones { display-mode: "form" }
figure = leaks.draw(gains)
figure.suptitle(f"One network, evaluated soundly and with flaws ({len(three)} {lesson.images})")
for axes in figure.axes:
    axes.set_ylabel("Evaluation")
show.picture(figure)

# %% [markdown]
# *What to see:* the blue line is the sound evaluation, the band its interval; each orange point is
# one evaluation of the same network, the top one the sound one again. To the right of the band lies
# flattery, to the left lie figures that are worse than the truth (a flaw need not flatter: shuffled
# predictions bring the AUROC down to about 0.5, give or take luck, whatever the network knows).
# Nothing about the network differs between the rows.
#
# What each flaw adds, paired on the same frames:

# %%
auroc = gains[(gains["figure"] == "auroc") & (gains["flaw"] != leaks.SOUND.name)]
pd.DataFrame(
    {
        "flaw": row.flaw,
        "adds to the AUROC": with_interval((row.gain, row.gain_low, row.gain_high), plus=True),
    }
    for row in auroc.itertuples()
)

# %% [markdown]
# Look for intervals that leave 0 outside. How much a flaw adds depends on the images: the
# image-level split tends to add the more, the more frames a group has. "No gain shown" is no
# permission: on your images it may add a lot, and your reader cannot know.
#
# ### Two columns that changed places
#
# P2 (Lee et al. 2019) set its networks beside two radiologists, on 100 benign and 50 malignant
# images. With these counts the accuracy follows from sensitivity and specificity:
# (50 · sensitivity + 100 · specificity) / 150. Does it?

# %%
checked = evaluation.radiologists()
checked

# %% [markdown]
# Compare the column `accuracy` (printed) with the two that follow it. Where it fits "if benign"
# only, the row took *benign* as positive: its sensitivity is what every other row calls
# specificity. Set right, such a radiologist looks quite different beside the networks: far more
# careful, or far less so. It takes three numbers and one line of arithmetic to find out; do it with
# every table you read. ("either" means that the numbers do not settle it.)
#
# ## 6. Find the bug
#
# Here is a sound evaluation, as short as it gets: choose the 10 features that differ most between
# the classes, weigh them (a *ridge* classifier: one weight for each, kept small), ask about the
# held-out fold, and compute one AUROC. To **standardise** is to bring each feature to mean 0 and
# standard deviation 1.


# %%
def model():
    """Make a quick classifier: standardise, keep 10 features, weigh them."""
    return make_pipeline(StandardScaler(), SelectKBest(k=10), RidgeClassifier())


def sound(rows, labels, groups):
    """Evaluate soundly."""
    scores = np.zeros(len(labels))
    for learned, tested in splits.grouped_folds(labels, groups, 5, seed=0):
        fitted = model().fit(rows[learned], labels[learned])
        scores[tested] = fitted.decision_function(rows[tested])
    return metrics.auroc(labels, scores)


# %% [markdown]
# And here are five others. **Each has one bug.** Read them slowly; each looks as if it could be
# published. Which line is it, and in which direction does it push the figure?


# %%
def evaluation_a(rows, labels, groups):
    """Evaluate, with one bug."""
    rows = StandardScaler().fit_transform(rows)
    scores = np.zeros(len(labels))
    for learned, tested in splits.grouped_folds(labels, groups, 5, seed=0):
        fitted = make_pipeline(SelectKBest(k=10), RidgeClassifier())
        fitted.fit(rows[learned], labels[learned])
        scores[tested] = fitted.decision_function(rows[tested])
    return metrics.auroc(labels, scores)


def evaluation_b(rows, labels, groups):
    """Evaluate, with one bug."""
    rows = SelectKBest(k=10).fit_transform(rows, labels)
    scores = np.zeros(len(labels))
    for learned, tested in splits.grouped_folds(labels, groups, 5, seed=0):
        fitted = model().fit(rows[learned], labels[learned])
        scores[tested] = fitted.decision_function(rows[tested])
    return metrics.auroc(labels, scores)


def evaluation_c(rows, labels, groups):
    """Evaluate, with one bug."""
    scores = np.zeros(len(labels))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for learned, tested in folds.split(rows, labels):
        fitted = model().fit(rows[learned], labels[learned])
        scores[tested] = fitted.decision_function(rows[tested])
    return metrics.auroc(labels, scores)


# %%
def evaluation_d(rows, labels, groups):
    """Evaluate, with one bug; return the mean of sensitivity and specificity."""
    called = np.zeros(len(labels))
    for learned, tested in splits.grouped_folds(labels, groups, 5, seed=0):
        fitted = model().fit(rows[learned], labels[learned])
        scores = fitted.decision_function(rows[tested])
        threshold = operating_points.youden(labels[tested], scores)
        called[tested] = scores >= threshold
    return float(np.mean([called[labels == 1].mean(), 1 - called[labels == 0].mean()]))


def evaluation_e(rows, labels, groups):
    """Evaluate, with one bug."""
    rng, scores = np.random.default_rng(0), np.zeros(len(labels))
    for learned, tested in splits.grouped_folds(labels, groups, 5, seed=0):
        fitted = model().fit(rows[learned], labels[learned])
        batch = rng.permutation(tested)
        scores[tested] = fitted.decision_function(rows[batch])
    return metrics.auroc(labels, scores)


# %% [markdown]
# How do you prove a bug? **With a coin.** Assign the labels anew to the groups at random. Now there
# is nothing left to be learned, and every honest evaluation has to say 0.5, on average over several
# draws (one draw alone wanders, and an honest one leans slightly below). We run all of them, on
# coins and on the true labels of 45 groups. **Predict:** which of the five will find something
# where there is nothing?

# %%
EVALUATIONS = {
    "sound": sound, "A": evaluation_a, "B": evaluation_b, "C": evaluation_c, "D": evaluation_d,
    "E": evaluation_e,
}  # fmt: skip
began = time.perf_counter()
# A small study, as most are: 45 groups. Some features are the same in every frame.
some = records["group"].drop_duplicates().sample(45, random_state=SEED)
small = records["group"].isin(some).to_numpy()
labels = (records["label"] == "malignant").to_numpy(int)[small]
groups = records["group"].to_numpy()[small]
varied = rows[small][:, rows[small].std(axis=0) > 1e-6]
run = evaluation.trials(EVALUATIONS, varied, labels, groups, 12 if FAST else 20)
print(f"{len(run)} evaluations took {time.perf_counter() - began:.0f} s")

# %% cellView="form"
# @title Draw every evaluation, on coins and on true labels { display-mode: "form" }
figure = evaluation.draw_trials(run)
show.picture(figure)
run.groupby(["evaluation", "labels"], sort=False)["value"].mean().unstack().round(2)

# %% [markdown]
# *What to see:* the black bars, first. Bars clearly to the right of the dashed line belong to
# evaluations that find something where there is nothing. Then the orange diamonds: what each of
# them would have printed about the true labels; compare them with that of the sound one, the first
# row. An evaluation that passes the coin test may still be wrong: one here errs in the other
# direction, and one breaks a rule without visible gain.
#
# <details><summary>Answer A</summary>
#
# The first line learns mean and spread from all frames, those of the test fold included: it
# normalises **before the split**. As it never looks at a label, it gains next to nothing here. It
# is a bug all the same: with few frames, with strong outliers, or with anything cleverer than a
# mean (a network that is "only pre-trained" on the test images), the gain grows, and nobody can
# tell from outside how much.
#
# </details>
#
# <details><summary>Answer B</summary>
#
# The first line chooses features by the labels of **all** frames. Out of many useless features some
# agree with the labels of the test fold by luck, and exactly these are taken. The more features and
# the fewer frames, the greater the miracle. The selection belongs inside the loop, as in `sound`.
#
# </details>
#
# <details><summary>Answer C</summary>
#
# `StratifiedKFold` assigns **images**, not groups: frames of one patient (or near duplicates) are
# on both sides and carry the same label. Whatever recognises the patient knows the answer. How much
# that gives depends on how many frames have a sibling.
#
# </details>
#
# <details><summary>Answer D</summary>
#
# The threshold is chosen **on the test fold**, by its labels. Even a coin reaches more than 0.5
# with the best of all thresholds. The smaller the fold, the more. It has to come from validation
# data or from other folds, as in section 4.
#
# </details>
#
# <details><summary>Answer E</summary>
#
# The **generator shuffles**: `batch` has another order than `tested`, so every score is filed under
# another frame. Here the figures are too *bad*: a coin, whatever the head knows. This bug is found
# when a network that did well on the validation part has a table of decisions (section 4) like a
# coin's, as in P1.
#
# </details>

# %% [markdown]
# ## Exercises
#
# **1.** In section 1, copy every frame nine times more instead of three. How long is the interval
# from drawing images then? And from drawing groups?
#
# <details><summary>Answer</summary>
#
# Ten times the images: about one over the square root of ten, that is a third, of the length it
# had. That from groups stays as it was. Nothing has been learned about any patient.
#
# </details>
#
# **2.** What would "image size only" say in section 2 if all three scanners had the same frame
# size? Would the trap be gone?
#
# <details><summary>Answer</summary>
#
# It would have nothing to go by, so about 0.5 or somewhat below, and the trap would still be there:
# scanners differ in gain, grain, contrast and printed text, and a network recognises them by that.
# The control finds one way in which the source shows, not all of them. Reporting within each source
# protects in any case.
#
# </details>
#
# **3.** Set `CLINIC` to 0.02, as for nodules found by chance in people who feel well. What becomes
# of the PPV, and of net benefit?
#
# <details><summary>Answer</summary>
#
# The PPV of the very good decision falls to about 0.16: five in six flags are false. The lines of
# net benefit come close to 0, and "biopsy everybody" sinks below it at nearly every price.
#
# </details>
#
# **4.** Write a sixth evaluation: to balance the classes, copy every frame of the rarer class once
# *before* the split, each copy with a group of its own. Run it with a coin.
#
# <details><summary>Answer</summary>
#
# Copies are on both sides, and a head that recalls single images, a forest say, is flattered on
# the coin as well. Our quick model recalls little, so its bar may hardly move; the bug is the same.
# Copy after the split, in the training part, and keep the group of the original.
#
# </details>

# %% [markdown]
# ## Quiz
#
# **1.** A study of 60 images of 20 patients prints an AUROC of 0.91, with an interval drawn over
# images. What is wrong?
#
# <details><summary>Answer</summary>
#
# There are 20 independent patients, not 60. The interval is too narrow; draw patients.
#
# </details>
#
# **2.** Over all sources a network reaches 0.85, within each of three sources about 0.5. What has
# it learned?
#
# <details><summary>Answer</summary>
#
# Most of all, where images come from. Within a source, where that does not help, it is not shown to
# beat a coin.
#
# </details>
#
# **3.** Two heads have the same AUROC. May one of them be useless as a probability?
#
# <details><summary>Answer</summary>
#
# Yes. AUROC sees the order alone; stretched scores keep it, and mislead everyone who reads them as
# probabilities.
#
# </details>
#
# **4.** Sensitivity and specificity are 90 %, one nodule in ten is malignant. How many of 100
# flagged nodules are malignant?
#
# <details><summary>Answer</summary>
#
# Of 1,000 nodules 100 are malignant: 90 are flagged. Of the 900 others 90 are flagged too. So 50 of
# 100.
#
# </details>
#
# **5.** An evaluation reaches 0.5 on labels assigned by a coin. Is it sound?
#
# <details><summary>Answer</summary>
#
# Not for sure. The coin finds what invents knowledge; it does not find what destroys it (a shuffled
# generator), nor a source that predicts the true class.
#
# </details>

# %% [markdown]
# ## What this chapter claims, checked
#
# What has to hold in every run, whatever chance decides, computed from this one. The rest of the
# chapter holds "in this run": change `SEED`, and look again.

# %%
flagged = predictive_values(0.9, 0.9, CLINIC).positive
reached = {name: metrics.auroc(sick, scores) for name, scores in answers.items()}
claims.table(claims.evaluation(four, reached, flagged, gains, checked))
