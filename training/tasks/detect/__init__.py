"""Detection: which objects a picture shows, and where."""
