"""OpenMP's setting is made before torch is loaded, which reads it; the user's own setting is kept."""

import os
import subprocess
import sys

import pytest

TELL = """
import os, sys
import pixelq.cli
loaded_before = "torch" in sys.modules
pixelq.cli.main(["--version"])
print(loaded_before, os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("own", "found"),
    [({}, "20000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
    ids=["nothing set", "a count set", "a policy set"],
)
def test_idle_threads_are_told_to_sleep_before_torch_is_loaded(own: dict[str, str], found: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")} | own
    told = subprocess.run([sys.executable, "-c", TELL], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == f"False {found}"
