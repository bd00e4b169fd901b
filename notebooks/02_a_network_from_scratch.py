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
# # Chapter 2. A network from scratch
#
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/ThyroDemo/ThyroDemo/blob/main/notebooks/02_a_network_from_scratch.ipynb
#
# **For teaching and research only. Nothing here is a medical device, and no score is a diagnosis.**
#
# After this chapter you can
#
# 1. say what a convolution, a ReLU, pooling and softmax do to an image, with a picture of each;
# 2. say what a loss is, what one gradient step does, and what a batch and an epoch are;
# 3. write a small network in fifteen lines, train it, and read its curves while they grow;
# 4. make a network memorise its patients, and see it in the curves;
# 5. say what four remedies (early stopping, augmentation, dropout, more patients) do about it;
# 6. look at the filters that a network has learned;
# 7. report how well it did, with an interval that says how sure that is, beside a control that
#    hardly looks.
#
# Where you meet a word that you don't know yet, read on: each is explained where it is needed.
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
DATA = os.environ.get("THYRO_DATA", "")
OUT = "runs/course"

# %%
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes to its own developers
warnings.filterwarnings("ignore", message="IProgress not found")  # plain progress bars will do

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from keras import layers
from scipy.special import softmax

from thyro_demo.clinical import tirads
from thyro_demo.course import claims, heads, live, scratch, show, tasks
from thyro_demo.course.lesson import begin, precision
from thyro_demo.data import phantom, scan_area, splits
from thyro_demo.evaluate import baseline, intervals, metrics
from thyro_demo.evaluate.formatting import with_interval
from thyro_demo.models.pipeline import Augmentation, load_frames
from thyro_demo.study import setting

lesson = begin(2, FAST, SEED, DATA, OUT)

# %% [markdown]
# ## 1. What a network computes
#
# A **network** is a chain of sums with adjustable numbers in them, its **weights**. Ours looks at a
# **frame** (one ultrasound picture) of a thyroid **nodule** (a lump in a gland of the neck) and
# answers with a **score** between 0 and 1: the nearer to 1, the more the frame resembles those
# labelled **malignant** (cancer) rather than **benign** (harmless). It is built of four kinds of
# steps, one **layer** after the other. We do each by hand, on a **phantom**: a frame drawn by the
# physics of ultrasound (chapter 1), so that no patient is needed. The skin is at the top, and
# darker means that less sound came back.
#
# ### Convolution
#
# Take a small square of numbers, the **filter**. Lay it on a corner of the image, multiply each
# number with the grey value beneath it, add up, write down the sum. Move one pixel on, and again,
# until every place has its sum. That is a **[convolution][convolution]**, as networks use the word
# (mathematics turns the filter round first): the answer is large where the image looks like the
# filter.
#
# [convolution]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#convolution

# %%
drawn = phantom.example("Very hypoechoic, taller than wide")
grey = scan_area.resize(drawn.rgb, 96)[..., 0] / 127.5 - 1
answers = {name: scratch.convolve(grey, kernel) for name, kernel in scratch.KERNELS.items()}

# %% cellView="form"
# @title Draw three filters and their answers { display-mode: "form" }
figure, grid = plt.subplots(2, 4, figsize=(11, 5.4), layout="constrained", height_ratios=(1, 3))
for axes in grid.flat:
    axes.set_axis_off()
grid[1, 0].imshow(grey, cmap="gray")
grid[1, 0].set_title("a phantom")
for (top, bottom), (name, kernel) in zip(grid[:, 1:].T, scratch.KERNELS.items(), strict=True):
    top.imshow(kernel, cmap="gray", vmin=-0.15, vmax=0.15)
    top.set_title(name)
    bottom.imshow(answers[name], cmap="gray")
figure.suptitle("Three filters of 5 × 5 numbers, and what each answers")
show.picture(figure)

# %% [markdown]
# *What to see:* the average smooths. The other two answer at borders, one where it is darker above
# than below, the other where it is darker on the left than on the right; bright is a strong yes,
# black a strong "the reverse". We chose these numbers. A network finds its own.
#
# ### ReLU and pooling
#
# **[ReLU][relu]** (rectified linear unit) sets everything below zero to zero: keep the yes, drop
# the reverse. Without such a bend, any stack of convolutions would be no more than one larger
# convolution. **Pooling** then keeps of each square of 4 × 4 places the largest number: whether the
# filter found something, not exactly where.
#
# [relu]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#relu

# %%
edges = answers["horizontal edges"]
kept = np.maximum(edges, 0)
pooled = scratch.pool(kept, 4)

# %% cellView="form"
# @title Draw convolution, ReLU and pooling { display-mode: "form" }
figure, row = plt.subplots(1, 3, figsize=(11, 3.9), layout="constrained")
for axes, picture, name in zip(
    row, (edges, kept, pooled), ("Convolution", "then ReLU", "then pooling, 4 × 4"), strict=True
):
    shown = axes.imshow(picture, cmap="gray", vmin=edges.min(), vmax=edges.max())
    axes.set(title=f"{name}: {picture.shape[0]} × {picture.shape[1]}")
    axes.set(xlabel="Across (places)", ylabel="Depth (places)")
figure.colorbar(shown, ax=row, label="Answer (−: the reverse)")
show.picture(figure)

# %% [markdown]
# *What to see:* find the grey of zero on the bar at the right. ReLU lifts all that was darker to
# it; pooling leaves a coarse map of the bright lines, a sixteenth of the numbers. (A bright or dark
# row at the very bottom, or another edge, is the border of the picture, not tissue: beyond it the
# convolution has met zeros.) A second convolution on such maps looks at patterns *of* edges, over a
# larger part of the neck.
#
# ### Softmax and loss
#
# At the end are two sums, one for "benign", one for "malignant" (the **logits**). **Softmax** turns
# them into two shares that add up to 1; the share of "malignant" is the score. Then we need a
# number for how wrong that is, the **[loss][loss]**. We use the **cross-entropy**: minus the
# logarithm of the share that the *true* label got. It is 0 for a sure right answer, and grows
# without limit for a sure wrong one. Its unit is called *nat*.
#
# [loss]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#loss

# %% cellView="form"
# @title Draw softmax and cross-entropy { display-mode: "form" }
apart = np.linspace(-6, 6, 121)
share = softmax(np.stack([np.zeros_like(apart), apart], axis=1), axis=1)[:, 1]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
left.plot(apart, share, color=show.BLUE)
left.set(title="Softmax", xlabel="Sum for malignant minus sum for benign")
left.set(ylabel="Score (share of malignant, 0–1)")
right.plot(share, -np.log(share), color=show.ORANGE, label="the frame is malignant")
right.plot(share, -np.log(1 - share), color=show.BLUE, label="the frame is benign")
right.axhline(np.log(2), color=show.GREY, linestyle="--", linewidth=1, label="“half and half”")
right.set(title="Cross-entropy", xlabel="Score (0–1)", ylabel="Loss (nats)")
right.legend()
show.picture(figure)

# %% [markdown]
# *What to see:* who always answers one half pays 0.69 nats (the logarithm of 2), whatever comes. To
# pay less one has to be right; to be sure *and* wrong costs most. Remember the dashed line: a
# network that pays more than that on new frames would do better to answer one half every time.
#
# ## 2. How it learns
#
# Learning means: change the weights so that the loss falls. We begin with the smallest model there
# is: one number for each patient, and one weight. The number: the points that a radiologist gives
# the nodule for five features that look suspicious (ACR TI-RADS, chapter 1); of phantoms we know
# them. We count them from their mean, in standard deviations. The sum for "malignant" is weight ×
# number, the sum for "benign" is 0, and softmax turns the two into the score.
#
# **Predict:** what will happen if each step is ten times as large?

# %%
rng = np.random.default_rng(SEED)
patients = [phantom.sample_features(rng) for _ in range(200)]
ill = np.array([phantom.label_of(one, f"{n}") == "malignant" for n, one in enumerate(patients)])
points = np.array([tirads.points(one) for one in patients], float)
points = (points - points.mean()) / points.std()
weights = np.linspace(-3, 14, 341)
valley = scratch.losses(points, ill, weights)
walks = {
    "small steps": scratch.descend(points, ill, rate=1.0, epochs=25),
    "bold steps": scratch.descend(points, ill, rate=10.0, epochs=25),
}

# %% cellView="form"
# @title Draw two walks down the loss { display-mode: "form" }
figure, row = plt.subplots(1, 2, figsize=(10.5, 3.6), sharey=True, layout="constrained")
for axes, (name, walk) in zip(row, walks.items(), strict=True):
    axes.plot(weights, valley, color=show.GREY)
    axes.plot(walk, scratch.losses(points, ill, walk), "o-", color=show.ORANGE, markersize=4)
    axes.set(title=f"{name}: {len(walk) - 1} of them", xlabel="The weight", ylabel="Loss (nats)")
show.picture(figure)

# %% [markdown]
# *What to see:* the grey line is the mean loss of all patients for each weight one could choose: a
# valley. Each orange dot is the weight after one more step; the **gradient** is how steep the
# valley is there, and a **gradient step** goes downhill by so much times the **learning rate** (on
# the left a small one, on the right ten times as large). Small steps creep, bold ones arrive sooner
# and may jump over the bottom. A network does the very same with all of its weights at once; only
# its valley has many low places, **local minima**.
#
# ### Batches and epochs
#
# To know the gradient exactly, one must look at all images before every step. Nobody waits so
# long. One looks at a **batch** of some, steps, takes the next batch. Once all images have had
# their turn, an **epoch** is over.

# %%
whole = scratch.descend(points, ill, rate=1.0, epochs=6)
small = scratch.descend(points, ill, rate=1.0, epochs=6, batch=10, seed=SEED)
print(f"All 200 at once: {len(whole) - 1} steps, from {whole[0]:.1f} to {whole[-1]:.2f}")
print(f"Batches of 10: {len(small) - 1} steps, from {small[0]:.1f} to {small[-1]:.2f}")
print(f"The bottom of the valley: {weights[valley.argmin()]:.2f}")

# %% [markdown]
# For the same number of patients looked at, small batches take many more steps and come further, on
# a shakier path. Around the bottom they keep trembling, because each batch has a slightly different
# valley.
#
# ## 3. Frames, split by group
#
# Now a network that looks. We read the frames as small grey squares, cut to the **scan area**
# (without what the scanner prints around it). To know whether the network learns anything that
# holds for *other* patients, some are kept aside, the **validation** part. A **group**, all frames
# of one patient or near duplicates of one frame, is never torn apart between the two: chapter 1b
# shows what happens otherwise. The part "few" is a handful of the patients in "many", for later.

# %%
SIDE, EPOCHS, FEW = (64, 10, 6) if FAST else (64, 30, 6)
records = heads.frames(lesson)
setting.draw_planned(records)
CLASSES = ("benign", "malignant")
frames = load_frames(records, CLASSES, SIDE)
images, labels = frames.images[..., :1], frames.labels
parts = scratch.parts(records, FEW, SEED)
pd.DataFrame(
    {
        "part": name,
        "frames": len(rows),
        "groups": records["group"].iloc[rows].nunique(),
        "malignant": f"{labels[rows].mean():.0%}",
    }
    for name, rows in parts.items()
)

# %% cellView="form"
# @title Show some frames as the network gets them { display-mode: "form" }
first = [parts["few"][labels[parts["few"]] == label][:4] for label in (0, 1)]
figure, grid = plt.subplots(2, 4, figsize=(9, 4.9), layout="constrained")
for axes, number in zip(grid.flat, np.concatenate(first), strict=False):
    axes.imshow(images[number, ..., 0], cmap="gray", vmin=0, vmax=255)
    axes.set_title(CLASSES[labels[number]])
    axes.set_axis_off()
figure.suptitle(f"What the network gets: {SIDE} × {SIDE} grey values ({lesson.images})")
show.picture(figure)

# %% [markdown]
# *What to see:* benign frames above, malignant ones below, and how little is left at this size.
# Could you tell the two rows apart? Whatever the network learns, it learns from this.
#
# ## 4. The network, in plain Keras
#
# **Keras** is the library we write networks with. Two rounds of convolution, ReLU and pooling, then
# an average over the frame, then two sums (the layer called `Dense`) and softmax. It is the network
# of a published system that this project runs again and calls P6 (Kim, "Image classification using
# deep learning algorithm for thyroid imaging", Gachon University, draws two layers and prints no
# widths; 32 and 64 filters of 5 × 5 are ours). **Batch normalisation** shifts and scales the
# answers of each filter so that, over a batch, they lie around zero; that makes training quick. The
# dropout layer (section 6) is switched off (rate 0) until we need it.

# %%
keras.config.set_dtype_policy(precision())  # shorter numbers on graphics cards made for them
keras.utils.set_random_seed(SEED)
network = keras.Sequential(
    [
        keras.Input((SIDE, SIDE, 1)),
        layers.Rescaling(1 / 127.5, -1.0),
        layers.Conv2D(32, 5, padding="same", use_bias=False, name="conv1"),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(name="relu1"),
        layers.MaxPooling2D(4, name="pool1"),
        layers.Conv2D(64, 5, padding="same", use_bias=False, name="conv2"),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(name="relu2"),
        layers.MaxPooling2D(4, name="pool2"),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.0),
        layers.Dense(2, activation="softmax", dtype="float32"),
    ]
)
network.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
print(f"{network.count_params():,} numbers, {len(images)} frames.")

# %% [markdown]
# Far more numbers than frames: enough to memorise every frame. (**Adam** is a gradient step
# that chooses a learning rate for each weight.) The filters are random now. Training starts with
# the next cell; watch both curves while they grow.

# %%
training, validation = parts["many"], parts["validation"]
watch = live.Live("All training patients")
network.fit(
    images[training].astype("float32"),
    labels[training],
    batch_size=16,
    epochs=EPOCHS,
    validation_data=(images[validation].astype("float32"), labels[validation]),
    verbose=0,
    callbacks=[watch],
)
learned = network.get_weights()
print(f"One step on a batch of 16 took {watch.step_ms:.0f} ms on this computer.")

# %% [markdown]
# *What to see:* the grey curve is the loss on frames the network learns from; if it falls, that is
# because we push it down. The blue one is the loss on patients it never learns from, and nothing
# pushes that down. As long as blue goes down with grey, the network learns something that holds for
# others. Where grey goes on falling and blue does not, it begins to memorise its own
# patients: **overfitting**.
#
# ### What the filters look like

# %% cellView="form"
# @title Draw the filters of the first layer { display-mode: "form" }
kernels = np.moveaxis(network.get_layer("conv1").get_weights()[0][:, :, 0], -1, 0)
show.picture(
    scratch.draw_grid(kernels, "The 32 filters of the first layer, 5 × 5 numbers each", 16)
)

# %% [markdown]
# *What to see:* look for filters with a light and a dark side: they answer at edges, like those we
# chose by hand. Many may still look like the noise they started from, for few frames and few epochs
# move filters little; in a rehearsal all of them may. (Each is drawn on a scale of grey of its
# own.)
#
# What they answer (the **feature maps**) is harder still to put into words; chapter 6 measures what
# a network looks at instead of guessing.
#
# ## 5. Overfitting, on purpose
#
# The same network, from new random weights, on few patients. Nothing else changes, and the
# validation patients are the same. **Predict:** which loss will be lower at the end than above,
# that on its own patients or that on others?

# %%
few = parts["few"]
known = {"seed": SEED, "batch": 16}
alone = live.train(network, images, labels, few, validation, EPOCHS, **known)
ends = alone.history[-1]
print(
    f"Loss at the end: {ends['loss']:.2f} on its patients, {ends['validation_loss']:.2f} on others"
)

# %% [markdown]
# A network that is sure about frames it has memorised is just as sure about new ones, and sure and
# wrong costs most; so the second number can rise above the 0.69 nats that "half and half" would
# cost.
#
# ## 6. Four remedies
#
# - **Early stopping**: end the training when the validation loss has not fallen for some epochs,
#   and go back to the best.
# - **[Augmentation][data-augmentation]**: show each frame a little differently every time, mirrored
#   left to right, shifted, larger, brighter, so that there is less to memorise. Only in ways that
#   keep the label true: never upside down, for sound comes from above, and the **acoustic shadow**
#   below calcium points downward.
# - **Dropout**: in each step, leave out a random share of the numbers before the last layer, so
#   that no single one can be relied on.
# - **More patients**: what it sounds like.
#
# [data-augmentation]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#data-augmentation

# %% cellView="form"
# @title Draw augmented views of one frame { display-mode: "form" }
views, _ = live.Views(images[[few[0]] * 7], labels[[few[0]] * 7], 7, SEED, Augmentation())[0]
seven = [images[few[0], ..., 0], *np.asarray(views)[..., 0]]
show.picture(scratch.draw_grid(seven, "One frame (left) and seven augmented views of it"))

# %% [markdown]
# *What to see:* would a doctor give each view the label of the first? That is the test every
# augmentation has to pass.

# %%
PATIENCE = 3 if FAST else 6
dropped = live.with_dropout(network, 0.5)
same = (network, images, labels)
runs = {
    "few patients": alone,
    "early stopping": live.train(*same, few, validation, EPOCHS, patience=PATIENCE, **known),
    "augmentation": live.train(
        *same, few, validation, EPOCHS, augmentation=Augmentation(), **known
    ),
    "dropout": live.train(dropped, images, labels, few, validation, EPOCHS, **known),
    "more patients": live.train(*same, training, validation, EPOCHS, **known),
}

# %% cellView="form"
# @title Draw the losses of all remedies { display-mode: "form" }
show.picture(scratch.draw_losses(runs, "Few patients, and one remedy at a time"))

# %% [markdown]
# *What to see:* low is good. Left, how well each one knows its own patients; right, how well it
# does on others. Compare how low the solid grey curve ends on the left and on the right. Early
# stopping (dotted) is the same curve, cut off; augmentation and dropout are meant to slow the
# memorising down. Do their curves on the left end higher than the grey one? Often, not always; what
# they gain on the right differs from set to set. More patients usually do most. (They also take
# more steps an epoch.) One seed and one split are an example, not a measurement, and two runs of
# the same thing can differ by 0.1: change `SEED` and look again.

# %%
pd.DataFrame(
    {
        "training": name,
        "epochs": len(run.history),
        "best epoch": run.best["epoch"],
        "loss on its patients": round(run.history[-1]["loss"], 2),
        "loss on others": round(run.history[-1]["validation_loss"], 2),
        "best loss on others": round(run.best["validation_loss"], 2),
    }
    for name, run in runs.items()
)

# %% [markdown]
# Losses are in nats, and 0.69, the logarithm of 2, is what "half and half" costs on every frame. If
# no run on few patients gets clearly below it on others, and the best epoch is the first, then none
# of them has learned anything that holds for others, and no remedy has been shown to help. The last
# column flatters, besides: the best epoch was picked by looking at these very patients. So the
# validation part may tell us *when to stop*, and may not tell us *how good we are*. For that we
# need a third part, the **test** part.
#
# ## 7. How good is it?
#
# We split the groups into **folds**, parts of the patients. Each fold in turn is put aside; of the
# others, most train the network and some say when to stop; then the fold put aside is scored, once.
# Scores won this way are **out-of-fold**. What we use was fixed before we look: early stopping,
# augmentation and dropout of 0.3.
#
# The number we report is the **AUROC** (area under the receiver operating characteristic curve):
# take one malignant and one benign frame at random; how often does the malignant one get the higher
# score (a tie counts half)? 0.5 is a coin, 1 is perfect. Its **interval** estimates how far it
# would move with other patients: we draw as many groups as we have, with replacement, two thousand
# times, and keep the middle 95 % (a **bootstrap**).
#
# And every experiment needs a **control**: something that cannot know what we hope the network
# knows. Ours are the mean brightness of the square, and the size of the file (a collection often
# has one size of file, and one share of malignant frames, for each place it comes from).

# %%
FOLDS, ROUNDS = 5, 16  # in a rehearsal too: with less, hardly anything is learned
assigned = splits.kfold(records, FOLDS, seed=SEED)
careful = live.with_dropout(network, 0.3)
settings = {"seed": SEED, "augmentation": Augmentation(), "patience": 6}
by_network = scratch.score_out_of_fold(
    careful, images, assigned, "malignant", ROUNDS, head="network", **settings
)
bright = images.mean(axis=(1, 2, 3))
by_brightness = scratch.score_by_number(assigned, bright, "malignant", "mean brightness")
by_size = assigned.assign(head="size of the file", score=baseline.image_size_scores(assigned))
rows = {"network": by_network, "mean brightness": by_brightness, "size of the file": by_size}
for source, inside in by_network.groupby("source"):
    rows[f"network, within {source}"] = inside
figures = {
    name: intervals.group_bootstrap(
        metrics.auroc, table["label"] == "malignant", table["score"], table["group"]
    )
    for name, table in rows.items()
}

# %% cellView="form"
# @title Draw the AUROC of the network and its controls { display-mode: "form" }
title = f"Out of fold: {len(records)} frames, {records['group'].nunique()} groups, {FOLDS} folds"
show.picture(show.intervals(figures, title, "AUROC (0–1; the dashed line is a coin)"))

# %% [markdown]
# *What to see:* first the length of the lines. Where a line crosses the dashed one, these patients
# do not show that the row is better than a coin. Then the controls: what brightness or the size of
# the file reach, nobody should call reading an ultrasound. The last rows ask within each **source**
# (the place, or the scanner, that frames come from): there the size of the file can help little. Do
# not read a network backwards because its line lies wholly *below* the dashed one. Where there is
# nothing to learn and patients are few, a label that is frequent in the fold asked about is scarce
# in the folds learned from, and that alone pushes the AUROC below one half.
#
# The fair comparison is on the same resampled patients, because much of what is hard for both
# cancels out:

# %%
gains = {
    f"network − {name}": intervals.paired_group_bootstrap(
        metrics.auroc, assigned["label"] == "malignant", by_network["score"], other["score"],
        assigned["group"],
    )
    for name, other in (("mean brightness", by_brightness), ("size of the file", by_size))
}  # fmt: skip
pd.Series({name: with_interval(gap, plus=True) for name, gap in gains.items()}, name="AUROC")

# %% [markdown]
# Where an interval holds 0, these patients do not show that the two differ; then the network has
# not been shown to know more than the control. A small network on small pictures of few patients
# often ends there. Chapter 3 begins with networks that have seen other images before.
#
# ### Your turn: the loss
#
# What is the cross-entropy of one frame, in nats, from its score and its label? Put your own line
# in place of the three dots, and run the cell until it says "Right".


# %%
def cross_entropy(score, malignant):
    """Return the loss of one frame: minus the logarithm of the share of its true label."""
    return ...


CASES = [((0.5, True), 0.6931), ((0.9, True), 0.1054), ((0.9, False), 2.3026)]
print(tasks.check(cross_entropy, CASES))

# %% [markdown]
# <details><summary>Answer</summary>
#
# `return -np.log(score if malignant else 1 - score)`: minus the logarithm of the share that the
# true label got.
#
# </details>
#
# ## Exercises
#
# **1.** Without ReLU and pooling between them, what is left of two convolutions in a row? Convolve
# `grey` with two of `scratch.KERNELS`, one after the other (`scratch.convolve`), and think which
# single, larger filter would give the same.
#
# <details><summary>Answer</summary>
#
# Away from the edges, one convolution with a larger filter (9 × 9): sums of sums are sums. That is
# why a bend like ReLU is put between them.
#
# </details>
#
# **2.** In part 2, raise the rate of the bold steps until the walk does not come to rest. What
# would the loss curve of a network look like?
#
# <details><summary>Answer</summary>
#
# First the weight flies far beyond the bottom and takes long to come back; from some rate on it
# goes to and fro without coming to rest. A network's loss then hops up and down, or grows; one
# lowers the rate.
#
# </details>
#
# **3.** Set `FEW` (the patients of each label in the small part) to 2, then to 12. What happens to
# the gap between the two curves of section 5?
#
# <details><summary>Answer</summary>
#
# As a rule, the fewer patients, the sooner and the wider the curves part: a handful of frames is
# soon memorised.
#
# </details>
#
# **4.** Assign the folds by image, `splits.kfold(records.assign(group=records["path"]), FOLDS)`,
# and score again. Which way does the AUROC go, and may you report it?
#
# <details><summary>Answer</summary>
#
# Upward as a rule, where patients have several frames, for the network has then seen the patient it
# is asked about. It may not be reported as a number for new patients.
#
# </details>

# %% [markdown]
# ## Quiz
#
# **1.** What is the difference between a step and an epoch?
#
# <details><summary>Answer</summary>
#
# A step changes the weights once, after one batch. An epoch is over when all training images have
# had their turn: as many steps as there are batches.
#
# </details>
#
# **2.** The training loss falls, the validation loss rises. What is going on, and what helps?
#
# <details><summary>Answer</summary>
#
# Overfitting: the network memorises its patients. Stop earlier, augment, use dropout; usually
# best of all, more patients.
#
# </details>
#
# **3.** Why is a validation part, used for early stopping, not enough to say how good a network is?
#
# <details><summary>Answer</summary>
#
# The best epoch was chosen by looking at it, so it flatters. The number that is reported has to
# come from patients that had no part in any choice.
#
# </details>
#
# **4.** Why are frames never turned upside down in augmentation?
#
# <details><summary>Answer</summary>
#
# Sound travels downward. Acoustic shadowing and posterior enhancement lie below what causes them;
# turned round, the frame shows something that no scanner can show.
#
# </details>
#
# **5.** A network has an AUROC of 0.70 (0.62 to 0.78); its mean brightness alone has 0.68 (0.60 to
# 0.76). What has been shown?
#
# <details><summary>Answer</summary>
#
# That both separate these frames better than a coin (both intervals lie above 0.5), and
# brightness alone nearly as well as the network. Whether the network knows more is for the paired
# difference to say: overlapping intervals alone do not settle it.
#
# </details>

# %% [markdown]
# ## What this chapter claims, checked
#
# What has to hold in every run, whatever chance decides, computed from this one. The rest of the
# chapter holds "in this run": change `SEED`, and look again.

# %%
claims.table(
    claims.scratch(
        {"ReLU": kept, "pooling": pooled},
        scratch.losses(points, ill, walks["small steps"]),
        valley,
        assigned,
        parts,
        runs,
        [by_network, by_brightness, by_size],
    )
)
