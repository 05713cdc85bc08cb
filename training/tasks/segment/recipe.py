"""What the training loop needs to train a segmentation network."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.data.mask_pictures import Batch, MaskPictures, collate
from training.data.masked import VOID
from training.data.order import Order, batches
from training.nets.pixels import Pixels
from training.nets.segmentation.architectures import SegmenterArchitecture
from training.nets.segmentation.segmenter import Segmenter
from training.optimisation import Optimisation, optimizer
from training.recipe import Objective, Part, Recipe
from training.shares import of_all
from training.tasks.segment.metrics import measure
from training.tasks.segment.predict import confusions


class SegmentRecipe(Recipe):
    """Cross-entropy of every pixel; the best epoch has the best mean IoU."""

    monitor: ClassVar[str] = "miou"
    higher_is_better: ClassVar[bool] = True

    def __init__(
        self,
        net: nn.Module,
        architecture: SegmenterArchitecture,
        train: MaskPictures,
        held_out: MaskPictures,
        optimisation: Optimisation,
        *,
        class_weights: Tensor | None = None,
        picture_weights: Tensor | None = None,
        auxiliary: float = 0.4,
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
            class_weights: ``float[classes]``, what a pixel counts; all alike if left out.
            picture_weights: ``float[pictures]``, how likely each is drawn; with them an epoch is
                as many draws as there are pictures, each anew. Left out, each is seen once.
            auxiliary: weight of the loss on coarser scores; with 0 they teach nothing.
            seed: of the order of pictures.
            workers: processes that read pictures.
        """
        self._train, self._held_out = train, held_out
        self._batch_size, self._auxiliary = optimisation.batch_size, auxiliary
        self._class_weights, self._picture_weights = class_weights, picture_weights
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
        """Batches of varied pictures and their masks, in an order the seed and epoch give."""
        self._train.set_epoch(epoch)
        order = Order(
            len(self._train),
            self._batch_size,
            seed=self._seed,
            epoch=epoch,
            first=first,
            part=part,
            weights=self._picture_weights,
        )
        return batches(self._train, order, collate, self._workers)

    def update(self, batch: Any, networks: Mapping[str, nn.Module]) -> Iterator[Objective]:
        """Yield the loss of a batch: of the scores, and less so of the coarser ones."""
        images, masks = batch
        with torch.no_grad():
            pixels = self._pixels(images.permute(0, 2, 3, 1))
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        outputs = networks["net"](pixels)
        scores, *coarser = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = self._loss(scores, masks)
        logged = {"pixels": loss.detach()}
        if coarser:  # whatever the weight: processes together want a gradient of every parameter
            helping = torch.stack([self._loss(each, masks) for each in coarser]).mean()
            logged["auxiliary"] = helping.detach()
            loss = loss + self._auxiliary * helping
        yield Objective(loss, logged=logged)

    def evaluate(self, networks: Mapping[str, nn.Module], part: Part) -> Mapping[str, float]:
        """Mean IoU and the share of right pixels, on the held-out pictures."""
        module = Segmenter(networks["net"], self._pixels).eval()
        found = of_all(confusions(module, self._held_out, part), part)
        quality = measure(found, self._held_out.masked.classes, resamples=0)
        return {"miou": quality.miou, "pixel_accuracy": quality.pixel_accuracy}

    def _loss(self, scores: Tensor, masks: Tensor) -> Tensor:
        """Mean cross-entropy over all pixels; void ones add nothing.

        The sum is divided by the number of pixels, void ones too, so that the mean of several
        processes' gradients is that of the whole batch, and a crop that is all void is harmless.

        Args:
            scores: ``float[N, C, h, w]``.
            masks: ``uint8[N, H, W]``, of which scores of fewer pixels see some.
        """
        if masks.shape[-2:] != scores.shape[-2:]:
            size = [scores.shape[-2], scores.shape[-1]]
            masks = functional.interpolate(masks[:, None], size, mode="nearest-exact")[:, 0]
        weights = self._class_weights
        total = functional.cross_entropy(
            scores.float(),
            masks.long(),
            weight=None if weights is None else weights.to(scores.device, torch.float32),
            ignore_index=VOID,
            reduction="sum",
        )
        return total / masks.numel()
