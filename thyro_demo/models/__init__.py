"""Backbones, heads, staged training, features and bundles."""
