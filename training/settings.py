"""What can be chosen about any training, whatever its task."""

from dataclasses import dataclass

from training.schedule import Kind


@dataclass(frozen=True)
class Training:
    """How long to train, how the learning rate goes, and what to keep.

    Everything here is part of what a run is; a resumed run must have the same.

    Raises:
        ValueError: a value is out of its range; the message names both.
    """

    epochs: int = 10
    """Times every training picture is seen."""
    schedule: Kind = "cosine"
    """How the learning rate falls."""
    warmup_epochs: float = 1.0
    """Over which the learning rate rises from nothing."""
    final_lr: float = 0.0
    """What is left of the learning rate at the end of a cosine, as a share."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """Where a step schedule falls, as shares of the training."""
    gamma: float = 0.1
    """What a step schedule multiplies the learning rate by."""
    accumulate: int = 1
    """Batches whose gradients are added up before a step."""
    clip_norm: float | None = None
    """Largest norm of a gradient; longer ones are scaled down."""
    ema: float | None = None
    """Decay of the moving average of the weights that is measured and exported, such as 0.999."""
    seed: int = 0
    """Of the first weights, the order of pictures and every augmentation."""
    checkpoint_steps: int = 500
    """Steps between checkpoints, besides one after every epoch."""
    log_steps: int = 50
    """Steps between lines of the history, besides one after every epoch."""

    def __post_init__(self) -> None:
        self._need("epochs", self.epochs >= 1, "at least 1")
        self._need("warmup_epochs", self.warmup_epochs >= 0, "0 or more")
        self._need("final_lr", 0 <= self.final_lr <= 1, "a share, 0 to 1")
        self._need(
            "milestones",
            all(0 < share < 1 for share in self.milestones)
            and list(self.milestones) == sorted(self.milestones),
            "shares between 0 and 1 that rise",
        )
        self._need("gamma", 0 < self.gamma <= 1, "above 0 and at most 1")
        self._need("accumulate", self.accumulate >= 1, "at least 1")
        self._need("clip_norm", self.clip_norm is None or self.clip_norm > 0, "above 0")
        self._need("ema", self.ema is None or 0 < self.ema < 1, "between 0 and 1, such as 0.999")
        self._need("checkpoint_steps", self.checkpoint_steps >= 1, "at least 1")
        self._need("log_steps", self.log_steps >= 1, "at least 1")

    def _need(self, name: str, is_met: bool, need: str) -> None:
        if not is_met:
            raise ValueError(f"{name} must be {need}, not {getattr(self, name)}")
