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
# # Chapter 1. Seeing ultrasound
#
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/ThyroDemo/ThyroDemo/blob/main/notebooks/01_seeing_ultrasound.ipynb
#
# **For teaching and research only. Nothing here is a medical device, and no score is a diagnosis.**
#
# After this chapter you can
#
# 1. say how a picture comes out of echoes, and what each of ten effects does to it;
# 2. tell tissue from what the scanner adds: speckle, shadow, enhancement, gain, printed text;
# 3. name the five features by which a thyroid nodule is graded, and add up its points;
# 4. prepare a **frame** (one ultrasound picture) for a **network** (a program that learns from
#    examples, chapter 2): crop it, cut out a nodule, put its grey values on a scale;
# 5. look through a collection of frames for sources, sizes and near duplicates;
# 6. split patients, not images, into those to learn from and those to test on, and show what goes
#    wrong otherwise.
#
# You need no data and no graphics card. Run the cells from top to bottom with *Shift + Enter*.

# %% [markdown]
# ## Before we start
#
# The next cell installs nothing on your own computer, where the README's one line has installed
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
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes to its own developers
warnings.filterwarnings("ignore", message="IProgress not found")  # plain progress bars will do

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from thyro_demo.clinical import tirads
from thyro_demo.clinical.tirads import Features
from thyro_demo.course import collection, seeing, show
from thyro_demo.course.lesson import begin
from thyro_demo.data import images, near_duplicates, phantom, scan_area, splits
from thyro_demo.data.roi import NODULE_MARGIN, widen
from thyro_demo.errors import LeakError
from thyro_demo.evaluate import baseline, intervals, metrics
from thyro_demo.evaluate.formatting import gain

lesson = begin(1, FAST, SEED, DATA, OUT)

# %% [markdown]
# ## Part 1. Ten pictures of physics
#
# An ultrasound **probe** is a bar of tiny loudspeakers that are microphones as well. It sends a
# very short click of sound into the neck, far too high to hear (some million oscillations a
# second, **megahertz**, MHz), and listens. Every picture below is computed, not painted: the
# same functions draw the frames of the whole course.
#
# ### 1. A pulse and its echoes
#
# Wherever tissue changes, a little of the sound turns back: an **echo**. Here are three borders, 8,
# 9 and 25 mm deep. The thin line is what the microphone hears, the thick one is its **envelope**,
# the strength without the oscillation.

# %%
BORDERS = np.array([8.0, 9.0, 25.0])
short = seeing.listen(BORDERS, np.array([1.0, 0.7, 0.4]))
figure, pair = plt.subplots(1, 2, figsize=(10.5, 3.2), layout="constrained")
for axes, limits, title in zip(
    pair, ((0, 40), (9, 13)), ("One pulse, three echoes", "The first two, closer"), strict=True
):
    axes.plot(short.time_us, short.signal, color=show.GREY, linewidth=0.8, label="what is heard")
    axes.plot(short.time_us, short.envelope, color=show.BLUE, linewidth=2, label="its envelope")
    axes.set(title=title, xlabel="Time since the pulse left (µs)", xlim=limits)
    axes.set(ylabel="Pressure (share of the pulse)")
pair[0].legend()
show.picture(figure)

# %% [markdown]
# *What to see:* three packets, one for each border; the two close ones come close together (on the
# right). A scanner keeps only the envelope: it becomes the brightness of one column of the picture,
# from the skin down. (This is the **B-mode**, B for brightness.)
#
# ### 2. Depth from time
#
# Sound needs time for the way down and back. Who knows its speed can turn time into depth: depth =
# speed × time / 2. Scanners assume 1,540 metres a second. In fat sound is slower, in muscle
# quicker.

# %%
figure, axes = plt.subplots(figsize=(8.5, 3.4), layout="constrained")
for (name, speed), colour in zip(
    seeing.SPEEDS.items(), (show.ORANGE, show.BLUE, show.GREEN), strict=True
):
    label = f"{name}: {1000 * speed:,.0f} m/s"
    axes.plot(short.time_us, speed * short.time_us / 2, color=colour, label=label)
for depth in BORDERS:
    axes.axhline(depth, color=show.GREY, linewidth=0.8, linestyle="--")
axes.set(title="The same time is another depth in another tissue", xlabel="Time of the echo (µs)")
axes.set(ylabel="Depth (mm)", xlim=(0, 40), ylim=(32, 0))
axes.legend()
show.picture(figure)
arrival = 2 * BORDERS[-1] / seeing.SPEEDS["fat"]
drawn_at = seeing.SPEED * arrival / 2
print(f"A border under {BORDERS[-1]:.0f} mm of pure fat is drawn at {drawn_at:.1f} mm.")

# %% [markdown]
# *What to see:* the lines part as time goes on; the dashed lines are the three borders. The scanner
# reads all times on the blue line, so that what lies behind fat is drawn too deep: by a few per
# cent if the whole way is fat, by less in a neck, where fat is only a part of it. Millimetres on a
# screen are good, not perfect.
#
# ### 3. Attenuation and gain
#
# Tissue swallows and scatters sound: **[attenuation][attenuation]**. A rule of thumb is half a
# **decibel** (dB) for each centimetre and megahertz, on the way down and again on the way back.
# (Decibels count powers of ten: −10 dB is a tenth of the power, −20 dB a hundredth.) The scanner
# turns up the volume with the time that has passed, the **[gain][gain]** over depth (on the knobs:
# TGC, time gain compensation). We send sound into a block of the same tissue everywhere.
#
# [attenuation]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#attenuation
# [gain]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#gain

# %%
DEPTH, WIDE = (400, 160) if FAST else (400, 240)
TISSUE = np.zeros((DEPTH, WIDE), np.float32)  # 0 dB everywhere: normal thyroid
SLOPE = seeing.loss(7.5)
cases = {
    "7.5 MHz, no gain": seeing.insonate(TISSUE, SLOPE, seed=SEED),
    "7.5 MHz, gain": seeing.insonate(TISSUE, SLOPE, SLOPE, seed=SEED),
    "15 MHz, gain": seeing.insonate(TISSUE, 2 * SLOPE, 2 * SLOPE, seed=SEED),
}
figure, row = plt.subplots(1, 4, figsize=(11, 4.4), layout="constrained")
for axes, (name, power) in zip(row, cases.items(), strict=False):
    show.frame(axes, seeing.grey(power), name, spacing_mm=seeing.SPACING_MM)
millimetres = (np.arange(DEPTH) + 0.5) * seeing.SPACING_MM
for (name, power), colour in zip(cases.items(), (show.GREY, show.BLUE, show.ORANGE), strict=True):
    row[3].plot(seeing.decibels(power), millimetres, color=colour, label=name)
row[3].set(title="Mean of each depth", xlabel="Level (dB)", ylabel="Depth (mm)")
row[3].invert_yaxis()
row[3].legend(fontsize=9)
show.picture(figure)

# %% [markdown]
# *What to see:* without gain the block grows darker with depth, though the tissue is the same. With
# gain it is evenly bright. On the right, "level" is the mean strength of the echoes at each depth.
# At twice the frequency the echoes from deep down are weaker than the noise of the electronics, and
# gain then lifts the noise: that grain at the bottom knows nothing of the tissue. This is why deep
# organs are scanned with low frequencies, and the thyroid, which lies just under the skin and
# muscle, with high ones.
#
# ### 4. The point-spread function
#
# What does a single point look like, far smaller than anything the probe can resolve? Not like a
# point. Its blot is the **[point-spread function][point-spread-function]** of the scanner: short
# along the beam (the length of the pulse), longer across it (the width of the beam).
#
# [point-spread-function]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#point-spread-function

# %%
FINE = 0.05
AT = np.array([[5.0, 3.0], [15.0, 3.0], [25.0, 3.0], [35.0, 3.0]])
blots = seeing.points(AT, (40.0, 6.0), FINE)
across_mm = [seeing.width(blots[int(depth / FINE)], FINE) for depth, _ in AT]
along = [
    seeing.width(blots[int((depth - 2) / FINE) : int((depth + 2) / FINE), int(3 / FINE)], FINE)
    for depth, _ in AT
]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
left.imshow(blots / blots.max(), cmap="gray", extent=(0, 6, 40, 0), aspect=0.3)
left.set(title="Four points", xlabel="Across (mm)", ylabel="Depth (mm)")
right.plot(AT[:, 0], across_mm, "o-", color=show.BLUE, label="across the beam")
right.plot(AT[:, 0], along, "s-", color=show.ORANGE, label="along the beam")
right.set(title="How wide each blot is", xlabel="Depth of the point (mm)")
right.set(ylabel="Width at half height (mm)", ylim=(0, None))
right.legend()
show.picture(figure)

# %% [markdown]
# *What to see:* the blots grow wider with depth, across the beam and not along it. (On the left,
# depth is squeezed so that all four fit. A real beam is narrowest at the depth it is focused on;
# ours is focused everywhere, as well as a probe of this size can.) Everything a scanner draws is
# made of such blots.
#
# ### 5. Resolution along and across
#
# Two points nearer to each other than a blot melt into one. How near is too near is the
# **resolution**, and it differs by direction.

# %%
GAPS = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0])
places = [(6.0 + 6.0 * way, 1.5 + 2.5 * n) for way in (0, 1) for n in range(len(GAPS))]
seconds = [(6.0 + gap, 1.5 + 2.5 * n) for n, gap in enumerate(GAPS)]
seconds += [(12.0, 1.5 + 2.5 * n + gap) for n, gap in enumerate(GAPS)]
pairs = seeing.points(np.array(places + seconds), (16.0, 19.0), FINE)
figure, axes = plt.subplots(figsize=(10, 5.6), layout="constrained")
axes.imshow(pairs[int(3 / FINE) :] / pairs.max(), cmap="gray", extent=(0, 19, 16, 3))
axes.set(title="Pairs of points: one below the other (top), side by side (bottom)")
axes.set(xticks=1.5 + 2.5 * np.arange(len(GAPS)), xticklabels=[f"{gap:.1f}" for gap in GAPS])
axes.set(xlabel="True distance of the two points (mm)", ylabel="Depth (mm)")
show.picture(figure)

# %% [markdown]
# *What to see:* go from left to right until two blots part. That happens earlier in the upper row,
# along the beam, than in the lower one. A **calcification** (a grain of calcium) of a tenth of a
# millimetre may be seen, but its size on the screen is that of the blot.
#
# ### 6. Speckle
#
# Tissue is full of scatterers too small to see. Within one blot lie many; their echoes add up or
# cancel by chance. The grain that results is **speckle**. It is not noise of the electronics: scan
# the same tissue from the same place again, and it is the same grain.

# %%
FEW, SOME, MANY = 0.5, 5.0, 200.0
grains = {count: seeing.speckle(count, SEED) for count in (FEW, SOME, MANY)}
figure, row = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
for axes, (count, envelope) in zip(row, grains.items(), strict=False):
    show.frame(axes, seeing.grey(envelope**2), f"{count:g} a mm²", spacing_mm=seeing.SPACING_MM)
strength = np.linspace(0, 3.5, 100)
bins = np.linspace(0, 3.5, 60)
row[3].hist(grains[FEW].ravel(), bins, density=True, color=show.GREY, label=f"{FEW:g} a mm²")
row[3].hist(
    grains[MANY].ravel(), bins, density=True, color=show.BLUE, alpha=0.6, label=f"{MANY:g} a mm²"
)
row[3].plot(strength, seeing.rayleigh(strength), color=show.ORANGE, label="Rayleigh")
row[3].set(title="All pixels", xlabel="Envelope", ylabel="Density", ylim=(0, 1.5))
row[3].legend(fontsize=9)
show.picture(figure)

# %% [markdown]
# *What to see:* few scatterers are single blots; many give the grain of every ultrasound frame. On
# the right, how often each brightness occurs in the first block (grey) and in the third (blue).
# With many scatterers the pixels follow one curve, the **Rayleigh law**, whatever the scatterers
# are. So a single pixel says little; the *mean* level over a region and the *pattern* tell tissues
# apart.
#
# ### 7. Borders between tissues
#
# How much comes back from a smooth border depends on how different the two sides are, in density
# times speed of sound (the **impedance**). Between soft tissues it is about a hundredth of the
# energy or less; at air nearly everything turns back. That is why there is gel between probe and
# skin.

# %%
BORDER = [("soft tissue", other) for other in ("muscle", "fat", "bone", "air")]
shares = [seeing.reflected(*both) for both in BORDER]
line = np.exp(-0.5 * ((millimetres - 10) / 0.15) ** 2)[:, None] * np.ones((1, WIDE), np.float32)
figure, row = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
row[0].barh([other for _, other in BORDER], shares, color=show.BLUE)
row[0].set(title="Energy that turns back", xlabel="Share (1 is all; each step is ten times)")
row[0].set(ylabel="Soft tissue against …", xscale="log", xlim=(1e-4, 2))
for axes, mirror, name in zip(
    row[1:], (3.0, 0.0), ("A smooth border", "A rough border"), strict=True
):
    bordered = seeing.insonate(TISSUE + 14 * line, coherence=mirror * line, seed=SEED)
    show.frame(axes, seeing.grey(bordered)[:200], name, spacing_mm=seeing.SPACING_MM)
show.picture(figure)

# %% [markdown]
# *What to see:* on the left, each tick is ten times the one before; compare soft borders with bone
# and air. In the middle, a smooth border that lies across the beam is an unbroken bright line, as
# the capsule of the gland is; a rough one (right) is a row of speckles. (A smooth border that
# slopes away sends its echo elsewhere, like a mirror, and may not be seen at all.)
#
# ### 8. Acoustic shadowing
#
# Calcium sends much of the sound back and swallows much of the rest. What lies behind is hardly
# lit: an **[acoustic shadow][acoustic-shadowing]**. We put a bright plate of calcium at 10 mm into
# even tissue; nobody draws the shadow.
#
# [acoustic-shadowing]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#acoustic-shadowing

# %%
middle = slice(WIDE // 2 - 20, WIDE // 2 + 20)
plate = np.zeros_like(TISSUE)
plate[100:110, middle] = 1
stone = seeing.insonate(TISSUE + 20 * plate, SLOPE + 25 * plate, SLOPE, seed=SEED)
beside = slice(0, 40)
figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 4.4), layout="constrained")
show.frame(left, seeing.grey(stone), "A plate of calcium", spacing_mm=seeing.SPACING_MM)
right.plot(seeing.decibels(stone[:, middle]), millimetres, color=show.BLUE, label="through it")
right.plot(seeing.decibels(stone[:, beside]), millimetres, color=show.GREY, label="beside it")
right.set(title="Level along the beam", xlabel="Level (dB)", ylabel="Depth (mm)")
right.invert_yaxis()
right.legend()
show.picture(figure)

# %% [markdown]
# *What to see:* from the plate downward a dark band; its edges are those of the plate. The band
# is not tissue, it is missing light. To a doctor it says "calcium above"; a network can learn
# the same.
#
# ### 9. Posterior enhancement
#
# The reverse: fluid swallows almost nothing, but the scanner turns the volume up with depth all the
# same. What lies behind fluid is lit too well: **[posterior enhancement][posterior-enhancement]**.
#
# [posterior-enhancement]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#posterior-enhancement

# %%
bubble = seeing.disc(TISSUE.shape, (13.0, WIDE / 2 * seeing.SPACING_MM), 5.0)
cyst = seeing.insonate(np.where(bubble, -34, 0), np.where(bubble, 0, SLOPE), SLOPE, seed=SEED)
figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 4.4), layout="constrained")
show.frame(left, seeing.grey(cyst), "A bubble of fluid", spacing_mm=seeing.SPACING_MM)
right.plot(seeing.decibels(cyst[:, middle]), millimetres, color=show.BLUE, label="through it")
right.plot(seeing.decibels(cyst[:, beside]), millimetres, color=show.GREY, label="beside it")
right.set(title="Level along the beam", xlabel="Level (dB)", ylabel="Depth (mm)")
right.invert_yaxis()
right.legend()
show.picture(figure)

# %% [markdown]
# *What to see:* the fluid itself is black, and below it hangs a bright veil. Black with a veil
# speaks for fluid (a **[cyst][cyst]**, mostly harmless); black without one asks for a second look,
# for solid tissue can be very dark as well. Shadow and veil are clues, not proofs.
#
# ### 10. Log compression and dynamic range
#
# The strongest echoes have a million times the power of the weakest, or more; a screen has 256
# greys. So the scanner shows the logarithm: each step of grey is so many decibels. The decibels
# from black to white are the **dynamic range**, a knob on the scanner. Here is a dark round nodule
# with a plate of calcium in it.
#
# [cyst]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#cyst

# %%
both = seeing.insonate(np.where(bubble, -8, 0) + 20 * plate, SLOPE + 8 * plate, SLOPE, seed=SEED)
linear = np.clip(np.sqrt(both / both.max()) * 255, 0, 255).astype(np.uint8)
figure, row = plt.subplots(1, 4, figsize=(11, 4.2), layout="constrained")
show.frame(row[0], linear, "No logarithm", spacing_mm=seeing.SPACING_MM)
for axes, reach in zip(row[1:], (30, 60, 90), strict=True):
    show.frame(axes, seeing.grey(both, reach), f"{reach} dB", spacing_mm=seeing.SPACING_MM)
show.picture(figure)

# %% [markdown]
# *What to see:* without the logarithm only the brightest echo is left. With 30 dB the picture is
# hard, black and white; with 90 dB soft, and the nodule pales. The echoes are the same each time:
# contrast and brightness of a frame depend on the person at the knobs as well. A network trained on
# one scanner meets this difference on the next.
#
# ## Part 2. From physics to a nodule
#
# Put all ten together, add a neck, and you have a **phantom**: a frame drawn by the physics of
# ultrasound, in which we decide what is there. No neck was ever under this probe. Phantoms
# stand in for patients wherever real images may not be shown.
#
# The **thyroid** is a gland at the front of the neck, a **nodule** a lump in it. Most are harmless
# (**benign**), a few are cancer (**malignant**). Radiologists describe a nodule by five features
# and add up points. The table is called **ACR TI-RADS** (American College of Radiology, Thyroid
# Imaging Reporting and Data System; Tessler et al. 2017). Its two ends:
#
# | Feature | The question | From harmless … | … to suspicious |
# |---|---|---|---|
# | Composition | fluid or flesh? | cystic (fluid), spongiform (like a sponge): 0 | solid: 2 |
# | Echogenicity | how bright? | anechoic (black, fluid): 0 | very hypoechoic (very dark): 3 |
# | Shape | which axis is longer? | wider than tall: 0 | taller than wide: 3 |
# | Margin | how is the edge? | smooth: 0 | lobulated: 2, growing out of the gland: 3 |
# | Echogenic foci | bright dots? | none, large comet tails: 0 | punctate (pinpoint) foci: 3 |
#
# Between the ends lie 1 and 2 points: mixed composition 1; as bright as the gland (**isoechoic**)
# or brighter 1, darker (**[hypoechoic][echogenicity]**) 2, while "very" means darker than the
# neck's muscles; coarse calcifications 1, a rim of calcium 2. A comet tail is a bright dot with a
# fading streak below it, mostly a sign of harmless colloid. Foci of several kinds add up. A
# spongiform nodule has 0 points, whatever else is seen.
#
# The sum gives a **level**: TR1 (0 points, benign), TR2 (2), TR3 (3), TR4 (4 to 6), TR5 (7 or more,
# highly suspicious); a sum of 1 has no level in the table. We take one nodule and change one
# feature at a time.
#
# [echogenicity]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#echogenicity

# %%
SOLID = "solid or almost completely solid"
FIRST = Features(SOLID, "isoechoic", "wider than tall", "smooth")
CHANGES = {
    "composition": "spongiform",
    "echogenicity": "very hypoechoic",
    "shape": "taller than wide",
    "margin": "lobulated or irregular",
    "foci": ("punctate echogenic foci",),
}
variants = {"first": FIRST} | {
    feature: replace(FIRST, **{feature: value}) for feature, value in CHANGES.items()
}
drawn = {
    name: phantom.draw(features, size_mm=14, seed=5, patient="one neck")
    for name, features in variants.items()
}
figure, grid = plt.subplots(2, 3, figsize=(11, 6.6), layout="constrained")
for axes, (name, one) in zip(grid.flat, drawn.items(), strict=True):
    what = "the first" if name == "first" else f"{name} changed"
    title = f"{what}: {one.points} points, {tirads.level(one.points)}"
    show.frame(axes, one.frame, title, one.mask, one.spacing_mm)
show.picture(figure)

# %% [markdown]
# *What to see:* one neck, with six different nodules. Inside the thin line, after the first: small
# holes (spongiform), very dark, upright, with a wavy edge, with bright pinpoints. Can you tell each
# from the first one without reading the title? The line is the edge of the nodule's **mask**: the
# pixels that we know belong to it, because we drew them. No real frame comes with such certainty.
#
# How the points of one nodule add up:

# %%
ladder = [FIRST]
for feature in ("echogenicity", "shape", "margin", "foci"):
    ladder.append(replace(ladder[-1], **{feature: CHANGES[feature]}))
sums = [tirads.points(features) for features in ladder]
steps = ["solid, isoechoic", "+ very dark", "+ upright", "+ lobulated", "+ pinpoints"]
figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.6), layout="constrained")
left.bar(steps, sums, color=show.BLUE)
for place, total in enumerate(sums):
    left.annotate(f"{total}: {tirads.level(total)}", (place, total), ha="center", va="bottom")
left.set(title="Feature by feature", xlabel="One more feature", ylabel="TI-RADS points")
left.set_ylim(0, max(sums) + 2)
left.tick_params(axis="x", rotation=20)
points = np.arange(15)
chance = np.array([phantom.malignant_probability(count) for count in points])
right.bar(points, chance, color=show.ORANGE)
right.axhline(0.5, color=show.GREY, linewidth=1, linestyle="--")
right.set(title="How often a phantom is labelled malignant", xlabel="TI-RADS points")
right.set(ylabel="Probability (0–1)")
show.picture(figure)

# %% [markdown]
# *What to see:* on the left, a mildly suspicious nodule (TR3) climbs to the highest level in few
# steps. On the right, the rule by which each phantom patient gets a **label**, "benign" or
# "malignant", the answer that a network is to learn: the more points, the more often "malignant".
# At five and six points it is not far from a coin toss (the dashed line). Nobody, human or network,
# can be right about all of these; a model that is, on many patients, has seen the answers. (The
# rule is ours and far steeper than in a clinic, where even a TR5 nodule is often benign.)
#
# What ACR TI-RADS 2017 advises depends on the level and on the longest diameter: to take cells out
# of the nodule with a thin needle (**[fine-needle aspiration][fine-needle-aspiration]**, `fna`), to
# scan it again in later years (`follow-up`), or neither. It is a guideline about whom to sample and
# whom to watch, and no diagnosis: a nodule too small for either can be cancer, and most that are
# sampled are benign. Here is the advice for each level, looked up for the fewest points that reach
# it:
#
# [fine-needle-aspiration]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#fine-needle-aspiration

# %%
LEAST = (0, 2, 3, 4, 7)
DIAMETERS = (4, 9.9, 10, 15, 25)
advice = pd.DataFrame(
    {f"{mm:g} mm": [tirads.recommendation(n, mm).action for n in LEAST] for mm in DIAMETERS},
    index=[tirads.level(n) for n in LEAST],
)
advice

# %% [markdown]
# *What to see:* more is advised from left to right and from top to bottom, and a tenth of a
# millimetre, less than two people measure alike, changes the advice for TR4 and for TR5.
#
# ## Part 3. From a frame to what a network sees
#
# A stored frame is not only ultrasound. Around the scan the scanner prints its name, settings, a
# scale; sometimes a clinic or a date. None of it is tissue, and all of it can betray the answer:
# if one hospital sends most of the cancers, its logo predicts cancer. So the first step is to
# **crop** to the **scan area**. We find it by density: tissue is bright nearly everywhere, text
# is thin strokes on black.

# %%
stored = collection.stored_frames(lesson, 6)
areas = [scan_area.find(frame) for frame in stored]
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
# frame by itself gives all lines the same middle and the same width. The second takes away much of
# what gain and dynamic range did, and with it that a frame is dark as a whole. The published
# networks of this course want the first, with formulas of their own, and it is built into each, so
# nobody can forget it.
#
# ## Part 4. Know your collection
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
# malignant frames differ. Chapter 5 comes back to this; at the end of this one we measure it.
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
# ## Part 5. A split that does not cheat
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
figure, pair = plt.subplots(1, 2, figsize=(11, 3.2), sharey=True, layout="constrained")
for axes, assigned, how in zip(pair, (by_image, by_group), ("image", "group"), strict=True):
    for place, name in enumerate(first, start=1):
        folds = assigned.loc[assigned["group"] == name, "fold"]
        colour = show.ORANGE if folds.nunique() > 1 else show.BLUE
        axes.plot([place] * len(folds), folds, "o-", color=colour)
    torn = len(splits.crossing(assigned["group"], assigned["fold"]))
    axes.set(title=f"Split by {how}: {torn} groups torn apart", ylabel="Fold")
    axes.set(xlabel="Group (first 20 with more than one frame)", xticks=range(1, 21, 3))
pair[0].set_yticks(range(FOLDS))
show.picture(figure)

# %% [markdown]
# *What to see:* on the left, an orange line joins frames of one group that lie in different folds;
# on the right each group is one blue dot, because all its frames lie in the same fold. The package
# refuses to work with a split that tears a group apart:

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
show.picture(show.intervals(figures, title, "AUROC (0–1; the dashed line is a coin)"))

# %% [markdown]
# *What to see:* the distance between the first two rows. It is the same model on the same frames;
# only the split differs, so what the first has more is leak, give or take the luck of the split.
# As a rule the gap is wide where patients have many frames, and narrow where few groups have more
# than one. And compare with the last row: what the size of the file reaches, no one should call
# reading an ultrasound. An interval that crosses the dashed line does not show that a model is
# better than a coin.
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
# **1.** A scanner hears an echo after 39 µs. How deep does it draw it? And how deep is it really,
# when the way led through fat alone?
#
# <details><summary>Answer</summary>
#
# 1.54 mm/µs × 39 µs / 2 = 30.0 mm on the screen; 1.45 × 39 / 2 = 28.3 mm in truth. What lies behind
# fat is drawn too deep.
#
# </details>
#
# **2.** In picture 8, give the plate a loss of 2 instead of 25 dB/mm (in `SLOPE + 25 * plate`). Is
# there still a shadow? What about the tiny bright pinpoints of a nodule, why do they cast none?
#
# <details><summary>Answer</summary>
#
# The plate is 1 mm thick, so the band behind it is 2 dB darker instead of 25: hardly seen in the
# speckle. Pinpoints are narrower than the beam: most of the sound passes beside them.
#
# </details>
#
# **3.** Draw a phantom with exactly 7 points and one with 6. Which level does each have?
#
# <details><summary>Answer</summary>
#
# For example `Features(SOLID, "hypoechoic", "taller than wide", "smooth")` has 2 + 2 + 3 = 7
# points, TR5. With "macrocalcifications" and "wider than tall", and a lobulated margin, it has 2 +
# 2 + 2 + 1 = 7 as well; leave the calcification out for 6, TR4. `tirads.points` and `tirads.level`
# tell, `phantom.draw` draws, as in the cell of the six nodules.
#
# </details>
#
# **4.** The hash finds brighter and smaller copies. Save a frame mirrored left to right, and count
# the answers that differ. Is a mirrored frame a copy?
#
# <details><summary>Answer</summary>
#
# Mirroring changes the sign of every second wave across, so those answers flip, about half of
# the 64, and the hash does not find it. For a split it *is* a copy: same patient, same label.
# Who mirrors frames to have more of them must do so after splitting.
#
# </details>

# %% [markdown]
# ## Quiz
#
# **1.** Why is a region behind a cyst brighter than the tissue beside it?
#
# <details><summary>Answer</summary>
#
# Fluid swallows almost no sound, but the gain over depth is turned up as if it had. The tissue
# there is the same.
#
# </details>
#
# **2.** Which resolution is finer, along the beam or across it, and which one gets worse with
# depth?
#
# <details><summary>Answer</summary>
#
# Along the beam it is finer (a short pulse) and stays the same; across it depends on the width of
# the beam, which grows with depth.
#
# </details>
#
# **3.** Is speckle noise?
#
# <details><summary>Answer</summary>
#
# Not of the electronics. It comes from many scatterers within one blot and is the same when the
# same place is scanned again in the same way. A single pixel says little, but the mean level and
# the pattern differ between tissues.
#
# </details>
#
# **4.** All malignant frames of a set come with a white arrow printed beside the scan. What will a
# network learn, and what helps?
#
# <details><summary>Answer</summary>
#
# Most likely to find the arrow. Cropping to the scan area helps here, for the arrow lies outside.
# Were it inside the scan, one would need other frames.
#
# </details>
#
# **5.** What is a group, and why must it not cross a split?
#
# <details><summary>Answer</summary>
#
# All images of one patient, near duplicates included. On both sides of a split they let a model
# recognise the patient in place of the disease.
#
# </details>

# %% [markdown]
# ## What this chapter claims, checked

# %%
# Echoes arrive after the way down and back, and close borders need a short pulse.
heard = short.time_us[short.envelope.argmax()] * seeing.SPEED / 2
assert abs(heard - BORDERS[0]) < 0.1
# Without gain depth is dark; with the right gain it is as bright as the top.
level = {name: seeing.decibels(power) for name, power in cases.items()}
assert level["7.5 MHz, no gain"][-60:].mean() < level["7.5 MHz, no gain"][:60].mean() - 10
assert abs(level["7.5 MHz, gain"][-60:].mean() - level["7.5 MHz, gain"][20:80].mean()) < 2
# The beam widens with depth, the pulse does not grow longer; along is finer than across.
assert np.all(np.diff(blots.max(axis=1)[[int(d / FINE) for d, _ in AT]]) < 0)
assert max(along) - min(along) < 0.02
assert all(a < b for a, b in zip(along, across_mm, strict=True))
# Shadow is darker than its surroundings, what lies behind fluid brighter.
behind = slice(200, 280)
assert seeing.decibels(stone[behind, middle]).mean() < seeing.decibels(stone[behind, beside]).mean()
assert seeing.decibels(cyst[behind, middle]).mean() > seeing.decibels(cyst[behind, beside]).mean()

# %%
# Each change away from the first costs points, but for spongiform, which has none.
assert tirads.level(tirads.points(variants["composition"])) == "TR1"
assert tirads.level(tirads.points(ladder[-1])) == "TR5"
assert np.all(np.diff(chance) > 0)
# Neither a larger nodule nor a higher level is ever advised less.
weight = advice.map(["none", "follow-up", "fna"].index).to_numpy()
assert np.all(np.diff(weight, axis=0) >= 0)
assert np.all(np.diff(weight, axis=1) >= 0)
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
