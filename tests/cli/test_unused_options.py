"""An option that a person names and a run would not use is refused, by a table that knows every option."""

import dataclasses

import pytest

import pixelq
from pixelq.cli import main
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.recipes.unused import ALWAYS, USES, check_used, variant_uses

UNUSED = {
    # arguments after `train` -> what the line must say
    "pong --replay-capacity 5": "the overlapped, recurrent_replay or replay loop uses it",
    "pong --replay-start=5": "the overlapped, recurrent_replay or replay loop uses it",
    "pong --train-every 2": "the overlapped, recurrent_replay or replay loop uses it",
    "pong --n-step 3": "the overlapped, recurrent_replay or replay loop uses it",
    "pong --recipe cleanrl --rollout-length 8": "the parallel or recurrent_parallel loop uses it",
    "pong --recipe cleanrl --epochs 8": "the parallel or recurrent_parallel loop uses it",
    "pong --recipe stream-q --epochs 8": "the parallel or recurrent_parallel loop uses it",
    "pong --recipe stream-q --gradient-clip norm": "recurrent_parallel, recurrent_replay or replay loop uses it",
    "pong --recipe stream-q --compile": "parallel, recurrent_parallel, recurrent_replay or replay loop uses it",
    "pong --recipe cleanrl --target-tau 0.5": "--target soft",
    "pong --target-every 100": "--target hard",
    "car-racing --target-every 100": "--target hard",
    "pong --recipe cleanrl --rmsprop-decay 0.5": "optimizer rmsprop",
    "pong --recipe cleanrl --rho 0.5": "optimizer adadelta",
    "pong --recipe stream-q --optimizer-eps 0.1": "optimizer adadelta, adam, adamw, radam or rmsprop",
    "pong --recipe cleanrl --weight-decay 0.1": "optimizer adamw",
    "pong --amsgrad": "--optimizer adam or adamw",
    "pong --recipe nature2015 --adam-beta1 0.5": "--optimizer adam, adamw or radam",
    "pong --recipe cleanrl --learning-rate-steps 5": "learning rate that falls",
    "pong --recipe cleanrl --gradient-clip-at 5": "--gradient-clip value or norm",
    "pong --epsilon-schedule constant --epsilon-end 0.5": "--epsilon-schedule exponential, ladder or linear uses it",
    "pong --epsilon-schedule constant --epsilon-steps 5": "--epsilon-schedule exponential, ladder or linear uses it",
    "pong --eval-every 0 --eval-episodes 5": "--eval-every 0",
    **{
        f"{game} {option}": f"{game} is not an Atari game"
        for game in ("CartPole-v1", "CarRacing-v3")
        for option in (
            *("--noop-max 5", "--max-pool", "--fire-on-reset", "--opening-fire-max 9", "--fire-on-life-loss"),
            *("--life-loss-ends-target", "--sticky-actions 0.25", "--full-action-set"),
        )
    },
    "CartPole-v1 --grayscale": "shows numbers",
    "CartPole-v1 --screen-size 84": "shows numbers",
    "CartPole-v1 --padding same": "shows numbers",
    "pong --backend envpool": "CarRacing-v3 uses it",
    # an option of a variant that is not chosen
    "pong --recipe cleanrl --trace-lambda 0.5": "option of --loss lambda_returns, and this run has --loss dqn",
    "pong --loss dqn --trace-lambda=0.5": "option of --loss lambda_returns, and this run has --loss dqn",
}


@pytest.mark.parametrize("line", UNUSED)
def test_an_option_without_effect_is_refused_with_the_reason(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *line.split()]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert UNUSED[line] in error
    assert not list(tmp_path.iterdir())


def test_the_table_knows_every_option_once():
    known = [*ALWAYS, *(name for use in (*USES, *variant_uses()) for name in use.fields)]
    assert sorted(known) == sorted(f.name for f in dataclasses.fields(Config))


@pytest.mark.parametrize(
    ("game", "recipe", "overrides", "part"),
    [
        ("pong", None, {"replay_capacity": 5}, "the overlapped, recurrent_replay or replay loop uses it"),
        ("pong", "cleanrl", {"trace_lambda": 0.5}, "option of --loss lambda_returns"),
        ("CartPole-v1", None, {"noop_max": 5}, "CartPole-v1 is not an Atari game"),
    ],
)
def test_so_is_an_override_in_python(game, recipe, overrides, part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=part):
        pixelq.train(game, recipe, **overrides)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("game", "recipe", "named"),
    [
        ("CartPole-v1", None, {"noop_max": 0, "max_pool": False, "sticky_actions": 0.0, "screen_size": 0}),
        ("pong", "cleanrl", {"weight_decay": 0.0, "amsgrad": False, "learning_rate_steps": 0, "replay_capacity": 50}),
        ("pong", "default", {"learning_rate_steps": 50, "gradient_clip_at": 1.0, "rollout_length": 8, "epochs": 3}),
        ("pong", "cleanrl", {"target": "soft", "target_tau": 0.1}),
        ("pong", "nature2015", {"rmsprop_decay": 0.9, "target_every": 9}),
        ("CarRacing-v3", None, {"grayscale": False, "target_tau": 0.1, "weight_decay": 0.1, "amsgrad": True}),
    ],
)
def test_what_has_an_effect_or_says_what_is_so_anyway_is_taken(game, recipe, named):
    config = configure(game, recipe, named)
    assert check_used(config, named) is None
    assert {name: getattr(config, name) for name in named} == named


@pytest.mark.parametrize("recipe", ["cartpole", "gymnasium", "default", "cleanrl"])
def test_a_recipe_may_hold_what_a_run_does_not_use(recipe):
    config = configure("CartPole-v1", recipe)
    assert check_used(config, []) is None
    with pytest.raises(UserError, match="would have no effect"):  # the same field, once a person names it
        check_used(config, ["noop_max" if config.noop_max else "rmsprop_decay"])


def test_padding_is_refused_where_the_torso_has_its_own() -> None:
    config = configure("breakout", "btr", {"padding": "same"})
    with pytest.raises(UserError, match="padding = same would have no effect"):
        check_used(config, {"padding"})
    check_used(configure("breakout", "dopamine"), {"padding"})
