"""Heatmaps: where a head looked, from the one forward pass that scored the image."""
