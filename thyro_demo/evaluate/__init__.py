"""Metrics, intervals and reports: numpy, scikit-learn and matplotlib, no Keras."""
