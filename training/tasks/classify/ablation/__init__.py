"""Ablations: one recipe with one thing changed at a time, and what the literature says of each."""
