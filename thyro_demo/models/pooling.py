"""Names and constants of pooling; apart from `features`, so that they wake no Keras."""

POOLINGS = ("average", "deviation", "nodule")
"""What the SVMs and forests of a bundle read. The softmax reads the average beside the first two;
"nodule" is the layer "features" of a network with a nodule map, which all its heads read."""

FLOOR = 1e-6
"""Added to the variance of a deviation: a root has no slope at 0."""

EVERYWHERE = 1e-3
"""Added to the weights of a nodule map: a frame without a nodule is pooled as a whole, rather than
divided by nothing."""
