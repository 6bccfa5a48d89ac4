import dataclasses
import os
import shutil
import signal

import av
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixelq.checkpoints.policy_file import save_policy
from pixelq.cli import main
from pixelq.cli.record import _distinct
from pixelq.config import Config
from pixelq.networks import build_network
from pixelq.networks.observations import likely_observations
from pixelq.recipes.reading import read_config, write_config
from pixelq.viewing import video


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder whose best and final policy are untrained networks of two seeds."""
    folder = tmp_path_factory.mktemp("runs") / "breakout"
    folder.mkdir()
    config = dataclasses.replace(Config(), game="breakout", torso="2013", sticky_actions=0.25)
    write_config(config, folder / "config.toml")
    for seed, name in enumerate(("best", "final")):
        save_policy(folder / name, network_of(config, seed), config, {"agent_steps": 1000 * seed + 500})
    return folder


def network_of(config, seed):
    return build_network(config, likely_observations(config), 4, torch.Generator().manual_seed(seed))


def video_of(path):
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        return (stream.height, stream.width), sum(1 for _ in video.decode(stream))


def test_the_best_policy_is_recorded_into_the_runs_videos(run, capsys):
    assert main(["record", str(run), "--max-agent-steps", "12"]) == 0
    video = run / "videos" / "best-seed0.mp4"
    assert video_of(video) == ((446, 640), 25)
    assert capsys.readouterr().out == f"{video}: score 0 in 12 agent steps (stopped before the game's end)\n"


def test_options_reach_the_video(run, tmp_path, capsys):
    out = tmp_path / "new" / "game.mp4"
    choice = ["--policy", "final", "--seed", "5", "--epsilon", "0.5", "--episodes", "2", "--max-agent-steps", "5"]
    assert main(["record", str(run), "--out", str(out), "--scale", "3", "--fps", "60", *choice]) == 0
    assert video_of(tmp_path / "new" / "game-1.mp4") == ((656, 800), 21)
    assert sorted(p.name for p in out.parent.iterdir()) == ["game-1.mp4", "game-2.mp4"]


@pytest.mark.parametrize("given", ["file", "policy"])
def test_a_policy_can_be_named_by_its_file(run, tmp_path, given):
    file = run / "final" / "policy.safetensors"
    arguments = [str(file)] if given == "file" else [str(run), "--policy", str(file)]
    assert main(["record", *arguments, "--out", str(tmp_path / "a"), "--max-agent-steps", "2"]) == 0
    assert video_of(tmp_path / "a.mp4")[1] == 5


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
        (["{run}", "--fps", "24"], "an Atari game is shown at 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60 pictures"),
        (["{run}", "--fps", "60", "--out", "{absent}.gif"], "a GIF of an Atari game is shown at"),
        (["{run}", "--fps", "0"], "fps = 0 is out of range"),
        (["{run}", "--begin-at", "-1"], "begin_at = -1 is out of range"),
        (["{run}", "--begin-at", "30", "--max-agent-steps", "1", "--policy", "{short}"], "the game of seed 0 is over"),
        (["{run}", "--width", "9"], "width = 9 is out of range"),
        (["{run}", "--colours", "9"], "only a GIF has a palette"),
        (["{run}", "--colours", "999", "--out", "{absent}.gif"], "a GIF has 2 to 255"),
        (["{run}", "--out", "{absent}.webm"], "videos are MP4 or GIF"),
        (["{run}", "--saliency", "attention"], "--saliency"),
        (["{run}", "--grid"], "--grid needs several games"),
        (["{run}", "{run}", "--stages"], "--stages shows the policies of one run"),
        (["{run}", "--stages", "--episodes", "2"], "leave --episodes and --policy out"),
        (["{run}", "--grid", "--episodes", "17"], "2 to 16 games, not 17"),
        (["{lone}", "--stages"], "no policy yet"),
        ([], "record needs at least one run"),
        (["{run}", "{run}", "--policy", "{run}/final"], "plays one policy, and 2 runs are named"),
        (["{run}/best/policy.safetensors", "--policy", "{run}/final"], "is a policy already; leave one of them out"),
        (["{run}", "--out", "/dev/null"], "--out /dev/null: this is in the folder of the machine's devices"),
        (["{run}", "--out", "/dev/stdout"], "no file replaces; name a file"),
        (["{run}", "--out", "/dev/null.mp4"], "in the folder of the machine's devices"),
        (["{run}", "--out", "{pipe}"], "this is a pipe, which no file replaces"),
        (["{run}", "--episodes", "2", "--grid", "--out", "{pipe}.mp4"], "this is a pipe, which no file replaces"),
        (["{run}", "--out", "-"], "no file is written to the standard output"),
        (["{best}", "--policy", "final"], "best/policy.safetensors: has no final policy"),
        (["{unfinished}", "--policy", "final"], "unfinished: has no final policy; leave --policy final out"),
        (["{run}", "--max-agent-steps", "0"], "max_agent_steps = 0 is out of range"),
        (["{run}", "--out", "{run}/config.toml/a.mp4"], "cannot be written"),
        (["{damaged}"], "policy.safetensors"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run, tmp_path, capsys, arguments, message):
    places = {"run": run, "absent": tmp_path / "absent"}
    places["best"] = run / "best" / "policy.safetensors"
    for name, policy in (
        ("young", None), ("half", "final"), ("damaged", "best"), ("lone", None), ("unfinished", "best")
    ):  # fmt: skip
        places[name] = tmp_path / name
        places[name].mkdir()
        write_config(Config(), places[name] / "config.toml")
        if policy:
            (places[name] / policy).mkdir()
            (places[name] / policy / "policy.safetensors").write_bytes(b"not weights")
    short = dataclasses.replace(read_config(run / "config.toml"), max_frames_per_episode=80)
    places["short"] = tmp_path / "short"
    save_policy(places["short"], network_of(short, 0), short)
    places["pipe"] = tmp_path / "pipe"
    os.mkfifo(places["pipe"])
    os.mkfifo(tmp_path / "pipe.mp4")
    before = sorted(tmp_path.rglob("*"))
    assert main(["record", *(a.format(**places) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_video_of_another_runs_policy_goes_to_the_run_it_belongs_to(run, tmp_path, capsys):
    other = tmp_path / "other"
    for folder, words in (("final", "final-seed0"), ("policies/step-000000000500", "step-000000000500-seed0")):
        shutil.copytree(run / "final", other / folder)
        shutil.copy(run / "config.toml", other)
        assert main(["record", str(run), "--policy", str(other / folder), "--max-agent-steps", "2"]) == 0
        assert capsys.readouterr().out.startswith(f"{other}/videos/{words}.mp4: score")
    assert not (run / "videos" / "final-seed0.mp4").exists()
    shutil.copytree(run / "final", tmp_path / "alone")
    assert main(["record", str(run), "--policy", str(tmp_path / "alone"), "--max-agent-steps", "2"]) == 0
    assert (tmp_path / "alone" / "videos" / "policy-seed0.mp4").is_file()


def test_a_gif_is_made_by_its_ending_and_may_begin_later_and_be_smaller(run, tmp_path, capsys):
    out = tmp_path / "game.gif"
    choice = ["--begin-at", "10", "--max-agent-steps", "6", "--width", "320", "--colours", "32"]
    assert main(["record", str(run), "--output", str(out), *choice]) == 0
    with Image.open(out) as gif:
        assert (gif.size, gif.n_frames) == ((320, 223), 7)
    assert capsys.readouterr().out == f"{out}: score 0 in 16 agent steps (stopped before the game's end)\n"


def test_view_and_saliency_widen_the_video(run, tmp_path):
    out, choice = tmp_path / "a.mp4", ["--view", "--saliency", "gradient", "--max-agent-steps", "2"]
    assert main(["record", str(run), "--out", str(out), *choice]) == 0
    assert video_of(out)[0] == (446, 640 + 360)


def test_several_runs_have_a_video_each_or_one_together(run, tmp_path, capsys):
    runs, cut = [str(run), str(run / "final")], ["--max-agent-steps", "2"]
    assert main(["record", *runs, "--out", str(tmp_path / "a.mp4"), *cut]) == 0
    assert main(["record", *runs, "--out", str(tmp_path), "--grid", *cut]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-1.mp4", "a-2.mp4", "grid.mp4"]
    assert video_of(tmp_path / "grid.mp4")[0] == (472, 644)
    lines = capsys.readouterr().out.splitlines()[2:]
    grid = tmp_path / "grid.mp4"
    assert lines[0].startswith(f"{grid}: breakout, best, trained for 500 agent steps: score 0 in 2 agent steps")
    assert lines[1].startswith(f"{grid}: final, final, trained for 1,500 agent steps: score 0")


def test_several_runs_have_videos_of_different_names_in_a_folder(run, tmp_path, capsys):
    """Also where the runs' folders are called the same, and the folder for the videos is not there yet."""
    others = [tmp_path / name / "run" for name in ("a", "b")]
    for other in others:
        shutil.copytree(run, other, ignore=shutil.ignore_patterns("videos"))
    out = tmp_path / "new" / "videos"
    runs = [str(others[0]), str(run), str(others[1] / "best" / "policy.safetensors")]
    assert main(["record", *runs, "--output", f"{out}/", "--max-agent-steps", "1", "--seed", "4"]) == 0
    made = ["run-best-seed4.mp4", "breakout-best-seed4.mp4", "run-2-policy-seed4.mp4"]
    shown = [line.partition(": score")[0] for line in capsys.readouterr().out.splitlines()]
    assert shown == [str(out / name) for name in made]
    assert sorted(path.name for path in out.iterdir()) == sorted(made)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["run", "Run", "run-2", "a"]), max_size=6))
def test_names_are_made_different_on_any_disk(names):
    found = _distinct(names)
    assert len({name.casefold() for name in found}) == len(names)
    assert all(one.startswith(name) for name, one in zip(names, found, strict=True))
    assert found == names or len({name.casefold() for name in names}) < len(names)


def test_without_epsilon_each_policy_plays_with_its_runs(run, tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    write_config(dataclasses.replace(read_config(run / "config.toml"), eval_epsilon=0.5), other / "config.toml")
    shutil.copy(other / "config.toml", other / "best")
    found, play = [], video.played
    monkeypatch.setattr(
        video, "played", lambda *args, epsilon, seed: found.append(epsilon) or play(*args, epsilon=epsilon, seed=seed)
    )
    choice = ["--out", str(tmp_path / "a.gif"), "--max-agent-steps", "1"]
    assert main(["record", str(other), *choice]) == 0
    assert main(["record", str(other), str(run), "--grid", *choice]) == 0
    assert main(["record", str(other), "--epsilon", "0.125", *choice]) == 0
    assert found == [0.5, 0.5, 0.01, 0.125]


def test_stages_show_a_runs_policies_and_several_games_of_one_stand_side_by_side(run, tmp_path, capsys):
    cut = ["--max-agent-steps", "2", "--out", str(tmp_path)]
    assert main(["record", str(run), "--stages", *cut]) == 0
    assert video_of(tmp_path / "stages-seed0.mp4")[0] == (472, 3 * 324 - 4)
    assert "500 agent steps (best): score" in capsys.readouterr().out
    assert main(["record", str(run), "--grid", "--episodes", "2", "--seed", "7", *cut]) == 0
    assert "(seed 8): score 0 in 2 agent steps" in capsys.readouterr().out


@pytest.mark.usefixtures("signals_as_in_a_terminal")
@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "a.mp4"), (signal.SIGINT, "a.gif")])
def test_a_signal_halfway_leaves_nothing_behind(run, tmp_path, monkeypatch, capsys, number, name):
    from pixelq.policy.acting import Acting

    steps, q_values = iter(range(50)), Acting.q_values

    def interrupted(acting, observations, noise=None):
        if next(steps) == 5:
            os.kill(os.getpid(), number)
        return q_values(acting, observations, noise)

    monkeypatch.setattr(Acting, "q_values", interrupted)
    assert main(["record", str(run), "--out", str(tmp_path / name)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "pixelq: interrupted"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
