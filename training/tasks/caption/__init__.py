"""Writing captions: a sentence for a picture."""
