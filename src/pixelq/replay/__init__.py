"""Experience replay: frames go in once, images compressed; batches of whole transitions come out.

`replay.py` joins the two halves: frames (`block_store.py` for bytes, `array_store.py` for floats) and `rows.py`
(action, reward and flags of each frame).
`snapshot.py` and `segments.py` carry a replay to disk and back.
"""

from pixelq.replay.batch import Batch
from pixelq.replay.replay import Replay
from pixelq.replay.snapshot import ReplaySnapshot, SealedBlock

__all__ = ["Batch", "Replay", "ReplaySnapshot", "SealedBlock"]
