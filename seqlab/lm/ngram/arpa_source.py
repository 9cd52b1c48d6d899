"""The text of an ARPA file, in blocks of whole lines: opened, decompressed, told from others."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from seqlab.errors import ModelError
from seqlab.lm.ngram.binary import MAGIC
from seqlab.lm.ngram.kernels.arpa_parse import ROOM

_CHUNK = 2**20
_LONGEST_LINE = 2**20
_TEXT = re.compile(rb"[^ \t\r\n]")
_PACKED: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"BZh": bz2.open,
}
_OTHERS = {  # how files begin that are no ARPA files: what they are, and what to do
    MAGIC: "a binary model of seqlab; load it with NGramModel.load",
    b"mmap lm http": "a binary model of KenLM; read the ARPA file that it was made from",
    b"blmt": "a binary model of IRSTLM; run `compile-lm --text=yes MODEL OUT.arpa` and read that",
    b"Qblmt": "a binary model of IRSTLM; run `compile-lm --text=yes MODEL OUT.arpa` and read that",
    b"iARPA": "IRSTLM's own iARPA format; run `compile-lm --text=yes MODEL OUT.arpa` and read that",
    b"qARPA": "IRSTLM's quantised format; run `compile-lm --text=yes MODEL OUT.arpa` and read that",
    b"SRILM_BINARY": "a binary model of SRILM; run `ngram -lm MODEL -write-lm OUT.arpa`, read that",
    b"Trie Language Model": "a binary model of PocketSphinx; run "
    "`sphinx_lm_convert -i MODEL -o OUT.arpa` and read that",
    b"\x1f\x8b": "compressed twice; run gunzip once",
    b"\xfd7zXZ\x00": "compressed twice; run xz -d once",
    b"BZh": "compressed twice; run bunzip2 once",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; run zstd -d",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"\xff\xfe": "UTF-16 text; convert it to UTF-8",
    b"\xfe\xff": "UTF-16 text; convert it to UTF-8",
    b"version https://git-lfs": "a Git LFS pointer; run git lfs pull to get the file itself",
    b"<!DOCTYPE": "a web page; download the file itself",
    b"<html": "a web page; download the file itself",
}


class ArpaText:
    """Lines of a file that is open for reading bytes.

    ``data[begin:end]`` are whole lines that have not been used yet; ``line`` counts those that
    have.

    Args:
        file: decompressed bytes.
        name: what errors call it.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self.data = b""
        self.begin = self.end = self.line = 0
        self._filled = 0  # bytes of data, which has room behind

    def more(self) -> bool:
        """Make sure that there are unused lines; False at the end of the file."""
        while self.begin == self.end:
            rest = self.data[self.end : self._filled]
            if len(rest) > _LONGEST_LINE:
                raise self.error("longer than 1 MiB; this is no ARPA file", self.line + 1)
            chunk = _read(self._file, _CHUNK, self._name)
            if not chunk and not rest:
                return False
            chunk = chunk or b"\n"
            self._filled = len(rest) + len(chunk)
            self.data = b"".join([rest, chunk, bytes(ROOM)])
            self.begin, self.end = 0, self.data.rfind(b"\n", 0, self._filled) + 1
        return True

    def next_line(self) -> bytes | None:
        """The next line without white space around it, or None at the end of the file."""
        if not self.more():
            return None
        stop = self.data.index(b"\n", self.begin) + 1
        line = self.data[self.begin : stop]
        self.used(stop, 1)
        return line.strip()

    def peek(self) -> bytes | None:
        """The next line that is not blank, left to be used; None at the end of the file."""
        while self.more():
            found = _TEXT.search(self.data, self.begin, self.end)
            if found:
                self._skip(self.data.rfind(b"\n", self.begin, found.start()) + 1)
                return self.data[self.begin : self.data.index(b"\n", self.begin)].strip()
            self._skip(self.end)
        return None

    def skip_past(self, wanted: bytes) -> bool:
        """Go on behind the first line that is ``wanted``, white space aside; False if none is."""
        while self.more():
            found = self.data.find(wanted, self.begin, self.end)
            if found < 0:
                self._skip(self.end)
                continue
            self._skip(self.data.rfind(b"\n", self.begin, found) + 1)
            if self.next_line() == wanted:
                return True
        return False

    def _skip(self, begin: int) -> None:
        """Go on to ``data[begin]``; 0 stays, where the line looked for is the first."""
        if begin > self.begin:
            self.used(begin, self.data.count(b"\n", self.begin, begin))

    def used(self, begin: int, lines: int) -> None:
        """Go on to ``data[begin]``, past so many lines."""
        self.begin = begin
        self.line += lines

    def check_kind(self) -> None:
        """Raise ModelError if this is no text, or of a kind that is known and no ARPA file."""
        if not self.more():
            raise ModelError(f"{self._name} is empty; it must be an ARPA file")
        if self.data.startswith(b"\xef\xbb\xbf"):  # the byte order mark of Windows programs
            self.begin = 3
        head = self.data[self.begin : self.end].lstrip()
        for start, kind in _OTHERS.items():
            if head.startswith(start):
                raise ModelError(f"{self._name} is no ARPA file but {kind}")
        if b"Darpa Trigram LM" in head[:64]:
            kind = _OTHERS[b"Trie Language Model"]
            raise ModelError(f"{self._name} is no ARPA file but {kind}")

    def error(self, message: str, line: int | None = None) -> ModelError:
        """An error that names the file and a line, by default the last one used."""
        return ModelError(f"{self._name}, line {line or self.line}: {message}")


class _Rejoined:
    """A file of which the first bytes have been read already."""

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self._head, self._file = head, file

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._file.read(size)
        if size < 0:
            size = len(self._head)
        head, self._head = self._head[:size], self._head[size:]
        return head


@contextmanager
def open_arpa(source: str | os.PathLike[str] | IO[bytes]) -> Iterator[ArpaText]:
    """Text of a path or of a file open for reading bytes, decompressed if it begins like that.

    Raises:
        ModelError: the file cannot be opened or read, or is of another kind.
    """
    if not isinstance(source, str | os.PathLike):
        yield _text_of(source, str(getattr(source, "name", "the ARPA file")))
        return
    with _opened(Path(source)) as file:
        yield _text_of(file, str(source))


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        cause = getattr(error, "strerror", None) or error
        raise ModelError(
            f"{path} cannot be read: {cause}; give the path of an ARPA file"
        ) from error


def _read(file: IO[bytes], size: int, name: str) -> bytes:
    try:
        chunk = file.read(size)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise ModelError(f"{name} cannot be read: {error.strerror}") from error
        raise ModelError(
            f"{name} cannot be decompressed ({error}); it is cut short or damaged, copy it again"
        ) from error
    if not isinstance(chunk, bytes):
        raise ModelError(f"{name} gives text; open it for reading bytes, mode 'rb'")
    return chunk


def _text_of(file: IO[bytes], name: str) -> ArpaText:
    text = ArpaText(_decompressed(file, name), name)
    text.check_kind()
    return text


def _decompressed(file: IO[bytes], name: str) -> IO[bytes]:
    head = _read(file, 6, name)
    joined: Any = _Rejoined(head, file)
    for start, opened in _PACKED.items():
        if head.startswith(start):
            packed: IO[bytes] = opened(joined)
            return packed
    return joined  # type: ignore[no-any-return]
