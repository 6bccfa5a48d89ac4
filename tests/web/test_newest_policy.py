"""The weights that are played are the newest that can be read."""

import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from pixelq.checkpoints.policy_file import FILE, read_weights
from pixelq.checkpoints.reader import read_checkpoint
from pixelq.errors import UserError
from pixelq.web.newest_policy import policy_places, weights_at


@pytest.fixture
def pole(trained: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(trained / "pole", tmp_path / "pole"))


def test_checkpoints_and_policies_are_listed_newest_first(pole: Path) -> None:
    places = policy_places(pole, "newest")
    assert [place.agent_steps for place in places] == sorted((place.agent_steps for place in places), reverse=True)
    assert (places[0].kind, places[0].agent_steps) == ("checkpoint", 320)
    assert {place.kind for place in places} == {"checkpoint", "best", "final"}
    assert [place.path for place in policy_places(pole, "best")] == [pole / "best" / FILE]
    assert [place.path for place in policy_places(pole, "final")] == [pole / "final" / FILE]


def test_a_checkpoints_weights_are_its_networks(pole: Path) -> None:
    place = policy_places(pole, "newest")[0]
    found = weights_at(place)
    expected = read_checkpoint(place.path).state["learner"]["network"]
    final = read_weights(pole / "final" / FILE)
    assert found.keys() == expected.keys() == final.keys()
    assert all(torch.equal(found[name], expected[name]) and torch.equal(found[name], final[name]) for name in found)


def test_a_kept_result_is_a_policy_beside_its_configuration(pole: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    shutil.copy(pole / "final" / FILE, kept / FILE)
    (place,) = policy_places(kept, "newest")
    assert (place.kind, place.agent_steps) == ("policy", 320)


def test_a_damaged_checkpoint_is_refused(pole: Path) -> None:
    place = policy_places(pole, "newest")[0]
    file = place.path / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="digest"):
        weights_at(place)


def test_a_checkpoint_that_vanishes_meanwhile_is_one_line(pole: Path) -> None:
    place = policy_places(pole, "newest")[0]
    shutil.rmtree(place.path)
    with pytest.raises(UserError, match="cannot be read"):
        weights_at(place)
    assert place not in policy_places(pole, "newest")


def test_links_and_strange_files_are_left_out(tmp_path: Path, pole: Path) -> None:
    run = tmp_path / "odd"
    (run / "best").mkdir(parents=True)
    (run / "final").mkdir()
    (run / "checkpoints").mkdir()
    (run / "best" / FILE).symlink_to(pole / "best" / FILE)
    (run / "final" / FILE).write_bytes(b"no policy")
    (run / "checkpoints" / "step-000000000007").symlink_to(policy_places(pole, "newest")[0].path)
    (run / "checkpoints" / "step-1").mkdir()
    assert policy_places(run, "newest") == []
    safetensors.torch.save_file({"a": torch.zeros(1)}, run / "final" / FILE)
    assert [place.agent_steps for place in policy_places(run, "newest")] == [-1]
