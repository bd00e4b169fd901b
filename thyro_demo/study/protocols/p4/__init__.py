"""P4: SERA's networks and ensembles, tested inside the sources they know and on one held out.

References
----------
Koh et al., "Diagnosis of thyroid nodules on ultrasonography by a deep convolutional neural
network", Scientific Reports 10, 2020, 15245: two single networks and two classification
ensembles, one internal and three external tests, made binary at the Youden index.
"""
