"""Keeping freed memory: only where the C library can, and never against the user."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from seqlab.training.allocation import SETTINGS

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")

# Memory that is freed and taken again comes as new pages, each a fault, unless it was kept.
_PROGRAM = """
import resource
from seqlab.training.allocation import keep_freed_memory
import torch
print(keep_freed_memory())
for turn in range(3):
    tensors = [torch.ones(1 << 20) for _ in range(8)]
    del tensors
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in range(10):
    tensors = [torch.ones(1 << 20) for _ in range(8)]
    del tensors
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def changed_and_faults(**environment: str) -> tuple[str, int]:
    """In an environment without such settings, which dask's workers leave in ours, but these."""
    plain = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    changed, faults = ran.stdout.split()
    return changed, int(faults)


@glibc
def test_freed_memory_is_kept():
    changed, faults = changed_and_faults()
    assert changed == "True"
    assert faults < 1000  # 80 tensors of 1024 pages each were taken


@glibc
def test_the_users_settings_win():
    changed, _ = changed_and_faults(MALLOC_TRIM_THRESHOLD_="131072")
    assert changed == "False"
