"""P3: the classical system, features made by hand from an outlined nodule, SVM and forest.

References
----------
The lecture that P2 comes from describes it: region of interest, normalisation, features of shape
and texture, then a soft-margin SVM (linear or RBF) or a random forest. It prints no figures. The
formulas are in `steps.handcrafted`.
"""
