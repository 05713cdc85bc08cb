"""What training raises."""


class TrainingError(Exception):
    """Training cannot go on; the message says why and what to try."""


class StoppedError(TrainingError):
    """Training was asked to stop, and wrote a checkpoint that it can go on from."""


class DivergedError(TrainingError):
    """A loss is not finite any more."""
