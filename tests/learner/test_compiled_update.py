"""The compiled update held to the same update made kernel by kernel."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

import small_learners
from pixelq.errors import UserError
from pixelq.learner import compiled_update
from pixelq.learner.learner import Learner
from pixelq.policy import EpsilonGreedy
from pixelq.recipes.choice import configure
from pixelq.recipes.validation import validate
from pixelq.runs.run import Run
from small_learners import needs_compiler

pytestmark = pytest.mark.usefixtures("one_thread")
RATES = (1e-3, 1e-3, 1e-3, 5e-4, 2e-3, 1e-3, 1e-3)
UNEQUAL = 3
"""The update whose batch has another size."""


def learner(**fields) -> Learner:
    fields = {"torso": "2013", "target": "soft", "target_tau": 0.3, "optimizer_eps": 0.01} | fields
    return small_learners.learner(1, small_learners.screens(36), **fields)


def train(one: Learner, start: int = 0) -> None:
    for i, rate in enumerate(RATES, start=start):
        b = small_learners.batch(i, size=6 if i == UNEQUAL else 8, side=36)
        if one._config.loss == "lambda_returns":  # as the parallel loop hands them over
            b = dataclasses.replace(b, next_state=b.state)
        one.update(b, rate)


def weights(one: Learner) -> torch.Tensor:
    networks = (one.network, one.target_network, one.averaged_network)
    return torch.cat([p.detach().flatten() for network in networks for p in network.parameters()])


def way(one: Learner, other: Learner, since: torch.Tensor) -> float:
    """How far two learners are apart, as a share of the way they went since."""
    return float((weights(one) - weights(other)).norm() / (weights(other) - since).norm())


@pytest.fixture
def as_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the compiler is given is called as it is: compiling it takes ten seconds."""
    monkeypatch.setattr(torch, "compile", lambda program, **options: program)


RECORDED = [
    {"optimizer": "adam", "precision": "float32", "gradient_clip": "norm", "averaged_network_tau": 0.1},
    {"optimizer": "rmsprop", "precision": "bf16", "gradient_clip": "value", "loss": "double"},
]
REALLY_COMPILED = [
    {"optimizer": "radam", "precision": "float32", "loss": "lambda_returns", "target": "none", "norm": "layer"},
    {"optimizer": "adam", "precision": "bf16", "padding": "same", "norm": "channel"},
]
WAYS = [
    *(pytest.param("as_recorded", fields, id=f"recorded-{fields['optimizer']}") for fields in RECORDED),
    *(
        pytest.param(None, fields, marks=needs_compiler, id=f"compiled-{fields['optimizer']}")
        for fields in REALLY_COMPILED
    ),
]


@pytest.mark.parametrize(("way_of_compiling", "fields"), WAYS)
def test_compiled_updates_are_the_updates_made_kernel_by_kernel_before_and_after_a_state_is_loaded(
    way_of_compiling: str | None, fields: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    if way_of_compiling:
        request.getfixturevalue(way_of_compiling)
    plain, compiled = learner(**fields), learner(**fields, compile=True)
    bound = 1e-3 if fields["precision"] == "float32" else 0.05  # measured: 5e-6 and 1e-5
    start = weights(plain)
    train(plain)
    train(compiled)
    assert way(compiled, plain, start) < bound
    assert plain.take_means() == pytest.approx(compiled.take_means(), rel=1e-2)

    # Acting sees the newest weights, and not those of before the last compiled update.
    states = small_learners.batch(50, side=36).state.contiguous().numpy()
    now = small_learners.learner(9, small_learners.screens(36), torso="2013", **fields).network
    now.load_state_dict(compiled.network.state_dict())
    q, expected = (EpsilonGreedy(n, torch.device("cpu"), None).q_values(states) for n in (compiled.network, now))
    assert (q == expected).all()

    start, state = weights(plain), copy.deepcopy(plain.state_dict())
    compiled.load_state_dict(state)
    assert torch.equal(weights(compiled), start)
    train(plain, start=10)
    train(compiled, start=10)
    assert way(compiled, plain, start) < bound


@pytest.mark.usefixtures("as_recorded")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_recorded_updates_give_priorities_weigh_their_losses_and_see_weights_changed_in_place(precision):
    fields = {"target": "hard", "precision": precision}
    plain, compiled = learner(**fields), learner(**fields, compile=True)
    start = weights(plain)
    bound = 1e-3 if precision == "float32" else 0.05
    for i in range(8):
        b = small_learners.batch(i, size=8, side=36)
        b = dataclasses.replace(b, weight=torch.linspace(0, 1 + i % 3, 8))
        found, expected = (one.update(b, 1e-3) for one in (compiled, plain))
        torch.testing.assert_close(found, expected, rtol=bound, atol=bound)
        if i == 4:  # CleanRL's target copy, and one that no counter of versions tells
            for one in (plain, compiled):
                for target_param, param in zip(one.target_network.parameters(), one.network.parameters(), strict=True):
                    target_param.data.copy_(0.9 * param.data + (1.0 - 0.9) * target_param.data)
                with torch.no_grad(), torch.autograd._unsafe_preserve_version_counter(tuple(one.network.parameters())):
                    for param in one.network.parameters():
                        param.mul_(1.2)
    assert way(compiled, plain, start) < bound


@pytest.mark.usefixtures("as_recorded")
def test_a_hard_copy_reaches_the_recorded_updates():
    fields = {"target": "hard", "precision": "float32"}
    plain, compiled, stale = learner(**fields), learner(**fields, compile=True), learner(**fields)
    start = weights(plain)
    for one in (plain, compiled, stale):
        train(one)
        if one is not stale:
            one.copy_to_target()
        train(one, start=10)
    assert way(compiled, plain, start) < 1e-3
    assert way(stale, plain, start) > 1e-2  # without the copy it would show


def test_a_loss_that_asks_for_a_value_is_refused_in_one_line():
    one = learner(compile=True)
    small_learners.asks_for_a_value(one)
    one.update(small_learners.batch(0, size=8, side=36), 1e-3)
    with pytest.raises(UserError, match=r"cannot be compiled .*--no-compile"):
        one.update(small_learners.batch(1, size=8, side=36), 1e-3)


def update_until(last: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make updates; what computes the last one raises. The second is recorded, the third the program's first call.

    The program is not compiled, but called as it was recorded.
    """
    one, now = learner(compile=True), 0

    def failing(computes: Callable[..., Any]) -> Callable[..., Any]:
        def computed(*given: Any) -> Any:
            if now == last:
                raise error
            return computes(*given)

        return computed

    one._loss = one._loss._replace(function=failing(one._loss.function))
    monkeypatch.setattr(torch, "compile", lambda program, **options: failing(program))
    for now in range(1, last + 1):
        one.update(small_learners.batch(now, size=8, side=36), 1e-3)


@pytest.mark.parametrize("last", [2, 3])
def test_an_error_of_the_recording_or_of_the_first_call_is_an_update_that_cannot_be_compiled(last, monkeypatch):
    with pytest.raises(UserError, match=r"cannot be compiled \(no such kernel\); .*--no-compile [^\n]*$"):
        update_until(last, RuntimeError("no such kernel\nand more"), monkeypatch)


@pytest.mark.parametrize(("last", "error"), [(1, RuntimeError), (4, RuntimeError), (6, TypeError)])
def test_an_error_of_any_other_update_stays_what_it_is(last, error, monkeypatch):
    with pytest.raises(error, match=r"^no such kernel$"):
        update_until(last, error("no such kernel"), monkeypatch)


def test_another_number_of_threads_compiles_the_program_again_and_that_may_fail_too(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    one = learner(compile=True)
    broken = False

    def compiled(program: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        def called(*given: Any) -> Any:
            if broken:
                raise RuntimeError("no compiler")
            return program(*given)

        return called

    monkeypatch.setattr(torch, "compile", compiled)
    for i in range(4):
        one.update(small_learners.batch(i, size=8, side=36), 1e-3)
    broken = True
    with pytest.raises(RuntimeError, match=r"^no compiler$"):
        one.update(small_learners.batch(4, size=8, side=36), 1e-3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.raises(UserError, match=r"cannot be compiled \(no compiler\); .*--no-compile"):
        one.update(small_learners.batch(5, size=8, side=36), 1e-3)


NO_ROOM = "[enforce fail] DefaultCPUAllocator: can't allocate memory"


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (2, RuntimeError(NO_ROOM)),
        (3, RuntimeError(NO_ROOM)),
        (3, torch.OutOfMemoryError("much")),
        (4, RuntimeError(NO_ROOM)),
    ],
)
def test_a_lack_of_memory_is_never_told_as_an_update_that_cannot_be_compiled(last, error, monkeypatch):
    with pytest.raises(RuntimeError) as caught:
        update_until(last, error, monkeypatch)
    assert caught.value is error


def test_a_lack_of_memory_at_the_trial_of_a_loss_is_told_as_such(monkeypatch):
    error = RuntimeError(NO_ROOM)

    def recording(*given, **options):
        raise error

    monkeypatch.setattr(compiled_update, "make_fx", recording)
    with pytest.raises(RuntimeError) as caught:
        learner(compile=True)
    assert caught.value is error


def test_a_machine_without_a_compiler_is_told_so_before_anything_is_written(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"no-such-compiler.*--no-compile"):
        Run(configure("pong", "cleanrl", {"compile": True, "device": "cpu", "replay_capacity": 2000,
                                          "replay_start": 1000}))  # fmt: skip


@pytest.mark.parametrize("fields", [{"deterministic": True}, {"optimizer": "adamw"}, {"amsgrad": True}])
def test_what_cannot_be_compiled_is_refused_at_the_door(fields):
    with pytest.raises(UserError, match=r"compile = True .*--no-compile"):
        validate(configure("pong", "cleanrl", {"compile": True} | fields))
