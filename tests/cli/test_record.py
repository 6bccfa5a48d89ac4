import dataclasses

import av
import pytest
import torch

from pixelq.checkpoints.policy_file import save_policy
from pixelq.cli import main
from pixelq.config import Config
from pixelq.networks import build_network
from pixelq.networks.observations import likely_observations
from pixelq.recipes.reading import write_config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder whose best and final policy are untrained networks of two seeds."""
    folder = tmp_path_factory.mktemp("runs") / "breakout"
    folder.mkdir()
    config = dataclasses.replace(Config(), game="breakout", torso="2013", sticky_actions=0.25)
    write_config(config, folder / "config.toml")
    for seed, name in enumerate(("best", "final")):
        network = build_network(config, likely_observations(config), 4, torch.Generator().manual_seed(seed))
        save_policy(folder / name, network, config)
    return folder


def video_of(path):
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        return (stream.height, stream.width), sum(1 for _ in video.decode(stream))


def test_the_best_policy_is_recorded_into_the_runs_videos(run, capsys):
    assert main(["record", str(run), "--max-agent-steps", "12"]) == 0
    video = run / "videos" / "best-seed0.mp4"
    assert video_of(video) == ((420, 640), 24)
    assert capsys.readouterr().out == f"{video}: score 0 in 12 agent steps (stopped before the game's end)\n"


def test_options_reach_the_video(run, tmp_path, capsys):
    out = tmp_path / "new" / "game.mp4"
    choice = ["--policy", "final", "--seed", "5", "--epsilon", "0.5", "--episodes", "2", "--max-agent-steps", "5"]
    assert main(["record", str(run), "--out", str(out), "--scale", "3", "--fps", "60", *choice]) == 0
    assert video_of(tmp_path / "new" / "game-1.mp4") == ((630, 800), 20)
    assert sorted(p.name for p in out.parent.iterdir()) == ["game-1.mp4", "game-2.mp4"]


@pytest.mark.parametrize("given", ["file", "policy"])
def test_a_policy_can_be_named_by_its_file(run, tmp_path, given):
    file = run / "final" / "policy.safetensors"
    arguments = [str(file)] if given == "file" else [str(run), "--policy", str(file)]
    assert main(["record", *arguments, "--out", str(tmp_path / "a"), "--max-agent-steps", "2"]) == 0
    assert video_of(tmp_path / "a.mp4")[1] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{absent}"], "is not a run folder"),
        (["{young}"], "this run has no best policy yet; wait"),
        (["{half}"], "final/policy.safetensors: cannot be read"),
        (["{run}", "--policy", "{absent}"], "no such file"),
        (["{run}", "--episodes", "0"], "--episodes 0 is out of range"),
        (["{run}", "--seed", "-1"], "--seed -1 is out of range"),
        (["{run}", "--epsilon", "2"], "epsilon = 2 is out of range"),
        (["{run}", "--scale", "9"], "scale = 9 is out of range"),
        (["{run}", "--fps", "24"], "24"),
        (["{run}", "--max-agent-steps", "0"], "max_agent_steps = 0 is out of range"),
        (["{run}", "--out", "{run}/config.toml/a.mp4"], "cannot be written"),
        (["{damaged}"], "policy.safetensors"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run, tmp_path, capsys, arguments, message):
    places = {"run": run, "absent": tmp_path / "absent"}
    for name, policy in (("young", None), ("half", "final"), ("damaged", "best")):
        places[name] = tmp_path / name
        places[name].mkdir()
        write_config(Config(), places[name] / "config.toml")
        if policy:
            (places[name] / policy).mkdir()
            (places[name] / policy / "policy.safetensors").write_bytes(b"not weights")
    before = sorted(tmp_path.rglob("*"))
    assert main(["record", *(a.format(**places) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
