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
# # Chapter 6. What does it look at?
#
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/ThyroDemo/ThyroDemo/blob/main/notebooks/06_what_does_it_look_at.ipynb
#
# **For teaching and research only. Nothing here is a medical device, and no score is a diagnosis.**
#
# After this chapter you can
#
# 1. make a heatmap by hand, step by step, and say what each step throws away;
# 2. say why the map of one head does not explain the score of another;
# 3. measure a map against the outline of a nodule, and against two onlookers who look at nothing;
# 4. check whether a map has anything to do with the score, and with what the network has learned;
# 5. plant a shortcut, watch a network fall for it, find it with a map, and remove it.
#
# You need no data and no graphics card. Each section can be run again by itself once the cells
# above it have run.

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
# What you may change is all in one cell, the same in each chapter. `FAST` makes everything small,
# for a quick look. `SEED` fixes what chance decides: the same seed gives the same numbers. `DATA`
# is empty for drawn images, or names a folder of real ones (chapter 0). `OUT` is where results go.

# %% tags=["parameters"]
FAST = os.environ.get("THYRO_FAST", "0") == "1"
SEED = 0
DATA = os.environ.get("THYRO_DATA", "")
OUT = "runs/course"

# %%
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes to its own developers
warnings.filterwarnings("ignore", message="IProgress not found")  # plain progress bars will do

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from thyro_demo.bundle import store
from thyro_demo.bundle.manifest import kind, names, read_manifest, weights_root
from thyro_demo.clinical.tirads import Features
from thyro_demo.course import claims, looking, planting, show, tasks
from thyro_demo.course.lesson import begin
from thyro_demo.data import phantom, scan_area
from thyro_demo.data.scan_area import Box
from thyro_demo.engine import Engine
from thyro_demo.evaluate.formatting import with_interval
from thyro_demo.explain import localisation, randomisation, similarity
from thyro_demo.explain.svm import svm_gradient
from thyro_demo.study.questions import shortcuts

LOOKS, TRIED, STEPS, DRAWS = (8, 3, 5, 1) if FAST else (40, 12, 10, 5)
LEARNED = 60 if FAST else 200
PLANTED, TESTED = (24, 16) if FAST else (60, 40)
NAME, HEADS = "efficientnet-b0", ("softmax", "svm", "forest")
lesson = begin(6, FAST, SEED, DATA, OUT)

# %% [markdown]
# ## 1. Grad-CAM by hand
#
# A **nodule** is a lump in the thyroid gland, harmless (**benign**) or cancer (**malignant**). A
# **network** is a chain of layers that turns an ultrasound frame into numbers; a **head** turns
# these numbers into a **score** between 0 and 1 that rises with "malignant".
#
# First a frame of which we know everything: a **phantom**, drawn by the physics of ultrasound
# (chapter 1). Its nodule has the features that radiologists find suspicious: solid and very dark
# ("hypoechoic": it sends little sound back), taller than wide, with a lobed edge and bright
# pinpoints.
#
# And a network as most papers have it: EfficientNet-B0 after photographs and chest radiographs
# (chapter 3), **frozen**, with the simplest head on top, which learns from drawn frames.

# %%
suspicious = Features(
    "solid or almost completely solid",
    "very hypoechoic",
    "taller than wide",
    "lobulated or irregular",
    ("punctate echogenic foci",),
)
patient = phantom.draw(suspicious, size_mm=16, seed=900 + SEED, patient="a new patient")
frame = patient.rgb  # networks expect red, green and blue
twin = looking.plain_twin(weights_root() / NAME / "radiographs.keras", LEARNED, 700 + SEED)
feature_map, box = twin.feature_map(frame)
print("The last layer of the network gives", feature_map.shape)

# %% [markdown]
# The last layer before the head returns a stack of small pictures, the **feature map**. Each
# picture is a **channel**: it is bright where its pattern was found, an edge, a texture, something
# without a name. The position in the frame is kept, only coarser: one **cell** of a channel stands
# for a patch of many pixels.
#
# The head reads the average of each channel, gives each a **weight**, and adds them all up to one
# number, the **log-odds**: log(p / (1 − p)) for a score p; 0 means p = 0.5, above 0 speaks for
# "malignant". **Grad-CAM** (Selvaraju et al., ICCV 2017) shows which cells these came from:
#
# 1. the **gradient** says how much the log-odds would rise if a channel became a little brighter.
#    For this head that is the weight itself;
# 2. multiply each channel by its weight and add them all up: **evidence**, cell by cell;
# 3. keep what speaks for "malignant" and set the rest to zero. Engineers call that step **ReLU**;
# 4. divide by the largest value, so that the map runs from 0 to 1 (the maps of section 2 are
#    divided by something else), and lay it over the frame.

# %%
cells = feature_map.shape[0] * feature_map.shape[1]
evidence = feature_map @ twin.weights / cells
kept = np.maximum(evidence, 0)
by_hand = kept / max(kept.max(), 1e-12)

# %% [markdown]
# The channels are a few cells wide: no heatmap made from them can be sharper than that, however
# smooth it looks later. **Predict:** will the evidence lie inside the nodule?

# %% cellView="form"
# @title Draw the way from evidence to a heatmap { display-mode: "form" }
limit = np.abs(evidence).max()
figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
drawn = axes[0].imshow(evidence, cmap="RdBu_r", vmin=-limit, vmax=limit)
axes[0].set(title="Steps 1, 2: evidence", xlabel="Cell across", ylabel="Cell down")
figure.colorbar(drawn, ax=axes[0], shrink=0.7, label="Added to the log-odds")
axes[1].imshow(by_hand, cmap="inferno", vmin=0, vmax=1)
axes[1].set(title="Steps 3, 4: what is kept", xlabel="Cell across", ylabel="Cell down")
placed = scan_area.place(by_hand.astype(np.float32), box, patient.mask.shape)
show.frame(axes[2], frame, "Over the frame", patient.mask, heatmap=placed)
figure.suptitle("From evidence to a heatmap")
show.picture(figure)

# %% [markdown]
# *What to see:* red cells speak for "malignant", blue ones against; the second picture shows the
# red ones alone. Look whether what is left, laid over the frame in the third picture, lies inside
# the thin line, the outline of the nodule.
#
# <details><summary>In a rehearsal</summary>
#
# Most cells are blue, and what little is left lies at the rim of the frame, off the nodule: a plain
# average has learned that from sixty drawn frames. With other frames or seeds it may lie elsewhere.
#
# </details>
#
# The blue cells were there, and they counted. For a head that adds up averages, the evidence of all
# cells and one constant *is* the log-odds, up to rounding:

# %%
print(f"Evidence for:      {kept.sum():+.3f}")
print(f"Evidence against:  {np.minimum(evidence, 0).sum():+.3f}")
print(f"Constant:          {twin.intercept:+.3f}")
print(f"Sum:               {evidence.sum() + twin.intercept:+.3f}")
print(f"Log-odds:          {twin.log_odds(frame):+.3f}")

# %% [markdown]
# So a Grad-CAM map shows **half the account**: what was added, not what was taken off. And step 4
# hides how much it was: a *plain* Grad-CAM map of a frame that hardly moved the score glows as
# brightly as one that decided it. Never read a map without its score.
#
# ### A network that looks for the nodule first
#
# A plain average counts every cell alike, gland, muscle, acoustic shadow and nodule, and nothing in
# the training says which of them is meant. The networks that come with this project learned one
# thing more, from outlines: a second output, the **nodule map**, says for each cell how likely it
# lies on the nodule. Their heads read the mean and the standard deviation of each channel
# **weighted with that map**, so that what lies elsewhere hardly counts. The frames of this chapter
# were not among what they learned from.

# %%
network = store.load(weights_root() / NAME)
engine = Engine()
engine.add(network)
square, box = scan_area.prepare(frame, network.input_size)
forward = network.forward(square[None])
compared = engine.compare(frame, [NAME], HEADS)
found = scan_area.place(forward.nodule[0], box, patient.mask.shape)

# %% cellView="form"
# @title Draw the heatmaps without and with a nodule map { display-mode: "form" }
figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
show.frame(axes[0], frame, "Plain averages: Grad-CAM", patient.mask, heatmap=placed)
show.frame(axes[1], frame, "Nodule map", patient.mask, heatmap=found)
softmax = compared.predictions[0]
show.frame(axes[2], frame, "Softmax on the weighted map", patient.mask, heatmap=softmax.heatmap)
figure.suptitle("The same kind of network, without and with a nodule map")
show.picture(figure)

# %% [markdown]
# *What to see:* where the left map glows, and where the right one does. The right one *cannot*
# stray far from the map in the middle: that is how the network is built, and no proof that it reads
# the nodule well. Whether the map in the middle finds nodules is a question for measurements, in
# section 3.
#
# For such a head step 1 changes: a channel's gradient differs from cell to cell, so each cell is
# multiplied by its own (**HiResCAM**, Draelos and Carin 2020). Where all cells count alike, both
# are the same.
#
# And step 4 changes: the maps of these heads are divided by the strongest evidence for *or
# against*. A dark map here means that what spoke against was stronger than what spoke for, not that
# nothing was seen; and a map can be dark under a high score, because the head's constant counts as
# well.
#
# ## 2. Each head has a map of its own
#
# The three heads read the same numbers and weigh them differently:
#
# - **softmax**: one weight for each number, the same for every frame;
# - **SVM** (support vector machine): a curved boundary between the classes; its **decision value**
#   is how far on which side a frame lies. How much a number counts depends on where the frame
#   lies, so its gradient is worked out for each frame anew, from the formula of the boundary
#   (`svm_gradient` in `thyro_demo/explain/svm.py`), and each cell shows its gradient times its
#   brightness;
# - **forest**: hundreds of decision trees that vote. A vote jumps, its gradient is zero nearly
#   everywhere. So each cell in turn is taken out, and the map shows how far the score falls. This
#   is called **occlusion** (Zeiler and Fergus, ECCV 2014).
#
# Do SVM and softmax at least lean on the same numbers?

# %%
kernel = network.network.get_layer("logits").get_weights()[0]
counts = kernel[:, 1] - kernel[:, 0]
slope = svm_gradient(network.heads["svm"], forward.features[0])
alike = similarity.rank_correlation(counts, slope)
print(f"What each number counts for softmax and SVM: rank correlation {alike:.2f}")

# %% [markdown]
# The **rank correlation** is 1 where both have the same order of numbers, 0 where they have nothing
# in common, −1 where the order is reversed. So much for "the network looked at this": ask which
# head.
#
# A *standard deviation* asks how much a channel varies across the nodule, not how bright it is on
# average: texture rather than brightness.

# %% cellView="form"
# @title Draw the heatmaps of three heads { display-mode: "form" }
figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for place, one in zip(axes, compared.predictions, strict=True):
    title = f"{one.head}: score {one.score:.2f}, threshold {one.threshold:.2f}"
    show.frame(place, frame, title, patient.mask, heatmap=one.heatmap)
scale = plt.cm.ScalarMappable(cmap="inferno")
figure.colorbar(scale, ax=axes, shrink=0.7, label="Heat (1: the strongest for or against)")
figure.suptitle("Three heads of one network on one frame")
show.picture(figure)

# %% [markdown]
# *What to see:* three maps, one frame, one network. (A score at or above its **threshold** counts
# as "flagged", which is no diagnosis.) Note where the maps agree and where they don't; and that the
# brightest map need not belong to the highest score (the bar: 1 is the strongest evidence in either
# direction). To print the softmax's map under the SVM's score, as is often done because it is easy
# to get, would be to explain a decision by the reasons of somebody else.
#
# One frame proves nothing, so we ask many: how alike are the maps of two heads? All further
# frames are new where it matters: phantoms of new patients or, with real data, frames of the public
# set DDTI (Pedraza et al. 2015) whose nodules were outlined by hand, of cases whose outlines no
# network of ours has learned. (The heads know the label of many, which does not say where to look.)

# %%
ddti, shipped = lesson.find("ddti"), [weights_root() / one for one in names()]
most = LOOKS if FAST else None
if ddti is None:
    cases, what = looking.drawn_cases(LOOKS, 500 + SEED), "drawn"
else:
    cases, what = looking.outlined_cases(ddti, shipped, most), "real, outlined"
groups = {case.group for case in cases}
unit = f"{len(cases)} {what} frames of {len(groups)} patients, no outline among the learned ones"
print(unit)
same = looking.pairs(engine, NAME, HEADS, cases)
agreed = looking.averages(same, "agreement", "pair")
pd.Series({pair: with_interval(one) for pair, one in agreed.items()}, name="rank correlation")

# %% [markdown]
# 1 would be the same map, 0 two maps that have nothing in common. Behind each figure is a **95 %
# interval**: we draw as many patients as we have, with replacement, two thousand times, and keep
# the middle 95 % of the answers (chapter 5).
#
# ## 3. Is the map any good?
#
# A map can be measured where the nodule's outline is known. Three figures are common, each from 0
# to 1:
#
# - **Pointing game**: does the hottest spot lie on the nodule? (Zhang et al., IJCV 2018)
# - **Energy inside**: what share of all heat lies on the nodule? (Wang et al., CVPR Workshops 2020)
# - **IoU at the best threshold**: call everything hotter than some threshold "nodule", divide the
#   overlap of this patch and the true nodule by the area that the two cover together (intersection
#   over union), and take the threshold that gives the most. It is chosen with the answer in hand,
#   which flatters every map. (Choe et al., CVPR 2020)
#
# A figure alone says little. Sonographers put the nodule in the middle of the view, so whoever
# always points at the middle is often right. Hence two **onlookers** who have not seen the frame:
# a **centred Gaussian**, a soft round blob in the middle, and a **random map**, noise as coarse as
# the network's own map. A map that explains anything has to beat both.

# %% cellView="form"
# @title Draw a head's map and the two onlookers { display-mode: "form" }
blind = looking.onlookers(compared.box, patient.mask.shape, SEED)
maps = {"softmax": compared.predictions[0].heatmap} | blind
figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
for place, (which, drawn) in zip(axes, maps.items(), strict=True):
    hit = localisation.pointing(drawn, patient.mask)
    share = localisation.energy(drawn, patient.mask)
    overlap = localisation.best_overlap(drawn, patient.mask)
    title = f"{which}\npointing {hit:.0f}, energy {share:.2f}, IoU {overlap:.2f}"
    show.frame(place, frame, title, patient.mask, heatmap=drawn)
figure.suptitle("A head's map and the two onlookers, measured on one frame")
show.picture(figure)

# %% [markdown]
# *What to see:* the three figures under each name. Two of these maps know nothing of the frame; see
# how far they get all the same.
#
# ### Your turn: the pointing game
#
# Return 1 if the hottest cell of the heatmap lies on the nodule, else 0: put your own line in place
# of the three dots, and run the cell until it says "Right". Never programmed? Try these three; one
# is right:
#
# ```python
# return float(nodule.max())
# return float(nodule.ravel()[heatmap.argmax()])
# return float(heatmap[nodule].max())
# ```


# %%
def pointing(heatmap, nodule):
    """Return whether the largest value of the heatmap is where the mask is True."""
    return ...


HEAT, THERE = np.array([[0.1, 0.9], [0.3, 0.2]]), np.array([[False, True], [False, False]])
print(tasks.check(pointing, [((HEAT, THERE), 1.0), ((HEAT, ~THERE), 0.0)]))

# %% [markdown]
# <details><summary>Answer</summary>
#
# The second, `return float(nodule.ravel()[heatmap.argmax()])`: find where the heatmap is
# largest, and ask whether the mask is True there. (The first asks whether there is a nodule at all,
# the third how hot it gets on the nodule.)
#
# </details>
#
# **Predict:** will the heads' maps beat the blob in the middle? Now on all frames, and with
# **paired differences**: on each frame the map's figure minus the onlooker's, averaged over frames,
# with an interval over patients. What makes a frame hard for both cancels out.

# %%
NETWORKS = [NAME]
if not FAST:
    single = [one for one in names() if kind(read_manifest(weights_root() / one)) == "scan"]
    NETWORKS += [one for one in single if one != NAME]
measured = {name: looking.measure(engine, name, HEADS, cases, SEED) for name in NETWORKS}
table = pd.concat([measured[NAME], looking.measure_twin(twin, cases)], ignore_index=True)
print("Mean of", unit, "with 95 % intervals over patients")
means = {figure: looking.averages(table, figure) for figure in looking.FIGURES}
pd.DataFrame(means).map(with_interval)

# %%
LONG = {"pointing": "pointing game", "energy": "energy inside", "iou": "IoU"}
gains = {
    onlooker: {
        f"{which}, {LONG[figure]}": gap
        for figure in looking.FIGURES
        for which, gap in looking.differences(table, figure, onlooker).items()
    }
    for onlooker in (looking.GAUSSIAN, looking.RANDOM)
}

# %% cellView="form"
# @title Draw each map minus the centred Gaussian { display-mode: "form" }
AXIS = "Difference of shares (−1 to 1), mean and 95 % interval"
title = f"Each map minus the centred Gaussian\n{unit}"
show.picture(show.intervals(gains[looking.GAUSSIAN], title, AXIS, 0.0, (show.BLUE,)))

# %% [markdown]
# *What to see:* right of the dashed line a map beats the blob in the middle. A line that crosses it
# shows no difference on these frames. A line wholly to the left means: whoever always points at
# the middle finds the nodule better than this map does. Compare the heads of the network that
# looks for the nodule first with the plain twin, which is the usual way to build such a system.

# %% [markdown]
# All networks that were measured, counted:

# %%
verdicts = [
    {"network": name, "minus": onlooker, "figure": LONG[figure]}
    | {which: with_interval(gap) for which, gap in gaps.items()}
    for name, found in measured.items()
    for onlooker in (looking.GAUSSIAN, looking.RANDOM)
    for figure in looking.FIGURES
    for gaps in [looking.differences(found, figure, onlooker)]
]
every = [
    gap
    for name in NETWORKS
    for figure in looking.FIGURES
    for gap in looking.differences(measured[name], figure, looking.GAUSSIAN).values()
]
better, worse = sum(gap["low"] > 0 for gap in every), sum(gap["high"] < 0 for gap in every)
print(
    f"Against the centred Gaussian, of {len(every)} figures: {better} shown better, "
    f"{worse} shown worse, {len(every) - better - worse} without a shown difference."
)
pd.DataFrame(verdicts)

# %% [markdown]
# Read the counts without mercy. The cards of the shipped networks (`weights/*/README.md`) measure
# two of these figures on the outlined DDTI frames. What follows from them, and what does not?
#
# - Where a map does **not** beat the Gaussian, as the twin's, it must not be shown to anybody as
#   "the network found the nodule". A pretty example can always be found; the mean says how often it
#   happens. It does not follow that the score is wrong: a score may rest on what surrounds a
#   nodule, or on the texture of the whole gland.
# - Where a map **does** beat it, it does not follow that the score is right. Our heads' maps hold
#   their heat near the nodule because they are built so, and by no means all of it: "energy" above
#   is the share that lies inside. What they make of the nodule is another question.
# - It may be the map's fault or the head's. The next two sections look at each.
#
# You will find the like in the literature: on chest films, seven kinds of heatmaps ("saliency
# maps") all located findings worse than radiologists did (Saporta et al., Nature Machine
# Intelligence 2022), and each of eight kinds failed at least one check of trustworthiness (Arun et
# al., Radiology: Artificial Intelligence 2021).
#
# ## 4. Does the score follow the map?
#
# A map claims: the score rests on these pixels. That can be tested without any outline. Take the
# hottest pixels away first and watch the score: it should fall soon. That is the **deletion**
# curve. Begin with a blurred frame, bring the hottest pixels back first: the score should rise
# soon, the **insertion** curve. Both are summed up by the area below them (Petsiuk et al., "RISE",
# BMVC 2018): small is good for deletion, large for insertion. "Away" means blurred here; a black
# hole would be like no frame that the network knows.

# %%
HEAD = network.manifest["primary"]
single = list({case.group: case for case in reversed(cases)}.values())[::-1]  # one a patient
some = single[:: max(1, len(single) // TRIED)][:TRIED]
areas, curves = looking.deletion_insertion(engine, network, HEAD, some, STEPS, SEED)

# %% cellView="form"
# @title Draw deletion and insertion { display-mode: "form" }
figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
for (which, found), colour in zip(curves.items(), (show.BLUE, show.GREY, show.ORANGE), strict=True):
    axes[0].plot(found.shares, found.deletion, "o-", color=colour, label=which)
    axes[1].plot(found.shares, found.insertion, "o-", color=colour, label=which)
axes[0].set(title="Deletion: lower is better", xlabel="Share of the scan area blurred")
axes[1].set(title="Insertion: higher is better", xlabel="Share of the scan area made sharp")
for place in axes:
    place.set_ylabel(f"Score of the {HEAD} head (0–1)")
axes[0].legend()
figure.suptitle(f"Following three maps through {len(some)} {what} frames, mean")
show.picture(figure)

# %% [markdown]
# *What to see:* whether the head's own map leaves the two onlookers behind, and how much the score
# moves at all. If blurring the whole frame hardly changes the score, no map can do well here: there
# is nothing to explain. And do not underrate noise: it is everywhere at once, so that for a head
# which reads texture all over the frame it may bring the score back sooner than any single place.

# %%
faith = {
    f"{curve} area, {which} minus {onlooker}": gap
    for curve in ("deletion", "insertion")
    for onlooker in (looking.GAUSSIAN, looking.RANDOM)
    for which, gap in looking.differences(areas, curve, onlooker).items()
}
pd.Series({name: with_interval(gap, plus=True) for name, gap in faith.items()}, name="difference")

# %% [markdown]
# For deletion the good side of 0 is below it, for insertion above. With few frames the intervals
# are wide: where one holds 0, the honest answer is "not shown", in either direction. One that lies
# wholly on the *bad* side says that the map is worse there than the onlooker, noise included. But a
# few frames, as in a rehearsal, cannot carry much, for or against.
#
# ## 5. A network that forgets
#
# Adebayo et al. (NeurIPS 2018) had a disturbing idea: let the network forget what it has learned,
# and look at the map again. If the map stays as it was, it never showed what the network had
# learned; it showed edges, or the middle, or the habits of the architecture. Some popular kinds of
# maps failed this check.
#
# We shuffle weights from the top down: first the head's, then those of the last block of layers,
# then two blocks, then the whole network. Within each layer the weights change places, so that
# their values stay and their meaning is lost. Each time Grad-CAM is drawn again and compared with
# the first one by rank correlation.

# %%
before = network.forward(square[None]).probabilities
few = single[: 4 if FAST else 8]
who = [case.group for case in few]
forgot, stages = randomisation.cascade(network, [case.frame for case in few], who, DRAWS, SEED)

# %% cellView="form"
# @title Draw a network that forgets { display-mode: "form" }
figure, axes = plt.subplots(2, len(stages), figsize=(13, 5.4), layout="constrained")
for row, case in zip(axes, few, strict=False):
    scan = scan_area.find(case.frame)
    for place, (stage, drawn) in zip(row, stages.items(), strict=True):
        index = next(i for i, one in enumerate(few) if one is case)
        stretched = drawn[index] / max(drawn[index].max(), 1e-9)
        heat = scan_area.place(stretched, scan, case.nodule.shape)
        show.frame(place, case.frame, stage, case.nodule, heatmap=heat)
        place.set_axis_off()
figure.suptitle("Grad-CAM while the network forgets, each map stretched to its own maximum")
show.picture(figure)

# %% [markdown]
# *What to see:* the leftmost map is the true one. The others come from a network that knows less
# and less. Each map is stretched to its own largest value, as papers do; in truth some are very
# faint. Where one glows as convincingly as the first, ask: would you have noticed? Where one is
# dark all over, nothing speaks for "malignant" any more; the map of a network that knows nothing
# may be either.

# %%
by_stage = looking.averages(forgot, "agreement", "stage")
after = network.forward(square[None]).probabilities  # all is restored
pd.Series(
    {stage: with_interval(one) for stage, one in by_stage.items()},
    name="agreement, rank correlation",
)

# %% [markdown]
# Look at the drop from the first row to the second. A map that shows what was learned falls towards
# 0 as soon as the head has forgotten, and stays near it. A row that stays well above 0, over
# several shuffles, says that part of the map needs no learning at all. The intervals know the
# chance of patients alone: one shuffle, as in a rehearsal, may by its own luck be off 0 on either
# side.
#
# Passing this check makes a map *sensitive*, not *right*: it depends on the weights, and may still
# miss the nodule, as section 3 measured.
#
# ## 6. A planted shortcut
#
# A **[shortcut][shortcut]** is something that betrays the label in the training images and has
# nothing to do with the disease. Surgeons' ink beside moles raised a skin network's scores (Winkler
# et al., JAMA Dermatology 2019); networks for COVID-19 read the letters and edges of chest films
# (DeGrave et al., Nature Machine Intelligence 2021); others recognised the hospital (Zech et al.,
# PLOS Medicine 2018).
#
# We plant one on purpose. A scanner prints marks around the scan: ticks, text, an icon. In our
# training frames they are printed on frames of malignant nodules and on no others, as if all
# cancers had come from one clinic. The tissue itself is drawn without regard to the marks.
#
# [shortcut]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#shortcut


# %%
def printed(patients, seed, on):
    """Draw patients, one frame each, with a scanner's marks on frames of the labels `on`."""
    scanner = phantom.ScannerFrame()
    drawn = phantom.cohort(patients, 1, seed, shape=(200, 260), scanner=scanner, scanner_on=on)
    return list(drawn)


train = printed(PLANTED, 700 + SEED, {"malignant"})
tests = {
    "marks as in training": printed(TESTED, 800 + SEED, {"malignant"}),
    "no marks at all": printed(TESTED, 800 + SEED, ()),
    "marks on the benign": printed(TESTED, 800 + SEED, {"benign"}),
}

# %% cellView="form"
# @title Show two training frames { display-mode: "form" }
marked = next(one for one in train if one.label == "malignant")
plain = next(one for one in train if one.label == "benign")
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for place, one in zip(axes, (plain, marked), strict=True):
    show.frame(place, one.rgb, f"Labelled {one.label}", one.mask)
figure.suptitle("Two training frames: the marks go with the label")
show.picture(figure)

# %% [markdown]
# *What to see:* the black margin is on both, the print on one alone. You would find the rule after
# a few frames; see below whether the SVM does.
#
# We train the simplest head there is, a **linear** SVM, one weight for the average of each channel,
# on the **frozen** network, none of whose own weights change. We do so twice: once it sees the
# **whole frame**, once only the **scan area** that `scan_area.find` cuts out, as this project
# always does. Then new patients, the same ones three times, with different marks. **Predict** the
# three figures of each head before you run it. The figure is the **AUROC**: take one malignant and
# one benign frame at random; how often does the malignant one get the higher score? 0.5 is a coin,
# 1 perfect, 0 perfectly wrong.

# %%
VIEWS = {"whole frame": shortcuts.whole_frame, "scan area": shortcuts.scan_area}
found = planting.train(network, VIEWS, train, tests, 3 if FAST else 5)

# %% cellView="form"
# @title Draw the AUROC with other print { display-mode: "form" }
figures = {
    f"{row.view}, {row.marks}": {"value": row.value, "low": row.low, "high": row.high}
    for row in found.table.itertuples()
}
colours = (show.ORANGE,) * len(tests) + (show.BLUE,) * len(tests)
title = f"The same {TESTED} new phantom patients,\nwith different print around the scan"
scale = "AUROC (0–1), 95 % interval over patients"
show.picture(show.intervals(figures, title, scale, 0.5, colours))

# %% [markdown]
# *What to see:* the orange rows are the head that saw whole frames. Look how well it does when
# tested the way it was trained. Take the marks away, or print them on the others, and see what is
# left: what it loses there, it owed to the print. (Without marks it can even fall *below* a coin:
# its weights were made for print, and what tissue does to them is an accident, in either
# direction.) The blue rows saw the scan area alone; the print can hardly change them, because it
# was cut off, and what they reach is what this head learned from tissue. That may be little: where
# the interval holds 0.5, nothing is shown. The crop removes the cheat, it does not teach. And 1.00
# (1.00–1.00), if it stands there, is no certainty: where all pairs are in the right order, they
# stay so however often the same patients are drawn again.
#
# Note what would have happened without our second and third test. Cross-validation, intervals and a
# held-out test set of the same clinics would all have confirmed the first row. **No statistic on
# the labels finds a shortcut that training and test share.** Does a map find it?

# %% cellView="form"
# @title Draw where two heads found their evidence { display-mode: "form" }
suspect = next(one for one in tests["marks as in training"] if one.label == "malignant")
shown = suspect.rgb
whole = Box(0, 0, shown.shape[1], shown.shape[0])
cuts = {"whole frame": whole, "scan area": scan_area.find(shown)}
figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for place, (view, cut) in zip(axes, cuts.items(), strict=True):
    seen = VIEWS[view](shown, network.input_size)
    heat = planting.linear_map(network, found.heads[view], seen)
    heat = scan_area.place(heat, cut, suspect.mask.shape)
    show.frame(place, shown, f"Head that saw the {view}", suspect.mask, heatmap=heat)
figure.suptitle("Where two heads found their evidence on a malignant test frame")
show.picture(figure)

# %% [markdown]
# *What to see:* on the left, heat on the print and its edges is what betrays the shortcut; on the
# right nothing outside the scan area can glow, because it was never seen.
#
# <details><summary>In a rehearsal</summary>
#
# On the left the heat lies on the print beside the scan; on the right it is spread over the tissue,
# much of it off the nodule: without the print, this small head has found nothing better yet.
#
# </details>
#
# And measured, over all malignant test frames: what share of the left map lies on the margin, and
# how large is the margin?

# %%
ill = [one for one in tests["marks as in training"] if one.label == "malignant"]
margin = planting.off_scan(network, found.heads["whole frame"], ill)
blank = [one for one in tests["no marks at all"] if one.label == "malignant"]
bare = planting.off_scan(network, found.heads["whole frame"], blank)
rows = pd.concat(
    [
        margin.assign(map="heat on the margin, with print"),
        bare.assign(map="heat on the margin, same frames without print"),
        margin.assign(share=margin["area"], map="area of the margin (a map that looks at nothing)"),
    ]
)
shares = looking.averages(rows, "share")
pd.Series({which: with_interval(one) for which, one in shares.items()}, name="share of the map")

# %% [markdown]
# If the first row is above the third, the head leans on the margin more than its size explains;
# compare it with the second, the same patients without print. Cells are coarse, so that heat of the
# print spills over the edge of the scan, and the other way round.
#
# Where a map glows on a margin, a ruler or a letter, take it seriously at once: it may have found
# something, and a test like the one above can settle it. Where it glows on the nodule, you know
# less: a shortcut *inside* the scan (the grain of one scanner, callipers set by a worried
# sonographer) leaves a map that looks perfectly sane. In the real set of this project the source of
# a frame predicts its label (`weights/README.md`, "Against the source shortcut"), and no heatmap
# shows that. What helps is what you did here: cut off what is not tissue, and test on frames where
# the shortcut is broken.
#
# ## 7. What a heatmap may say
#
# | It may say | It cannot say |
# |---|---|
# | from which coarse region the evidence *for* a class came | what spoke *against* it (ReLU) |
# | something may be wrong, if heat lies off the tissue | all is well, when it lies on the nodule |
# | something about this head | anything about another head of the network |
# | how it compares with a blob, measured on many frames | anything by one hand-picked frame |
#
# **The papers of this chapter.** Maps: [Grad-CAM][gradcam], [HiResCAM][hires],
# [occlusion][occlusion]. Figures: [pointing game][pointing], [energy][energy], [overlap][overlap],
# [deletion and insertion][rise]. Checks: [Adebayo et al.][adebayo], [Arun et al.][arun],
# [Saporta et al.][saporta]. Shortcuts: [Winkler et al.][winkler], [DeGrave et al.][degrave],
# [Zech et al.][zech].
#
# [gradcam]: https://arxiv.org/abs/1610.02391
# [hires]: https://arxiv.org/abs/2011.08891
# [occlusion]: https://arxiv.org/abs/1311.2901
# [pointing]: https://arxiv.org/abs/1608.00507
# [energy]: https://arxiv.org/abs/1910.01279
# [overlap]: https://arxiv.org/abs/2001.07437
# [rise]: https://arxiv.org/abs/1806.07421
# [adebayo]: https://arxiv.org/abs/1810.03292
# [arun]: https://doi.org/10.1148/ryai.2021200267
# [saporta]: https://doi.org/10.1038/s42256-022-00536-x
# [winkler]: https://doi.org/10.1001/jamadermatol.2019.1735
# [degrave]: https://doi.org/10.1038/s42256-021-00338-7
# [zech]: https://doi.org/10.1371/journal.pmed.1002683
#
# ## Exercises
#
# **1.** Look at a head of your own: load the bundle that chapter 4 has left,
# `store.load(lesson.bundle("heads"))`, add it to `engine`, and run section 3 with its name. (Do
# this where chapter 4 was run: in Colab each notebook has a computer of its own, and finds nothing
# there.) Does training on these very images give better maps?
#
# <details><summary>Answer</summary>
#
# Whatever the numbers, compare the intervals of the *differences*. New heads on a frozen network
# see the same channels with the same coarse cells; better scores need not come with better maps.
# Remember to measure on frames whose outlines were not learned, as section 3 does, drawn or real.
#
# </details>
#
# **2.** Make the blob smaller: `localisation.centred_gaussian(shape, box, spread=0.1)`. Which
# spread is hardest to beat in the pointing game, which by energy? Think before you try.
#
# <details><summary>Answer</summary>
#
# The pointing game asks for the maximum alone, and that stays in the middle whatever the spread.
# Energy gains from a narrow blob as long as nodules lie in the middle, because no heat is lost on
# the rest. So the baseline can be adjusted, too, and its spread has to be fixed beforehand.
#
# </details>
#
# **3.** Train on marks around *benign* nodules instead (`on={"benign"}` for `train`). What happens
# to the three orange rows?
#
# <details><summary>Answer</summary>
#
# The first and the third change places: the head now takes print as a sign of "benign", so it
# shines where the marks are on the benign and fails where they are on the malignant. (The name of
# the first row, "as in training", is then wrong.) The blue rows stay about as they were.
#
# </details>
#
# **4.** Draw a bright cross *inside* the scan of each malignant training frame. Does the crop help?
# Which check of this chapter would still find it?
#
# <details><summary>Answer</summary>
#
# The crop does not help, for the cross lies within it. A test set without crosses should find it
# (the AUROC falls if the head leaned on them), and the map may glow on the cross, if a cell is
# small enough to separate the cross from the nodule beside it. Callipers, which sonographers set on
# nodules they worry about, are that cross.
#
# </details>
#
# ## Quiz
#
# **1.** What does step 3, ReLU, hide?
#
# <details><summary>Answer</summary>
#
# All evidence against the class. A frame can have a glowing spot and a low score, because the rest
# of the frame spoke louder on the other side.
#
# </details>
#
# **2.** Why does a forest have no Grad-CAM map?
#
# <details><summary>Answer</summary>
#
# Its score is a staircase: flat, with jumps. The gradient is zero nearly everywhere. So cells are
# taken away one by one, and the fall of the score is drawn.
#
# </details>
#
# **3.** A map points at the nodule in 60 of 100 frames. Is it good?
#
# <details><summary>Answer</summary>
#
# That depends on what somebody reaches who has not seen the frames. If the middle of the view lies
# on the nodule in 65 of the same 100, the map is not shown to be better than a blob.
#
# </details>
#
# **4.** A map hardly changes when the weights are shuffled. What does it explain?
#
# <details><summary>Answer</summary>
#
# The image, perhaps, or the architecture; not what the network has learned. It fails the sanity
# check of Adebayo et al.
#
# </details>
#
# **5.** AUROC 0.98 in five grouped folds, with a narrow interval. Can it still be a shortcut?
#
# <details><summary>Answer</summary>
#
# Yes. Folds and intervals answer "would other patients *of this set* give the same?" If the marks
# go with the label in the whole set, they go with it in every fold. Only data in which the tie is
# broken, or a look at what the network sees, can tell.
#
# </details>

# %% [markdown]
# ## What this chapter claims, checked
#
# What has to hold in every run, whatever chance decides, computed from this one. The rest of the
# chapter holds "in this run": change `SEED`, and look again.

# %%
claims.table(
    claims.looking(
        (placed, twin.heatmap(frame)[0]),
        (evidence.sum() + twin.intercept, twin.log_odds(frame)),
        [one.heatmap for one in compared.predictions],
        (before, after),
        forgot.loc[forgot["stage"] == randomisation.TRAINED, "agreement"],
        found.table,
    )
)
