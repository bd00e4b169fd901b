"""Reach this computer itself without the proxies and certificates meant for others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

# A certificate file or key log that is not there stops every request, even one that needs none.
_SET_ASIDE = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


@contextlib.contextmanager
def direct() -> Iterator[None]:
    """Set the environment's network settings aside for a while.

    Gradio makes HTTP clients while it is imported, and asks its own server whether it
    answers while it launches. Neither leaves the computer, so a proxy can only hinder them:
    it refuses private addresses, or is of a kind that the client does not know. Downloads
    and public links happen outside of this block, and use the settings.
    """
    kept = {name: os.environ.pop(name, None) for name in (*_SET_ASIDE, "no_proxy")}
    # Stated here, it also outdoes the system's proxy on Windows and macOS.
    os.environ["no_proxy"] = "*"
    try:
        yield
    finally:
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
