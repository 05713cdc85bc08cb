"""Styles that a model knows by name, as codes: no picture of anybody's is part of a model."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from service.contract import InputGeometry
from service.images import Limits, decode
from service.presets import Preset
from service.resize import fit
from training.data.paintings import painting
from training.golden import golden_pictures
from training.nets.style.stylizer import Encode, Main, Stylizer
from training.tasks.stylize.drawn_styles import DRAWN

#: The museum's number of a painting, and what it is.
_PAINTINGS: Mapping[str, tuple[int, str]] = {
    "cypresses": (436535, "Vincent van Gogh, Wheat Field with Cypresses, 1889"),
    "irises": (436528, "Vincent van Gogh, Irises, 1890"),
    "sideshow": (437654, "Georges Seurat, Circus Sideshow, 1887-88"),
    "park": (437658, 'Georges Seurat, Study for "A Sunday on La Grande Jatte", 1884'),
    "trees": (459092, "Paul Cézanne, Trees and Houses Near the Jas de Bouffan, 1885-86"),
    "seashore": (437430, "Auguste Renoir, By the Seashore, 1883"),
    "boating": (436947, "Edouard Manet, Boating, 1874"),
    "whalers": (437854, "Joseph Mallord William Turner, Whalers, about 1845"),
    "toledo": (436575, "El Greco, View of Toledo, about 1599-1600"),
    "tahiti": (438821, "Paul Gauguin, Ia Orana Maria, 1891"),
    "lion": (438822, "Henri Rousseau, The Repast of the Lion, about 1907"),
    "plum": (44858, "Kano Sansetsu, Old Plum, 1646"),
}
_MUSEUM = "The Metropolitan Museum of Art, object {}"
_PUBLIC_DOMAIN = "public domain (CC0-1.0)"
_THUMBNAIL = 128


def named_styles(net: Stylizer, style_side: int, downloads: Path | None = None) -> Iterator[Preset]:
    """Compute the codes of paintings and of drawn styles, and show each on a drawn picture.

    Args:
        net: in evaluation mode, with the weights it is served with.
        style_side: longest side of a style, in pixels.
        downloads: a folder that may hold the paintings' package already.

    Raises:
        FileError: the paintings cannot be had.
    """
    geometry = InputGeometry(height=style_side, width=style_side, resize="pad_to_multiple")
    for name, (number, title) in _PAINTINGS.items():
        pixels = fit(decode(painting(number, downloads), Limits()), geometry)[0]
        yield _preset(net, name, title, _MUSEUM.format(number), _PUBLIC_DOMAIN, pixels)
    yield from drawn_presets(net)


def drawn_presets(net: Stylizer) -> Iterator[Preset]:
    """Those styles alone that are drawn by code; ``net`` as for ``named_styles``."""
    for name, (title, draw) in DRAWN.items():
        yield _preset(net, name, title, "drawn by code", "Apache-2.0", draw())


@torch.inference_mode()
def _preset(
    net: Stylizer, name: str, title: str, source: str, licence: str, pixels: NDArray[np.uint8]
) -> Preset:
    code = Encode(net)(torch.from_numpy(np.array(pixels)[None]))
    content = torch.from_numpy(golden_pictures(_THUMBNAIL, _THUMBNAIL)[0][None])
    shown = Main(net)(content, code, torch.ones(1))[0].numpy()
    jpeg = io.BytesIO()
    Image.fromarray(shown).save(jpeg, "JPEG", quality=85)
    return Preset(name, title, source, licence, code[0].numpy(), jpeg.getvalue())
