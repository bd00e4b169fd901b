"""Names and constants of pooling; apart from `features`, so that they wake no Keras."""

POOLINGS = ("average", "std", "nodule")
"""What the SVMs and forests of a bundle read. The softmax reads the average beside the first two;
"nodule" is the layer "features" of a network with a nodule map, which all its heads read."""

FLOOR = 1e-6
"""Added to the variance before its root is taken: a root has no slope at 0."""

EVERYWHERE = 0.02
"""Added to the weights of a nodule map: a little of what surrounds a nodule helps to read it, and a
frame without one is pooled as a whole. 0.001 reads real nodules worse; 0.05 reads as well, but lets
a heatmap stray further."""
