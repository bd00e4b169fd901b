"""A public link: who may ask what, how often, and what the answers wear."""

import asyncio
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urljoin

import httpx
import pytest
from gradio.queueing import EventQueue
from gradio_client import Client, handle_file
from PIL import Image

from thyro_demo.ui import guard, limits, uploads
from thyro_demo.ui.jobs import Jobs
from thyro_demo.ui.launch import MAX_FILE_SIZE

LINK = "https://0123456789.gradio.live"
BY_LINK = {"Host": "0123456789.gradio.live", "X-Forwarded-Proto": "https"}
FOREIGN = {"Origin": "https://evil.example"}
SENTENCE = re.compile(r"\A[A-Z][^.]* must .*\. Received: [^\n]*\.\Z")


@pytest.fixture(scope="module")
def app(served_app):
    return served_app[0]


@pytest.fixture
def visitor(app):
    """Send requests to an app whose limits are as new."""
    fresh = limits.Limits()
    vars(app.limits).update(vars(fresh))
    with httpx.Client(base_url=app.local_url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def shared(app, monkeypatch):
    monkeypatch.setattr(app, "share_url", LINK)


@pytest.fixture
def locked(served_with_password, monkeypatch):
    """Serve an app with a password behind a public link."""
    monkeypatch.setattr(served_with_password, "share_url", LINK)
    return served_with_password


def upload(visitor, content: bytes = b"content", name: str = "frame.png", **options):
    return visitor.post("gradio_api/upload", files={"files": (name, content)}, **options)


def refused(answer: httpx.Response, status: int) -> bool:
    # The page shows what it finds in JSON.
    sentence = answer.json()["detail"] if "queue/join" in str(answer.url) else answer.text
    return answer.status_code == status and bool(SENTENCE.match(sentence))


# Only what the page and its client need is there


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/proxy=https://example.hf.space/x",
        "gradio_api/deep_link?session_hash=x",
        "gradio_api/stream/a/b/1/playlist.m3u8",
        "gradio_api/stream/a/b/1/playlist-file",
        "gradio_api/custom_component/a/client/b/c",
        "gradio_api/token",
        "gradio_api/user",
        "gradio_api/queue/status",
        "gradio_api/vibe-code",
        "gradio_api/runs",
        "gradio_api/dev/reload",
        "gradio_api/openapi.json",
        "gradio_api/file/etc/passwd",
        "monitoring",
        "monitoring/summary",
        "svelte/x.js",
        "docs",
        "openapi.json",
        ".git/config",
    ],
)
def test_what_the_page_does_not_need_is_not_there_to_read(visitor, path):
    assert refused(visitor.get(path), 404)


@pytest.mark.parametrize(
    "path",
    [
        "component_server",
        "stream/a",
        "stream/a/close",
        "vibe-edit",
        "vibe-code",
        "vibe-starter-queries",
        "process_recording",
        "profiling/clear",
        "info",
    ],
)
def test_what_the_page_does_not_need_is_not_there_to_write(visitor, path):
    assert refused(visitor.post(f"gradio_api/{path}", json={}), 404)


def test_page_client_and_container_find_what_they_need(visitor, app, speckle, tmp_path):
    pages = ("", "play", "clinic", "present")
    for path in (*pages, "config", "healthz", "theme.css", "robots.txt", "gradio_api/info"):
        assert visitor.get(path).status_code == 200
    assert visitor.head("").status_code == 200
    path = tmp_path / "frame.png"
    Image.fromarray(speckle).save(path)
    client = Client(app.local_url, verbose=False)
    assert client.predict(handle_file(path), ["vgg16"], api_name="/compare")["predictions"]


@pytest.mark.parametrize(
    ("asked", "leads_to"),
    [
        ("play/", "play"),
        ("clinic/?x=1&y=%20", "clinic?x=1&y=%20"),
        ("present/?case=3", "present?case=3"),
        ("?present=1", "present"),
        ("?present=1&case=spongiform", "present"),
    ],
)
def test_another_way_to_ask_for_a_page_leads_to_it(visitor, app, asked, leads_to):
    answer = visitor.get(asked)
    assert answer.status_code == 307
    assert urljoin(f"{app.local_url}{asked}", answer.headers["location"]) == (
        f"{app.local_url}{leads_to}"
    )


@pytest.mark.parametrize("asked", ["none/", "play//", "config//", "/evil.example/"])
def test_no_other_address_leads_anywhere(visitor, asked):
    assert refused(visitor.get(asked), 404)


# Files


def test_an_upload_is_served_and_neither_its_folder_nor_any_other_file(visitor, tmp_path):
    mine = upload(visitor).json()[0]
    assert visitor.get(f"gradio_api/file={mine}").content == b"content"
    other = tmp_path / "patient.png"
    other.write_bytes(b"secret")
    folder = uploads.private_folder()
    link = folder / "linked.png"
    link.symlink_to(other)
    for path in (
        other,
        tmp_path,
        folder,
        f"{folder}/",
        f"{folder}/../{other.name}",
        link,
        tmp_path / "missing.png",
        "/proc/self/environ",
        "",
        "%00",
        "x" * 5000,
    ):
        answer = visitor.get(f"gradio_api/file={path}")
        assert (answer.status_code, answer.text) == (403, guard.NO_FILE)
    link.unlink()


def test_the_app_asks_no_address_that_a_visitor_names(visitor):
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        address = f"http://127.0.0.1:{other.getsockname()[1]}/x.png"
        for route in ("file=", "proxy=", "file/"):
            assert visitor.get(f"gradio_api/{route}{address}").status_code in (403, 404)
        # The name of a public host would be resolved and asked.
        assert visitor.get("gradio_api/file=https://example.com/x.png").text == guard.NO_FILE
        for value in ({"path": address}, {"url": address, "path": address}):
            visitor.post("gradio_api/run/compare", json={"data": [value, ["vgg16"]]})
        with pytest.raises(BlockingIOError):
            other.accept()


# Pages of other sites


@pytest.mark.parametrize(
    "headers",
    [
        FOREIGN,
        {"Origin": "null"},
        {"Referer": "https://evil.example/page"},
        {"Sec-Fetch-Site": "cross-site"},
        FOREIGN | {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:1"},
        # Anybody may write this one.
        FOREIGN | {"X-Forwarded-Host": "evil.example"},
    ],
)
def test_a_page_of_another_site_changes_nothing(visitor, headers):
    for path in ("queue/join", "call/compare", "upload", "cancel", "run/compare"):
        assert refused(visitor.post(f"gradio_api/{path}", json={}, headers=headers), 403)
    assert refused(visitor.post("login", headers=headers), 403)


def test_a_page_of_another_site_reads_nothing(visitor, shared):
    """Gradio itself lets every page read the answers of a public host."""
    for path in ("", "clinic", "config", "gradio_api/info"):
        assert refused(visitor.get(path, headers=BY_LINK | FOREIGN), 403)
    assert refused(visitor.get("logout", headers={"Sec-Fetch-Site": "cross-site"}), 403)


def test_the_own_page_is_known_by_every_name_that_it_has(visitor, shared, app, monkeypatch):
    here = str(visitor.base_url).rstrip("/")
    assert upload(visitor, headers={"Origin": here}).status_code == 200
    assert upload(visitor, headers={"Referer": f"{here}/"}).status_code == 200
    assert upload(visitor, headers={"Origin": LINK}).status_code == 200
    assert upload(visitor, headers=BY_LINK | {"Origin": LINK}).status_code == 200
    monkeypatch.setattr(app, "root_path", "https://example.org/thyro")
    assert upload(visitor, headers={"Origin": "https://example.org"}).status_code == 200
    monkeypatch.setattr(app, "root_path", "/thyro")
    proxied = {"X-Forwarded-Host": "example.org", "Origin": "https://example.org"}
    assert upload(visitor, headers=proxied).status_code == 200


# Headers and cookies


def test_every_answer_names_its_type_and_keeps_the_address_of_the_link(visitor, app):
    mine = upload(visitor).json()[0]
    with visitor.stream("GET", "gradio_api/heartbeat/one") as stream:
        answers = [stream, upload(visitor), visitor.get(f"gradio_api/file={mine}")]
        answers += [visitor.get(path) for path in ("", "nothing", "gradio_api/file=/", "theme.css")]
        for answer in answers:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "same-origin"
            assert "Content-Security-Policy" in answer.headers


def test_a_public_page_stays_out_of_the_frames_of_others(visitor, shared):
    for headers in (BY_LINK, {"Host": "thyro.example"}):
        answer = visitor.get("", headers=headers)
        assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_a_notebook_on_this_host_or_elsewhere_frames_its_page(visitor, app, shared, monkeypatch):
    local = visitor.get("").headers
    assert "frame-ancestors" not in local["Content-Security-Policy"]
    assert "X-Frame-Options" not in local
    monkeypatch.setattr(app, "_embedded", True)
    colab = visitor.get("", headers={"Host": "colab.example"}).headers
    assert not {"content-security-policy", "x-frame-options"} & set(colab)
    assert "X-Frame-Options" in visitor.get("", headers=BY_LINK).headers


def test_an_upload_that_a_browser_opens_is_a_page_without_rights(visitor):
    mine = upload(visitor, b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg").json()[0]
    answer = visitor.get(f"gradio_api/file={mine}")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_page_takes_no_script_from_another_host(visitor, shared):
    page = visitor.get("", headers=BY_LINK).text
    assert not re.findall(r"<script[^>]+src=\"https?:", page)
    assert not re.findall(r"<link[^>]+stylesheet[^>]+href=\"https?:", page)


@pytest.mark.slow
def test_the_cookies_of_a_login_are_for_this_site_and_no_script(locked):
    user = {"username": "user", "password": "password"}
    answer = httpx.post(f"{locked.local_url}login", data=user, headers=BY_LINK, trust_env=False)
    cookies = answer.headers.get_list("set-cookie")
    assert len(cookies) == 2
    for cookie in cookies:
        assert {"HttpOnly", "SameSite=Lax", "Secure"} <= set(cookie.split("; "))
        assert "samesite=none" not in cookie.lower()


# Limits


def test_a_page_that_asks_too_often_waits_and_its_neighbour_does_not(visitor, app):
    app.limits.session = limits.Buckets(limits.Rate(2, 0.001))
    job = {"data": [], "fn_index": 0, "trigger_id": None}
    answers = [
        visitor.post("gradio_api/queue/join", json=job | {"session_hash": session})
        for session in ("busy", "busy", "busy", "calm")
    ]
    assert [answer.status_code == 429 for answer in answers] == [False, False, True, False]
    assert refused(answers[2], 429)
    assert int(answers[2].headers["Retry-After"]) > 1


def live_job(app, session: str) -> dict:
    (function,) = (number for number, fn in app.fns.items() if fn.api_name == "live_frame")
    return {"data": [{}], "fn_index": function, "trigger_id": None, "session_hash": session}


def test_frames_are_counted_apart_from_clicks(visitor, app, monkeypatch):
    monkeypatch.setattr(Jobs, "has_live", lambda *_: False)
    app.limits.session = limits.Buckets(limits.Rate(1, 0.001))
    app.limits.live = limits.Buckets(limits.Rate(2, 0.001))
    click = {"data": [], "fn_index": 0, "trigger_id": None, "session_hash": "player"}
    jobs = [click, *[live_job(app, "player")] * 3, click]
    answers = [visitor.post("gradio_api/queue/join", json=job) for job in jobs]
    assert [answer.status_code == 429 for answer in answers] == [False, False, False, True, True]
    assert refused(answers[3], 429)


def test_a_page_has_one_frame_waiting_at_most_and_its_neighbour_one_as_well(
    visitor, app, monkeypatch
):
    job = live_job(app, "player")
    # A line of no place at work: what waits in it goes on waiting.
    waiting = EventQueue("held", 0)
    waiting.queue = [SimpleNamespace(session_hash="player", fn=app.fns[job["fn_index"]])]
    monkeypatch.setitem(app._queue.event_queue_per_concurrency_id, "held", waiting)
    jobs = Jobs(app)
    assert jobs.has_live("player")
    assert not jobs.has_live("neighbour")
    answer = visitor.post("gradio_api/queue/join", json=job)
    assert refused(answer, 429)
    assert answer.json()["detail"] == guard.ONE_WAITS


@pytest.mark.parametrize("function", [None, "live_frame", -1, 1e9, [1], {"a": 1}])
def test_a_job_of_no_handler_is_none_of_many_frames(app, function):
    assert not Jobs(app).is_live(function)


def test_a_full_queue_refuses_a_job_in_one_sentence_and_nothing_else(visitor, app, monkeypatch):
    monkeypatch.setattr(app._queue, "max_size", 0)
    job = {"data": [], "fn_index": 0, "trigger_id": None, "session_hash": "late"}
    for path in ("queue/join", "call/compare", "call/v2/compare"):
        assert refused(visitor.post(f"gradio_api/{path}", json=job), 429)
    assert visitor.get("").status_code == 200
    assert upload(visitor).status_code == 200


def test_whom_others_beat_to_the_last_place_is_answered_in_the_same_words(
    visitor, app, monkeypatch
):
    """A class presses at once: the queue has room when each is looked at, and is full after."""
    monkeypatch.setattr(Jobs, "are_full", lambda self: False)
    monkeypatch.setattr(app._queue, "max_size", 0)
    data = [{"seed": 1}]
    joined = visitor.post("gradio_api/queue/join", json=live_job(app, "late") | {"data": data})
    assert refused(joined, 429)
    assert joined.json() == {"detail": guard.QUEUE_FULL}
    assert joined.headers["retry-after"]
    called = visitor.post("gradio_api/call/play", json={"data": [{}]})
    assert refused(called, 429)
    assert called.text == guard.QUEUE_FULL


def test_a_visitor_with_ever_new_sessions_meets_the_limit_of_the_address(visitor, app):
    app.limits.address = limits.Buckets(limits.Rate(3, 0.001))
    answers = [visitor.post("gradio_api/reset", json={}) for _ in range(4)]
    assert [answer.status_code == 429 for answer in answers] == [False] * 3 + [True]
    # Scripts of the page are no work.
    assert visitor.get("static/js/iframeResizer.contentWindow.min.js").status_code == 200


def test_an_address_that_a_visitor_writes_is_not_believed(visitor, app, monkeypatch):
    app.limits.address = limits.Buckets(limits.Rate(1, 0.001))
    statuses = [
        visitor.get("healthz", headers={"X-Forwarded-For": f"192.0.2.{last}"}).status_code
        for last in (1, 2)
    ]
    assert statuses == [200, 429]
    monkeypatch.setattr(app, "root_path", "/thyro")
    # Now there is a proxy that writes it.
    assert visitor.get("healthz", headers={"X-Forwarded-For": "192.0.2.3"}).status_code == 200


def test_a_class_of_a_hundred_behind_one_address_is_served(visitor):
    """Each opens the page with ten requests and uploads three frames, all at once."""
    clock = [0.0]
    address, sent = (
        limits.Buckets(rate, lambda: clock[0]) for rate in (limits.PER_ADDRESS, limits.UPLOADS)
    )
    for _ in range(100 * 10):
        address.take("tunnel")
    for _ in range(100 * 3):
        address.take("tunnel")
        sent.take("tunnel")
    with pytest.raises(limits.Refused):
        sent.take("tunnel")
    clock[0] = 1.0
    sent.take("tunnel")


def test_passwords_are_guessed_slowly(visitor, app):
    app.limits.logins = limits.Buckets(limits.Rate(1, 0.001))
    guess = {"username": "user", "password": "guess"}
    statuses = [visitor.post(path, data=guess).status_code for path in ("login", "login/")]
    assert statuses[1] == 429


def test_old_buckets_are_thrown_away():
    clock = [0.0]
    buckets = limits.Buckets(limits.Rate(1, 1.0), lambda: clock[0])
    for number in range(limits._MANY):
        clock[0] += 0.01
        buckets.take(str(number))
    buckets.take("one more")
    assert len(buckets._left) < limits._MANY / 10


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}])
def test_an_upload_over_the_limit_is_refused_in_one_sentence_and_leaves_nothing(
    visitor, app, headers
):
    app.limits.upload_bytes = 100_000
    head = b'--B\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    parts = [head, *[bytes(60_000)] * 5, b"\r\n--B--\r\n"]
    typed = {"Content-Type": "multipart/form-data; boundary=B"}
    content = iter(parts) if headers else b"".join(parts)
    answer = visitor.post("gradio_api/upload", content=content, headers=typed)
    assert refused(answer, 413)
    assert not list(uploads.private_folder().glob("tmp*"))


def test_one_file_as_large_as_the_page_promises_fits():
    assert MAX_FILE_SIZE == "20mb"
    assert limits.MAX_FILE_BYTES == 20 * 1024**2 < limits.MAX_UPLOAD_BYTES


def test_a_request_that_brings_no_file_is_small(visitor, app):
    app.limits.body_bytes = 1000
    job = {"data": ["x" * 2000], "fn_index": 0, "session_hash": "large"}
    assert refused(visitor.post("gradio_api/queue/join", json=job), 413)


def test_an_address_uploads_so_much_in_ten_minutes(visitor, app):
    clock = [0.0]
    app.limits.quota = limits.Quota(address_bytes=30_000, clock=lambda: clock[0])
    assert upload(visitor, bytes(20_000)).status_code == 200
    answer = upload(visitor, bytes(20_000))
    assert refused(answer, 429)
    assert int(answer.headers["Retry-After"]) <= limits.KEPT_S
    assert not list(uploads.private_folder().glob("tmp*"))
    clock[0] = limits.KEPT_S + 1
    assert upload(visitor, bytes(20_000)).status_code == 200


@pytest.mark.parametrize("full", [{"folder_bytes": 10}, {"folder_files": 0}, {"free_bytes": 2**70}])
def test_uploads_fill_neither_their_folder_nor_the_disk(visitor, app, full):
    app.limits.quota = limits.Quota(**full)
    assert refused(upload(visitor), 507)
    app.limits.quota = limits.Quota()
    assert upload(visitor).status_code == 200


def test_uploads_that_come_at_once_are_counted_before_they_have_come(tmp_path):
    async def come():
        quota = limits.Quota(folder_bytes=100)
        await quota.begin(60, tmp_path)
        with pytest.raises(limits.Refused) as refusal:
            await quota.begin(60, tmp_path)
        assert refusal.value.status == 507
        quota.end(60)
        await quota.begin(60, tmp_path)

    asyncio.run(come())


def test_a_request_that_does_not_end_is_ended(visitor, app):
    app.limits.upload_s = app.limits.body_s = 0.05
    for path in ("upload", "queue/join"):
        head = (
            f"POST /gradio_api/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n"
            "Content-Type: multipart/form-data; boundary=B\r\n\r\n--B"
        )
        address = (visitor.base_url.host, visitor.base_url.port)
        with socket.create_connection(address, timeout=10) as half:
            half.sendall(head.encode())
            assert half.recv(100).startswith(b"HTTP/1.1 408 ")


def test_an_answer_that_does_not_begin_is_given_up(visitor, app, monkeypatch):
    async def never():
        await asyncio.Event().wait()

    # Something that Gradio answers by way of a function.
    monkeypatch.setattr(app, "run_startup_events", lambda: None)
    monkeypatch.setattr(app, "run_extra_startup_events", never)
    monkeypatch.setattr(app.app, "startup_events_triggered", False)
    app.limits.answer_s = 0.05
    assert refused(visitor.get("gradio_api/startup-events"), 503)


# Logs


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pandas, at which Gradio prints
def test_nothing_of_a_visitor_is_printed(visitor, app, locked, speckle, tmp_path, capfd):
    names = ("MUELLER-1961.png", "MUELLER-1962.png")
    Image.fromarray(speckle).save(tmp_path / names[0])
    (tmp_path / names[1]).write_bytes(b"no image of Mrs MUELLER")
    client = Client(app.local_url, verbose=False)
    client.predict(handle_file(tmp_path / names[0]), ["vgg16"], api_name="/compare")
    with pytest.raises(ValueError, match="Received: MUELLER"):
        client.predict(handle_file(tmp_path / names[1]), ["vgg16"], api_name="/compare")
    visitor.get("MUELLER", headers={"User-Agent": "MUELLER"})
    guess = {"username": "MUELLER", "password": "secret"}
    httpx.post(f"{locked.local_url}login", data=guess, trust_env=False)
    printed = "".join(capfd.readouterr())
    assert "MUELLER" not in printed
    assert "127.0.0.1" not in printed


# The threat model


def test_the_tests_that_the_threat_model_names_exist():
    root = Path(__file__).resolve().parents[2]
    readme = (root / "thyro_demo" / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", readme.partition("## Threat model")[2]))
    assert len(named) > 15
    files = (root / "tests").rglob("test_*.py")
    written = "".join(path.read_text(encoding="utf-8") for path in files)
    assert named <= set(re.findall(r"def (test_\w+)", written))
