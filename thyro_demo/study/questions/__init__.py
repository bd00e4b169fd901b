"""Questions asked of whole chains: what helps, what misleads, what travels."""
