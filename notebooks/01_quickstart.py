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
# # Quickstart: from drawn frames to heads compared side by side
#
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/ThyroDemo/ThyroDemo/blob/main/notebooks/01_quickstart.ipynb
#
# **For teaching and research only. Nothing here is a medical device, and no score is a diagnosis.**
#
# After this chapter you can
#
# 1. name the five features by which a thyroid nodule is graded, and draw a frame that shows them;
# 2. split patients, not images, and say what goes wrong otherwise;
# 3. train three classifiers ("heads") on one frozen network;
# 4. read an AUROC together with its interval, and say when it means nothing;
# 5. compare heads on one frame, see where each of them looked, and check that against the truth;
# 6. open the app that does all of this in a browser.
#
# You need no data and no graphics card. The whole chapter runs in about ten minutes, in Colab or on
# a laptop. Run the cells from top to bottom with *Shift + Enter*.

# %% [markdown]
# ## Before we start
#
# The next cell does nothing on your own computer, where the README's one line has installed
# everything. In Google Colab it fetches the project and installs what Colab lacks.

# %%
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
os.chdir(next(place for place in places if (place / "thyro_demo").is_dir()))
sys.path.insert(0, str(Path.cwd()))

# %% [markdown]
# What you may change is all in one cell. `FAST` makes everything small, for a quick look; `SEED`
# fixes what chance decides, so that the same seed gives the same numbers; `DATA` names a folder of
# your own frames in place of phantoms (leave it empty today); `OUT` is where results go.

# %% tags=["parameters"]
FAST = os.environ.get("THYRO_FAST", "0") == "1"
SEED = 0
DATA = ""
OUT = "runs/quickstart"

# %%
import shutil
import warnings
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes to its own developers
warnings.filterwarnings("ignore", message="IProgress not found")  # plain progress bars will do

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from IPython.display import Image, Markdown, display

from thyro_demo.clinical import tirads
from thyro_demo.clinical.tirads import Features
from thyro_demo.data import datasets, phantom, splits
from thyro_demo.engine import Engine
from thyro_demo.errors import LeakError
from thyro_demo.evaluate import intervals, metrics, report
from thyro_demo.explain.overlay import overlay
from thyro_demo.models import bundle
from thyro_demo.models.chain import Job, run
from thyro_demo.models.manifest import kind, names, read_manifest, weights_root
from thyro_demo.models.recipes import recipe
from thyro_demo.ui.build import build_ui
from thyro_demo.ui.launch import launch

tf.config.experimental.enable_op_determinism()  # the same seed, the same weights
PATIENTS, LOOKS = (40, 8) if FAST else (150, 40)
SHIPPED = weights_root() / "efficientnet-b0"
START = os.path.relpath(SHIPPED) if SHIPPED.is_dir() else "none"
size = "fast" if FAST else "full"
HERE = Path(OUT) / f"{size}-seed{SEED}-{Path(DATA).name or 'phantoms'}-{Path(START).name}"
if FAST:
    shutil.rmtree(HERE, ignore_errors=True)

# %% [markdown]
# ## 1. What an ultrasound frame shows
#
# An ultrasound probe sends short pulses of sound into the neck and listens. Wherever tissue
# changes, some sound comes back as an **echo**, and the later it comes, the deeper it is drawn. So
# the top of a frame is the skin, the bottom is some four centimetres deep, and bright means "a
# strong echo". The grain all over the picture is **speckle**: echoes of countless tiny scatterers
# that add up or cancel. It is not noise of the electronics; it is how tissue looks.
#
# A **nodule** is a lump in the thyroid gland. Most are harmless (**benign**), some are cancer
# (**malignant**). Radiologists describe a nodule by five features and add up points. The table is
# called **ACR TI-RADS** (American College of Radiology, Thyroid Imaging Reporting and Data System):
#
# | Feature | The question | From harmless … | … to suspicious |
# |---|---|---|---|
# | Composition | fluid or flesh? | cystic (fluid), spongiform: 0 | solid: 2 |
# | Echogenicity | how bright? | anechoic (black, fluid): 0 | very hypoechoic (very dark): 3 |
# | Shape | which axis is longer? | wider than tall: 0 | taller than wide: 3 |
# | Margin | how is the edge? | smooth: 0 | lobulated: 2, growing out of the gland: 3 |
# | Echogenic foci | bright dots? | none, comet tails: 0 | punctate (pinpoint) foci: 3 |
#
# The sum gives a **level**, TR1 (0 points, benign) to TR5 (7 points or more, highly suspicious).
#
# We have no patients here, and need none: a **phantom** is a frame drawn by the physics of
# ultrasound, in which *you* choose the features. Change one and run the cell again.


# %%
def show(axes, drawn, title, colour="tab:cyan"):
    """Show a phantom in millimetres, its nodule outlined."""
    high, wide = np.array(drawn.frame.shape) * drawn.spacing_mm
    axes.imshow(drawn.frame, cmap="gray", vmin=0, vmax=255, extent=(0, wide, high, 0))
    outline = {"levels": [0.5], "colors": colour, "linewidths": 1}
    axes.contour(drawn.mask, extent=(0, wide, 0, high), **outline)
    axes.set(title=title, xlabel="Across the neck (mm)", ylabel="Depth (mm)")


SOLID = "solid or almost completely solid"
harmless = Features("spongiform", "isoechoic", "wider than tall", "smooth")
suspicious = Features(
    SOLID,
    "very hypoechoic",
    "taller than wide",
    "lobulated or irregular",
    ("punctate echogenic foci",),
)
figure, pair = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
for axes, features in zip(pair, (harmless, suspicious), strict=True):
    drawn = phantom.draw(features, size_mm=14, seed=5)
    show(axes, drawn, f"{drawn.points} points, {tirads.level(drawn.points)}")
figure.suptitle("Two nodules that the table tells apart")
plt.show()

# %% [markdown]
# *What to see:* inside the thin line, the left nodule is as bright as the gland around it and full
# of small holes; the right one is dark, stands upright and holds bright pinpoints. The line is the
# nodule's **mask**: the pixels that we know belong to it, because we drew them. No real frame comes
# with such certainty.
#
# More of them, with their features underneath:

# %%
chosen = list(phantom.EXAMPLES)[:8]
sheet = phantom.contact_sheet([phantom.example(name) for name in chosen], columns=4, width=300)
plt.figure(figsize=(13, 7.6), layout="constrained")
plt.imshow(sheet, cmap="gray", vmin=0, vmax=255)
plt.title("Eight phantoms, one feature brought out in each")
plt.xlabel("In each frame: across the neck")
plt.ylabel("In each frame: depth, skin on top")
plt.xticks([])
plt.yticks([])
plt.show()

# %% [markdown]
# *What to see:* the black tunnel in most frames is the trachea (air sends nearly all sound back, so
# nothing is seen behind it), and the round black spots are vessels. A bright stone throws a shadow,
# fluid lets the sound through and the tissue behind it looks brighter.
#
# ### Who is "malignant" here?
#
# Each phantom patient also has a **label**, drawn by chance with a probability that rises with the
# points:

# %%
points = np.arange(15)
chance = np.array([phantom.malignant_probability(count) for count in points])
plt.figure(figsize=(7, 3.4), layout="constrained")
plt.bar(points, chance, color="tab:purple")
plt.axhline(0.5, color="grey", linewidth=1, linestyle="--")
plt.title("How often a phantom with so many points is labelled malignant")
plt.xlabel("TI-RADS points")
plt.ylabel("Probability (0–1)")
plt.show()

# %% [markdown]
# *What to see:* at five and six points the label is close to a coin toss. Nobody, human or network,
# can be right about all of these; a model that claims to be has seen the answers. (The rule is ours
# and far steeper than in a clinic, where even a TR5 nodule is often benign.)
#
# ## 2. A table of patients, and a split that does not cheat
#
# We draw a **cohort**, a group of patients with two frames each, into a folder, and read it back as
# a table: one row an image, with its `path`, its `label`, its `group` and its `source`. The
# **group** is what must stay together, here the patient.

# %%
if DATA:
    FRAMES = Path(DATA)
else:
    # The shipped networks met phantoms of seed 7; those from 100 on are new to them.
    people = phantom.cohort(PATIENTS, frames_per_patient=2, seed=100 + SEED, workers=2)
    FRAMES = phantom.write(people, HERE / "cohort", total=2 * PATIENTS)
records = datasets.load(FRAMES)
records = records[records["label"].isin(["benign", "malignant"])].reset_index(drop=True)
records = splits.group_near_duplicates(records)
display(records[["path", "label", "group", "source"]].head(4))
records.groupby("label").agg(images=("path", "size"), groups=("group", "nunique"))

# %% [markdown]
# To find out how good a model is, we must ask it about images it has not learned from. The usual
# way is **cross-validation**: deal all images to, say, five heaps (**folds**), train on four, ask
# about the fifth, and go round until each image has been asked about once. Scores won this way are
# called **out-of-fold**.
#
# Now the trap. Two frames of one patient show the same neck and carry the same label. If one of
# them is in training and the other is asked about, the model may just recognise the neck. That is a
# **leak**: the answer crosses from one side to the other. Let us deal once by image and once by
# group, and count.

# %%
FOLDS = 3 if FAST else 5
by_image = records.assign(fold=np.random.default_rng(SEED).permutation(len(records)) % FOLDS)
by_group = splits.kfold(records, FOLDS, seed=0)
figure, pair = plt.subplots(1, 2, figsize=(11, 3.2), sharey=True, layout="constrained")
first = records["group"].unique()[:20]
for axes, dealt, how in zip(pair, (by_image, by_group), ("image", "group"), strict=True):
    seen = dealt[dealt["group"].isin(first)]
    for place, (_, frames) in enumerate(seen.groupby("group"), start=1):
        torn = frames["fold"].nunique() > 1
        axes.plot([place] * len(frames), frames["fold"], "o-", color="C3" if torn else "C2")
    crossing = len(splits.crossing(dealt["group"], dealt["fold"]))
    axes.set(title=f"Dealt by {how}: {crossing} groups torn apart", xlabel="Patient (first 20)")
    axes.set(xticks=range(1, 21, 3))
pair[0].set(ylabel="Fold", yticks=range(FOLDS))
plt.show()

# %% [markdown]
# *What to see:* on the left, red lines join frames of one patient in different folds; on the right
# each patient has one green dot, because both frames lie in the same fold. The package refuses to
# work with the left one:

# %%
try:
    splits.check(by_image, "fold", hashes=False)
    refused = False
except LeakError as error:
    refused = True
    print("Refused:", error)
splits.check(by_group, "fold", hashes=False)
print("Dealt by group: nothing crosses.")

# %% [markdown]
# ## 3. New heads on a frozen network
#
# A **network** here is a chain of layers that turns an image into numbers. Its early layers find
# edges and textures, the later ones combinations of them. What comes out of the last of these
# layers is a stack of small pictures, the **feature map**, each telling where in the frame
# something was found. Averaging each of them leaves one number a picture: the **features**, 1,280
# of them in the network we use, EfficientNet-B0.
#
# A **head** is what turns features into a **score** between 0 and 1. We train three, on the very
# same features:
#
# - **softmax**: one weight for each feature, added up, squeezed into 0–1. It is the usual last
#   layer of a network, and learns in **epochs**, that is passes over all training images;
# - **SVM** (support vector machine): looks for the boundary that keeps the widest distance from
#   both classes;
# - **forest**: 300 decision trees, each grown on a random part of the data, that vote.
#
# We keep the network itself **frozen**: none of its weights change. That is quick, and with few
# images it is often wise, for four million weights can learn a hundred images by heart.
#
# The network comes from this project's `weights/` folder. It has learned from photographs, then
# from chest radiographs; thyroid frames taught its heads alone. If that folder is empty, it starts
# from random weights, and its features are those of a network that has learned nothing.
#
# A **control** belongs to every experiment. Ours is a tiny network of two layers with *random*
# filters, and the same three heads. What a head scores there, it scores without any learned
# features.

# %%
whole = recipe("head")
source, stage = whole.stages[0]
quick = replace(whole, folds=FOLDS, stages=((source, replace(stage, views=2)),))
plan = quick if FAST else whole
MODELS = {
    "new-heads": ("efficientnet-b0", START, "EfficientNet-B0 with new heads"),
    "control": ("two-layer-cnn", "none", "Random-filter control"),
}
for name, (network, start, title) in MODELS.items():
    job = Job(
        recipe=plan,
        backbone=network,
        data=FRAMES,
        work=HERE / "work" / name,
        out=HERE / "bundles" / name,
        start=start,
        epochs=20 if FAST else None,
        title=title,
    )
    run(job)
print("The network of the new heads started from:", Path(START).name)

# %% [markdown]
# Each run leaves a **bundle**: a folder with the network, its heads, a manifest that says how they
# came about, and a **model card** for people. It is the same kind of folder that the app loads.

# %%
print(*sorted(str(file) for file in (HERE / "bundles").glob("*/*")), sep="\n")

# %% [markdown]
# ## 4. Did it work?
#
# **AUROC** (area under the receiver operating characteristic curve) answers one question: take one
# malignant and one benign frame at random; how often does the malignant one get the higher score?
# 0.5 is a coin, 1 is perfect.
#
# With few patients that number is shaky. So it comes with an **interval**: we draw as many patients
# as we have, with replacement, two thousand times, and keep the middle 95 % of the answers (a
# **bootstrap** of whole groups). Had we endless patients of this kind, the number would plausibly
# lie in there.


# %%
def told(figure):
    """Write a figure with its interval."""
    return "{value:.2f} ({low:.2f} to {high:.2f})".format(**figure)


summaries = {name: read_manifest(HERE / "bundles" / name)["metrics"] for name in MODELS}
rows = [
    {"model": MODELS[name][2], "head": head}
    | {key: told(found[key]) for key in ("auroc", "sensitivity", "specificity")}
    for name, summary in summaries.items()
    for head, found in summary["heads"].items()
    if found["sensitivity"]["value"] is not None
]
known = summaries["new-heads"]
display(Markdown(f"Out of fold: {known['n']} frames in {known['groups']} groups, {FOLDS} folds."))
pd.DataFrame(rows)

# %% [markdown]
# **Sensitivity** is the share of malignant frames that a head flags, **specificity** the share of
# benign ones that it leaves alone. Both depend on a **threshold**: a score at or above it counts as
# flagged. Here each fold's threshold was chosen on the *other* folds; chosen on the same images, it
# would flatter.

# %%
plt.figure(figsize=(8, 3.8), layout="constrained")
places, labels = [], []
for name, colour in zip(MODELS, ("tab:blue", "tab:orange"), strict=True):
    for head, found in summaries[name]["heads"].items():
        if head not in plan.heads:
            continue
        area = found["auroc"]
        places.append(len(places))
        labels.append(f"{MODELS[name][2]}: {head}")
        plt.plot([area["low"], area["high"]], [places[-1]] * 2, color=colour, linewidth=3)
        plt.plot(area["value"], places[-1], "o", color=colour, markersize=9)
plt.axvline(0.5, color="grey", linestyle="--", linewidth=1)
plt.yticks(places, labels)
plt.gca().invert_yaxis()
plt.title("AUROC, out of fold, with 95 % intervals")
plt.xlabel("AUROC (the dashed line is a coin)")
plt.ylabel("Model and head")
plt.show()

# %% [markdown]
# *What to see:* how long the lines are. Where a line touches the dashed one, these patients do not
# show that the head is better than a coin; where two lines overlap a lot, don't say that one head
# "wins". A line wholly *below* the dashed one is no network to be read backwards: where there is
# nothing to learn and patients are few, cross-validation leans a little below 0.5, because a class
# that is frequent in the fold asked about is scarce in the folds learned from.
#
# The fair way to compare two models is on the same resampled patients, because what is hard for
# both cancels out. Is the network better than its control?

# %%
found, control = (
    pd.read_csv(HERE / "work" / name / "oof.csv").rename(columns={"probability": "score"})
    for name in MODELS
)
both = found.merge(control, on=["path", "group", "label", "head"], suffixes=("", "_control"))
primary = both[both["head"] == plan.primary]
gain = intervals.paired_group_bootstrap(
    metrics.auroc,
    primary["label"] == "malignant",
    primary["score"],
    primary["score_control"],
    primary["group"],
)
apart = gain.low > 0 or gain.high < 0
verdict = "0 lies outside" if apart else "0 lies inside, so no difference is shown"
print(f"AUROC of the {plan.primary}, network minus control: {told(gain._asdict())}; {verdict}.")

# %% [markdown]
# Where 0 lies outside, *these* folds and *these* trained heads differ by more than the choice of
# patients explains. The interval knows nothing of other chances: deal the folds anew, or let random
# weights fall otherwise, and the number moves again. So a difference that only just leaves 0
# outside is a reason to repeat the experiment, not to publish it.
#
# We named the SVM as the **primary** head before we looked. Whoever picks the best of six heads
# afterwards, and quotes its number, has chosen luck.
#
# The package also writes a page with all curves. One of them, the **ROC** curve, shows what you pay
# for sensitivity: each point is one threshold.

# %%
no_threshold = dict.fromkeys(plan.heads, float("nan"))
display(Markdown("**ROC curves of the new heads, out of fold, with 95 % bands**"))
page = report.write(found, no_threshold, HERE / "report", "Quickstart: new heads")
print("The whole report:", page)
Image(page.parent / "roc.png", width=520)

# %% [markdown]
# *What to see:* the further a curve bends to the upper left, away from the diagonal, the better;
# the diagonal is the coin again. The shaded band is the interval.
#
# ## 5. Side by side on one frame, and where each one looked
#
# A new patient, whom no model has met. We ask every head of every model at once. If this project's
# shipped networks are there, with heads trained on real frames, they are asked as well.

# %%
engine = Engine(HERE / "bundles")
shipped = [name for name in names() if kind(read_manifest(weights_root() / name)) == "scan"]
for name in shipped:
    engine.add(bundle.load(weights_root() / name))
patient = phantom.draw(suspicious, size_mm=16, seed=900 + SEED, patient="a new patient")
frame = np.dstack([patient.frame] * 3)  # networks expect red, green and blue
HEADS = ("softmax", "svm", "forest")
compared = engine.compare(frame, names=[*MODELS, *shipped], maps=HEADS)
for notice in compared.notices:
    print("Note:", notice)
print(compared.agreement)
pd.DataFrame(
    {
        "model": engine.title(one.model),
        "head": one.head,
        "model score": round(one.score, 2),
        "threshold": round(one.threshold, 2),
        "reads": "above" if one.positive else "below",
    }
    for one in compared.predictions
)

# %% [markdown]
# A **heatmap** shows which parts of the frame a score leaned on. Each head has its own, because
# each weighs the same features in its own way:
#
# - softmax: **Grad-CAM**, which weighs each picture of the feature map by how strongly the score
#   reacts to it (its *gradient*);
# - SVM: the same with the gradient of its distance to the boundary;
# - forest: a vote has no gradient, so we take away one cell of the feature map after the other and
#   see how far the score falls.

# %%
shown = [one for one in compared.predictions if one.model in MODELS]
figure, grid = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
high, wide = np.array(patient.frame.shape) * patient.spacing_mm
for axes, one in zip(grid.flat, shown, strict=True):
    show(axes, patient, f"{engine.title(one.model)}\n{one.head}, score {one.score:.2f}")
    axes.imshow(overlay(frame, one.heatmap, 0.6), extent=(0, wide, high, 0))
    axes.label_outer()
figure.suptitle("Heatmaps of three heads on two networks; the line is the nodule")
plt.show()

# %% [markdown]
# *What to see:* whether the glow lies inside the line, and how different six maps of one frame can
# be. A map that lies on the trachea or in a corner is a warning, whatever the score says; a frame
# without any glow means that this head found nothing there that speaks for "malignant".
#
# One convincing picture proves nothing, so let us measure. **Energy inside** is the share of a
# heatmap's total that falls into the nodule's mask. And again a control: nodules tend to lie near
# the middle, so a blurred blob in the centre, which looks at nothing at all, hits them quite often.
# Any map worth showing has to beat that blob.


# %%
def inside(heatmap, mask):
    """Measure the share of a map that lies in the mask, 0–1; an empty map has 0."""
    total = float(heatmap.sum())
    return float(heatmap[mask].sum()) / total if total > 0 else 0.0


def centred_blob(shape):
    """Draw a Gaussian in the middle of a frame, a quarter of each side wide."""
    rows, columns = (np.linspace(-0.5, 0.5, side) for side in shape)
    return np.exp(-(rows[:, None] ** 2 + columns[None, :] ** 2) / (2 * 0.25**2))


measured = []
for one in phantom.cohort(LOOKS, frames_per_patient=1, seed=500 + SEED):
    looked = engine.compare(np.dstack([one.frame] * 3), names=list(MODELS), maps=HEADS)
    row = {"group": one.patient, "centred blob": inside(centred_blob(one.mask.shape), one.mask)}
    for seen in looked.predictions:
        row[f"{MODELS[seen.model][2]}: {seen.head}"] = inside(seen.heatmap, one.mask)
    measured.append(row)
energy = pd.DataFrame(measured).set_index("group")

# %%
plt.figure(figsize=(8.5, 4.2), layout="constrained")
for place, column in enumerate(energy):
    colour = "grey" if column == "centred blob" else "tab:blue"
    plt.plot(energy[column], [place] * len(energy), "o", alpha=0.4, color=colour)
    plt.plot(energy[column].mean(), place, "|", color="black", markersize=22, markeredgewidth=2)
plt.yticks(range(energy.shape[1]), energy.columns)
plt.gca().invert_yaxis()
plt.title(f"How much of each heatmap lies in the nodule, {len(energy)} new patients")
plt.xlabel("Energy inside the mask (share, 0–1); the bar is the mean")
plt.ylabel("Map")
plt.show()


# %%
def mean_share(_, shares):
    """Average, in the form that the bootstrap asks for."""
    return float(np.mean(shares))


none = np.zeros(len(energy))
blob = energy["centred blob"]
beyond = {
    column: intervals.paired_group_bootstrap(mean_share, none, energy[column], blob, energy.index)
    for column in energy.columns.drop("centred blob")
}
pd.DataFrame(
    {"map": column, "mean": round(energy[column].mean(), 2), "minus blob": told(gap._asdict())}
    for column, gap in beyond.items()
)

# %% [markdown]
# *What to see:* the last column is the mean over patients of "map minus blob", with its interval.
# Where it contains 0, or lies below, the map finds the nodule no better than a blob that never saw
# the frame, and should not be used to explain anything. Be as strict with published heatmaps.
#
# ## 6. Open the app
#
# The same comparison for everyone, in a browser: drop in a frame, see scores, thresholds and maps.
# In Colab the page appears right under the cell. A link for a class is made with `share=True` and
# `auth=("user", "password")`: whoever has it can upload, so **never a patient's image**.

# %%
# In a quick run the app is built, not opened: nobody is there to look at it.
app = build_ui(engine) if FAST else launch(engine, prevent_thread_lock=True)

# %% [markdown]
# Run `app.close()` to stop it.
#
# ## Exercises
#
# **1.** Draw a phantom with exactly 7 points and one with 6. Which level does each have?
#
# <details><summary>Answer</summary>
#
# For example `Features(SOLID, "hypoechoic", "taller than wide", "smooth")` has 2 + 2 + 3 = 7
# points, TR5. With "macrocalcifications" and "wider than tall", and a lobulated margin, it has 2 +
# 2 + 2 + 1 = 7 as well; leave the calcification out for 6, TR4. `tirads.points` and `tirads.level`
# tell.
#
# </details>
#
# **2.** Train once more with twice the patients (`PATIENTS`, and another `OUT`). What happens to
# the AUROC, and what to the length of its interval?
#
# <details><summary>Answer</summary>
#
# The interval shrinks by about the square root of two, to 0.7 of its length. The value moves within
# the old interval, more often upward, because the heads learn from more patients.
#
# </details>
#
# **3.** Replace `by_group` by `by_image` in thought: which of the three heads would profit most
# from the leak?
#
# <details><summary>Answer</summary>
#
# Those that can remember single images: the forest and an SVM with a narrow kernel. A softmax with
# one weight a feature remembers less. The more a model can remember, the more a leak flatters it.
#
# </details>
#
# **4.** Draw the same patient with `phantom.ScannerFrame()` given to `scanner=`. Do the scores
# change? Should they?
#
# <details><summary>Answer</summary>
#
# Hardly: every frame is cropped to its scan area before a network sees it, so the printed text is
# gone. They change a little, for the scan itself is drawn smaller.
#
# </details>

# %% [markdown]
# ## Quiz
#
# **1.** What is a group, and why must it not cross a split?
#
# <details><summary>Answer</summary>
#
# All images of one patient (or near copies of one image). On both sides of a split they let a model
# recognise the patient in place of the disease.
#
# </details>
#
# **2.** A head has an AUROC of 0.62 with an interval of 0.47–0.76. What do you report?
#
# <details><summary>Answer</summary>
#
# Just that, and that these patients don't show it to be better than a coin, as 0.5 lies inside.
#
# </details>
#
# **3.** A model score is 0.8. Is the probability of cancer 80 %?
#
# <details><summary>Answer</summary>
#
# No. The score is calibrated, if at all, to the mix of cases it was trained on. In a clinic with
# far fewer cancers, the same score means far less.
#
# </details>
#
# **4.** Why does each head need a heatmap of its own?
#
# <details><summary>Answer</summary>
#
# They weigh the same features differently. The softmax's map explains the softmax's score, not the
# forest's.
#
# </details>
#
# **5.** A heatmap lies exactly on the nodule. Is the model right?
#
# <details><summary>Answer</summary>
#
# It leaned on the right place; that says nothing about whether it drew the right conclusion there.
# And one frame is no measurement.
#
# </details>

# %% [markdown]
# ## What this chapter claims, checked

# %%
# The table tells the two nodules apart, and the label's chance rises with the points.
assert tirads.level(tirads.points(harmless)) == "TR1"
assert tirads.level(tirads.points(suspicious)) == "TR5"
assert np.all(np.diff(chance) > 0)
# Dealt by group nothing crosses; dealt by image something does, and is refused.
assert not splits.crossing(by_group["group"], by_group["fold"])
assert refused == bool(splits.crossing(by_image["group"], by_image["fold"]))

# %%
# Every frame was scored out of fold once by each head, and no patient was on both sides.
for table in (found, control):
    assert table.groupby("head")["path"].apply(set).map(len).eq(len(records)).all()
    assert table.groupby("group")["fold"].nunique().eq(1).all()
    assert table["score"].between(0, 1).all()
# Network and control met the same folds, so that they may be compared in pairs.
assert (both["fold"] == both["fold_control"]).all()
for summary in summaries.values():
    for figures in summary["heads"].values():
        assert figures["auroc"]["low"] <= figures["auroc"]["value"] <= figures["auroc"]["high"]

# %%
# Each model answered with three heads and a map of its own for each, in the frame's coordinates.
assert {(one.model, one.head) for one in shown} == {(m, head) for m in MODELS for head in HEADS}
assert all(one.heatmap.shape == patient.mask.shape for one in shown)
assert all(one.positive == (one.score >= one.threshold) for one in compared.predictions)
assert len({one.heatmap.tobytes() for one in shown}) > 1
# The measure is a share: a map on the nodule has all of it, and the blob never had a look.
assert inside(patient.mask.astype(float), patient.mask) == 1.0
assert energy.to_numpy().min() >= 0.0
assert energy.to_numpy().max() <= 1.0
print("All claims hold.")
