"""Decoding: every accepted way to store an image yields the same pixels, the rest one sentence."""

import concurrent.futures
import contextlib
import io
import os
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from thyro_demo.data import contents, images
from thyro_demo.errors import ImageError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (40, 52), np.uint8)
COLOUR = RNG.integers(0, 256, (40, 52, 3), np.uint8)
SMOOTH = np.repeat(np.add.outer(np.arange(40), 2 * np.arange(52)).astype(np.uint8)[..., None], 3, 2)


def stored(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


WHOLE = {
    kind: stored(Image.fromarray(SMOOTH), kind)
    for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
}


def png_header(width: int, height: int) -> bytes:
    """Write a PNG that declares a size and holds no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def refused(source: object) -> str:
    """Return the one sentence with which a source is refused."""
    with pytest.raises(ImageError) as caught:
        images.decode(source)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert " Received: " in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_formats_keep_every_pixel(kind: str, options: dict[str, object]) -> None:
    decoded = images.decode(stored(Image.fromarray(COLOUR), kind, **options))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, COLOUR)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_keep_a_smooth_image_nearly(kind: str) -> None:
    decoded = images.decode(stored(Image.fromarray(SMOOTH), kind, quality=95))
    assert np.abs(decoded.astype(int) - SMOOTH).mean() < 3


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "PPM"])
def test_a_grey_image_has_three_equal_channels(kind: str) -> None:
    decoded = images.decode(stored(Image.fromarray(GREY), kind))
    np.testing.assert_array_equal(decoded, np.repeat(GREY[..., None], 3, 2))


def test_a_palette_is_looked_up() -> None:
    indices = RNG.integers(0, 3, (40, 52), np.uint8)
    palette = np.array([[250, 3, 40], [0, 90, 200], [17, 17, 17]], np.uint8)
    image = Image.frombytes("P", (52, 40), indices.tobytes())
    image.putpalette(palette.ravel().tolist())
    np.testing.assert_array_equal(images.decode(stored(image, "PNG")), palette[indices])


def test_transparency_is_over_black() -> None:
    alpha = np.full((40, 52, 1), 255, np.uint8)
    alpha[:20] = 0
    decoded = images.decode(stored(Image.fromarray(np.dstack([COLOUR, alpha])), "PNG"))
    assert not decoded[:20].any()
    np.testing.assert_array_equal(decoded[20:], COLOUR[20:])


def test_grey_with_alpha_and_a_transparent_palette_entry_are_over_black() -> None:
    half = Image.merge("LA", [Image.new("L", (40, 40), 200), Image.new("L", (40, 40), 128)])
    assert np.abs(images.decode(stored(half, "PNG")).astype(int) - 100).max() <= 1
    palette = Image.new("P", (40, 40), 1)
    palette.putpalette([9, 9, 9, 255, 255, 255])
    assert not images.decode(stored(palette, "PNG", transparency=1)).any()


def test_cmyk_becomes_rgb() -> None:
    cmyk = Image.fromarray(SMOOTH).convert("CMYK")
    np.testing.assert_array_equal(images.decode(stored(cmyk, "TIFF")), SMOOTH)


def test_one_bit_becomes_black_and_white() -> None:
    bits = GREY > 127
    decoded = images.decode(stored(Image.fromarray(bits), "PNG"))
    np.testing.assert_array_equal(decoded[..., 0], np.where(bits, 255, 0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("span", [(0, 65535), (0, 4095), (1000, 1255)])
def test_sixteen_bits_are_scaled_by_their_own_range(kind: str, span: tuple[int, int]) -> None:
    deep = np.linspace(*span, 40 * 52).round().astype(np.uint16).reshape(40, 52)
    decoded = images.decode(stored(Image.fromarray(deep), kind))
    assert decoded.min() == 0
    assert decoded.max() == 255
    expected = (deep - float(span[0])) / (span[1] - span[0]) * 255
    assert np.abs(decoded[..., 0] - expected).max() <= 0.5 + 1e-9


def test_big_endian_sixteen_bits_are_read() -> None:
    deep = np.linspace(0, 60000, 40 * 52).astype(np.uint16).reshape(40, 52)
    native = images.decode(stored(Image.fromarray(deep), "TIFF"))
    foreign = Image.frombytes("I;16B", (52, 40), deep.astype(">u2").tobytes())
    np.testing.assert_array_equal(images.decode(stored(foreign, "TIFF")), native)


@pytest.mark.parametrize("scale", [1.0, 1e-6, 3e38])
def test_floats_are_scaled_by_their_own_range(scale: float) -> None:
    values = (np.linspace(-1, 1, 40 * 52) * scale).astype(np.float32).reshape(40, 52)
    decoded = images.decode(stored(Image.fromarray(values), "TIFF"))
    assert decoded[0, 0, 0] == 0
    assert decoded[-1, -1, 0] == 255
    assert (np.diff(decoded[..., 0].ravel().astype(int)) >= 0).all()


def test_a_constant_deep_image_is_black() -> None:
    deep = Image.fromarray(np.full((40, 40), 777, np.uint16))
    assert not images.decode(stored(deep, "TIFF")).any()


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_exif_orientation_is_applied(orientation: int, upright: object) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = images.decode(stored(Image.fromarray(COLOUR), "PNG", exif=exif.tobytes()))
    np.testing.assert_array_equal(decoded, upright(COLOUR))


def test_a_photo_with_a_preview_after_it_is_accepted() -> None:
    first, second = Image.fromarray(SMOOTH), Image.new("RGB", (52, 40))
    with_preview = stored(first, "MPO", save_all=True, append_images=[second], quality=95)
    assert np.abs(images.decode(with_preview).astype(int) - SMOOTH).mean() < 3


def test_path_bytes_and_archive_member_hold_the_same_pixels(tmp_path) -> None:
    content = stored(Image.fromarray(COLOUR), "PNG")
    file = tmp_path / "frame of α.png"
    file.write_bytes(content)
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("n01/frame.png", content)
    for source in (content, file, str(file), f"{archive}::n01/frame.png"):
        np.testing.assert_array_equal(images.decode(source), COLOUR)


def test_a_file_may_be_called_like_a_member_of_an_archive(tmp_path) -> None:
    file = tmp_path / "a::b.png"
    file.write_bytes(stored(Image.fromarray(COLOUR), "PNG"))
    np.testing.assert_array_equal(images.decode(str(file)), COLOUR)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes among its files")
def test_what_may_never_end_is_not_read(tmp_path) -> None:
    os.mkfifo(tmp_path / "a.png")
    for source in (tmp_path / "a.png", "/dev/zero"):
        assert "a device or a pipe" in refused(str(source))


def test_what_would_fill_the_memory_is_not_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(contents, "MOST_BYTES", 1000)
    (tmp_path / "a.png").write_bytes(bytes(1001))
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("a.png", bytes(1001))
    for source in (tmp_path / "a.png", f"{tmp_path / 'set.zip'}::a.png"):
        assert "at most 1,000 bytes. Received: " in refused(str(source))


def test_an_archive_written_anew_is_read_anew(tmp_path) -> None:
    archive = tmp_path / "set.zip"
    for shade in (50, 100):
        archive.unlink(missing_ok=True)
        with zipfile.ZipFile(archive, "w") as members:
            members.writestr("a.png", stored(Image.new("L", (40, 40), shade), "PNG"))
        assert images.decode(f"{archive}::a.png")[0, 0, 0] == shade


def test_a_missing_member_and_a_false_archive_are_refused(tmp_path) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("a.txt", "words")
    assert "b.png" in refused(f"{archive}::b.png")
    assert "text" in refused(f"{archive}::a.txt")
    (tmp_path / "false.zip").write_text("no archive")
    assert "zip archive" in refused(f"{tmp_path / 'false.zip'}::a.png")


def packed(compression: int) -> bytes:
    """Pack one undamaged image as a.png."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as members:
        members.writestr("a.png", WHOLE["PNG"])
    return stream.getvalue()


ARCHIVES = {
    kind: packed(kind)
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
}


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("flags", 1, "password"),  # encrypted
        ("method", 99, "compression"),  # of a kind that nobody has defined
        ("content", 255, "zip archive"),  # no block of a deflated stream begins so
    ],
)
def test_a_member_that_cannot_be_unpacked_is_refused(tmp_path, field, value, word) -> None:
    content = bytearray(ARCHIVES[zipfile.ZIP_DEFLATED])
    directory = content.rindex(b"PK\x01\x02")
    places = {
        "flags": (6, directory + 8),
        "method": (8, directory + 10),
        "content": (30 + len("a.png"),),
    }
    for place in places[field]:
        content[place] = value
    (tmp_path / "set.zip").write_bytes(content)
    assert word in refused(f"{tmp_path / 'set.zip'}::a.png")


def test_what_is_no_file_is_refused(tmp_path) -> None:
    assert "folder" in refused(tmp_path)
    refused("x" * 5000)
    refused("x" * 5000 + "::a.png")
    assert "nowhere.png" in refused(tmp_path / "nowhere.png")
    refused("a\0b.png")


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("notes.jpg", b"these are words, not pixels\n", "text"),
        ("cut.jpg", stored(Image.fromarray(COLOUR), "JPEG")[:900], "whole"),
        ("cut.png", stored(Image.fromarray(COLOUR), "PNG")[:900], "whole"),
        ("dot.png", stored(Image.new("RGB", (1, 1)), "PNG"), "1 × 1"),
        ("strip.png", stored(Image.new("RGB", (400, 31)), "PNG"), "400 × 31"),
        ("empty.png", b"", "0 bytes"),
        ("large.png", png_header(10_000, 10_000), "100,000,000"),
        ("vast.png", png_header(100_000, 100_000), "at most"),
        ("drawing.svg", b'<?xml version="1.0"?><svg width="9" height="9"></svg>', "SVG"),
        ("paper.pdf", b"%PDF-1.7\n\xff\xfe", "PDF"),
        ("scan.dcm", bytes(128) + b"DICM" + bytes(64), "DICOM"),
        ("noise.bin", bytes(range(256)), "unknown"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, name, content, word) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    sentence = refused(file)
    assert name in sentence
    assert word in sentence
    refused(content)


def test_the_size_is_known_before_anything_is_decoded(monkeypatch) -> None:
    monkeypatch.setattr(
        Image.Image, "load", lambda image: pytest.fail("decoded before the size was checked")
    )
    refused(png_header(10_000, 10_000))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_floats_that_are_not_finite_are_refused(bad: float) -> None:
    values = np.ones((40, 40), np.float32)
    values[3, 4] = bad
    assert "finite" in refused(stored(Image.fromarray(values), "TIFF"))


def test_threads_may_decode_at_once() -> None:
    before = list(warnings.filters)
    content = stored(Image.fromarray(COLOUR), "PNG")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for decoded in pool.map(images.decode, [content] * 64):
            np.testing.assert_array_equal(decoded, COLOUR)
    assert warnings.filters == before


def test_no_warning_leaks_and_no_filter_changes() -> None:
    before = list(warnings.filters)
    images.decode(stored(Image.fromarray(COLOUR), "PNG"))
    refused(png_header(9_500, 9_500))
    assert warnings.filters == before


DAMAGE = {
    "cut": st.floats(0, 1),
    "flips": st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=4),
}


def damaged(whole: bytes, cut: float, flips: list[tuple[float, int]]) -> bytes:
    content = bytearray(whole)
    for place, pattern in flips:
        content[int(place * len(content))] ^= pattern
    return bytes(content[: int(cut * len(content))])


def check_image_or_sentence(source: bytes | str) -> None:
    decoded = None
    with contextlib.suppress(ImageError):
        decoded = images.decode(source)
    if decoded is not None:
        assert decoded.dtype == np.uint8
        assert decoded.ndim == 3
        assert decoded.shape[2] == 3


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(WHOLE)), **DAMAGE)
def test_damage_leads_to_an_image_or_a_sentence(kind, cut, flips) -> None:
    check_image_or_sentence(damaged(WHOLE[kind], cut, flips))


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(ARCHIVES)), **{**DAMAGE, "cut": st.sampled_from([1.0, 0.9])})
def test_damage_of_an_archive_leads_to_an_image_or_a_sentence(
    tmp_path_factory, kind, cut, flips
) -> None:
    # A name of its own for each: archives are kept open by name and time.
    archive = tmp_path_factory.mktemp("damaged") / "set.zip"
    archive.write_bytes(damaged(ARCHIVES[kind], cut, flips))
    check_image_or_sentence(f"{archive}::a.png")


# --- TIFF of every depth


def deep(dtype: str, white_is_zero: bool) -> np.ndarray:
    """Write `SMOOTH` over its whole range with another depth."""
    share = (SMOOTH[..., 0] - SMOOTH.min()) / np.ptp(SMOOTH)
    share = 1 - share if white_is_zero else share
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return share.astype(kind)
    span = np.iinfo(kind)
    # Halved, so that the whole range of 64 bits stays within what a float can separate.
    return np.round(share * (span.max // 2)).astype(kind) + (span.min // 2 if span.min else 0)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("dtype", ["i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"])
def test_a_tiff_of_any_depth_holds_the_same_frame(dtype, photometric, compression, byteorder):
    stream = io.BytesIO()
    values = deep(dtype, photometric == "miniswhite")
    tifffile.imwrite(
        stream, values, photometric=photometric, compression=compression, byteorder=byteorder
    )
    wanted = np.rint((SMOOTH - SMOOTH.min()) / np.ptp(SMOOTH) * 255)
    # 8 bits with a sign hold half as many greys.
    limit = 4 if dtype == "i1" else 1
    np.testing.assert_allclose(images.decode(stream.getvalue()), wanted, atol=limit)


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
@pytest.mark.parametrize("dtype", ["u2", "f8"])
def test_a_deep_tiff_is_turned_as_its_tag_asks(dtype, turn):
    stream, plain = io.BytesIO(), Image.fromarray(SMOOTH)
    tifffile.imwrite(stream, deep(dtype, False), extratags=[(274, 3, 1, turn, True)])
    plain.getexif()[274] = turn
    wanted = images.decode(stored(plain, "PNG", exif=plain.getexif())).astype(float)
    wanted = (wanted - wanted.min()) / np.ptp(wanted) * 255
    np.testing.assert_allclose(images.decode(stream.getvalue()), wanted, atol=1)
    assert images.size(stream.getvalue()) == wanted.shape[1::-1]


@pytest.mark.parametrize(
    ("values", "photometric"),
    [
        (np.full((40, 52), np.nan), "minisblack"),
        (np.zeros((40, 52, 3)), "rgb"),
        (np.zeros((8, 52)), "minisblack"),
        (np.zeros((40, 52), np.complex128), "minisblack"),
    ],
    ids=["nan", "colour", "low", "complex"],
)
def test_a_deep_tiff_that_is_no_frame_is_one_true_sentence(values, photometric):
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, photometric=photometric)
    sentence = refused(stream.getvalue())
    assert "unknown format" not in sentence


# --- PNG whose pixels are whole


def chunk(kind: bytes, content: bytes, checksum: bytes | None = None, length: int | None = None):
    body = kind + content
    size = struct.pack(">I", len(content) if length is None else length)
    return size + body + (struct.pack(">I", zlib.crc32(body)) if checksum is None else checksum)


NOTES = {
    "checksum": chunk(b"tEXt", b"Comment\0hello", b"abcd"),
    "too long": chunk(b"tEXt", b"Comment\0hello", length=500),
    "far too long": chunk(b"tEXt", b"Comment\0hello", length=2**31 + 5),
    "too short": chunk(b"tEXt", b"Comment\0hello", length=3),
    "not packed": chunk(b"zTXt", b"Comment\0\0garbage"),
    "no such packing": chunk(b"zTXt", b"Comment\0\5garbage"),
    "a bomb": chunk(b"zTXt", b"C\0\0" + zlib.compress(bytes(70_000_000))),
    "no text": chunk(b"iTXt", b"Comment\0\1\0en\0x\0\xff\xfe"),
    "exif": chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff\x12\x01"),
    "exif checksum": chunk(b"eXIf", b"MM\0*\0\0\0\x08", b"zzzz"),
    "empty exif": chunk(b"eXIf", b""),
    "profile": chunk(b"iCCP", b"x\0\0zz"),
    "scale": chunk(b"pHYs", b"123"),
    "gamma": chunk(b"gAMA", b"1"),
    "time": chunk(b"tIME", b"1"),
    "a name in it": chunk(b"tEXt", b"Comment\0IDAT IEND", b"abcd"),
}


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_a_png_with_a_damaged_note_keeps_its_pixels(note, before):
    whole = stored(Image.fromarray(COLOUR), "PNG")
    place = whole.index(b"IDAT" if before else b"IEND") - 4
    content = whole[:place] + note + whole[place:]
    np.testing.assert_array_equal(images.decode(content), COLOUR)
    assert images.size(content) == (52, 40)


@pytest.mark.parametrize("note", ["", "checksum", "too long"])
def test_a_png_with_damaged_pixels_is_refused_whatever_its_notes(note):
    whole = bytearray(stored(Image.fromarray(COLOUR), "PNG"))
    whole[-60] ^= 255
    place = whole.index(b"IDAT") - 4
    sentence = refused(bytes(whole[:place]) + NOTES.get(note, b"") + bytes(whole[place:]))
    assert "damaged" in sentence


def test_a_jpeg_with_damaged_exif_keeps_its_pixels():
    plain = stored(Image.fromarray(SMOOTH), "JPEG")
    content = stored(Image.fromarray(SMOOTH), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01")
    np.testing.assert_array_equal(images.decode(content), images.decode(plain))


def test_the_size_is_that_of_the_decoded_image(tmp_path):
    turned = Image.fromarray(SMOOTH)
    turned.getexif()[274] = 8
    for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        content = stored(turned, kind, exif=turned.getexif())
        assert images.size(content) == images.decode(content).shape[1::-1] == (40, 52)
    with pytest.raises(ImageError, match="Received: "):
        images.size(b"no image")


def test_unreadable_images_of_a_set_are_reported_by_place(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        path.write_bytes(WHOLE["PNG"])
    paths[2].write_bytes(b"no image")
    paths[3].unlink()
    bad = images.unreadable(paths)
    assert list(bad) == [2, 3]
    assert "2.png" in bad[2]
