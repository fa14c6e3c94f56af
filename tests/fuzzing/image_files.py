"""Folders of images in which one is of another kind, or damaged."""

from __future__ import annotations

import io
import shutil
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from .choices import perhaps_damaged, pick

FORMATS = {
    "PNG": ("RGB", "L", "1", "P", "LA", "RGBA", "I;16"),
    "JPEG": ("RGB", "L", "CMYK"),
    "GIF": ("L", "P"),
    "BMP": ("RGB", "L", "1", "P"),
    "TIFF": ("RGB", "L", "F", "CMYK", "I;16"),
    "PPM": ("RGB", "L", "1"),
    "WEBP": ("RGB", "RGBA"),
    "TGA": ("RGB",),
    "ICO": ("RGBA",),
}


@cache
def images() -> dict[str, bytes]:
    """Images of 6×5 pixels by what they are."""
    found = {"empty": b"", "text": b"not an image\n", "eps": EPS, "svg": b"<svg/>"}
    for form, modes in FORMATS.items():
        for mode in modes:
            found[f"{form} {mode}"] = _encoded(_image(mode), form)
    rgb = _image("RGB")
    found |= {
        "png 1×1": _encoded(rgb.resize((1, 1)), "PNG"),
        "png 6×6": _encoded(rgb.resize((6, 6)), "PNG"),
        "progressive jpeg": _encoded(rgb, "JPEG", progressive=True),
        "exif jpeg": _encoded(rgb, "JPEG", exif=EXIF),
        "bad exif jpeg": _encoded(rgb, "JPEG", exif=EXIF[:20]),
        "exif png": _encoded(rgb, "PNG", exif=EXIF),
        "lzw tiff": _encoded(rgb, "TIFF", compression="tiff_lzw"),
        "deflate tiff": _encoded(rgb, "TIFF", compression="tiff_adobe_deflate"),
        "transparent png": _encoded(rgb, "PNG", transparency=(0, 0, 0)),
        "text png": _encoded(rgb, "PNG") + b"trailing",
    }
    for form in ("GIF", "PNG", "TIFF", "WEBP"):
        found[f"animated {form}"] = _encoded(
            rgb, form, save_all=True, append_images=[rgb.rotate(90), rgb.rotate(180)]
        )
    for side in (0, 1, 20_000, 60_000, 2**31 - 1):
        found[f"png that claims {side}"] = png_that_claims(found["PNG RGB"], side)
    return found


EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
"""An orientation: rotated."""

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 6\n%%EndComments\nshowpage\n"


def png_that_claims(content: bytes, side: int) -> bytes:
    """A PNG whose header, with its own check sum, has another width and height."""
    start = content.index(b"IHDR")
    chunk = b"IHDR" + struct.pack(">2I", side, side) + content[start + 12 : start + 17]
    return content[:start] + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[start + 21 :]


def wrong_image_folder(rng: np.random.Generator, folder: Path) -> Path:
    """Two classes of two PNGs in colour, or parts of them, one of which is another image."""
    shutil.rmtree(folder, ignore_errors=True)
    parts = pick(rng, ((".",), (".",), ("train", "test")))
    good = images()["PNG RGB"]
    for part in parts:
        for name in ("cat", "dog"):
            place = folder / part / name
            place.mkdir(parents=True)
            for number in range(2):
                (place / f"{number}.png").write_bytes(good)
    part = folder / pick(rng, parts)
    path = part / pick(rng, ("cat", "dog")) / "1.png"
    kind = rng.random()
    if kind < 0.9:
        content = images()[pick(rng, tuple(images()))]
        path.write_bytes(perhaps_damaged(rng, content, share=0.7))
    else:
        path.unlink()
        pick(
            rng,
            (
                lambda: path.mkdir(),
                lambda: path.symlink_to("nowhere"),
                lambda: path.symlink_to(path.name),
                lambda: path.symlink_to("/dev/zero"),
                lambda: shutil.rmtree(path.parent),
                lambda: (part / "bird").mkdir(),
                lambda: (folder / "validation").mkdir(),
                lambda: path.parent.rename(part / "\udcff"),
            ),
        )()
    return folder


def _image(mode: str) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    image = Image.fromarray(pixels)
    return image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()
