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
# # Chapter 7. Ship it
#
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/ThyroDemo/ThyroDemo/blob/main/notebooks/07_ship_it.ipynb
#
# **For teaching and research only. Nothing here is a medical device, and no score is a diagnosis.**
#
# After this chapter you can
#
# 1. say what a bundle holds, save one, load it again, and read what a damaged one says;
# 2. read a model card, and find what it admits and what it leaves out;
# 3. say how a program notices an image that it should not judge, and where that check ends;
# 4. take what identifies a person out of an image file, and say what stays in;
# 5. open the app in Colab, share it with a class, and link to single cases;
# 6. say on one page what the law calls a medical device, and what else has to be answered first.
#
# You need no data and no graphics card, and nothing in this chapter trains.

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
DATA = "" if FAST else os.environ.get("THYRO_DATA", "")
OUT = "runs/course"

# %%
import hashlib
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes to its own developers
warnings.filterwarnings("ignore", message="IProgress not found")  # plain progress bars will do

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from PIL import Image

from thyro_demo.bundle import store
from thyro_demo.course import shipping, show, tasks
from thyro_demo.course.lecture import CASES, link
from thyro_demo.course.lesson import begin
from thyro_demo.data import datasets, images, phantom, scan_area
from thyro_demo.data.phantom import chest_film
from thyro_demo.engine import Engine
from thyro_demo.errors import BundleError
from thyro_demo.ui.build import build_ui
from thyro_demo.ui.examples import draw_chart
from thyro_demo.ui.launch import launch

SHOWN = "Lobulated margin, punctate foci"
lesson = begin(7, FAST, SEED, DATA, OUT)

# %% [markdown]
# ## 1. What you ship: a bundle
#
# A **network** turns a **frame**, an ultrasound image of a lump in the thyroid gland (a
# **nodule**), into numbers, its **features**; **heads** turn these into **scores** between 0 and 1;
# the nearer to 1, the more the frame resembles those labelled malignant (cancer) in training. A
# score at or above a **threshold** counts as "flagged", which is no diagnosis (chapters 2 to 5).
# What training leaves of all that is no program but files of numbers. Without heads, thresholds and
# the size of image that it expects, nobody can use a network; without knowing what it learned from,
# nobody should. A **bundle** is a folder that keeps all of that together. We take the one that
# chapter 4 has left, or else a network that comes with this project. (In Colab each notebook runs
# on a computer of its own, where no other chapter has left anything.)

# %%
folder = lesson.bundle("heads", "efficientnet-b0")
print("Bundle:", folder.name)
shipping.contents(folder)

# %% [markdown]
# - `model.keras`: the network; plain Keras opens it, if it is no older than the one that saved it.
# - `heads.skops`: support vector machine and forest of decision trees (chapter 4). Not a *pickle*,
#   the usual way in Python to store an object: opening a pickle can run any program that its author
#   hid in it. The format skops stores arrays and names, and only names that we trust are opened.
# - `README.md`: the **model card**, for people.
# - `manifest.json`: the same for programs. A few of its lines:


# %%
def rounded(numbers):
    """Shorten numbers for reading."""
    return {name: round(number, 3) for name, number in numbers.items()}


loaded = store.load(folder)
facts = loaded.manifest
lines = {
    "classes": facts["classes"],
    "input size (pixels)": facts["input_size"],
    "heads": facts["heads"],
    "primary head, named before testing": facts["primary"],
    "thresholds of the primary head": rounded(facts["thresholds"][facts["primary"]]),
    "training images, as hashes": len(facts["training_images"]),
    "scores of a fixed probe": rounded(facts["probe"]),
    "made with": facts["versions"],
}
pd.set_option("display.max_colwidth", None)  # whole sentences, please
pd.DataFrame({"what": lines.keys(), "content": [str(value) for value in lines.values()]})

# %% [markdown]
# Three of these lines are safeguards:
#
# - a **hash** (SHA-256) is a fingerprint of a file: change one bit and it is another. The manifest
#   holds one of each file, and of each training image, so that an image the network has learned
#   from is recognised later without passing it on;
# - the **probe** is one made-up input with the scores it got when the bundle was saved. If another
#   version of a library computes something else, loading says so;
# - the **primary head** was named before any test, so that nobody can pick the luckiest afterwards.
#
# **Your turn.** `hashlib.sha256(content).hexdigest()` is the fingerprint of some bytes. Put your
# own line in place of the three dots, and run the cell until it says "Right".


# %%
def unchanged(content, known):
    """Report whether some bytes still have the fingerprint `known`: True or False."""
    return ...


KNOWN = hashlib.sha256(b"weights").hexdigest()
print(tasks.check(unchanged, [((b"weights", KNOWN), True), ((b"weightz", KNOWN), False)]))

# %% [markdown]
# <details><summary>Answer</summary>
#
# `return hashlib.sha256(content).hexdigest() == known`
#
# </details>
#
# Saving and loading must change nothing. Try it on a **phantom**, a frame drawn by the physics of
# ultrasound (chapter 1):

# %%
mine = shipping.save_again(loaded, lesson.here / "bundles" / "my-bundle", "My first bundle")
patient = phantom.draw(phantom.example(SHOWN).features, size_mm=18, seed=70 + SEED)
square, _ = scan_area.prepare(patient.rgb, loaded.input_size)
first, second = (one.scores(one.forward(square[None])) for one in (loaded, store.load(mine)))
gap = max(abs(first[head] - second[head]).max() for head in first)
print("Saved as", mine.name, "with the heads", ", ".join(second))
print(f"Largest change of a score by saving and loading: {gap:.1e}")

# %% [markdown]
# Now break it. We copy the bundle, harm the copy in four ways, and try to load it. A program that
# goes on with a damaged network gives scores that look like any others; so every one of these has
# to end in a refusal:

# %%
refusals = shipping.damages(mine, lesson.here / "damaged")
for harm, message in refusals.items():
    print(f"{harm}:\n    {message or 'NOTICED NOTHING'}\n")

# %% [markdown]
# Each message says what should be and what was received.
#
# ## 2. The model card, read aloud
#
# A **model card** (Mitchell et al., FAT* 2019) is the leaflet in the package. Ours are written by
# the program that trained the model, from the numbers it measured, so that no good figure is typed
# by hand. Its parts:

# %%
card = (folder / "README.md").read_text(encoding="utf-8")
parts = shipping.sections(card)
for heading, text in parts.items():
    print(f"{heading}: {len(text.split())} words")

# %%
for heading in ("What it is", "Where it fails"):
    display(Markdown(f"### {heading}\n\n{parts[heading]}"))

# %% [markdown]
# In the table of stages, "Images" are those of the set that the stage is named after, and
# "Phantoms" are drawn frames *besides* them, not a part of them. Now read "Where it fails" aloud,
# slowly. Which of these failures could you have found from a figure such as "[AUROC][auroc] 0.85"?
#
# Two guidelines list what a report of a model has to say: **TRIPOD+AI** (Collins et al., BMJ 2024,
# for every prediction model) and **CLAIM** (Tejani et al., Radiology: Artificial Intelligence 2024,
# for imaging). Our cards answer item by item, and say so where the answer is "no":
#
# [auroc]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#auroc

# %%
items = shipping.checklist(card)
counts = items.groupby("guideline")["state"].value_counts().unstack(fill_value=0)
counts = counts.reindex(columns=list(shipping.STATES), fill_value=0)

# %% cellView="form"
# @title Draw what the model card answers { display-mode: "form" }
figure, axes = plt.subplots(figsize=(8.5, 2.8), layout="constrained")
left = np.zeros(len(counts))
for state, colour in zip(counts, (show.GREEN, show.BLUE, show.ORANGE, show.GREY), strict=True):
    axes.barh(counts.index, counts[state], left=left, color=colour, label=state)
    left = left + counts[state].to_numpy()
axes.set(title=f"What the card of {folder.name} answers", xlabel="Items", ylabel="Guideline")
figure.legend(loc="outside lower center", ncols=4)
show.picture(figure)

# %% [markdown]
# *What to see:* the orange part. A card without any would be suspicious: hardly anybody does
# everything. These are the items that were not done at all:

# %%
items.loc[items["state"] == "not done", ["guideline", "item", "asked", "answer"]]

# %% [markdown]
# Look for what a clinic would ask first: who the patients were, who set the labels, whether the
# model was tried anywhere else. A card cannot mend what the data lack; it can keep you from
# overlooking it.
#
# ## 3. Images that it should not judge
#
# A network answers whatever it is shown: a cat gets a score, and may be flagged. A guard comes
# before the answer: it measures how far the features of an image lie from those of the training
# images (a **distance** that counts unusual directions more), and compares with the distance that
# only 1 in 100 training images exceed; beyond it a frame is [out of
# distribution][out-of-distribution]. The number under each name below is the one divided by the
# other. Above 1, the app says first that the scores mean little.
#
# *Before you run it:* which of these images will pass?
#
# [out-of-distribution]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#out-of-distribution

# %%
known = phantom.example(SHOWN)
shown = {
    "a phantom": known.rgb,
    "a test chart": draw_chart(),
    "a drawn chest film": np.dstack([chest_film.draw(np.random.default_rng(SEED), 360, False)] * 3),
    "noise": np.random.default_rng(SEED).integers(0, 256, (300, 400, 3)).astype(np.uint8),
}
films = lesson.find("paediatric") or lesson.find("covid")
if films is not None:
    shown["a real chest film"] = images.decode(datasets.load(films)["path"].iloc[SEED])
far = {name: shipping.ood_score(loaded, frame) for name, frame in shown.items()}

# %% cellView="form"
# @title Draw what the guard says of strange images { display-mode: "form" }
figure, axes = plt.subplots(1, len(shown), figsize=(13, 3.4), layout="constrained")
for place, (name, frame) in zip(axes, shown.items(), strict=True):
    verdict = "announced" if far[name] > 1 else "passes"
    place.imshow(frame)
    place.set_title(f"{name}\n{far[name]:.2f}: {verdict}", fontsize=11)
    place.set_axis_off()
figure.suptitle("Distance from the training images; above 1 the app says so first")
show.picture(figure)

# %% [markdown]
# *What to see:* the number under each name. What lies above 1 is announced, and what stays below
# passes, *whatever it is*. The guard knows what is unusual, not what is wrong: look for an image in
# this row that you would have stopped and it did not, or the other way round.
#
# One image of a kind is no measurement. How often does it speak up where it should be silent, on
# phantoms of new patients? And, with real data, where it should speak up, on chest films?

# %%
COUNT = 8 if FAST else 40
new = phantom.cohort(COUNT, frames_per_patient=1, seed=600 + SEED)
flagged = {"new phantoms": shipping.share_out_of_distribution(loaded, (one.rgb for one in new))}
if films is not None:
    radiographs = datasets.load(films).drop_duplicates("group").sample(COUNT, random_state=SEED)
    decoded = map(images.decode, radiographs["path"])
    flagged["chest films"] = shipping.share_out_of_distribution(loaded, decoded)
title = f"How often the guard speaks up: {COUNT} frames each, one a patient"
scale = "Share announced as unlike the training images (0–1), 95 % interval"

# %% cellView="form"
# @title Draw how often the guard speaks up { display-mode: "form" }
figure = show.intervals(flagged, title, scale, None)
figure.axes[0].set_xlim(-0.02, 1.02)
show.picture(figure)

# %% [markdown]
# *What to see:* on phantoms the dot belongs far left, on films (where there are any) far right.
# Where it lies elsewhere, an image of the wrong kind can pass: the sentence is a help and no
# safeguard.
#
# From the app's side, all that it says of the chart:

# %%
engine = Engine()
engine.add(loaded)
answer = engine.compare(draw_chart(), names=[loaded.name], maps=())
print("First:", *answer.notices or ["(no notice)"])
print("Then: ", {one.head: round(one.score, 2) for one in answer.predictions})

# %% [markdown]
# ## 4. Privacy: what an image file knows
#
# A medical image of a person's neck is **health data**, in the European Union a special category
# that must not be processed without a reason that the law names (article 9 of the data protection
# regulation, GDPR). Two things in a file betray who it was: what is written *beside* the pixels,
# and what is written *on* them. We make a file with both, of a patient who does not exist:

# %%
scanner = phantom.ScannerFrame()
scan = phantom.draw(patient.features, size_mm=15, seed=71 + SEED, scanner=scanner)
frame = shipping.with_name(scan.rgb, "DOE, JANE  *1970-01-01  ID 0815")
beside = Image.Exif()
beside[0x010E], beside[0x0132] = "DOE^JANE", "2024:02:29 11:30:00"
private = lesson.here / "private.jpg"
Image.fromarray(frame).save(private, exif=beside)
clean = shipping.strip_metadata(private, lesson.here / "stripped.png")
for file in (private, clean):
    print(f"{file.name}: beside the pixels {dict(Image.open(file).getexif()) or 'nothing'}")

# %%
stripped = images.decode(clean)
box = scan_area.find(stripped)

# %% cellView="form"
# @title Draw the frame without its name { display-mode: "form" }
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
show.frame(axes[0], stripped, "Stripped of what was beside the pixels")
show.frame(axes[1], scan_area.crop(stripped, box), "Cropped to the scan area")
figure.suptitle("The name was on the pixels as well (an invented one)")
show.picture(figure)

# %% [markdown]
# *What to see:* on the left the name is still there: stripping a file does not touch its pixels. On
# the right, cropped to the **scan area**, the part that shows tissue, it is gone with the margin.
# Some scanners write *inside* the scan, where no crop helps; clinical files (**DICOM**) hold dozens
# of further fields. And a rare finding with a date can identify a person without any name. An image
# is **anonymous** only if nobody can find the person again by means reasonably likely to be used
# (GDPR, recital 26); a code in place of the name, with the key kept apart, makes it
# **pseudonymous** (article 4), and that is still personal data for all who have the key or could
# get at it. In the United States, the health privacy law HIPAA knows two ways: remove 18 listed
# kinds of identifiers, or have an expert determine that the risk is very small (45 CFR 164.514).
#
# What this app does: no upload is logged; temporary files go within ten minutes and at exit; what
# is outside the scan area never reaches a network. It can't know what you have a right to upload.
#
# ## 5. Open the app
#
# In Colab the page appears right under the next cell; on your own computer its address is printed.
# Your bundle is beside the shipped networks. (In a quick run the app is built, not opened:
# nobody is there to look at it.)

# %%
app = build_ui(engine) if FAST else launch(engine, prevent_thread_lock=True)

# %% [markdown]
# ### Share it with a class
#
# ```python
# app.close()
# app = launch(engine, share=True, auth=("class", "choose-a-password"), prevent_thread_lock=True)
# ```
#
# Put these two lines into a cell of your own. `share=True` asks Gradio, the library the page is
# made with, for a public address. What it means:
#
# - your computer, or the Colab host, does the computing; the address leads to it through a
#   **tunnel** over somebody else's server, and lasts as long as this notebook runs, a week at most;
# - whoever knows the address can reach the page; `auth` asks them for a name and a password, the
#   same for all, sent by you in some other way than the link;
# - what a visitor uploads goes through that tunnel to you. So: **never a patient's image**, not
#   even one that seems anonymous. Phantoms and public frames do for every exercise.
#
# ### The same case for everyone
#
# The lecture set is a list of drawn cases that never changes. Each has an address of its own: send
# the link, and the page opens on this frame. If no app is running, the links point to where it
# would be. An address that begins with `http://127.0.0.1` works on the computer that runs the app
# and on no other, so from Colab, or for a class, share the app first and run the next cell again.

# %%
running = getattr(app, "share_url", None) or getattr(app, "local_url", None)
base = running or "http://127.0.0.1:7860"
lecture = pd.DataFrame(
    {"link": link(base, case), "ask": case.question, "drawn as": case.label} for case in CASES
)
display(Markdown("\n".join(f"- <{address}>" for address in lecture["link"])))
lecture[["ask", "drawn as"]]

# %% [markdown]
# Run `app.close()` to stop it.
#
# ## 6. Ethics and regulation on one page
#
# *A map for students, not legal advice. Laws change, and the text at the link counts.*
#
# **When is software a medical device?** In the European Union, when its maker *intends* it for a
# medical purpose: diagnosis, prevention, monitoring, prediction, prognosis, treatment ([EU MDR
# 2017/745][mdr], article 2). The same file of numbers is a toy in a lecture and a device on a ward.
# "For research only" in small print does not help those who advertise it for diagnosis.
#
# For a program that grades nodules in a clinic:
#
# - **[EU MDR][mdr], annex VIII, rule 11**: (classes run from I, the lowest risk, to III) software
#   that informs diagnostic or therapeutic decisions is class IIa; IIb where such a decision may
#   cost serious harm or an operation, III where it may cost irreversible harm or death. So IIa at
#   least, and an independent body (a *notified body*) checks it before it is sold.
# - **[EU AI Act 2024/1689][aia], article 6**: AI that is such a product, or its safety part, *and*
#   needs that independent check, is **high-risk**: risk management, quality of data, records, human
#   oversight, accuracy and robustness (articles 9–15).
# - **[IMDRF][imdrf]**, whose words the FDA uses: *software as a medical device* (SaMD) has a
#   medical purpose and serves it without being part of a hardware device. This is one. (The IMDRF
#   is a forum of regulators; the FDA is that of the United States.)
# - **[US law, section 520(o), as the FDA reads it][cds]**: some decision support is exempt, but not
#   software that analyses a medical image. As a rule the FDA has to let it onto the market first.
# - **[GDPR][gdpr], articles 4 and 9**: health data need a ground that the law names, such as
#   explicit consent, for training as for use.
#
# Research on the way there has rules too: an **ethics committee**, **consent** or a legal ground in
# its place, and for early trials on patients a guideline ([DECIDE-AI][decide]).
#
# **Bias.** A model is as fair as its images. Networks for chest films missed more findings in
# women, in Black and in poorer patients ([Seyyed-Kalantari et al., 2021][seyyed]); trained with few
# women, they grew worse on women ([Larrazabal et al., 2020][larrazabal]); an algorithm that took
# costs for illness passed over sicker Black patients ([Obermeyer et al., 2019][obermeyer]). Our
# frames come without age, sex or origin: nobody can even check.
#
# **People and scores.** When a supposed AI suggested wrong categories, radiologists of all levels
# of experience read mammograms (breast films) worse, beginners most ([Dratsch et al.,
# 2023][dratsch]). Leaning on a machine against one's own eyes is called **[automation
# bias][automation-bias]** ([Goddard et al., 2012][goddard]). Heatmaps do not cure it: with
# explanations at hand, radiologists still followed wrong suggestions ([Rezazade Mehrizi et al.,
# 2023][rezazade]). So *model and reader together* have to be tested, not the model alone; and it is
# wise to decide first and look at the score second.
#
# **Before anybody uses it,** write down: who it is for and who it is not for; what happens if it is
# wrong in either direction; who watches how it does next year, on next year's scanner; who may
# switch it off; whom a patient can ask.
#
# [mdr]: https://eur-lex.europa.eu/eli/reg/2017/745/oj
# [aia]: https://eur-lex.europa.eu/eli/reg/2024/1689/oj
# [gdpr]: https://eur-lex.europa.eu/eli/reg/2016/679/oj
# [imdrf]: https://www.imdrf.org/documents/software-medical-device-samd-key-definitions
# [cds]: https://www.fda.gov/regulatory-information/search-fda-guidance-documents/clinical-decision-support-software
# [decide]: https://doi.org/10.1038/s41591-022-01772-9
# [seyyed]: https://doi.org/10.1038/s41591-021-01595-0
# [larrazabal]: https://doi.org/10.1073/pnas.1919012117
# [obermeyer]: https://doi.org/10.1126/science.aax2342
# [dratsch]: https://doi.org/10.1148/radiol.222176
# [goddard]: https://doi.org/10.1136/amiajnl-2011-000089
# [rezazade]: https://doi.org/10.1038/s41598-023-36435-3
#
# ## Exercises
#
# **1.** Load your bundle without our package: `import keras`, then
# `keras.saving.load_model(mine / "model.keras")`, and call it on `square[None]`. What does it
# give, and what is missing?
#
# <details><summary>Answer</summary>
#
# Two things, in a list: the probabilities of the two classes, those of the softmax head, and the
# nodule map, cells from 0 to 1. No SVM, no forest, no threshold, no guard, and nobody has cropped
# the frame for you: `square` was already cut and resized. A network file is the smallest part of a
# product.
#
# </details>
#
# **2.** Find an image of your own (no patient's) that passes the guard of section 3 and should not.
#
# <details><summary>Answer</summary>
#
# Try grey, grainy pictures: asphalt, ultrasound of another organ, a phantom turned upside down.
# Images that pass lie near the training images in the features that this network has. A guard built
# from a network's features is blind where the network is.
#
# </details>
#
# **3.** Write three sentences of a card for a model that sorts the photographs on your phone. Which
# sentence would your friends in the pictures want to read first?
#
# <details><summary>Answer</summary>
#
# Probably not the accuracy, but where the pictures go, whom it knows badly, and how to get out.
#
# </details>
#
# **4.** Your department wants to "just try" the app on last week's patients. Write down what has to
# happen first.
#
# <details><summary>Answer</summary>
#
# It must not happen with this app, which says so on every page. For a model made for it: a legal
# ground or consent, an ethics vote, data protection agreed with the hospital, no public link, a
# protocol that says what is measured and that no score reaches the treating doctor; a comparison
# with what those doctors decide without it; and somebody who answers for it.
#
# </details>
#
# ## Quiz
#
# **1.** Why does a manifest hold the hashes of the training images?
#
# <details><summary>Answer</summary>
#
# So that an image the model has learned from is recognised and reported apart, never counted as a
# test; and that without giving the images away.
#
# </details>
#
# **2.** A bundle loads without an error. Is the model good?
#
# <details><summary>Answer</summary>
#
# It is whole, and computes what it computed when it was saved. How good that was, the card says,
# with intervals, for the images it was measured on.
#
# </details>
#
# **3.** The guard says nothing about an image. May you trust the score?
#
# <details><summary>Answer</summary>
#
# No. Silence means that the features are not unusual. The frame can come from another organ or
# another scanner, or from a patient unlike all others in ways that the network does not see.
#
# </details>
#
# **4.** You publish the code with "not for clinical use", and somebody sells it to clinics as a
# second opinion. Whose device is it?
#
# <details><summary>Answer</summary>
#
# As a rule theirs: the intended purpose makes the device, and they have given it one. They carry
# the duties of a manufacturer, and cannot do so with what your card does not tell.
#
# </details>
#
# **5.** What is automation bias, and which habit protects you best?
#
# <details><summary>Answer</summary>
#
# Following a machine against what one sees or knows. Decide first, write it down, then look at the
# score; and ask for the reason whenever the two differ, in both directions.
#
# </details>
#
# [automation-bias]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#automation-bias

# %% [markdown]
# ## What this chapter claims, checked

# %%
# Saving and loading changes nothing, and every damage is refused with a sentence.
assert gap < 1e-6
assert set(second) == set(facts["heads"])
assert len(refusals) == 4
assert all("Received:" in message for message in refusals.values())
try:
    store.load(lesson.here / "nowhere")
    refused = False
except BundleError:
    refused = True
assert refused

# %%
# The card has the parts that were read, and admits what was not done.
assert {"What it is", "Data", "How it did", "Where it fails", "Checklists"} <= set(parts)
assert set(items["guideline"]) == {"TRIPOD+AI", "CLAIM"}
assert (items["state"] == "not done").any()
# What is no ultrasound lies further from the training images than what is drawn as such.
assert far["a test chart"] > far["a phantom"]
assert far["a test chart"] > 1
assert answer.notices

# %%
# The name was beside the pixels and on them; both are gone in the end.
assert Image.open(private).getexif()
assert not Image.open(clean).getexif()
assert box.bottom <= frame.shape[0] - 14
# Every case of the lecture has one address of its own, and no two the same.
assert lecture["link"].is_unique
assert lecture["link"].str.startswith(base).all()
print("All claims hold.")
