"""Random damage to ARPA files: a clear error or a whole model, never anything else."""

from __future__ import annotations

import gzip
import warnings

import numpy as np
import pytest

from seqlab.errors import ModelError

from .arpa_oracle import SMALL, read, validate, written

GENTLE = SMALL.replace("\\3-grams", "\n\\3-grams").replace("\t", " ").encode()
TOKENS = [
    b"", b" ", b"\t", b"\n", b"\r\n", b"\\", b"\\end\\", b"\\data\\", b"\\2-grams:", b"<s>", b"a",
    b"<unk>", b"<UNK>", b"0", b"-99", b"nan", b"-inf", b"1e999", b"-1e-999", b"999999999999999999",
    b"ngram 2=4\n", b"ngram 4=0\n", b"=", b"\0", b"\xff", b"\xef\xbb\xbf", b"x" * 300, b"0" * 40,
]  # fmt: skip


def outcome(data: bytes) -> str:
    """Read ``data``: the model is whole, or the error says where and what."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            table = read(data)
        except ModelError as error:
            assert len(str(error)) > 20
            return "error"
    validate(table)
    validate(read(written(table).encode("utf-8", "surrogateescape")))
    return "model"


def damaged(random: np.random.Generator) -> bytes:
    """One of the small files with random bits, bytes, tokens or lines changed."""
    data = bytearray(SMALL.encode() if random.random() < 0.5 else GENTLE)
    for _ in range(random.integers(1, 4)):
        kind, place = random.integers(7), int(random.integers(len(data)))
        if kind == 0:
            data[place] ^= 1 << int(random.integers(8))
        elif kind == 1:
            data[place] = int(random.integers(256))
        elif kind == 2:
            data[place : place + int(random.integers(6))] = TOKENS[random.integers(len(TOKENS))]
        elif kind == 3:
            del data[place : place + int(random.integers(1, 40))]
        else:
            lines = bytes(data).split(b"\n")
            i, j = random.integers(len(lines), size=2)
            if kind == 4:
                lines[i], lines[j] = lines[j], lines[i]
            elif kind == 5:
                lines.insert(i, lines[j])
            else:
                del lines[i]
            data = bytearray(b"\n".join(lines) or b"\n")
    return bytes(data)


def test_cut_at_every_byte():
    for text in (SMALL.encode(), GENTLE):
        for size in range(len(text)):
            complete = text[:size].rstrip().endswith(b"\\end\\")
            assert outcome(text[:size]) == ("model" if complete else "error")


def test_compressed_and_cut_or_flipped():
    packed = gzip.compress(SMALL.encode(), mtime=0)
    for size in range(len(packed)):
        assert outcome(packed[:size]) == "error"
        flipped = bytearray(packed)
        flipped[size] ^= 1 << (size % 8)
        outcome(bytes(flipped))


def test_every_bit_of_a_small_file():
    text = SMALL.encode()
    for place in range(0, 8 * len(text), 5):
        flipped = bytearray(text)
        flipped[place // 8] ^= 1 << (place % 8)
        outcome(bytes(flipped))


def cases(seed: int, count: int) -> dict[str, int]:
    random = np.random.default_rng(seed)
    outcomes = {"error": 0, "model": 0}
    for _ in range(count):
        outcomes[outcome(damaged(random))] += 1
    return outcomes


def test_random_damage():
    outcomes = cases(0, 10_000)
    assert outcomes["error"] > 2000 and outcomes["model"] > 500


@pytest.mark.slow
def test_much_random_damage():
    cases(1, 200_000)


def test_random_bytes():
    random = np.random.default_rng(2)
    for size in (1, 2, 7, 100, 5000):
        for _ in range(20):
            assert outcome(random.bytes(size)) == "error"
            assert outcome(b"\\data\\\nngram 1=3\n\n\\1-grams:\n" + random.bytes(size)) == "error"
