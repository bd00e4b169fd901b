"""Programs compare too: the same numbers, the same sentences, without the page."""

import re

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from thyro_demo.bench.dicom_files import LOSSLESS, write
from thyro_demo.data.images import load
from thyro_demo.ui.gate import NOT_AN_UPLOAD


@pytest.fixture(scope="module")
def client(served):
    return Client(served[0], verbose=False)


def test_a_client_gets_the_scores_of_the_engine(client, served, speckle, tmp_path):
    path = tmp_path / "frame.png"
    Image.fromarray(speckle).save(path)
    answer = client.predict(image=handle_file(path), models=["vgg16"], api_name="/compare")
    assert answer == served[1].compare(speckle, ["vgg16"]).to_dict()


@pytest.mark.parametrize("name", ["x" * 231 + ".png", "ä" * 120 + ".png", "x" * 235])
def test_a_file_may_have_a_name_as_long_as_a_disk_allows(client, speckle, tmp_path, name):
    Image.fromarray(speckle).save(tmp_path / name, format="png")
    answer = client.predict(handle_file(tmp_path / name), ["vgg16"], api_name="/compare")
    assert answer["predictions"]


def test_the_api_page_names_what_goes_in_and_what_comes_out(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == [
        "/compare",
        "/maps",
        "/play",
        "/play_scores",
        "/clinic",
        "/tirads",
        "/present",
    ]
    for name in ("/play", "/play_scores"):
        assert [one["parameter_name"] for one in endpoints[name]["parameters"]] == ["state"]
        assert "not a diagnosis" in endpoints[name]["description"]
    (number,) = endpoints["/present"]["parameters"]
    assert number["parameter_name"] == "number"
    assert "not a diagnosis" in endpoints["/present"]["description"]
    endpoint = endpoints["/compare"]
    named = [one["parameter_name"] for one in endpoint["parameters"]]
    assert named == ["image", "models", "frame"]
    assert [one["label"] for one in endpoint["returns"]] == ["Comparison"]
    assert endpoint["description"].startswith("Compare models on one image.")
    assert "Parameters" not in endpoint["description"]
    assert "not a diagnosis" in endpoint["description"]


def test_a_client_gets_the_heatmaps_of_all_heads_and_their_share_of_a_box(
    client, served, speckle, tmp_path
):
    Image.fromarray(speckle).save(tmp_path / "frame.png")
    image, models = handle_file(tmp_path / "frame.png"), ["vgg16", "resnet50"]
    answer = client.predict(image, models, api_name="/maps")
    heads = [(one["model"], one["head"]) for one in answer["maps"]]
    expected = served[1].compare(speckle, models).predictions
    assert heads == [(one.model, one.head) for one in expected]
    assert all(one["heatmap"].startswith("data:image/png;base64,") for one in answer["maps"])
    assert {one["share"] for one in answer["maps"]} == {None}
    boxed = client.predict(image, models, 1, [0, 0, 1, 1], api_name="/maps")["maps"]
    assert {one["share"]["part"] for one in boxed} == {1.0}
    with pytest.raises(AppError, match=r"A box must be .* Received: \[1, 2\]"):
        client.predict(image, models, 1, [1, 2], api_name="/maps")
    with pytest.raises(AppError, match="Choose at least one model"):
        client.predict(image, [], api_name="/maps")


def test_the_api_page_names_features_and_size_of_the_clinic(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    features = ["composition", "echogenicity", "shape", "margin", "foci"]
    named = {
        "/clinic": ["image", "size_mm", "model", *features],
        "/tirads": [*features, "size_mm"],
    }
    for name, parameters in named.items():
        found = endpoints[name]["parameters"]
        assert [one["parameter_name"] for one in found] == parameters
        # Whoever leaves a feature out need not name it.
        assert all(one["parameter_has_default"] for one in found if one != found[0])
        assert "diagnosis" in endpoints[name]["description"]
        assert "Parameters" not in endpoints[name]["description"]


def test_a_client_goes_through_the_clinic(client, served, speckle, tmp_path):
    path = tmp_path / "frame.png"
    Image.fromarray(speckle).save(path)
    features = {
        "composition": "solid or almost completely solid",
        "echogenicity": "hypoechoic",
        "shape": "wider than tall",
        "margin": "smooth",
        "foci": ["punctate echogenic foci"],
    }
    asked = {"size_mm": "12,5", **features}
    answer = client.predict(image=handle_file(path), model="vgg16", api_name="/clinic", **asked)
    (expected,) = [
        one for one in served[1].compare(speckle, ["vgg16"]).predictions if one.head == "svm"
    ]
    assert answer["score"] == expected.score
    assert answer["rule"]["discussed"] == expected.positive
    assert answer["tirads"]["sentence"] == "TR5, 10 mm or more: FNA."
    alone = client.predict(api_name="/tirads", **asked)
    assert alone == {"notice": answer["notice"]} | answer["tirads"]
    with pytest.raises(AppError, match=r"longest diameter must be .* Received: 3000\."):
        client.predict(api_name="/tirads", **asked | {"size_mm": "3000"})


@pytest.mark.parametrize("number", [1, 2])
def test_a_client_asks_for_a_frame_of_a_loop(client, served, tmp_path, number):
    frames = np.stack([np.full((40, 52), shade, np.uint8) for shade in (20, 90)])
    (tmp_path / "loop.dcm").write_bytes(write(frames, LOSSLESS["JPEG-LS"], "MONOCHROME2"))
    answer = client.predict(
        handle_file(tmp_path / "loop.dcm"), ["vgg16"], number, api_name="/compare"
    )
    wanted = load(tmp_path / "loop.dcm", number)
    assert answer == served[1].compare(wanted, ["vgg16"]).to_dict()
    with pytest.raises(AppError, match=r"Received: frame=3 of loop\.dcm"):
        client.predict(handle_file(tmp_path / "loop.dcm"), ["vgg16"], 3, api_name="/compare")


def test_a_program_of_before_that_sends_no_frame_is_answered(client, served, speckle, tmp_path):
    Image.fromarray(speckle).save(tmp_path / "frame.png")
    address = f"{served[0]}gradio_api/"
    with open(tmp_path / "frame.png", "rb") as file:
        (path,) = httpx.post(f"{address}upload", files={"files": file}, trust_env=False).json()
    body = {"data": [{"path": path}, ["vgg16"]]}
    event = httpx.post(f"{address}call/compare", json=body, trust_env=False).json()["event_id"]
    answer = httpx.get(f"{address}call/compare/{event}", trust_env=False, timeout=60).text
    assert "event: complete" in answer
    assert '"score"' in answer


@pytest.mark.parametrize("name", ["/compare", "/maps"])
@pytest.mark.parametrize("number", [None, 0, -1, 1.5, 1e-9, "x", "1", True, [1], {"a": 1}], ids=str)
def test_the_frame_is_a_whole_number_of_1_or_more(client, speckle, tmp_path, capfd, name, number):
    Image.fromarray(speckle).save(tmp_path / "frame.png")
    image = handle_file(tmp_path / "frame.png")
    with pytest.raises(AppError) as refused:
        client.predict(image, ["vgg16"], number, api_name=name)
    rule = "The frame must be a whole number of 1 or more."
    assert str(refused.value) == f"{rule} Received: frame={number}."
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("name", ["/compare", "/maps"])
@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        (None, r"Choose at least one model\. Received: none\."),
        ([], r"Choose at least one model\. Received: none\."),
        ("vgg16", r"Models must be a list of names out of vgg16, .*\. Received: models=vgg16\."),
        (["vgg"], r"Models must be .*\. Received: models=\['vgg'\]\."),
        ([["vgg16"]], r"Models must be .*\. Received: models=\[\['vgg16'\]\]\."),
        ({"a": 1}, r"Models must be .*\. Received: models=\{'a': 1\}\."),
        (7, r"Models must be .*\. Received: models=7\."),
    ],
)
def test_models_are_names_of_models(client, speckle, tmp_path, capfd, name, models, sentence):
    Image.fromarray(speckle).save(tmp_path / "frame.png")
    with pytest.raises(AppError) as refused:
        client.predict(handle_file(tmp_path / "frame.png"), models, api_name=name)
    assert re.fullmatch(sentence, str(refused.value))
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("name", ["/compare", "/maps", "/clinic"])
@pytest.mark.parametrize("image", ["x", 5, [1], {"path": 7}], ids=str)
def test_an_image_is_an_uploaded_file(client, capfd, name, image):
    models = {} if name == "/clinic" else {"models": ["vgg16"]}
    with pytest.raises(AppError) as refused:
        client.predict(image=image, api_name=name, **models)
    assert str(refused.value) == NOT_AN_UPLOAD
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("number", [None, 0, 1.5, 1e30, "x", True, [1], {"a": 1}], ids=str)
def test_a_case_is_one_of_those_there_are(client, capfd, number):
    with pytest.raises(AppError) as refused:
        client.predict(number, api_name="/present")
    sentence = rf"A case must be a number from 1 to \d+\. Received: {re.escape(str(number))}\."
    assert re.fullmatch(sentence, str(refused.value))
    assert "Traceback" not in capfd.readouterr().err


def test_a_mistake_of_a_client_is_answered_in_one_sentence(client, tmp_path):
    path = tmp_path / "one-pixel.png"
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(path)
    with pytest.raises(AppError, match=r"Received: one-pixel\.png"):
        client.predict(image=handle_file(path), models=["vgg16"], api_name="/compare")
