"""How much one visitor may ask of the app, and all of them together.

Gradio's session is a number that a browser makes up: it keeps busy visitors apart, and stops
nobody who makes up another. What stops them is the limit per address, which has to be as large
as a class of a hundred behind one address needs, or behind a public link: there all visitors
come from the one address of the tunnel.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import NamedTuple

from starlette.formparsers import MultiPartException


class Rate(NamedTuple):
    """How many requests may come: a burst at once after a rest, and per second in the long run."""

    burst: int
    per_second: float


PER_SESSION = Rate(60, 2.0)
"""Jobs of one page: a click makes one or two, and nobody clicks twice a second for long."""

LIVE = "live_"
"""What the names of handlers begin with that a page asks many times a second."""

LIVE_PER_SESSION = Rate(60, 12.0)
"""Jobs of one page for those: it asks for a frame when the last has come, which two cores answer
five to eight times a second, and a faster host more often than is of use to the eye. That a
session has but one waiting keeps it from the places of others."""

PER_ADDRESS = Rate(4_000, 100.0)
"""Requests but for the page's own scripts: opening it takes ten, and a hundred open it at once."""

UPLOADS = Rate(300, 10.0)
"""Uploads of an address: three frames each for a class, then ten a second, which no network of
ours keeps up with."""

LOGINS = Rate(300, 1.0)
"""Passwords of an address: a class logs in at once and mistypes; 86,400 guesses a day find no
password of eight random letters."""

MAX_FILE_BYTES = 20 * 2**20
"""As Gradio counts the 20 MB of `thyro_demo.ui.launch.MAX_FILE_SIZE`."""

MAX_UPLOAD_BYTES = MAX_FILE_BYTES + 2**16
"""One file, as page and client send it, and the lines of the form around it."""

MAX_BODY_BYTES = 2**20
"""Any other request: the page sends names and numbers, never an image."""

ADDRESS_BYTES = 2 * 2**30
"""Uploads of an address within `KEPT_S`: 20 MB for each of a class of a hundred."""

FOLDER_BYTES, FOLDER_FILES = 4 * 2**30, 20_000
"""All uploads that are kept: two such classes; folders of many files are slow to look after."""

FREE_BYTES = 2**30
"""What uploads leave of the disk: others write there too."""

KEPT_S = 600.0
"""An upload is gone after ten minutes."""

BODY_S, ANSWER_S, UPLOAD_S = 30.0, 120.0, 300.0
"""For the body to come; for the answer to begin, the first of which waits for the networks to
load; and for an upload of 20 MB over a slow telephone, half a megabit a second."""

SESSION_LENGTH = 64
"""As much as is looked at of the name that a page makes up for its session."""

_MANY = 10_000


class Refused(MultiPartException):
    """A request that is not served; of a kind at which Gradio's parser removes its files.

    The answer has a status and a sentence, and may be asked for again after `wait_s` seconds.
    """

    def __init__(self, status: int, sentence: str, wait_s: float | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
        self.headers = {} if wait_s is None else {"Retry-After": str(max(1, ceil(wait_s)))}


class Buckets:
    """A bucket for each visitor, from which each request takes one, and which fills up again."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self._clock = rate, clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, visitor: str) -> None:
        """Take one for a visitor; refuse them if their bucket is empty."""
        now = self._clock()
        left = self._filled(visitor, now)
        if left < 1:
            wait = (1 - left) / self.rate.per_second
            raise Refused(
                429,
                f"Requests must come more slowly, {self.rate.per_second:g} a second in the long "
                f"run. Received: more; the next is served in {max(1, ceil(wait))} s.",
                wait,
            )
        if len(self._left) >= _MANY:
            # A full bucket is as good as none.
            kept = {one: at for one, at in self._left.items() if self._filled(one, now) < 1}
            self._left = kept if len(kept) < _MANY else {}
        self._left[visitor] = (left - 1, now)

    def _filled(self, visitor: str, now: float) -> float:
        left, since = self._left.get(visitor, (float(self.rate.burst), now))
        return min(self.rate.burst, left + (now - since) * self.rate.per_second)


@dataclass
class Quota:
    """How many bytes may be uploaded from an address, kept in all, and left free of the disk."""

    address_bytes: int = ADDRESS_BYTES
    folder_bytes: int = FOLDER_BYTES
    folder_files: int = FOLDER_FILES
    free_bytes: int = FREE_BYTES
    clock: Callable[[], float] = time.monotonic
    _sent: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)
    _under_way: int = 0

    async def begin(self, size: int, folder: Path) -> None:
        """Reserve room for an upload of at most so many bytes, or refuse it; `end` must follow."""
        held, files = await asyncio.to_thread(_contents, folder)
        asked = self._under_way + size
        if held + asked > self.folder_bytes or files >= self.folder_files:
            raise Refused(
                507,
                "The uploads of the last ten minutes must leave room for another. Received: one "
                "more than there is room for; try again in a few minutes.",
                60,
            )
        if shutil.disk_usage(folder).free - asked < self.free_bytes:
            raise Refused(
                507,
                f"The disk of this app must keep {self.free_bytes / 2**30:.0f} GB free. Received: "
                "an upload that leaves less.",
                60,
            )
        self._under_way = asked

    def end(self, size: int) -> None:
        """Release the room of an upload that is over."""
        self._under_way -= size

    def count(self, address: str, size: int) -> None:
        """Count bytes that have come from an address; refuse more than it may send."""
        now = self.clock()
        for one in [one for one, sent in self._sent.items() if sent[-1][0] <= now - KEPT_S]:
            del self._sent[one]
        sent = self._sent.setdefault(address, deque())
        while sent and sent[0][0] <= now - KEPT_S:
            sent.popleft()
        # Counted by the second: a few hundred entries, however many pieces come.
        if sent and now - sent[-1][0] < 1:
            sent[-1] = (sent[-1][0], sent[-1][1] + size)
        else:
            sent.append((now, size))
        if sum(part for _, part in sent) > self.address_bytes:
            raise Refused(
                429,
                f"The uploads of one address must stay below {self.address_bytes / 2**20:,.0f} MB "
                "in ten minutes. Received: more.",
                KEPT_S - (now - sent[0][0]),
            )


def _contents(folder: Path) -> tuple[int, int]:
    """Count bytes and files below a folder, from which others may be removing them."""
    held = files = 0
    for place, _, names in os.walk(folder):
        for name in names:
            files += 1
            try:
                held += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return held, files


@dataclass
class Limits:
    """All limits of one running app: of requests, uploaded bytes, sizes and seconds."""

    session: Buckets = field(default_factory=lambda: Buckets(PER_SESSION))
    live: Buckets = field(default_factory=lambda: Buckets(LIVE_PER_SESSION))
    address: Buckets = field(default_factory=lambda: Buckets(PER_ADDRESS))
    uploads: Buckets = field(default_factory=lambda: Buckets(UPLOADS))
    logins: Buckets = field(default_factory=lambda: Buckets(LOGINS))
    quota: Quota = field(default_factory=Quota)
    upload_bytes: int = MAX_UPLOAD_BYTES
    body_bytes: int = MAX_BODY_BYTES
    body_s: float = BODY_S
    answer_s: float = ANSWER_S
    upload_s: float = UPLOAD_S
