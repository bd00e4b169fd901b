"""Clinical rules as tables."""
