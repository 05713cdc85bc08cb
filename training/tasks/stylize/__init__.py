"""Style transfer: the content of one picture, the style of another."""
