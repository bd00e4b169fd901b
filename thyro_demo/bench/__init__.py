"""Speed figures, each measured beside its peer in one run."""
