"""The app starts alone, stays local unless asked otherwise, and keeps nothing."""

import os
import socket
from pathlib import Path

import gradio as gr
import httpx
import pytest

from thyro_demo.errors import ThyroError
from thyro_demo.ui.direct import direct
from thyro_demo.ui.launch import launch
from thyro_demo.ui.warmup import WarmUp


def test_a_launch_asks_no_other_host_and_loads_the_networks_behind_the_page(
    engine, monkeypatch, capsys
):
    asked = []
    connect = socket.socket.connect

    def watched(self, address):
        asked.append(address[0] if isinstance(address, tuple) else "a file")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setattr("thyro_demo.ui.launch._PATIENCE_S", 0.0)
    app = launch(engine, prevent_thread_lock=True)
    try:
        assert httpx.get(app.local_url).status_code == 200
        assert engine.warm.wait(5)
    finally:
        app.close(verbose=False)
    assert set(asked) <= {"127.0.0.1", "a file"}
    assert "teaching and research only" in capsys.readouterr().out


def test_an_upload_over_the_limit_is_refused_by_the_server(served):
    address, _ = served
    answer = httpx.post(
        f"{address}gradio_api/upload", files={"files": ("large.png", bytes(21_000_000))}
    )
    assert answer.status_code == 413


def test_files_of_the_host_are_not_served(served):
    address, _ = served
    readme = Path(__file__).resolve().parents[2] / "LICENSE"
    assert httpx.get(f"{address}gradio_api/file={readme}").status_code == 403


def test_a_taken_port_is_reported_in_one_sentence(engine):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ThyroError, match=f"--port.*Received: port {port}"):
            launch(engine, port=port, prevent_thread_lock=True)


@pytest.mark.slow
def test_a_port_that_another_app_takes_meanwhile_is_left_to_it(engine, monkeypatch):
    start, taken = gr.Blocks.launch, []

    def too_late(blocks, *args, server_port, **kwargs):
        if not taken:
            taken.append(socket.create_server(("127.0.0.1", server_port)))
        return start(blocks, *args, server_port=server_port, **kwargs)

    monkeypatch.setattr(gr.Blocks, "launch", too_late)
    app = launch(engine, prevent_thread_lock=True)
    with taken[0]:
        assert httpx.get(f"{app.local_url}healthz").text == "ok"
        assert app.server_port != taken[0].getsockname()[1]
    app.close(verbose=False)


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_number_that_is_no_port_is_refused_as_such(engine, port):
    with pytest.raises(ThyroError, match=rf"from 1 to 65535\. Received: port={port}\."):
        launch(engine, port=port, prevent_thread_lock=True)


def test_a_port_without_the_rights_to_it_is_named_as_such(engine, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("thyro_demo.ui.launch._check_host", lambda _: None)
    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ThyroError, match=r"--port\. Received: port 80 \(Permission denied\)\."):
        launch(engine, port=80, prevent_thread_lock=True)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "a" * 70])
def test_an_address_of_another_host_is_refused_before_anything_starts(engine, host):
    with pytest.raises(ThyroError, match=r"0\.0\.0\.0 for all of them\. Received: "):
        launch(engine, host=host, prevent_thread_lock=True)


def test_an_app_that_all_can_reach_reports_so_and_asks_for_a_password(engine, capsys):
    launch(engine, host="0.0.0.0", prevent_thread_lock=True).close(verbose=False)
    printed = capsys.readouterr().out
    assert "Everybody who can reach this computer can use this page; add --auth" in printed


@pytest.mark.parametrize("place", ["/thyro", "https://example.org/thyro"])
def test_behind_a_proxy_the_page_knows_its_own_place(engine, place):
    app = launch(engine, root_path=place, prevent_thread_lock=True)
    try:
        assert httpx.get(f"{app.local_url}config").json()["root"].endswith(place)
    finally:
        app.close(verbose=False)


def test_a_place_that_is_neither_path_nor_address_is_refused(engine):
    with pytest.raises(ThyroError, match=r"such as /thyro.* Received: root_path='thyro'\."):
        launch(engine, root_path="thyro", prevent_thread_lock=True)


@pytest.mark.slow
def test_a_container_can_ask_whether_the_app_is_there_without_its_password(engine):
    app = launch(engine, auth=("user", "password"), prevent_thread_lock=True)
    try:
        assert httpx.get(f"{app.local_url}healthz").text == "ok"
    finally:
        app.close(verbose=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"http_proxy": "http://127.0.0.1:1", "no_proxy": "[::1"},
        {"all_proxy": "socks://127.0.0.1:1"},
        {"ALL_PROXY": "socks5://127.0.0.1:1"},
        {"SSL_CERT_FILE": "/nonexistent.pem"},
        {"SSLKEYLOGFILE": "/nonexistent/keys"},
    ],
)
def test_this_host_is_reached_whatever_the_network_settings_and_they_are_kept(
    served, monkeypatch, settings
):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with direct():
        assert httpx.get(served[0]).status_code == 200
    assert os.environ == before


@pytest.mark.slow
def test_a_public_link_is_asked_for_through_the_proxy_that_is_set(engine, monkeypatch):
    seen = {}

    def tunnel(**_):
        seen.update(os.environ)
        return "https://example.invalid"

    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr("gradio.networking.setup_tunnel", tunnel)
    launch(engine, share=True, prevent_thread_lock=True).close(verbose=False)
    assert seen["https_proxy"] == "http://127.0.0.1:1"
    assert "no_proxy" not in seen


@pytest.mark.slow
def test_without_a_tunnel_the_app_runs_on_locally_and_reports_so(engine, monkeypatch, capsys):
    def unreachable(*_, **__):
        raise ConnectionError

    monkeypatch.setattr("gradio.networking.setup_tunnel", unreachable)
    app = launch(engine, share=True, auth=("user", "password"), prevent_thread_lock=True)
    try:
        assert httpx.get(app.local_url).status_code == 200
        assert httpx.get(f"{app.local_url}config").status_code == 401
    finally:
        app.close(verbose=False)
    assert "could not be made" in capsys.readouterr().out


@pytest.mark.slow
def test_a_public_link_without_a_password_is_named_as_such(engine, monkeypatch, capsys):
    monkeypatch.setattr("gradio.networking.setup_tunnel", lambda **_: "https://example.invalid")
    app = launch(engine, share=True, prevent_thread_lock=True)
    app.close(verbose=False)
    printed = capsys.readouterr().out
    assert "open to anyone" in printed
    assert "no patient's images" in printed


def test_the_networks_are_loaded_once_however_many_pages_open(engine, monkeypatch):
    calls = []
    monkeypatch.setattr(engine, "warm_up", lambda: calls.append(1))
    warm_up = WarmUp(engine)
    warm_up.start()
    warm_up.start()
    warm_up.wait()
    assert warm_up.ready
    assert calls == [1]


def test_a_comparison_does_not_wait_for_ever_when_loading_fails(engine, monkeypatch):
    def broken():
        raise ThyroError("A bundle must be whole. Received: half of one.")

    monkeypatch.setattr(engine, "warm_up", broken)
    warm_up = WarmUp(engine)
    warm_up.wait()
    assert warm_up.ready


def test_analytics_are_off(engine, examples):
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert not gr.Blocks().analytics_enabled
