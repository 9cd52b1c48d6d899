"""Other toolkits for n-gram models: where they are on this machine, and how they are called."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks.ngram_process import Usage, run

IRSTLM_FOLDER = "/usr/lib/irstlm/bin"  # where Debian's package keeps its programs
LMPLZ_MEMORY = ("1G", "20%")  # settings that are tried; its default, 80 %, fills memory with zeros


@dataclass(frozen=True)
class Peers:
    """Programs and packages that were found; None for one that was not.

    Args:
        lmplz: KenLM's estimation.
        query: KenLM's scoring.
        build_binary: KenLM's conversion of ARPA files.
        tlm: IRSTLM's estimation.
        wheel: version of the Python package ``kenlm``.
    """

    lmplz: str | None = None
    query: str | None = None
    build_binary: str | None = None
    tlm: str | None = None
    wheel: str | None = None

    @classmethod
    def find(cls, kenlm: str | None = None, irstlm: str | None = None) -> Peers:
        """Look in the folders given, then on the PATH.

        Args:
            kenlm: folder of lmplz, query and build_binary; default the variable KENLM_BIN.
            irstlm: folder of tlm; default ``$IRSTLM/bin``, or where Debian puts it.
        """
        kenlm = kenlm or os.environ.get("KENLM_BIN")
        if irstlm is None and "IRSTLM" in os.environ:
            irstlm = os.path.join(os.environ["IRSTLM"], "bin")
        names = ("lmplz", "query", "build_binary")
        found = {name: _program(name, [kenlm]) for name in names}
        try:
            wheel = importlib.metadata.version("kenlm")
        except importlib.metadata.PackageNotFoundError:
            wheel = None
        return cls(**found, tlm=_program("tlm", [irstlm, IRSTLM_FOLDER]), wheel=wheel)


def _program(name: str, folders: Sequence[str | None]) -> str | None:
    inside = [str(Path(folder, name)) for folder in folders if folder]
    return next((path for path in [*inside, name] if shutil.which(path)), None)


def lmplz(program: str, text: Path, order: int, memory: str, folder: Path) -> Usage:
    """KenLM's modified Kneser-Ney, its ARPA file written."""
    arpa = folder / "lmplz.arpa"
    command = [program, "-o", str(order), "-S", memory, "-T", f"{folder}/lmplz-"]
    usage = run([*command, "--text", str(text), "--arpa", str(arpa)])
    arpa.unlink(missing_ok=True)
    return usage


def lmplz_memory(program: str, text: Path, order: int, folder: Path) -> str:
    """The memory setting with which lmplz takes less CPU time on this text."""
    trial = partial(lmplz, program, text, order, folder=folder)
    cpu = {}
    for memory in LMPLZ_MEMORY:
        usage = trial(memory=memory)
        cpu[memory] = float("inf") if usage.failure else usage.cpu_s
    return min(cpu, key=cpu.__getitem__)


def tlm(
    program: str, text: Path, order: int, smoothing: str, folder: Path, limit_s: float
) -> Usage:
    """IRSTLM, its ARPA file written.

    Args:
        program: ``tlm``.
        text: with sentence marks, which IRSTLM does not add itself.
        order: of the model.
        smoothing: ``msb``, modified shift beta, is its improved Kneser-Ney; ``sb`` has one
            discount an order, and serves where the counts do not allow the other.
        folder: for the result.
        limit_s: seconds after which it is given up.
    """
    arpa = folder / "tlm.arpa"
    options = [f"-tr={text}", f"-n={order}", f"-lm={smoothing}", "-ps=no", f"-oarpa={arpa}"]
    usage = run([program, *options], limit_s=limit_s)
    if not usage.failure and not arpa.exists():
        usage = Usage(failure=f"{smoothing} wrote no model")
    arpa.unlink(missing_ok=True)
    return usage


def tlm_smoothing(program: str, text: Path, folder: Path) -> str:
    """``msb``, or ``sb`` where the counts of counts of a text make ``msb`` give up."""
    failed = tlm(program, text, 2, "msb", folder, 600.0).failure
    return "sb" if failed else "msb"
