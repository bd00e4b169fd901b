"""P1: progressive transfer on three networks, and each flaw of its first evaluation.

References
----------
Master's project "Application de l'apprentissage profond par transfert en imagerie médicale pour
l'aide au diagnostic des lésions thyroïdiennes" and its public notebooks, 2021.
"""
