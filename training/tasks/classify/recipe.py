"""What the training loop needs to train a classifier."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from training.data.augment import Augment, Augmentation, mix
from training.data.labelled import Batch, Labelled, whole_batch
from training.data.order import Order, batches
from training.nets.architecture import Normalisation
from training.nets.architectures import find
from training.optimisation import optimizer
from training.published import Published
from training.recipe import Objective, Part, Recipe
from training.tasks.classify.config import Optimisation

#: What GoogLeNet's auxiliary heads count for beside the main one (Szegedy et al., 2014, section 5).
AUXILIARY_WEIGHT = 0.3
_MEASURED_AT_ONCE = 250


class ClassifyRecipe(Recipe):
    """Cross-entropy on augmented pictures; the best epoch has the best top-1."""

    monitor: ClassVar[str] = "top1"
    higher_is_better: ClassVar[bool] = True

    def __init__(
        self,
        net: nn.Module,
        published: Published,
        train: Labelled,
        held_out: Labelled,
        optimisation: Optimisation,
        augmentation: Augmentation,
        *,
        size: int,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        """Put a training together.

        Args:
            net: of the architecture of ``published``; parameters that need no gradient stay as
                they are.
            published: says how pixels are normalised, and names the architecture.
            train: pictures to train on; at least as large as ``size`` where crops are taken.
            held_out: pictures of ``size`` to choose the best epoch by.
            optimisation: how the weights are moved.
            augmentation: how training pictures are varied.
            size: side of what the network takes, in pixels.
            seed: of the order of pictures.
            workers: processes that read pictures.
        """
        self._train, self._held_out = train, held_out
        self._chosen, self._mixup = optimisation, augmentation.mixup
        self._seed, self._workers = seed, workers
        self._classes = len(train.classes)
        self._normalise = Normalise(published.mean, published.std)
        self._augment = Augment(augmentation, size, size)
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.networks = {"net": net}
        stages = find(published.architecture).stages
        self.optimizers = {"main": optimizer(net, stages, optimisation)}

    @property
    def batches_per_epoch(self) -> int:
        """Full batches in the training pictures."""
        return len(self._train) // min(self._chosen.batch_size, len(self._train))

    def batches(self, epoch: int, first: int, part: Part) -> Iterable[Batch]:
        """Batches ``uint8[B, H, W, C]``, ``int64[B]`` in an order that the seed and epoch give."""
        order = Order(
            len(self._train),
            self._chosen.batch_size,
            seed=self._seed,
            epoch=epoch,
            first=first,
            part=part,
        )
        return batches(self._train, order, whole_batch, self._workers)

    def update(self, batch: Any, networks: Mapping[str, nn.Module]) -> Iterator[Objective]:
        """Yield the cross-entropy of a batch."""
        images, targets = batch
        with torch.no_grad():
            pictures = self._augment(_as_float(images))
            labels = targets
            if self._mixup:
                pictures, labels = mix(pictures, targets, self._classes, self._mixup)
        output = networks["net"](self._normalise(pictures))
        loss = self._loss(output, labels)
        logits = output if isinstance(output, Tensor) else output[0]
        yield Objective(loss, logged={"top1": _share_right(logits, targets)})

    def _loss(self, output: Any, labels: Tensor) -> Tensor:
        smoothing = self._chosen.label_smoothing
        if isinstance(output, Tensor):
            return functional.cross_entropy(output, labels, label_smoothing=smoothing)
        main, *auxiliary = (
            functional.cross_entropy(logits, labels, label_smoothing=smoothing)
            for logits in output
            if logits is not None
        )
        return main + AUXILIARY_WEIGHT * sum(auxiliary, torch.zeros_like(main))

    def evaluate(self, networks: Mapping[str, nn.Module], part: Part) -> Mapping[str, float]:
        """Top-1 accuracy and cross-entropy on the held-out pictures."""
        net = networks["net"]
        device = next(net.parameters()).device
        top1 = MulticlassAccuracy(self._classes, average="micro").to(device)
        loss = MeanMetric().to(device)
        for images, targets in _parts(self._held_out, part):
            targets = targets.to(device)
            logits = net(self._normalise(_as_float(images.to(device))))
            top1.update(logits, targets)
            loss.update(functional.cross_entropy(logits, targets, reduction="none"))
        return {"top1": float(top1.compute()), "loss": float(loss.compute())}


class Normalise(nn.Module):
    """``float32[B, C, H, W]``, 0 to 1, to what a network takes: channels last in memory.

    ``mean`` and ``std`` are in pixel units, 0 to 255; three of them are averaged for grey pictures.
    """

    def __init__(self, mean: Normalisation, std: Normalisation) -> None:
        super().__init__()
        self._mean, self._std = mean, std

    def forward(self, pictures: Tensor) -> Tensor:
        """Shift and scale."""
        mean, std = (_per_channel(values, pictures) for values in (self._mean, self._std))
        return ((pictures * 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def predict(net: nn.Module, published: Published, labelled: Labelled) -> Tensor:
    """The probabilities ``float32[N, classes]`` a network gives every picture of a set."""
    normalise = Normalise(published.mean, published.std)
    device = next(net.parameters()).device
    with torch.inference_mode():
        found = [
            net.eval()(normalise(_as_float(images.to(device)))).softmax(1).cpu()
            for images, _ in _parts(labelled, Part())
        ]
    return torch.cat(found)


def _parts(labelled: Labelled, part: Part) -> Iterator[Batch]:
    indices = torch.arange(part.rank, len(labelled), part.world)
    for some in torch.split(indices, _MEASURED_AT_ONCE):
        yield labelled.__getitems__(some)


def _as_float(images: Tensor) -> Tensor:
    """``uint8[B, H, W, C]`` -> ``float32[B, C, H, W]``, 0 to 1."""
    return images.permute(0, 3, 1, 2).float() / 255


def _per_channel(values: Normalisation, pictures: Tensor) -> Tensor:
    tensor = torch.tensor(values, device=pictures.device).reshape(-1, 1, 1)
    return tensor.mean(0, keepdim=True) if pictures.shape[1] == 1 else tensor


def _share_right(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.detach().argmax(1) == targets).float().mean()
