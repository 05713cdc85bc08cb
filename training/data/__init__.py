"""Readers of pictures and labels shared by tasks."""
