"""Every mistake a person can make at the command line: exit code 2, one line on standard error, nothing written."""

from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest
import torch

from bad_inputs import here, refused, trained

__all__ = ["here", "trained"]


COMMAND_LINES = [
    # (arguments, a part of the line that must be there)
    ("frobnicate", "unknown command"),
    ("trian pong", "unknown command"),
    # train: the game
    ("train", "which game"),
    ("train pongg", "did you mean pong"),
    ("train ALE/Pong-v4", "Pong"),
    ("train Pong-v4", "PongNoFrameskip-v4"),
    ("train combat", "combat"),
    # train: games of Gymnasium
    ("train CartPole-v999", "unknown game"),
    ("train CartPol-v1", "did you mean CartPole-v1?"),
    ("train cartpole", "did you mean CartPole-v1?"),
    ("train LunarLander-v2", "LunarLander-v3"),
    ("train foo/Bar-v0", "unknown game"),
    ("train os:Foo-v0", "unknown game 'os:Foo-v0'"),
    ("train no_such_module:Foo-v0", "no_such_module"),
    ("train :", "cannot be imported"),
    ("train Pendulum-v1", "its actions are continuous"),
    ("train MountainCarContinuous-v0", "its actions are continuous"),
    ("train LunarLanderContinuous-v3", "its actions are continuous"),
    ("train TextGame-v0", "part note: its observations are of a Text space"),
    ("train ManyActions-v0", "it has 1,048,576 combinations of actions; pixelq takes at most 1,024"),
    ("train CartPole-v1 --recipe nature2015", "--torso mlp"),
    ("train MinAtar/Breakout-v1 --recipe minatar --torso 2015", "--torso minatar"),
    ("train MinAtar/Breakout-v1 --recipe minatar --torso mlp", "--torso minatar"),
    ("train MinAtar/Breakout-v1 --grayscale", "--no-grayscale"),
    ("train pong --recipe cartpole", "--screen-size 84"),
    ("train pong --torso mlp", "--torso"),
    ("train pong --screen-size 0", "screen_size"),
    ("train CartPole-v1 --sticky-actions 0.25", "--sticky-actions 0"),
    ("train CartPole-v1 --opening-fire-max 9", "--opening-fire-max 0"),
    ("train CartPole-v1 --full-action-set", "--no-full-action-set"),
    ("train CartPole-v1 --load run", "weight"),
    ("--import", "--import needs a module"),
    ("--import no_such_module list games", "no_such_module"),
    ("train ../pong", "unknown game"),
    ("train --steps 10", "which game"),
    ("train --recipe lapan-pong --steps 0", "steps"),  # this recipe names its game
    # train: the recipe
    ("train pong --recipe nature", "did you mean nature2015"),
    ("train pong --recipe", "--recipe needs a name"),
    ("train pong --recipe missing.toml", "no such file"),
    ("train pong --recipe ../../etc/passwd", "unknown recipe"),
    # train: unknown options, values of the wrong type
    ("train pong extra", "extra"),
    ("train pong --batch-sise 32", "--batch-size"),
    ("train pong --batch-size many", "batch-size"),
    ("train pong --batch-size 1.5", "batch-size"),
    ("train pong --batch-size", "batch-size"),
    ("train pong --loss", "loss"),
    ("train pong --optimizer sgd", "optimizer"),
    ("train pong --torso 2014", "did you mean 2015 or 2013"),
    ("train pong --torso", "unknown torso"),
    ("train pong --loss lambda-returns", "did you mean lambda_returns"),
    ("train pong --head quadratic", "unknown head 'quadratic'"),
    ("train pong --linear noise", "unknown linear 'noise'"),
    ("train pong --sampler best", "unknown sampler 'best'"),
    ("train pong --epsilon-schedule linaer", "did you mean linear"),
    # train: names that pixelq 0.1 had
    ("train pong --network 2013", "--network is called --torso now"),
    ("train pong --network=2013", "--network is called --torso now"),
    ("train pong --average-tau 0.1", "--average-tau is called --averaged-network-tau now"),
    # train: options of variants
    ("train pong --error abs", "--error"),
    ("train pong --error", "--error"),
    ("train pong --trace-lambda many", "--trace-lambda"),
    ("train pong --loss dqn --trace-lambda 0.5", "--trace-lambda"),
    ("train pong --recipe cleanrl --trace-lambda 0.5", "--trace-lambda"),
    ("train pong --torso plain --channels 4 --kernels 3", "equally many"),
    ("train pong --torso plain --hidden 0", "at least 1"),
    ("train pong --torso-options 3", "--torso-options"),
    ("train pong --steps ten", "steps"),
    ("train pong --game breakout", "--game"),
    # train: values out of range
    ("train pong --steps 0", "steps"),
    ("train pong --steps -5", "steps"),
    ("train pong --batch-size 0", "batch_size"),
    ("train pong --num-envs 0", "num_envs"),
    ("train pong --batch-size 7", "divisor"),
    ("train pong --epsilon-start 2", "epsilon_start"),
    ("train pong --epsilon-end -0.1", "epsilon_end"),
    ("train pong --epsilon-start nan", "epsilon_start"),
    ("train pong --gamma 1.5", "gamma"),
    ("train pong --trace-lambda 7", "trace_lambda = 7.0 must be between 0 and 1"),
    ("train pong --trace-lambda 2", "trace_lambda = 2.0 must be between 0 and 1"),
    ("train pong --trace-lambda nan", "trace_lambda = nan must be between 0 and 1"),
    ("train pong --epsilon-begin -1", "epsilon_begin"),
    ("train pong --epsilon-schedule constant --epsilon-begin 5", "epsilon_begin"),
    ("train pong --learning-rate 0", "learning_rate"),
    ("train pong --learning-rate inf", "learning_rate"),
    ("train pong --learning-rate-end 1", "learning_rate_end"),
    ("train pong --optimizer-eps 0", "optimizer_eps"),
    ("train pong --gradient-clip-at 0", "gradient_clip_at"),
    ("train pong --screen-size 8", "screen_size"),
    ("train pong --frame-skip 0", "frame_skip"),
    ("train pong --frame-stack 0", "frame_stack"),
    ("train pong --noop-max -1", "noop_max"),
    ("train pong --sticky-actions 3", "sticky_actions"),
    ("train pong --seed -1", "seed"),
    ("train pong --log-every 0", "log_every"),
    ("train pong --eval-episodes 0", "eval_episodes"),
    ("train pong --threads -1", "threads"),
    ("train pong --target soft", "target"),
    ("train pong --recipe cleanrl --replay-capacity 16", "replay_capacity"),
    ("train pong --recipe cleanrl --replay-start 2000000", "replay_start"),
    ("train pong --recipe cleanrl --replay-start 1", "replay_start"),
    ("train pong --recipe cleanrl --target-every 0", "target_every"),
    ("train pong --recipe cleanrl --train-every 0", "train_every"),
    ("train pong --recipe cleanrl --n-step 0", "n_step"),
    ("train pong --recipe cleanrl --loss lambda_returns", "loss"),
    ("train pong --recipe cleanrl --loss banana", "banana"),
    ("train pong --recipe double2015 --target none", "target"),
    # train: what the machine or the folder lacks
    ("train pong --recipe cleanrl --replay-capacity 1000000000000", "replay_capacity"),
    ("train pong --device vulkan", "vulkan"),
    ("train pong --device tpu", "device"),
    ("train pong --device mps", "mps"),
    ("train pong --run-dir run", "already taken"),
    ("train pong --run-dir run/config.toml", "run/config.toml"),
    ("train pong --load nowhere", "nowhere"),
    ("train pong --load run/config.toml", "safetensors"),
    ("train freeway --load run --recipe nature2015", "weight"),
    ("train freeway --opening-fire-max 30", "FIRE"),
    # resume
    ("resume", "required"),
    ("resume nowhere", "no such run"),
    ("resume .", "not a run folder"),
    ("resume run/config.toml", "run"),
    ("resume run --steps 0", "steps"),
    ("resume run --steps ten", "steps"),
    # eval
    ("eval", "required"),
    ("eval nowhere", "nowhere"),
    ("eval .", "not a run folder"),
    ("eval run --episodes 0", "episodes"),
    ("eval run --epsilon 2", "epsilon"),
    ("eval run --epsilon nan", "epsilon"),
    ("eval run --seed -1", "seed"),
    ("eval run --threads -1", "threads"),
    ("eval run --out run/config.toml/games.json", "config.toml"),
    ("eval run --policy worst", "policy"),
    ("eval run/config.toml", "safetensors"),
    ("eval run --device vulkan", "vulkan"),
    # record
    ("record nowhere", "nowhere"),
    ("record run --epsilon 5", "epsilon"),
    ("record run --scale 0", "scale"),
    ("record run --out run/config.toml/video.mp4", "config.toml"),
    # plot, compare
    ("plot", "run"),
    ("plot nowhere", "nowhere"),
    ("plot .", "."),
    ("plot run --out run/config.toml/plot.png", "config.toml"),
    ("compare run --reference nowhere.csv", "nowhere.csv"),
    ("compare run --reference run/config.toml", "config.toml"),
    # list, doctor, verify
    ("list", "games"),
    ("list videos", "videos"),
    ("doctor --recipe nature", "nature2015"),
    ("doctor --frob", "--frob"),
    ("verify", "required"),
    ("verify nowhere", "nowhere"),
    ("verify .", "not a run folder"),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("line", "part"), COMMAND_LINES, ids=[line for line, _ in COMMAND_LINES])
def test_a_bad_command_line_is_refused_in_one_line(line: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    if line == "train pong --device mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has MPS")
    assert part.lower() in refused(line.split(), capsys).lower()


def test_there_are_at_least_sixty_bad_command_lines() -> None:
    assert len({line for line, _ in COMMAND_LINES}) >= 60


class TextGame(gymnasium.Env[Any, Any]):
    """A part of its observations is a text."""

    observation_space = gymnasium.spaces.Dict({"x": gymnasium.spaces.Discrete(2), "note": gymnasium.spaces.Text(9)})
    action_space: gymnasium.Space[Any] = gymnasium.spaces.Discrete(2)


class ManyActions(gymnasium.Env[Any, Any]):
    """Takes twenty actions at a time."""

    observation_space = gymnasium.spaces.Discrete(2)
    action_space: gymnasium.Space[Any] = gymnasium.spaces.MultiDiscrete([2] * 20)


@pytest.fixture(scope="module", autouse=True)
def _games_of_ones_own() -> Iterator[None]:
    for game in (TextGame, ManyActions):
        gymnasium.register(f"{game.__name__}-v0", entry_point=game)
    yield
    for game in (TextGame, ManyActions):
        gymnasium.registry.pop(f"{game.__name__}-v0")
