"""HEIC: read as other photos are, and turned upright exactly once."""

import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from thyro_demo.data import images
from thyro_demo.errors import ImageError

# Corners of four colours: HEIC is lossy, but no corner is taken for another.
CORNERS = np.full((64, 96, 3), 128, np.uint8)
CORNERS[:24, :32], CORNERS[:24, 64:] = (230, 20, 20), (20, 230, 20)
CORNERS[40:, :32], CORNERS[40:, 64:] = (20, 20, 230), (230, 230, 20)

UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def heic(pixels: np.ndarray = CORNERS, turn: int = 1, frames: int = 1) -> bytes:
    """Write a photo as a phone does: turned by its container, and stated in its EXIF as well."""
    exif = Image.Exif()
    exif[0x0112] = turn
    file = pillow_heif.from_pillow(Image.fromarray(pixels))
    file.info["exif"] = exif.tobytes()
    for shade in range(1, frames):
        file.add_from_pillow(Image.new("RGB", (96, 64), (shade, shade, shade)))
    stream = io.BytesIO()
    file.save(stream, quality=95, chroma=444)
    return stream.getvalue()


def is_like(decoded: np.ndarray, wanted: np.ndarray) -> bool:
    return decoded.shape == wanted.shape and np.abs(decoded.astype(int) - wanted).mean() < 8


@pytest.mark.parametrize("turn", UPRIGHT)
def test_a_photo_is_turned_upright_exactly_once(turn):
    content = heic(turn=turn)
    decoded = images.decode(content)
    assert is_like(decoded, UPRIGHT[turn](CORNERS))
    # No other turn would pass for it.
    assert [other for other in UPRIGHT if is_like(decoded, UPRIGHT[other](CORNERS))] == [turn]
    assert images.size(content) == decoded.shape[1::-1]


@pytest.mark.parametrize("turn", [3, 6, 8])
def test_the_container_turns_a_photo_whose_exif_is_silent(turn):
    content = heic(turn=turn)
    tag = b"\x01\x12\0\x03\0\0\0\x01\0"
    assert content.count(tag + bytes([turn])) == 1
    silent = content.replace(tag + bytes([turn]), tag + b"\x01")
    assert is_like(images.decode(silent), UPRIGHT[turn](CORNERS))


@pytest.mark.parametrize("turn", [3, 6, 8])
def test_exif_alone_turns_nothing_as_the_standard_asks(turn):
    """ISO/IEC 23008-12, A.2.4: the container alone decides how an image is shown."""
    content = heic(turn=turn)
    assert content.count(b"irot") == 1
    alone = content.replace(b"irot", b"free")
    assert is_like(images.decode(alone), CORNERS)


def test_grey_alpha_and_more_bits_are_read():
    ramp = np.add.outer(np.arange(64), np.arange(96)).astype(np.uint8)
    for image in (Image.fromarray(ramp), Image.fromarray(ramp).convert("RGBA")):
        stream = io.BytesIO()
        pillow_heif.from_pillow(image).save(stream, quality=95)
        decoded = images.decode(stream.getvalue())
        assert is_like(decoded, np.repeat(ramp[..., None], 3, 2))
    deep = np.repeat((ramp.astype(np.uint16) << 8)[..., None], 3, 2)
    stream = io.BytesIO()
    pillow_heif.encode("RGB;16", (96, 64), deep.tobytes(), stream, quality=95)
    assert is_like(images.decode(stream.getvalue()), np.repeat(ramp[..., None], 3, 2))


def test_of_several_images_the_primary_one_is_read():
    frame = images.load(heic(frames=3))
    assert frame.count == 1
    assert is_like(frame.pixels, CORNERS)


@pytest.mark.parametrize("suffix", [".heic", ".HEIF", ".hif", ".jpg", ""])
def test_the_content_counts_and_not_the_name(tmp_path, suffix):
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(heic())
    assert is_like(images.decode(path), CORNERS)
    assert images.begins_like_one(path)


def test_a_preview_of_a_photo_on_its_side_is_small_and_upright():
    small = images.preview(heic(turn=6), longest=48)
    assert (small.pixels.shape, small.size) == ((48, 32, 3), (64, 96))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_photo_that_is_cut_off_is_one_sentence(share):
    content = heic()
    with pytest.raises(ImageError) as caught:
        images.decode(content[: int(share * len(content))])
    assert " Received: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_photo_that_claims_to_be_vast_is_one_sentence():
    content = heic()
    place = content.index(b"ispe") + 8
    vast = content[:place] + (30_000).to_bytes(4, "big") * 2 + content[place + 8 :]
    with pytest.raises(ImageError, match="Received: "):
        images.decode(vast)


def test_a_small_photo_is_refused_by_its_size():
    with pytest.raises(ImageError, match="at least 32 pixels"):
        images.decode(heic(CORNERS[:20, :64].copy()))


def test_avif_is_named_as_unknown_and_not_taken_for_heic():
    content = bytearray(heic())
    content[8:12] = b"avif"
    with pytest.raises(ImageError, match="unknown format"):
        images.decode(bytes(content))
