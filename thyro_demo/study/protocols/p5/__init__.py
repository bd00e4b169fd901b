"""P5: autoimmune or normal gland, split by patient, and the split of augmented copies that leaks.

The images are not public. A user's own are in a folder `autoimmune` under `--data`: folders
`autoimmune` and `normal` with the images, and `groups.csv` with the columns `path` (relative to
that folder) and `group` (the patient). Without it phantoms are drawn.

References
----------
Vasile et al., "Assessment of deep learning methods for differentiating autoimmune disorders in
ultrasound images", Current Health Sciences Journal 47, 2021 (PMC8551890). The text says two
things of its split; ours is the sound one, and `images.leaky` is the other.
"""
