"""DICOM: every transfer syntax yields the same pixels; tags stay behind; the rest is a sentence."""

import io
import logging
import logging.config
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, examples
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from thyro_demo.bench.dicom_files import LOSSLESS, LOSSY, write
from thyro_demo.clinical import measurement
from thyro_demo.data import dicom, images
from thyro_demo.data.frame import MAX_FRAMES, Spacing
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import ImageError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (1, 40, 52), np.uint8)
COLOUR = RNG.integers(0, 256, (1, 40, 52, 3), np.uint8)
DEEP = np.linspace(0, 4095, 40 * 52).round().astype(np.uint16).reshape(1, 40, 52)
SMOOTH = np.add.outer(np.arange(40), 2 * np.arange(52)).astype(np.uint8)[None]
EXPLICIT = LOSSLESS["explicit"]


def refused(content: bytes, number: int = 1) -> str:
    """Return the one sentence with which a file is refused."""
    with pytest.raises(ImageError) as caught:
        images.load(content, number)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert " Received: " in sentence
    assert sentence.endswith(".")
    return sentence


def grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels[..., None], 3, 2)


# --- Pixels


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_grey_values_of_eight_bits_stay_as_they_are(syntax):
    decoded = images.decode(write(GREY, syntax, "MONOCHROME2"))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, grey(GREY[0]))


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_colours_stay_as_they_are(syntax):
    kind = "YBR_RCT" if syntax == LOSSLESS["JPEG 2000"] else "RGB"
    np.testing.assert_array_equal(images.decode(write(COLOUR, syntax, kind)), COLOUR[0])


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_sixteen_bits_are_scaled_by_their_own_range(syntax):
    decoded = images.decode(write(DEEP, syntax, "MONOCHROME2", BitsStored=12, HighBit=11))
    assert np.abs(decoded[..., 0] - DEEP[0] / 4095 * 255).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        *((form, "MONOCHROME2") for form in LOSSY),
        ("JPEG", "RGB"),
        ("JPEG", "YBR_FULL_422"),
        ("JPEG-LS", "RGB"),
        ("JPEG 2000", "YBR_ICT"),
    ],
)
def test_lossy_forms_keep_a_smooth_image_nearly(form, kind):
    frames = SMOOTH if kind == "MONOCHROME2" else np.repeat(SMOOTH[..., None], 3, 3)
    if kind == "YBR_FULL_422":
        frames = np.asarray(Image.fromarray(frames[0]).convert("YCbCr"))[None]
    decoded = images.decode(write(frames, LOSSY[form], kind))
    assert np.abs(decoded.astype(int) - grey(SMOOTH[0])).mean() < 3


def test_red_stays_red_in_every_colour_space():
    red = np.zeros((1, 40, 52, 3), np.uint8)
    red[..., 0] = 230
    ybr = np.asarray(Image.fromarray(red[0]).convert("YCbCr"))[None]
    for frames, kind, syntax in (
        (red, "RGB", LOSSY["JPEG"]),
        (ybr, "YBR_FULL_422", LOSSY["JPEG"]),
        (ybr, "YBR_FULL", LOSSLESS["RLE"]),
        (ybr, "YBR_FULL", EXPLICIT),
        (red, "RGB", LOSSLESS["JPEG-LS"]),
    ):
        decoded = images.decode(write(frames, syntax, kind))
        assert np.abs(decoded.astype(int) - red[0]).max() <= 3, (kind, syntax)


def test_colours_by_plane_are_read():
    by_plane = np.moveaxis(COLOUR, 3, 1).reshape(COLOUR.shape)
    content = write(by_plane, EXPLICIT, "RGB", PlanarConfiguration=1)
    np.testing.assert_array_equal(images.decode(content), COLOUR[0])


def test_white_is_zero_in_monochrome1():
    np.testing.assert_array_equal(
        images.decode(write(GREY, EXPLICIT, "MONOCHROME1")), grey(255 - GREY[0])
    )


def test_values_with_a_sign_are_scaled_by_their_own_range():
    signed = (DEEP.astype(np.int32) - 2000).astype(np.int16)
    decoded = images.decode(write(signed, EXPLICIT, "MONOCHROME2"))
    assert np.abs(decoded[..., 0] - DEEP[0] / 4095 * 255).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_the_window_decides_what_is_black_and_white(kind):
    tags = {"WindowCenter": 1000.5, "WindowWidth": 1001, "BitsStored": 12, "HighBit": 11}
    levels = images.decode(write(DEEP, EXPLICIT, kind, **tags))[..., 0]
    levels = 255 - levels if kind == "MONOCHROME1" else levels
    assert not levels[DEEP[0] <= 500].any()
    assert (levels[DEEP[0] > 1500] == 255).all()
    inside = (DEEP[0] > 500) & (DEEP[0] <= 1500)
    wanted = (DEEP[0][inside] - 500) / 1000 * 255
    assert np.abs(levels[inside] - wanted).max() <= 0.5 + 1e-9


def test_a_window_is_meant_for_rescaled_values():
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000}
    plain = write(DEEP, EXPLICIT, "MONOCHROME2", WindowCenter=1000, WindowWidth=500)
    centre = 2 * 1000 - 1000
    scaled = write(
        DEEP, EXPLICIT, "MONOCHROME2", WindowCenter=centre, WindowWidth=1000, **tags
    )  # fmt: skip
    found = images.decode(plain).astype(int) - images.decode(scaled)
    assert np.abs(found).max() <= 1


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 128, "WindowWidth": 0},
        {"WindowWidth": 20},
        {"WindowCenter": None, "WindowWidth": None},
        {"WindowCenter": 127.5, "WindowWidth": 256},
    ],
    ids=str,
)
def test_a_window_that_is_none_or_all_leaves_eight_bits_as_they_are(tags):
    decoded = images.decode(write(GREY, EXPLICIT, "MONOCHROME2", **tags))
    assert np.abs(decoded.astype(int) - grey(GREY[0])).max() <= 1


def test_a_slope_below_zero_turns_black_into_white_in_eight_bits_too():
    tags = {"RescaleSlope": -1, "RescaleIntercept": 255}
    decoded = images.decode(write(GREY, EXPLICIT, "MONOCHROME2", **tags))
    np.testing.assert_array_equal(decoded, grey(255 - GREY[0]))


def test_a_table_of_grey_values_is_looked_up():
    table = Dataset()
    table.LUTDescriptor = [256, 0, 8]
    table.add_new(tag_for_keyword("LUTData"), "US", [255 - value for value in range(256)])
    decoded = images.decode(write(GREY, EXPLICIT, "MONOCHROME2", VOILUTSequence=[table]))
    np.testing.assert_array_equal(decoded, grey(255 - GREY[0]))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_is_looked_up(bits):
    colours = RNG.integers(0, 256, (3, 256), np.uint8)
    tags = {}
    for name, channel in zip(("Red", "Green", "Blue"), colours, strict=True):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        stored = channel.astype(np.uint16) << 8 if bits == 16 else channel
        tags[f"{name}PaletteColorLookupTableData"] = stored.tobytes()
    decoded = images.decode(write(GREY, LOSSLESS["RLE"], "PALETTE COLOR", **tags))
    np.testing.assert_array_equal(decoded, colours.T[GREY[0]])


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_each_frame_is_read_by_its_number(syntax):
    frames = np.stack([np.full((40, 52), shade, np.uint8) for shade in (10, 90, 170)])
    content = write(frames, syntax, "MONOCHROME2")
    for number, shade in enumerate((10, 90, 170), 1):
        frame = images.load(content, number)
        assert (frame.number, frame.count) == (number, 3)
        assert (frame.pixels == shade).all()
    assert images.decode(content)[0, 0, 0] == 10
    assert "from 1 to 3. Received: frame=4" in refused(content, 4)
    assert "frame=0" in refused(content, 0)


def lossless_jpeg(frame: np.ndarray) -> bytes:
    """Pack a frame, (H, W) of 8 bits, as lossless JPEG with first-order prediction."""
    values = frame.astype(int)
    predicted = np.empty_like(values)
    predicted[:, 1:] = values[:, :-1]
    predicted[1:, 0] = values[:-1, 0]
    predicted[0, 0] = 128
    bits = []
    for difference in (values - predicted).ravel():
        # Nine codes of four bits: how many bits follow.
        length = int(abs(difference)).bit_length()
        bits.append(f"{length:04b}")
        if length:
            low = difference if difference > 0 else difference + (1 << length) - 1
            bits.append(f"{low:0{length}b}")
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    packed = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\0")
    height, width = frame.shape
    table = bytes([0, 0, 0, 0, 9, *[0] * 12, *range(9)])
    return b"".join(
        [
            b"\xff\xd8\xff\xc4" + struct.pack(">H", 2 + len(table)) + table,
            b"\xff\xc3" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\0",
            b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\x01\0\x01\0\0" + packed + b"\xff\xd9",
        ]
    )


@pytest.mark.parametrize("last", [57, 70])
def test_lossless_jpeg_keeps_every_value(last):
    from pydicom.encaps import encapsulate

    held = dcmread(io.BytesIO(write(GREY, EXPLICIT, "MONOCHROME2")))
    held.file_meta.TransferSyntaxUID = f"1.2.840.10008.1.2.4.{last}"
    held.PixelData = encapsulate([lossless_jpeg(GREY[0])])
    stream = io.BytesIO()
    held.save_as(stream)
    np.testing.assert_array_equal(images.decode(stream.getvalue()), grey(GREY[0]))


@pytest.mark.parametrize("name", ["palette_color", "rgb_color", "ybr_color", "jpeg2k"])
def test_the_ultrasound_files_of_pydicom_are_read(name):
    """Written by scanners, not by us."""
    path = examples.get_path(name)
    frame = images.load(path)
    held = dcmread(path)
    assert frame.pixels.shape == (held.Rows, held.Columns, 3)
    assert frame.count == held.get("NumberOfFrames", 1)
    assert frame.notices
    assert images.size(path) == (held.Columns, held.Rows)
    assert np.ptp(frame.pixels) > 200


def test_a_preview_of_a_file_is_small_and_knows_its_size():
    content = write(np.zeros((2, 80, 400), np.uint8), EXPLICIT, "MONOCHROME2")
    small = images.preview(content, 2, longest=100)
    assert (small.pixels.shape, small.size, small.count) == ((20, 100, 3), (400, 80), 2)


# --- What the file reports beside the pixels


def region(left=4, top=2, right=43, bottom=37, delta=0.01, **tags) -> Dataset:
    """Describe a region of tissue in pixels of a tenth of a millimetre."""
    one = Dataset()
    one.RegionSpatialFormat, one.RegionDataType = 1, 1
    one.RegionLocationMinX0, one.RegionLocationMinY0 = left, top
    one.RegionLocationMaxX1, one.RegionLocationMaxY1 = right, bottom
    one.PhysicalUnitsXDirection = one.PhysicalUnitsYDirection = 3
    one.PhysicalDeltaX, one.PhysicalDeltaY = delta, 1.5 * delta
    for keyword, value in tags.items():
        setattr(one, keyword, value)
    return one


def reported(*regions: Dataset, **tags):
    """Read a file with these regions."""
    sequence = {"SequenceOfUltrasoundRegions": list(regions)} if regions else {}
    return images.load(write(GREY, EXPLICIT, "MONOCHROME2", **sequence, **tags))


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_a_region_gives_scan_area_and_pixel_spacing_in_millimetres(syntax):
    content = write(GREY, syntax, "MONOCHROME2", SequenceOfUltrasoundRegions=[region()])
    frame = images.load(content)
    assert frame.area == frame.scan_area() == Box(4, 2, 44, 38)
    assert frame.spacing == pytest.approx(Spacing(across=0.1, down=0.15))


def test_two_views_are_one_area_with_the_spacing_that_they_share():
    frame = reported(region(0, 0, 33, 33), region(18, 4, 51, 39))
    assert frame.area == Box(0, 0, 52, 40)
    assert frame.spacing == pytest.approx((0.1, 0.15))
    assert reported(region(), region(delta=0.02)).spacing is None


def test_a_spectrum_beside_the_image_is_no_scan_area():
    spectrum = region(0, 0, 51, 39, RegionSpatialFormat=3, PhysicalUnitsXDirection=4)
    frame = reported(spectrum, region())
    assert frame.area == Box(4, 2, 44, 38)
    assert frame.spacing is not None
    assert reported(spectrum).area is None
    assert reported(spectrum).spacing is None


@pytest.mark.parametrize(
    "odd",
    [
        region(PhysicalUnitsXDirection=0),
        region(delta=0.0),
        region(delta=1e9),
        region(delta=0.0002),
        region(delta=0.15),
        region(delta=float("nan")),
        region(PhysicalDeltaX=None),
    ],
    ids=["unit", "zero", "vast", "too fine to measure", "too coarse", "nan", "empty"],
)
def test_a_spacing_that_no_scan_has_is_unknown(odd):
    assert reported(odd).spacing is None
    assert reported(region(), odd).spacing is None


@pytest.mark.parametrize(
    "odd", [region(90, 90, 95, 95), region(40, 30, 4, 2), region(4, 2, 9, 9)], ids=str
)
def test_a_region_that_is_none_leaves_the_search_for_the_scan_area(odd):
    assert reported(odd).area is None
    assert reported(odd).scan_area() == Box(0, 0, 52, 40)


def test_a_region_that_reaches_out_of_the_image_ends_with_it():
    assert reported(region(2, 3, 9000, 9000)).area == Box(2, 3, 52, 40)


@pytest.mark.parametrize("at", [measurement.SPACING.least, measurement.SPACING.most])
def test_a_spacing_of_a_file_is_one_that_may_be_typed(at):
    """Else a page refuses what it has read itself."""
    assert reported(PixelSpacing=[at, at]).spacing == pytest.approx((at, at))
    beyond = at / 2 if at < 1 else 2 * at
    assert reported(PixelSpacing=[0.1, beyond]).spacing is None
    assert reported(PixelSpacing=[beyond, 0.1]).spacing is None


def test_a_pixel_spacing_counts_where_there_are_no_regions():
    assert reported(PixelSpacing=[0.3, 0.2]).spacing == pytest.approx(Spacing(0.2, 0.3))
    assert reported(region(), PixelSpacing=[0.3, 0.2]).spacing == pytest.approx((0.1, 0.15))


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"BurnedInAnnotation": "YES"}, "reports text"),
        ({"BurnedInAnnotation": "NO"}, None),
        ({}, "does not rule out text"),
        ({"BurnedInAnnotation": ""}, "does not rule out text"),
        ({"Modality": "CT"}, None),
        ({"Modality": "CT", "BurnedInAnnotation": "YES"}, "reports text"),
    ],
    ids=str,
)
def test_burned_in_text_is_warned_of(tags, word):
    notices = reported(**tags).notices
    assert len(notices) == (word is not None)
    assert word is None or word in notices[0]


SECRET = {
    "PatientName": "Secret^Name",
    "PatientID": "Secret",
    "PatientBirthDate": "19000101",
    "AccessionNumber": "Secret",
    "StudyDescription": "Secret",
    "InstitutionName": "Secret",
    "ImageComments": "Secret",
}


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_no_tag_of_a_patient_is_even_read(syntax):
    content = write(GREY, syntax, "MONOCHROME2", **SECRET)
    assert syntax == LOSSLESS["deflated"] or b"Secret" in content
    held = dicom._read(content, "scan.dcm")
    assert not any(keyword in held for keyword in SECRET)
    assert "Secret" not in repr(vars(images.load(content))) + str(held)


@pytest.mark.parametrize("tags", [{"Rows": None}, {"PhotometricInterpretation": "Secret"}], ids=str)
def test_a_refusal_repeats_nothing_of_the_file(tags, caplog):
    content = write(GREY, EXPLICIT, "MONOCHROME2", **{**SECRET, **tags})
    caplog.clear()  # what pydicom has logged of the writing
    with caplog.at_level(logging.DEBUG):
        assert "Secret" not in refused(content)
        wrong = content.replace(b"MONOCHROME2 ", b"Secret^Name ")
        assert "Secret" not in refused(wrong)
    assert "Secret" not in caplog.text


@pytest.mark.parametrize("name", ["pydicom", "pydicom.pixels.decoders.base"])
def test_no_tag_is_logged_after_a_server_has_set_its_logging(name, caplog, capfd):
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    images.load(write(GREY, EXPLICIT, "MONOCHROME2"))
    logging.getLogger(name).warning("Invalid value: 'Secret'")
    assert "Secret" not in caplog.text + "".join(capfd.readouterr())


# --- Bad files


def cut(content: bytes, share: float) -> bytes:
    return content[: int(share * len(content))]


@pytest.mark.parametrize("syntax", [*LOSSLESS.values(), LOSSY["JPEG"]])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_one_sentence(syntax, share):
    frames = GREY if syntax != LOSSY["JPEG"] else SMOOTH
    refused(cut(write(frames, syntax, "MONOCHROME2"), share))


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"Rows": 65535, "Columns": 65535}, "at most 64,000,000 pixels"),
        ({"Rows": 4}, "at least 32 pixels"),
        ({"Rows": 0}, "at least 32 pixels"),
        ({"Rows": 9000, "Columns": 7000}, "whole"),
        ({"NumberOfFrames": 2_000_000_000}, "whole"),
        ({"NumberOfFrames": 7}, "whole"),
        ({"NumberOfFrames": -1}, "whole"),
        ({"Rows": None}, "whole"),
        ({"BitsAllocated": 7}, "whole"),
        ({"SamplesPerPixel": 2}, "whole"),
        ({"PhotometricInterpretation": "CMYK"}, "colours"),
        ({"PhotometricInterpretation": None}, "whole"),
    ],
    ids=str,
)
def test_a_header_that_cannot_be_true_is_one_sentence(tags, word):
    assert word in refused(write(GREY, EXPLICIT, "MONOCHROME2", **tags))


def test_more_frames_than_a_film_has_are_refused():
    frames = np.zeros((1, 1), np.uint8)
    content = write(
        np.broadcast_to(frames, (MAX_FRAMES + 1, 32, 32)), EXPLICIT, "MONOCHROME2"
    )  # fmt: skip
    assert "at most 5,000 frames" in refused(content)


def test_a_file_without_an_image_is_reported_as_such():
    held = dcmread(io.BytesIO(write(GREY, EXPLICIT, "MONOCHROME2")))
    del held.PixelData
    stream = io.BytesIO()
    held.save_as(stream)
    assert "must hold an image" in refused(stream.getvalue())


@pytest.mark.parametrize(
    ("syntax", "word"),
    [
        (b"1.2.840.10008.1.2.4.102", "MPEG-4"),
        (b"1.2.840.10008.1.2.4.51", "JPEG Extended"),
        (b"1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000"),
        (b"1.2.3.4.5.6.7.8.9", "an unknown form"),
    ],
)
def test_a_form_that_is_not_read_is_named(syntax, word):
    known = LOSSLESS["JPEG-LS"].encode()
    content = write(DEEP, known.decode(), "MONOCHROME2")
    changed = content.replace(known + b"\0" * (len(known) % 2), syntax.ljust(22, b"\0"))
    if len(syntax) + len(syntax) % 2 != 22:
        held = dcmread(io.BytesIO(content))
        held.file_meta.TransferSyntaxUID = syntax.decode()
        stream = io.BytesIO()
        held.save_as(stream)
        changed = stream.getvalue()
    sentence = refused(changed)
    assert "JPEG 2000; export it" in sentence
    assert word in sentence


@pytest.mark.slow
def test_a_deflated_bomb_is_unpacked_no_further_than_allowed():
    content = write(GREY, LOSSLESS["deflated"], "MONOCHROME2")
    end = 144 + struct.unpack("<I", content[140:144])[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bytes(10**7)
    bomb = b"".join(packer.compress(zeros) for _ in range(30)) + packer.flush()
    assert "may unpack to at most 192 MB" in refused(content[:end] + bomb)


ELEMENT = struct.pack("<HH2sH", 9, 0x1000, b"LO", 0)
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)


def sequence(element: int, items: bytes, length: int = 0xFFFFFFFF) -> bytes:
    return struct.pack("<HH2sHI", 0x18, element, b"SQ", 0, length) + items


@pytest.mark.parametrize(
    "many",
    [
        ELEMENT * 500_000,
        sequence(0x6012, ITEM * 500_000),
        sequence(0x6011, ITEM * 500_000),
        sequence(0x6011, ITEM * 500_000, 8 * 500_000),
        sequence(0x6012, struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + ELEMENT * 500_000),
    ],
    ids=["elements", "items", "regions", "regions of a length", "elements in an item"],
)
def test_endless_headers_are_not_read_to_their_end(many):
    content = write(GREY, EXPLICIT, "MONOCHROME2")
    place = content.index(struct.pack("<HH", 0x28, 2))
    assert "fewer elements" in refused(content[:place] + many + content[place:])


def test_a_frame_in_endless_fragments_is_not_read_to_its_end():
    content = write(GREY, LOSSLESS["RLE"], "MONOCHROME2")
    # After the first item, the table of offsets.
    place = content.index(ITEM[:4])
    place += 8 + struct.unpack_from("<I", content, place + 4)[0]
    assert "fewer elements" in refused(content[:place] + ITEM * 500_000 + content[place:])


def test_sequences_in_sequences_without_end_are_one_sentence():
    content = write(GREY, EXPLICIT, "MONOCHROME2")
    place = content.index(struct.pack("<HH", 0x28, 2))
    nested = sequence(0x6012, struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)) * 5_000
    refused(content[:place] + nested + content[place:])


@pytest.mark.parametrize("syntax", [LOSSLESS["JPEG-LS"], LOSSLESS["JPEG 2000"], LOSSY["JPEG"]])
def test_a_frame_that_unpacks_to_another_size_is_refused_before_it_is_unpacked(syntax):
    large = np.zeros((1, 80, 104), np.uint8)
    content = write(large, syntax, "MONOCHROME2")
    tags = struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 80)
    assert tags in content
    refused(content.replace(tags, tags[:-2] + struct.pack("<H", 40)))
    if syntax == LOSSLESS["JPEG-LS"]:
        # The stream alone claims four thousand million pixels.
        start = content.index(b"\xff\xf7") + 5
        vast = content[:start] + b"\xff\xff\xff\xff" + content[start + 4 :]
        refused(vast)


def test_no_warning_leaks():
    before = list(warnings.filters)
    content = write(GREY, EXPLICIT, "MONOCHROME2", WindowWidth=20)
    assert images.load(content).spacing is None
    assert warnings.filters == before


def test_a_directory_of_a_disk_is_not_taken_for_an_image(tmp_path):
    content = write(GREY, EXPLICIT, "MONOCHROME2")
    (tmp_path / "IM_0001").write_bytes(content)
    (tmp_path / "DICOMDIR").write_bytes(
        bytes(128) + b"DICM" + struct.pack("<HH2sH", 2, 2, b"UI", 20) + b"1.2.840.10008.1.3.10\0"
    )
    assert images.begins_like_one(tmp_path / "IM_0001")
    assert not images.begins_like_one(tmp_path / "DICOMDIR")
