"""What a run imports: torch's compiler, with sympy, is 74 MB and a second of every start."""

import subprocess
import sys
from pathlib import Path

RUNS = """
import sys
from pathlib import Path
import pixelq
from small_runs import CART_POLE, QUICK
for i, optimizer in enumerate(["adam", "adamw", "rmsprop", "adadelta"]):
    pixelq.train("CartPole-v1", "cleanrl", run_dir=f"r{i}", optimizer=optimizer, **CART_POLE | {"eval_every": 160})
pixelq.train("CartPole-v1", run_dir="r", **QUICK)
pixelq.resume("r", steps=240)
pixelq.load("r")
print(pixelq.read_recipe("gymnasium").optimizer, [name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


def test_no_run_on_the_cpu_imports_torchs_compiler(in_folder: Path) -> None:
    folder = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{RUNS}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["radam []"], done.stderr[-2000:]
