"""Parts of a person's own that draw from torch's process-wide generator, or keep what no checkpoint can hold."""

from pathlib import Path
from typing import Any

import pytest
import torch

from own_variants import DropoutHead
from pixelq.cli import main
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.recipes.choice import configure
from pixelq.replay.samplers.uniform import Sampler as UniformSampler
from pixelq.runs.session import resume, start
from pixelq.variants import KINDS, register
from small_runs import CART_POLE, Killed, at_agent_step, die, facts


class SetSampler(UniformSampler):
    """Remembers in a set what it has drawn."""

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"seen": {1, 2}}


@pytest.fixture(autouse=True)
def own_variants(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS.values():
        monkeypatch.setattr(kind, "_registered", dict(kind._registered))
    register("head", "own_dropout", Head=DropoutHead)
    register("sampler", "own_set", Sampler=SetSampler)


def configured(**options: Any) -> Config:
    return configure("CartPole-v1", "cleanrl", CART_POLE | options)


@pytest.mark.parametrize("loop", ["replay", "parallel"])
def test_dropout_goes_on_to_the_bit_whatever_the_process_has_drawn(
    loop: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parallel = {"loop": "parallel", "rollout_length": 5, "batch_size": 10, "target": "none"}
    config = configured(head="own_dropout", **(parallel if loop == "parallel" else {}))
    before = torch.get_rng_state()
    start(config, Path("unbroken"))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    with at_agent_step(monkeypatch, 251, die), pytest.raises(Killed):
        start(config, Path("broken"))
    torch.rand(9)
    resume(Path("broken"))
    assert facts(Path("broken")) == facts(Path("unbroken"))
    monkeypatch.setattr("pixelq.generators.GlobalGenerators.seed", lambda self, seed: None)
    start(config, Path("unseeded"))
    assert facts(Path("unseeded"))["network"] != facts(Path("unbroken"))["network"]


def test_a_sampler_whose_state_is_a_set_is_refused_before_the_runs_folder_is_made(in_folder: Path) -> None:
    with pytest.raises(UserError, match="sampler/seen is a set; a state_dict holds numbers"):
        start(configured(sampler="own_set"), Path("run"))
    assert not Path("run").exists()


def test_a_sampler_whose_state_becomes_a_set_ends_at_the_first_checkpoint_with_one_line(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixelq.learner.trial.try_sampler", lambda config: None)
    with pytest.raises(UserError, match="state/sampler/seen is a set; a state_dict holds numbers"):
        start(configured(sampler="own_set"), Path("run"))


def test_verify_says_which_variant_is_missing_and_how_to_name_its_module(
    in_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start(configured(head="own_dropout", steps=120), Path("run"))
    assert main(["verify", "run"]) == 0
    monkeypatch.delitem(KINDS["head"]._registered, "own_dropout")
    capsys.readouterr()
    assert main(["verify", "run"]) == 2
    shown = capsys.readouterr().out
    assert "head 'own_dropout' is not known here" in shown
    assert "pixelq --import MODULE verify run" in shown
    assert "damaged" not in shown
    assert "episodes.csv" in shown


def test_a_run_that_draws_noise_and_is_to_be_compiled_is_refused_before_its_folder_is_made(in_folder: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be compiled \(the loss or a layer draws noise\).*--no-compile"):
        start(configured(linear="noisy", compile=True, deterministic=False), Path("run"))
    assert not Path("run").exists()
