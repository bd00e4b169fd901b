"""Loops and stacks: the first frame unless another is asked for; what is none is a sentence."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from thyro_demo.data import images, raster
from thyro_demo.data.frame import MAX_FRAMES
from thyro_demo.errors import ImageError

SHADES = (10, 90, 170)
FRAMES = [Image.new("L", (52, 40), shade) for shade in SHADES]


def stored(frames, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    # Pillow leaves settings of one format with the image.
    frames = [frame.copy() for frame in frames]
    several = {"save_all": True, "append_images": frames[1:]} if frames[1:] else {}
    frames[0].save(stream, kind, **several, **options)
    return stream.getvalue()


def refused(content: bytes, number: int = 1) -> str:
    """Return the one sentence with which a frame is refused."""
    with pytest.raises(ImageError) as caught:
        images.load(content, number)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert " Received: " in sentence
    return sentence


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("GIF", {}),
        ("WEBP", {"lossless": True}),
        ("PNG", {}),
        ("PNG", {"default_image": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_each_frame_is_read_by_its_number(kind, options):
    content = stored(FRAMES, kind, **options)
    for number, shade in enumerate(SHADES, 1):
        frame = images.load(content, number)
        assert (frame.number, frame.count, frame.notices) == (number, 3, ())
        assert (frame.pixels == shade).all()
    np.testing.assert_array_equal(images.decode(content), images.load(content).pixels)
    assert "from 1 to 3. Received: frame=4" in refused(content, 4)
    assert "frame=0" in refused(content, 0)
    assert images.preview(content, longest=26).count == 3


def test_a_still_image_has_one_frame():
    content = stored(FRAMES[:1], "PNG")
    assert images.load(content).count == 1
    assert "1, the only one. Received: frame=2" in refused(content, 2)


def test_a_photo_with_a_preview_after_it_has_one_frame():
    assert images.load(stored(FRAMES, "MPO", quality=95)).count == 1


def test_frames_of_a_gif_are_composed_of_those_before():
    first, second = np.zeros((40, 52, 3), np.uint8), np.zeros((40, 52, 3), np.uint8)
    first[:, :20] = (250, 0, 0)
    second[:, :20], second[:, 30:] = (250, 0, 0), (0, 250, 0)
    content = stored([Image.fromarray(first), Image.fromarray(second)], "GIF")
    np.testing.assert_array_equal(images.load(content, 2).pixels, second)


@pytest.mark.parametrize("dtype", ["u2", "f4", "f8", "u8"])
def test_a_page_of_a_deep_stack_is_scaled_by_its_own_range(dtype):
    ramp = np.linspace(0, 200, 40 * 52).reshape(40, 52)
    stack = np.stack([ramp, 3 * ramp, np.zeros((40, 52))]).astype(dtype)
    stream = io.BytesIO()
    tifffile.imwrite(stream, stack, photometric="minisblack")
    content = stream.getvalue()
    for number in (1, 2):
        frame = images.load(content, number)
        assert frame.count == 3
        np.testing.assert_allclose(frame.pixels[..., 0], ramp / 200 * 255, atol=2)
    assert not images.load(content, 3).pixels.any()
    assert "frame=4" in refused(content, 4)


def test_pages_may_have_sizes_of_their_own():
    pages = [Image.new("L", (52, 40), 10), Image.new("L", (64, 48), 20), Image.new("L", (9, 9))]
    content = stored(pages, "TIFF")
    assert images.load(content, 2).pixels.shape == (48, 64, 3)
    assert "9 × 9" in refused(content, 3)


def test_a_loop_that_is_cut_off_keeps_its_first_frames():
    noise = np.random.default_rng(0).integers(0, 255, (3, 40, 52), np.uint8)
    content = stored([Image.fromarray(frame) for frame in noise], "GIF")
    cut = content[: int(0.9 * len(content))]
    np.testing.assert_array_equal(images.decode(cut)[..., 0], noise[0])
    assert "whole" in refused(cut, 3)


def test_frames_that_take_too_long_to_reach_are_reported(monkeypatch):
    monkeypatch.setattr(raster, "LOOP_PIXELS", 2 * 52 * 40)
    content = stored(FRAMES, "GIF")
    frame = images.load(content)
    assert frame.count == 2
    assert frame.notices == ("This loop has 3 frames; the first 2 can be shown.",)
    assert "from 1 to 2" in refused(content, 3)
    # A page needs none before it.
    assert images.load(stored(FRAMES, "TIFF"), 3).notices == ()


def test_more_frames_than_a_loop_has_are_refused_and_not_counted():
    gif = stored(FRAMES[:1], "GIF")
    one = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    assert "more than 5,000 frames" in refused(gif[:-1] + one * 1_000_000 + b";")
    assert images.load(gif[:-1] + one * 4_000 + b";", 4_001).count == 4_001
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((MAX_FRAMES + 1, 32, 32), np.uint8), metadata=None)
    assert "at most 5,000 frames" in refused(stream.getvalue())


@pytest.mark.parametrize("stated", [2, 1000, 2**31 - 1])
def test_a_png_that_states_frames_it_does_not_hold_offers_those_that_it_holds(stated):
    content = stored(FRAMES, "PNG")
    place = content.index(b"acTL") + 4
    wrong = content[:place] + struct.pack(">I", stated) + content[place + 4 :]
    # The checksum fails too, and what is left is a still image.
    assert images.load(wrong).count in (1, 2, 3, 4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("turn", [1, 6])
def test_a_preview_is_the_frame_made_small_and_knows_the_size_of_the_frame(kind, turn):
    smooth = np.add.outer(np.arange(300), np.arange(400)).astype(np.float64)
    exif = Image.Exif()
    exif[0x0112] = turn
    stream = io.BytesIO()
    Image.fromarray((smooth / 3).astype(np.uint8)).save(stream, kind, exif=exif.tobytes())
    whole, small = images.load(stream.getvalue()), images.preview(stream.getvalue(), longest=100)
    assert max(small.pixels.shape) == 100
    assert small.size == whole.pixels.shape[1::-1] == ((400, 300) if turn == 1 else (300, 400))
    reduced = Image.fromarray(whole.pixels).resize(small.pixels.shape[1::-1])
    assert np.abs(np.asarray(reduced).astype(int) - small.pixels).mean() < 3


def test_a_preview_never_grows_and_a_damaged_file_has_none():
    content = stored(FRAMES[:1], "JPEG")
    assert images.preview(content, longest=1000).pixels.shape == (40, 52, 3)
    with pytest.raises(ImageError, match="whole"):
        images.preview(content[: len(content) // 2], longest=20)
