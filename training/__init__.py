"""The training half of Sightline: PyTorch models made, measured and exported for the service."""
