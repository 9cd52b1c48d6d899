"""Text sources: any form of the same text gives the same words; bad ones say what is wrong."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import os
import threading
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError, SeqlabError
from seqlab.lm.ngram import text_files
from seqlab.lm.ngram.text import SPACE, can_reread, source_size, text_blocks, unpacked_size
from seqlab.lm.ngram.words import Words

PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": partial(lzma.compress, preset=0),
}


def read(source: Any, **options: Any) -> bytes:
    """All blocks together, each of them checked."""
    blocks = list(text_blocks(source, **options))
    for block in blocks:
        assert block.dtype == np.uint8 and len(block) and block[-1] == ord("\n")
    return b"".join(block.tobytes() for block in blocks)


def words_of(data: bytes) -> list[list[bytes]]:
    """Words of each line, by the rule that bytes up to 32 part them; an oracle."""
    lines = data.split(b"\n")
    lines = lines[:-1] if not lines[-1] else lines
    table = bytes(b if b > 32 else 32 for b in range(256))
    return [[word for word in line.translate(table).split(b" ") if word] for line in lines]


def characters_of(data: bytes, space: str) -> list[list[bytes]]:
    """Characters of each line, by Python's own decoder; an oracle."""
    result = []
    for words in words_of(data):
        line: list[str] = []
        for word in words:
            line += [space] if line and space else []
            line += word.decode("utf-8", "surrogateescape")
        result.append([character.encode("utf-8", "surrogateescape") for character in line])
    return result


PIECES = ["\n", " ", "a", "word", "é", "日本", "🎉", "\r\n", "\t", "\0", "x" * 40]
BROKEN = [b"\xff", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f", b"\xc3", b"\xe0\x80\x80"]
pieces = st.sampled_from([*map(str.encode, PIECES), *BROKEN]) | st.binary(max_size=4)
texts = st.lists(pieces, max_size=40).map(b"".join)
sizes = st.integers(1, 200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("texts")


def is_text(data: bytes) -> bool:
    """Whether nothing at its beginning tells of something else."""
    kinds = (text_files._COMPRESSED, text_files._FOREIGN, text_files._NO_TEXT)
    return not any(data.startswith(magic) for kind in kinds for magic in kind)


@settings(deadline=None, max_examples=200)
@given(data=texts.filter(is_text), size=sizes, pack=st.sampled_from(sorted(PACK)))
def test_any_packing_and_block_size_gives_the_same_text(
    folder: Path, data: bytes, size: int, pack: str
) -> None:
    path = folder / "text"
    path.write_bytes(PACK[pack](data))
    content = data.removeprefix(b"\xef\xbb\xbf")
    expected = content if not content or content.endswith(b"\n") else content + b"\n"
    assert read(path, size=size) == expected


@settings(deadline=None, max_examples=100)
@given(parts=st.lists(texts, max_size=4), pack=st.sampled_from(["gzip", "bzip2", "xz"]))
def test_files_of_several_members(folder: Path, parts: list[bytes], pack: str) -> None:
    path = folder / "members"
    padding = b"" if pack == "bzip2" else bytes(8)
    path.write_bytes(padding.join(PACK[pack](part) for part in (b".", *parts, b".\n")))
    assert read(path, size=7) == b"." + b"".join(parts) + b".\n"


@settings(deadline=None, max_examples=200)
@given(data=texts.filter(is_text), size=sizes, space=st.sampled_from([SPACE, "_", "", "<sp>"]))
def test_characters_are_those_of_python(folder: Path, data: bytes, size: int, space: str) -> None:
    path = folder / "characters"
    path.write_bytes(data)
    parted = read(path, unit="character", size=size, space=space)
    assert words_of(parted) == characters_of(data.removeprefix(b"\xef\xbb\xbf"), space)


@settings(deadline=None, max_examples=100)
@given(
    sentences=st.lists(st.lists(st.text(min_size=1, max_size=5), max_size=6), max_size=30),
    size=sizes,
)
def test_sentences_lists_and_files_give_the_same_words(
    folder: Path, sentences: list[list[str]], size: int
) -> None:
    sentences = [[w for w in words if not any(c <= " " for c in w)] for words in sentences]
    path = folder / "sentences"
    data = b"".join(" ".join(words).encode() + b"\n" for words in sentences)
    path.write_bytes(data)
    assert read(sentences, size=size) == data
    assert read(map(tuple, sentences), size=size) == data
    assert read((" ".join(words) for words in sentences), size=size) == data
    if not data.startswith(b"\xef\xbb\xbf") and is_text(data):
        assert read(str(path), size=size) == data


def test_blocks_are_numbered_like_the_text() -> None:
    lines = ["a b  c", "", "c é a", "b"] * 50
    whole = Words().numbers("\n".join(lines), learn=True, marks=True)
    words = Words()
    parts = [words.numbers(b, learn=True, marks=True) for b in text_blocks(lines, size=20)]
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("size", [1, 10, 100])
def test_only_the_byte_order_mark_of_a_file_goes(tmp_path: Path, size: int) -> None:
    path = tmp_path / "marked"
    line = "\ufeffsome words\n"
    path.write_text(line * 9, encoding="utf-8")
    assert read(path, size=size).decode() == (line * 9).removeprefix("\ufeff")
    assert read([path, path], size=size).decode() == 2 * (line * 9).removeprefix("\ufeff")


def test_a_line_longer_than_a_block(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"a b\n" + b"x" * 5000 + b"\nc")
    assert read(path, size=16) == b"a b\n" + b"x" * 5000 + b"\nc\n"
    assert max(map(len, text_blocks(path, size=16))) < 5010


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "LONGEST_LINE", 2**16)
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(bytes(2**22)))
    with pytest.raises(DataError, match=r"bomb has a line of more than 65536 bytes; .*break it"):
        read(path, size=1024)


def test_nothing_gives_no_blocks(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    for data in (b"", b"\xef\xbb\xbf", gzip.compress(b"")):
        path.write_bytes(data)
        assert read(path) == b""
    assert read([]) == b"" and read(iter(())) == b""


def test_empty_sentences_are_lines() -> None:
    assert read(["", [], "a"]) == b"\n\na\n"


def test_newlines_inside_a_sentence_are_white_space() -> None:
    assert read(["a\nb\n", "c\n"]) == b"a b\nc\n"
    assert read(io.StringIO("a\nb\n")) == b"a\nb\n"


def test_several_files_and_progress(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.txt", tmp_path / "b.txt"
    plain.write_bytes(b"a\n" * 100)
    packed.write_bytes(gzip.compress(b"b\n" * 100))
    told: list[tuple[str, int, int | None]] = []
    source = [plain, packed, plain]
    text = read(source, size=50, progress=lambda *args: told.append(args))
    assert text == b"a\n" * 100 + b"b\n" * 100 + b"a\n" * 100
    size = 400 + packed.stat().st_size
    assert source_size(source) == size
    assert {(what, total) for what, _, total in told} == {("bytes read", size)}
    done = [d for _, d, _ in told]
    assert done == sorted(done) and done[-1] == size
    assert read(itertools.chain(["x"], source[:1], ["y"])) == b"x\n" + b"a\n" * 100 + b"y\n"


def test_sizes_and_rereading(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert source_size(str(path)) == source_size(path) == 3
    assert source_size([path, tmp_path / "missing"]) is None
    assert source_size("-") is None and source_size(iter([path])) is None
    assert can_reread(path) and can_reread([path]) and can_reread(["a b"])
    assert not can_reread(x for x in ["a"]) and not can_reread("-")


@pytest.mark.parametrize("pack", sorted(PACK))
def test_the_size_of_a_packed_text_is_guessed(tmp_path: Path, pack: str) -> None:
    path = tmp_path / "packed"
    numbers = b"".join(b"%d\n" % (i % 1000 * i % 5003) for i in range(1_200_000))
    for data in (b"", b"some words\n", numbers):
        path.write_bytes(PACK[pack](data))
        size = unpacked_size(path)
        assert size is not None and abs(size - len(data)) <= 0.25 * len(data)
    assert unpacked_size([path, path]) == 2 * size
    assert unpacked_size("-") is None and unpacked_size(["a"]) is None and unpacked_size([]) is None


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        buffer = io.BytesIO(gzip.compress(b"a b\nc"))

    monkeypatch.setattr("sys.stdin", Input)
    assert read("-") == b"a b\nc\n"
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(DataError, match="standard input is closed"):
        read("-")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("pack", ["plain", "xz"])
def test_named_pipe_that_gives_a_byte_at_a_time(tmp_path: Path, pack: str) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as file:
            for byte in PACK[pack](b"a b\nc d\n" * 3):
                file.write(bytes([byte]))

    thread = threading.Thread(target=write)
    thread.start()
    assert read(path, size=8) == b"a b\nc d\n" * 3
    thread.join()


@pytest.mark.parametrize("pack", ["gzip", "bzip2", "xz"])
def test_files_cut_at_any_byte(tmp_path: Path, pack: str) -> None:
    data = PACK[pack](b"one two three\n" * 20)
    path = tmp_path / "cut"
    for length in range(8, len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(
            DataError, match=rf"cut cannot be read: .*{pack} file is damaged or cut"
        ):
            read(path)


@pytest.mark.parametrize("pack", ["gzip", "bzip2", "xz"])
def test_damaged_files(tmp_path: Path, pack: str) -> None:
    whole = b"".join(b"%d %d\n" % (i, i * i) for i in range(200))
    data = PACK[pack](whole)
    path = tmp_path / "damaged"
    for place in range(10, len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x5A]) + data[place + 1 :])
        try:
            assert read(path) == whole  # a bit that says nothing about the contents
        except DataError as error:
            assert "damaged" in str(error)


@pytest.mark.parametrize("pack", ["gzip", "bzip2", "xz"])
def test_garbage_after_a_member_is_not_dropped(tmp_path: Path, pack: str) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(PACK[pack](b"a\n") + b"something else altogether")
    with pytest.raises(DataError, match="damaged or cut off"):
        read(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a\n".encode("utf-16"), r"is UTF-16.*must be UTF-8; convert it: iconv"),
        (b"PK\x03\x04" + bytes(30), "is a zip archive; unpack it"),
        (b"\x28\xb5\x2f\xfd" + bytes(30), "is zstd-compressed; pipe it in"),
        (b"\\data\\\nngram 1=3\n", "is an ARPA model; give a text"),
        (gzip.compress(b"\\data\\\n", mtime=0), "is an ARPA model; give a text"),
        (b"mmap lm http://kheafield.com", "is a binary model of KenLM; give a text"),
    ],
)
def test_other_kinds_of_files(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        read(path)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a folder, must be a text file; name files in it"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"cannot be opened: No such file.*sentences as a list"):
        read("the cat sat on the mat")
    for name in ("nul\0byte", "long" * 2000):
        with pytest.raises(DataError, match="cannot be opened"):
            read(name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_forbidden_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0)
    with pytest.raises(DataError, match="Permission denied"):
        read(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"a b", "decode it"),
        (7, "must be a file or an iterable of sentences"),
        ([b"a b"], r"sentence 1 is b'a b', must be a str or a list of words; open the file as"),
        (["a", 7], r"sentence 2 is 7, must be a str or a list of words$"),
        ([["a"], ["b", "c d"]], r"word 'c d' of sentence 2 must be one word without white space"),
        ([["a", ""]], r"word '' of sentence 1 must be one word"),
        ([["", "a b"]], r"word '' of sentence 1 must be one word"),
        ([["a\tb"]], r"word 'a\\tb' of sentence 1"),
        ([["a\n"]], r"word 'a\\n' of sentence 1"),
        ([["a", None]], r"word None of sentence 1 must be a str"),
        (["a", "b", "c \ud800"], r"sentence 3 holds half a surrogate pair \('\\ud800'\)"),
    ],
)
def test_bad_sentences(source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(source)


def test_words_may_hold_what_only_unicode_calls_a_space() -> None:
    assert read([["a\u00a0b", "c\u3000"]]) == "a\u00a0b c\u3000\n".encode()


def test_bad_options() -> None:
    with pytest.raises(SeqlabError, match="size=0 must be"):
        read(["a"], size=0)
    with pytest.raises(DataError, match=r"unit='char' must be .* did you mean 'character'"):
        read(["a"], unit="char")
    with pytest.raises(DataError, match=r"unit='no\.model' cannot be read: No such file"):
        read(["a"], unit="no.model")
    with pytest.raises(DataError, match="space=' ' must be a word"):
        read(["a"], unit="character", space=" ")


@pytest.fixture(scope="module")
def piece_model(folder: Path) -> Path:
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["hello world it is", "the world of words"] * 50),
        model_writer=model,
        vocab_size=19,
        minloglevel=5,
    )
    path = folder / "pieces.model"
    path.write_bytes(model.getvalue())
    return path


def test_pieces(piece_model: Path, tmp_path: Path) -> None:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(piece_model))
    lines = ["hello words", "", "the\tworld\0is  it", "<s> é"]
    expected = [processor.encode(line.translate({9: 32, 0: 32}), out_type=str) for line in lines]
    assert expected[3][-1] == "é"  # which has no piece
    expected[3] = [word if processor.piece_to_id(word) else "<unk>" for word in expected[3]]
    for size in (1, 10, 1000):
        parted = read(lines, unit=piece_model, size=size)
        assert [[w.decode() for w in line] for line in words_of(parted)] == expected
    assert words_of(read(["a"], unit=str(piece_model)))
    piece_model.with_name("bad.model").write_bytes(b"no model")
    with pytest.raises(DataError, match="it is no sentencepiece model"):
        read(["a"], unit=piece_model.with_name("bad.model"))
    bad = tmp_path / "bytes"
    bad.write_bytes(b"hello \xff\n")
    assert words_of(read(bad, unit=piece_model))[0]


def test_bounded_memory(tmp_path: Path) -> None:
    """A packed text far larger than a block is never in memory as a whole."""
    import tracemalloc

    path = tmp_path / "large"
    packer = zlib.compressobj(wbits=31)
    with path.open("wb") as file:
        for _ in range(64):
            file.write(packer.compress(b"some words of a line\n" * 50_000))
        file.write(packer.flush())
    tracemalloc.start()
    try:
        total = sum(map(len, text_blocks(path, size=2**20)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 64 * 50_000 * 21 and peak < 8 * 2**20
