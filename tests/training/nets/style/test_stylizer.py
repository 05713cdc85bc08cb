import copy
import io

import numpy as np
import onnxruntime as ort
import pytest
import torch

from training.exportable import Graph
from training.graph import reference, to_onnx
from training.nets.style.adain import adain_network, slim_network
from training.nets.style.stylizer import (
    LEAST_SIDE,
    Encode,
    Main,
    Stylizer,
    images_of,
    padded,
    pixels_of,
)

WIDTHS = (4, 6, 8, 8)
CODE = 2 * sum(WIDTHS)


@pytest.fixture(scope="module", params=[adain_network, slim_network])
def tiny(request: pytest.FixtureRequest) -> Stylizer:
    """A network all of whose parts do something, the code's listeners too."""
    torch.manual_seed(0)
    net: Stylizer = request.param(WIDTHS).eval()
    for name, parameter in net.named_parameters():
        if name.endswith(("modulation.told.weight", "finish.last.weight")):
            torch.nn.init.normal_(parameter, std=0.3)
    return net


@pytest.fixture(scope="module")
def plain(tiny: Stylizer) -> Stylizer:
    """The same without grain."""
    net = copy.deepcopy(tiny)
    for tile in net.grain.buffers():
        tile.zero_()
    return net


def _images(count: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.randint(0, 256, (count, height, width, 3), generator=generator, dtype=torch.uint8)


def test_pixels_come_back_as_they_were() -> None:
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(-1, -1, -1, 3)
    assert images_of(pixels_of(images)).equal(images)


def test_what_is_beyond_a_byte_is_cut_off() -> None:
    pixels = torch.tensor([-0.3, 0.5, 1.7]).reshape(1, 3, 1, 1)
    assert images_of(pixels).flatten().tolist() == [0, 128, 255]


def test_padding_reflects_at_the_right_and_below() -> None:
    pixels = torch.arange(20.0).reshape(1, 1, 1, 20).expand(1, 1, 17, 20)
    wide = padded(pixels)
    assert wide.shape == (1, 1, 24, 24)
    assert wide[0, 0, 0].tolist() == [*range(20), 18, 17, 16, 15]
    assert padded(wide).equal(wide)


def test_a_small_picture_is_reflected_to_and_fro() -> None:
    pixels = torch.arange(16.0).reshape(1, 1, 1, 16).expand(1, 1, 32, 16)
    wide = padded(pixels, 16)
    assert wide.shape == (1, 1, 32, 32)
    assert wide[0, 0, 0].tolist() == [*range(16), *range(14, -1, -1), 1]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (40, 23)])
def test_an_answer_has_the_contents_size(tiny: Stylizer, height: int, width: int) -> None:
    images = _images(2, height, width)
    with torch.inference_mode():
        code = Encode(tiny)(_images(2, 20, 50))
        assert code.shape == (2, CODE)
        found = Main(tiny)(images, code, torch.ones(2))
    assert found.shape == images.shape
    assert found.dtype == torch.uint8


def test_without_strength_any_style_is_the_contents_own(plain: Stylizer) -> None:
    images = _images(1, 24, 24)
    with torch.inference_mode():
        own, other = Encode(plain)(images), Encode(plain)(_images(1, 32, 24) // 4)
        full = Main(plain)(images, own, torch.ones(1))
        assert Main(plain)(images, other, torch.zeros(1)).equal(full)
        assert not Main(plain)(images, other, torch.ones(1)).equal(full)


def test_strength_goes_from_one_code_to_the_other(plain: Stylizer) -> None:
    images = _images(1, 24, 24)
    with torch.inference_mode():
        own, other = Encode(plain)(images), Encode(plain)(_images(1, 32, 24) // 4)
        half = Main(plain)(images, other, torch.full((1,), 0.5))
        mixed = Main(plain)(images, (own + other) / 2, torch.ones(1))
    assert (half.int() - mixed.int()).abs().max() <= 1


def test_without_strength_there_is_no_grain(tiny: Stylizer, plain: Stylizer) -> None:
    images, none = _images(1, 24, 24), torch.zeros(1)
    with torch.inference_mode():
        code = Encode(tiny)(images)
        assert Main(tiny)(images, code, none).equal(Main(plain)(images, code, none))


def test_every_picture_of_a_batch_is_by_itself(tiny: Stylizer) -> None:
    images, alpha = _images(3, 24, 32), torch.tensor([1.0, 0.3, 0.7])
    with torch.inference_mode():
        code = Encode(tiny)(_images(3, 16, 16))
        together = Main(tiny)(images, code, alpha)
        for at in range(3):
            alone = Main(tiny)(*(each[at : at + 1] for each in (images, code, alpha)))
            assert (together[at].int() - alone[0].int()).abs().max() <= 1


def test_stages_name_every_parameter_once(tiny: Stylizer) -> None:
    prefixes = [f"{prefix}." for stage in tiny.stages for prefix in stage]
    for name, _ in tiny.named_parameters():
        assert sum(name.startswith(prefix) for prefix in prefixes) == 1


def test_the_graph_takes_any_size(tiny: Stylizer) -> None:
    graph = Graph(
        module=Main(tiny),
        example={
            "images": torch.zeros(2, 24, 32, 3, dtype=torch.uint8),
            "code": torch.zeros(2, CODE),
            "alpha": torch.ones(2),
        },
        outputs=("stylized",),
        golden=(),
        checked=(),
        dynamic={"images": {0: "N", 1: "H", 2: "W"}},
    )
    model = to_onnx(graph)
    [output] = model.graph.output
    dimensions = [dim.dim_param or dim.dim_value for dim in output.type.tensor_type.shape.dim]
    assert dimensions == ["N", "H", "W", 3]
    stored = io.BytesIO(model.SerializeToString()).getvalue()
    session = ort.InferenceSession(stored, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        code = Encode(tiny)(_images(1, 30, 20))[0].numpy()
    for count, height, width in ((1, LEAST_SIDE, LEAST_SIDE), (2, 19, 37), (3, 64, 24)):
        items = [
            {"images": picture.numpy(), "code": code, "alpha": np.float32(0.8)}
            for picture in _images(count, height, width)
        ]
        feed = {name: np.stack([item[name] for item in items]) for name in items[0]}
        [found] = session.run(None, feed)
        wanted = np.stack([item["stylized"] for item in reference(graph, items)])
        assert np.abs(found.astype(int) - wanted).max() <= 1
