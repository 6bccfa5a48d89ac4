"""The short form of benchmarks/crash.py: real SIGKILLs, then equality to the byte."""

import random
from types import ModuleType

import pytest

from scripts import script

ARGUMENTS = (
    "breakout --recipe nips2013 --screen-size 36 --batch-size 4 --steps 600 --replay-start 80 --replay-capacity 400 "
    "--log-every 40 --checkpoint-every 20 --eval-every 0 --max-frames-per-episode 200 --device cpu "
    "--deterministic --n-step 3 --sampler prioritized"
)


@pytest.fixture(scope="module")
def crash() -> ModuleType:
    return script("benchmarks/crash.py")


def test_a_run_killed_with_sigkill_in_the_midst_of_checkpoints_ends_as_an_unbroken_one(crash: ModuleType) -> None:
    outcome = crash.crash("short", ARGUMENTS, kills=4, threads=1, generator=random.Random(0))
    assert outcome.kills == 4
    assert outcome.unreadable == []
    assert outcome.parts >= 13  # with the priorities
    assert outcome.different == []
