"""Policies on disk: what comes back, and what is refused."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from small_runs import small

import pixelq
from pixelq.config import write_config
from pixelq.errors import UserError
from pixelq.networks import QNetwork, build_network
from pixelq.training.policy_file import FILE, find_policy, load_agent, recorded_score, save_policy

CONFIG = small("nips2013")
ACTIONS = 4


def network(seed: int = 0) -> QNetwork:
    return build_network(CONFIG, ACTIONS, torch.Generator().manual_seed(seed))


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
    "header is no JSON": with_header(b"not json"),
    "header nested deeply": with_header(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "offsets beyond the file": with_header(b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'),
    "offsets overlap": with_header(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    ) + bytes(4),
    "shape overflows": with_header(b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
    "no tensors": with_header(b"{}"),
    "cut": with_weight("output.bias", torch.zeros(ACTIONS))[:-1],
    "too long": with_weight("output.bias", torch.zeros(ACTIONS)) + b"\0",
    "NaN": with_weight("hidden.bias", torch.full((256,), torch.nan)),
    "infinite": with_weight("output.weight", torch.full((ACTIONS, 256), torch.inf)),
    "wrong shape": with_weight("hidden.weight", torch.zeros(256, 7)),
    "no output": with_weight("output.bias", None),
    "output without actions": with_weight("output.bias", torch.zeros(0)),
    "output is a matrix": with_weight("output.bias", torch.zeros(4, 4)),
    "output is a number": with_weight("output.bias", torch.zeros(())),
    "output of a million actions": with_weight("output.bias", torch.zeros(10**6)),
    "missing weight": with_weight("hidden.bias", None),
    "unknown weight": with_weight("surprise", torch.zeros(1)),
    "whole numbers": with_weight("hidden.bias", torch.zeros(256, dtype=torch.int64)),
    "half precision": with_weight("hidden.bias", torch.zeros(256, dtype=torch.float16)),
    "eight-bit floats": with_weight("hidden.bias", torch.zeros(256).to(torch.float8_e4m3fn)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_policy_of_this_configuration_is_refused_by_name(tmp_path: Path, kind: str) -> None:
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


def test_metadata_is_text_and_not_trusted(tmp_path: Path) -> None:
    weights = {k: v.contiguous() for k, v in network().state_dict().items()}
    save_policy(tmp_path, network(), CONFIG)
    lies: dict[str, Any] = {"num_actions": "1000000000", "game": "../../x", "format": json.dumps({"x": 1})}
    (tmp_path / FILE).write_bytes(safetensors.torch.save(weights, lies))
    assert load_agent(tmp_path).network.num_actions == ACTIONS
