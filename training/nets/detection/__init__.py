"""Faster R-CNN: what is trained, and the same with fixed slots, which a graph can hold."""
