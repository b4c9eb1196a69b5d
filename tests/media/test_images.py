import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from liquidwarp.errors import MediaError
from liquidwarp.media import find_images, images, read_image, save_image

from .conftest import quadrants, solid


def test_png_round_trip_is_exact(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
    alpha = np.random.default_rng(1).integers(0, 254, (9, 7), dtype=np.uint8)
    plain = read_image(save_image(tmp_path / "a.png", rgb))
    assert plain.alpha is None
    assert plain.name == "a"
    np.testing.assert_array_equal(plain.rgb, rgb)
    cut = read_image(save_image(tmp_path / "b.png", rgb, alpha))
    np.testing.assert_array_equal(cut.rgb, rgb)
    np.testing.assert_array_equal(cut.alpha, alpha)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(tmp_path, orientation):
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    upright = Image.fromarray(quadrants())
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").rgb, quadrants())


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA", "YCbCr"])
def test_other_modes(tmp_path, mode):
    suffix = "tif" if mode in ("CMYK", "YCbCr") else "png"
    Image.fromarray(solid(255)).convert(mode).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{suffix}").rgb, solid(255))


def test_sixteen_bits(tmp_path):
    values = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "depth.png")
    rgb = read_image(tmp_path / "depth.png").rgb
    assert np.abs(rgb[..., 0] - values / 257).max() <= 0.51


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=1)
    photo = read_image(tmp_path / "a.png")
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[255, 0]]
    assert photo.rgb[0, 0].tolist() == [255, 0, 0]


def test_first_page_of_an_animation(tmp_path):
    pages = [Image.fromarray(solid(value)) for value in (80, 160)]
    pages[0].save(tmp_path / "a.webp", save_all=True, append_images=pages[1:], lossless=True)
    assert read_image(tmp_path / "a.webp").rgb.mean() == pytest.approx(80, abs=1)


def profile_with_red_and_green_exchanged() -> bytes:
    """sRGB with two primaries exchanged, under another name."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data = bytearray(bytes(data).replace("sRGB".encode("utf-16-be"), "xRGB".encode("utf-16-be")))
    place = {}
    for index in range(struct.unpack(">I", data[128:132])[0]):
        tag, offset, _ = struct.unpack(">4sII", data[132 + 12 * index : 144 + 12 * index])
        place[tag] = slice(offset, offset + 20)
    red, green = place[b"rXYZ"], place[b"gXYZ"]
    data[red], data[green] = data[green], data[red]
    return bytes(data)


def test_colour_profile_is_converted_to_srgb(tmp_path):
    image = np.empty((4, 4, 3), np.uint8)
    image[:] = (200, 60, 40)
    Image.fromarray(image).save(tmp_path / "a.png", icc_profile=profile_with_red_and_green_exchanged())
    assert np.abs(read_image(tmp_path / "a.png").rgb[0, 0].astype(int) - (60, 200, 40)).max() <= 2


def test_broken_colour_profile_is_ignored(tmp_path, caplog):
    Image.fromarray(solid(100)).save(tmp_path / "a.png", icc_profile=b"not a profile")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").rgb, solid(100))
    assert "colour profile" in caplog.text


def test_huge_photo_is_shrunk(tmp_path):
    Image.new("L", (9000, 90)).save(tmp_path / "wide.png")
    assert read_image(tmp_path / "wide.png").rgb.shape == (41, 4096, 3)


def test_decompression_bomb(tmp_path, monkeypatch):
    Image.new("L", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(MediaError, match="too large to be safe"):
        read_image(tmp_path / "bomb.png")


def test_truncated_image(tmp_path):
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(data, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(data.getvalue()[:-1500])
    with pytest.raises(MediaError, match="damaged"):
        read_image(tmp_path / "cut.jpg")


def test_not_an_image(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    (tmp_path / "empty.jpg").write_text("")
    with pytest.raises(MediaError, match="content is not one"):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(MediaError, match="empty"):
        read_image(tmp_path / "empty.jpg")
    with pytest.raises(MediaError, match="no such file"):
        read_image(tmp_path / "b.jpg")
    with pytest.raises(MediaError, match="got a folder"):
        read_image(tmp_path)


def test_heic_without_its_plug_in(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 100)
    with pytest.raises(MediaError, match="pip install pillow-heif"):
        read_image(tmp_path / "IMG_1.HEIC")


def test_find_images_in_natural_order(tmp_path):
    for name in ("b10.png", "b9.JPG", "a.webp", "._b9.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_images(tmp_path)] == ["a.webp", "b9.JPG", "b10.png"]
    with pytest.raises(MediaError, match="no such folder"):
        find_images(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="found none"):
        find_images(tmp_path / "empty")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow knows no AVIF")
def test_damaged_avif_is_told(tmp_path):
    """Its decoder raises what no other does."""
    path = tmp_path / "photo.avif"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    begin = whole.rindex(b"mdat") + 4
    path.write_bytes(whole[:begin] + b"\xff" * (len(whole) - begin))
    with pytest.raises(MediaError, match="damaged"):
        read_image(path)


def test_save_errors(tmp_path):
    with pytest.raises(MediaError, match="expected a picture's name"):
        save_image(tmp_path / "a.xyz", solid(0))
    with pytest.raises(MediaError, match="transparency"):
        save_image(tmp_path / "a.jpg", solid(0), solid(0)[..., 0])
    assert list(tmp_path.iterdir()) == []
    assert images.MAX_SIDE == 4096
