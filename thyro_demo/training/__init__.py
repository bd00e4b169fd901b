"""Training: stages, the recipes that chain them, and figures out of fold."""
