"""One function finds every policy: what is a path, what a zip, what a repository; and a run may begin with any."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

import pixelq
from hub_stand_in import Hub, ask_only
from pixelq.checkpoints.policy_file import read_weights
from pixelq.cli import main
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.runs import session
from pixelq.runs.initial_weights import read_initial_weights
from pixelq.sharing.place import opened


def test_a_path_is_taken_as_it_is_and_its_results_go_there(run: Path) -> None:
    for given in (run, run / "best/policy.safetensors", Path("nothing"), Path("runs/nothing")):
        with opened(given) as place:
            assert place.path == given
            assert place.result("eval.json") == (given if given.is_dir() else given.parent) / "eval.json"
            assert place.named(given) == str(given)


def test_a_zip_is_there_while_it_is_open_and_its_results_go_beside_it(run: Path) -> None:
    Path("sub").mkdir()
    with zipfile.ZipFile("sub/x.zip", "w") as archive:
        for name in ("policy.safetensors", "config.toml"):
            archive.write(run / "best" / name, name)
    with opened("sub/x.zip") as place:
        assert sorted(os.listdir(place.path)) == ["config.toml", "policy.safetensors"]
        assert place.result("eval.json") == Path("sub/x-eval.json")
        assert place.named(place.path / "policy.safetensors") == "sub/x.zip/policy.safetensors"
    assert not place.path.exists()
    with pytest.raises(KeyError), opened("sub/x.zip") as place:
        raise KeyError
    assert not place.path.parent.exists()


def test_a_run_begins_with_the_weights_of_a_zip_or_of_a_repository_and_finds_them_again(
    run: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: (run / "best" / name).read_bytes() for name in ("policy.safetensors", "config.toml")}
    hub.add("other/cart", files)
    shutil.make_archive("x", "zip", run / "best")
    expected = read_weights(run / "best/policy.safetensors")
    for given in ("x.zip", "hf:other/cart", "other/cart"):
        config = session.settled(configure("CartPole-v1", None, {"load": given}))
        if given != "x.zip":
            assert config.load.endswith(f"{hub.commit('other/cart', 'main')}/policy.safetensors")
        with monkeypatch.context() as patched:
            ask_only("http://127.0.0.1:9", tmp_path / "hub", patched)
            initial = read_initial_weights(config)
        assert initial is not None
        weights = initial.weights
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_watch_shows_what_was_unpacked(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.make_archive("x", "zip", run)
    seen: list[list[str]] = []
    monkeypatch.setattr(
        "pixelq.web.server.serve",
        lambda folder, **options: seen.append(
            sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        ),
    )
    assert main(["watch", "x.zip"]) == 0
    assert {"config.toml", "episodes.csv", "progress.csv", "best/policy.safetensors"} <= set(seen[0])
    assert not any("checkpoint" in name for name in seen[0])


def test_a_folder_of_a_persons_own_comes_before_a_repository_of_its_name(run: Path, hub: Hub) -> None:
    Path("other").mkdir()
    shutil.copytree(run / "best", "other/cart")
    hub.add("other/cart", {})
    assert pixelq.load("other/cart").config.game == "CartPole-v1"
    assert hub.asked == []
    with pytest.raises(UserError, match=r"^hf:other/cart: no policy of pixelq there|^other/cart: no policy"):
        pixelq.load("hf:other/cart")
