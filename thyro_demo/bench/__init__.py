"""Speed and trust figures, each beside its peer or its limit, measured in one run."""
