"""The process that plays for the page: clicks do not pile up, and what they asked for comes in turn."""

import io
import json
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelq.web.messages import header_of, replace_older
from pixelq.web.player_process import Broadcast, Commands

clicks = st.tuples(st.sampled_from(["paused", "speed", "hold"]), st.integers(0, 9))


@given(st.lists(clicks, max_size=30))
def test_of_commands_that_wait_the_newest_of_each_name_is_left_in_its_turn(given_clicks: list[tuple[str, int]]) -> None:
    waiting: dict[str, Any] = {}
    for name, value in given_clicks:
        replace_older(waiting, {name: value})
    newest = {name: (i, value) for i, (name, value) in enumerate(given_clicks)}
    in_turn = sorted(newest.items(), key=lambda one: one[1])
    assert list(waiting.items()) == [(name, value) for name, (_, value) in in_turn]


def test_the_process_keeps_no_queue_of_what_it_has_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    read = threading.Event()

    def lines() -> Iterator[bytes]:
        for i in range(1000):
            yield json.dumps({"saliency": i}).encode() + b"\n"
            yield json.dumps({"hold": i}).encode() + b"\n"
        read.set()
        threading.Event().wait()  # a pipe that stays open; the thread ends with the tests

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=lines()))
    commands = Commands()
    assert read.wait(60)
    assert commands.within(0) == {"saliency": 999, "hold": 999}
    assert commands.within(0) == {}


class Done(Exception):  # noqa: N818 (it is no error)
    """Ends a broadcast."""


class Still:
    """A player whose maps are counted."""

    pace, held, which = 30.0, None, "newest"

    def __init__(self) -> None:
        self.maps: list[tuple[str, int]] = []
        """Kind and step of each."""
        self.steps = 0

    def introduction(self) -> dict[str, Any]:
        return {"kind": "introduction", "parts": []}

    def look_for_policy(self) -> bool:
        return False

    def decide(self) -> None:
        pass

    def act(self) -> None:
        self.steps += 1

    def moment(self) -> tuple[dict[str, Any], list[bytes]]:
        return {"kind": "moment", "parts": [], "step": self.steps}, []

    def saliency(self, kind: str) -> tuple[dict[str, Any], list[bytes]]:
        self.maps.append((kind, self.steps))
        return {"kind": "saliency", "parts": [], "step": self.steps}, []


class Script:
    """Commands of a test: batches one after the other, then none until enough has been seen."""

    def __init__(self, batches: list[dict[str, Any]], enough: Any) -> None:
        self._batches, self._enough = iter(batches), enough
        self._until = time.monotonic() + 60

    def within(self, seconds: float) -> dict[str, Any]:
        batch = next(self._batches, None)
        if batch is not None:
            return batch
        if self._enough():
            raise Done
        assert time.monotonic() < self._until
        time.sleep(min(seconds, 0.05))
        return {}


def broadcast(player: Still, batches: list[dict[str, Any]], enough: Any) -> list[dict[str, Any]]:
    """Headers of what was sent."""
    out = io.BytesIO()
    with pytest.raises(Done):
        Broadcast(player, Script(batches, enough), out, 0.5, 30.0).run()  # type: ignore[arg-type]
    sent, data = [], out.getvalue()
    while data:
        length = int.from_bytes(data[:4], "big")
        sent.append(header_of(data[4 : 4 + length]))
        data = data[4 + length :]
    return sent


def test_many_clicks_that_want_a_map_cost_few_and_the_last_one_is_obeyed() -> None:
    player = Still()
    kinds = ["gradient", "perturbation"] * 100
    batches: list[dict[str, Any]] = [{"paused": True}, *({"saliency": kind} for kind in (*kinds, "gradient"))]
    sent = broadcast(player, batches, lambda: player.maps[-1:] == [("gradient", 0)])
    assert len(player.maps) <= 20
    assert player.steps == 0
    last = [header for header in sent if header["kind"] == "moment"][-1]
    assert (last["paused"], last["saliency"]) == (True, "gradient")


def test_a_step_of_a_paused_game_is_shown_with_its_map() -> None:
    player = Still()
    enough = lambda: player.maps[-1:] == [("perturbation", 1)]  # noqa: E731
    sent = broadcast(player, [{"paused": True}, {"step": True}], enough)
    assert [header.get("step") for header in sent][-2:] == [1, 1]  # the state, and its map
    assert player.steps == 1


def test_somebody_new_is_shown_a_game_that_is_paused() -> None:
    player = Still()
    sent = broadcast(player, [{"paused": True, "saliency": "off"}, {"show": True}], lambda: True)
    assert [header["kind"] for header in sent].count("introduction") == 2
    assert sent[-1]["kind"] in ("introduction", "moment")
    assert player.maps == []
