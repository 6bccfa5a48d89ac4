"""Policies on disk: what comes back, and what is refused."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from gymnasium.spaces import Box

import pixelq
from pixelq.checkpoints.policy_file import (
    FACTS,
    FILE,
    find_policy,
    load_agent,
    read_facts,
    read_weights,
    recorded_score,
    save_policy,
)
from pixelq.errors import UserError
from pixelq.networks import Network, build_network
from pixelq.networks.observations import likely_observations
from pixelq.recipes.reading import write_config
from pixelq.recipes.values import overridden
from small_runs import python, small

CONFIG = small("nips2013")
VECTORS = overridden(CONFIG, {"game": "CartPole-v1", "torso": "mlp", "frame_stack": 2})
ACTIONS = 4


def network(seed: int = 0) -> Network:
    return build_network(CONFIG, likely_observations(CONFIG), ACTIONS, torch.Generator().manual_seed(seed))


def vector_network(seed: int = 0) -> Network:
    space = Box(-np.inf, np.inf, (2, 5), np.float32)
    return build_network(VECTORS, space, ACTIONS, torch.Generator().manual_seed(seed))


def states() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 4, 36, 36), np.uint8)


def test_a_saved_policy_acts_as_the_network_did(tmp_path: Path) -> None:
    save_policy(tmp_path / "best", network(), CONFIG)
    agent = pixelq.load(tmp_path)
    with torch.inference_mode():
        expected = network()(torch.from_numpy(states())).numpy()
    assert np.array_equal(agent.q_values(states()), expected)
    assert agent.act(states()).tolist() == expected.argmax(1).tolist()
    assert agent.config == CONFIG


def test_a_policy_of_vectors_is_built_from_its_own_file(tmp_path: Path) -> None:
    save_policy(tmp_path, vector_network(), VECTORS)
    agent = load_agent(tmp_path)
    assert agent.observation_space == Box(-np.inf, np.inf, (2, 5), np.float32)
    x = np.random.default_rng(0).normal(size=(7, 2, 5)).astype(np.float32)
    with torch.inference_mode():
        expected = vector_network()(torch.from_numpy(x)).numpy()
    assert np.array_equal(agent.q_values(x), expected)
    assert agent.act(x).tolist() == expected.argmax(1).tolist()
    assert agent.act(x[3]).tolist() == [expected[3].argmax()]


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((3, 2, 5)),
        np.zeros((3, 2, 5), np.uint8),
        np.zeros((3, 2, 6), np.float32),
        np.zeros((3, 5), np.float32),
        np.zeros((3, 1, 5), np.float32),
        np.zeros((), np.float32),
    ],
)
def test_observations_that_the_policy_does_not_know_are_refused(tmp_path: Path, wrong: np.ndarray) -> None:
    save_policy(tmp_path, vector_network(), VECTORS)
    with pytest.raises(UserError, match=r"this policy was trained on float32 \(2, 5\)"):
        load_agent(tmp_path).act(wrong)


@pytest.mark.parametrize("given", [None, "x", [1], 3])
def test_observations_that_are_no_array_are_refused(tmp_path: Path, given: Any) -> None:
    save_policy(tmp_path, network(), CONFIG)
    with pytest.raises(UserError, match="this policy takes a NumPy array"):
        load_agent(tmp_path).act(given)


@pytest.mark.parametrize("epsilon", [-0.1, 3, float("nan"), "0.1", None])
def test_an_epsilon_that_is_no_probability_is_refused(tmp_path: Path, epsilon: Any) -> None:
    save_policy(tmp_path, network(), CONFIG)
    with pytest.raises(UserError, match=r"epsilon = .* must be a number between 0 and 1"):
        load_agent(tmp_path).act(states(), epsilon)


def test_a_policy_without_its_configuration_says_what_to_copy(tmp_path: Path) -> None:
    save_policy(tmp_path / "run" / "best", network(), CONFIG)
    moved = tmp_path / "elsewhere" / "far"
    moved.mkdir(parents=True)
    (tmp_path / "run/best/policy.safetensors").rename(moved / "mine.safetensors")
    with pytest.raises(UserError, match=r"mine.safetensors: a policy needs the config.toml of its run beside it"):
        load_agent(moved / "mine.safetensors")
    (moved / "words.txt").write_text("no policy")
    with pytest.raises(UserError, match=r"words.txt: cannot be read as safetensors"):
        load_agent(moved / "words.txt")


def test_the_same_policy_has_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    program = (
        f"import sys, torch\nsys.path.append({str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\nfrom test_policy_file import CONFIG, network, save_policy\n"
        "facts = {'score': 1.5, 'measured_by': 'games', 'agent_steps': 7, 'z': 'end'}\n"
        "save_policy(Path(sys.argv[1]), network(), CONFIG, facts)\n"
    )
    processes = [python("-c", program, str(tmp_path / name)) for name in ("a", "b")]
    assert [process.wait() for process in processes] == [0, 0]
    assert (tmp_path / "a" / FILE).read_bytes() == (tmp_path / "b" / FILE).read_bytes()
    assert read_facts(tmp_path / "a" / FILE)["measured_by"] == "games"


OLD_NAMES = {
    **{f"convolutions.{i}.{part}": f"torso.convolutions.{i}.{part}" for i in (0, 1) for part in ("weight", "bias")},
    **{f"hidden.0.{part}": f"hidden.linears.0.{part}" for part in ("weight", "bias")},
    **{f"output.{part}": f"head.output.{part}" for part in ("weight", "bias")},
}
"""Names of a 2013 network's weights in pixelq 0.1, and now."""


def old_weights() -> dict[str, torch.Tensor]:
    now = network().state_dict()
    assert set(OLD_NAMES.values()) == set(now)
    return {old: now[new].contiguous() for old, new in OLD_NAMES.items()}


def test_a_file_of_format_1_falls_back_to_the_configuration(tmp_path: Path) -> None:
    save_policy(tmp_path, network(), CONFIG)
    old = {"format": "pixelq policy 1", "game": "breakout", "num_actions": "4", "score": "2.5"}
    (tmp_path / FILE).write_bytes(safetensors.torch.save(old_weights(), old))
    agent = load_agent(tmp_path)
    assert agent.observation_space == Box(0, 255, (4, 36, 36), np.uint8)
    assert recorded_score(tmp_path) == 2.5
    with torch.inference_mode():
        assert np.array_equal(agent.q_values(states()), network()(torch.from_numpy(states())).numpy())


@pytest.mark.parametrize(
    "extra",
    [
        "convolutions.2.weight",
        "hidden.1.weight",
        "norms.0.weight",
        "output.scale",
        "x.y",
        "norms." + "9" * 5000 + ".bias",
    ],
)
def test_an_old_file_with_a_weight_too_many_is_refused(tmp_path: Path, extra: str) -> None:
    save_policy(tmp_path, network(), CONFIG)
    (tmp_path / FILE).write_bytes(safetensors.torch.save(old_weights() | {extra: torch.zeros(1)}, {"num_actions": "4"}))
    with pytest.raises(UserError, match=r"policy\.safetensors: weight .* is unknown; not this network"):
        load_agent(tmp_path)


def test_the_best_policy_of_a_run_is_taken_else_the_final_one(tmp_path: Path) -> None:
    write_config(CONFIG, tmp_path / "config.toml")
    with pytest.raises(UserError, match="has no policy yet; train longer"):
        find_policy(tmp_path)
    save_policy(tmp_path / "final", network(), CONFIG)
    assert find_policy(tmp_path) == tmp_path / "final" / FILE
    save_policy(tmp_path / "best", network(), CONFIG)
    assert find_policy(tmp_path) == tmp_path / "best" / FILE
    with pytest.raises(UserError, match="no such run or policy"):
        find_policy(tmp_path / "nothing")


def test_its_score_is_written_in_the_same_file(tmp_path: Path) -> None:
    assert recorded_score(tmp_path) is None
    save_policy(tmp_path, network(), CONFIG)
    assert recorded_score(tmp_path) is None
    save_policy(tmp_path, network(), CONFIG, {"score": -3.25})
    assert recorded_score(tmp_path) == -3.25
    save_policy(tmp_path, network(), CONFIG, {"score": float("nan")})
    assert recorded_score(tmp_path) is None
    (tmp_path / FILE).write_bytes(b"damaged")
    assert recorded_score(tmp_path) is None


def test_any_changed_byte_of_a_policy_is_found_or_leaves_its_weights_as_they_were(tmp_path: Path) -> None:
    save_policy(tmp_path, network(), CONFIG, {"score": 2.0})
    file, weights = tmp_path / FILE, read_weights(tmp_path / FILE)
    content, found = bytearray(file.read_bytes()), 0
    header = 8 + struct.unpack("<Q", content[:8])[0]
    for place in [*range(header), *range(header, len(content), len(content) // 50), len(content) - 1]:
        content[place] ^= 1
        file.write_bytes(content)
        try:
            read = read_weights(file)
        except UserError as error:
            found += str(file) in str(error) and recorded_score(tmp_path) is None
        else:  # in the names of the facts or of the digest: without them it is another program's file
            assert place < header
            assert all(torch.equal(read[name], weights[name]) for name in weights | read)
        content[place] ^= 1
    assert found > 0.9 * header
    file.write_bytes(content)
    assert recorded_score(tmp_path) == 2.0


def test_facts_that_are_nested_too_deeply_are_refused(tmp_path: Path) -> None:
    deep = '{"blake2b": "", "x": ' + "[" * 900 + "]" * 900 + "}"
    (tmp_path / FILE).write_bytes(safetensors.torch.save({"head.output.bias": torch.zeros(3)}, {"pixelq": deep}))
    with pytest.raises(UserError, match=FILE):
        read_weights(tmp_path / FILE)


def with_weight(name: str, value: torch.Tensor | None) -> bytes:
    weights = {k: v.contiguous() for k, v in network().state_dict().items()}
    weights.pop(name, None)
    return safetensors.torch.save(weights | ({name: value} if value is not None else {}))


def with_header(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


BAD: dict[str, bytes] = {
    "empty": b"",
    "short": b"\x08\0\0",
    "header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "header of a gigabyte": struct.pack("<Q", 2**30) + b"{}",
    "header larger than the file": struct.pack("<Q", 100) + b"{}",
    "header is not JSON": with_header(b"not json"),
    "header nested deeply": with_header(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "offsets beyond the file": with_header(b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'),
    "offsets overlap": with_header(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    ) + bytes(4),
    "shape overflows": with_header(b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
    "no tensors": with_header(b"{}"),
    "cut": with_weight("head.output.bias", torch.zeros(ACTIONS))[:-1],
    "too long": with_weight("head.output.bias", torch.zeros(ACTIONS)) + b"\0",
    "NaN": with_weight("hidden.linears.0.bias", torch.full((256,), torch.nan)),
    "infinite": with_weight("head.output.weight", torch.full((ACTIONS, 256), torch.inf)),
    "wrong shape": with_weight("hidden.linears.0.weight", torch.zeros(256, 7)),
    "no output": with_weight("head.output.bias", None),
    "output without actions": with_weight("head.output.bias", torch.zeros(0)),
    "output is a matrix": with_weight("head.output.bias", torch.zeros(4, 4)),
    "output is a number": with_weight("head.output.bias", torch.zeros(())),
    "output of a million actions": with_weight("head.output.bias", torch.zeros(10**6)),
    "missing weight": with_weight("hidden.linears.0.bias", None),
    "unknown weight": with_weight("surprise", torch.zeros(1)),
    "whole numbers": with_weight("hidden.linears.0.bias", torch.zeros(256, dtype=torch.int64)),
    "half precision": with_weight("hidden.linears.0.bias", torch.zeros(256, dtype=torch.float16)),
    "eight-bit floats": with_weight("hidden.linears.0.bias", torch.zeros(256).to(torch.float8_e4m3fn)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_not_a_policy_of_this_configuration_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    save_policy(tmp_path, network(), CONFIG)
    (tmp_path / FILE).write_bytes(BAD[kind])
    with pytest.raises(UserError) as refused:
        load_agent(tmp_path)
    assert str(tmp_path / FILE) in str(refused.value)


def test_a_policy_of_another_network_is_refused(tmp_path: Path) -> None:
    save_policy(tmp_path, network(), CONFIG)
    write_config(small("nature2015"), tmp_path / "config.toml")
    with pytest.raises(UserError, match="not this network"):
        load_agent(tmp_path)


LIES: dict[str, Any] = {
    "no JSON": "{",
    "a list": [1],
    "nested deeply": "[" * 60_000,
    "a megabyte": {"x": "y" * 10**6},
    "observation is text": {"observation": "uint8"},
    "no shape": {"observation": {"dtype": "uint8"}},
    "shape is text": {"observation": {"shape": "4", "dtype": "uint8"}},
    "shape of fractions": {"observation": {"shape": [4, 36.0, 36], "dtype": "uint8"}},
    "shape of truths": {"observation": {"shape": [True, 36, 36], "dtype": "uint8"}},
    "a side of zero": {"observation": {"shape": [4, 0, 36], "dtype": "uint8"}},
    "a negative side": {"observation": {"shape": [4, -36, -36], "dtype": "uint8"}},
    "one side": {"observation": {"shape": [36], "dtype": "uint8"}},
    "five sides": {"observation": {"shape": [4, 36, 36, 3, 1], "dtype": "uint8"}},
    "a terabyte": {"observation": {"shape": [4, 500_000, 500_000], "dtype": "uint8"}},
    "beyond 64 bits": {"observation": {"shape": [4, 2**70, 1], "dtype": "uint8"}},
    "many sides": {"observation": {"shape": [1] * 10_000, "dtype": "uint8"}},
    "unknown dtype": {"observation": {"shape": [4, 36, 36], "dtype": "object"}},
    "dtype is a list": {"observation": {"shape": [4, 36, 36], "dtype": ["uint8"]}},
    "another screen": {"observation": {"shape": [4, 84, 84], "dtype": "uint8"}},
    "more frames": {"observation": {"shape": [5, 36, 36], "dtype": "uint8"}},
    "vectors for convolutions": {"observation": {"shape": [4, 1296], "dtype": "float32"}},
    "too small for convolutions": {"observation": {"shape": [4, 5, 5], "dtype": "uint8"}},
    "a network of ten gigabytes": {"observation": {"shape": [4, 2000, 2000], "dtype": "uint8"}},
}


@pytest.mark.parametrize("lie", LIES)
def test_facts_that_do_not_fit_this_policy_are_refused_by_name(tmp_path: Path, lie: str) -> None:
    save_policy(tmp_path, network(), CONFIG)
    weights = {k: v.contiguous() for k, v in network().state_dict().items()}
    said = LIES[lie] if isinstance(LIES[lie], str) else json.dumps(LIES[lie])
    (tmp_path / FILE).write_bytes(safetensors.torch.save(weights, {FACTS: said}))
    with pytest.raises(UserError) as refused:
        load_agent(tmp_path)
    assert str(tmp_path / FILE) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 700


def test_metadata_is_text_and_not_trusted(tmp_path: Path) -> None:
    weights = {k: v.contiguous() for k, v in network().state_dict().items()}
    save_policy(tmp_path, network(), CONFIG)
    lies: dict[str, Any] = {"game": "../../x", "format": json.dumps({"x": 1})}
    for more in ({}, {"num_actions": "4"}):
        (tmp_path / FILE).write_bytes(safetensors.torch.save(weights, lies | more))
        assert load_agent(tmp_path).network.num_actions == ACTIONS
    for lie in ("1000000000", "5", "0", "-4", "four", "", "9" * 5000):
        (tmp_path / FILE).write_bytes(safetensors.torch.save(weights, lies | {"num_actions": lie}))
        with pytest.raises(UserError) as refused:
            load_agent(tmp_path)
        assert str(refused.value).startswith(f"{tmp_path / FILE}: ")
