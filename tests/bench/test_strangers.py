"""Every bundle of a hostile stranger is refused in one sentence, and harms no other."""

import functools
import re
import shutil

import pytest

from thyro_demo.bench import strangers
from thyro_demo.bundle import network_file, store
from thyro_demo.bundle.manifest import names
from thyro_demo.engine import Engine
from thyro_demo.errors import BundleError

SENTENCE = re.compile(r"[A-Z][^\n]*\. Received: [^\n]+\.")

WORDS = {
    "a Lambda layer": "Lambda 'evil'",
    "a Lambda layer in a nested network": "Lambda 'evil'",
    "a layer that reads files": "StringLookup",
    "a function of another module": "keras.utils.get_file",
    "a network nested as one layer": "inner.output",
    "a member of model.keras that climbs out": "../../evil.txt",
    "a zip bomb as network": "268,435,456 bytes",
    "weights that claim a terabyte": "1,099,",
    "weights that link to another file": "a link 'elsewhere'",
    "NaN among the weights": "in the layer 'logits'",
    "weights of another shape": "other shapes",
    "a network of another input": "a network from (None, 96, 96, 3)",
    "a pickle as heads": "(a pickle)",
    "a member of heads.skops that climbs out": "../../evil.npy",
    "a zip bomb as heads": "268,435,456 bytes",
    "a forged tree": "a node outside its tree",
    "a manifest whose name climbs out": "wrong: name or heads",
    "a manifest that names files elsewhere": "model.keras (missing)",
    "a manifest of 20 MB": "16,777,216 bytes",
    "a title that is a page of its own": "wrong: title",
    "no network": "model.keras (missing)",
    "no heads": "heads.skops (missing)",
    "no manifest": "manifest.json",
}


@pytest.fixture(scope="module")
def attacked(tiny_weights, tmp_path_factory):
    """Return a function that makes the bundle of an attack, each but once."""

    @functools.cache
    def make(attack):
        copy = tmp_path_factory.mktemp("attacked") / "a" / "b" / "tiny"
        shutil.copytree(tiny_weights / "tiny", copy)
        strangers.attacks()[attack](copy)
        return copy

    return make


@pytest.mark.parametrize("attack", strangers.attacks())
def test_each_attack_is_refused_in_words_that_name_it(attack, attacked, capsys):
    copy = attacked(attack)
    with pytest.raises(BundleError) as caught:
        store.load(copy)
    assert SENTENCE.fullmatch(str(caught.value)), caught.value
    assert WORDS[attack] in str(caught.value)
    assert not list(copy.parents[2].rglob("evil*"))
    assert "has run" not in capsys.readouterr().out


@pytest.mark.parametrize("attack", ["a zip bomb as network", "a zip bomb as heads"])
def test_what_a_bomb_claims_is_never_unpacked(attack, attacked, monkeypatch):
    copy = attacked(attack)
    read, sizes = network_file.zipfile.ZipExtFile.read, []

    def watched(self, n=-1):
        content = read(self, n)
        sizes.append(len(content))
        return content

    monkeypatch.setattr(network_file.zipfile.ZipExtFile, "read", watched)
    with pytest.raises(BundleError, match="bytes in"):
        store.load(copy)
    assert max(sizes, default=0) < 2**23


def test_broken_bundles_beside_a_good_one_never_stop_it(tiny_weights, tmp_path, spotted_frames):
    shutil.copytree(tiny_weights / "tiny", tmp_path / "good")
    chosen = ("a Lambda layer", "a forged tree", "a manifest of 20 MB", "no network")
    for number, attack in enumerate(chosen):
        strangers.attacks()[attack](shutil.copytree(tmp_path / "good", tmp_path / f"bad{number}"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / "manifest.json").write_bytes(b"\xff\xfe\x00")
    engine = Engine(tmp_path)
    with pytest.raises(BundleError, match="Received: "):
        engine.warm_up()
    answer = engine.compare(spotted_frames[0][1], ["good"])
    assert all(0 <= one.score <= 1 for one in answer.predictions)
    for name in names(tmp_path):
        if name != "good":
            with pytest.raises(BundleError, match="Received: "):
                engine.compare(spotted_frames[0][1], [name])
