import dataclasses

import numpy as np
import pytest
import torch

from pixelq.checkpoints.kept_policies import kept_policy_folder
from pixelq.checkpoints.policy_file import save_policy
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.networks import build_network
from pixelq.networks.observations import likely_observations
from pixelq.recipes.reading import write_config
from pixelq.viewing.stages import read_stages

CPU = torch.device("cpu")
CONFIG = dataclasses.replace(Config(), game="breakout", torso="2013", screen_size=36)
SPACE = likely_observations(CONFIG)


def network(seed):
    return build_network(CONFIG, SPACE, 4, torch.Generator().manual_seed(seed))


@pytest.fixture
def run(tmp_path):
    """A run with a best policy after 300 agent steps; the seed of its weights is that number."""
    write_config(CONFIG, tmp_path / "config.toml")
    save_policy(tmp_path / "best", network(300), CONFIG, {"agent_steps": 300, "score": 1.0})
    return tmp_path


def keep(run, *steps):
    for step in steps:
        save_policy(kept_policy_folder(run, step), network(step), CONFIG, {"agent_steps": step})


def weights_of(agent):
    return np.concatenate([weight.numpy().ravel() for weight in agent.network.state_dict().values()])


def test_the_kept_policies_stand_in_their_order_between_the_first_and_the_last(run):
    keep(run, 200, 0, 100)
    stages = read_stages(run, CPU)
    captions = ["untrained, 0 agent steps", "100 agent steps", "200 agent steps", "300 agent steps (best)"]
    assert [stage.caption for stage in stages] == captions
    for stage, seed in zip(stages, (0, 100, 200, 300), strict=True):
        torch.testing.assert_close(stage.agent.network.state_dict(), network(seed).state_dict(), rtol=0, atol=0)


def test_a_run_that_kept_none_begins_with_the_network_that_its_seed_makes(run):
    untrained, best = read_stages(run, CPU)
    assert untrained.caption == "untrained, 0 agent steps"
    first = weights_of(untrained.agent)
    np.testing.assert_array_equal(first, weights_of(read_stages(run, CPU)[0].agent))
    assert (first != weights_of(best.agent)).any()


def test_of_many_stages_some_are_taken_with_the_first_and_the_last_among_them(run):
    keep(run, *range(0, 250, 10))
    shown = [stage.caption for stage in read_stages(run, CPU, most=4)]
    assert shown == ["untrained, 0 agent steps", "80 agent steps", "170 agent steps", "300 agent steps (best)"]


def test_a_run_that_began_with_given_weights_has_no_untrained_network(run):
    write_config(dataclasses.replace(CONFIG, load="/elsewhere/policy.safetensors"), run / "config.toml")
    with pytest.raises(UserError, match=r"one policy alone.*--keep-policies"):
        read_stages(run, CPU)
    keep(run, 100)
    assert [stage.caption for stage in read_stages(run, CPU)] == ["100 agent steps", "300 agent steps (best)"]


def test_a_damaged_stage_is_named_and_links_are_left_out(run):
    keep(run, 100)
    file = kept_policy_folder(run, 100) / "policy.safetensors"
    kept_policy_folder(run, 200).symlink_to(file.parent)
    assert len(read_stages(run, CPU)) == 3
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(UserError, match=r"step-000000000100/policy\.safetensors"):
        read_stages(run, CPU)


def test_a_run_without_any_policy_says_what_to_wait_for(run):
    (run / "best" / "policy.safetensors").unlink()
    with pytest.raises(UserError, match="no policy yet; wait for its first checkpoint"):
        read_stages(run, CPU)
