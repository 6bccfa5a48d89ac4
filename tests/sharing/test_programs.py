"""Policies as ONNX, torch.export and TorchScript, held to the policies themselves, for every torso and head."""

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from pixelq.checkpoints.policy_file import save_policy
from pixelq.cli import main
from pixelq.config import Config
from pixelq.errors import UserError
from pixelq.image_and_numbers import ImageAndNumbers
from pixelq.policy import Agent
from pixelq.recipes.choice import configure
from pixelq.recipes.values import overridden
from pixelq.sharing.onnx_program import write_onnx
from pixelq.sharing.program import Program, batches, compared, played_states
from pixelq.sharing.torch_program import KINDS, Written, answers_anew, write_program
from pixelq.variants import KINDS as VARIANTS
from small_networks import images, network, states, vectors

CASES: dict[str, tuple[str, Box, dict[str, Any]]] = {
    "2013, bfloat16, categorical, dueling, noisy": (
        "2013", images(4, 84, 84),
        {"precision": "bf16", "norm": "layer", "head": "categorical", "streams": "dueling", "linear": "noisy"},
    ),
    "2015": ("2015", images(4, 36, 36), {}),
    "impala of BTR, quantile": (
        "impala", images(4, 36, 36),
        {
            "head": "quantile", "head_options": {"quantiles": 9},
            "torso_options": {"spectral_norm": True, "pooled": 2, "channels": [4, 8], "hidden": [16]},
        },
    ),
    "vectors, implicit quantile, dueling": (
        "mlp", vectors(2, 6), {"head": "implicit_quantile", "streams": "dueling", "head_options": {"acting_taus": 8}},
    ),
    "colours, fraction proposal, normalised": (
        "minatar", images(1, 10, 10, 4),
        {
            "head": "fraction_proposal", "head_options": {"fractions": 8}, "normalise_observations": True,
            "norm": "weightless", "activation": "leaky_relu",
        },
    ),
    "plain, padded, noisy, linear": (
        "plain", images(2, 20, 20),
        {
            "padding": "same", "norm": "channel", "linear": "noisy",
            "torso_options": {"channels": [4], "kernels": [4], "strides": [2], "hidden": [8]},
        },
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A policy with weights from a seed, its program, and states of noise."""

    agent: Agent
    program: Program
    states: np.ndarray


def case(name: str) -> Case:
    torso, space, fields = CASES[name]
    made = network(torso, space, **fields)
    if made.normalisation is not None:
        made.observe(states(space, 40, seed=3).numpy())
    agent = Agent(made, overridden(Config(torso=torso), fields), torch.device("cpu"))
    return Case(agent, Program(agent), states(space, 12).numpy())


def expected(case: Case) -> np.ndarray:
    """The policy's own Q-values, in float32, by the network that acts."""
    network = case.agent.network
    made = type(network)(
        network.torso, network.hidden, network.head, observation_space=network.observation_space,
        num_actions=network.num_actions, precision="float32", normalisation=network.normalisation,
    )  # fmt: skip
    for module in made.modules():
        if hasattr(module, "_precision"):
            module._precision = "float32"
    with torch.inference_mode():
        return made.q_values(torch.from_numpy(case.states)).numpy()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[np.ndarray]]:
    """Of every case and both kinds of PyTorch's programs, loaded in one process that cannot import pixelq."""
    folder = tmp_path_factory.mktemp("programs")
    written: dict[tuple[str, str], Written] = {}
    for number, name in enumerate(CASES):
        made = case(name)
        for kind in KINDS:
            file = folder / f"{number}-{kind}.pt2"
            write_program(kind, file, made.program)
            written[name, kind] = Written(kind, file, batches(made.states))
    return dict(zip(written, answers_anew([*written.values()]), strict=True))


def test_the_cases_have_every_torso_head_and_linear_layer() -> None:
    for kind in ("torso", "head", "linear", "streams"):
        used = {case[0] if kind == "torso" else case[2].get(kind) for case in CASES.values()}
        usual = {"head": "linear", "linear": "plain", "streams": "plain"}.get(kind)
        assert set(VARIANTS[kind].names()) <= used | {usual}, kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_a_program_of_pytorch_answers_as_the_policy(
    name: str, kind: str, answers: dict[tuple[str, str], list[np.ndarray]]
) -> None:
    made = case(name)
    check = compared(kind, made.agent, made.program, answers[name, kind], made.states)
    assert (check.states, check.same_actions) == (12, 12)
    assert np.abs(answers[name, kind][0] - expected(made)).max() < 1e-5
    assert [len(answer) for answer in answers[name, kind]] == [12, 1, 3]


ELSEWHERE = ("2015", "vectors, implicit quantile, dueling", "plain, padded, noisy, linear")
"""An export takes seconds: these are of layers that others have too, or of the command's test below."""


@pytest.mark.parametrize("name", [name for name in CASES if name not in ELSEWHERE])
def test_an_onnx_program_answers_as_the_policy(name: str, tmp_path: Path) -> None:
    made = case(name)
    check = write_onnx(tmp_path / "x.onnx", made.agent, made.program, made.states, {"game": "pong"})
    assert (check.kind, check.states, check.same_actions) == ("ONNX", 12, 12)
    assert check.largest <= check.bound < 1e-3
    loaded = onnx.load(tmp_path / "x.onnx")  # one file, which says what goes in and out
    onnx.checker.check_model(loaded, full_check=True)
    assert json.loads({entry.key: entry.value for entry in loaded.metadata_props}["pixelq"]) == {"game": "pong"}
    (asked,), (told,) = loaded.graph.input, loaded.graph.output
    space = made.agent.observation_space
    shape = asked.type.tensor_type.shape.dim
    assert (asked.name, told.name, [d.dim_value for d in shape[1:]]) == ("observations", "q_values", [*space.shape])
    assert shape[0].dim_param, "the number of states is open"
    kind = onnx.TensorProto.UINT8 if space.dtype == np.uint8 else onnx.TensorProto.FLOAT
    assert (asked.type.tensor_type.elem_type, told.type.tensor_type.elem_type) == (kind, onnx.TensorProto.FLOAT)


def test_answers_that_differ_are_refused_with_the_difference() -> None:
    made = case("plain, padded, noisy, linear")
    right = [made.program(torch.from_numpy(asked)).numpy() for asked in batches(made.states)]
    wrong = [right[0], right[1] + np.float32(0.01), right[2]]
    with pytest.raises(UserError, match=r"cannot be exported as ONNX: .* differ from the policy's by up to 0.01"):
        compared("ONNX", made.agent, made.program, wrong, made.states)
    with pytest.raises(UserError, match=r"of 1 states the program gives float32 \(12, 4\)"):
        compared("ONNX", made.agent, made.program, [right[0], right[0], right[2]], made.states)
    with pytest.raises(UserError, match="differ"):
        compared("ONNX", made.agent, made.program, [right[0] * np.float32("nan"), *right[1:]], made.states)


class Stubborn(nn.Module):
    """A layer of a person's own that looks at its numbers, which no program can be made of."""

    def forward(self, x: Tensor, noise: torch.Generator | None = None) -> Tensor:
        return x if float(x.sum()) == 0.123 else x[:, torch.nonzero(x[0] > -1e9)[:, 0]] * float(x.abs().max())


def test_a_policy_that_cannot_be_exported_is_refused_with_the_reason(tmp_path: Path) -> None:
    made = case("plain, padded, noisy, linear")
    made.program.network.hidden.linears.append(Stubborn())
    made.program.network.hidden.norms = nn.ModuleList()
    with pytest.raises(UserError, match=r"^this policy cannot be exported as ONNX: \w+: .+"):
        write_onnx(tmp_path / "x.onnx", made.agent, made.program, made.states, {})
    with pytest.raises(UserError, match=r"^this policy cannot be exported as torch.export: \w+: .+"):
        write_program("torch.export", tmp_path / "x.pt2", made.program)
    assert os.listdir(tmp_path) == []


def test_an_image_with_numbers_is_exported_by_torch_export_and_refused_by_the_others(tmp_path: Path) -> None:
    space = ImageAndNumbers(2, (20, 20), 3)
    fields = CASES["plain, padded, noisy, linear"][2]
    agent = Agent(network("plain", space, **fields), overridden(Config(torso="plain"), fields), torch.device("cpu"))
    made, frames = Program(agent), np.random.default_rng(0)
    state = [space.joined(frames.integers(0, 256, (20, 20), np.uint8), frames.normal(size=3)) for _ in range(8)]
    asked = np.stack(state).reshape(4, *space.shape)
    write_program("torch.export", tmp_path / "x.pt2", made)
    answer = torch.export.load(tmp_path / "x.pt2").module()(torch.from_numpy(asked))
    assert np.abs(answer.detach().numpy() - agent.q_values(asked)).max() < 1e-5
    for refused in (
        lambda: write_onnx(tmp_path / "x.onnx", agent, made, asked, {}),
        lambda: write_program("TorchScript", tmp_path / "x.pt", made),
    ):
        with pytest.raises(UserError, match=r"an image and numbers in one array .*--torch-export can$"):
            refused()
    assert os.listdir(tmp_path) == ["x.pt2"]


def test_no_torchscript_where_python_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 14))
    with pytest.raises(UserError, match=r"PyTorch has no TorchScript for Python 3\.14"):
        write_program("TorchScript", tmp_path / "x.pt", case("plain, padded, noisy, linear").program)


@pytest.mark.skipif(os.name == "nt", reason="there is no program called false")
def test_a_program_that_does_not_run_in_another_process_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with pytest.raises(
        UserError, match=r"^this policy cannot be exported as TorchScript: loaded again, it failed \(it "
    ):
        answers_anew([Written("TorchScript", tmp_path / "x.pt2", [np.zeros((1, 2), np.float32)])])


def test_states_are_those_of_the_game_and_repeat_with_the_seed() -> None:
    config = configure("CartPole-v1", None, {"threads": 1})
    agent = Agent(network("mlp", vectors(1, 4), 2), config, torch.device("cpu"))
    first, again, other = (played_states(agent, seed, 40) for seed in (7, 7, 8))
    assert first.shape == (40, 1, 4)
    assert first.dtype == np.float32
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) > 30
    assert np.abs(first[:, 0, 0]).max() <= 4.8  # where a cart can be


def test_the_command_writes_programs_that_a_card_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def here(asked: list[Written]) -> list[list[np.ndarray]]:  # another process is tested above
        loaded = [(torch.jit.load(one.file), one.questions) for one in asked]
        return [[program(torch.from_numpy(x)).numpy() for x in questions] for program, questions in loaded]

    monkeypatch.setattr("pixelq.sharing.torch_program.answers_anew", here)
    monkeypatch.chdir(tmp_path)
    fields = CASES["vectors, implicit quantile, dueling"][2]
    config = configure("CartPole-v1", None, {"threads": 1, **fields, "loss": "iqn", "loop": "replay"})
    save_policy(Path("iqn"), network("mlp", vectors(1, 4), 2, norm=config.norm, **fields), config)
    words = ["--no-video", "--onnx", "--torchscript", "--threads", "1", "--output", "e", "--episodes", "1"]
    assert main(["export", "iqn", *words]) == 0
    told = capsys.readouterr().err
    for kind in ("ONNX", "TorchScript"):
        assert re.search(
            rf"^{kind}: largest difference .*, 256 of 256 actions equal, on states of the game$", told, re.M
        )
    card = Path("e/README.md").read_text()
    for name in ("policy.onnx", "policy.torchscript.pt"):
        assert Path("e", name).is_file()
        assert name in card
    code = card.split("```python\n")[2].split("```")[0]
    names: dict[str, Any] = {"observations": np.zeros((3, 1, 4), np.float32)}
    monkeypatch.chdir("e")
    exec(compile(code, "README.md", "exec"), names)
    assert names["q_values"].shape == (3, 2)
