"""Segmentation: the class of every pixel."""
