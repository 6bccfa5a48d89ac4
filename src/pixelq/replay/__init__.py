"""Experience replay: frames go in once, images compressed; batches of whole transitions come out.

`base_replay.py` joins what is stored: frames (`block_store.py` for bytes, `array_store.py` for floats), `rows.py`
(action, reward and flags of each frame), `mask_ring.py` (actions that were allowed). `replay.py` draws transitions from
it and `sequence_replay.py` whole sequences, with `recurrent_states.py`, as a sampler (`samplers/`, `sum_tree.py`) says;
`stacks.py` and, on a GPU, `device_frames.py` make their states, `ahead.py` the next batch while one is learned from.
`snapshot.py` and `segments.py` carry a replay to disk and back.
"""

from pixelq.replay.base_replay import BaseReplay
from pixelq.replay.batch import Batch
from pixelq.replay.replay import Replay
from pixelq.replay.snapshot import ReplaySnapshot, SealedBlock

__all__ = ["BaseReplay", "Batch", "Replay", "ReplaySnapshot", "SealedBlock"]
