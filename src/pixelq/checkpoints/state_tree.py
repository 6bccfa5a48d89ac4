"""A run's state as two plain files: nested JSON for numbers and text, safetensors for arrays. No pickle."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelq.errors import UserError

_TENSOR, _ARRAY = "__tensor__", "__array__"
_DTYPES = frozenset(
    {
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.uint16, torch.uint32, torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64),
    }
)
"""What a file of safetensors holds and numpy and torch both read."""


def split(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Copy a nested state into a tree for JSON and a flat dictionary of tensors on the CPU.

    In the tree a marker with its path replaces each tensor or array (`learner/network/output.weight`). Everything is
    copied, so the state may change while the result is being written.

    Raises:
        UserError: a part cannot be written so: a set, an object, an array of objects; a dictionary whose keys are no
            texts; or two parts of the state have the same path. A variant of one's own has made it.
        RecursionError: it is nested a thousand levels deep, or a part of itself.
    """
    tensors: dict[str, Tensor] = {}

    def refused(path: str, what: str) -> UserError:
        return UserError(
            f"the state cannot be saved: {path or 'it'} {what}; a state_dict holds numbers, texts, None, arrays and "
            "tensors, in lists and in dictionaries by name"
        )

    def keep(path: str, tensor: Tensor) -> None:
        if path in tensors:
            raise refused(path, "is the name of two parts")
        tensors[path] = tensor

    def key_of(key: Any, path: str) -> str:
        if not isinstance(key, str) or key in (_TENSOR, _ARRAY):
            raise refused(path, f"has the key {key!r:.60}")
        return key

    def walk(node: Any, path: str) -> Any:
        if isinstance(node, Tensor):
            if node.layout != torch.strided or node.dtype not in _DTYPES:
                raise refused(path, f"is a tensor of {node.dtype}, {node.layout}")
            keep(path, node.detach().cpu().clone(memory_format=torch.contiguous_format))
            return {_TENSOR: path}
        if isinstance(node, np.ndarray):
            if node.dtype.kind not in "biuf" or node.dtype.itemsize > 8 or not node.dtype.isnative:
                raise refused(path, f"is an array of {node.dtype}")
            keep(path, torch.from_numpy(np.array(node, order="C")))
            return {_ARRAY: path}
        if isinstance(node, dict):
            return {key_of(key, path): walk(value, f"{path}/{key}" if path else key) for key, value in node.items()}
        if isinstance(node, list | tuple):
            return [walk(value, f"{path}/{i}") for i, value in enumerate(node)]
        if isinstance(node, np.integer | np.floating | np.bool_):
            return node.item()
        if not isinstance(node, bool | int | float | str | None):
            raise refused(path, f"is a {type(node).__name__}")
        return node

    return walk(state, ""), tensors


def join(tree: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The state from which `split` made `tree` and `tensors`.

    Raises:
        UserError: the tree names a tensor that is not there.
    """

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            for marker in (_TENSOR, _ARRAY):
                if marker in node:
                    return find(node[marker], marker)
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value) for value in node]
        return node

    def find(path: Any, marker: str) -> Tensor | np.ndarray:
        if not isinstance(path, str) or path not in tensors:
            raise UserError(f"the state names a tensor {path!r} that is not there")
        return tensors[path] if marker == _TENSOR else tensors[path].numpy()

    joined: dict[str, Any] = walk(tree)
    return joined


def tree_digest(part: dict[str, Any]) -> str:
    """Digest of nested dictionaries of numbers, text, arrays and tensors: names, types, shapes and bytes.

    Returns:
        32 hexadecimal digits (BLAKE2b with 128 bits).
    """
    tree, tensors = split(part)
    total = hashlib.blake2b(json.dumps(tree, sort_keys=True).encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
