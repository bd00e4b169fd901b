"""What an archive holds stays in its folder, and within limits."""

import errno
import io
import tarfile
import zipfile

import pytest

from thyro_demo.data import unpack as module
from thyro_demo.data.unpack import unpack
from thyro_demo.errors import DataError

FILES = {"set/a (1).png": b"one", "set/deep/b.txt": b"two", "set/empty": b""}
JUNK = {"__MACOSX/set/._a": b"x", "set/.DS_Store": b"x", "set/._b.txt": b"x"}


def unpacked(folder) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def into(tmp_path):
    """Return what unpacks bytes into a new folder, and the folder."""

    def run(content: bytes):
        (tmp_path / "set.part").write_bytes(content)
        unpack(tmp_path / "set.part", tmp_path / "out", "http://home/set", "download it")
        return tmp_path / "out"

    return run


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_files_come_out_without_what_a_mac_puts_beside_them(into, archive, kind):
    assert unpacked(into(archive(FILES | JUNK, kind))) == FILES


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize(
    "name", ["../out.txt", "a/../../out.txt", "/out.txt", "..\\out.txt", "C:\\out.txt", "C:out.txt"]
)
def test_a_name_that_leaves_the_folder_is_refused(into, archive, tmp_path, name, kind):
    with pytest.raises(DataError, match=r"names inside its folder.* from http://home/set"):
        into(archive({name: b"x"}, kind))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set.part"]
    assert unpacked(tmp_path / "out") == {}


def linking_zip() -> bytes:
    buffer, link = io.BytesIO(), zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(link, "/etc")
    return buffer.getvalue()


def linking_tar() -> bytes:
    buffer, link = io.BytesIO(), tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        packed.addfile(link)
    return buffer.getvalue()


@pytest.mark.parametrize("content", [linking_zip(), linking_tar()], ids=["zip", "tar"])
def test_links_are_refused(into, content):
    with pytest.raises(DataError, match="no links"):
        into(content)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_stops_before_it_fills_the_disk(into, archive, tmp_path, kind):
    with pytest.raises(DataError, match=r"at most .* bytes"):
        into(archive({"zeros": bytes(11 << 20)}, kind))
    assert unpacked(tmp_path / "out") == {}


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_too_many_files_are_refused(into, archive, kind, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILES", 2)
    with pytest.raises(DataError, match="at most 2 files"):
        into(archive(FILES, kind))


@pytest.mark.parametrize("damage", ["another file", "empty", "cut", "changed"])
def test_what_is_no_whole_archive_is_one_sentence(into, archive, damage):
    whole = archive({"a": bytes(range(256)) * 40})
    content = {
        "another file": b"<html>Log in</html>",
        "empty": b"",
        "cut": whole[:-30],
        "changed": whole[:40] + b"????" + whole[44:],
    }[damage]
    with pytest.raises(DataError, match=r"or download it. Received: http://home/set \(.+\)"):
        into(content)


def test_a_full_disk_is_the_disks_error(into, archive, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        into(archive(FILES))
