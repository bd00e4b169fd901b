"""The published systems, each a plan, its published figures and what differs from the paper.

A protocol is a package with a module `plan`, whose constant `PROTOCOL` holds what was published
and whose function `run(setting)` returns a report. To add one, write the package and name it
here.
"""

PROTOCOLS = {
    "P1": "progressive transfer on three networks, and each flaw of its first evaluation",
    "P2": "features of six networks, their concatenations and ensembles, beside radiologists",
    "P3": "classical CAD: handcrafted features of the outlined nodule, SVM and forest",
    "P4": "internal, external and leave-one-source-out tests of networks and ensembles",
    "P5": "autoimmune or normal, split by patient, and the split that leaks",
    "P6": "a network of two layers, on mammogram patches and on thyroid frames",
}
