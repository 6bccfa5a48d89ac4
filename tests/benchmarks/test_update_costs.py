"""benchmarks/update_costs.py: who takes turns, in which order, and that a recipe's own sequences are learned from."""

from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts import ROOT, script


@pytest.fixture(scope="module")
def update_costs() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return script("benchmarks/update_costs.py")


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(), min_size=1, max_size=12, unique=True), st.integers(0, 40))
def test_each_round_has_all_members_and_begins_with_another(update_costs: ModuleType, names: list[int], i: int) -> None:
    rounds = [update_costs.in_turn(names, i + k) for k in range(len(names))]
    assert all(sorted(order) == sorted(names) for order in rounds)
    for place in range(len(names)):  # so in as many rounds as there are members, each is once at every place
        assert sorted(order[place] for order in rounds) == sorted(names)


def test_in_each_round_every_member_learns_from_all_its_batches_in_turn(update_costs: ModuleType) -> None:
    learned: list[str] = []
    members = {name: (learned.append, [name] * n) for name, n in (("dqn", 1), ("double", 2), ("c51", 1))}
    ticks = iter(range(1_000, 2_000))
    found = update_costs.take_turns(members, 4, lambda: float(next(ticks)))
    rounds = ["dqn double double c51", "double double c51 dqn", "c51 dqn double double", "dqn double double c51"]
    assert learned == " ".join(rounds).split()
    assert found == {"dqn": [1e3] * 4, "double": [500.0] * 4, "c51": [1e3] * 4}


def test_r2d2_learns_from_whole_sequences_of_its_own_recipe(update_costs: ModuleType) -> None:
    name = "r2d2, 4 sequences of 80"
    assert update_costs.MEMBERS[name].transitions == 4 * 80
    update, (batch,) = update_costs.prepared(
        update_costs.MEMBERS[name]._replace(transitions=80), "float32", update_costs.real_batches(80, 1)
    )
    assert batch.recurrent_state.shape[0] == 1
    assert len(batch.burn_in_state) == 40
    assert len(batch.next_state) == 80 + 5
    priority = update(batch)
    assert torch.isfinite(priority).all()
