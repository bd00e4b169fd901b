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
# 2. tell tissue from what the scanner adds: speckle, shadow, enhancement, gain;
# 3. name the five features by which a thyroid nodule is graded, and add up its points.
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

from thyro_demo.clinical import tirads
from thyro_demo.clinical.tirads import Features
from thyro_demo.course import seeing, show, tasks
from thyro_demo.course.lesson import begin
from thyro_demo.data import phantom

lesson = begin(1, FAST, SEED, DATA, OUT)

# %% [markdown]
# ## 1. Physics in ten steps
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

# %% [markdown]
# A scanner keeps only the envelope: it becomes the brightness of one column of the picture,
# from the skin down. (This is the **B-mode**, B for brightness.)
#
# ### 2. Depth from time
#
# Sound needs time for the way down and back. Who knows its speed can turn time into depth: depth =
# speed × time / 2. Scanners assume 1,540 metres a second. In fat sound is slower, in muscle
# quicker.

# %% cellView="form"
# @title Draw a pulse and its echoes { display-mode: "form" }
figure, row = plt.subplots(1, 3, figsize=(12.5, 3.6), layout="constrained")
for axes, limits, title in zip(
    row, ((0, 40), (9, 13)), ("One pulse, three echoes", "The first two, closer"), strict=False
):
    axes.plot(short.time_us, short.signal, color=show.GREY, linewidth=0.8, label="what is heard")
    axes.plot(short.time_us, short.envelope, color=show.BLUE, linewidth=2, label="its envelope")
    axes.set(title=title, xlabel="Time since the pulse left (µs)", xlim=limits)
row[0].set_ylabel("Pressure (share of the pulse)")
row[0].legend(fontsize=9)
for (name, speed), colour in zip(
    seeing.SPEEDS.items(), (show.ORANGE, show.BLUE, show.GREEN), strict=True
):
    label = f"{name}: {1000 * speed:,.0f} m/s"
    row[2].plot(short.time_us, speed * short.time_us / 2, color=colour, label=label)
for depth in BORDERS:
    row[2].axhline(depth, color=show.GREY, linewidth=0.8, linestyle="--")
row[2].set(title="The depth of an echo", xlabel="Time of the echo (µs)")
row[2].set(ylabel="Depth (mm)", xlim=(0, 40), ylim=(44, 0))
row[2].legend(fontsize=9, loc="lower left")
show.picture(figure)
arrival = 2 * BORDERS[-1] / seeing.SPEEDS["fat"]
drawn_at = seeing.SPEED * arrival / 2
print(f"A border under {BORDERS[-1]:.0f} mm of pure fat is drawn at {drawn_at:.1f} mm.")

# %% [markdown]
# *What to see:* on the left three packets, one for each border (the dashed lines on the right). The
# scanner reads all times on the blue line, so that what lies behind fat is drawn too deep: by a few
# per cent if the whole way is fat, by less in a neck.
#
# **Your turn.** Sound travels at 1,540 metres a second, which is 1.54 millimetres a microsecond
# (µs), and it goes down *and* back. Put your own line in place of the three dots, and run the cell
# until it says "Right". Never programmed? One of these three is right: `return 1540 * time_us`,
# `return 1.54 * time_us`, `return 1.54 * time_us / 2`.


# %%
def depth_mm(time_us):
    """Return the depth in mm at which a scanner draws an echo that arrives after `time_us` µs."""
    return ...


print(tasks.check(depth_mm, [((0.0,), 0.0), ((26.0,), 20.02), ((39.0,), 30.03)]))

# %% [markdown]
# <details><summary>Answer</summary>
#
# `return 1.54 * time_us / 2`: half of the time is the way down.
#
# </details>
#
# ### 3. Attenuation and gain
#
# Tissue swallows and scatters sound: **[attenuation][attenuation]**. A rule of thumb is half a
# **decibel** (dB) for each centimetre and megahertz, on the way down and again on the way back.
# (Decibels count powers of ten: −10 dB is a tenth of the power, −20 dB a hundredth.) The scanner
# turns up the volume with the time that has passed, the **[gain][gain]** over depth (on the knobs:
# TGC, time gain compensation). We send sound into a block of the same tissue everywhere.
#
# *Before you run it:* how will the bottom of the block look at twice the frequency?
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

# %% cellView="form"
# @title Draw frequency and gain { display-mode: "form" }
figure, row = plt.subplots(1, 4, figsize=(11, 4.4), layout="constrained")
for axes, (name, power) in zip(row, cases.items(), strict=False):
    show.frame(axes, seeing.grey(power), name, spacing_mm=seeing.SPACING_MM)
millimetres = (np.arange(DEPTH) + 0.5) * seeing.SPACING_MM
for (name, power), colour in zip(cases.items(), (show.GREY, show.BLUE, show.ORANGE), strict=True):
    row[3].plot(seeing.decibels(power), millimetres, color=colour, label=name)
row[3].set(title="Mean of each depth", xlabel="Level (dB)", ylabel="Depth (mm)")
row[3].invert_yaxis()
figure.legend(*row[3].get_legend_handles_labels(), loc="outside lower right", ncols=3)
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

# %% cellView="form"
# @title Draw the beam's width { display-mode: "form" }
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
# depth is squeezed. A real beam is narrowest where it is focused; ours is focused everywhere.)
# Everything a scanner draws is made of such blots.
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

# %% cellView="form"
# @title Draw pairs of points { display-mode: "form" }
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

# %% cellView="form"
# @title Draw speckle of few and of many scatterers { display-mode: "form" }
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

# %% cellView="form"
# @title Draw borders, smooth and rough { display-mode: "form" }
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
# *What to see:* on the left, compare soft borders with bone and air. In the middle, a smooth border
# that lies across the beam is an unbroken bright line, as the capsule of the gland is; a rough one
# (right) is a row of speckles. (A smooth border that slopes away sends its echo elsewhere, like a
# mirror, and may not be seen at all.)
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

# %% [markdown]
# ### 9. Posterior enhancement
#
# The reverse: fluid swallows almost nothing, but the scanner turns the volume up with depth all the
# same. What lies behind fluid is lit too well: **[posterior enhancement][posterior-enhancement]**.
#
# [posterior-enhancement]: https://github.com/ThyroDemo/ThyroDemo/blob/main/notebooks/GLOSSARY.md#posterior-enhancement

# %%
bubble = seeing.disc(TISSUE.shape, (13.0, WIDE / 2 * seeing.SPACING_MM), 5.0)
cyst = seeing.insonate(np.where(bubble, -34, 0), np.where(bubble, 0, SLOPE), SLOPE, seed=SEED)

# %% cellView="form"
# @title Draw a stone and a bubble { display-mode: "form" }
figure, row = plt.subplots(1, 4, figsize=(13, 4.4), layout="constrained")
for axes, power, name in zip(
    row[::2], (stone, cyst), ("A plate of calcium", "A bubble of fluid"), strict=True
):
    show.frame(axes, seeing.grey(power), name, spacing_mm=seeing.SPACING_MM)
for axes, power in zip(row[1::2], (stone, cyst), strict=True):
    axes.plot(seeing.decibels(power[:, middle]), millimetres, color=show.BLUE, label="through it")
    axes.plot(seeing.decibels(power[:, beside]), millimetres, color=show.GREY, label="beside it")
    axes.set(title="Level along the beam", xlabel="Level (dB)", ylabel="Depth (mm)")
    axes.invert_yaxis()
    axes.legend(fontsize=9)
show.picture(figure)

# %% [markdown]
# *What to see:* on the left, from the plate downward a dark band; its edges are those of the plate.
# The band is not tissue, it is missing light. To a doctor it says "calcium above"; a network can
# learn the same. On the right, the fluid itself is black, and below it is a bright zone. Black with
# such a zone speaks for fluid (a **[cyst][cyst]**, mostly harmless); black without one is not proof
# of fluid: solid tissue can be very dark as well.
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

# %% cellView="form"
# @title Draw the dynamic range { display-mode: "form" }
figure, row = plt.subplots(1, 4, figsize=(11, 4.2), layout="constrained")
show.frame(row[0], linear, "No logarithm", spacing_mm=seeing.SPACING_MM)
for axes, reach in zip(row[1:], (30, 60, 90), strict=True):
    show.frame(axes, seeing.grey(both, reach), f"{reach} dB", spacing_mm=seeing.SPACING_MM)
show.picture(figure)

# %% [markdown]
# *What to see:* without the logarithm a few bright echoes take most of the greys, and all tissue is
# nearly black. With 30 dB the picture is hard, black and white; with 90 dB it is soft, and the
# nodule pales. The echoes are the same each time: contrast and brightness of a frame depend on the
# person at the knobs as well. A network trained on one scanner meets this difference on the next.
#
# ## 2. From physics to a nodule
#
# Put all ten together, add a neck, and you have a **phantom**: a frame drawn by the physics of
# ultrasound, in which we decide what is there. Phantoms stand in for patients wherever real images
# may not be shown.
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
# feature at a time. *Before you run it:* which change costs most points, and which takes some away?
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

# %% cellView="form"
# @title Draw six nodules that differ in one feature { display-mode: "form" }
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

# %% cellView="form"
# @title Draw points and the chance of malignancy { display-mode: "form" }
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
# **2.** In step 8, give the plate a loss of 2 instead of 25 dB/mm (in `SLOPE + 25 * plate`). Is
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
# `Features(SOLID, "hypoechoic", "taller than wide", "smooth")` has 2 + 2 + 3 = 7 points, TR5; with
# "isoechoic" it has 6, TR4. `phantom.draw` draws both, as in the cell of the six nodules.
#
# </details>
#
# ## Further reading
#
# - The table of points: [Tessler et al., *J Am Coll Radiol* 2017][tessler].
# - The words for what one sees: [Grant et al., *J Am Coll Radiol* 2015][grant], the lexicon behind
#   it.
# - Shadows, enhancement and other artefacts, each with its cause: [Feldman et al., *RadioGraphics*
#   2009][feldman].
#
# [tessler]: https://doi.org/10.1016/j.jacr.2017.01.046
# [grant]: https://doi.org/10.1016/j.jacr.2015.07.011
# [feldman]: https://doi.org/10.1148/rg.294085199

# %% [markdown]
# ## Quiz
#
# **1.** Why is a region behind a cyst brighter than the tissue beside it?
#
# <details><summary>Answer</summary>
#
# Fluid swallows almost no sound, but the gain is turned up as if it had.
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
# Not of the electronics: many scatterers within one blot make it, and it is the same when the same
# place is scanned again in the same way.
#
# </details>
#
# **4.** A nodule is solid, hypoechoic, wider than tall, smooth, without foci. How many points, and
# which level?
#
# <details><summary>Answer</summary>
#
# 2 + 2 + 0 + 0 + 0 = 4 points: TR4, moderately suspicious.
#
# </details>
#
# **5.** Two scanners draw the same nodule at 30 dB and at 90 dB. Has its echogenicity changed?
#
# <details><summary>Answer</summary>
#
# No. The echoes are the same; the screen shows them with another contrast. Judge a nodule against
# the gland beside it, on the same frame.
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
print("All claims hold.")
