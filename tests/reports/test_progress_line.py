"""A progress line fits every terminal, tells the most important first, and cuts no number."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.live import Live

from pixelq.reports import progress
from pixelq.reports.progress_line import GAP, LEAST_BAR, Standing, duration, fitted, fitted_note, short
from small_runs import small

PONG = Standing(241_664, 1_500_000, 0, 0, 505.0, 2651.2, -18.6, 0.01, 0.0481, -0.676)
NUMBERS = st.floats(-1e12, 1e12) | st.just(float("nan"))
STANDINGS = st.builds(
    Standing, st.integers(0, 10**9), st.integers(1, 10**9), st.integers(0, 10**6), st.integers(0, 10**6),
    st.floats(0, 1e7) | st.just(float("inf")), st.floats(0, 1e6), NUMBERS, st.floats(0, 1), NUMBERS, NUMBERS,
)  # fmt: skip


@given(STANDINGS, st.integers(20, 200))
def test_a_line_fits_and_every_part_is_whole_or_left_out_the_least_important_first(standing, columns):
    parts = standing.parts()
    bar, text = fitted(parts, columns)
    assert len(text) + (bar + GAP if bar and text else bar) <= columns
    assert bar == 0 or bar >= LEAST_BAR
    words = text.split(" " * GAP) if text else []
    shown = [part for part in parts if part.long in words or part.short in words]
    assert len(shown) == len(words)
    least = max((part.rank for part in shown), default=-1)
    assert all(part in shown for part in parts if part.rank < least)


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (40, "step 242k/1.5M  ETA 8:25  score -18.6"),
        (80, "step 242k/1.5M  ETA 8:25  score -18.6  eps 0.01  loss 0.048  Q -0.68"),
        (120, "agent step 241,664 of 1,500,000  ETA 0:08:25  2,651 steps/s  score -18.6  epsilon 0.010  loss 0.0481  "
              "Q -0.676"),
    ],
)  # fmt: skip
def test_score_loss_and_q_are_seen_at_40_80_and_120_columns(columns, line):
    bar, text = fitted(PONG.parts(), columns)
    assert text == line
    assert (bar >= LEAST_BAR) == (columns > 40)


@given(st.text("abc 0123456789,.", max_size=200), st.integers(20, 120))
def test_a_note_is_cut_between_two_words(text, columns):
    text = " ".join(text.split())
    bar, shown = fitted_note(text, columns)
    assert len(shown) + (bar + GAP if bar and shown else bar) <= columns
    whole = shown.removesuffix(" ...").removesuffix("...")
    assert shown == text or not whole or text.startswith(f"{whole} ")


@pytest.mark.parametrize(("columns", "bar"), [(40, False), (80, True), (120, True)])
def test_a_terminal_is_given_one_line_of_its_width(columns, bar):
    screen = io.StringIO()
    shown = progress.Progress(small(steps=1_500_000))
    shown._console = Console(file=screen, force_terminal=True, width=columns)
    shown._live = Live(shown._shown, console=shown._console, auto_refresh=False)
    shown.begin(0)
    shown.note("evaluation at 240,000 agent steps: 3 of 10 games")
    shown.show(
        {"agent_steps": 241_664, "episodes": 300, "agent_steps_per_second": 2651.2, "mean_score_100": -18.6,
         "epsilon": 0.01, "loss": 0.0481, "mean_q": -0.676}
    )  # fmt: skip
    shown.close()
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).replace("\r", "\n").split("\n")
    last = [line.strip() for line in lines if "score" in line][-1]
    assert max(map(len, lines)) <= columns
    assert "score -18.6" in last
    assert last.startswith("━") == bar
    assert ("loss 0.048" in last) == bar == ("Q -0.6" in last)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (812, "812"), (999.7, "1k"), (24_210, "24.2k"), (999_700, "1M"), (1_500_000, "1.5M"), (2e9, "2B"),
     (-18.62, "-18.6"), (0.0481, "0.048"), (1.2e-5, "1.2e-05"), (-0.676, "-0.68"), (1e30, "1.0e+30"),
     (float("nan"), "-"), (100, "100"), (250, "250")],
)  # fmt: skip
def test_a_short_number_has_three_digits_and_a_letter(value, text):
    assert short(value) == text


@given(st.floats(1e-3, 1e11), st.sampled_from([1, -1]))
def test_a_short_number_is_the_number_to_three_digits(value, sign):
    text = short(sign * value)
    read = float(text.rstrip("kMB")) * {"k": 1e3, "M": 1e6, "B": 1e9}.get(text[-1], 1)
    assert read == pytest.approx(sign * value, rel=0.0055, abs=0.0055 if 0.0995 < value < 1 else 5.5e-4)
    assert len(text) <= 6


@pytest.mark.parametrize(("seconds", "text"), [(505, "8:25"), (3600, "1:00:00"), (0.5, "0:00"), (float("inf"), "-")])
def test_a_short_duration_has_hours_only_if_there_are_some(seconds, text):
    assert duration(seconds, short=True) == text
