"""Binary files of n-gram models: round trips, and all that can be wrong with a file."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import ModelError
from seqlab.lm.ngram import binary
from seqlab.lm.ngram.binary import is_binary, open_binary, write_binary
from seqlab.lm.ngram.index import QueryIndex
from seqlab.lm.ngram.query import Scorer
from seqlab.lm.ngram.words import Words
from tests.lm.ngram.models import random_table, tables
from tests.lm.ngram.test_index import assert_same

TEXT = b"w0 w1 w2 zzz w1\n\nw2 w2 w0 w0 w1 w1\n" * 20


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Bytes of a file of a small model of order 3."""
    path = tmp_path_factory.mktemp("binary") / "small.ngram"
    write_binary(random_table(np.random.default_rng(0), 3, 6, 30, -1.0), path, note="random")
    return path.read_bytes()


def with_checksums(data):
    """The bytes of a file with the checksums that they ought to have."""
    data = bytearray(data)
    length = struct.unpack_from("<Q", data, 16)[0]
    length = min(length, len(data) - 64) // 8 * 8
    body = bytes(data[64 + length :])
    struct.pack_into("<Q", data, 32, binary._sum_of(body[: len(body) // 8 * 8]))
    struct.pack_into("<Q", data, 40, 0)
    struct.pack_into("<Q", data, 40, binary._sum_of(bytes(data[: 64 + length])))
    return bytes(data)


def use(path, verify=True):
    """Open a file, ask all there is to ask, and let go of it."""
    words, index = open_binary(path, verify)
    scorer = Scorer(index)
    scorer.text(TEXT)
    state = scorer.initial_state()
    for word in (3, 4, 0, 5, 2, 3):
        state = scorer.advance(state, word)[1]
    words.find("w1"), words[4], list(words)
    try:
        index.to_table()
    except ModelError as error:
        assert "build it anew" in str(error)


@settings(max_examples=40, deadline=None)
@given(tables(), st.booleans())
def test_what_is_written_is_read(tmp_path_factory, table, verify):
    path = tmp_path_factory.mktemp("round") / "model.ngram"
    write_binary(table, path, note="né")
    words, index = open_binary(path, verify)
    assert words == table.ngrams.words and words is index.words and index.note == "né"
    assert words.find("w0") == 3 and words.find("nothing") == -1
    assert_same(index.to_table(), table)
    mine, theirs = Scorer(index).text(TEXT), Scorer(QueryIndex.build(table)).text(TEXT)
    for a, b in zip(mine, theirs, strict=True):
        assert a.tolist() == b.tolist()


@settings(max_examples=20, deadline=None)
@given(tables((2, 4)))
def test_quantised_files_score_like_quantised_indexes(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("quantised")
    write_binary(table, folder / "a.ngram", quantise=True)
    write_binary(QueryIndex.build(table), folder / "b.ngram", quantise=True)
    assert (folder / "a.ngram").read_bytes() == (folder / "b.ngram").read_bytes()
    index = open_binary(folder / "a.ngram")[1]
    assert index.quantised
    expected = Scorer(QueryIndex.build(table, quantise=True)).text(TEXT).log_prob
    assert Scorer(index).text(TEXT).log_prob.tolist() == expected.tolist()


def test_an_opened_model_is_written_again(tmp_path, small):
    (tmp_path / "a").write_bytes(small)
    write_binary(open_binary(tmp_path / "a")[1], tmp_path / "deep" / "b")
    assert (tmp_path / "deep" / "b").read_bytes() == small


def test_words_of_a_file_can_be_added_to(tmp_path, small):
    (tmp_path / "a").write_bytes(small)
    words, _ = open_binary(tmp_path / "a")
    assert words.add("new") == 6
    assert words.numbers("w0 newer new", learn=True).tolist() == [3, 7, 6]
    assert (tmp_path / "a").read_bytes() == small
    assert len(open_binary(tmp_path / "a")[0]) == 6


def test_a_file_can_be_read_only(tmp_path, small):
    (tmp_path / "a").write_bytes(small)
    (tmp_path / "a").chmod(0o400)
    use(tmp_path / "a")


def test_a_failure_leaves_the_old_file(tmp_path, small, monkeypatch):
    (tmp_path / "a").write_bytes(small)
    monkeypatch.setattr(binary, "_write_sections", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_binary(random_table(np.random.default_rng(1), 2), tmp_path / "a")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == small


def xxh64(data):
    """XXH64 with seed 0 as its specification words it, bytes at the end included."""
    one, two, three, four, five = (
        0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )  # fmt: skip
    mask = 2**64 - 1

    def rotated(x, n):
        return (x << n | x >> (64 - n)) & mask

    def rounded(lane, number):
        return rotated((lane + number * two) & mask, 31) * one & mask

    total, value = len(data), five
    if total >= 32:
        lanes = [(one + two) & mask, two, 0, -one & mask]
        while len(data) >= 32:
            lanes = [
                rounded(a, n) for a, n in zip(lanes, struct.unpack("<4Q", data[:32]), strict=True)
            ]
            data = data[32:]
        value = sum(rotated(a, n) for a, n in zip(lanes, (1, 7, 12, 18), strict=True)) & mask
        for lane in lanes:
            value = ((value ^ rounded(0, lane)) * one + four) & mask
    value = (value + total) & mask
    while len(data) >= 8:
        number = struct.unpack("<Q", data[:8])[0]
        value, data = (rotated(value ^ rounded(0, number), 27) * one + four) & mask, data[8:]
    if len(data) >= 4:
        number = struct.unpack("<I", data[:4])[0]
        value, data = (rotated(value ^ number * one & mask, 23) * two + three) & mask, data[4:]
    for byte in data:
        value = rotated(value ^ byte * five & mask, 11) * one & mask
    value = (value ^ value >> 33) * two & mask
    value = (value ^ value >> 29) * three & mask
    return value ^ value >> 32


@pytest.mark.parametrize("numbers", [0, 1, 3, 4, 5, 7, 8, 100, 1023])
def test_the_checksum_is_xxh64(numbers):
    """The two values of whole texts are those that xxHash's own documents and wheels publish."""
    assert xxh64(b"") == 0xEF46DB3751D8E999
    assert xxh64(b"Nobody inspects the spammish repetition") == 0xFBCEA83C8A378BF1
    data = np.random.default_rng(numbers).bytes(8 * numbers)
    assert binary._sum_of(data) == xxh64(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; build it anew"),
        (b"\\data\\\nngram 1=3\n", "it is an ARPA file; read it as one"),
        (b"\n\n\\data\\\nngram 1=3\n", "it is an ARPA file; read it as one"),
        (gzip.compress(b"\\data\\", mtime=0), "compressed by gzip"),
        (b"mmap lm http://kheafield.com/code format version 5\n\0", "a binary file of KenLM"),
        (pickle.dumps({"a": 1}), "a pickle, which could run any code"),
        (b"hello", "it begins with b'hello'"),
        (b"\x89SeqLM\n" + bytes(100), "line ends were translated"),
        (b"\x89SeqLM\r\n\1\0", "has 10 bytes, must have more; it was cut, copy it again"),
    ],
)  # fmt: skip
def test_other_files_are_told(tmp_path, content, message):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(ModelError, match=message) as error:
        open_binary(tmp_path / "x.bin")
    assert str(tmp_path / "x.bin") in str(error.value)


def test_versions_and_byte_orders_are_told(tmp_path, small):
    path = tmp_path / "x.ngram"
    for place, value, message in [
        (8, struct.pack("<I", 2), "is of version 2, must be 1; update seqlab"),
        (8, struct.pack("<I", 0), "is of version 0, must be 1; build it anew from its ARPA"),
        (12, struct.pack(">I", 0x01020304), "write it anew on a little-endian machine"),
        (12, struct.pack(">I", 5), "it is damaged"),
        (16, struct.pack("<Q", 2**60), "a description of 1152921504606846976 bytes"),
        (24, struct.pack("<Q", len(small) + 1), f"has {len(small)} bytes, must have"),
        (100, b"\0", "a beginning that does not fit its checksum"),
        (len(small) - 1, b"\1", "contents that do not fit their checksum"),
    ]:
        path.write_bytes(small[:place] + value + small[place + len(value) :])
        with pytest.raises(ModelError, match=message):
            open_binary(path)
        assert is_binary(path)


def test_missing_files_are_told(tmp_path):
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        open_binary(tmp_path / "none")
    with pytest.raises(ModelError, match="cannot be read"):
        open_binary(tmp_path)
    assert not is_binary(tmp_path / "none") and not is_binary(tmp_path)


def cuts(data, count, rng):
    return [data[:n] for n in (*range(70), *rng.integers(0, len(data), count), len(data) - 1)]


@pytest.mark.parametrize("count", [100, pytest.param(5000, marks=pytest.mark.slow)])
def test_cut_files_are_told(tmp_path, small, count):
    for data in cuts(small, count, np.random.default_rng(count)):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(ModelError):
            open_binary(tmp_path / "x", verify=False)
    (tmp_path / "x").write_bytes(small + b"\0")
    with pytest.raises(ModelError, match="must have"):
        open_binary(tmp_path / "x")


@pytest.mark.parametrize("count", [300, pytest.param(3000, marks=pytest.mark.slow)])
def test_flipped_bits_are_told(tmp_path, small, count):
    rng = np.random.default_rng(count)
    for place in rng.integers(0, len(small) * 8, count):
        data = bytearray(small)
        data[place // 8] ^= 1 << (place % 8)
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(ModelError):
            open_binary(tmp_path / "x")


def forged(data, rng):
    """A file with valid checksums and damage where it hurts: description, words or n-grams."""
    data = bytearray(data)
    length = struct.unpack_from("<Q", data, 16)[0]
    written = len(bytes(data[64 : 64 + length]).rstrip())
    kind = rng.integers(4)
    if kind == 0:  # one character of the description, mostly a digit
        places = [i for i in range(64, 64 + written) if chr(data[i]) in "0123456789[],"]
        data[rng.choice(places)] = ord(rng.choice(list("0123456789[],e-")))
    elif kind == 1:  # bytes of one place
        place, size = rng.integers(64 + length, len(data)), rng.integers(1, 64)
        data[place : place + size] = rng.bytes(min(size, len(data) - place))
    elif kind == 2:  # a whole page
        place = rng.integers(1, len(data) // 4096) * 4096
        data[place : place + 4096] = rng.bytes(4096)
    else:  # all that follows the words
        place = 64 + length + 4 * 4096
        data[place:] = rng.bytes(len(data) - place)
    return with_checksums(data)


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("quantise", [False, True])
def test_forged_files_do_no_harm(tmp_path, count, quantise):
    """Valid checksums over nonsense: an error, or a model whose answers are nonsense."""
    rng = np.random.default_rng(count)
    write_binary(random_table(rng, 3, 6, 30, -1.0), tmp_path / "good", quantise)
    good, opened = (tmp_path / "good").read_bytes(), 0
    assert with_checksums(good) == good
    for _ in range(count // 2):
        (tmp_path / "x").write_bytes(forged(good, rng))
        try:
            use(tmp_path / "x")
            opened += 1
        except ModelError as error:
            assert str(tmp_path / "x") in str(error)
    assert count // 10 < opened < count // 2


def test_a_vocabulary_without_end_is_refused(tmp_path, small):
    """No free place in the table of the words: a search for an unknown one would not end."""
    length = struct.unpack_from("<Q", small, 16)[0]
    begin = 64 + length + 2 * 4096
    data = with_checksums(small[:begin] + b"\1\0\0\0" * 1024 + small[begin + 4096 :])
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ModelError, match="words that contradict themselves; it is damaged"):
        open_binary(tmp_path / "x")


def test_a_full_table_of_n_grams_does_not_trap_a_search(tmp_path):
    """No free place anywhere: a search ends after the longest tail."""
    table = random_table(np.random.default_rng(0), 2, 200, 20_000)
    index = QueryIndex.build(table)
    records = np.full_like(index.tables.records, 7)
    full = index.tables._replace(records=records, values=records.view(np.float32))
    write_binary(QueryIndex(index.words, index.counts, full), tmp_path / "full")
    start = time.process_time()
    use(tmp_path / "full")
    assert time.process_time() - start < 5


def test_opening_is_quick_and_needs_no_torch(tmp_path):
    """Half a million n-grams and 100,000 words: no work for each of them."""
    rng = np.random.default_rng(0)
    table = random_table(rng, 3, 50_000, 250_000)
    write_binary(table, tmp_path / "large")
    code = (
        "import sys, time; from seqlab.lm.ngram.binary import open_binary\n"
        f"open_binary({str(tmp_path / 'large')!r})\n"
        "seconds = []\n"
        "for _ in range(5):\n"
        "    begin = time.process_time()\n"
        f"    open_binary({str(tmp_path / 'large')!r}, verify=False)\n"
        "    seconds.append(time.process_time() - begin)\n"
        "assert min(seconds) < 0.05, seconds\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_words_bring_their_own_table(tmp_path, small):
    (tmp_path / "a").write_bytes(small)
    words, _ = open_binary(tmp_path / "a")
    fresh = Words.from_bytes(words.store.copy(), words.starts.copy())
    assert fresh.hashes.tolist() == words.hashes.tolist()
    assert [fresh.find(w) for w in words] == [words.find(w) for w in words] == list(range(6))
