"""The files of an export, and of any place that a policy is read from: their names and how large they may be."""

from __future__ import annotations

from pixelq.checkpoints.policy_file import FILE, LARGEST

POLICY = FILE
CONFIG = "config.toml"
CARD = "README.md"
EVALUATION = "evaluation.json"
VIDEO = "replay.mp4"
"""The hub shows the video of this name on the model's page."""
CURVE = "learning_curve.png"
TABLES = ("episodes.csv", "progress.csv", "evaluations.csv")
"""The learning curve as numbers, under a run's own names, so that plot, compare and watch read an export too."""
ONNX = "policy.onnx"
TORCH_EXPORT = "policy.pt2"
TORCHSCRIPT = "policy.torchscript.pt"

MIB = 2**20
WRITTEN = (CARD, POLICY, CONFIG, EVALUATION, VIDEO, CURVE, *TABLES, ONNX, TORCH_EXPORT, TORCHSCRIPT)
"""All that an export consists of; nothing else is ever uploaded."""
READ = {
    CONFIG: MIB,
    POLICY: LARGEST,
    "metrics.json": MIB,
    EVALUATION: 16 * MIB,
    **dict.fromkeys(TABLES, 256 * MIB),
    **{f"{which}/{name}": most for which in ("best", "final") for name, most in ((POLICY, LARGEST), (CONFIG, MIB))},
}
"""What is read of a zip or of a repository, by its place in it -> bytes that it may have. A zipped run is read, too.
Programs (ONNX, PyTorch) are not among them: they are never loaded."""
