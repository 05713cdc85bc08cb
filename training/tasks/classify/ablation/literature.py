"""The works whose arguments the ablations bear on."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """A paper: how it is cited, and where to find it."""

    cited: str
    found: str


WORKS: Mapping[str, Work] = {
    "decay": Work(
        "Krogh and Hertz, 1991",
        "A simple weight decay can improve generalization, Advances in Neural Information "
        "Processing Systems 4",
    ),
    "augmentation": Work(
        "Krizhevsky et al., 2012",
        "ImageNet classification with deep convolutional neural networks, section 4.1, Advances in "
        "Neural Information Processing Systems 25",
    ),
    "vgg": Work(
        "Simonyan and Zisserman, 2014",
        "Very deep convolutional networks for large-scale image recognition, "
        "https://arxiv.org/abs/1409.1556",
    ),
    "dropout": Work(
        "Srivastava et al., 2014",
        "Dropout: a simple way to prevent neural networks from overfitting, Journal of Machine "
        "Learning Research 15",
    ),
    "he": Work(
        "He et al., 2015a",
        "Delving deep into rectifiers, section 2.2, https://arxiv.org/abs/1502.01852",
    ),
    "normalisation": Work(
        "Ioffe and Szegedy, 2015",
        "Batch normalization, https://arxiv.org/abs/1502.03167",
    ),
    "residual": Work(
        "He et al., 2015b",
        "Deep residual learning for image recognition, figures 1 and 6, "
        "https://arxiv.org/abs/1512.03385",
    ),
    "cosine": Work(
        "Loshchilov and Hutter, 2017",
        "SGDR: stochastic gradient descent with warm restarts, https://arxiv.org/abs/1608.03983",
    ),
}
