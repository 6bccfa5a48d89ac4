"""Digests of the parts of a run, so that two runs can be compared part by part.

They do not depend on how often a run was checkpointed or on how long anything took: two runs that did the same have the
same digests.
"""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

from pixelq.checkpoints.policy_file import read_weights
from pixelq.checkpoints.reader import LoadedCheckpoint, StoredReplay
from pixelq.checkpoints.state_tree import tree_digest
from pixelq.checkpoints.sufficient_sizes import sufficient_sizes
from pixelq.errors import UserError
from pixelq.replay import BaseReplay, Replay, ReplaySnapshot
from pixelq.replay.sequence_replay import SequenceReplay, Sequencing
from pixelq.reports.tracking import COLUMNS, TIMINGS
from pixelq.variants import KINDS

OF_PIXELQS_LEARNERS = ("network", "optimizer", "sums", "summed_updates", "noise")
"""What the states of pixelq's own learners always have; of a loop's own one, only `network` is asked for."""


def checkpoint_digests(checkpoint: LoadedCheckpoint) -> dict[str, str]:
    """Digest of each part of a checkpoint: part -> 32 hexadecimal digits.

    Raises:
        UserError: a part is missing, or the replay's contents contradict each other.
    """
    state = checkpoint.state
    digests: dict[str, str] = {}
    try:
        learner = state["learner"]
        digests |= _learner_digests(learner, state)
        if checkpoint.replay is not None:
            digests["replay"] = replay_digest(checkpoint.replay)
        if state["sampler"]:
            digests["sampler"] = tree_digest(state["sampler"])
        if state.get("reward_scale"):
            digests["reward scale"] = tree_digest(state["reward_scale"])
        digests["environments"] = tree_digest(state["envs"])
        policy = dict(state["policy"])
        if "recurrent_state" in policy:
            digests["recurrent state"] = tree_digest(policy.pop("recurrent_state"))
        generators: dict[str, Any] = {"policy": policy, "replay": state["replay_generator"]}
        if "noise" in learner:
            generators["learner"] = learner["noise"]
        if "torch_generators" in state:
            generators["torch"] = state["torch_generators"]
        digests["generators"] = tree_digest(generators)
        digests["counters"] = tree_digest(state["counters"])
        digests["scores"] = tree_digest(state["scores"])
    except UserError as error:
        raise UserError(f"{checkpoint.path}: {error}") from None
    except KeyError as error:
        raise UserError(f"{checkpoint.path}: part {error} is missing: damaged") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{checkpoint.path}: a part is not what it should be ({error}): damaged") from None
    return digests


def _learner_digests(learner: dict[str, Any], state: dict[str, Any]) -> dict[str, str]:
    """Digest of each part of what learned, but of its generator.

    Raises:
        KeyError: a part is missing that the learners of pixelq's own loops have.
    """
    own = KINDS["loop"].is_own(state.get("config", {}).get("loop", "replay"))
    if missing := [name for name in (OF_PIXELQS_LEARNERS if own else ("network",)) if name not in learner]:
        raise KeyError(missing[0])
    digests, rest = {}, {name: part for name, part in learner.items() if name != "noise"}
    for name in ("network", "target_network", "averaged_network", "optimizer"):
        if name in rest:
            digests[name.replace("_", " ")] = tree_digest(rest.pop(name))
    if "sums" in rest and "summed_updates" in rest:
        digests["loss sums"] = tree_digest({"sums": rest.pop("sums"), "updates": rest.pop("summed_updates")})
    # A name alone may be that of another part of the run.
    return digests | {f"learner: {name}": tree_digest({name: part}) for name, part in rest.items()}


def replay_digest(snapshot: ReplaySnapshot | StoredReplay) -> str:
    """Digest of what a replay holds, independent of the segments it was stored in. Every block is unpacked and checked.

    Raises:
        UserError: its parts do not form a replay.
    """
    try:
        sufficient = sufficient_sizes(snapshot)
        meta = snapshot.meta | sufficient
        shape = tuple(meta["frame_shape"])
        sizes = (meta["capacity"], meta["num_envs"], shape, meta["stack"], 1, 1.0, meta["frame_dtype"])
        replay: BaseReplay = Replay(*sizes) if "sequence_every" not in meta else _of_sequences(sizes, meta)
    except (KeyError, TypeError, AttributeError, ArithmeticError, ValueError, MemoryError) as error:
        raise UserError(f"replay: its sizes are damaged ({error})") from None
    replay.restore(meta, snapshot.arrays, snapshot.sealed)
    held = replay.snapshot()
    total = _hash()
    said = held.meta | {name: snapshot.meta[name] for name in sufficient}
    total.update(tree_digest({"meta": said, "arrays": held.arrays}).encode())
    for block in held.sealed:
        total.update(f"{block.serial} {block.env} {block.number} {len(block.payload)}".encode())
        total.update(block.rows + block.payload)
    return total.hexdigest()


def _of_sequences(sizes: tuple[Any, ...], meta: dict[str, Any]) -> SequenceReplay:
    """A replay of sequences of any length, for what is kept does not depend on it."""
    size = meta["recurrent_size"]
    sequencing = Sequencing(length=1, burn_in=0, every=meta["sequence_every"], stored=size > 0)
    return SequenceReplay(*sizes, sequencing=sequencing, recurrent_size=size)


def csv_digest(file: Path) -> str:
    """Digest of a run's CSV file without its timing columns.

    Raises:
        UserError: it cannot be read, its header is wrong, or a row does not have one number for each column.
    """
    columns = COLUMNS[file.name]
    try:
        rows = list(csv.reader(io.StringIO(file.read_bytes().decode("ascii"))))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: not a CSV file ({error})") from None
    if not rows or tuple(rows[0]) != columns:
        raise UserError(f"{file}: its header is not {','.join(columns)}; restore the file")
    total = _hash()
    kept = [i for i, name in enumerate(columns) if name not in TIMINGS]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(columns) or not all(_is_number(cell) for cell in row):
            raise UserError(f"{file}, line {number}: not one number for each column; restore the file")
        total.update((",".join(row[i] for i in kept) + "\n").encode())
    return total.hexdigest()


def policy_digest(file: Path) -> str:
    """Digest of a policy's weights.

    Raises:
        UserError: the file is damaged.
    """
    return tree_digest(read_weights(file))


def _hash() -> Any:
    return hashlib.blake2b(digest_size=16)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
