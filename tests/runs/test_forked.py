"""A process forked after training: it computes, trains with one thread, and says in one line that more cannot be."""

import subprocess
import sys
from pathlib import Path

import pytest

from small_runs import python

CODE = """
import multiprocessing, os, sys
import torch
import pixelq
from pixelq.cli import main

torch.set_num_threads(2)  # which is what it has after the run, too
small = {"num_envs": 2, "rollout_length": 8, "batch_size": 16, "device": "cpu", "eval_every": 0, "steps": 32}
run = pixelq.train("CartPole-v1", "gymnasium", "r", threads=2, **small)
torch.randn(600, 600) @ torch.randn(600, 600)  # with two threads, if they have not worked yet
assert torch.get_num_threads() == 2
agent = pixelq.load("r")
fork = multiprocessing.get_context("fork")

def acts():
    torch.randn(600, 600) @ torch.randn(600, 600)
    envs = pixelq.make_envs(agent.config, num_envs=2, seed=1)
    observations, _ = envs.reset()
    for _ in range(10):
        observations = envs.step(agent.act(observations))[0]

def trains():
    assert pixelq.train("CartPole-v1", "gymnasium", "s", **small).agent_steps == 32
    assert torch.get_num_threads() == 1

def is_told():
    assert main(["train", "CartPole-v1", "--threads", "2", "--device", "cpu", "--run-dir", "t"]) == 2
    assert not os.path.exists("t")

for work in (acts, trains, is_told):
    child = fork.Process(target=work)
    child.start()
    child.join(60)
    print(work.__name__, child.exitcode, flush=True)
    if child.exitcode is None:
        child.kill()
print(torch.get_num_threads())
"""


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs fork, which is not safe on macOS")
def test_a_forked_child_computes_and_trains_after_its_parent_has_trained(in_folder: Path) -> None:
    child = python("-c", CODE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate()
    assert [line for line in out.splitlines() if line[-2:] == " 0"] == ["acts 0", "trains 0", "is_told 0"], err
    assert out.endswith("2\n"), "the parent goes on with its threads"
    told = [line for line in err.splitlines() if line.startswith("pixelq: threads = 2: this process was forked")]
    assert len(told) == 1
    assert "use --threads 1" in told[0]
    assert "spawn" in told[0]
