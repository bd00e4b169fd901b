"""What is on disk: networks, heads, manifests, cards, and what a bundle was trained on."""
