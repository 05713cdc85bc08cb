"""What the training loop needs to train a detector."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from training.data.box_pictures import Batch, BoxPictures, Target, collate
from training.data.order import Order, batches
from training.nets.detection.architectures import DetectorArchitecture
from training.nets.detection.batched import BatchedDetector
from training.nets.detection.detector import Detector
from training.nets.pixels import Pixels
from training.optimisation import Optimisation, optimizer
from training.recipe import Objective, Part, Recipe
from training.shares import of_all
from training.tasks.detect.metrics import map50
from training.tasks.detect.predict import predict


class DetectRecipe(Recipe):
    """The four losses of Faster R-CNN; the best epoch has the best mAP at an overlap of a half."""

    monitor: ClassVar[str] = "map50"
    higher_is_better: ClassVar[bool] = True

    def __init__(
        self,
        net: Detector,
        architecture: DetectorArchitecture,
        train: BoxPictures,
        held_out: BoxPictures,
        optimisation: Optimisation,
        *,
        iou_threshold: float = 0.5,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        """Put a training together.

        Args:
            net: of the architecture; parameters that need no gradient stay as they are.
            architecture: says how pixels are normalised, and names the stages.
            train: varied pictures to train on.
            held_out: pictures as they are, to choose the best epoch by.
            optimisation: how the weights are moved.
            iou_threshold: of the figures, as a request would give it.
            seed: of the order of pictures.
            workers: processes that read pictures.
        """
        self._train, self._held_out = train, held_out
        self._batch_size, self._iou_threshold = optimisation.batch_size, iou_threshold
        self._seed, self._workers = seed, workers
        self._pixels = Pixels(architecture.mean, architecture.std)
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.networks = {"net": net}
        self.optimizers = {"main": optimizer(net, architecture.stages, optimisation)}

    @property
    def batches_per_epoch(self) -> int:
        """Full batches in the training pictures."""
        return len(self._train) // min(self._batch_size, len(self._train))

    def batches(self, epoch: int, first: int, part: Part) -> Iterable[Batch]:
        """Batches of varied pictures and their objects, in an order the seed and epoch give."""
        self._train.set_epoch(epoch)
        order = Order(
            len(self._train),
            self._batch_size,
            seed=self._seed,
            epoch=epoch,
            first=first,
            part=part,
        )
        return batches(self._train, order, collate, self._workers)

    def update(self, batch: Any, networks: Mapping[str, nn.Module]) -> Iterator[Objective]:
        """Yield the sum of the losses of a batch."""
        images, targets = batch
        with torch.no_grad():
            pixels = self._pixels(images.permute(0, 2, 3, 1))
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        losses = networks["net"](pixels, [_learned(target) for target in targets])
        logged = {name: loss.detach() for name, loss in losses.items()}
        yield Objective(sum(losses.values()), logged=logged)

    def evaluate(self, networks: Mapping[str, nn.Module], part: Part) -> Mapping[str, float]:
        """Mean average precision on the held-out pictures."""
        net = networks["net"]
        assert isinstance(net, Detector)  # it is the recipe's own, or the average of it
        size = self._held_out.geometry
        module = BatchedDetector(net, self._pixels, size.height, size.width).eval()
        mine = predict(module, self._held_out, self._iou_threshold, part)
        return {"map50": map50(of_all(mine, part), self._held_out.boxed)}


def _learned(target: Target) -> dict[str, torch.Tensor]:
    """What the network learns from: the background is class 0, and some boxes are left out."""
    ignored = target["ignored"]
    return {
        "boxes": target["boxes"][~ignored],
        "labels": target["labels"][~ignored] + 1,
        "ignored": target["boxes"][ignored],
    }
