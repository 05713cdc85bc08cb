import errno
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.contract import InputGeometry
from tests.training.caption_sets import write_pictures
from training.data import feature_file
from training.data.errors import DataError
from training.data.feature_cache import compute, key_of
from training.data.feature_file import Rows, locked
from training.data.views import view

GEOMETRY = InputGeometry(height=8, width=12, resize="squash")
VIEWS = 3


class Halves:
    """Means of the left and right half's colours, four times as they are; notes what it is given.

    Attributes:
        sizes: of the batches.
        limit: pictures after which it is interrupted.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.sizes: list[int] = []
        self.limit = limit

    def __call__(self, images: Tensor) -> Tensor:
        if self.limit is not None and sum(self.sizes) + len(images) > self.limit:
            raise KeyboardInterrupt
        assert images.dtype == torch.uint8
        self.sizes.append(len(images))
        halves = images.float().reshape(len(images), 8, 2, 6, 3)
        return 4 * halves.mean((1, 3))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    names = [f"{number}.png" for number in range(7)]
    write_pictures(tmp_path / "pictures", names)
    return [tmp_path / "pictures" / name for name in names]


class Cache(NamedTuple):
    """Where features go, and what they are called."""

    folder: Path
    paths: Sequence[Path]
    key: str

    def compute(self, net: Halves, batch: int = 4) -> NDArray[np.float16]:
        return compute(
            net, self.paths, GEOMETRY, VIEWS, self.folder, self.key, batch=batch, threads=1
        )

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def cache(tmp_path: Path, paths: list[Path]) -> Cache:
    return Cache(tmp_path / "run" / "features", paths, "k")


def test_every_view_of_every_picture_has_its_features_and_is_computed_once(cache: Cache) -> None:
    net, done = Halves(), list[tuple[int, int]]()
    features = compute(
        net,
        cache.paths,
        GEOMETRY,
        VIEWS,
        cache.folder,
        "k",
        lambda count, of: done.append((count, of)),
        batch=4,
        threads=2,
    )
    assert features.shape == (7, VIEWS, 2, 3)
    assert features.dtype == np.float16
    assert not features.flags.writeable
    for index, path in enumerate(cache.paths):
        for number in range(VIEWS):
            pixels = view(path, GEOMETRY, number, seed=index).astype(np.float32)
            halves = np.stack([pixels[:, :6].mean((0, 1)), pixels[:, 6:].mean((0, 1))])
            assert np.allclose(features[index, number], 4 * halves, rtol=1e-3)
    assert net.sizes == [4, 4, 4, 4, 4, 1]
    assert done == [(count, 21) for count in (4, 8, 12, 16, 20, 21)]
    assert cache.files == ["k.npy"]
    again = Halves()
    assert np.array_equal(cache.compute(again), features)
    assert again.sizes == []


@pytest.mark.parametrize("block", [1, 8, 256])
def test_what_is_interrupted_goes_on(
    cache: Cache, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_file, "_BLOCK", block)
    first = Halves(limit=10)
    with pytest.raises(KeyboardInterrupt):
        cache.compute(first)
    assert cache.files == ["k.json", "k.part"]
    second = Halves(limit=4)
    with pytest.raises(KeyboardInterrupt):
        cache.compute(second)
    third = Halves()
    features = cache.compute(third)
    assert [sum(net.sizes) for net in (first, second, third)] == [8, 4, 9]
    assert cache.files == ["k.npy"]
    whole = cache._replace(key="other").compute(Halves())
    assert np.array_equal(features, whole)


def interrupted(cache: Cache) -> tuple[Path, Path]:
    """What holds the features and what tells of them after eight views."""
    with pytest.raises(KeyboardInterrupt):
        cache.compute(Halves(limit=8))
    return cache.folder / "k.part", cache.folder / "k.json"


@pytest.mark.parametrize(
    "told", ["", "{", "[]", "{}", '{"rows": 8}', '{"rows": "x", "shape": [2, 3]}', None]
)
def test_what_nothing_tells_of_is_computed_anew(cache: Cache, told: str | None) -> None:
    _, progress = interrupted(cache)
    progress.write_text(told) if told is not None else progress.unlink()
    net = Halves()
    features = cache.compute(net)
    assert sum(net.sizes) == 21
    assert np.array_equal(features, cache._replace(key="other").compute(Halves()))


def test_only_what_was_made_sure_of_is_kept(cache: Cache) -> None:
    part, progress = interrupted(cache)
    with part.open("ab") as file:
        file.write(b"half of a row")
    net = Halves()
    assert np.isfinite(cache.compute(net)).all()
    assert sum(net.sizes) == 13
    (cache.folder / "k.npy").unlink()
    interrupted(cache)
    content = part.read_bytes()
    part.write_bytes(content[:-1])
    net = Halves()
    features = cache.compute(net)
    assert sum(net.sizes) == 21
    assert np.array_equal(features, cache._replace(key="other").compute(Halves()))
    assert not progress.exists()


def test_a_network_that_gives_another_shape_does_not_go_on(cache: Cache) -> None:
    part, _ = interrupted(cache)

    class Other(Halves):
        def __call__(self, images: Tensor) -> Tensor:
            return super().__call__(images)[..., :2]

    with pytest.raises(DataError, match=r"k\.part: has features of the shape \(2, 3\), not \(2, 2"):
        cache.compute(Other())
    part.unlink()
    assert cache.compute(Other()).shape == (7, VIEWS, 2, 2)


def test_features_of_other_pictures_are_not_taken(cache: Cache) -> None:
    cache.compute(Halves())
    with pytest.raises(DataError, match=r"k\.npy: is not of 6 pictures in 3 views; remove it"):
        cache._replace(paths=cache.paths[1:]).compute(Halves())
    with pytest.raises(ValueError, match="there are 0 pictures with 3 views"):
        cache._replace(paths=[]).compute(Halves())


def test_a_damaged_picture_is_named_and_what_is_done_is_kept(cache: Cache) -> None:
    content = cache.paths[5].read_bytes()
    cache.paths[5].write_bytes(content[:60])
    with pytest.raises(DataError, match=r"5\.png: the PNG file is damaged"):
        cache.compute(Halves())
    cache.paths[5].write_bytes(content)
    net = Halves()
    cache.compute(net)
    assert sum(net.sizes) == 21 - 12


@pytest.mark.parametrize("value", [1e6, float("nan"), float("-inf")])
def test_features_that_are_no_float16_are_refused(cache: Cache, value: float) -> None:
    class Broken(Halves):
        def __call__(self, images: Tensor) -> Tensor:
            features = super().__call__(images)
            features[0, 0, 0] = value
            return features

    with pytest.raises(DataError, match=r"must have three, N, P and D, and values that float16"):
        cache.compute(Broken())
    assert "k.npy" not in cache.files


def test_a_disk_without_room_is_told_of_before_it_is_full(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Large(Halves):
        def __call__(self, images: Tensor) -> Tensor:
            return super().__call__(images).repeat(1, 1, 100_000)

    usage = shutil.disk_usage(cache.folder.parent.parent)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10 * 2**20))
        with pytest.raises(DataError, match="room for 10 MiB, but the features take 25 MiB: make"):
            cache.compute(Large())
    with monkeypatch.context() as patch:
        patch.setattr(Rows, "add", _full)
        with pytest.raises(DataError, match="has no room left for features; make some, and go on"):
            cache.compute(Halves())
    with monkeypatch.context() as patch:
        patch.setattr(Rows, "add", _broken)
        with pytest.raises(OSError, match="broken"):
            cache.compute(Halves())
    assert cache.compute(Halves()).shape == (7, VIEWS, 2, 3)


def _full(rows: Rows, features: NDArray[np.float16]) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _broken(rows: Rows, features: NDArray[np.float16]) -> None:
    raise OSError(errno.EIO, "broken")


def test_two_processes_do_not_compute_the_same(cache: Cache) -> None:
    cache.folder.mkdir(parents=True)
    with (
        locked(cache.folder / "k.part"),
        pytest.raises(DataError, match=r"k\.part: another process is computing these features"),
    ):
        cache.compute(Halves())
    assert cache.compute(Halves()).shape == (7, VIEWS, 2, 3)


def test_progress_says_how_many_rows_there_are_and_of_what_shape(cache: Cache) -> None:
    _, progress = interrupted(cache)
    assert json.loads(progress.read_text()) == {"rows": 8, "shape": [2, 3]}


def test_a_key_tells_whatever_the_features_depend_on(paths: list[Path]) -> None:
    def key(
        backbone: str = "b",
        sha256: str = "s",
        width: int = 12,
        views: int = 3,
        chosen: Sequence[Path] = paths,
    ) -> str:
        geometry = InputGeometry(height=8, width=width, resize="squash")
        return key_of(backbone, sha256, geometry, views, chosen)

    first = key()
    assert key() == first
    others = [key("c"), key(sha256="t"), key(width=13), key(views=2), key(chosen=paths[::-1])]
    times = paths[0].stat()
    os.utime(paths[0], ns=(times.st_atime_ns, times.st_mtime_ns + 1000))
    others.append(key())
    with paths[1].open("ab") as file:
        file.write(b"-")
    os.utime(paths[1], ns=(times.st_atime_ns, times.st_mtime_ns))
    others.append(key())
    assert len({first, *others}) == 8
    with pytest.raises(DataError, match=r"x\.png: cannot be read"):
        key(chosen=[paths[0].with_name("x.png")])
