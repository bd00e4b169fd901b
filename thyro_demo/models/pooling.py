"""Names and constants of pooling; apart from `features`, so that they wake no Keras."""

POOLINGS = ("average", "deviation")
"""What the machines and forests of a bundle read; the softmax always reads the average."""

FLOOR = 1e-6
"""Added to the variance of a deviation: a root has no slope at 0."""
