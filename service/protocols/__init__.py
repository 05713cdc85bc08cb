"""Protocols of other services, so that clients made for those need no change.

Each module answers the requests of one kind of client with the models that serve here; it knows
the kernel and the tasks, and neither of them knows it.
"""
