"""Policies that a run keeps at intervals, and that nothing else of the run is changed by that."""

import dataclasses

import pytest
import torch

from pixelq.checkpoints.kept_policies import kept_policies
from pixelq.checkpoints.policy_file import load_agent, read_facts
from pixelq.cli.verify import verify
from pixelq.envs import make_envs
from pixelq.runs.parts import initial_network
from pixelq.runs.session import resume, start
from small_disks import files_at_most
from small_runs import Killed, at_agent_step, die, facts, small


def weights(run):
    return {steps: load_agent(file).network.state_dict() for steps, file in kept_policies(run).items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_policies_are_kept_from_the_untrained_network_to_the_last_and_change_nothing_else(in_folder):
    config = small(steps=240, eval_every=0)
    start(config, in_folder / "plain")
    start(dataclasses.replace(config, keep_policies=80), in_folder / "kept")
    kept = weights(in_folder / "kept")
    assert list(kept) == [0, 80, 160, 240]
    found, plain = facts(in_folder / "kept"), facts(in_folder / "plain")
    assert found.keys() - plain.keys() == {"at 0", "at 80", "at 160", "at 240"}
    assert {name: found[name] for name in plain} == plain
    assert same(kept[240], load_agent(in_folder / "kept").network.state_dict())
    assert not same(kept[160], kept[240])
    envs = make_envs(config, num_envs=1, seed=0, threads=1)
    first = initial_network(config, envs.single_observation_space, int(envs.single_action_space.n))
    envs.close()
    assert same(kept[0], first.state_dict())
    file = kept_policies(in_folder / "kept")[160]
    assert read_facts(file)["agent_steps"] == 160
    file.write_bytes(file.read_bytes()[:-1])
    assert [str(file) in damage for damage in verify(in_folder / "kept").damaged] == [True]


def test_a_run_that_was_killed_and_resumed_has_kept_the_same_policies(in_folder, monkeypatch):
    config = small(steps=240, eval_every=0, keep_policies=80)
    start(config, in_folder / "whole")
    with at_agent_step(monkeypatch, 190, die), pytest.raises(Killed):
        start(config, in_folder / "killed")
    resume(in_folder / "killed")
    one, other = weights(in_folder / "whole"), weights(in_folder / "killed")
    assert list(one) == list(other) == [0, 80, 160, 240]
    assert all(same(one[steps], other[steps]) for steps in one)


def test_a_policy_that_the_disk_refuses_is_said_and_training_goes_on(in_folder, monkeypatch, capsys):
    config = small(steps=160, eval_every=0, keep_policies=80, checkpoint_every=0)
    refuse = files_at_most(60_000)
    with (
        at_agent_step(monkeypatch, 70, refuse.__enter__),
        at_agent_step(monkeypatch, 100, lambda: refuse.__exit__(None, None, None)),
    ):
        start(config, in_folder / "run")
    assert "the policy at agent step 80 could not be kept: File too large; training goes on" in capsys.readouterr().err
    assert list(kept_policies(in_folder / "run")) == [0, 160]
