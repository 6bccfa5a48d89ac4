"""Random combinations of options over recipes and kinds of games: a run trains, or one line says why not.

The tries are the same ones every time. The seed of a try is printed where it fails;
`PIXELQ_FUZZ_SEED=4711 python -m pytest tests/cli/test_fuzz.py` begins with it again, or with others.
"""

import functools
import os
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import pytest

from pixelq.cli import main
from pixelq.recipes.reading import read_recipe, recipe_names
from pixelq.variants import KINDS

FIRST_SEED = 1
SECONDS = 10
LEAST_TRIES = 30
LEAST_SHARE = 0.5
"""Of the tries must have trained."""
STEPS = 240

GAMES = {
    "Atari": ["pong", "breakout", "ALE/Freeway-v5", "BreakoutNoFrameskip-v4"],
    "numbers": ["CartPole-v1", "MountainCar-v0", "Acrobot", "fuzz_games:Walk-numbers-v0"],
    "states": ["FrozenLake-v1", "CliffWalking-v1", "fuzz_games:Walk-state"],
    "small images": ["MinAtar/Breakout-v1", "MinAtar/Asterix", "MiniGrid-Empty-5x5-v0"],
    "pixels": ["fuzz_games:Walk-pixels-v0"],
}
TORSOS = {"numbers": ["mlp"], "states": ["mlp"], "small images": ["minatar"], "pixels": ["2013", "2015"]}
"""What reads a game; a recipe's own torso reads Atari's screens."""
SMALL: dict[str, dict[str, int]] = {
    "replay": {"replay_capacity": 400, "replay_start": 60, "num_envs": 2, "batch_size": 4, "train_every": 8},
    "parallel": {"rollout_length": 5, "num_envs": 4, "batch_size": 10, "epochs": 1},
    "stream": {},
}
SMALL["recurrent_parallel"] = SMALL["parallel"] | {"units": 8}
SMALL["recurrent_replay"] = SMALL["replay"] | {
    "units": 8, "sequence_length": 4, "burn_in": 2, "sequence_every": 4, "batch_size": 8
}  # fmt: skip
"""What keeps a run tiny; not named where the loop does not use it."""
BOTH = {
    "steps": STEPS, "max_frames_per_episode": 60, "log_every": 100, "checkpoint_every": 150, "threads": 1,
    "device": "cpu", "eval_max_steps": 10, "baseline_episodes": 0, "episodes": 0, "deterministic": False,
    "compile": False,
}  # fmt: skip

SENSIBLE: dict[str, list[str]] = {
    # What goes with any recipe, and what most often does.
    "any": [
        "--frame-stack 2", "--frame-skip 2", "--gamma 0.9", "--norm layer", "--norm element", "--norm channel",
        "--initialisation orthogonal --output-gain 0.5", "--initialisation xavier", "--precision bf16",
        "--precision float32", "--learning-rate 0.001", "--learning-rate-end 0 --learning-rate-steps 100",
        "--epsilon-schedule constant --epsilon-begin 0",
        "--epsilon-schedule exponential --epsilon-steps 50", "--clip-reward", "--no-clip-reward", "--seed 77",
        "--eval-every 80 --eval-episodes 1", "--baseline-episodes 2", "--checkpoint-every 0", "--dueling", "--noisy",
        "--deterministic", "--episodes 3", "--stop-score 100",
    ],
    "minibatches": [
        "--reduction sum", "--optimizer adamw --weight-decay 0.01", "--optimizer radam",
        "--optimizer rmsprop --rmsprop-decay 0.9", "--optimizer adam --amsgrad", "--optimizer adadelta",
        "--gradient-clip norm --gradient-clip-at 1", "--gradient-clip value --gradient-clip-at 0.5",
        "--averaged-network-tau 0.1", "--num-envs 2",
    ],
    "replay": [
        "--target soft --target-tau 0.1", "--target hard --target-every 50", "--n-step 3", "--double",
        "--loop overlapped",
        "--frame-stack 3",
        "--prioritized", "--munchausen", "--loss double", "--loss c51 --head categorical", "--loss qr --head quantile",
        "--loss iqn --head implicit_quantile", "--train-every 2", "--batch-size 16", "--replay-start 100",
    ],
    "parallel": ["--epochs 2", "--rollout-length 10", "--loss dqn", "--trace-lambda 0.5", "--error huber"],
    "recurrent_replay": [
        "--sequence-start zero", "--burn-in 0", "--sequence-every 2", "--priority-max-share 0.5", "--sampler uniform",
        "--loss double", "--rescale-eps 0.01", "--target soft --target-tau 0.1", "--n-step 3", "--memory none",
        "--frame-stack 1", "--train-every 2", "--batch-size 16", "--replay-start 100", "--dueling",
    ],
    "recurrent_parallel": ["--epochs 2", "--batch-size 20", "--loss dqn", "--trace-lambda 0.5", "--memory none"],
    "stream": ["--trace-lambda 0.5", "--kappa 3", "--gamma 0.9", "--clip-reward"],
    "Atari": [
        "--sticky-actions 0.25", "--noop-max 3", "--no-max-pool", "--full-action-set", "--no-life-loss-ends-target",
        "--no-grayscale", "--padding same", "--env-kwargs difficulty=0",
    ],
    "pixels": ["--no-grayscale", "--screen-size 40", "--padding same"],
    "small images": ["--env-kwargs max_episode_steps=20"],
    "states": ["--env-kwargs max_episode_steps=20", "--env-kwargs nope=1"],
}  # fmt: skip

NUMBERS = ["-1", "0", "1", "2", "3", "7", "16", "1e3", "1000000000", "0.5", "nan", "inf", "x", ""]
WILD: dict[str, list[str]] = {
    **dict.fromkeys(
        (
            *("frame_skip", "frame_stack", "noop_max", "opening_fire_max", "screen_size", "n_step", "batch_size"),
            *("train_every", "target_every", "replay_start", "replay_capacity", "rollout_length", "epochs"),
            *("epsilon_begin", "epsilon_steps", "learning_rate_steps", "eval_every", "eval_episodes", "episodes"),
            *("checkpoint_every", "log_every", "seed", "num_envs", "gamma", "learning_rate", "learning_rate_end"),
            *("optimizer_eps", "rmsprop_decay", "adam_beta1", "adam_beta2", "weight_decay"),
            "gradient_clip_at",
            *("target_tau", "averaged_network_tau", "epsilon_start", "epsilon_end", "eval_epsilon", "sticky_actions"),
            *("stop_score", "trace_lambda", "max_frames_per_episode", "baseline_episodes", "hidden", "output_gain"),
        ),
        NUMBERS,
    ),
    **{kind.name: [*kind.names(), "x"] for kind in KINDS.values()},
    "norm": ["none", "layer", "element", "channel"],
    "padding": ["valid", "same"],
    "error": ["squared", "huber", "x"],
    "backend": ["gymnasium", "envpool"],
    "load": ["auto", "nowhere"],
    "env_kwargs": ["mode=1", "difficulty=x", "max_episode_steps=3", "x", "render_mode=human", "=1"],
}
FLAGS = ["max-pool", "grayscale", "fire-on-reset", "fire-on-life-loss", "life-loss-ends-target", "clip-reward",
         "full-action-set", "amsgrad", "deterministic", "wrapper-openings", "double", "noisy"]  # fmt: skip


@functools.cache
def loop_of(recipe: str) -> str:
    return read_recipe(recipe).loop


def command_line(seed: int) -> tuple[list[str], str, str]:
    """The arguments of one try, its loop and its kind of game."""
    chance = random.Random(seed)
    loop, kind = sorted(SMALL)[seed % len(SMALL)], chance.choice(sorted(GAMES))
    recipe = chance.choice([name for name in recipe_names() if loop_of(name) == loop])
    config = read_recipe(recipe)
    small: dict[str, object] = BOTH | SMALL[loop]
    if kind in ("Atari", "pixels"):
        small["screen_size"] = 36
    else:
        small["screen_size"] = 0
    if kind == "small images":
        small["grayscale"] = False
    if kind != "Atari":
        small |= {"sticky_actions": 0.0, "opening_fire_max": 0, "full_action_set": False}
    if kind == "Atari" and config.torso in ("mlp", "minatar", "plain"):
        small["torso"] = "2013"
    if kind in TORSOS:
        small["torso"] = chance.choice(TORSOS[kind])
    if config.replay_start < SMALL[loop].get("replay_start", 0) * 2:
        small["n_step"] = 1
    argv = ["train", chance.choice(GAMES[kind]), "--recipe", recipe, *words_of(small)]
    sensible = [*SENSIBLE["any"], *SENSIBLE[loop], *SENSIBLE.get(kind, [])]
    if loop != "stream":
        sensible += SENSIBLE["minibatches"]
    for words in chance.sample(sensible, chance.choice([0, 1, 1, 2, 3])):
        argv += words.split()
    if chance.random() < 0.3:
        for name in chance.sample(sorted(WILD), chance.choice([1, 1, 2])):
            argv += [f"--{name.replace('_', '-')}", chance.choice(WILD[name])]
        for name in chance.sample(FLAGS, chance.choice([0, 1])):
            argv += [chance.choice([f"--{name}", f"--no-{name}"])]
    return argv, loop, kind


def words_of(fields: dict[str, object]) -> list[str]:
    words: list[str] = []
    for name, value in fields.items():
        flag = name.replace("_", "-")
        words += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return words


def rows(file: Path) -> list[str]:
    return file.read_text().splitlines()[1:]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the module of games beside; nothing is drawn."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr("pixelq.viewing.plots.plot_runs", lambda *args, **kwargs: None)
    return tmp_path


def test_every_combination_trains_or_says_why_not_in_one_line(folder, capsys):
    given = os.environ.get("PIXELQ_FUZZ_SEED")
    first = int(given) if given else FIRST_SEED
    begun, seed, tries = time.monotonic(), first, Counter()
    trained: Counter[str] = Counter()
    while time.monotonic() - begun < SECONDS or sum(tries.values()) < LEAST_TRIES:
        argv, loop, kind = command_line(seed)
        run = folder / f"run-{seed}"
        shown = f"PIXELQ_FUZZ_SEED={seed}: pixelq {' '.join(argv)}"
        try:
            code = main([*argv, "--run-dir", str(run)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException:
            pytest.fail(f"{shown}\n{traceback.format_exc()}")
        captured = capsys.readouterr()
        # 1: what only shows while training, such as a loss that is not finite.
        assert code in (0, 1, 2), shown
        assert "Traceback" not in captured.out + captured.err, shown
        if code == 2:
            assert captured.err.count("\n") == 1, f"{shown}\n{captured.err}"
            assert not run.exists(), shown
        elif code == 1:
            assert captured.err.splitlines()[-1].startswith("pixelq: "), f"{shown}\n{captured.err}"
        else:
            assert (run / "final" / "policy.safetensors").is_file(), shown
            assert rows(run / "episodes.csv") or rows(run / "progress.csv"), shown
            trained.update({loop: 1, kind: 1})
        tries[code] += 1
        if os.environ.get("PIXELQ_FUZZ_SHOW"):
            print(code, captured.err.splitlines()[-1] if code else "", shown, file=sys.__stderr__)
        seed += 1
    share = tries[0] / sum(tries.values())
    told = f"seeds {first} to {seed - 1}: {dict(tries)} by exit code; trained: {dict(trained)}"
    print(told)
    assert share >= LEAST_SHARE, told
    assert trained.keys() >= SMALL.keys(), told
    assert len(trained.keys() & GAMES.keys()) >= 3, told
