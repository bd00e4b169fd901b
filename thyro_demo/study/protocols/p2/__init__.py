"""P2: features of six networks, their concatenations and ensembles, beside radiologists.

References
----------
Lee et al., "Differentiation of thyroid nodules on US using features learned and extracted from
various convolutional neural networks", Scientific Reports 9, 2019, 19854. Optimisers, schedules
and the features that were chosen are those of the lecture on that work, as are its tables.
"""
