"""Backbones and their architectures, the nodule map, features and heads."""
