"""Networks with a memory: sizes of the source's, whole sequences against one state at a time, what a loss may ask."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pixelq.errors import UserError
from pixelq.losses import BoundLoss, bound_loss
from pixelq.networks import build_network, network_sizes
from pixelq.networks.recurrent_network import RecurrentNetwork
from pixelq.networks.unrolled_network import UnrolledNetwork, unrolled_networks
from pixelq.policy import Agent, EpsilonGreedy
from pixelq.policy.acting import Acting, RecurrentActing, acting_with, in_order
from pixelq.recipes.reading import read_recipe
from pixelq.recipes.values import overridden
from pixelq.replay.batch import Batch
from small_networks import images, network, states, vectors

CPU = torch.device("cpu")
T, N = 6, 3
SPACE = vectors(1, 5)
KINDS_OF_NETWORK: dict[str, dict[str, Any]] = {
    "images": {"torso": "minatar", "space": images(1, 10, 10, 4)},
    "vectors": {"torso": "mlp", "space": SPACE, "hidden": (8,)},
    "layer norm": {"torso": "mlp", "space": SPACE, "hidden": (8,), "norm": "layer"},
    "no hidden layer": {"torso": "mlp", "space": SPACE, "hidden": ()},
    "dueling": {"torso": "mlp", "space": SPACE, "hidden": (8,), "streams": "dueling"},
    "categorical": {"torso": "mlp", "space": SPACE, "hidden": (8,), "head": "categorical", "loss": "c51"},
    "implicit quantiles": {"torso": "mlp", "space": SPACE, "hidden": (8,), "head": "implicit_quantile", "loss": "iqn"},
}


def recurrent(**fields: Any) -> RecurrentNetwork:
    made = network(**({"torso": "mlp", "space": SPACE, "hidden": (8,)} | fields), memory="lstm", units=6)
    assert isinstance(made, RecurrentNetwork)
    return made


def sequences(one: RecurrentNetwork, seed: int = 0) -> Batch:
    """Random sequences: states and what follows them, starts in the middle, something remembered before."""
    g = torch.Generator().manual_seed(seed)
    state, following = (states(one.observation_space, T * N, seed=seed + i) for i in range(2))
    batch = Batch.unweighted(
        state, torch.randint(0, 4, (T * N,), generator=g), torch.randn(T * N, generator=g),
        torch.full((T * N,), 0.9), following,
    )  # fmt: skip
    fields = {name: getattr(batch, name) for name in batch.named_tensors()}
    before = torch.randn(N, one.recurrent_size, generator=g)
    return Batch(**fields, recurrent_state=before, starts=torch.rand(T * N, generator=g) < 0.3)


def with_nothing_before(batch: Batch) -> Batch:
    """The same after the beginning of every episode: what acting remembers before the first state is zeros."""
    assert batch.recurrent_state is not None
    fields = batch.named_tensors()
    return Batch(**(fields | {"recurrent_state": torch.zeros_like(batch.recurrent_state)}))


def by_row(x: Tensor | None) -> np.ndarray:
    assert x is not None
    found: np.ndarray = x.unflatten(0, (T, N)).numpy()
    return found


# --- sizes ----------------------------------------------------------------------------------------------------------


def source() -> nn.ModuleList:
    """The modules of cleanrl/pqn_atari_envpool_lstm.py's QNetwork, for a game of four actions."""
    return nn.ModuleList([
        nn.Conv2d(1, 32, 8, stride=4), nn.LayerNorm([32, 20, 20]), nn.Conv2d(32, 64, 4, stride=2),
        nn.LayerNorm([64, 9, 9]), nn.Conv2d(64, 64, 3, stride=1), nn.LayerNorm([64, 7, 7]), nn.Linear(3136, 512),
        nn.LayerNorm(512), nn.LSTM(512, 128), nn.Linear(128, 4),
    ])  # fmt: skip


def test_the_recipes_network_has_the_sources_weights_one_by_one() -> None:
    config = read_recipe("cleanrl-pqn-lstm")
    made = build_network(config, images(1, 84, 84), 4, torch.Generator().manual_seed(1))
    ours, theirs = (sorted(tuple(p.shape) for p in net.parameters()) for net in (made, source()))
    assert ours == theirs
    by_hand = 2_080 + 25_600 + 32_832 + 10_368 + 36_928 + 6_272 + 1_606_144 + 1_024 + 328_704 + 516
    assert network_sizes(config, images(1, 84, 84), 4).parameters == by_hand == sum(map(math.prod, theirs))
    outputs = made.head.output.weight @ made.head.output.weight.T  # type: ignore[union-attr,operator]
    torch.testing.assert_close(outputs, 2 * torch.eye(4), atol=1e-4, rtol=0)  # layer_init's gain is sqrt 2


# --- in order -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS_OF_NETWORK)
def test_q_values_of_sequences_are_those_of_acting_one_state_at_a_time(kind: str) -> None:
    one = recurrent(**KINDS_OF_NETWORK[kind])
    batch = with_nothing_before(sequences(one))
    unrolled = UnrolledNetwork(one, batch)
    acting = acting_with(one, CPU)
    rows, following, starts = (by_row(x) for x in (batch.state, batch.next_state, batch.starts))
    whole, after = (by_row(unrolled.q_values(x).detach()) for x in (batch.state, batch.next_state))
    assert not np.array_equal(whole, by_row(one.q_values(batch.state).detach())), "the memory makes a difference"
    for t in range(T):
        if t:
            acting.forget(starts[t])
        looked = acting.q_values(rows[t])
        now = acting.next_q_values(rows[t])
        np.testing.assert_array_equal(looked, now)
        np.testing.assert_allclose(now, whole[t], atol=1e-5)
        np.testing.assert_allclose(acting.q_values(following[t]), after[t], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS_OF_NETWORK)
def test_every_loss_sees_sequences_through_the_same_function_as_single_states(kind: str) -> None:
    """Of sequences that are one state long, and begin with it, the loss is the stateless network's."""
    fields = {name: value for name, value in KINDS_OF_NETWORK[kind].items() if name != "space"}
    loss = bound_loss(overridden(read_recipe("cartpole"), {"loss": "dqn", **fields}))
    one = recurrent(**KINDS_OF_NETWORK[kind])
    batch = sequences(one)
    noise = [torch.Generator().manual_seed(3) for _ in range(3)]
    assert batch.starts is not None
    begins = torch.ones_like(batch.starts)
    nothing_kept = Batch(**(batch.named_tensors() | {"starts": begins}))
    single = {n: x for n, x in batch.named_tensors().items() if n not in ("recurrent_state", "starts", "next_state")}
    # Where every state begins an episode, only what follows it remembers something: let nothing follow.
    ends = {"discount_n": torch.zeros(T * N), "next_state": batch.state}
    expected = loss(one, one, Batch(**(single | ends)), noise[0])
    found = loss(one, one, Batch(**(nothing_kept.named_tensors() | ends)), noise[1])
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not torch.equal(loss(one, one, batch, noise[2]).q, expected.q)
    assert isinstance(loss, BoundLoss)


def test_the_gradient_goes_back_in_time_within_an_episode_alone() -> None:
    one = recurrent()
    batch = sequences(one)
    assert batch.starts is not None
    for begins in (False, True):
        starts = torch.zeros(T * N, dtype=torch.bool)
        starts[N : 2 * N] = begins  # with the second step
        state = batch.state.clone().requires_grad_()
        fields = batch.named_tensors() | {"state": state, "starts": starts}
        unrolled = UnrolledNetwork(one, Batch(**fields))
        (gradient,) = torch.autograd.grad(unrolled.q_values(state)[N:].sum(), state)
        assert bool(gradient[:N].any()) != begins
        assert gradient[N:].any()


def test_a_loss_that_asks_about_changed_states_is_told_which_it_may_hand_over() -> None:
    one = recurrent()
    batch = sequences(one)
    (unrolled,) = unrolled_networks(batch, one)
    with pytest.raises(UserError, match=r"hand these over") as caught:
        unrolled(batch.state.clone())
    assert "\n" not in str(caught.value)
    plain = with_nothing_before(batch).named_tensors()
    del plain["recurrent_state"], plain["starts"]
    assert unrolled_networks(Batch(**plain), one) == [one]


def test_a_batch_of_sequences_keeps_its_fields_when_it_is_mapped() -> None:
    batch = sequences(recurrent())
    doubled = batch.map(lambda x: torch.cat([x, x]))
    assert doubled.action_mask is None
    for name, value in batch.named_tensors().items():
        assert torch.equal(getattr(doubled, name), torch.cat([value, value]))


# --- acting ---------------------------------------------------------------------------------------------------------


def shown(seed: int, n: int = N) -> np.ndarray:
    found: np.ndarray = states(SPACE, n, seed=seed).numpy()
    return found


def test_some_games_may_go_on_while_others_wait() -> None:
    one = recurrent()
    together, apart = acting_with(one, CPU), acting_with(one, CPU)
    apart.begin(N)
    for seed in range(3):
        expected = together.next_q_values(shown(seed))
        for rows in ([0, 2], [1]):
            which = np.array(rows)
            found = apart.next_q_values(shown(seed)[rows], which=which)
            np.testing.assert_allclose(found, expected[rows], atol=1e-6)


def test_games_of_their_own_leave_a_policys_memory_as_it_is() -> None:
    agent = Agent(recurrent(), read_recipe("cartpole"), CPU)
    agent.act(shown(0))
    before = agent.acting.recurrent_state.clone()
    other = in_order(agent, 2)
    first = other.next_q_values(shown(1, 2))
    np.testing.assert_array_equal(first, agent.network.q_values(torch.from_numpy(shown(1, 2))).numpy())
    other.forget(np.array([True, False]))
    again = other.next_q_values(shown(1, 2))
    np.testing.assert_allclose(again[0], first[0], atol=1e-6)
    assert np.abs(again[1] - first[1]).max() > 1e-4
    assert torch.equal(agent.acting.recurrent_state, before)


def test_an_agent_remembers_what_act_was_shown_until_it_is_reset() -> None:
    agent = Agent(recurrent(), read_recipe("cartpole"), CPU)
    first = agent.q_values(shown(0))
    agent.act(shown(0))
    assert not np.array_equal(agent.q_values(shown(0)), first)
    agent.reset(np.array([True, False, True]))
    found = agent.q_values(shown(0))
    np.testing.assert_allclose(found[[0, 2]], first[[0, 2]], atol=1e-6)
    assert not np.array_equal(found[1], first[1])
    for act in (lambda: agent.act(shown(0, 2)), lambda: agent.reset([True])):
        with pytest.raises(UserError, match=r"was shown 3 environments.*agent\.reset\(\)") as caught:
            act()
        assert "\n" not in str(caught.value)
    agent.reset()
    assert agent.q_values(shown(0, 1)).shape == (1, 4)  # a look says nothing of how many games there are
    assert agent.act(shown(0, 2)).shape == (2,)


def test_where_episodes_begin_is_said_in_truth_values_and_not_in_numbers_of_environments() -> None:
    agent = Agent(recurrent(), read_recipe("cartpole"), CPU)
    agent.act(shown(0))
    before = agent.acting.recurrent_state
    wrong: list[Any] = ["x", None, 2, [0, 2], [[True], [False, True]], np.zeros((N, 1), bool), np.array([1.0, 0, 0])]
    for where in wrong:
        with pytest.raises(UserError, match="does not say where episodes begin") as caught:
            agent.reset(where)
        assert "\n" not in str(caught.value)
        assert agent.acting.recurrent_state is before
    for nobody in (False, 0, np.zeros(N, bool), torch.zeros(N, dtype=torch.bool)):
        agent.reset(nobody)
        assert torch.equal(agent.acting.recurrent_state, before)
    agent.reset(1)
    assert agent.act(shown(0, 2)).shape == (2,)


def test_no_games_have_no_actions() -> None:
    agent = Agent(recurrent(), read_recipe("cartpole"), CPU)
    assert agent.act(shown(0, 0)).shape == (0,)
    assert agent.acting.recurrent_state.shape == (0, 12)


def test_what_a_refused_call_was_shown_is_not_remembered() -> None:
    agent = Agent(recurrent(), read_recipe("cartpole"), CPU)
    agent.act(shown(0))
    before = agent.acting.recurrent_state
    with pytest.raises(UserError, match="action_mask"):
        agent.act(shown(1), action_mask=np.zeros((N, 4), np.int8))
    assert agent.acting.recurrent_state is before


def test_a_policy_remembers_states_also_where_it_explores_and_goes_on_from_its_state() -> None:
    one = recurrent()
    policies = [EpsilonGreedy(one, CPU, np.random.default_rng(0)) for _ in range(2)]
    for policy in policies:
        policy.acting.begin(N)
    policies[0](shown(0), 1.0)
    policies[0].act_and_value(shown(1), 1.0)
    assert policies[0].recurrent_state.any()
    policies[1].load_state_dict(policies[0].state_dict())
    np.testing.assert_array_equal(policies[0].act_and_value(shown(2), 0.5), policies[1].act_and_value(shown(2), 0.5))
    policies[0].acting.begin(N + 1)
    with pytest.raises(UserError, match="recurrent state"):
        policies[1].load_state_dict(policies[0].state_dict())


def test_without_a_memory_nothing_is_kept_and_nothing_is_saved() -> None:
    plain = network(torso="mlp", space=SPACE, hidden=(8,))
    assert not isinstance(plain, RecurrentNetwork)
    assert type(acting_with(plain, CPU)) is Acting
    assert not any("memory" in name for name in plain.state_dict())
    policy = EpsilonGreedy(plain, CPU, np.random.default_rng(0))
    assert policy.state_dict().keys() == {"generator", "noise"}
    agent = Agent(plain, read_recipe("cartpole"), CPU)
    agent.reset()
    agent.reset([True])
    assert agent.act(shown(0)).tolist() == agent.act(shown(0)).tolist()
    with pytest.raises(UserError, match="has no memory"):
        _ = agent.acting.recurrent_state
    assert type(acting_with(recurrent(), CPU)) is RecurrentActing
