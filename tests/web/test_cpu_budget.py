"""Pictures take at most their share of the processor, however dear each one is."""

from hypothesis import given
from hypothesis import strategies as st

from pixelq.web.cpu_budget import BURST, CpuBudget


@given(st.floats(0.01, 2), st.lists(st.floats(0.0001, 0.5), min_size=5, max_size=80))
def test_over_any_time_no_more_than_the_share_and_one_piece_is_spent(share: float, pieces: list[float]) -> None:
    now = 0.0
    budget = CpuBudget(share, lambda: now)
    spent = 0.0
    for piece in pieces:
        now += budget.wait()
        assert budget.wait() <= 1e-9
        spent += piece
        now += piece
        budget.spend(piece)
        assert spent <= share * (now + BURST) + piece + 1e-9


def test_a_piece_is_paid_for_by_waiting() -> None:
    now = 0.0
    budget = CpuBudget(0.1, lambda: now)
    assert budget.wait() == 0
    now = 10.0
    budget.spend(1.0)
    assert budget.wait() == 10.0 - BURST
    budget.share = 1.0
    budget.spend(1.0)
    assert budget.wait() == 11.0 - BURST
