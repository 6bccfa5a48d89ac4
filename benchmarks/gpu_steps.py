"""The steps of gpu_check.py: each is a list of cases, and runs in a process of its own.

    python benchmarks/gpu_steps.py throughput --device cuda --file throughput.json --seconds 90

What a case found is written to the file at once. A case that fails is written down with its traceback and ends the
process with status 3, because it may leave a CUDA device in disorder; called again, a step goes on after the cases that
the file holds. `--device cpu` makes everything tiny, to try the steps where there is no GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import gc
import itertools
import json
import os
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from gymnasium.spaces import Box

import pong_clock
from gpu_basics import (
    ACTIONS,
    FULL,
    LR,
    TINY,
    Case,
    OnlyGpu,
    Result,
    Setting,
    environment,
    tests,
    update,
)
from pixelq.config import Config
from pixelq.envs import make_envs
from pixelq.errors import UserError
from pixelq.learner.graphed_update import WARM_UP
from pixelq.learner.learner import Learner
from pixelq.losses import bound_loss
from pixelq.machine.device import prepare_cuda
from pixelq.networks import build_network
from pixelq.networks.observations import likely_observations
from pixelq.policy import EpsilonGreedy
from pixelq.profiling.rates import calls_per_second
from pixelq.profiling.recorded_play import RecordedPlay
from pixelq.profiling.timed_run import TimedRun
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.replay import Batch, Replay
from pixelq.variants import KINDS
from throughput import split

FAILED = 3
"""Exit status after a case that failed."""
ARITHMETICS = ("bf16", "tf32", "float32")
"""Of the torso; tf32 is what pixelq's float32 means on a GPU, for convolutions."""
PLACES = ("on the card", "in memory")
"""Where a replay's frames lie."""
BAR = 18.0
"""Of Pong: the mean of the test games that stops the clock."""


# --- rates of whole loops ---------------------------------------------------------------------------------------------


class Runs:
    """Timed runs that share their emulators, because 128 of those take some ten seconds to start.

    Args:
        setting: device, game and sizes.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._folder = tempfile.TemporaryDirectory()
        self._runs: dict[tuple[str, int], TimedRun] = {}
        self._replays: dict[int, dict[str, Replay]] = {}
        self._envs: dict[tuple[int, bool], Any] = {}

    def run(self, recipe: str, num_envs: int) -> TimedRun:
        """A run of a recipe; its replay, if it has one, is empty and in main memory."""
        if (recipe, num_envs) not in self._runs:
            config = configure(self._setting.game, recipe, self._fields(recipe) | {"num_envs": num_envs})
            # No room for raw frames: where they are to lie, `replay` puts them on the card.
            with (
                mock.patch("pixelq.runs.parts.make_envs", self._shared),
                mock.patch("pixelq.replay.base_replay.has_room", return_value=False),
            ):
                self._runs[recipe, num_envs] = TimedRun(config, Path(self._folder.name) / f"{recipe}-{num_envs}")
        return self._runs[recipe, num_envs]

    def replay(self, run: TimedRun, place: str) -> Replay:
        """A replay filled with random play, with raw frames on the card, or compressed ones in memory (`place`)."""
        n = run.config.num_envs
        if n not in self._replays:
            assert run.parts.replay is not None
            play = RecordedPlay(run, self._setting.sizes.played, np.random.default_rng(0))
            play.fill(run.parts.replay, self._setting.sizes.played)
            self._replays[n] = {PLACES[1]: run.parts.replay}
        held = self._replays[n]
        if place not in held:
            like = held[PLACES[1]]
            held[place] = Replay(like.capacity, n, like.frame_shape, like.stack, like.n_step, like.gamma)
            held[place].load_state_dict(like.state_dict())
            if not held[place].keep_raw_frames_on(self._setting.device):
                raise RuntimeError("the card has no room for the replay's frames")
        return held[place]

    def _fields(self, recipe: str) -> Result:
        sizes, common = (
            self._setting.sizes,
            {"device": self._setting.device.type, "threads": self._setting.sizes.threads},
        )
        if recipe != "cleanrl":
            return common | dict(sizes.rollout)
        capacity, start = sizes.replay
        return common | {"replay_capacity": capacity, "replay_start": start, "batch_size": sizes.batch_size}

    def _shared(self, config: Config, **options: Any) -> Any:
        key = (options["num_envs"], config.fire_on_life_loss)
        if key not in self._envs:
            self._envs[key] = make_envs(config, **options)
        return self._envs[key]


def throughput(setting: Setting) -> dict[str, Case]:
    """The work of `cleanrl`; what departs from the best way in one thing first, then all ways, as far as time goes."""
    runs, most = Runs(setting), setting.sizes.envs[0]
    best = Way("bf16", graphed=True, place=PLACES[0], loop="overlapped")
    ways = [(most, best), (most, dataclasses.replace(best, loop="replay"))]
    ways += [(most, dataclasses.replace(best, arithmetic=other)) for other in ARITHMETICS[1:]]
    ways += [(most, dataclasses.replace(best, place=PLACES[1])), (most, dataclasses.replace(best, graphed=False))]
    ways += [(n, best) for n in setting.sizes.envs[1:]]
    every = itertools.product(setting.sizes.envs, ARITHMETICS, (True, False), PLACES, ("overlapped", "replay"))
    ways += [(n, Way(*way)) for n, *way in every]
    cases: dict[str, Case] = {}
    for n, way in dict.fromkeys(ways):
        cases.setdefault(f"emulator alone, {n}", functools.partial(emulator, setting, runs, "cleanrl", n))
        cases[way.in_words(n)] = functools.partial(cleanrl, setting, runs, n, way)
    return cases


@dataclasses.dataclass(frozen=True)
class Way:
    """How the work of `cleanrl` is done."""

    arithmetic: str
    graphed: bool
    place: str
    loop: str

    def in_words(self, n: int) -> str:
        """The name of its case with n environments."""
        graph = "graph" if self.graphed else "no graph"
        return f"{self.arithmetic}, {n} environments, {graph}, frames {self.place}, loop {self.loop}"


def emulator(setting: Setting, runs: Runs, recipe: str, n: int) -> Result:
    """Agent steps a second without a network: no loop can be faster that does one thing after the other."""
    begun = time.monotonic()
    envs, generator = runs.run(recipe, n).parts.envs, np.random.default_rng(0)
    started = time.monotonic() - begun
    envs.reset()
    actions = envs.single_action_space.n
    rate = calls_per_second(lambda: envs.step(generator.integers(0, actions, n)), setting.sizes.seconds / 2)
    return {"emulator_steps_per_second": n * rate, "seconds_to_start": started}


def cleanrl(setting: Setting, runs: Runs, n: int, way: Way) -> Result:
    if not setting.on_gpu and way.arithmetic == "tf32":
        raise OnlyGpu("only a GPU has TF32")
    if not setting.on_gpu and way.graphed:
        raise OnlyGpu("a CPU has no CUDA graph")
    run = runs.run("cleanrl", n)
    run.parts.replay = runs.replay(run, way.place)
    precision = "bf16" if way.arithmetic == "bf16" else "float32"
    learn_with(run, dataclasses.replace(run.config, precision=precision, deterministic=not way.graphed))
    run.train_by(way.loop)
    prepare_cuda(deterministic=way.arithmetic == "float32")
    return timed(setting, run, with_parts=n == setting.sizes.envs[0] and way.graphed and way.place == PLACES[0])


def learn_with(run: TimedRun, config: Config) -> None:
    """Give a run a new network and learner; a config that is deterministic has no graph, and nothing else is set."""
    envs, device = run.parts.envs, run.parts.device
    network = build_network(
        config, envs.single_observation_space, int(envs.single_action_space.n), torch.Generator().manual_seed(1)
    ).to(device)
    one = run.parts.learner = Learner(network, config, device)
    run.parts.policy = EpsilonGreedy(network, device, np.random.default_rng(0), changes=lambda: one.changes)
    gc.collect()  # the learner before, now: its graph should not be freed while another is captured


def timed(setting: Setting, run: TimedRun, with_parts: bool) -> Result:
    """Rate of a run's loop, and perhaps the microseconds of its parts for an agent step, with a stopwatch."""
    run.train_for(setting.sizes.seconds / 3)
    done = run.train_for(setting.sizes.seconds)
    found: Result = {
        "agent_steps_per_second": done.agent_steps_per_second,
        "updates_per_second": done.updates / done.seconds,
    }
    return found | ({"parts_us_per_agent_step": split(run, setting.sizes.seconds / 2)} if with_parts else {})


def pqn(setting: Setting) -> dict[str, Case]:
    """The parallel loop, as the recipes have it."""
    runs = Runs(setting)
    cases: dict[str, Case] = {}
    for recipe, n in setting.sizes.parallel:
        cases.setdefault(f"emulator alone, {n}", functools.partial(emulator, setting, runs, recipe, n))
        cases[f"{recipe}, {n} environments"] = functools.partial(parallel, setting, runs, recipe, n)
    return cases


def parallel(setting: Setting, runs: Runs, recipe: str, n: int) -> Result:
    return timed(setting, runs.run(recipe, n), with_parts=True)


# --- updates of every variant -----------------------------------------------------------------------------------------


def variants(setting: Setting) -> dict[str, Case]:
    """Updates a second of every torso, linear layer, and loss with a head, as far as recipes take them."""
    bf16 = {"precision": "bf16"}
    cases: dict[str, Case] = {
        f"cleanrl in {arithmetic}": functools.partial(
            rate, setting, {"precision": "bf16" if arithmetic == "bf16" else "float32"}, arithmetic
        )
        for arithmetic in ARITHMETICS
    }
    cases["cleanrl in bf16, no graph"] = functools.partial(rate, setting, bf16 | {"deterministic": True})
    cases["cleanrl in bf16, cuDNN's benchmark"] = functools.partial(rate, setting, bf16, benchmark=True)
    pairs = itertools.product(KINDS["loss"].names(), KINDS["head"].names())
    wanted = [{"loss": loss, "head": head} for loss, head in pairs]
    wanted += [{kind: name} for kind in ("torso", "linear") for name in KINDS[kind].names()]
    for fields in wanted:
        if accepted(setting.game, fields | bf16) is not None:
            cases[", ".join(f"{kind} {name}" for kind, name in fields.items())] = functools.partial(
                rate, setting, fields | bf16
            )
    return cases


def accepted(game: str, fields: Result) -> Config | None:
    """The first recipe that takes these fields, of a loop with a replay and of one without; None: neither does."""
    for recipe in ("cleanrl", "pqn"):
        with contextlib.suppress(UserError):
            config = configure(game, recipe, fields)
            validate(config)
            return config
    return None


def rate(setting: Setting, fields: Result, arithmetic: str = "bf16", benchmark: bool = False) -> Result:
    config = accepted(setting.game, fields)
    assert config is not None
    return updates(setting, config, arithmetic, benchmark)


def updates(setting: Setting, config: Config, arithmetic: str, benchmark: bool = False) -> Result:
    """Updates a second of a configuration's learner, on random states."""
    if not setting.on_gpu and (arithmetic == "tf32" or benchmark):
        raise OnlyGpu("only a GPU has TF32 and cuDNN")
    prepare_cuda(deterministic=arithmetic == "float32")
    if not setting.on_gpu:
        config = dataclasses.replace(config, batch_size=setting.sizes.batch_size)
    space, generator = likely_observations(config), torch.Generator().manual_seed(1)
    one = Learner(build_network(config, space, ACTIONS, generator).to(setting.device), config, setting.device)
    batch = random_batch(config, space).to(setting.device)
    torch.backends.cudnn.benchmark = benchmark
    try:
        for _ in range(WARM_UP + 2):
            one.update(batch, LR)
        per_second = calls_per_second(lambda: one.update(batch, LR), setting.sizes.seconds / 6, setting.device)
    finally:
        torch.backends.cudnn.benchmark = False
    one.check_finite()
    return {"updates_per_second": per_second, "batch_size": config.batch_size, "recipe": config.recipe}


def random_batch(config: Config, space: Box) -> Batch:
    """Transitions of random observations, a tenth of them terminal, in the form that the recipe's loop gives them."""
    g, size = torch.Generator().manual_seed(0), config.batch_size
    shape = (2, size, *space.shape)
    is_image = space.dtype == np.uint8
    seen = torch.randint(0, 256, shape, dtype=torch.uint8, generator=g) if is_image else torch.rand(shape, generator=g)
    action = torch.randint(0, ACTIONS, (size,), generator=g)
    reward = torch.randint(-1, 2, (size,), generator=g).float()
    if bound_loss(config).returns is not None:  # a rollout's returns: nothing is left to bootstrap from
        return Batch.unweighted(seen[0], action, reward, torch.zeros(size), seen[0])
    discount = 0.99 * (torch.rand(size, generator=g) > 0.1).float()
    return Batch.unweighted(seen[0], action, reward, discount, seen[1])


# --- kernels ----------------------------------------------------------------------------------------------------------


def kernels(setting: Setting) -> dict[str, Case]:
    """What an update's time on the card goes into."""
    recipes = {"cleanrl": {"precision": "bf16"}, "pong": {}}
    return {
        f"an update of {recipe}": functools.partial(profiled, setting, recipe, fields)
        for recipe, fields in recipes.items()
    }


def profiled(setting: Setting, recipe: str, fields: Result) -> Result:
    """The kernels of an update, the longest first, in microseconds on the card."""
    if not setting.on_gpu:
        raise OnlyGpu("a CPU has no kernels")
    config = configure(setting.game, recipe, fields)
    space = likely_observations(config)
    one = Learner(build_network(config, space, ACTIONS, torch.Generator().manual_seed(1)).to(setting.device), config,
                  setting.device)  # fmt: skip
    batch = random_batch(config, space).to(setting.device)
    for _ in range(WARM_UP + 2):
        one.update(batch, LR)
    torch.cuda.synchronize()
    times = 20
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as recorded:
        for _ in range(times):
            one.update(batch, LR)
        torch.cuda.synchronize()
    found = sorted(recorded.key_averages(), key=lambda kernel: -kernel.device_time_total)
    rows = [f"{k.device_time_total / times:7.1f} us  {k.count / times:5.1f} times  {k.key[:110]}" for k in found]
    print("\n".join(rows), flush=True)
    return {
        "us": sum(k.device_time_total for k in found) / times,
        "kernels": sum(k.count for k in found) / times,
        "longest": rows[:40],
    }


# --- BTR --------------------------------------------------------------------------------------------------------------


def btr(setting: Setting) -> dict[str, Case]:
    """BTR's updates alone, with a graph and without, and its whole loop: is it the desktop's algorithm here, too?"""
    loop = BtrLoop(setting)
    return {
        "updates in bf16": functools.partial(btr_updates, setting, "bf16"),
        "updates in tf32": functools.partial(btr_updates, setting, "tf32"),
        "loop in bf16": functools.partial(loop.timed, "bf16"),
        "loop in tf32": functools.partial(loop.timed, "tf32"),
        "emulator alone": loop.emulator,
        "updates in bf16, no graph": functools.partial(btr_updates, setting, "bf16", deterministic=True),
    }


def btr_config(setting: Setting, arithmetic: str, **fields: Any) -> Config:
    """The recipe in an arithmetic of the torso, with a replay that is soon filled."""
    n, batch_size = setting.sizes.btr
    capacity, start = setting.sizes.replay
    return configure(
        setting.game, "btr",
        {
            "precision": "bf16" if arithmetic == "bf16" else "float32", "num_envs": n, "train_every": n,
            "batch_size": batch_size, "replay_capacity": capacity, "replay_start": start,
            "device": setting.device.type, "threads": setting.sizes.threads, **fields,
        },
    )  # fmt: skip


def btr_updates(setting: Setting, arithmetic: str, **fields: Any) -> Result:
    return updates(setting, btr_config(setting, arithmetic, **fields), arithmetic)


class BtrLoop:
    """One run of BTR whose learner is made anew for each case; its emulators take some seconds to start.

    Args:
        setting: device, game and sizes.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._folder = tempfile.TemporaryDirectory()

    @functools.cached_property
    def _run(self) -> TimedRun:
        run = TimedRun(btr_config(self._setting, "bf16"), Path(self._folder.name) / "btr")
        assert run.parts.replay is not None
        play = RecordedPlay(run, self._setting.sizes.played, np.random.default_rng(0))
        play.fill(run.parts.replay, self._setting.sizes.played)
        return run

    def timed(self, arithmetic: str) -> Result:
        """Agent steps and updates a second of the whole loop, and where their time goes."""
        if not self._setting.on_gpu and arithmetic == "tf32":
            raise OnlyGpu("only a GPU has TF32")
        run = self._run
        learn_with(run, dataclasses.replace(run.config, precision="bf16" if arithmetic == "bf16" else "float32"))
        prepare_cuda(deterministic=False)
        return timed(self._setting, run, with_parts=arithmetic == "bf16")

    def emulator(self) -> Result:
        """Agent steps a second without a network."""
        envs, generator = self._run.parts.envs, np.random.default_rng(0)
        envs.reset()
        n, actions = envs.num_envs, envs.single_action_space.n
        rate = calls_per_second(lambda: envs.step(generator.integers(0, actions, n)), self._setting.sizes.seconds / 2)
        return {"emulator_steps_per_second": n * rate}


# --- Pong -------------------------------------------------------------------------------------------------------------


def pong(setting: Setting) -> dict[str, Case]:
    """One seed of the recipe pong with many environments, against the clock."""
    return {"recipe pong, many environments": lambda: clock(setting)}


def clock(setting: Setting) -> Result:
    options = f"--device {setting.device.type} {setting.sizes.pong}"
    args = SimpleNamespace(eval_every=setting.sizes.eval_every, games=setting.sizes.games, options=options)
    # Packages may lie in a folder of their own, which pong_clock does not know of.
    pong_clock.ENVIRONMENT["PYTHONPATH"] = os.environ.get("PYTHONPATH", pong_clock.ENVIRONMENT["PYTHONPATH"])
    limit = max(5.0, setting.deadline - time.monotonic() - 5.0)
    with tempfile.TemporaryDirectory() as folder:
        race = pong_clock.race("pong", "pong", 1, Path(folder), args, limit, BAR)  # type: ignore[arg-type]
        print((Path(folder) / "pong.log").read_text())
        tested = Path(folder) / "pong" / "evaluations.csv"
        evaluations = tested.read_text().splitlines() if tested.is_file() else []
    return {
        "minutes": race.seconds / 60,
        "reached": race.passed,
        "agent_steps": race.agent_steps,
        "mean": race.mean,
        "games": setting.sizes.games,
        "bar": BAR,
        "options": options,
        "evaluations": evaluations,
    }


# --- running a step ---------------------------------------------------------------------------------------------------

STEPS: dict[str, Callable[[Setting], dict[str, Case]]] = {
    step.__name__: step for step in (environment, update, tests, throughput, pqn, kernels, variants, btr, pong)
}


def work(cases: dict[str, Case], file: Path, deadline: float) -> int:
    """Run the cases that the file does not hold, until one fails or the time is over; returns the exit status."""
    held: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}

    def write(name: str, found: Result) -> None:
        held[name] = found
        new = file.with_suffix(".new")
        new.write_text(json.dumps(held, indent=1))
        new.replace(file)

    for name, case in cases.items():
        if name in held:
            continue
        if time.monotonic() >= deadline:
            write(name, {"skipped": "the step's time was over"})
            continue
        begun = time.monotonic()
        write(name, {"error": "the process ended, or was stopped, in this case"})  # unless it comes to another end
        print(f"--- {name}", flush=True)
        try:
            found: Result = {"result": case()}
        except OnlyGpu as reason:
            found = {"skipped": str(reason)}
        except (Exception, SystemExit):
            found = {"error": traceback.format_exc()}
            print(found["error"], file=sys.stderr, flush=True)
        write(name, found | {"seconds": round(time.monotonic() - begun, 2)})
        gc.collect()
        if "error" in found:
            return FAILED
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description="One step of gpu_check.py.")
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--file", type=Path, required=True, help="where the step's cases are written")
    parser.add_argument("--seconds", type=float, default=600.0, help="no case begins after so many")
    parser.add_argument("--game", default="breakout", help="of all steps but pong")
    args = parser.parse_args()
    deadline = time.monotonic() + args.seconds
    if args.device == "cpu":
        torch.set_num_threads(1)
    print(f"=== {args.step}: {shlex.join(sys.argv)}", flush=True)
    sizes = FULL if args.device == "cuda" else TINY
    setting = Setting(torch.device(args.device), args.game, sizes, deadline)
    sys.exit(work(STEPS[args.step](setting), args.file, deadline))


if __name__ == "__main__":
    main()
