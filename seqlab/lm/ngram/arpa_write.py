"""Writing n-gram models as ARPA files."""

from __future__ import annotations

import gzip
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import ModelError
from seqlab.lm.ngram.kernels.arpa_format import short_words, step_down, write_lines
from seqlab.lm.ngram.ngrams import BackoffTable, NGrams
from seqlab.lm.ngram.numbering import Progress

__all__ = ["write_arpa"]

_ROWS = 2**14  # lines whose words are gathered at a time: they stay in the processor's cache
_BYTES = 2**16  # written at a time: Linux takes four times as long for pieces of megabytes
_ROUNDING = 1e-5  # log-probabilities above 0 by no more come from rounding


def write_arpa(
    table: BackoffTable,
    target: str | os.PathLike[str] | IO[bytes],
    progress: Progress | None = None,
) -> None:
    r"""Write an n-gram model as an ARPA file, which every toolkit reads.

    Logarithms are to base 10 with as many digits as ``read_arpa`` needs to give the same numbers
    back, mostly eight. Minus infinity is written -99, as SRILM does; every n-gram but the longest
    has a back-off weight, as some readers insist on it.

    Args:
        table: the model.
        target: path, compressed where it ends in ``.gz``; the file comes to exist when it is
            whole. Or a file open for writing bytes.
        progress: told ``"n-grams written"``.

    Raises:
        ModelError: the model cannot be written as ARPA, is damaged, or the file cannot be
            written.

    Source: the format of ``ngram-format(5)`` of SRILM (Stolcke 2002), after Doug Paul.

    Example:
        >>> import io
        >>> from seqlab.lm.ngram.arpa import read_arpa
        >>> text = b"\\data\\\nngram 1=3\n\n\\1-grams:\n-1 a\n-99 <s>\n-2 </s>\n\\end\\\n"
        >>> file = io.BytesIO()
        >>> write_arpa(read_arpa(io.BytesIO(text)), file)
        >>> print(file.getvalue().decode().replace("\t", " "))
        \data\
        ngram 1=4
        <BLANKLINE>
        \1-grams:
        -99 <unk>
        -99 <s>
        -2 </s>
        -1 a
        <BLANKLINE>
        \end\
        <BLANKLINE>
    """
    _check(table)
    if not isinstance(target, str | os.PathLike):
        _write(table, target, progress)
        return
    path = Path(target)
    try:
        with _finished_file(path) as file:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                    _write(table, cast("IO[bytes]", packed), progress)
            else:
                _write(table, file, progress)
    except OSError as error:
        raise ModelError(f"{path} cannot be written: {error.strerror or error}") from error


def _check(table: BackoffTable) -> None:
    """Raise ModelError unless the model has a form in ARPA."""
    if table.unseen_backoff != 0:
        raise ModelError(
            f"unseen_backoff={table.unseen_backoff:g} must be 0 for an ARPA file, which has no "
            "place for the weight of unseen contexts (stupid back-off has one); save the model "
            "in the binary format, or estimate it with another smoothing"
        )
    for k, values in enumerate(table.log_prob, 1):
        top = values.max(initial=-np.inf)
        if not top <= _ROUNDING:  # true of NaN as well
            raise ModelError(
                f"log-probability {top:g} of a {k}-gram must be at most 0; the model is damaged, "
                "estimate it anew"
            )
    for k, values in enumerate(table.log_backoff, 1):
        top = values.max(initial=-np.inf)
        if not top < np.inf:
            raise ModelError(
                f"back-off weight {top:g} of a {k}-gram must be a finite logarithm; the model is "
                "damaged, estimate it anew"
            )


@contextmanager
def _finished_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that becomes ``path`` if the block ends well, and vanishes if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _write(table: BackoffTable, file: IO[bytes], progress: Progress | None) -> None:
    sizes, written = enumerate(table.ngrams.sizes, 1), 0
    file.write("".join(["\\data\\\n", *(f"ngram {k}={n}\n" for k, n in sizes)]).encode())
    words = table.ngrams.words
    lengths = np.zeros(len(words), np.uint8)
    texts = np.zeros((len(words), 2), np.int64)
    short_words(words.starts, words.store, lengths, texts)
    longest = int(np.diff(words.starts).max())
    out = np.empty(_BYTES + table.order * (longest + 64), np.uint8)
    for k in range(1, table.order + 1):
        file.write(f"\n\\{k}-grams:\n".encode())
        for begin, numbers in _blocks(table.ngrams, k):
            end, done = begin + len(numbers), 0
            log_prob = table.log_prob[k - 1][begin:end]
            log_backoff = (table.log_backoff[k - 1] if k < table.order else log_prob[:0])[begin:end]
            while done < len(numbers):
                done, size = write_lines(
                    numbers, log_prob, log_backoff, words.starts, words.store, lengths, texts,
                    done, out,
                )  # fmt: skip
                file.write(out[:size].data)
            written += len(numbers)
            if progress is not None:
                progress("n-grams written", written, sum(table.ngrams.sizes))
    file.write(b"\n\\end\\\n")


def _blocks(ngrams: NGrams, k: int) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """First row and words (n, k) of one block of k-grams after the other.

    Rows one order down never fall, so that each block walks through the levels from front to
    back.
    """
    numbers = np.empty((_ROWS, k), np.int32)
    size = len(ngrams.levels[k - 1])
    for begin in range(0, size, _ROWS):
        rows = np.arange(begin, min(begin + _ROWS, size), dtype=np.int32)
        for place in range(k):
            level = ngrams.levels[k - 1 - place]
            step_down(level.first, level.suffix, rows, numbers, place)
        yield begin, numbers[: len(rows)]
