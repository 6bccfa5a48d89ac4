"""What a person's own code is told of a run while it trains, and how it stops it.

Callbacks are told between two turns of the loop, when the run is whole: what they raise costs nothing that was learned,
and what they draw from the process's random generators changes nothing of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pixelq.checkpoints.state_tree import split
from pixelq.config import Config
from pixelq.envs.global_random import kept_global_random
from pixelq.errors import RunError, UserError
from pixelq.runs.signals import Interrupted
from pixelq.typed_values import nearest

if TYPE_CHECKING:
    from pixelq.checkpoints.writer import CheckpointWriter
    from pixelq.policy import Agent
    from pixelq.reports.progress import Progress
    from pixelq.reports.tracking import Tracker
    from pixelq.runs.parts import Parts
    from pixelq.runs.run_folder import RunFolder

Row = dict[str, float | int]
"""A row of one of the run's CSV files: column -> number."""

EVENTS = ("on_start", "on_iteration", "on_episode", "on_log", "on_evaluation", "on_checkpoint", "on_end")

OF_ROWS = {"episodes.csv": "on_episode", "progress.csv": "on_log", "evaluations.csv": "on_evaluation"}
"""File of a row -> the event that it is."""


class Told(Protocol):
    """What is asked of a run here; a `pixelq.runs.run.Run`."""

    config: Config
    parts: Parts
    folder: RunFolder
    progress: Progress
    tracker: Tracker
    checkpoints: CheckpointWriter
    stop_requested: bool

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        ...


class StopTraining(Exception):  # noqa: N818 (it is no error)
    """Raised by a callback: stop as if the run were over. Its text is the reason."""


class CallbackFailedError(RunError):
    """A callback raised the exception that is the cause (`__cause__`) of this one."""


class Callback:
    """Told what happens in a run: a base class with methods to override, or an object made of functions.

    `Callback(on_evaluation=print)` is one of a function. Any object with some of these methods will do, and a function
    alone is an `on_iteration`. To return False, or to raise `StopTraining`, stops the run: it is written to its
    folder with a final policy, and `pixelq.resume` would go on with it.

    An object that has `state_dict()` and `load_state_dict(state)` is saved in the run's checkpoints: numbers, texts,
    arrays and tensors, in lists and in dictionaries by name.

    A KeyboardInterrupt that one raises ends the run as Ctrl-C does. `sys.exit()` in one ends the program, once the run
    is saved.
    """

    def __init__(self, **functions: Callable[..., Any]) -> None:
        for name, function in functions.items():
            if name not in EVENTS:
                raise UserError(f"callback: there is no {name!r}{nearest(name, EVENTS)}; there are {', '.join(EVENTS)}")
            setattr(self, name, function)

    def on_start(self, training: Training) -> bool | None:
        """Before the first agent step of this session, new or resumed."""

    def on_iteration(self, training: Training) -> bool | None:
        """After each turn of the loop: an agent step in every environment, or in PQN's loops a rollout."""

    def on_episode(self, training: Training, row: Row) -> bool | None:
        """After the turn in which a training game ended; `row` as in episodes.csv (`score`, `length`, ...)."""

    def on_log(self, training: Training, row: Row) -> bool | None:
        """After a row of progress.csv (`loss`, `mean_q`, `epsilon`, `agent_steps_per_second`, ...)."""

    def on_evaluation(self, training: Training, row: Row) -> bool | None:
        """After test games; `row` as in evaluations.csv (`mean`, `std`, `min`, `max`, `median`, `episodes`)."""

    def on_checkpoint(self, training: Training, folder: Path) -> bool | None:
        """Once a checkpoint stands whole on the disk; told at the end of a turn, after it was written."""

    def on_end(self, training: Training) -> None:
        """After the last checkpoint of this session, however it ended (`training.complete`), unless it failed."""


class Training:
    """A run while it trains, for callbacks to look at."""

    def __init__(self, run: Told) -> None:
        self._run = run

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self._run.folder.path

    @property
    def config(self) -> Config:
        """Of the run."""
        return self._run.config

    @property
    def agent_steps(self) -> int:
        """Played so far, over all environments and sessions."""
        return self._run.parts.counters.agent_steps

    @property
    def frames(self) -> int:
        """Emulator frames, or steps of the environment, so far."""
        return self.agent_steps * self.config.frame_skip

    @property
    def episodes(self) -> int:
        """Training games that have ended."""
        return self._run.parts.counters.episodes

    @property
    def updates(self) -> int:
        """Gradient steps so far."""
        return self._run.parts.counters.updates

    @property
    def mean_score(self) -> float:
        """Mean of the last 100 training games, in points; NaN before the first has ended."""
        return self._run.parts.scores.mean

    @property
    def best_score(self) -> float:
        """What the best policy so far scored in test games (without evaluations in training games); -inf before it."""
        return self._run.parts.evaluations.best_score

    @property
    def seconds(self) -> float:
        """Of training, over all sessions."""
        return self._run.parts.clock.seconds

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do; in `on_end`, whether the run came to its own end."""
        return self._run.complete

    def agent(self) -> Agent:
        """A copy of the policy as it is now, which stays as it is while training goes on."""
        from pixelq.networks import build_network
        from pixelq.policy import Agent

        parts = self._run.parts
        network = parts.learner.averaged_network
        copy = build_network(parts.config, network.observation_space, network.num_actions, None)
        copy.load_state_dict(network.state_dict())
        return Agent(copy.to(parts.device), parts.config, parts.device)

    def say(self, text: str) -> None:
        """Print a line among the run's own."""
        self._run.progress.say(str(text))

    def record(self, values: Mapping[str, float]) -> None:
        """Numbers of one's own for TensorBoard and Weights & Biases, at this agent step: name -> number."""
        self._run.tracker.show({name: float(value) for name, value in values.items()}, self.agent_steps)


class Callbacks:
    """The callbacks of a run.

    Args:
        given: callbacks or functions.

    Raises:
        UserError: one is none.
    """

    def __init__(self, given: Any) -> None:
        if not isinstance(given, list | tuple):
            raise UserError(f"callbacks = {given!r:.80} must be a list of callbacks")
        self._names: list[str] = []
        self._objects: list[Any] = []
        self._told: dict[str, list[tuple[str, Callable[..., Any]]]] = {event: [] for event in EVENTS}
        for number, callback in enumerate(given):
            methods = _methods(callback)
            kind = type(callback).__name__ if len(methods) != 1 or not _is_plain(callback) else callback.__qualname__
            name = kind if kind not in self._names else f"{kind} {number + 1}"
            self._names.append(name)
            self._objects.append(callback)
            for event, method in methods.items():
                self._told[event].append((name, method))
        self._rows: list[tuple[str, Row]] = []
        self._checkpoint: Path | None = None
        self.stopped_by = ""
        """Who stopped the run, and why; empty: nobody has."""
        self.interrupted = False
        """Whether one raised KeyboardInterrupt, which stops the run as Ctrl-C does."""
        self.leaving: BaseException | None = None
        """What one raised to leave the program (SystemExit), for whoever ends the run to raise once it is saved."""
        self.left_by = ""
        """Who raised it, and in which event."""

    def __bool__(self) -> bool:
        return bool(self._objects)

    def note(self, file: str, row: Mapping[str, float | int]) -> None:
        """Keep a row that the run writes until the end of this turn."""
        event = OF_ROWS.get(file, "")
        if self._told.get(event):
            self._rows.append((event, dict(row)))

    def start(self, run: Told) -> None:
        """Tell that a session begins.

        Raises:
            CallbackFailedError: one has failed.
        """
        self._checkpoint = run.checkpoints.store.newest
        self._tell(run, [("on_start", ())])

    def iteration(self, run: Told) -> None:
        """Tell what has happened in a turn of the loop, in this order: games, rows, checkpoints, the turn.

        Raises:
            CallbackFailedError: one has failed; all events of this turn count as told.
        """
        events = [*self._rows_written(), *self._checkpoint_written(run)]
        if self._told["on_iteration"]:
            events.append(("on_iteration", ()))
        if events:
            self._tell(run, events)

    def rows(self, run: Told) -> None:
        """Tell of rows that were written before the first turn.

        Raises:
            CallbackFailedError: one has failed; all these rows count as told.
        """
        self._tell(run, self._rows_written())

    def end(self, run: Told) -> None:
        """Tell of the last checkpoint, and that the session is over.

        Raises:
            CallbackFailedError: one has failed.
        """
        self._tell(run, [*self._checkpoint_written(run), ("on_end", ())])

    def state_dict(self) -> dict[str, Any]:
        """The states of those that have one, by name.

        Raises:
            CallbackFailedError: one could not say it, or not so that a file can hold it.
        """
        states = {}
        for name, callback in zip(self._names, self._objects, strict=True):
            if not callable(getattr(callback, "state_dict", None)):
                continue
            try:
                states[name] = callback.state_dict()
                split({name: states[name]})
            except Interrupted:
                raise
            except BaseException as error:  # also KeyboardInterrupt and SystemExit: the rest is saved all the same
                raise _failed(name, "state_dict", error) from error
        return states

    def load_state_dict(self, states: Any) -> str:
        """Hand saved states back.

        Returns:
            A line on the states that belong to nobody; empty if there are none.

        Raises:
            UserError: a callback does not take its state.
        """
        states = dict(states) if isinstance(states, Mapping) else {}
        for name, callback in zip(self._names, self._objects, strict=True):
            if name not in states or not callable(getattr(callback, "load_state_dict", None)):
                continue
            try:
                callback.load_state_dict(states.pop(name))
            except Exception as error:
                raise UserError(f"{_failed(name, 'load_state_dict', error)}") from error
        return f"callbacks that are not here, whose state is left out: {', '.join(states)}" if states else ""

    def _rows_written(self) -> list[tuple[str, tuple[Any, ...]]]:
        events: list[tuple[str, tuple[Any, ...]]] = [(event, (row,)) for event, row in self._rows]
        self._rows.clear()
        return events

    def _checkpoint_written(self, run: Told) -> list[tuple[str, tuple[Any, ...]]]:
        newest = run.checkpoints.store.newest
        if newest == self._checkpoint or newest is None:
            return []
        self._checkpoint = newest
        return [("on_checkpoint", (newest,))] if self._told["on_checkpoint"] else []

    def _tell(self, run: Told, events: list[tuple[str, tuple[Any, ...]]]) -> None:
        training = Training(run)
        generators = run.parts.global_generators.state_dict()
        try:
            with kept_global_random():
                for event, arguments in events:
                    for name, method in self._told[event]:
                        self._call(run, name, event, method, (training, *arguments))
        finally:
            run.parts.global_generators.load_state_dict(generators)

    def _call(self, run: Told, name: str, event: str, method: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            answer = method(*arguments)
        except StopTraining as stop:
            answer, reason = False, str(stop)
        except Exception as error:
            raise _failed(name, event, error) from error
        except Interrupted:
            raise
        except KeyboardInterrupt:
            self.interrupted = run.stop_requested = True
            return
        except BaseException as error:  # SystemExit, or what a framework ends its programs by
            if self.leaving is None:
                self.leaving, self.left_by = error, f"callback {name} ({event})"
            run.stop_requested = True
            return
        else:
            reason = ""
        if isinstance(answer, bool | np.bool_) and not answer and event != "on_end":
            self.stopped_by = self.stopped_by or f"callback {name} ({reason or event})"
            run.stop_requested = True


def _methods(callback: Any) -> dict[str, Callable[..., Any]]:
    """Event -> what is to be called.

    Raises:
        UserError: the callback has none, or one that no event has.
    """
    if inspect.isclass(callback):
        raise UserError(f"callback {callback.__qualname__} is a class; give an object of it, {callback.__qualname__}()")
    found = {name: getattr(callback, name) for name in dir(callback) if name.startswith("on_")}
    if unknown := [name for name in found if name not in EVENTS]:
        raise UserError(
            f"callback {type(callback).__name__}: there is no event {unknown[0]!r}{nearest(unknown[0], EVENTS)}; "
            f"there are {', '.join(EVENTS)}"
        )
    own = {name: method for name, method in found.items() if callable(method) and not _is_empty(callback, name)}
    if own:
        return own
    if callable(callback):
        return {"on_iteration": callback}
    if isinstance(callback, Callback):
        return {}
    raise UserError(f"callback {callback!r:.80} has none of {', '.join(EVENTS)}, and is no function")


def _is_empty(callback: Any, name: str) -> bool:
    """Whether the method is the one of `Callback`, which does nothing."""
    return name not in getattr(callback, "__dict__", {}) and getattr(type(callback), name, None) is vars(Callback)[name]


def _is_plain(callback: Any) -> bool:
    return hasattr(callback, "__qualname__")


def _failed(name: str, event: str, error: BaseException) -> CallbackFailedError:
    reason = str(error).strip().partition("\n")[0]
    return CallbackFailedError(f"callback {name} failed in {event} ({type(error).__name__}: {reason})")
