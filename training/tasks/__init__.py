"""One package a task, each named as its module in ``service.tasks``."""
