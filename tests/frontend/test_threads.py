"""Front ends in several threads, and in a process forked from one that used them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from seqlab.frontend.logmel import LogMel
from seqlab.frontend.mfcc import MFCC
from seqlab.frontend.threads import share, task_frames

FORK = """
import os, torch
from seqlab.frontend.logmel import LogMel
torch.set_num_threads(2)
waveform = torch.randn(640_000, generator=torch.Generator().manual_seed(0))
frontend, lengths = LogMel(edges="mirror", dither=1.0), torch.tensor([640_000])
expected = frontend(waveform[None], lengths)[0]
child = os.fork()
if child == 0:  # torch's own threads are not for forked processes, so only the front end runs
    features = frontend(waveform[None], lengths)[0]
    os._exit(0 if features.numpy().tobytes() == expected.numpy().tobytes() else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def compute(frontend: LogMel, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.set_num_threads(count)
    generator = torch.Generator().manual_seed(1)
    waveform = (0.1 * torch.randn(3, 480_000, generator=generator)).requires_grad_()
    features, _ = frontend(waveform, torch.tensor([480_000, 0, 400_001]))
    features.square().sum().backward()
    return features.detach(), waveform.grad


def test_threads_change_no_bit(threads: None) -> None:
    frontend = LogMel(edges="reflect", dither=1.0)
    for found, expected in zip(compute(frontend, 3), compute(frontend, 1), strict=True):
        assert torch.equal(found, expected)


def test_threads_change_cepstra_within_rounding(threads: None) -> None:
    frontend = MFCC(delta_order=1)  # its cosine transform is torch's
    for found, expected in zip(compute(frontend, 3), compute(frontend, 1), strict=True):
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_modes_reach_the_threads(threads: None, mode: type) -> None:
    torch.set_num_threads(2)
    waveform, frontend = torch.randn(480_000), LogMel()
    expected = frontend.extract(waveform, 16000)
    with mode():
        features = frontend.extract(waveform, 16000)
        assert torch.equal(frontend.extract(waveform + 0, 16000), features)
    assert torch.equal(features, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="forking is for Linux")
def test_a_forked_process_has_threads_of_its_own() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["0"], done.stderr


def test_the_calling_thread_works_too_and_errors_reach_it(threads: None) -> None:
    torch.set_num_threads(2)
    met, barrier = set(), threading.Barrier(2, timeout=300)

    def meet(task: int) -> None:
        met.add(threading.get_ident())
        if task < 2:
            barrier.wait()  # so that each thread takes one

    share(meet, range(5), 100_000)
    assert len(met) == 2
    assert threading.get_ident() in met

    def fail(task: int) -> None:
        raise ValueError(f"task {task}")

    with pytest.raises(ValueError, match="task"):
        share(fail, range(5), 100_000)
    share(meet, [9], 100_000)


def test_few_frames_stay_in_one_thread(threads: None) -> None:
    torch.set_num_threads(2)
    met = set()
    share(lambda task: met.add(threading.get_ident()), range(5), 100)
    assert met == {threading.get_ident()}
    assert task_frames(100) >= 100
