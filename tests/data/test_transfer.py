"""A file comes whole, goes on where it stopped, and a broken home is one sentence."""

import errno
import shutil

import pytest

from thyro_demo.data import transfer as module
from thyro_demo.data.transfer import transfer
from thyro_demo.errors import DataError

CONTENT = bytes(range(256)) * 4000  # four chunks
HAND = "download it from http://home and unpack it into data"


@pytest.fixture
def part(tmp_path):
    return tmp_path / "set.part"


@pytest.fixture
def url(home):
    home.files["/set.zip"] = CONTENT
    return home.url("/set.zip")


def test_a_file_comes_whole_and_progress_is_shown(url, part, capfd):
    transfer(url, part, HAND)
    assert part.read_bytes() == CONTENT
    assert "1.02M" in capfd.readouterr().err


def test_a_broken_download_is_kept_and_goes_on_where_it_stopped(home, url, part):
    home.breaks_at = 400_000
    with pytest.raises(
        DataError, match=r"repeat the command.*or download it.* Received: "
    ) as error:
        transfer(url, part, HAND)
    assert f"400,000 of 1,024,000 bytes from {url}" in str(error.value)
    assert part.read_bytes() == CONTENT[:400_000]
    home.breaks_at = 0
    transfer(url, part, HAND)
    assert part.read_bytes() == CONTENT
    assert home.asked[-1] == ("/set.zip", "bytes=400000-")


def test_a_home_that_ignores_ranges_sends_the_file_afresh(home, url, part):
    home.breaks_at, home.ranges = 400_000, False
    with pytest.raises(DataError):
        transfer(url, part, HAND)
    home.breaks_at = 0
    transfer(url, part, HAND)
    assert part.read_bytes() == CONTENT


def test_a_file_that_has_changed_at_home_is_not_joined_to_the_old_one(home, url, part):
    home.breaks_at = 400_000
    with pytest.raises(DataError):
        transfer(url, part, HAND)
    home.breaks_at, home.files["/set.zip"] = 0, CONTENT[::-1]
    transfer(url, part, HAND)
    assert part.read_bytes() == CONTENT[::-1]


def test_a_part_without_a_mark_is_not_trusted(home, url, part):
    part.write_bytes(b"half of something else")
    transfer(url, part, HAND)
    assert part.read_bytes() == CONTENT
    assert home.asked == [("/set.zip", "")]


def test_what_is_complete_is_not_sent_again(home, url, part):
    transfer(url, part, HAND)
    transfer(url, part, HAND)
    assert part.read_bytes() == CONTENT
    assert home.asked[-1] == ("/set.zip", "bytes=1024000-")


def test_a_part_longer_than_the_file_is_begun_afresh(url, part):
    transfer(url, part, HAND)
    part.write_bytes(CONTENT + b"more")
    transfer(url, part, HAND)
    assert part.read_bytes() == CONTENT


def test_a_home_without_the_file_names_the_address_and_the_way_by_hand(home, part):
    away = home.url("/gone.zip")
    with pytest.raises(DataError, match=r"or download it from .* Received: 404 Not Found") as error:
        transfer(away, part, HAND)
    assert away in str(error.value)
    assert "\n" not in str(error.value)
    assert not part.exists()


def test_no_home_at_all_is_one_sentence(part):
    # Port 9 discards; here nothing listens on it.
    with pytest.raises(DataError, match=r"home of the set must answer.* Received: .*127"):
        transfer("http://127.0.0.1:9/set.zip", part, HAND)


@pytest.mark.parametrize("url", ["ftp://home/set.zip", "file:///etc/passwd", "set.zip", "http://["])
def test_another_kind_of_address_is_refused(url, part):
    with pytest.raises(DataError, match=r"Received: "):
        transfer(url, part, HAND)
    assert not part.exists()


def test_a_disk_without_room_is_known_before_it_is_full(url, part, monkeypatch):
    monkeypatch.setattr(
        module.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 10, 1000)
    )
    with pytest.raises(DataError, match=r"1,024,000 bytes free.* Received: 1,000 in"):
        transfer(url, part, HAND)


def test_a_disk_that_fills_up_keeps_what_has_come(url, part, monkeypatch):
    class Full(module.tqdm):
        def update(self, n=1):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "tqdm", Full)
    with pytest.raises(OSError, match="No space left"):
        transfer(url, part, HAND)
    assert 0 < part.stat().st_size < len(CONTENT)
    monkeypatch.undo()
    transfer(url, part, HAND)
    assert part.read_bytes() == CONTENT
