"""A run from a stranger, its digests all in order: nothing in it is executed, and what does not fit is refused."""

import ast
import base64
import json
import pickle
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lz4.block
import numpy as np
import pytest
import safetensors.torch
import torch

import pixelq
from pixelq.checkpoints.manifest import (
    FileRecord,
    Manifest,
    SegmentRecord,
    digest,
    file_digest,
    read_manifest,
    write_manifest,
)
from pixelq.checkpoints.state_tree import join, split
from pixelq.errors import UserError
from pixelq.replay import SealedBlock
from pixelq.replay.segments import read_segment, write_segment
from pixelq.runs.session import resume, start
from small_runs import facts, python, small

SOURCE = Path(pixelq.__file__).parent
BANNED_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "yaml",
    "jsonpickle",
}
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}


def test_nothing_in_the_source_can_execute_a_file() -> None:
    """No pickle, numpy.load or eval anywhere; torch.load of weights alone; an error may be named as pickle names it."""
    seen = 0
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            where = f"{file}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                if names == ["UnpicklingError", "pickle"]:
                    continue
                assert not {name.split(".")[0] for name in names} & BANNED_MODULES, where
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called == "torch.load" and "weights_only=True" in map(ast.unparse, node.keywords):
                    continue
                assert called not in BANNED_CALLS | {"torch.load", "torch.save", "np.load", "numpy.load", "np.save"}, (
                    where
                )
                assert not called.endswith((".load_module", ".exec_module", ".fromfile")), where
                assert not any(keyword.arg in ("allow_pickle", "shell") for keyword in node.keywords), where
                seen += 1
    assert seen > 1000


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run of the replay loop."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pixelq.viewing.plots.plot_runs", lambda *args, **kwargs: None)
        folder = tmp_path_factory.mktemp("strangers") / "run"
        start(small("nips2013", "pong", steps=120, eval_every=0, optimizer="adam", optimizer_eps=1e-8), folder)
    return folder


@pytest.fixture
def run(finished: Path, in_folder: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(finished, "run")
    return Path("run")


def newest(run: Path) -> Path:
    return sorted(run.glob("checkpoints/step-*"))[-1]


def seal(checkpoint: Path, segments: list[SegmentRecord] | None = None) -> None:
    """Make digests and sizes fit whatever the files hold, as a stranger can."""
    old = read_manifest(checkpoint)
    files = [
        FileRecord(f.name, (checkpoint / f.name).stat().st_size, file_digest(checkpoint / f.name)) for f in old.files
    ]
    write_manifest(checkpoint, Manifest(old.agent_steps, files, old.segments if segments is None else segments))


def change_state(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Let a stranger change anything in the newest checkpoint's state."""
    checkpoint = newest(run)
    tensors = safetensors.torch.load_file(checkpoint / "tensors.safetensors")
    whole = join(json.loads((checkpoint / "state.json").read_text()), {k: v.clone() for k, v in tensors.items()})
    change(whole)
    tree, tensors = split(whole)
    (checkpoint / "state.json").write_text(json.dumps(tree))
    (checkpoint / "tensors.safetensors").write_bytes(safetensors.torch.save(tensors))
    seal(checkpoint)


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that sets one part of the state."""

    def change(whole: dict[str, Any]) -> None:
        node = whole
        for name in path[:-1]:
            node = node[name]
        node[path[-1]] = value(node.get(path[-1])) if callable(value) else value

    return change


def drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(whole: dict[str, Any]) -> None:
        node = whole
        for name in path[:-1]:
            node = node[name]
        del node[path[-1]]

    return change


NAN = float("nan")
CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "NaN weight": put("state", "learner", "network", "hidden.linears.0.bias", value=lambda w: w * NAN),
    "infinite optimizer moment": put(
        "state", "learner", "optimizer", "hidden.linears.0.bias", "exp_avg", value=lambda m: m / 0
    ),
    "weight of another shape": put("state", "learner", "network", "hidden.linears.0.weight", value=torch.zeros(3, 3)),
    "moment of another shape": put(
        "state", "learner", "optimizer", "hidden.linears.0.bias", "exp_avg", value=torch.zeros(3)
    ),
    "moment that is text": put("state", "learner", "optimizer", "hidden.linears.0.bias", "exp_avg", value="zeros"),
    "weight of half precision": put("state", "learner", "network", "hidden.linears.0.bias", value=lambda w: w.half()),
    "weight that is a list": put("state", "learner", "network", "hidden.linears.0.bias", value=[0.0]),
    "missing weight": drop("state", "learner", "network", "hidden.linears.0.bias"),
    "unknown weight": put("state", "learner", "network", "surprise", value=torch.zeros(1)),
    "noise of another kind": put("state", "learner", "noise", value=lambda state: state * 0),
    "noise that is text": put("state", "learner", "noise", value="loud"),
    "no noise": drop("state", "learner", "noise"),
    "missing optimizer": drop("state", "learner", "optimizer"),
    "sums of another shape": put("state", "learner", "sums", value=torch.zeros(7)),
    "no state": put("state", value=None),
    "state is a list": put("state", value=[1, 2]),
    "other agent steps": put("state", "counters", "agent_steps", value=7),
    "counters are text": put("state", "counters", "episodes", value="many"),
    "generator of another kind": put("state", "policy", "generator", value={"bit_generator": "MT19937"}),
    "acting noise of another kind": put("state", "policy", "noise", value=torch.zeros(3)),
    "no acting noise": drop("state", "policy", "noise"),
    "generator is text": put("state", "replay_generator", value="os.system('touch pwned')"),
    "seeds of another number of environments": put("state", "envs", "seeds_drawn", value=np.ones(9, np.int64)),
    "actions out of range": put("state", "envs", "actions", value=lambda a: np.full_like(a, 250)),
    "lives are text": put("state", "envs", "lives", value="nine"),
    "scores of another shape": put("state", "scores", "score", value=np.zeros(5)),
    "scores are text": put("state", "scores", "last", value=["a"]),
    "no tracker": drop("state", "tracker"),
    "tracker leads elsewhere": put("state", "tracker", "csv", value={"/etc/passwd": 0}),
    "no config": drop("state", "config"),
    "config of unknown fields": put("state", "config", "__class__", value="os"),
    "config out of range": put("state", "config", "gamma", value=7.0),
    "config of another game": put("state", "config", "game", value="breakout"),
    "config of another network": put("state", "config", "torso", value="2015"),
    "config in old names": put("state", "config", "network", value="2015"),
    "config of other options": put("state", "config", "loss_options", "error", value="huber"),
    "config of an unknown option": put("state", "config", "loss_options", "kappa", value=1.0),
    "config whose options are text": put("state", "config", "loss_options", value="huber"),
    "config of a variant that leads elsewhere": put("state", "config", "torso", value="../../pwned"),
    "config of a module for a variant": put("state", "config", "loss", value="os.system"),
    "seconds are text": put("state", "seconds", value="soon"),
    "no evaluations": drop("state", "evaluations"),
    "evaluations are text": put("state", "evaluations", value="good"),
    "best score is text": put("state", "evaluations", "best_score", value="high"),
    "no sampler": drop("state", "sampler"),
    "no replay": put("replay", value=None),
    "replay of another size": put("replay", "meta", "capacity", value=10**15),
    "replay of another format": put("replay", "meta", "format", value=99),
    "replay serial is text": put("replay", "meta", "next_serial", value="1"),
    "replay without arrays": put("replay", "arrays", value={}),
    "replay arrays are numbers": put("replay", "arrays", value=5),
    "replay of negative length": put("replay", "arrays", "written", value=lambda w: w - 10**6),
    "replay of enormous length": put("replay", "arrays", "written", value=lambda w: w + 10**12),
    "frames of another type": put("replay", "arrays", "open_frames", value=lambda f: f.astype(np.float64)),
    "rows that contradict each other": put("replay", "arrays", "open_rows", value=lambda r: r | 255),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_state_that_does_not_fit_is_refused_and_nothing_changes(run: Path, name: str) -> None:
    shutil.rmtree(run / "checkpoints/step-000000000100")  # with which `resume` would look for help
    change_state(run, CHANGES[name])
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(UserError) as refused:
        resume(run, steps=130)
    assert "run/" in str(refused.value)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    assert not Path("pwned").exists()


@pytest.mark.parametrize("name", ["no config", "no sampler", "rows that contradict each other", "evaluations are text"])
def test_from_a_refused_state_fallback_goes_on_with_the_one_before_and_is_offered(run: Path, name: str) -> None:
    change_state(run, CHANGES[name])
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    offered = r"^run/.*0120: .*; `pixelq resume --fallback run` goes on from step-000000000100, the one before$"
    with pytest.raises(UserError, match=offered):
        resume(run)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    assert resume(run, fallback=True).agent_steps == 120
    assert facts(run)["last"] == "step-000000000120"


def test_where_the_one_before_is_refused_too_nothing_is_offered_and_the_first_reason_told(run: Path) -> None:
    change_state(run, CHANGES["no sampler"])
    newest(run).rename(run / "aside")
    change_state(run, CHANGES["no evaluations"])
    (run / "aside").rename(run / "checkpoints/step-000000000120")
    for fallback in (False, True):
        with pytest.raises(UserError, match=r"^run/.*0120: .*sampler'\)$"):
            resume(run, fallback=fallback)
    assert len(list(run.glob("checkpoints/step-*"))) == 2


def test_an_untouched_copy_is_resumed(run: Path) -> None:
    change_state(run, lambda whole: None)
    assert resume(run, steps=130).agent_steps == 130
    assert facts(run)["last"] == "step-000000000130"


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 900 + "1" + "}" * 900, "{}", "[]", "null", "9" * 5000, '{"x": NaN}']
)
def test_a_state_of_deep_or_no_json_is_refused(run: Path, text: str) -> None:
    (newest(run) / "state.json").write_text(text)
    seal(newest(run))
    with pytest.raises(UserError, match=newest(run).name):
        resume(run)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 900 + "1" + "}" * 900])
def test_a_manifest_of_deep_json_is_refused(run: Path, text: str) -> None:
    (newest(run) / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json"):
        resume(run)


@pytest.mark.parametrize("node", [{"__tensor__": ["unhashable"]}, {"__array__": 5}, {"__tensor__": "gone"}])
def test_a_state_that_names_no_tensor_is_refused(run: Path, node: dict[str, Any]) -> None:
    tree = json.loads((newest(run) / "state.json").read_text())
    tree["state"]["counters"] = node
    (newest(run) / "state.json").write_text(json.dumps(tree))
    seal(newest(run))
    with pytest.raises(UserError, match="not there"):
        resume(run)


def test_a_tensor_that_numpy_does_not_know_is_refused(run: Path) -> None:
    tensors = safetensors.torch.load_file(newest(run) / "tensors.safetensors")
    tensors["state/envs/lives"] = torch.zeros(1, dtype=torch.bfloat16)
    (newest(run) / "tensors.safetensors").write_bytes(safetensors.torch.save(tensors))
    seal(newest(run))
    with pytest.raises(UserError, match="damaged checkpoint"):
        resume(run)


def replace_blocks(run: Path, change: Callable[[list[SealedBlock]], list[SealedBlock]]) -> None:
    """Let a stranger write other replay blocks, digests and checksums in order."""
    folder, records = run / "checkpoints/replay", []
    for segment in read_manifest(newest(run)).segments:
        blocks = change(list(read_segment(folder / segment.name)))
        name = f"stranger-{segment.name}"
        with (folder / name).open("wb") as file:
            write_segment(file, blocks)
        content = (folder / name).read_bytes()
        records.append(SegmentRecord(name, len(content), digest(content), segment.first, segment.last))
    seal(newest(run), records)


def with_payload(payload: bytes) -> Callable[[list[SealedBlock]], list[SealedBlock]]:
    return lambda blocks: [SealedBlock(b.serial, b.env, b.number, payload, b.rows) for b in blocks]


BLOCKS: dict[str, Callable[[list[SealedBlock]], list[SealedBlock]]] = {
    "bomb of a gigabyte": with_payload(lz4.block.compress(bytes(2**30), store_size=False)),
    "empty": with_payload(b""),
    "too small": with_payload(lz4.block.compress(bytes(100), store_size=False)),
    "noise": with_payload(np.random.default_rng(0).bytes(3000)),
    "missing": lambda blocks: blocks[1:],
    "twice": lambda blocks: blocks + blocks,
    "of an environment that is not there": lambda blocks: [
        SealedBlock(b.serial, 4_000_000_000, b.number, b.payload, b.rows) for b in blocks
    ],
    "rows too long": lambda blocks: [SealedBlock(b.serial, b.env, b.number, b.payload, b.rows * 100) for b in blocks],
}


@pytest.mark.parametrize("name", BLOCKS)
def test_replay_blocks_that_no_play_has_stored_are_refused_in_little_memory(run: Path, name: str) -> None:
    replace_blocks(run, BLOCKS[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="replay"):
        resume(run)
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
    )  # KiB; the bomb's payload itself is 4 MB


def test_the_same_blocks_written_again_are_taken(run: Path) -> None:
    replace_blocks(run, lambda blocks: blocks)
    assert resume(run, steps=130).agent_steps == 130


EVENTS = """
import sys
seen = set()
def note(event, arguments):
    if event.startswith(("pickle.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.")) or (
        event in ("socket.bind", "socket.connect")
    ):
        seen.add(event)
sys.addaudithook(note)
from pixelq.cli import main
codes = [main(line.split()) for line in sys.argv[1:]]
print(codes, sorted(seen))
"""


def test_training_resuming_and_loading_run_no_code_and_open_no_socket(in_folder: Path) -> None:
    """Python's own audit events; none of unpickling, of starting a program, or of a socket that listens or connects."""
    options = (
        "--recipe nips2013 --screen-size 36 --batch-size 4 --replay-start 80 --replay-capacity 200 --steps 120 "
        "--eval-every 60 --eval-episodes 1 --max-frames-per-episode 80 --threads 1 --device cpu --run-dir run"
    )
    lines = (f"train pong {options}", "resume run --steps 160", "verify run", "eval run --episodes 1", "plot run")
    # Where matplotlib has not listed the fonts of a machine yet, it asks fc-list for them, once.
    fonts = {"MPLCONFIGDIR": str(in_folder / "fonts")}
    assert python("-c", "import matplotlib.font_manager", env=fonts).wait() == 0
    child = python("-c", EVENTS, *lines, cwd=in_folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=fonts)
    out, errors = child.communicate()
    assert out.splitlines()[-1] == "[0, 0, 0, 0, 0] []", out + errors


def test_the_audit_sees_what_it_is_for() -> None:
    line = base64.b64encode(pickle.dumps(subprocess.Popen)).decode()
    code = f"""
{EVENTS}
import base64, pickle, socket, subprocess
pickle.loads(base64.b64decode({line!r}))
subprocess.run(["true"])
socket.socket().bind(("127.0.0.1", 0))
print(sorted(seen))
"""
    child = python("-c", code, stdout=subprocess.PIPE)
    assert child.communicate()[0].splitlines()[-1] == "['pickle.find_class', 'socket.bind', 'subprocess.Popen']"


def test_a_recipe_for_another_game_trains_the_game_that_was_asked_for(in_folder: Path) -> None:
    Path("stranger.toml").write_text('base = "nips2013"\ngame = "breakout"\nload = ""\n')
    assert pixelq.recipes.choice.configure("pong", "stranger.toml").game == "pong"


def test_a_recipe_cannot_name_a_run_folder_elsewhere(in_folder: Path) -> None:
    Path("stranger.toml").write_text('base = "nips2013"\nrecipe = "../../../../tmp/elsewhere"\n')
    with pytest.raises(UserError, match="recipe"):
        start(pixelq.recipes.choice.configure("pong", "stranger.toml"))
    assert sorted(p.name for p in in_folder.iterdir()) == ["stranger.toml"]
