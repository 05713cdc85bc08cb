"""Networks shared by tasks."""
