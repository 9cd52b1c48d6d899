"""Damaged ARPA files: the error names the file, the line, and the likely cause."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tracemalloc

import pytest

from seqlab.errors import ModelError
from seqlab.lm.ngram.arpa import read_arpa
from seqlab.lm.ngram.binary import MAGIC

from .arpa_oracle import SMALL, read


def line_of(text: str) -> int:
    return SMALL[: SMALL.index(text)].count("\n") + 1


CHANGES = [
    # what stands in the small model, what shall stand there, the line, the message
    ("ngram 2=4", "ngram 2=5", 3, "'ngram 2=5' does not agree with the 4 2-grams that stand above"),
    ("ngram 2=4", "ngram 2=3", 3, "'ngram 2=3' does not agree with the 4 2-grams"),
    ("ngram 2=4", "ngram 2=999999999999999999", 3, "does not agree with the 4 2-grams"),
    ("ngram 2=4", "ngram 2=9999999999999999999", 3, "must be 'ngram 2=' and a count"),
    ("ngram 2=4", "ngram 2=-4", 3, "'ngram 2=-4' must be 'ngram 2=' and a count"),
    ("ngram 2=4", "ngram 3=4", 3, "'ngram 3=4' must be 'ngram 2=' and a count"),
    (
        "ngram 3=2\n",
        "",
        13,
        "weight '-0.5' of an n-gram of the highest order.*lacks a longer order",
    ),
    (
        SMALL[SMALL.index("ngram 3") :],
        SMALL[SMALL.index("ngram 3") :]
        .replace("ngram 3=2\n", "")
        .replace("-0.5\n", "0\n")
        .replace("-0.0625\n", "0\n"),
        18,
        r"'\\\\3-grams:' must be \\end\\.*header lacks an order",
    ),
    ("ngram 3=2\n", "ngram 3=2\nngram 4=1\n", 24, r"'\\\\end\\\\' must be \\4-grams:, as line 5"),
    ("\\2-grams:", "\\3-grams:", 13, r"'\\\\3-grams:' must be \\2-grams:, as line 3 promises 4"),
    (
        "\\2-grams:\n",
        "",
        13,
        "4 fields must be a log-probability, a word.*belongs to a higher order",
    ),
    ("\\1-grams:", "1-grams:", 6, "'1-grams:' must be 'ngram 4=' and a count"),
    ("\\data\\", "data", 23, r"without a line \\data\\ and begins with 'data'; it is no ARPA file"),
    ("\\end\\\n", "", 22, r"ends within the 3-grams, without the line \\end\\; it is cut short"),
    ("\\end\\", "\\ende\\", 23, r"'\\\\ende\\\\' must be \\end\\"),
    ("\\end\\\n", "\\end\\\n\\data\\\n", 24, r"only blank lines may follow \\end\\; two files"),
    (
        "-0.375\ta b\t-0.0625",
        "-0.375\ta",
        15,
        "2 fields must be a log-probability, 2 words.*it was cut",
    ),
    ("-0.375\ta b\t-0.0625", "-0.375", 15, "one field must be"),
    ("a b\t-0.0625", "a b b\t-0.0625", 15, "5 fields must be.*a word holds a space"),
    ("-0.375\ta b", "-0.375\ta a", 15, None),
    ("-0.375\ta b", "-0.375\tA b", 15, "word 'A' is not among the 1-grams.*differ in case"),
    ("-0.375\ta b", "-0.375\ta \udcff", 15, r"word '\\udcff' is not among the 1-grams"),
    ("-0.375\ta b", "nan\ta b", 15, "log-probability 'nan' is not a number"),
    ("-0.375\ta b", "-1.#IND\ta b", 15, "log-probability '-1.#IND' is not a number"),
    ("-0.375\ta b", "inf\ta b", 15, "log-probability 'inf' must be at most 0, to base 10"),
    ("-0.375\ta b", "1.#INF\ta b", 15, "log-probability '1.#INF' must be at most 0"),
    ("-0.375\ta b", "0.375\ta b", 15, "log-probability '0.375' must be at most 0, to base 10"),
    ("-0.375\ta b", "-0,375\ta b", 15, "'-0,375' is no number; write a decimal point"),
    ("-0.375\ta b", "-0.3x\ta b", 15, "log-probability '-0.3x' is no number"),
    ("-0.375\ta b", "-\ta b", 15, "log-probability '-' is no number"),
    ("-0.375\ta b", "-1e\ta b", 15, "log-probability '-1e' is no number"),
    ("-0.375\ta b", "-0.3.7\ta b", 15, "log-probability '-0.3.7' is no number"),
    ("-0.375\ta b", "--1\ta b", 15, "log-probability '--1' is no number"),
    ("-0.375\ta b", "-1e35\ta b", 15, r"'-1e35' must be above -1e\+30; write -99 for minus inf"),
    ("a b\t-0.0625", "a b\tc", 15, "back-off weight 'c' is no number"),
    ("a b\t-0.0625", "a b\tnan", 15, "back-off weight 'nan' is not a number"),
    ("a b\t-0.0625", "a b\tinf", 15, "back-off weight 'inf' must be at most 99"),
    ("a b\t-0.0625", "a b\t1e5", 15, "back-off weight '1e5' must be at most 99"),
    ("<s> a b", "<s> a b\t-0.5", 20, "back-off weight '-0.5' of an n-gram of the highest order"),
    ("-0.375\ta b", "-0.375\ta\x0b b", 15, r"holds the control character b'\\x0b'"),
    ("-0.375\ta b", "-0.375\ta\0b", 15, r"holds the control character b'\\x00'"),
    ("-0.875\tb a", "-0.875\ta b", 16, "2-gram 'a b' stands twice.*; line 15 has it too"),
    ("-0.1875\ta b </s>", "\n-0.1875\t<s> a b", 22, "3-gram '<s> a b' stands.*line 20 has it"),
    ("-0.625\tb", "-0.625\ta", 11, "word 'a' stands twice among the 1-grams"),
    ("-0.625\tb", "-0.625\t<s>", 11, "word '<s>' stands twice among the 1-grams"),
    ("-99\t<s>", "-99\tx", 6, "must hold <s>, the begin and end of sentences; add '-99 <s>'"),
    ("-0.75\t</s>", "-0.75\tx", 6, "must hold </s>"),
]


@pytest.mark.parametrize(("old", "new", "line", "message"), CHANGES)
def test_damaged_text(old, new, line, message):
    assert SMALL.count(old) >= 1
    text = SMALL.replace(old, new, 1).encode("utf-8", "surrogateescape")
    if message is None:
        read(text)
        return
    with pytest.raises(ModelError, match=message) as error:
        read(text)
    found = re.search(r", line (\d+): ", str(error.value))
    assert found and int(found[1]) == line, str(error.value)


def test_order_ten():
    counts = "".join(f"ngram {k}=1\n" for k in range(1, 12))
    with pytest.raises(ModelError, match=r"line 11: n-grams of 10 words are too long.*at most 9"):
        read(f"\\data\\\n{counts}\n\\1-grams:\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"\n", r"ends without a line \\data\\"),
        (b"\\data\\", "ends where the counts of n-grams should follow; it is cut short"),
        (b"\\data\\\n\\1-grams:\n", "no lines 'ngram 1=...' stand below"),
        (b"\\data\\\nngram 1=3\n", "ends where the counts"),
        (MAGIC + b"\x01\0\0\0", "a binary model of seqlab; load it with NGramModel.load"),
        (b"mmap lm http://kheafield.com/code format version 5\n\x00", "a binary model of KenLM"),
        (b"Trie Language Model\x00\x05", "PocketSphinx.*sphinx_lm_convert"),
        (b"\x11\0\0\0Darpa Trigram LM\0", "PocketSphinx.*sphinx_lm_convert"),
        (b"SRILM_BINARY_NGRAM_002\n", "SRILM.*-write-lm"),
        (b"PK\x03\x04abc", "a zip archive; unpack it"),
        (b"\x28\xb5\x2f\xfdabc", "zstd"),
        (SMALL.encode("utf-16"), "UTF-16 text; convert it to UTF-8"),
        (gzip.compress(gzip.compress(SMALL.encode(), mtime=0), mtime=0), "compressed twice"),
        (lzma.compress(gzip.compress(SMALL.encode(), mtime=0)), "compressed twice"),
        (gzip.compress(SMALL.encode(), mtime=0)[:-30], "cannot be decompressed.*cut short"),
        (
            gzip.compress(SMALL.encode(), mtime=0)[:-8] + b"12345678",
            "cannot be decompressed|cannot be read",
        ),
        (lzma.compress(SMALL.encode())[:-30], "cannot be decompressed"),
        (bz2.compress(SMALL.encode())[:-30], "cannot be decompressed"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b"\0" * 3_000_000, "longer than 1 MiB"),
        (gzip.compress(b"a" * 3_000_000, mtime=0), "longer than 1 MiB"),
    ],
)
def test_files_of_other_kinds(text, message):
    with pytest.raises(ModelError, match=message):
        read(text)


def test_paths(tmp_path):
    with pytest.raises(ModelError, match=r"lm\.arpa cannot be read: No such file"):
        read_arpa(tmp_path / "lm.arpa")
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        read_arpa(tmp_path)
    with pytest.raises(ModelError, match="cannot be read: embedded null byte"):
        read_arpa("lm\0.arpa")
    (tmp_path / "lm.arpa").write_text(SMALL.replace("-0.375", "x"))
    with pytest.raises(ModelError, match=r"lm\.arpa, line 15: log-probability 'x' is no number"):
        read_arpa(tmp_path / "lm.arpa")
    with (tmp_path / "lm.arpa").open("rb") as file:
        with pytest.raises(ModelError, match=r"lm\.arpa, line 15: "):
            read_arpa(file)
        assert not file.closed
    with pytest.raises(ModelError, match="gives text; open it for reading bytes, mode 'rb'"):
        read_arpa(io.StringIO(SMALL))  # type: ignore[arg-type]


def test_lines_are_counted_over_blocks_and_blank_lines():
    names = [f"w{i}" for i in range(200_000)]
    unigrams = "\n\n".join(f"-1\t{name}" for name in ("<s>", "</s>", *names))
    head = "\\data\\\nngram 1=200002\nngram 2=2\n\n\\1-grams:\n"
    text = f"{head}{unigrams}\n\\2-grams:\n-1\tw0 w1\n\n-1\tw0 w1\n\\end\\\n"
    last = text.count("\n")
    with pytest.raises(ModelError, match=f"line {last - 1}: 2-gram 'w0 w1'.*line {last - 3} has"):
        read(text)
    with pytest.raises(ModelError, match=f"line {last - 5}: word 'w7' stands twice"):
        read(text.replace("w199999", "w7"))


def test_the_header_allocates_nothing():
    text = SMALL.replace("ngram 2=4", "ngram 2=200000000000")
    read(SMALL)
    tracemalloc.start()
    with pytest.raises(ModelError, match="does not agree"):
        read(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
