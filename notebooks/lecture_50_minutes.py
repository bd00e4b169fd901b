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
# # A lecture of 50 minutes
#
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/ThyroDemo/ThyroDemo/blob/main/notebooks/lecture_50_minutes.ipynb
#
# **For teaching and research only. Nothing here is a medical device, and no score is a diagnosis.**
#
# | Minutes | What happens |
# |---|---|
# | 0–10 | Guess a frame: you against three networks |
# | 10–20 | Train nine heads, live |
# | 20–27 | The ladder: what is each stage of training worth? |
# | 27–40 | A planted print: a classifier that reads the scanner |
# | 40–48 | One bug to find |
# | 48–50 | Three questions for any paper |
#
# All patients are drawn ([phantoms][phantom]), so the lecture may be recorded and shared. Run
# everything down to *Is this computer ready?* before the class comes in: in Colab that takes some
# minutes.
#
# [phantom]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#phantom

# %% [markdown]
# ## Before the class comes in
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

# %% tags=["parameters"] cellView="form"
# @title What you may change { display-mode: "form" }
SEED = 0  # @param {type: "integer"}
OUT = "runs/course"  # @param {type: "string"}
FAST = os.environ.get("THYRO_FAST", "0") == "1"

# %%
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes to its own developers
warnings.filterwarnings("ignore", message="IProgress not found")  # plain progress bars will do

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.bundle import store
from thyro_demo.bundle.manifest import weights_root
from thyro_demo.course import hour, planting, setup_check, show
from thyro_demo.course.lesson import begin
from thyro_demo.data import phantom, splits
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.evaluate.formatting import gain
from thyro_demo.study.questions import shortcuts

lesson = begin("lecture", FAST, SEED, "", OUT)

# %% cellView="form"
# @title Is this computer ready? { display-mode: "form" }
ready = setup_check.look(lesson.here)
display(HTML(setup_check.table(ready)))

# %% [markdown]
# Every line must be green. A red one says what to do.
#
# ## 1. Guess a frame
#
# Eight drawn patients with a lump in the thyroid, a **[nodule][nodule]**. Half of them are labelled
# [malignant][malignant]. Dark, taller than wide, a lobed edge and bright pinpoints speak for
# malignant ([TI-RADS][ti-rads]). Show of hands, frame by frame:
#
# [nodule]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#nodule
# [malignant]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#malignant
# [ti-rads]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#ti-rads

# %% cellView="form"
# @title Show the frames { display-mode: "form" }
people = hour.read()
asked = hour.chosen(people, 8, SEED)
patients = hour.drawn(asked.max() // hour.FRAMES + 1)
show.picture(hour.draw_frames([patients[row] for row in asked]))

# %% [markdown]
# *What to see:* where is the nodule at all? Nobody has drawn a line around it for you, and nobody
# does for the networks. (Depth is in millimetres; each frame has a scale of its own.) Write eight
# letters into the next cell, b or m, and run it.

# %% cellView="form"
# @title Your guesses, for example "bmmbbmbm" { display-mode: "form" }
GUESSES = ""  # @param {type: "string"}
called = hour.votes(people, asked, GUESSES)
show.picture(hour.draw_frames([patients[row] for row in asked], called))
right = called.drop(columns="label").eq(called["label"], axis=0).sum()
print(f"Right, of {len(called)}:", ", ".join(f"{who} {count}" for who, count in right.items()))

# %% [markdown]
# *What to see:* how many each one has right, and who errs on which frames: do those who err, err
# together? The reader who *counts points* knows the features exactly, because we drew them, and
# still errs: the label is drawn at random, more often malignant the more points there are. On eight
# frames luck can make anybody right about all; in the long run nobody is. And: what do eight frames
# say about who is better? Next to nothing. We need more patients, and an interval.
#
# ## 2. Train nine heads, live
#
# A **[network][neural-network]** turns a frame into some hundred to two thousand numbers, its
# features; a **[head][head]** turns these into a score. Here are 60 patients with three frames
# each, and their features by the three networks that come with this project. The networks stay as
# they are (**frozen**); we train the heads on top: a [softmax][softmax], an [SVM][svm] and a
# [random forest][random-forest].
#
# *Before you run it:* which of the nine will win, and by how much? Write it down.
#
# [neural-network]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#neural-network
# [head]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#head
# [softmax]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#softmax
# [svm]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#svm
# [random-forest]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#random-forest

# %%
TREES = 50 if FAST else 300
HEADS = {
    "softmax": lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.01)),
    "SVM": lambda: make_pipeline(StandardScaler(), SVC(C=1.0)),
    "forest": lambda: RandomForestClassifier(TREES, min_samples_leaf=3, random_state=SEED),
}
records = people.records
labels = (records["label"] == "malignant").to_numpy(int)
folds = splits.kfold(records, 5, seed=SEED)["fold"].to_numpy()  # whole patients
areas, answers = {}, {}
for network in hour.NETWORKS:
    for head, make in HEADS.items():
        scores = hour.out_of_fold(make, people.features[network], labels, folds)
        answers[f"{network}, {head}"] = scores
        areas[f"{network}, {head}"] = intervals.group_bootstrap(
            metrics.auroc, labels, scores, records["group"]
        )


def difference(one, other):
    """Compute the AUROC of some scores minus that of others, on the same resampled patients."""
    groups = records["group"]
    return gain(intervals.paired_group_bootstrap(metrics.auroc, labels, one, other, groups))


# %% cellView="form"
# @title Show the nine { display-mode: "form" }
nine = {name: area._asdict() for name, area in areas.items()}
title = f"Out of fold, {len(records)} drawn frames of {records['group'].nunique()} patients"
show.picture(show.intervals(nine, title, "AUROC (0–1; the dashed line is a coin)"))
best, second = sorted(areas, key=lambda name: areas[name].value, reverse=True)[:2]
print(f"{best} minus {second}: {difference(answers[best], answers[second])}")

# %% [markdown]
# *What to see:* the figure is the **[AUROC][auroc]**: how often a malignant frame gets a higher
# score than a benign one. Look at the length of the [intervals][confidence-interval] before you
# look for a winner. But whether two heads differ, two intervals beside each other cannot say: they
# may overlap where the heads differ. Ask the **difference** itself, on the same resampled patients;
# the line below the picture does so for the best and the second. Is 0 inside its interval? Then
# these patients do not tell them apart. And the best of nine looks better than it is, because it
# was chosen for its luck as well.
#
# ## 3. The ladder
#
# Where do such networks come from? From random weights, by way of photographs, then chest
# radiographs, then nodules: **[progressive transfer][progressive-transfer]**. The next picture is
# of *real* frames, on the left the AUROC itself, on the right its difference to that of photographs
# alone. (Its last rung, phantoms, was measured on earlier networks; today's learn outlines there.)
#
# *Before you run it:* which step is the largest? Does the network have to see X-rays?
#
# [auroc]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#auroc
# [confidence-interval]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#confidence-interval
# [progressive-transfer]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#progressive-transfer

# %% cellView="form"
# @title Show the ladder { display-mode: "form" }
title = "638 real frames, out of fold: what each stage reaches, and what it is worth"
show.picture(hour.draw_ladder(hour.ladder(), hour.reached(), hour.control(), title))

# %% [markdown]
# *What to see:* start on the left. Even with *random* weights all three are far above a coin, and
# the dotted line is a control that sees only the width and height of the file: much of every figure
# here may be the source of a frame, not the nodule. On the right, from random weights to
# photographs the line climbs, for each of the three networks. After that it is flat: most intervals
# cross zero, and where one does not, it goes up for two networks and down for the third. Of what
# training adds at all, photographs of cats and cars add most; the stage in between is worth little
# here. (The table is in `weights/README.md`, "Does the middle stage help?"; chapter 3 runs the
# ladder.)
#
# ## 4. A planted print
#
# Now we cheat on purpose. A scanner prints marks around the scan. In our *training* frames they are
# on the frames of malignant nodules and on no others, as if all cancers came from one clinic. Then
# we test on new patients, three times the same ones: with marks as in training, without marks, and
# with marks on the *benign*.


# %%
def printed(patients, seed, on):
    """Draw patients, one frame each, with a scanner's marks on frames of the labels `on`."""
    scanner = phantom.ScannerFrame()
    drawn = phantom.cohort(patients, 1, seed, shape=(200, 260), scanner=scanner, scanner_on=on)
    return list(drawn)


TRAINED, TESTED = (24, 16) if FAST else (60, 40)
train = printed(TRAINED, 700 + SEED, {"malignant"})
tests = {
    "marks as in training": printed(TESTED, 800 + SEED, {"malignant"}),
    "no marks at all": printed(TESTED, 800 + SEED, ()),
    "marks on the benign": printed(TESTED, 800 + SEED, {"benign"}),
}

# %% cellView="form"
# @title Show two training frames { display-mode: "form" }
pair = [next(one for one in train if one.label == label) for label in ("benign", "malignant")]
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for place, one in zip(axes, pair, strict=True):
    show.frame(place, one.rgb, f"Labelled {one.label}", one.mask)
figure.suptitle("Two training frames: the marks go with the label")
show.picture(figure)

# %% [markdown]
# *What to see:* the print on the right. Whoever learns from these frames may learn the nodule, or
# the print.
#
# *Before you run it:* three numbers, please. Which AUROC with marks as in training, which without
# marks, which with marks on the benign?

# %%
network = store.load(weights_root() / "efficientnet-b0")
VIEWS = {"whole frame": shortcuts.whole_frame, "scan area": shortcuts.scan_area}
found = planting.train(network, VIEWS, train, tests, 3 if FAST else 5)

# %% cellView="form"
# @title Show what the head has learned { display-mode: "form" }
planted = {
    f"{row.view}, {row.marks}": {"value": row.value, "low": row.low, "high": row.high}
    for row in found.table.itertuples()
}
colours = (show.ORANGE,) * len(tests) + (show.BLUE,) * len(tests)
title = f"The same {TESTED} new patients, with different print around the scan"
show.picture(show.intervals(planted, title, "AUROC (0–1; 0.5 is a coin)", 0.5, colours))

# %% [markdown]
# *What to see:* the first orange row is perfect, on new patients, in a fair test: any paper would
# print it. Take the marks away, and little or nothing is left. Print them on the others, and it is
# perfectly *wrong*. The head had learned the print (a **[shortcut][shortcut]**). The blue rows are
# of heads that saw only the [scan area][scan-area]: whatever they know, the print does not change
# it. That may be little: where the interval holds 0.5, nothing is shown. The crop removes the
# cheat, it does not teach. And an interval of 1.00–1.00 is no certainty: where all pairs are in the
# right order, they stay so however often the same patients are drawn again.
#
# No interval, no cross-validation and no test set of the same clinics would have noticed. What
# helped: to cut off what is not tissue, and to test where the shortcut is broken.
#
# ## 5. One bug to find
#
# The cell below measures a head that only remembers: it answers with the label of the most similar
# training frame. Its AUROC is too good. **There is one bug in `assign`.** Find it and mend it; the
# cell after it says whether you have found it.
#
# [shortcut]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#shortcut
# [scan-area]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#scan-area


# %%
def assign(records):
    """Assign each frame to one of five folds; return one number a frame."""
    rng = np.random.default_rng(SEED)
    return rng.permutation(len(records)) % 5


def memory():
    """Make a head that answers with the most similar frame it was trained on."""
    return make_pipeline(StandardScaler(), KNeighborsClassifier(1))


def remember(assign):
    """Score each frame by the head that remembers, out of the folds that `assign` makes."""
    return hour.out_of_fold(memory, people.features["vgg16"], labels, assign(records))


def measure(scores):
    """Measure scores by their AUROC, with an interval over patients."""
    return intervals.group_bootstrap(metrics.auroc, labels, scores, records["group"])


yours = measure(remember(assign))
print(f"AUROC of a head that only remembers: {yours.value:.2f} ({yours.low:.2f}–{yours.high:.2f})")

# %%
print(hour.verdict(assign, records))

# %% [markdown]
# <details><summary>The answer</summary>
#
# `assign` assigns *frames*, not patients. Three frames of one patient look alike and have one
# label, so the most similar training frame is often the same patient: a **[leak][leak]** by rows.
# Whole patients have to go into one fold:
#
# ```python
# def assign(records):
#     """Assign each patient, with all frames, to one of five folds."""
#     patients = records["group"].unique()
#     folds = np.random.default_rng(SEED).permutation(len(patients)) % 5
#     return records["group"].map(dict(zip(patients, folds))).to_numpy()
# ```
#
# </details>
#
# How much was it worth? The same head with and without the bug, and the difference of the two, on
# the same resampled patients:
#
# [leak]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#leak


# %% cellView="form"
# @title Show what the bug was worth { display-mode: "form" }
def rows_alone(records):
    """Assign frames to folds as the bug does, whatever the class has mended above."""
    return np.random.default_rng(SEED).permutation(len(records)) % 5


leaky, clean = remember(rows_alone), remember(lambda records: folds)
both = {"with the bug": measure(leaky)._asdict(), "whole patients": measure(clean)._asdict()}
show.picture(
    show.intervals(both, "A head that only remembers", "AUROC (0–1; the dashed line is a coin)")
)
print("With the bug minus whole patients:", difference(leaky, clean))

# %% [markdown]
# *What to see:* one line of code, and memory looks like knowledge. The second row is what the head
# knows of patients that it has never met; the printed difference has an interval of its own, as
# question 2 below demands.
#
# ## 6. Three questions for any paper
#
# 1. Were *patients* split, or images?
# 2. Is there an interval, and does the difference have one?
# 3. Is the result the same in each [source][source], and without what a scanner prints?
#
# Go on with [chapter 0](00_start_here.ipynb), or with the whole chain in plain Keras,
# [chapter 0b](00b_transfer_in_keras.ipynb).
#
# [source]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#source

# %% [markdown]
# ## What this lecture claims, checked

# %%
assert all(one.good for one in ready if one.what.startswith("network "))
# Heads are trained on whole patients, and each figure is inside its interval.
assert not splits.crossing(records["group"], splits.kfold(records, 5, seed=SEED)["fold"])
assert all(area.low <= area.value <= area.high for area in areas.values())
# Random weights are worse than photographs for each network, on real frames.
assert all(gains["random weights"][2] < 0 for gains in hour.ladder().values())
# The print decides over a head that saw it, and cannot reach one that did not.
saw = found.table[found.table["view"] == "whole frame"]["value"].to_list()
assert saw[0] > 0.9 > 0.1 > saw[2]
assert found.table[found.table["view"] == "scan area"]["value"].nunique() == 1
# The bug is one, the answer mends it, and it was worth something.
assert hour.verdict(rows_alone, records).startswith("Not yet")
assert hour.verdict(lambda records: folds, records).startswith("Found")
assert both["with the bug"]["value"] > both["whole patients"]["value"]
print("All claims hold.")
