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
# # Chapter 3. Progressive transfer
#
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/ThyroDemo/ThyroDemo/blob/main/notebooks/03_progressive_transfer.ipynb
#
# **For teaching and research only. Nothing here is a medical device, and no score is a diagnosis.**
#
# After this chapter you can
#
# 1. say what transfer learning is, and why somebody would put chest radiographs between photographs
#    and thyroid ultrasound;
# 2. choose what a stage of training may change, and count its weights in three well-known networks;
# 3. train a stage, read its loss curves, and recognise memorising in them;
# 4. measure what a stage has changed: weights, likeness of features, heatmaps;
# 5. answer the question "did the middle stage help?" with a difference on the same patients and its
#    interval;
# 6. bring a chain of stages to its end, a **bundle** (a folder with a network and all that belongs
#    to it) that later chapters go on from.
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
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes to its own developers
warnings.filterwarnings("ignore", message="IProgress not found")  # plain progress bars will do

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image, display

from thyro_demo.bundle.manifest import read_manifest
from thyro_demo.course import cached, claims, ladder, progressive, show, tasks
from thyro_demo.course.lesson import begin, precision, write_index
from thyro_demo.data import images, scan_area, splits
from thyro_demo.data.phantom import chest_film
from thyro_demo.evaluate import metrics, results  # noqa: F401 (metrics: for your own line)
from thyro_demo.evaluate.forest_plot import forest_plot
from thyro_demo.evaluate.formatting import with_interval
from thyro_demo.explain.svm import average_svm_map
from thyro_demo.models import heads
from thyro_demo.models.backbones import backbone
from thyro_demo.models.networks import build
from thyro_demo.models.pipeline import load_frames
from thyro_demo.study import setting
from thyro_demo.study.questions import paired
from thyro_demo.training import out_of_fold
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.recipes import recipe
from thyro_demo.training.run import run

lesson = begin(3, FAST, SEED, DATA, OUT)

# %% [markdown]
# ## 1. Why a network goes to school elsewhere first
#
# We want a program that looks at a **frame**, one ultrasound picture, of a **nodule** (a lump) in
# the **thyroid** (a gland of the neck), and says how much it resembles frames labelled
# **malignant** (cancer) rather than **benign** (harmless). A **network** is a chain of **layers**
# that turns an image into numbers. What a layer does is fixed by its **weights**, numbers that
# training adjusts. The networks of this chapter have between four and twenty-four million of them.
# Our thyroid frames number a few hundred at most. So many weights can memorise so few frames,
# and then know nothing of the next patient.
#
# **Transfer learning** is the way out: first train the network on a large collection of other
# images, then go on with the few of your own. It can work because the first layers look for edges,
# spots and textures, and those occur everywhere.
#
# **Progressive transfer** adds a stage in between. The idea, from the thesis that this project
# grew from: photographs of cats and cars are far from ultrasound. Chest **radiographs** (X-ray
# pictures) are nearer: grey, medical, with a disease in question; and there are thousands of
# labelled ones. So the network goes
#
# > photographs → chest radiographs → thyroid ultrasound
#
# and, after the first of these **stages**, only a part of it may change. That is plausible.
# Plausible is not measured: that is what the rest of this chapter is for.
#
# ## 2. Three networks
#
# Each is a row of **blocks**, groups of layers. From block to block the picture becomes smaller
# (fewer, larger **cells**) and thicker (more **channels**, each telling where one kind of pattern
# was found). What comes out of the last block is the last **feature map**. Its average over the
# frame, one number for each channel, is called the **features**. The **head** turns them into a
# **score** between 0 and 1, higher for "malignant".

# %%
NETWORKS = ("vgg16", "resnet50", "efficientnet-b0")
freezing, rows = {}, []
for name in NETWORKS:
    spec = backbone(name)
    network = build(spec)
    last = network.get_layer(spec.cam_layer).output.shape
    freezing[spec.title] = table = progressive.freezing(network, spec)
    rows.append(
        {
            "network": spec.title,
            "blocks": table["block"].nunique() - 1,
            "layers with weights": sum(1 for layer in network.layers if layer.weights),
            "weights, million": round(table.query("strategy == 'all'")["weights"].sum() / 1e6, 1),
            "input, pixels": f"{spec.input_size} × {spec.input_size}",
            "last map, cells × channels": f"{last[1]} × {last[2]} × {last[3]}",
        }
    )
pd.DataFrame(rows).set_index("network")

# %% [markdown]
# *VGG-16* (2014) stacks plain **convolutions**, small filters that slide over the picture and
# answer where it looks like them (chapter 2). *ResNet-50* (2015) adds shortcuts around them, so
# that far more layers can still learn. *EfficientNet-B0* (2019) was published as reaching as much
# on photographs with a fraction of the weights; we train this one. (VGG-16 is counted here without
# the three large layers at its end, which its makers used for photographs.)
#
# ## 3. What a stage may change
#
# A weight that training must not touch is **frozen**. There are four usual strategies, from "keep
# what you know" to "forget it if you must": train the head alone, the last block, the last two
# blocks, or all.

# %% cellView="form"
# @title Draw what each strategy trains { display-mode: "form" }
show.picture(progressive.draw_freezing(freezing))

# %% [markdown]
# *What to see:* each row is one strategy, each box a block with its number of weights; blue ones
# are trained, grey ones are frozen. At the right: how many weights are trained, and which share of
# all that is. Most weights sit in the last blocks, so "the last two blocks" train most of them.
#
# Few trained weights mean: quicker, less memory, less danger of memorising, and less room to
# adapt. There is a practical gain as well: what is frozen returns the same answer for an
# image every time, so we compute it once and keep it. Only what is trained runs again and again.

# %% [markdown]
# ## 4. The middle stage, live
#
# `BACKBONE` chooses the network and `START` where its chain begins: with the weights of this
# project ("shipped"), with those of ImageNet ("imagenet", "noisy-student": downloaded once), or
# with nothing ("none"). Of EfficientNet-B0 each stage is shipped. **Of VGG-16 and ResNet-50 only
# the end of the chain is**, so their middle stage starts there unless you take ImageNet. With any
# start but "shipped" no shipped stage is shown below, for they began elsewhere: all later stages
# are computed here, from your start.

# %% cellView="form"
# @title Which network, and where its chain begins { display-mode: "form" }
BACKBONE = "efficientnet-b0"  # @param ["efficientnet-b0", "resnet50", "vgg16"]
START = "shipped"  # @param ["shipped", "imagenet", "noisy-student", "none"]

# %% [markdown]
# Where `DATA` holds radiographs, we train on them. Where it does not, on **drawn films**: stand-ins
# with dark lungs, ribs and a heart, half of them with a cloud in one lung. Nothing in them follows
# the physics of X-rays. They show how a middle stage is run; what it is good for, only real
# radiographs can tell. Each image carries a **label**, the right answer, and the network learns to
# give it.

# %%
CHESTS, SIDE_OF_CHESTS, EPOCHS = (96, 64, 4) if FAST else (600, 112, 3)
spec = backbone(BACKBONE)
path = ladder.chain(BACKBONE, START)
BASE = ladder.base(path)
_, usual = recipe("radiographs").stages[0]
stage = replace(
    usual, input_size=SIDE_OF_CHESTS, limit=CHESTS, epochs=EPOCHS, batch=16, patience=None,
    precision=precision(), seed=SEED,
)  # fmt: skip
chests = progressive.chests(lesson.data, lesson.root / "films", stage)
classes = tuple(sorted(set(chests["label"])))
films = load_frames(chests, classes, SIDE_OF_CHESTS, crop=False)
kind = "drawn films" if set(chests["source"]) == {chest_film.SOURCE} else "chest radiographs"
parts = [np.flatnonzero(chests["split"] == part) for part in ("train", "validation")]
print(f"{len(chests)} {kind} of {chests['group'].nunique()} chests:", end=" ")
print("{} to train on, {} for validation".format(*map(len, parts)))

# %% cellView="form"
# @title Show one image of each class { display-mode: "form" }
figure, row = plt.subplots(1, len(classes), figsize=(10, 4.2), layout="constrained")
for number, (axes, label) in enumerate(zip(row, classes, strict=True)):
    one = np.flatnonzero(films.labels == number)[0]
    show.frame(axes, films.images[one], label)
    axes.set_ylabel("Down (pixels)")
figure.suptitle(f"The middle stage: {kind}, one of each class")
show.picture(figure)

# %% [markdown]
# *What to see:* what the middle stage is asked to tell apart. (In a drawn film the pale corner of
# the right-hand lung is the heart, in both classes; a cloud is a pale patch anywhere else.) And how
# different such a picture is from an ultrasound frame: not the grain of ultrasound (**speckle**),
# no skin along the top, and a shadow picture through the whole chest instead of a slice that
# reaches some way down.
#
# Now the training. One pass over all training images is an **epoch**; a handful of images, after
# which the weights move once, makes a **step**, and the **learning rate** (`RATES`) says how far
# they move. The **loss** measures how wrong the network is, and how sure while wrong; training
# pushes it down (a guess between two classes costs 0.69, between three 1.10; the unit is called
# *nat*). The **validation** part is never trained on: it shows whether what was learned holds for
# other chests. **Groups** (all images of one patient, or near duplicates) are never on both sides.
#
# Each strategy begins with the same weights. (A rehearsal, with `FAST`, tries the last block
# alone.)
#
# **Predict before you run it:** which of the two curves, training or validation, will end lower?

# %%
RATES = {"head": 2e-3, "last block": 5e-4, "last two blocks": 3e-4, "all": 1e-4}
TRIED = ("last block",) if FAST else progressive.STRATEGIES
rates = {strategy: RATES[strategy] for strategy in TRIED}
trained = progressive.train(spec, path[BASE], stage, rates, films, parts, lesson.here / "middle")
chosen = trained["last block"].file  # we go on with it, as the shipped chain does
counts = freezing[spec.title].groupby("strategy", sort=False)["trained"].sum()
pd.DataFrame(
    {
        "trained": strategy,
        "weights": f"{counts[strategy]:,}",
        "seconds per step, compiling included": round(done.seconds, 2),
    }
    for strategy, done in trained.items()
)

# %% cellView="form"
# @title Draw the losses of each strategy { display-mode: "form" }
figure, row = plt.subplots(
    1, len(TRIED), figsize=(11, 3.4), sharey=True, squeeze=False, layout="constrained"
)
for axes, (strategy, done) in zip(row[0], trained.items(), strict=True):
    history = pd.DataFrame(done.history)
    for key, mark, colour, name in (
        ("loss", "o-", show.GREY, "training"), ("validation_loss", "s-", show.BLUE, "validation"),
    ):  # fmt: skip
        axes.plot(history["epoch"], history[key], mark, color=colour, label=name)
    axes.set(title=f"Trained: {strategy}", xlabel="Epoch", xticks=history["epoch"])
row[0, 0].set_ylabel("Loss (cross-entropy, nats)")
row[0, 0].legend()
show.picture(figure)

# %% [markdown]
# *What to see:* first, whether both lines fall at all. Then the gap: a training loss that goes on
# falling while the validation loss stays or rises means that the network **memorises**. Where there
# are several panels, compare them with their rates in mind: whatever trains more has been given the
# smaller steps, so that "all" may have come least far. So few epochs let no curve come to rest: do
# not pick a "best strategy" here.
#
# ## 5. What each stage has changed
#
# We show the *same thyroid frames* to the network at each stage: with random weights, which have
# learned nothing; after its start; after the middle stage that you just trained; and, of the
# shipped chain, after its own radiographs (more of them, and for longer) and at its end, where the
# last two blocks went on to learn **where a nodule is**, from outlines. None of them has learned
# from the label of a frame of this chapter.
#
# **Predict:** in which blocks will the weights have moved? In which will the answers have changed?

# %%
FOLDS, SIDE, WATCHED = (5, 192, 12) if FAST else (5, 192, 40)
QUICK = cached.serve(lesson) and (BACKBONE, START) == (cached.NETWORK, "shipped")
records = cached.frames(lesson, every=True) if QUICK else lesson.thyroid()
records = splits.kfold(records, FOLDS, seed=SEED)
labels = (records["label"] == "malignant").to_numpy(int)
tested = np.flatnonzero(records["fold"] == 0)
pair = [tested[np.argmax(labels[tested] == label)] for label in (1, 0)]
watched = np.array([*pair, *np.setdiff1d(tested, pair)][:WATCHED])
MINE = f"then {kind}, here"
way = {name: path[name] for name in dict.fromkeys((ladder.RANDOM, BASE))}
way |= {MINE: str(chosen)} | {name: file for name, file in path.items() if name not in way}
seen = records.iloc[watched] if QUICK else records
setting.draw_planned(seen)  # a rehearsal draws phantoms where they are looked at, nowhere else
squares = load_frames(seen, out_of_fold.CLASSES, SIDE).images
rows = np.arange(len(watched)) if QUICK else watched
snapshots = progressive.follow(spec, way, squares, rows, SEED)

# %% cellView="form"
# @title Draw how far the weights moved { display-mode: "form" }
COLOURS = dict(zip(way, (show.GREY, "black", show.GREEN, show.BLUE, show.ORANGE), strict=False))
later = list(way)[list(way).index(MINE) :]
before = snapshots[BASE]
steps = {name: progressive.weight_changes(before, snapshots[name]) for name in later}
figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
for place, (name, distance) in enumerate(steps.items()):
    places = np.arange(len(distance)) + 0.27 * (place - 1)
    axes.bar(places, 100 * distance, width=0.25, color=COLOURS[name], label=name)
axes.set_xticks(range(len(distance)), distance.index)
axes.set(title=f"How far the weights moved from “{BASE}”")
axes.set(xlabel="Block, from the image to the features", ylabel="Change, % of their length")
axes.legend()
show.picture(figure)

# %% [markdown]
# *What to see:* where bars are missing, the block was frozen, and not one of its weights differs.
# Where there are bars, look how long they are: all weights of a block are taken for one arrow in a
# space of many dimensions, and the bar is the length of its change. Small changes can be enough for
# a new task. (A later stage counts the whole way since the start.)
#
# ### How alike the features stay
#
# Do the frames that look alike to the network before a stage still look alike after it? **Centred
# kernel alignment** ([CKA][cka]; Kornblith et al., ICML 2019) answers with one number: 1 where the
# likeness of all pairs of frames is the same, about 0 where the two have nothing to do with each
# other. It does not mind if channels swap places, or if all of them grow by the same factor.
#
# [cka]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#cka

# %% cellView="form"
# @title Draw how alike the answers of each block stay { display-mode: "form" }
alike = {name: progressive.block_similarity(before, each) for name, each in snapshots.items()}
figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
for (name, likeness), mark in zip(alike.items(), "osD^v", strict=False):
    axes.plot(likeness.index, likeness, f"{mark}-", color=COLOURS[name], label=name)
axes.set(title=f"Likeness to the network at “{BASE}” ({len(watched)} frames)")
axes.set(xlabel="Block, from the image to the features", ylabel="CKA (1: the same)")
axes.legend()
show.picture(figure)

# %% [markdown]
# *What to see:* the line of the stage compared with itself is 1 everywhere. The lines of the stages
# after it stay at 1 as long as blocks are frozen and leave it where training began. The grey line
# is the yardstick: likeness to a network that has learned nothing. (The axis need not begin at 0.
# With a dozen frames CKA is high for nearly any two networks: read it against the grey line, never
# against 0.) In the first blocks even that is often high, because any filter keeps bright frames
# bright and dark ones dark. A stage whose line stays far above the grey one, at the right end too,
# has adapted what it knew; one whose line falls to the grey one or below it has built features of
# its own there. Neither says whether they are better.
#
# ## 6. Did it help?
#
# So features changed. Whether they became *better for thyroid nodules* is another question, and the
# one that matters to a patient. We keep each network frozen, fit the same head (a linear **support
# vector machine**, SVM, which weighs each feature and adds up) on the features of each stage, and
# ask it **out of fold**: frames are split into **folds**, and each fold is scored by a head that
# was fitted on the others, so that no frame of its **group** (one patient, or near duplicates)
# helped. The **AUROC** (area under the receiver operating characteristic curve) is the chance that
# a **malignant** frame, taken at random, gets a higher score than a **benign** one; 0.5 is
# guessing, 1 is perfect.
#
# “Read on the nodule” reads the last network in another way, as its own heads do: features are not
# averaged over the whole frame but weighted with the **nodule map**, its own answer to "where is
# the nodule?".
#
# We name the comparison *before* we look: the radiographs (shipped, or else yours) against the
# start. A rehearsal has no time for hundreds of frames: for the shipped EfficientNet-B0 it reads
# features that were computed beforehand, with a middle stage on drawn films at its full length.
#
# **Predict:** write the stages in the order in which you expect their AUROC.

# %%
if QUICK:
    names = (ladder.RANDOM, BASE, cached.FILMS, ladder.RADIOGRAPHS, ladder.FULL)
    features = {name: cached.features(lesson, name, every=True) for name in names}
    features[ladder.READ] = cached.features(lesson, BACKBONE, every=True)
else:
    features = {name: snapshot.features for name, snapshot in snapshots.items()}
    if START == "shipped":
        features[ladder.READ] = ladder.read_on_nodule(BACKBONE, records)
scored = ladder.climb(features, records)
sizes = out_of_fold.size_rows(records)
if sizes is not None:  # a control: it sees the width and height of the file, and nothing else
    scored["image size only"] = sizes
scored = {name: one.sort_values("path", ignore_index=True) for name, one in scored.items()}
compared = paired.against(scored, BASE, "stage")
overall = compared[compared["source"] == "all"].set_index("stage")
named = next(
    name for name in (ladder.RADIOGRAPHS, MINE, cached.FILMS) if name in scored and name != BASE
)
unit = f"{FOLDS} folds, {len(records)} {lesson.images}, {records['group'].nunique()} groups"

# %% cellView="form"
# @title Draw the ladder { display-mode: "form" }
areas = overall[["auroc", "low", "high"]].rename(columns={"auroc": "value"})
title, axis = f"AUROC of each stage, out of fold\n({unit})", "AUROC (dashed line: guessing)"
show.picture(show.intervals(areas.to_dict("index"), title, axis))

# %% [markdown]
# *What to see:* whether the ladder rises, and how long the **intervals** are. They estimate how far
# a number would move with other patients: whole groups are drawn anew, with replacement, two
# thousand times, and the middle 95 % of the answers is kept (a **bootstrap**). Two that overlap do
# not show that the networks are equal, nor that they differ. For that, compare them on the *same*
# resampled patients, because a hard patient is often hard for both.
#
# The last row is the **control**, which sees only the **width and height of the file**. Where it
# does well, frames of different **sources** (the places they come from) carry different labels, and
# a network may have learned the source.
#
# ### The same frames, as each stage sees them
#
# A frame with a thousand features cannot be drawn. **[t-SNE][t-sne]** (van der Maaten and Hinton,
# JMLR 2008) lays frames out in a plane so that those with like features are beside each other.
#
# [t-sne]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#t-sne

# %% cellView="form"
# @title Draw the frames as each stage sees them { display-mode: "form" }
first = np.arange(min(300, len(records)))  # for time
some = dict.fromkeys((ladder.RANDOM, BASE, named, list(features)[-1]))
seen_as = {name: features[name][first] for name in some}
title = f"Neighbours of {len(first)} {lesson.images} at each stage (t-SNE)"
show.picture(ladder.draw_planes(ladder.planes(seen_as, SEED), labels[first] == 1, title))

# %% [markdown]
# *What to see:* whether one colour gathers on one side; a pair of marks that touch is often two
# frames of one patient, or two of one scanner, which stay alike at every stage. Trust nothing else:
# how far islands are from each other, how large they are and where they lie means nothing, and
# another `SEED` turns and folds the picture. A head, which weighs all features, may separate what
# looks mixed here.
#
# ### The gain over the start

# %% cellView="form"
# @title Draw the paired differences { display-mode: "form" }
gains = overall.drop(index=BASE)[["gain", "gain_low", "gain_high"]]
gains.columns = ["value", "low", "high"]
title, axis = f"Gain over “{BASE}”\n({unit})", "Difference of AUROC (dashed line: none)"
shown, size = {title: gains.to_dict("index")}, (8.5, 1.3 + 0.42 * len(gains))
figure = forest_plot(shown, axis, reference=0.0, colours=(show.BLUE,), decimals=3, size=size)
figure.axes[0].set_ylabel("With 95 % interval")
show.picture(figure)
gain = gains.loc[named]
verdict = "a gain" if gain["low"] > 0 else "a loss" if gain["high"] < 0 else "no difference"
print(f"“{named}” − “{BASE}”, {with_interval(gain.to_dict(), 3)}: these frames show {verdict}.")

# %% [markdown]
# *What to see:* whether a line crosses the dashed one. If it does, these frames do not show a
# difference; they do not show that there is none. Only the comparison that was named before counts
# as a test: of many lines one may stray from the dashed line by luck.
#
# The last stage, in both rows above the control, has an advantage where frames are drawn: it has
# met drawn frames (of other drawn patients), if only to learn where their nodules are. The interval
# knows of other patients, not of other folds, other random weights or another training run. And a
# gain over all frames can hide what happens inside the sources:

# %%
inside = compared[compared["source"] != "all"]
areas = [with_interval((row.auroc, row.low, row.high)) for row in inside.itertuples()]
inside.assign(auroc=areas).pivot(index="stage", columns="source", values="auroc").loc[list(scored)]

# %% [markdown]
# Each entry is an AUROC with its interval. Within one source the size of the file says little, so
# these columns are the fairer ones; their intervals are wider, because fewer patients are left in
# each.
#
# **The honest answer on real frames.** Frames of patients, stages of full length, a chain against
# the same network after photographs alone. *Before you run it:* in how many of the four figures
# is 0 outside?

# %%
table = results.read(results.PUBLISHED / "middle_stage.json")
(helped,) = (row for row in table.rows if row["chain"] == "natural → radiographs, last block")
chains = {column.title: helped[column.key].gain.ends for column in table.columns[1:]}
display(Image("notebooks/images/middle_stage.png"))
pd.Series(
    {name: with_interval(one, 3, plus=True) for name, one in chains.items()},
    name="AUROC, radiographs (last block) minus photographs alone",
)

# %% [markdown]
# *What to see:* in the picture, a panel a network, each row a chain, the upright line photographs
# alone (*natural*); below it the four figures of one of these chains. A small gain with one network
# is not a gain with all, nor one that lasts once the last block is trained on the thyroid frames
# too (the last figure). And of so many intervals a few leave 0 outside by chance. So: not shown to
# help in general, and where it helps, a little. `weights/README.md`, section "Does the middle stage
# help?", has the AUROCs themselves and says what else was tried.
#
# ### Your turn: a paired difference
#
# What is the AUROC of the second scores minus that of the first, on the rows that are given?
# `metrics.auroc(malignant, scores)` computes one AUROC. Put your own line in place of the three
# dots, and run the cell until it says "Right".


# %%
def difference(malignant, first, second, rows):
    """Return how much better the second scores are, on these rows alone."""
    return ...


ILL, ROWS = np.array([False, False, True, True]), np.array([0, 0, 2, 3])
ONE, OTHER = np.array([0.1, 0.6, 0.4, 0.9]), np.array([0.1, 0.2, 0.8, 0.9])
SOME = np.array([0, 2, 3])
CASES = [((ILL, ONE, OTHER, np.arange(4)), 0.25), ((ILL, OTHER, -OTHER, ROWS), -1.0)]
CASES += [((ILL, ONE, OTHER, SOME), 0.0)]
print(tasks.check(difference, CASES))

# %% [markdown]
# <details><summary>Answer</summary>
#
# `return metrics.auroc(malignant[rows], second[rows]) - metrics.auroc(malignant[rows],
# first[rows])`: both AUROCs of the same rows.
#
# </details>
#
# ## 7. Transfer-path heatmaps
#
# Where does each stage make its head look? A **heatmap** shows which parts of a frame pushed the
# score up. **Grad-CAM** (Selvaraju et al. 2017) weighs each channel of the last feature map by how
# strongly the score reacts to it (its **gradient**), adds the channels up and keeps what is above
# 0. The heads here were fitted without the fold of the frames that we show.

# %%
others = np.flatnonzero(records["fold"] != 0)[: 120 if FAST else None]
groups = records["group"].to_numpy()


def head_of(rows):
    """Fit a calibrated head to the features of the other frames."""
    return heads.CalibratedHead(heads.fit("linear-svm", rows, labels[others], groups[others]))


fitted = {name: head_of(features[name][others]) for name in snapshots if name in features}
maps = {
    name: np.stack([average_svm_map(head, cells) for cells in snapshots[name].maps])
    for name, head in fitted.items()
}


# %% cellView="form"
# @title Draw the heatmaps down the path { display-mode: "form" }
def nodule(record):
    """Read the mask of a drawn nodule; real frames come without one."""
    known = record.get("mask_path")
    return images.decode(known)[:, :, 0] > 0 if isinstance(known, str) else None


def lay(axes, row, name):
    """Lay a stage's heatmap over its frame, with the score of its head."""
    record = records.iloc[watched[row]]
    frame = images.decode(record["path"])
    heat = scan_area.place(maps[name][row], scan_area.find(frame), frame.shape[:2])
    score = float(fitted[name].scores(features[name][watched[row]][None])[0])
    show.frame(axes, frame, f"{name}\nscore {score:.2f}", nodule(record), heatmap=heat)


figure, grid = plt.subplots(2, len(maps), figsize=(14, 6.4), squeeze=False, layout="constrained")
for row, axes_of_row in enumerate(grid):
    for axes, name in zip(axes_of_row, maps, strict=True):
        lay(axes, row, name)
        axes.label_outer()
figure.suptitle("One malignant frame (above) and one benign (below), down the path")
show.picture(figure)

# %% [markdown]
# *What to see:* whether the glow wanders from stage to stage, and whether it lies on the nodule
# (the line, where the frame was drawn and we know it) or elsewhere. These are plain averages: the
# head was never asked to look at the nodule. A cell of the last feature map covers a large part of
# the frame, so a glow cannot be sharper than that. A frame without any glow has, by this method,
# nothing that speaks for "malignant". If the *untrained* network comes nearest to the nodule, take
# it as a lesson: so little does a place prove. Two frames are an anecdote; chapter 6 measures
# heatmaps.
#
# ## 8. Several networks, the same head
#
# The shipped VGG-16 and ResNet-50 came down a path of the same kind. Here is what the same linear
# SVM makes of what their heads read. (A rehearsal leaves out VGG-16.) **Predict:** will the network
# with the most weights be the best?

# %%
if cached.serve(lesson):
    reading = {name: cached.features(lesson, name, every=QUICK) for name in cached.READ}
    shown = records if QUICK else splits.kfold(cached.frames(lesson), FOLDS, seed=SEED)
else:
    reading = {name: ladder.read_on_nodule(name, records) for name in NETWORKS}
    shown = records
by_network = ladder.climb({backbone(name).title: one for name, one in reading.items()}, shown)
reference = backbone("efficientnet-b0").title
networks = paired.against(by_network, reference, "network")
whole = networks[networks["source"] == "all"]
pd.DataFrame(
    {
        "network": row.network,
        "AUROC": with_interval((row.auroc, row.low, row.high)),
        f"minus {reference}": "the reference"
        if row.network == reference
        else with_interval((row.gain, row.gain_low, row.gain_high), 3, plus=True),
    }
    for row in whole.itertuples()
)

# %% [markdown]
# Only the last column compares: it is paired on the same patients. Networks may reach the same
# AUROC by looking at the same things, or at different ones; in the second case there is more to
# gain from asking them together (chapter 4).
#
# ## 9. The chain to its end
#
# A chain ends on thyroid frames. With so few of them we leave the network frozen and train new
# heads alone (recipe "head"): a **softmax** (one weight for each feature and class, the sums turned
# into shares that add up to 1), an **SVM** and a **random forest** (many **decision trees**, each a
# row of yes-or-no questions about features); chapter 4 takes them apart. `TrainingJob` says what to
# run, `run` runs it, fold by fold, and writes a **bundle**: the network, its heads, a manifest (a
# list of what is in it, with its numbers) and a model card (a page for people).
#
# We go on from the end of the path: the shipped network, or with another start your own middle
# stage. The next chapters take up this bundle.

# %%
whole_recipe = recipe("head", BACKBONE)
source, last = whole_recipe.stages[0]
small = replace(last, input_size=112 if FAST else SIDE, views=1)
few = lesson.thyroid()
job = TrainingJob(
    recipe=replace(whole_recipe, folds=2 if FAST else FOLDS, stages=((source, small),)),
    backbone=spec.name,
    data=lesson.find("p1") or write_index(few, lesson.root / "phantoms"),
    work=lesson.here / "work",
    out=lesson.here / "bundles" / "progressive",
    initial_weights=list(way.values())[-1],
    epochs=6 if FAST else None,
    title=f"{spec.title}, the chain of chapter 3",
)
ready = run(job)
manifest = read_manifest(ready)
print(*sorted(file.name for file in ready.iterdir()), sep="\n")

# %% cellView="form"
# @title Draw the figures of the bundle { display-mode: "form" }
ends = {head: measured["auroc"] for head, measured in manifest["metrics"]["heads"].items()}
n, of_groups = manifest["metrics"]["n"], manifest["metrics"]["groups"]
caption = f"AUROC of the bundle, out of fold: {n} frames in {of_groups} groups"
show.picture(show.intervals(ends, caption, "AUROC (dashed line: guessing)"))

# %% [markdown]
# *What to see:* the heads of your own chain, each with its interval. The **primary** head, named
# before any test fold was scored, is the SVM; whoever quotes the best of several afterwards quotes
# luck. (In a rehearsal on phantoms these are a handful of small frames, so the lines are long:
# nothing has been shown. The ladder above is the figure to remember.)
#
# ## Exercises
#
# **1.** Before you run it: how many weights does "head" train if a network of 1,280 features has
# two classes? And three classes?
#
# <details><summary>Answer</summary>
#
# One weight for each feature and class, and one **bias** a class: 1,280 × 2 + 2 = 2,562, and
# 1,280 × 3 + 3 = 3,843. The picture of section 3 counts two classes.
#
# </details>
#
# **2.** Train the middle stage with the rates `{"all": 1e-3}`, ten times what section 4 has for it,
# and walk on with that file (`chosen = trained["all"].file`). What do you expect of the bars of
# section 5, of the likeness, and, with `FAST = False`, of the AUROC?
#
# <details><summary>Answer</summary>
#
# Bars in every block, the early ones included; likeness that falls from the first block on. What
# photographs taught is overwritten before anything better has been learned ("catastrophic
# forgetting"), so one would expect the AUROC on thyroid frames to fall rather than rise. That is
# why stages that train much are given small rates. Did it happen? Look at the interval before you
# say so.
#
# </details>
#
# **3.** Skip the photographs: give `progressive.train` the initial weights "none". What does the
# middle stage teach a network that has seen nothing before?
#
# <details><summary>Answer</summary>
#
# Little: a few hundred images do not teach first filters. `weights/README.md` has the row
# "radiographs alone" in its table "Does the middle stage help?". Compare it with the row "random".
#
# </details>
#
# **4.** A colleague trains the middle stage on *thyroid frames*, all of them, and then reports
# out-of-fold figures of new heads on the same frames. What is wrong?
#
# <details><summary>Answer</summary>
#
# The network has learned from the labels of the frames that each fold asks about. The heads are out
# of fold, the features are not: a leak. Whatever learns from labels has to be trained anew in each
# fold, or on other patients.
#
# </details>
#
# **5.** In section 6, after `features` are there, take the frames of one source alone: `keep =
# (records["source"] == "scanner A").to_numpy()`, then `records = records[keep]` and `features =
# {name: rows[keep] for name, rows in features.items()}`. What happens to the intervals, and to the
# scorer that sees only the size?
#
# <details><summary>Answer</summary>
#
# Intervals grow, about as the square root of the number of groups shrinks. Where all files of a
# source have one size, the size says nothing, and its AUROC lies about 0.5, or somewhat below it:
# the scorer then knows only how frequent "malignant" is in the other folds, and where that is more,
# it is less in the fold asked about.
#
# </details>

# %% [markdown]
# ## Quiz
#
# **1.** What does "frozen" mean, and what is gained by it besides fewer trained weights?
#
# <details><summary>Answer</summary>
#
# Training does not touch these weights. So their part of the network gives the same output for an
# image every time: it is computed once and kept.
#
# </details>
#
# **2.** The validation loss rises while the training loss falls. What do you do?
#
# <details><summary>Answer</summary>
#
# The network memorises. Stop at the epoch with the lowest validation loss, train fewer
# weights, or bring more (or varied) images. Not: train longer.
#
# </details>
#
# **3.** After a stage, CKA to the network before it is 0.99 in all blocks. Can the AUROC still
# change?
#
# <details><summary>Answer</summary>
#
# Yes. CKA reports the likeness of all pairs of frames; the label may hang on a small part of it.
# It says how much changed, not whether it became better.
#
# </details>
#
# **4.** The paired difference is +0.02 with an interval of −0.01 to +0.05. Did the stage help?
#
# <details><summary>Answer</summary>
#
# These patients don't show it: 0 lies inside. They do not show that it is useless either; a gain of
# 0.04 would fit as well. More patients would tell.
#
# </details>
#
# **5.** Chain A looks best among nine chains, and its interval just leaves 0 outside. Why are you
# not convinced?
#
# <details><summary>Answer</summary>
#
# Among nine lines the best one is partly the luckiest. An interval of 95 % misses the truth in
# about one of twenty cases, for each line anew. Name one comparison before, or repeat the best one
# on other patients.
#
# </details>

# %% [markdown]
# ## What this chapter claims, checked
#
# What has to hold in every run, whatever chance decides, computed from this one. The rest of the
# chapter holds "in this run": change `SEED`, and look again.

# %%
last_block = freezing[spec.title].query("strategy == 'last block' and block != 'head'")
frozen = list(last_block.loc[last_block["trained"] == 0, "block"])
claims.table(
    claims.progressive(freezing, chests, before, snapshots[MINE], frozen, scored, manifest)
)
