"""Files that are damaged, or made to do harm: one line that says what is wrong, and nothing is written or run."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreign_files import C51, DQN, SB3, Marks, members, mlp, sb3_copy, sb3_weights, torch_bytes, zipped
from pixelq.cli import main
from pixelq.errors import UserError
from pixelq.imported import bounded_files
from pixelq.imported.cleanrl import import_cleanrl
from pixelq.imported.sb3 import import_sb3

NOBODY_SAYS: dict[str, Any] = {"keywords": {}, "frame_skip": None, "sticky_actions": None}


def refused(library: str, path: Path, folder: Path, capsys: Any, game: str = "CartPole-v1") -> str:
    """The one line with which `pixelq import` refuses a file."""
    before = sorted(folder.rglob("*"))
    assert main(["import", library, str(path), "--game", game, "--output", str(folder / "new")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("pixelq: ")
    assert len(err) < 1_000
    assert sorted(folder.rglob("*")) == before
    return str(err)


def written(path: Path, contents: bytes) -> Path:
    path.write_bytes(contents)
    return path


@pytest.mark.parametrize("library", ["sb3", "cleanrl"])
@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "pipe", "name", "unreadable zip"])
def test_what_is_no_model_at_all(library: str, kind: str, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / ("x" * 300 if kind == "name" else "file")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind in ("empty", "text", "unreadable zip"):
        written(path, {"empty": b"", "text": b"hello", "unreadable zip": b"PK\x03\x04" + bytes(100)}[kind])
    assert str(path)[:200] in refused(library, path, tmp_path, capsys)


@pytest.mark.parametrize(("library", "model"), [("sb3", SB3), ("cleanrl", DQN), ("cleanrl", C51)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off(library: str, model: Path, share: float, tmp_path: Path, capsys: Any) -> None:
    contents = model.read_bytes()
    path = written(tmp_path / "file", contents[: int(share * len(contents))])
    assert str(path)[:100] in refused(library, path, tmp_path, capsys)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_other_bytes_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    model, read = data.draw(st.sampled_from([(SB3, import_sb3), (DQN, import_cleanrl), (C51, import_cleanrl)]))
    contents = bytearray(model.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(contents) - 1), min_size=1, max_size=20)):
        contents[place] = data.draw(st.integers(0, 255))
    path = written(tmp_path / "file", bytes(contents))
    try:
        read(path, "CartPole-v1", **NOBODY_SAYS)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017


def archive_with(folder: Path, marks: Marks) -> bytes:
    """What `torch.save` writes, with a pickle in it that makes a file."""
    contents = zipped(folder / "torch", {"archive/data.pkl": pickle.dumps(marks, 2), "archive/version": b"3\n"})
    data = contents.read_bytes()
    contents.unlink()
    return data


def test_a_pickle_that_would_run_is_not_run(tmp_path: Path, capsys: Any) -> None:
    marks = Marks(tmp_path / "ran")
    harmful = {"torch": archive_with(tmp_path, marks), "saved": torch_bytes({"network.0.weight": marks})}
    for name, contents in harmful.items():
        said = refused("cleanrl", written(tmp_path / name, contents), tmp_path, capsys)
        assert "executes no pickle" in said or "damaged" in said
        path = sb3_copy(tmp_path / f"{name}.zip", **{"policy.pth": contents})
        refused("sb3", path, tmp_path, capsys)
    refused("cleanrl", written(tmp_path / "plain", pickle.dumps(marks, 2)), tmp_path, capsys)
    refused("sb3", written(tmp_path / "plain", pickle.dumps(marks, 2)), tmp_path, capsys)
    assert not (tmp_path / "ran").exists()
    torch.load(io.BytesIO(harmful["saved"]), weights_only=False)  # it would have
    assert (tmp_path / "ran").exists()


def test_flaxs_files_are_named(tmp_path: Path, capsys: Any) -> None:
    assert "JAX" in refused("cleanrl", written(tmp_path / "file", b"\x81\xa6params\x80"), tmp_path, capsys)


def test_an_archive_that_unpacks_to_far_more(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_files, "MOST_BYTES", 2**20)
    bomb = zipped(tmp_path / "bomb", members() | {"policy.pth": bytes(2**21)}, zipfile.ZIP_DEFLATED)
    assert "unpacks to more than" in refused("sb3", bomb, tmp_path, capsys)
    inner = zipped(tmp_path / "inner", {"archive/data.pkl": bytes(2**21)}, zipfile.ZIP_DEFLATED).read_bytes()
    assert "unpacks to more than" in refused("cleanrl", tmp_path / "inner", tmp_path, capsys)
    nested = zipped(tmp_path / "nested", members() | {"policy.pth": inner}, zipfile.ZIP_DEFLATED)
    assert "unpacks to more than" in refused("sb3", nested, tmp_path, capsys)
    many = zipped(tmp_path / "many", {f"a/{i}": b"" for i in range(bounded_files.MOST_TENSORS + 1)})
    assert "unpacks to more than" in refused("cleanrl", many, tmp_path, capsys)


def test_a_huge_file_is_not_read(tmp_path: Path, capsys: Any) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(2**40)  # a terabyte, of which the disk holds one block
    for library in ("sb3", "cleanrl"):
        assert "bytes" in refused(library, tmp_path / "file", tmp_path, capsys)


BAD_WEIGHTS: dict[str, Callable[[], Any]] = {
    "nan": lambda: torch.full((16, 4), float("nan")),
    "infinite": lambda: torch.full((16, 4), float("inf")),
    "another shape": lambda: torch.zeros(16, 5),
    "one axis": lambda: torch.zeros(16),
    "no number": lambda: torch.zeros(0, 4),
    "double": lambda: torch.zeros(16, 4, dtype=torch.float64),
    "half": lambda: torch.zeros(16, 4, dtype=torch.float16),
    "sparse": lambda: torch.zeros(16, 4).to_sparse(),
    "a claim": lambda: torch.zeros(1).expand(2**40, 4),
    "a list": lambda: [1.0, 2.0],
    "a number": lambda: 3,
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_weights_that_are_none(kind: str, tmp_path: Path, capsys: Any) -> None:
    weights: dict[str, Any] = {**sb3_weights(), "q_net.q_net.0.weight": BAD_WEIGHTS[kind]()}
    assert "weight" in refused("sb3", sb3_copy(tmp_path / "m.zip", weights=weights), tmp_path, capsys)
    theirs = {f"network.{n}": v for n, v in mlp(4, 16, 2).state_dict().items()}
    theirs["network.0.weight"] = BAD_WEIGHTS[kind]()
    assert "weight" in refused("cleanrl", written(tmp_path / "m", torch_bytes(theirs)), tmp_path, capsys)


def test_weights_that_are_one_memory_many_times_over(tmp_path: Path, capsys: Any) -> None:
    memory = torch.zeros(2**20)
    weights = {f"network.{i}.weight": memory for i in range(1_000)}
    said = refused("cleanrl", written(tmp_path / "m", torch_bytes(weights)), tmp_path, capsys)
    assert "more than" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(gamma="0.99"), "its gamma"),
        (lambda d: d.update(gamma=float("nan")), "its gamma"),
        (lambda d: d.update(gamma=1.5), "gamma = 1.5 is out of range"),
        (lambda d: d.update(batch_size=2**70), "its batch_size"),
        (lambda d: d.update(batch_size=True), "its batch_size"),
        (lambda d: d.update(batch_size=-4), "batch_size = -4"),
        (lambda d: d.update(n_envs=10**9), "num_envs"),
        (lambda d: d.update(buffer_size=[1]), "its buffer_size"),
        (lambda d: d.update(learning_rate="fast"), "its learning_rate"),
        (lambda d: d.update(learning_rate=-1.0), "learning_rate"),
        (lambda d: d.update(policy_kwargs=[]), "its policy_kwargs"),
        (lambda d: d.pop("policy_class"), "policy_class"),
        (lambda d: d["policy_class"].update(__module__="stable_baselines3.common.policies"), "no DQN or QR-DQN"),
        (lambda d: d["policy_class"].update(__module__="my_agents"), "a class of one's own"),
        (lambda d: d["policy_kwargs"].update(activation_fn="<class 'torch.nn.modules.activation.Mish'>"), "Mish"),
        (lambda d: d["policy_kwargs"].update(activation_fn=["x"]), "its activation_fn"),
        (lambda d: d["policy_kwargs"].update(features_extractor_class="<class '__main__.Mine'>"), "Mine"),
        (lambda d: d.pop("observation_space"), "its observations"),
        (lambda d: d["observation_space"].update(_shape=[3]), "3"),
        (lambda d: d["observation_space"].update(_shape=[2**30, 2**30]), "shape"),
        (lambda d: d["observation_space"].update(_shape="four"), "shape"),
        (lambda d: d["observation_space"].update({":type:": "<class 'gymnasium.spaces.dict.Dict'>"}), "Dict space"),
        (lambda d: d["action_space"].update(n="many"), "action_space"),
        (lambda d: d["action_space"].update(n="3"), "3 actions"),
        (
            lambda d: d["action_space"].update({":type:": "<class 'gymnasium.spaces.box.Box'>"}),
            "its action_space is Box",
        ),
    ],
)
def test_data_that_cannot_be(change: Callable[[Any], None], said: str, tmp_path: Path, capsys: Any) -> None:
    assert said in refused("sb3", sb3_copy(tmp_path / "m.zip", change), tmp_path, capsys)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"gamma": ' + b"9" * 5_000 + b"}", json.dumps("x").encode()]
)
def test_data_that_is_no_json_of_a_model(text: bytes, tmp_path: Path, capsys: Any) -> None:
    assert "m.zip" in refused("sb3", zipped(tmp_path / "m.zip", members() | {"data": text}), tmp_path, capsys)


@pytest.mark.parametrize(
    ("game", "words"),
    [("Acrobot-v1", "Acrobot"), ("pong", "Pong"), ("NoGame-v7", "NoGame"), ("no_module:Game-v0", "no_module")],
)
@pytest.mark.parametrize(("library", "model"), [("sb3", SB3), ("cleanrl", DQN)])
def test_another_game_than_it_was_trained_on(
    library: str, model: Path, game: str, words: str, tmp_path: Path, capsys: Any
) -> None:
    assert words in refused(library, model, tmp_path, capsys, game)


def test_each_ones_file_given_to_the_other_is_named(tmp_path: Path, capsys: Any) -> None:
    assert "import sb3" in refused("cleanrl", SB3, tmp_path, capsys)
    assert "import cleanrl" in refused("sb3", DQN, tmp_path, capsys)
