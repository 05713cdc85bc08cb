"""Classification: which of a list of labels a picture shows."""
