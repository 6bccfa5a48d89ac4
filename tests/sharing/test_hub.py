"""Exports on the Hugging Face hub: what arrives there, what comes back, and one clear line where it refuses."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

import pixelq
from hub_stand_in import OWNER, Hub, ask_only
from pixelq.cli import main
from pixelq.errors import UserError
from pixelq.sharing.hub import hub_id

STATES = np.random.default_rng(0).normal(size=(5, 1, 4)).astype(np.float32)


def export(*words: str) -> int:
    return main(["export", "runs/cart", "--no-video", "--threads", "1", *words])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on standard error."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def test_an_upload_is_the_export_to_the_byte_and_comes_back_as_the_policy(
    run: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("--push", f"{OWNER}/cart", "--license", "mit") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == f"{hub.endpoint}/{OWNER}/cart"
    assert f"signed in as {OWNER}" in printed.err
    there = hub.files(f"{OWNER}/cart")
    here = {path.name: path.read_bytes() for path in Path("exports/cart").iterdir()}
    assert {name: data for name, data in there.items() if name != ".gitattributes"} == here
    assert not hub.private[f"{OWNER}/cart"]
    assert len(hub.commits[f"{OWNER}/cart"]) == 2  # that of the new repository, and the export as one

    ours, theirs = pixelq.load(run), pixelq.load(f"hf:{OWNER}/cart")
    assert np.array_equal(ours.q_values(STATES), theirs.q_values(STATES))
    assert theirs.config.game == "CartPole-v1"

    card = ModelCard(there["README.md"].decode())
    (result,) = card.data.eval_results
    told = json.loads(there["evaluation.json"])
    assert (result.task_type, result.dataset_type, result.metric_type) == (
        "reinforcement-learning", "CartPole-v1", "mean_reward",
    )  # fmt: skip
    assert result.metric_value == f"{told['mean']:.2f} +/- {told['std']:.2f}"
    assert (card.data.library_name, card.data.license) == ("pixelq", "mit")
    assert f'pixelq.load("hf:{OWNER}/cart")' in card.text


def test_eval_takes_a_name_that_is_no_path_and_a_pinned_revision(
    run: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"policy.safetensors": (run / "best/policy.safetensors").read_bytes()}
    files["config.toml"] = (run / "config.toml").read_bytes()
    first = hub.add("other/cart", files, tag="v1")
    second = hub.add("other/cart", {**files, "README.md": b"new"})
    for given, sha in (("other/cart", second), ("hf:other/cart@v1", first), (f"hf:other/cart@{first}", first)):
        hub.asked.clear()
        assert main(["eval", given, "--episodes", "1", "--threads", "1"]) == 0
        assert f"from {hub.endpoint}, commit {sha[:12]}" in capsys.readouterr().err
        assert not any("README" in asked for asked in hub.asked), "only what a policy needs is downloaded"
    report = json.loads(Path("other-cart-eval.json").read_text())
    assert report["policy"] == f"hf:other/cart@{first}/policy.safetensors"


def test_what_was_downloaded_is_taken_where_the_hub_cannot_be_reached(
    run: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {"policy.safetensors": (run / "best/policy.safetensors").read_bytes()}
    hub.add("other/cart", {**files, "config.toml": (run / "config.toml").read_bytes()}, tag="v1")
    expected = pixelq.load("other/cart").q_values(STATES)
    assert np.array_equal(pixelq.load("other/cart@v1").q_values(STATES), expected)
    ask_only("http://127.0.0.1:9", tmp_path / "hub", monkeypatch)
    assert np.array_equal(pixelq.load("other/cart").q_values(STATES), expected)
    with pytest.raises(UserError, match=r"^cannot read other/never: the hub cannot be reached .*network"):
        pixelq.load("other/never")
    assert np.array_equal(pixelq.load("hf:other/cart@v1").q_values(STATES), expected)


def test_a_second_upload_replaces_the_first_and_leaves_no_old_file_of_it(run: Path, hub: Hub) -> None:
    repo = f"{OWNER}/cart"
    assert export("--push", repo) == 0
    hub.add(repo, {**hub.files(repo), "replay.mp4": b"old", "notes.txt": b"a person's"})
    assert main(["export", "exports/cart", "--push", repo]) == 0
    there = hub.files(repo)
    assert "replay.mp4" not in there
    assert there["notes.txt"] == b"a person's"
    assert there["policy.safetensors"] == Path("exports/cart/policy.safetensors").read_bytes()


def test_of_a_folder_only_the_exports_own_files_are_uploaded(run: Path, hub: Hub) -> None:
    assert export() == 0
    Path("exports/cart/secret.txt").write_text("mine")
    os.symlink("/etc/hostname", "exports/cart/replay.mp4")
    assert main(["export", "exports/cart", "--push", f"{OWNER}/cart", "--private"]) == 0
    assert {"secret.txt", "replay.mp4"}.isdisjoint(hub.files(f"{OWNER}/cart"))
    assert hub.private[f"{OWNER}/cart"]


def test_a_repository_that_holds_something_else_is_not_overwritten(
    run: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add(f"{OWNER}/cart", {"README.md": b"my thesis", "model.bin": b"1"})
    assert export("--push", f"{OWNER}/cart") == 2
    assert "holds something else than an export (README.md, ...), which is not overwritten" in said(capsys)
    assert hub.files(f"{OWNER}/cart") == {"README.md": b"my thesis", "model.bin": b"1"}
    assert Path("exports/cart/README.md").is_file()  # what was made is not lost


def test_an_export_that_is_uploaded_as_it_is_takes_no_other_options(
    run: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export() == 0
    for words in (("--license", "mit"), ("--no-video",), ("--episodes", "3")):
        assert main(["export", "exports/cart", "--push", f"{OWNER}/cart", *words]) == 2
        assert f"{words[0]}: exports/cart is an export, which --push uploads as it is" in said(capsys)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("words", "token", "broken", "line"),
    [
        ((f"{OWNER}/x",), "", 0, "cannot sign in: there is no token; make one on the hub's settings page"),
        ((f"{OWNER}/x",), "hf_wrong", 0, "cannot sign in: the hub does not accept the token"),
        ((f"{OWNER}/x",), None, 500, "cannot sign in: the hub answers 500"),
        (("stranger/x",), None, 0, "cannot upload to stranger/x: the hub refuses: this token may not do that there"),
        ((f"{OWNER}/x", "--output", "runs/cart"), None, 0, "there is something already, which is not overwritten"),
        ((f"{OWNER}/x", "--onnx", "--output", "runs"), None, 0, "runs: there is something already"),
        (("no owner",), None, 0, "--push 'no owner': no name of a repository on the hub; it is owner/name"),
        ((f"{OWNER}/x@v1",), None, 0, "no name of a repository on the hub"),
    ],
)
def test_an_upload_that_is_refused_is_one_line(
    words: tuple[str, ...], token: str | None, broken: int, line: str,
    run: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if token is not None:
        ask_only(hub.endpoint, tmp_path / "hub", monkeypatch, token)
    hub.broken = broken
    assert export("--push", *words) == 2
    assert line in said(capsys)
    assert f"{OWNER}/x" not in hub.commits


def test_a_hub_that_is_gone_is_one_line(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask_only("http://127.0.0.1:9", tmp_path / "hub", monkeypatch)
    assert export("--push", f"{OWNER}/x") == 2
    assert said(capsys).startswith("pixelq: cannot sign in: the hub cannot be reached")
    assert not Path("exports").exists()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("hf:nobody/nothing", "no such repository"),
        ("hf:other/cart@v9", "no such revision"),
        ("hf:other/empty", "no policy of pixelq there"),
        ("hf:other/huge", "bytes, more than the 1,048,576 it may have; not downloaded"),
        ("hf:one/two/three", "no name of a repository on the hub"),
        ("hf:../..", "no name of a repository on the hub"),
        ("hf:other/damaged", "hf:other/damaged/policy.safetensors: cannot be read as safetensors"),
    ],
)
def test_a_repository_that_cannot_be_read_is_one_line(
    given: str, line: str, run: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"policy.safetensors": b"not weights", "config.toml": (run / "config.toml").read_bytes()}
    hub.add("other/damaged", files)
    hub.add("other/cart", {**files, "config.toml": b""}, tag="v1")
    hub.add("other/empty", {"README.md": b"", "model.bin": b""})
    hub.add("other/huge", {**files, "config.toml": b"#" * (2**20 + 1)})
    assert main(["eval", given, "--episodes", "1"]) == 2
    assert line in said(capsys)


def test_a_size_that_the_hub_does_not_tell_truly_is_found_out(run: Path, hub: Hub) -> None:
    files = {"policy.safetensors": b"1", "config.toml": b"#" * (2**20 + 1)}
    hub.add("other/liar", files)
    hub.claimed_sizes["config.toml"] = 7
    with pytest.raises(UserError, match=r"config.toml has 1048577 bytes, more than"):
        pixelq.load("hf:other/liar")


def test_a_mistyped_run_is_not_asked_of_the_hub(run: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("runs/cart")
    Path("mine").mkdir()
    for given in ("runs/cart", "results/nothing", "mine/cart", "no-such-run", "other/cart.zip", "/other/cart"):
        assert main(["eval", given]) == 2
        assert "no such run or policy" in said(capsys)
    with pytest.raises(UserError, match="no such run or policy"):
        pixelq.load("./other/cart")
    assert hub.asked == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a/b", "a/b"), ("A-1/b_c.d", "A-1/b_c.d"), ("a/b@v1.0", "a/b@v1.0"), ("a/b@refs/pr/1", "a/b@refs/pr/1"),
        ("a", None), ("a/b/c", None), ("../b", None), ("a/..", None), ("a--b/c", None), ("a/b.git", None),
        ("a/b@", None), ("a b/c", None), ("/a/b", None), ("ä/b", None), ("a/b@../../x", None), ("", None),
    ],
)  # fmt: skip
def test_names_of_repositories(text: str, meant: str | None) -> None:
    found = hub_id(text)
    assert (None if found is None else str(found)) == meant
