"""Programs compare too: the same numbers, the same sentences, without the page."""

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image


@pytest.fixture(scope="module")
def client(served):
    return Client(served[0], verbose=False)


def test_a_client_gets_the_scores_that_the_engine_gives(client, served, speckle, tmp_path):
    path = tmp_path / "frame.png"
    Image.fromarray(speckle).save(path)
    answer = client.predict(image=handle_file(path), models=["vgg16"], api_name="/compare")
    assert answer == served[1].compare(speckle, ["vgg16"]).to_dict()


@pytest.mark.parametrize("name", ["x" * 231 + ".png", "ä" * 120 + ".png", "x" * 235])
def test_a_file_may_have_a_name_as_long_as_a_disk_allows(client, speckle, tmp_path, name):
    Image.fromarray(speckle).save(tmp_path / name, format="png")
    answer = client.predict(handle_file(tmp_path / name), ["vgg16"], api_name="/compare")
    assert answer["predictions"]


def test_a_client_is_told_in_one_sentence_what_is_wrong(client, tmp_path):
    path = tmp_path / "one-pixel.png"
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(path)
    with pytest.raises(AppError, match=r"Received: one-pixel\.png"):
        client.predict(image=handle_file(path), models=["vgg16"], api_name="/compare")
