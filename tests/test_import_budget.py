"""Import and start-up stay cheap.

Measured in fresh processes, in processor time, which other work on the machine hardly moves; the
best of several counts.
"""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "numba", "numpy", "librosa", "lhotse", "accelerate", "matplotlib", "jsonargparse")


def output(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_seqlab_is_cheap() -> None:
    code = "import time; t = time.process_time(); import seqlab; print(time.process_time() - t)"
    assert min(float(output(code)) for _ in range(5)) < 0.05


def test_import_seqlab_loads_nothing_heavy() -> None:
    loaded = output(f"import sys, seqlab; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded == "[]"


def test_help_is_fast() -> None:
    code = (
        "import sys, time\n"
        "from seqlab.cli.main import main\n"
        "print(main(['--help']), 'torch' in sys.modules, time.process_time())\n"  # since its start
    )
    answers = [output(code).splitlines() for _ in range(5)]
    assert any("transcribe" in line for line in answers[0])
    assert all(lines[-1].startswith("0 False ") for lines in answers)
    assert min(float(lines[-1].split()[-1]) for lines in answers) < 0.3


def test_help_of_every_command_loads_no_torch() -> None:
    code = (
        "import sys\n"
        "from seqlab.cli.main import COMMANDS, main\n"
        "codes = [main([name, '--help']) for name in COMMANDS]\n"
        "print(codes == [0] * len(codes), 'torch' in sys.modules)\n"
    )
    assert output(code).splitlines()[-1] == "True False"


def test_public_names_are_lazy_and_listed() -> None:
    code = "import seqlab, sys; dir(seqlab); seqlab.SeqlabError; print('torch' in sys.modules)"
    assert output(code) == "False"
