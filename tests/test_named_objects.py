"""Names of a person's own objects: what brings them back, and what does not."""

import functools
import sys
from typing import Any

import gymnasium
import pytest
from gymnasium.wrappers import FlattenObservation
from hypothesis import given
from hypothesis import strategies as st

from pixelq import named_objects
from pixelq.errors import UserError
from pixelq.named_objects import find, handed_over, name_of, named, session_only


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_objects, "_NAMED", set())
    monkeypatch.setattr(named_objects, "IMPORTED", [])


class Thing:
    def method(self) -> None: ...


def local() -> Any:
    def inside() -> None: ...

    return inside


def test_a_name_is_the_way_to_import_it_or_says_what_it_is() -> None:
    assert name_of(FlattenObservation) == "gymnasium.wrappers.transform_observation:FlattenObservation"
    assert not session_only(name_of(FlattenObservation))
    for thing, end in (
        (lambda: 3, "<lambda>"),
        (local(), "local.<locals>.inside"),
        (Thing().method, ":Thing.method (local)"),
        (Thing(), ":Thing object"),
        (functools.partial(FlattenObservation, 3, a="x:y"), ":FlattenObservation(3, a='x=y')"),
    ):
        assert name_of(thing).endswith(end)
        assert session_only(name_of(thing))


def test_what_has_no_importable_name_is_found_only_while_it_is_handed_over() -> None:
    handed: dict[str, Any] = {}
    first, second = (lambda: 1), (lambda: 2)
    names = [named(thing, handed) for thing in (first, second, first)]
    assert names[0] == names[2] != names[1]
    with handed_over(handed):
        assert [find(name, "game", "x({})") for name in names] == [first, second, first]
    with pytest.raises(UserError, match=r"hand it over again, in Python: x\(\.\.\.\)"):
        find(names[0], "game", "x({})")


def test_handing_over_ends_even_if_what_is_inside_fails_and_may_be_nested() -> None:
    with pytest.raises(ZeroDivisionError), handed_over({"a:<b>": 1}), handed_over({"a:<b>": 2, "a:<c>": 3}):
        _ = 1 / 0
    with handed_over({"a:<b>": 1}):
        with handed_over({"a:<b>": 2}):
            assert find("a:<b>", "game", "") == 2
        assert find("a:<b>", "game", "") == 1
    with pytest.raises(UserError):
        find("a:<b>", "game", "")


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_name_of_a_file_finds_anything_but_gymnasiums_wrappers(module: str, path: str) -> None:
    for name in (f"{module}:{path}", f"os:{path}", f"gymnasium:{path}", f"{module}:system", "os:system", path):
        with pytest.raises(UserError) as caught:
            find(name, "game", "x({})")
        assert str(caught.value)


def test_a_file_names_gymnasiums_wrappers_and_nothing_that_their_modules_have_imported() -> None:
    wrappers = [w for w in vars(gymnasium.wrappers).values() if isinstance(w, type)]
    assert len(wrappers) > 20
    for wrapper in wrappers:
        assert find(f"gymnasium.wrappers:{wrapper.__name__}", "wrapper", "{}") is wrapper
        assert find(name_of(wrapper), "wrapper", "{}") is wrapper
    for module in ("gymnasium.wrappers.rendering", "gymnasium.wrappers.common", "gymnasium.wrappers"):
        for name, thing in vars(sys.modules[module]).items():
            if not (isinstance(thing, type) and thing.__module__.startswith("gymnasium.wrappers.")):
                with pytest.raises(UserError):
                    find(f"{module}:{name}", "game", "{}")
    for name in ("rendering:os.system", "rendering:os.abort", "rendering:gym.make", "rendering:RecordVideo.close"):
        with pytest.raises(UserError, match="it is no wrapper of Gymnasium"):
            find(f"gymnasium.wrappers.{name}", "game", "{}")


def test_a_module_that_was_named_gives_its_own_objects_and_not_those_that_it_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(named_objects, "IMPORTED", [__name__])
    monkeypatch.setitem(__import__("sys").modules, __name__, __import__("types").SimpleNamespace(**globals()))
    assert find(f"{__name__}:Thing", "torso", "{}") is Thing
    with pytest.raises(UserError, match="name it as functools:partial, with --import functools"):
        find(f"{__name__}:functools.partial", "torso", "{}")
    with pytest.raises(UserError, match="has no Nothing"):
        find(f"{__name__}:Nothing", "torso", "{}")
