"""Make the pictures of docs/endpoints.md: ``python docs/make/guide_pictures.py``.

The real service with the shipped models is asked about pictures that its own page draws, in a
Chromium without a window.
"""

import base64
import io
from typing import Final

from contact_sheet import Tile, bars, lit, sheet
from PIL import Image
from real_service import ROOT, serving
from samples import drawn

from service.client import Sightline, Style

OUT: Final = ROOT / "docs/pictures"
DRAWINGS: Final = ("balloon", "sea", "bottle", "street")
"""What the page calls them, and the guide."""
PRESETS: Final = ("cypresses", "irises", "whalers", "seashore", "mosaic", "hatching")

BLENDS: Final[tuple[dict[str, float], ...]] = (
    {"plum": 1},
    {"plum": 0.7, "irises": 0.3},
    {"plum": 0.3, "irises": 0.7},
    {"irises": 1},
)


def read(encoded: bytes) -> Image.Image:
    """A picture that was answered."""
    return Image.open(io.BytesIO(encoded)).convert("RGB")


def classified(client: Sightline) -> Image.Image:
    """The balloon, and bars for what it is taken for."""
    found = client.classify(OUT / "balloon.webp", top_k=5).predictions
    picture = Image.open(OUT / "balloon.webp")
    return sheet([Tile(picture), Tile(bars([(one.label, one.score) for one in found]))], height=260)


def detected(client: Sightline) -> Image.Image:
    """Boxes as the service draws them."""
    found = [
        client.detect_drawn(OUT / "sea.webp", threshold=0.6),
        client.detect_drawn(OUT / "bottle.webp", threshold=0.9),
    ]
    return sheet([Tile(read(one)) for one in found], height=340)


def segmented(client: Sightline) -> Image.Image:
    """Classes as the service colours them."""
    found = [
        client.segment_drawn(OUT / "bottle.webp"),
        client.segment_drawn(OUT / "street.webp", model="camvid", min_area=500),
    ]
    return sheet([Tile(read(one)) for one in found], height=340)


def captioned(client: Sightline) -> Image.Image:
    """Where the model looked for each word of its caption, lit."""
    (best,) = client.caption(OUT / "sea.webp", attention=True).captions
    assert best.words is not None
    photo = Image.open(OUT / "sea.webp").convert("RGB")
    tiles = [
        Tile(lit(photo, read(base64.b64decode(word.attention)).convert("L")), word.word)
        for word in best.words
        if len(word.word) > 2  # not "a" and "is"
    ]
    return sheet(tiles, height=190, columns=3)


def in_styles(client: Sightline) -> Image.Image:
    """The balloon in six presets."""
    photo = OUT / "balloon.webp"
    styled = [Tile(read(client.stylize(photo, [Style(name)])), name) for name in PRESETS]
    return sheet(styled, height=190, columns=3)


def by_strength(client: Sightline) -> Image.Image:
    """The street, ever more in a style; and with its own colours kept."""
    photo, style = OUT / "street.webp", [Style("cypresses")]
    tiles = [
        Tile(read(client.stylize(photo, style, alpha=alpha)), f"alpha={alpha}")
        for alpha in (0.0, 0.4, 0.7, 1.0)
    ]
    kept = Tile(read(client.stylize(photo, style, preserve_color=True)), "preserve_color=true")
    return sheet([Tile(Image.open(photo), "as it was"), *tiles, kept], height=190, columns=3)


def blended(client: Sightline) -> Image.Image:
    """The boat between two styles."""
    tiles = []
    for shares in BLENDS:
        styles = [Style(name, share) for name, share in shares.items()]
        words = " + ".join(f"{name}:{share:g}" for name, share in shares.items())
        tiles.append(Tile(read(client.stylize(OUT / "sea.webp", styles)), words))
    return sheet(tiles, height=170, columns=4)


def main() -> None:
    """Write every picture, and tell how large it is."""
    made = {
        "classify": classified,
        "detect": detected,
        "segment": segmented,
        "caption": captioned,
        "stylize-presets": in_styles,
        "stylize-strength": by_strength,
        "stylize-blend": blended,
    }
    with serving() as (address, client):
        for name, encoded in drawn(DRAWINGS, address).items():
            (OUT / f"{name}.webp").write_bytes(encoded)
        for name, make in made.items():
            make(client).save(OUT / f"{name}.webp", quality=82, method=6)
    for name in (*DRAWINGS, *made):
        print(f"{name}.webp  {(OUT / name).with_suffix('.webp').stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
