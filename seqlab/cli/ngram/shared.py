"""What several n-gram commands need of models: loading, writing, reporting; and progress."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from seqlab.cli.terminal import Progress, print_json, print_table, say
from seqlab.errors import SeqlabError

if TYPE_CHECKING:
    from seqlab.lm.ngram.facts import Facts
    from seqlab.lm.ngram.model import NGramModel
    from seqlab.lm.ngram.ngrams import BackoffTable

ARPA = (".arpa", ".arpa.gz")
MODEL_HELP = "an ARPA file (plain or packed) or a binary file (.ngram)"
OUTPUT_HELP = "file to write: .arpa or .arpa.gz writes ARPA, any other name (.ngram) a binary file"


def add_quantise(parser: argparse._ActionsContainer) -> None:
    """Describe ``--quantise``."""
    parser.add_argument(
        "--quantise",
        action="store_true",
        help="round probabilities in the binary file, which makes it smaller",
    )


def print_rows(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], as_json: bool, header: bool = True
) -> None:
    """Print rows as they come, parted by tabs; or all of them as JSON objects."""
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    if header:
        print("\t".join(columns))
    for row in rows:
        print("\t".join(f"{v:.6f}" if isinstance(v, float) else str(v) for v in row))


def is_arpa(path: str) -> bool:
    """Whether a file to write is to be ARPA, by its name."""
    return path.lower().endswith(ARPA)


def check_output(path: str, quantise: bool = False) -> None:
    """Raise SeqlabError where a model cannot be written, before long work begins."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise SeqlabError(f"folder {folder} of {path} does not exist; create it")
    if os.path.exists(path) and not os.path.isfile(path):
        raise SeqlabError(f"{path} exists and is no file; choose another name")
    if not os.access(folder, os.W_OK):
        raise SeqlabError(f"folder {folder} is not writable; choose another")
    if ".arpa." in os.path.basename(path).lower() and not is_arpa(path):
        raise SeqlabError(f"{path} must end in .arpa or .arpa.gz to be ARPA; choose another name")
    if quantise and is_arpa(path):
        raise SeqlabError(f"--quantise is for binary files, and {path} is ARPA; leave it out")


def load_model(path: str) -> NGramModel:
    """The model of a file, ARPA or binary by its content.

    Raises:
        SeqlabError: there is none, or it is damaged.
    """
    if not os.path.exists(path):
        raise SeqlabError(f"model {path} does not exist; name an ARPA or .ngram file")
    if os.path.isdir(path):
        raise SeqlabError(f"model {path} is a folder; name an ARPA or .ngram file")
    from seqlab.lm.ngram.model import NGramModel

    return NGramModel.load(path)


def model_of_table(table: BackoffTable, facts: Facts) -> NGramModel:
    """The model of a table."""
    from seqlab.lm.ngram.model import NGramModel

    return NGramModel(table, facts=facts)


def write_model(model: NGramModel, path: str, quantise: bool = False) -> None:
    """Write a model in the format that the name asks for; nothing or all of it appears."""
    with Phases() as progress:
        if is_arpa(path):
            model.write_arpa(path, progress)
        else:
            model.save(path, quantise, progress)


def say_written(paths: Iterable[str]) -> None:
    """Say what was written, and how large it is."""
    for path in paths:
        say(f"written: {path}, {size_text(os.path.getsize(path))}")


def report_model(model: NGramModel, as_json: bool, /, **facts: Any) -> None:
    """Print how many n-grams of each order a model has, and further facts as JSON."""
    if as_json:
        print_json({**facts, "order": model.order, "ngrams": list(model.sizes)})
    else:
        print_table(["order", "n-grams"], list(enumerate(model.sizes, 1)))


def bytes_of(text: str) -> int:
    """Bytes of a size such as ``500M``.

    >>> bytes_of("1.5k"), bytes_of("2G")
    (1536, 2147483648)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgt]?)i?b?", text.strip().lower())
    if match is None:
        raise SeqlabError(f"size {text!r} must be a number of bytes such as 500M or 2G")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def size_text(size: float) -> str:
    """Bytes for people.

    >>> size_text(812), size_text(5_300_000), size_text(2.5e9)
    ('812 B', '5.3 MB', '2.5 GB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


class Phases:
    """Shows the phases of a long job one after the other; the ``progress`` of the library."""

    def __init__(self) -> None:
        self._what = ""
        self._shown: Progress | None = None

    def __enter__(self) -> Phases:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown is not None:
            self._shown.__exit__()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Say how far the phase ``what`` is."""
        if what != self._what or self._shown is None:
            self.__exit__()
            self._what, self._shown = what, Progress(total, what).__enter__()
        self._shown.update(done, total=total)
