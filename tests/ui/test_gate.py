"""A visitor opens what was uploaded to the page, and no other file of the host."""

import json
import os
import zipfile

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from thyro_demo.ui.catalogue import LANGUAGES, language
from thyro_demo.ui.gate import NOT_AN_UPLOAD
from thyro_demo.ui.guard import OF_ANOTHER_SITE
from thyro_demo.ui.sentences import said
from thyro_demo.ui.uploads import private_folder

META = {"meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> dict[str, str]:
    """Paths that a visitor may try: what is there, and what is not."""
    folder = tmp_path_factory.mktemp("host")
    image = folder / "patient.png"
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(image)
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.write(image, "member.png")
    inside = private_folder()
    link = inside / "link.png"
    link.unlink(missing_ok=True)
    link.symlink_to(image)
    return {
        "an image": str(image),
        "a member of an archive": f"{folder / 'archive.zip'}::member.png",
        "a text file": __file__,
        "a folder": str(folder),
        "nothing": str(folder / "missing.png"),
        "out of the upload folder": os.path.join(inside, os.path.relpath(image, inside)),
        "an archive behind the upload folder": f"{inside}/../{folder.name}.zip::member.png",
        "a link out of the upload folder": str(link),
        "the upload folder": str(inside),
        "another place of one beginning": f"{inside}-of-another/frame.png",
        "relative": os.path.relpath(image),
        "an address": "http://127.0.0.1:1/patient.png",
        "a null byte": f"{image}\0",
        "a name too long": "x" * 5000,
    }


def ask(address: str, config: dict, dependency: int, data: list) -> dict:
    """Send a request to a handler as the page does, and return what it answers."""
    session = f"visitor-{dependency}"
    with httpx.Client(base_url=address, timeout=60, trust_env=False, verify=False) as client:
        joined = client.post(
            "gradio_api/queue/join",
            json={"data": data, "fn_index": dependency, "session_hash": session},
        )
        assert joined.status_code == 200, joined.text
        with client.stream("GET", "gradio_api/queue/data", params={"session_hash": session}) as got:
            for line in got.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line else {}
                if message.get("msg") == "process_completed":
                    return message
    raise AssertionError("the queue closed without an answer")


def config_of(address: str) -> dict:
    return httpx.get(f"{address}config", trust_env=False).json()


def test_every_handler_of_the_app_refuses_a_path_of_the_host(served_every_kind, secrets):
    address, engine = served_every_kind
    config = config_of(address)
    path, asked = secrets["an image"], 0
    refusals = []
    for code in LANGUAGES:
        with language(code):
            refusals.append(said(NOT_AN_UPLOAD))
    engine.explained.clear()
    engine.marked.clear()
    for dependency in config["dependencies"]:
        for place in range(len(dependency["inputs"])):
            for value in ({"path": path}, {"path": path} | META, [[{"deep": {"path": path}}]]):
                data = [None] * len(dependency["inputs"])
                data[place] = value
                answer = ask(address, config, dependency["id"], data)
                assert not answer["success"]
                assert answer["output"]["error"] in refusals
                asked += 1
    # Else a page whose handlers are not found would pass.
    assert asked > 30
    assert not engine.explained
    assert not engine.marked


def test_no_component_offers_functions_of_the_server(served):
    """They would be reached past the gate (`component_server`)."""
    assert not [
        component["type"]
        for component in config_of(served[0])["components"]
        if component["props"].get("server_fns")
    ]


@pytest.mark.parametrize("meta", [{}, META], ids=["without meta", "with meta"])
def test_an_answer_reveals_nothing_of_what_is_where(served, secrets, meta):
    address, _ = served
    config = config_of(address)
    image = next(
        component["id"]
        for component in config["components"]
        if component["props"].get("elem_id") == "thyro-frame"
    )
    upload = next(
        dependency
        for dependency in config["dependencies"]
        if [image, "upload"] in [list(target) for target in dependency["targets"]]
    )
    answers = {
        name: ask(address, config, upload["id"], [{"path": path} | meta])["output"]
        for name, path in secrets.items()
    }
    assert {answer.get("error") for answer in answers.values()} == {NOT_AN_UPLOAD}, answers


@pytest.mark.parametrize("route", ["call/compare", "call/v2/compare", "run/compare", "api/compare"])
def test_the_named_endpoint_scores_no_image_of_the_host(served, secrets, route):
    address, engine = served
    before = len(engine.marked)
    image = {"path": secrets["an image"]}
    body = {"data": [image, ["vgg16"]]}
    if "v2" in route:
        body = {"image": image, "models": ["vgg16"]}
    with httpx.Client(base_url=address, timeout=60, trust_env=False, verify=False) as client:
        answer = client.post(f"gradio_api/{route}", json=body)
        if answer.status_code == 200 and "event_id" in answer.json():
            event = answer.json()["event_id"]
            answer = client.get(f"gradio_api/{route}/{event}")
    assert "score" not in answer.text
    assert len(engine.marked) == before


def test_a_file_without_extension_is_still_compared(served, speckle, tmp_path):
    """The client sends no `meta` with such a name."""
    path = tmp_path / "frame"
    Image.fromarray(speckle).save(path, "PNG")
    client = Client(served[0], verbose=False)
    answer = client.predict(image=handle_file(path), models=["vgg16"], api_name="/compare")
    assert answer == served[1].compare(speckle, ["vgg16"]).to_dict()


def test_a_frame_that_has_gone_is_refused_in_the_same_words(served):
    missing = {"path": str(private_folder() / "gone" / "frame.png")}
    with pytest.raises(AppError, match="uploaded to this page"):
        Client(served[0], verbose=False).predict(
            image=missing, models=["vgg16"], api_name="/compare"
        )


@pytest.mark.parametrize(
    ("site", "status"),
    [("cross-site", 403), ("same-site", 403), (None, 403), ("same-origin", 200), ("none", 200)],
)
def test_a_page_of_another_site_uploads_nothing_through_a_visitors_browser(served, site, status):
    headers = {"Origin": "https://evil.example"}
    if site is not None:
        headers["Sec-Fetch-Site"] = site
    answer = httpx.post(
        f"{served[0]}gradio_api/upload",
        files={"files": ("frame.png", b"content")},
        headers=headers,
        trust_env=False,
    )
    assert answer.status_code == status
    assert (answer.text == OF_ANOTHER_SITE) is (status == 403)


def test_a_link_on_another_site_still_opens_the_page(served):
    answer = httpx.get(served[0], headers={"Sec-Fetch-Site": "cross-site"}, trust_env=False)
    assert answer.status_code == 200
