"""What all tests share: the corpora folder, and skips that say why."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

CORPORA = "SEQLAB_DATA"

# Tests compute on small tensors, where a second thread waits more than it works; on a busy machine
# two threads are ten times slower than one. Set before torch is imported, here and in what tests
# start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that runs the tests in the background has them ignore Ctrl-C, and what they start, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No example is judged by its time: on a busy machine any of them can take a second.
hypothesis.settings.register_profile(
    "seqlab", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("seqlab")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, with the reason."""
    without_data = pytest.mark.skip(reason=f"set {CORPORA} to the folder of the real corpora")
    without_gpu = pytest.mark.skip(reason="no CUDA device on this machine")
    for item in items:
        if item.get_closest_marker("data") and not os.environ.get(CORPORA):
            item.add_marker(without_data)
        if item.get_closest_marker("gpu") and not _has_gpu():
            item.add_marker(without_gpu)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora that SEQLAB_DATA names; only for tests marked ``data``."""
    folder = Path(os.environ.get(CORPORA, ""))
    if not os.environ.get(CORPORA):
        pytest.skip(f"set {CORPORA} to the folder of the real corpora")
    if not folder.is_dir():
        pytest.fail(f"{CORPORA}={folder} is not a folder")
    return folder
