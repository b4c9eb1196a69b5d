"""Photos in and out: upright, eight bits, sRGB."""

import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from liquidwarp.errors import MediaError
from liquidwarp.files import atomic_path, natural_key, prepare_target

__all__ = ["IMAGE_SUFFIXES", "Photo", "check_image_name", "find_images", "read_image", "save_image"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
MAX_SIDE = 4096
"""Longer photos are shrunk to this [px]: more detail than a network can use would only cost memory."""

_log = logging.getLogger(__name__)
_WRITTEN = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
"""Pillow's names of the formats that results can have."""
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


@dataclass(frozen=True)
class Photo:
    """One upright photo."""

    rgb: UInt8[np.ndarray, "H W 3"]
    """sRGB, not multiplied by alpha."""
    alpha: UInt8[np.ndarray, "H W"] | None
    """255 = opaque; None where the file has no transparency."""
    name: str
    """The file's name without folder and suffix."""


def read_image(path: str | Path) -> Photo:
    """Read a photo of any common kind.

    EXIF rotation is applied; grey, CMYK, palette and 16-bit pictures become eight-bit sRGB; of an animation the first
    frame is taken; a longer side than :data:`MAX_SIDE` is shrunk to it.

    Raises:
        MediaError: no such file, not an image, damaged, absurdly large, or HEIC without its plug-in.
    """
    path = Path(path)
    _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.draft("RGB", (MAX_SIDE, MAX_SIDE))
                upright = ImageOps.exif_transpose(image)
                profile = image.info.get("icc_profile")
                upright.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path}: the image is too large to be safe ({error}). Make it smaller first.") from error
    except UnidentifiedImageError as error:
        raise _not_an_image(path) from error
    except (OSError, RuntimeError, SyntaxError, ValueError) as error:
        raise MediaError(f"{path}: the image is damaged ({error}). Export or copy it again.") from error
    rgb, alpha = _eight_bit(upright, profile)
    return Photo(rgb, alpha, path.stem)


def find_images(folder: str | Path) -> list[Path]:
    """The images of a folder, ``frame2`` before ``frame10``; hidden files are left out.

    Raises:
        MediaError: no such folder, or no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MediaError(f"{folder}: no such folder. Check the spelling.")
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise MediaError(f"{folder}: expected a folder with images ({' '.join(IMAGE_SUFFIXES)}), found none in it.")
    return sorted(found, key=natural_key)


def save_image(
    path: str | Path,
    rgb: UInt8[np.ndarray, "H W 3"] | UInt8[np.ndarray, "H W"],
    alpha: UInt8[np.ndarray, "H W"] | None = None,
) -> Path:
    """Write an image; the file appears whole or not at all.

    Args:
        path: Its suffix chooses the format; the folder is made if need be.
        rgb: sRGB, or grey.
        alpha: 255 = opaque; only PNG, WebP and TIFF can hold it.

    Raises:
        MediaError: the suffix is unknown or cannot hold alpha, or the place cannot be written.
    """
    path = Path(path)
    check_image_name(path, alpha is not None)
    kind = _WRITTEN[path.suffix.lower()]
    pixels = rgb if alpha is None else np.dstack([rgb, alpha])
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    prepare_target(path)
    with atomic_path(path) as partial:
        Image.fromarray(pixels).save(partial, kind, **options)
    return path


def check_image_name(path: Path, alpha: bool = False) -> None:
    """Check that a picture can have this name.

    Args:
        path: Where it shall be written.
        alpha: Whether it has transparency.

    Raises:
        MediaError: the suffix is unknown or cannot hold alpha.
    """
    kind = _WRITTEN.get(path.suffix.lower())
    if kind is None:
        raise MediaError(f"{path}: expected a picture's name ending in {' '.join(_WRITTEN)}, got '{path.suffix}'.")
    if alpha and kind == "JPEG":
        raise MediaError(f"{path}: '{path.suffix}' cannot hold transparency. Choose .png.")


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise MediaError(f"{path}: expected an image, got a folder.")
    if not path.is_file():
        raise MediaError(f"{path}: no such file. Check the spelling.")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty. Copy it again.")
    with path.open("rb") as stream:
        head = stream.read(12)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        try:
            import pillow_heif  # type: ignore[import-not-found]  # an optional plug-in of the user's
        except ImportError:
            raise MediaError(
                f"{path}: HEIC photos need a plug-in. Run 'pip install pillow-heif', or export the photo as JPEG."
            ) from None
        pillow_heif.register_heif_opener()


def _not_an_image(path: Path) -> MediaError:
    return MediaError(f"{path}: expected an image ({' '.join(IMAGE_SUFFIXES)}), but its content is not one.")


def _eight_bit(
    image: Image.Image, profile: bytes | None
) -> tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"] | None]:
    """Colours and transparency as eight-bit arrays."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        values = np.asarray(image, dtype=np.float64)
        top = float(values.max(initial=0))
        full = 1.0 if image.mode == "F" and top <= 1 else 255.0 if top <= 255 and image.mode == "F" else 65535.0
        grey = np.clip(values * (255 / full) + 0.5, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2), None
    image = _to_srgb(image, profile)
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB")).copy(), None
    pixels = np.asarray(image.convert("RGBA"))
    alpha = pixels[..., 3].copy()
    return pixels[..., :3].copy(), None if bool((alpha == 255).all()) else alpha


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Phones write Display P3 and cameras Adobe RGB; shown as sRGB their skin tones would be wrong."""
    if not profile or image.mode not in ("RGB", "CMYK"):
        return image
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(given).lower():
            return image
        converted = ImageCms.profileToProfile(image, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        _log.warning("The colour profile cannot be used (%s); the colours are taken as sRGB.", error)
        return image
    return converted or image
