"""A crowd counts what it met, also what only the app's log shows."""

from thyro_demo.bench import crowd
from thyro_demo.bench.visitor import App, Page, resident_bytes


def test_a_task_that_stumbles_behind_the_page_is_counted(tmp_path):
    log = tmp_path / "app.log"
    log.write_text("ThyroDemo runs.\n")
    assert crowd._stumbles(App(1, 1, log)) == []
    log.write_text(
        'ThyroDemo runs.\nTraceback (most recent call last):\n  File "a.py", line 1, in f\n'
        "RuntimeError: Set changed size during iteration\n"
    )
    (found,) = crowd._stumbles(App(1, 1, log))
    assert found.endswith("RuntimeError: Set changed size during iteration")


def test_no_two_frames_are_alike():
    frames = crowd._frames()
    assert len({next(frames) for _ in range(20)}) == 20


def test_a_page_knows_whether_it_is_connected():
    import socket

    one, other = socket.socketpair()
    with one, other:
        page = Page(one)
        other.send(b"alive")
        assert page.is_open()
        other.close()
        assert not page.is_open()


def test_the_memory_of_this_process_is_known():
    import os

    resident = resident_bytes(os.getpid())
    assert resident is None or resident > 10_000_000
    assert resident_bytes(2**30) is None
