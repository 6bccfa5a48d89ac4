"""What the page may ask of a player, and how a player's messages are packed."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelq.web.messages import POLICIES, SALIENCY, SPEEDS, checked_control, header_of, packed

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)
NAMES = st.sampled_from(["paused", "step", "speed", "saliency", "policy", "hold", "training", "show", "watch", "x"])


@given(ANYTHING | st.dictionaries(NAMES, ANYTHING, min_size=1, max_size=2))
def test_only_known_wishes_with_known_values_reach_a_player(message: object) -> None:
    control = checked_control(message)
    if control is None:
        return
    assert control == message
    ((name, value),) = control.items()
    allowed = {"paused": (True, False), "step": (True,), "speed": SPEEDS, "saliency": SALIENCY, "policy": POLICIES}
    if name == "hold":
        assert value is None or (type(value) is int and 0 <= value < 1024)
    else:
        assert value in allowed[name]


@pytest.mark.parametrize(
    "message",
    [
        *({"paused": True}, {"step": True}, {"speed": 0.25}, {"speed": 1}, {"saliency": "gradient"}),
        *({"policy": "best"}, {"hold": 3}, {"hold": None}),
    ],
)
def test_the_pages_own_wishes_are_taken(message: dict[str, object]) -> None:
    assert checked_control(message) == message


@pytest.mark.parametrize(
    "message", [{"training": False}, {"show": True}, {"speed": True}, {"speed": 1e9}, {"hold": 1.0}, {"hold": True}, {}]
)
def test_the_servers_own_commands_and_odd_values_are_refused(message: dict[str, object]) -> None:
    assert checked_control(message) is None


@given(st.dictionaries(st.text(), st.integers() | st.text(), max_size=4), st.lists(st.binary(max_size=40), max_size=3))
def test_a_message_holds_its_header_and_its_pictures(header: dict[str, object], blobs: list[bytes]) -> None:
    message = packed(header, blobs)
    found = header_of(message)
    sizes = found.pop("sizes")
    assert found == {name: value for name, value in header.items() if name != "sizes"}
    offset = 4 + struct.unpack(">I", message[:4])[0]
    for size, blob in zip(sizes, blobs, strict=True):
        assert message[offset : offset + size] == blob
        offset += size
    assert offset == len(message)
