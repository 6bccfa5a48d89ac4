"""Random combinations of options over recipes and kinds of games: a run trains, or one line says why not."""

import random
import time
import traceback

import pytest

from pixelq.cli import main
from pixelq.recipes.reading import recipe_names
from pixelq.variants import KINDS

SECONDS = 20
GAMES = ["pong", "breakout", "CartPole-v1", "FrozenLake-v1", "MountainCar-v0", "Taxi-v3", "ALE/Freeway-v5", "nope"]
VECTORS = [game for game in GAMES if game.endswith(("v0", "v1", "v3"))]

NUMBERS = ["-1", "0", "1", "2", "3", "7", "16", "1e3", "1000000000", "0.5", "nan", "inf", "x", ""]
OPTIONS: dict[str, list[str]] = {
    **dict.fromkeys(
        (
            *("frame_skip", "frame_stack", "noop_max", "opening_fire_max", "screen_size", "n_step", "batch_size"),
            *("train_every", "target_every", "replay_start", "replay_capacity", "rollout_length", "epochs"),
            *("epsilon_begin", "epsilon_steps", "learning_rate_steps", "eval_every", "eval_episodes", "episodes"),
            *("checkpoint_every", "log_every", "seed", "num_envs", "gamma", "learning_rate", "learning_rate_end"),
            *("optimizer_eps", "rmsprop_decay", "adam_beta1", "adam_beta2", "weight_decay", "gradient_clip_at"),
            *("target_tau", "averaged_network_tau", "epsilon_start", "epsilon_end", "eval_epsilon", "sticky_actions"),
            *("stop_score", "trace_lambda", "max_frames_per_episode", "baseline_episodes", "hidden"),
        ),
        NUMBERS,
    ),
    **{kind.name: [*kind.names(), "x"] for kind in KINDS.values()},
    "loop": ["replay", "parallel"],
    "optimizer": ["adam", "adamw", "rmsprop", "radam"],
    "target": ["none", "hard", "soft"],
    "gradient_clip": ["none", "value", "norm"],
    "norm": ["none", "layer", "element", "channel"],
    "padding": ["valid", "same"],
    "initialisation": ["torch", "orthogonal", "xavier", "he"],
    "precision": ["float32", "bf16"],
    "reduction": ["mean", "sum"],
    "error": ["squared", "huber", "x"],
    "backend": ["gymnasium", "envpool"],
    "load": ["auto", "nowhere"],
}
FLAGS = ["max-pool", "grayscale", "fire-on-reset", "fire-on-life-loss", "life-loss-ends-target", "clip-reward",
         "full-action-set", "amsgrad", "deterministic"]  # fmt: skip
SMALL = {
    # What keeps a run tiny; not named where the loop does not use it.
    "replay": ["--replay-capacity", "400", "--replay-start", "40", "--num-envs", "2", "--batch-size", "4"],
    "parallel": ["--rollout-length", "4", "--num-envs", "2", "--batch-size", "8"],
}


def command_line(seed: int) -> list[str]:
    """The arguments of one try."""
    chance = random.Random(seed)
    loop = chance.choice(["replay", "parallel"])
    recipes = ["cleanrl", "nature2015", "dopamine"] if loop == "replay" else ["pqn", "gymnasium", "cartpole"]
    recipe = chance.choice(recipes if chance.random() < 0.8 else recipe_names())
    game = chance.choice(GAMES)
    argv = ["train", game, "--recipe", recipe]
    if game in VECTORS and chance.random() < 0.9:
        argv += ["--torso", "mlp"]  # what most recipes lack for these games
    argv += [*SMALL[loop], "--max-frames-per-episode", "40", "--steps", "64", "--log-every", "16", "--threads", "1"]
    argv += ["--device", "cpu", "--eval-every", chance.choice(["0", "32"]), "--eval-max-steps", "10"]
    for name in chance.sample(sorted(OPTIONS), chance.choice([0, 1, 1, 2, 3])):
        argv += [f"--{name.replace('_', '-')}", chance.choice(OPTIONS[name])]
    for name in chance.sample(FLAGS, chance.choice([0, 0, 1])):
        argv += [chance.choice([f"--{name}", f"--no-{name}"])]
    return [*argv, "--run-dir", f"run-{seed}"]


def test_every_combination_trains_or_says_why_not_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    begun, seed = time.monotonic(), int(time.time()) % 1_000_000
    first, trained = seed, 0
    while time.monotonic() - begun < SECONDS:
        argv = command_line(seed)
        shown = f"seed {seed}: pixelq {' '.join(argv)}"
        try:
            code = main(argv)
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException:
            pytest.fail(f"{shown}\n{traceback.format_exc()}")
        captured = capsys.readouterr()
        trained += code == 0
        # 1: what only shows while training, such as a loss that is not finite.
        assert code in (0, 1, 2), shown
        assert "Traceback" not in captured.out + captured.err, shown
        if code == 2:
            assert captured.err.count("\n") == 1, f"{shown}\n{captured.err}"
            assert not (tmp_path / f"run-{seed}").exists(), shown
        elif code == 1:
            assert captured.err.splitlines()[-1].startswith("pixelq: "), f"{shown}\n{captured.err}"
        seed += 1
    print(f"seeds {first} to {seed - 1}, {trained} trained")
    assert 0 < trained < seed - first
