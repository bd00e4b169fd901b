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
# # Chapter 0. Start here
#
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/ThyroDemo/ThyroDemo/blob/main/notebooks/00_start_here.ipynb
#
# **For teaching and research only. Nothing here is a medical device, and no score is a diagnosis.**
#
# After this chapter you can
#
# 1. say what this course builds, and in which order;
# 2. run every chapter, in Colab or on your own computer;
# 3. let three networks score an ultrasound picture, and read what they answer;
# 4. say where the images come from, what may be done with them, and which traps they hold;
# 5. say what may never be uploaded.
#
# You need no data, no graphics card and no knowledge of programming. This page is a **notebook**:
# text, and grey boxes with program code, the **cells**. Run the cells from top to bottom: click
# into one, press *Shift + Enter*, wait for the number beside it. You can follow the course without
# reading the code.

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
# for a quick look (a "rehearsal"). `SEED` fixes what chance decides: on the same computer, the same
# seed gives the same numbers. `DATA` is empty for drawn images; how to use real ones is explained
# further down. `OUT` is the folder where results go.

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
import pandas as pd
from IPython.display import Markdown, display

from thyro_demo.bundle.manifest import read_manifest, weights_root
from thyro_demo.course import show, tasks
from thyro_demo.course.lesson import begin
from thyro_demo.data import phantom
from thyro_demo.data.public_sets import SETS
from thyro_demo.engine import Engine

lesson = begin(0, FAST, SEED, DATA, OUT)

# %% [markdown]
# ## What you will build
#
# The **thyroid** is a gland in the neck. Lumps in it, **[nodules][nodule]**, are common, and most
# are harmless (**benign**); a few are cancer (**[malignant][malignant]**). Doctors look at them
# with **ultrasound**, which draws a picture from echoes of sound; one such picture is a
# **[frame][frame]**. This course builds what many papers describe: a program that learns from
# frames with known answers (**[labels][label]**, here "benign" or "malignant"), looks at a new
# frame and answers with a number between 0 and 1, the **[model score][model-score]**: the nearer to
# 1, the more the frame resembles those that were labelled malignant. You will also learn what few
# papers say: how such a program fools its makers.
#
# | Chapter | You will … |
# |---|---|
# | 0. Start here | run a comparison, and learn where images come from |
# | 0b. Transfer learning in plain Keras | do all of it once, in code that you can see |
# | 1. Seeing ultrasound | draw frames from physics, and grade nodules |
# | 1b. From a frame to a fair split | crop frames, know a collection, split patients, not images |
# | 2. A network from scratch | train a tiny network and watch it learn by heart |
# | 3. Progressive transfer | train on photographs, then on chest X-rays, then on the thyroid |
# | 4. Heads | let three kinds of classifiers read one network, and join networks |
# | 5. Did it really work? | say how sure each number is, and find bugs in evaluations |
# | 6. What does it look at? | draw where a score comes from, and measure whether to believe it |
# | 7. Ship it | pack a model with a page on what it can do, and open the app for a class |
#
# Each chapter can be read alone: it goes on from what an earlier one has saved, or else from the
# networks that come with the project.
#
# ## A first look
#
# We begin at the end, with three finished **[networks][neural-network]** (programs with millions of
# numbers that were adjusted on examples). We need a picture. Real ones belong to patients, so we
# draw one by the physics of ultrasound: a **[phantom][phantom]**. No neck was ever under this probe
# (the part of the scanner that is held to the skin).
#
# [nodule]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#nodule
# [malignant]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#malignant
# [frame]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#frame
# [label]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#label
# [model-score]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#model-score
# [neural-network]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#neural-network
# [phantom]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#phantom

# %%
CASE = "Very hypoechoic, taller than wide"
patient = phantom.example(CASE)

# %% cellView="form"
# @title Draw a neck { display-mode: "form" }
figure, axes = plt.subplots(figsize=(6.4, 4.9), layout="constrained")
show.frame(axes, patient.frame, f"A drawn neck: {CASE.lower()}", patient.mask, patient.spacing_mm)
show.picture(figure)

# %% [markdown]
# *What to see:* the skin is at the top; the scale on the left tells how deep each place lies.
# Inside the thin line lies a nodule. It is much darker than the gland around it ("very hypoechoic":
# it sends back few echoes) and taller than wide: both speak for malignant, as chapter 1 explains.
# We know the line because we drew the nodule; on a real frame an expert draws it, and another
# expert draws another one.
#
# Now the three networks, called VGG-16, ResNet-50 and EfficientNet-B0. Each has three
# **[heads][head]**, small classifiers that turn what the network has found into a score. They are
# called [softmax][softmax], [SVM][svm] and [forest][random-forest]; chapter 4 explains them, here
# they are three readers of the same findings. A score at or above the head's
# **[threshold][threshold]** counts as "flagged".
#
# *Before you run it:* nine scores for one frame. Will they agree?
#
# [head]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#head
# [softmax]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#softmax
# [svm]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#svm
# [random-forest]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#random-forest
# [threshold]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#threshold

# %%
engine = Engine()
networks = [name for name in engine.names() if engine.kind(name) == "scan"]
frame = patient.rgb  # networks expect red, green and blue
answer = engine.compare(frame, names=networks)
print(*answer.notices, answer.agreement, sep="\n")
pd.DataFrame(
    {
        "network": engine.title(one.model),
        "head": one.head,
        "model score": round(one.score, 2),
        "threshold": round(one.threshold, 2),
        "flagged": "yes" if one.positive else "no",
    }
    for one in answer.predictions
)

# %% [markdown]
# **Your turn.** Even if you have never programmed: put your own line in place of the three dots
# below, `score >= threshold` or `score > threshold`, and run the cell until it says "Right".


# %%
def flagged(score, threshold):
    """Report whether a score counts as flagged: True or False."""
    return ...


print(tasks.check(flagged, [((0.8, 0.5), True), ((0.5, 0.5), True), ((0.2, 0.5), False)]))

# %% [markdown]
# <details><summary>Answer</summary>
#
# `return score >= threshold`: at or above the threshold.
#
# </details>
#
# Do they agree? If not, which one would you believe, and why? The same frame, the same nodule, and
# nine answers: the rest of the course is about what to make of them.
#
# Where did each network look? A **[heatmap][heatmap]** (chapter 6) colours the places that, by a
# calculation, raised the score. We draw one for one head of each network:
#
# [heatmap]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#heatmap

# %%
seen = [one for one in answer.predictions if one.heatmap is not None]

# %% cellView="form"
# @title Draw what each network's score leaned on { display-mode: "form" }
figure, row = plt.subplots(1, len(seen), figsize=(4.3 * len(seen), 4.2), layout="constrained")
for axes, one in zip(row, seen, strict=True):
    title = f"{engine.title(one.model)}, {one.head}: {one.score:.2f}"
    show.frame(axes, frame, title, patient.mask, patient.spacing_mm, one.heatmap)
    axes.label_outer()
figure.suptitle("One frame: what each network's score leaned on")
show.picture(figure)

# %% [markdown]
# *What to see:* whether the glow lies inside the line, and whether the networks agree on the place.
# A map may be nearly dark: then what spoke *against* malignant was stronger. A score can be right
# for a wrong reason, and a heatmap can look convincing and mean nothing: chapter 6 measures it.
#
# Change the words in quotes after `CASE =` to another of these, and run the cells from there again:

# %%
print(*[*phantom.EXAMPLES, *phantom.PITFALLS], sep="\n")

# %% [markdown]
# ## How good are these networks?
#
# Their makers' answer is in each **[model card][model-card]**, a page that comes with a network.
# The **[AUROC][auroc]** is the chance that a malignant frame, taken at random, gets a higher score
# than a benign one: 0.5 is a coin, 1 is perfect. The brackets hold a 95 %
# [interval][confidence-interval], the range in which the number plausibly lies for patients like
# these. Both come from real frames, scored **[out of fold][out-of-fold]**: by a head that had not
# learned from that patient (as far as the sets say who is who). The last line is a
# **[control][control]**, something that cannot know what we hope the network knows: a "classifier"
# that sees nothing but the width and height of the file.
#
# *Before you run it:* where is the control, at 0.5 or above?
#
# [model-card]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#model-card
# [auroc]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#auroc
# [confidence-interval]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#confidence-interval
# [out-of-fold]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#out-of-fold
# [control]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#control

# %%
found = {}
for name in networks:
    manifest = read_manifest(weights_root() / name)
    found[f"{engine.title(name)}, {manifest['primary']}"] = manifest["metrics"]["heads"][
        manifest["primary"]
    ]["auroc"]
found["size of the image only"] = manifest["metrics"]["heads"]["image size only"]["auroc"]
counted = manifest["metrics"]
where = f"{counted['n']} real frames in {counted['groups']} groups of patients and near duplicates"
display(Markdown(f"Out of fold, {where}."))

# %% cellView="form"
# @title Draw how good the networks are { display-mode: "form" }
show.picture(
    show.intervals(found, "The shipped networks, and a control", "AUROC (0–1; 0.5 is a coin)")
)

# %% [markdown]
# *What to see:* the dashed line is the coin. How far are the networks from it, and how far
# is the control? A classifier that never saw the picture is better than a coin: in these data the
# *[source][source]* of an image (the place it comes from) goes along with its **class** (benign or
# malignant), and sources store files of different sizes. Chapter 5 takes that apart.
#
# ## In Colab or on your own computer?
#
# **Colab** runs everything on a computer of Google's, in the browser, on a phone if need be; you
# need a Google account. Files vanish when the session ends, unless you save them to your Drive:
# write (Colab asks for your permission once)
#
# ```python
# OUT = "drive:thyrodemo"
# ```
#
# A graphics card (*Runtime → Change runtime type*) makes training quicker and is used by itself
# when it is there.
#
# **Your own computer** needs Python 3.11 to 3.13 and about 4 GB of disk. The README, the text on
# the project's home page, says how to open a terminal (a window in which one types commands) and
# which line to paste: it installs and opens the app. No image leaves the computer. Stop the app
# with *Ctrl + C*, stay in the same folder, and paste this to open the course in your browser:
#
# ```bash
# .venv/bin/pip install jupyterlab && .venv/bin/jupyter lab notebooks
# ```
#
# On Windows, one line after the other:
#
# ```powershell
# .venv\Scripts\python -m pip install jupyterlab
# .venv\Scripts\python -m jupyter lab notebooks
# ```
#
# ## The images
#
# With `DATA = ""` every chapter draws phantoms: no download, no licence, no patient. They teach the
# method; they prove nothing about patients. For real images, `DATA` may be
#
# - `"p1"`: the thyroid set of P1, the thesis this project grew from, is copied from its public home
#   (by the program git, which checks every file against its fingerprint), or used if it is there;
#   so are the other sets of the table below, by their key;
# - a folder on this computer, with one set as its home publishes it, or with several by name
#   (`thyroid_us` or `p1`, `ddti`, `radiographs`, `busi`, `mini_mias`);
# - `"drive:FOLDER"`: such a folder of your Google Drive, in Colab;
# - several of these, with a colon between them (on Windows a semicolon): `"p1:busi:drive:sets"`.
#
# What is there to be had, and under which terms:
#
# [source]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#source

# %%
pd.DataFrame(
    {
        "key": key,
        "set": known.title,
        "size": known.size,
        "terms, as its home states them": known.licence,
        "home": known.home,
        "found here": "yes" if lesson.find(key) is not None else "no",
    }
    for key, known in SETS.items()
).set_index("key")

# %% [markdown]
# **"Public" is not "free".** Most of these sets may be studied, not passed on; some state no terms
# at all, which in most countries means: all rights reserved. No image of theirs is part of this
# project, and no picture that shows one should leave your computer.
#
# ### Four traps, all real
#
# Counted in the 638 frames of the P1 set that this project was made with (the set holds 795). In a
# terminal, `python -m thyro_demo data check FOLDER` counts classes, sources and near duplicates in
# yours.
#
# 1. **The source predicts the class.** Of the frames from one public archive (DDTI) 88 % are
#    labelled malignant, of the frames of 300 × 225 pixels 56 %, of the rest 46 %. Whoever learns to
#    tell archives apart looks clever.
# 2. **The answer is printed on the image.** 49 of the 244 DDTI frames show a grade such as
#    "TIRADS 2 (4A)" (see [TI-RADS][ti-rads]). Everything here crops to the [scan area][scan-area]
#    first.
# 3. **Copies.** A set is published in two parts, one to learn from (train), one to be asked about
#    (test). Five images are in both.
# 4. **The labels are opinions.** Many are a doctor's grade, not what a needle or surgery found.
#    Another doctor may grade the same frame otherwise.
#
# ### What may never be uploaded
#
# - **A patient's image to a public link**, even "without the name": names hide in the pixels
#   (printed text), in the notes that a file carries besides its pixels (**metadata**, in formats
#   such as DICOM and EXIF), in the file name, and in the combination of hospital, date and age.
# - **A patient's image to Colab or Drive**: that is another company's computer, perhaps in another
#   country. Your hospital's data protection officer decides, not you, and not this course.
# - **A student's own scan** in class: a finding by chance would be nobody's to handle.
#
# Use phantoms, or sets that were published for this, under their terms.
#
# ## Exercises
#
# **1.** Run the first look on the case "No nodule". What do the networks say, and what should they?
#
# <details><summary>Answer</summary>
#
# The heads give scores, as always: with two classes they have no word for "nothing here". The
# networks have one more output, a map of where they see a nodule, and the first line says by it
# that they found none. Does each of them say so on "Autoimmune gland, no nodule" too?
#
# </details>
#
# **2.** Which of the nine heads would you choose after seeing one frame? After a hundred?
#
# <details><summary>Answer</summary>
#
# After one: none; one frame says next to nothing about how often a head is right. After a hundred,
# perhaps the one with the best number, if the difference to the others, frame by frame on the same
# patients, is larger than chance explains (chapter 5). Quote its number from *other* frames then:
# choosing the best and quoting it from the same hundred frames flatters it.
#
# </details>
#
# **3.** A friend sends you ultrasound frames of her clinic, "anonymised": the name was covered with
# a black bar in a slide program. Name three ways in which they may still name the patient.
#
# <details><summary>Answer</summary>
#
# The bar may lie in a layer above the untouched image; the file's metadata may hold name and date
# of birth; file names, dates and the printed name of the hospital may identify her together.
#
# </details>
#
# [ti-rads]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#ti-rads
# [scan-area]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#scan-area

# %% [markdown]
# ## Quiz
#
# **1.** What does a model score of 0.8 mean?
#
# <details><summary>Answer</summary>
#
# That, to this network and head, the frame resembles those labelled malignant in training more than
# those labelled benign. It is not the probability that this patient has cancer: that depends on how
# frequent cancer is among the patients asked about, and on what the labels are worth.
#
# </details>
#
# **2.** Why do we draw phantoms?
#
# <details><summary>Answer</summary>
#
# They belong to nobody, may be shown to anyone, and we know the truth about them: features,
# outline, label.
#
# </details>
#
# **3.** A control that sees only the size of the file is better than a coin. Is that good news?
#
# <details><summary>Answer</summary>
#
# No. It means that size tells the source and the source tells the class, so that a network may win
# without looking at a nodule.
#
# </details>
#
# **4.** A set on the internet states no licence. What may you do with it?
#
# <details><summary>Answer</summary>
#
# Without a licence assume that all rights are reserved. Study it for yourself where your law allows
# that; do not pass it on.
#
# </details>
#
# **5.** May you try the app's public link on a frame from your hospital?
#
# <details><summary>Answer</summary>
#
# No. Run on your own computer without a public link, the app sends no image anywhere; even there
# your hospital's rules decide.
#
# </details>

# %% [markdown]
# ## What this chapter claims, checked

# %%
# Each network answered with three heads, and each head was held to its own threshold.
assert len(answer.predictions) == 3 * len(networks)
assert all(one.positive == (one.score >= one.threshold) for one in answer.predictions)
assert {one.model for one in seen} == set(networks)
# The control is better than a coin, which is the trap that the text describes.
control = found["size of the image only"]
assert control["low"] > 0.5
assert all(one["low"] <= one["value"] <= one["high"] for one in found.values())
# Every set names its home and its terms.
assert all(known.home.startswith("http") and known.licence for known in SETS.values())
print("All claims hold.")
