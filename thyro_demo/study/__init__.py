"""Questions asked of whole chains: cross-validation, ensembles, the middle stage, shortcuts."""
