"""ARPA files, read and written: KenLM's own models, its Python module, and a reader in Python."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import io
import lzma
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import ModelError
from seqlab.lm.ngram.arpa import read_arpa, write_arpa
from seqlab.lm.ngram.link import link_ngrams
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.words import Words

from .arpa_oracle import (
    SMALL,
    assert_same,
    grams_of,
    parsed,
    read,
    score_sentence,
    validate,
    written,
)

MODELS = [
    "kn2",
    "kn3",
    "kn5",
    "kn3_prune001",
    "kn3_prune011",
    "kn3_no_unigram_interpolation",
    "chars4",
]  # estimated by KenLM's lmplz


@pytest.fixture(params=MODELS)
def reference(request) -> Path:
    folder = Path(os.environ.get("SEQLAB_DATA", "missing")) / "../reference/ngram"
    if not folder.is_dir():
        pytest.skip("the models estimated by KenLM lie beside the folder that SEQLAB_DATA names")
    return folder / f"{request.param}.arpa.gz"


def sentences_for(reference: Path) -> list[str]:
    name = "test.chars.txt" if reference.name.startswith("chars") else "test.txt"
    return (reference.parent / name).read_text().splitlines()[:60]


def test_every_number_of_kenlms_models(reference):
    table = read_arpa(reference)
    validate(table)
    expected, grams = parsed(gzip.decompress(reference.read_bytes()).decode()), grams_of(table)
    assert grams.keys() == expected.keys()
    del expected[("<s>",)], grams[("<s>",)]
    got = np.array(list(grams.values())) / math.log(10)
    np.testing.assert_allclose(got, [expected[g] for g in grams], rtol=1e-7, atol=1e-12)


def test_reading_what_was_written_gives_the_same_bits(reference, tmp_path):
    table = read_arpa(reference)
    write_arpa(table, tmp_path / "lm.arpa")
    assert_same(read_arpa(tmp_path / "lm.arpa"), table)
    write_arpa(table, tmp_path / "lm.arpa.gz")
    plain = (tmp_path / "lm.arpa").read_bytes()
    assert gzip.decompress((tmp_path / "lm.arpa.gz").read_bytes()) == plain
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lm.arpa", "lm.arpa.gz"]


def test_kenlm_scores_our_files_like_its_own(reference, tmp_path):
    kenlm = pytest.importorskip("kenlm")
    text = gzip.decompress(reference.read_bytes())
    (tmp_path / "theirs.arpa").write_bytes(text)
    table = read_arpa(reference)
    write_arpa(table, tmp_path / "ours.arpa")
    theirs = kenlm.Model(str(tmp_path / "theirs.arpa"))
    ours = kenlm.Model(str(tmp_path / "ours.arpa"))
    grams = grams_of(table)
    for sentence in sentences_for(reference):
        expected = [prob for prob, _, _ in theirs.full_scores(sentence)]
        got = [prob for prob, _, _ in ours.full_scores(sentence)]
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
        in_python = np.array(score_sentence(grams, table.order, sentence)) / math.log(10)
        np.testing.assert_allclose(in_python, expected, rtol=1e-6, atol=1e-6)


def test_kenlm_reads_never_and_unknown(tmp_path):
    kenlm = pytest.importorskip("kenlm")
    write_arpa(read(SMALL.replace("-0.5\ta\t", "-99\ta\t")), tmp_path / "lm.arpa")
    model = kenlm.Model(str(tmp_path / "lm.arpa"))
    scores = [prob for prob, _, _ in model.full_scores("b a x", bos=False, eos=False)]
    # p(b), p(a | b), bow(b a) + bow(a) + p(<unk>)
    assert scores == pytest.approx([-0.625, -0.875, -0.25 - 1.5], abs=1e-6)


def test_small_model_as_text():
    """Suffix order: n-grams that end alike stand together."""
    head, *_ = SMALL.split("grams:\n")[1:]
    assert written(read(SMALL)).split("grams:\n")[1:] == [
        head,
        "-0.4\tb </s>\t0\n-0.25\t<s> a\t-0.5\n-0.875\tb a\t0\n-0.375\ta b\t-0.0625\n\n\\3-",
        "-0.1875\ta b </s>\n-0.125\t<s> a b\n\n\\end\\\n",
    ]


def test_compressed_files_and_open_files(tmp_path):
    expected = read(SMALL)
    for name, pack in {"a.gz": gzip.compress, "b.xz": lzma.compress, "c": bz2.compress}.items():
        (tmp_path / name).write_bytes(pack(SMALL.encode()))
        assert_same(read_arpa(tmp_path / name), expected)
        assert_same(read_arpa(str(tmp_path / name)), expected)
        with (tmp_path / name).open("rb") as file:
            assert_same(read_arpa(file), expected)
    twice = gzip.compress(SMALL[:50].encode()) + gzip.compress(SMALL[50:].encode())
    assert_same(read(twice), expected)


class Trickle(io.RawIOBase):
    """A file that gives few bytes at a time and cannot seek, as sockets and pipes do."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size = io.BytesIO(data), size

    def read(self, size: int = -1) -> bytes:
        return self._data.read(self._size)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_blocks_may_end_anywhere(size):
    assert_same(read_arpa(Trickle(SMALL.encode(), size)), read(SMALL))


def random_table(seed: int, order: int, size: int, names: list[str]) -> BackoffTable:
    random = np.random.default_rng(seed)
    words = Words(names)
    grams = [np.arange(len(words), dtype=np.int32)[:, None]]
    for k in range(2, order + 1):
        grams.append(np.unique(random.integers(0, len(words), (size, k), np.int32), axis=0))
    ngrams, _ = link_ngrams(words, grams)
    log_prob = [-random.exponential(3, n).astype(np.float32) for n in ngrams.sizes]
    log_backoff = [random.normal(-1, 1, n).astype(np.float32) for n in ngrams.sizes[:-1]]
    for values in (*log_prob, *log_backoff):
        values *= random.choice([0, 1e-7, 1e-3, 0.1, 1, 10], len(values)).astype(np.float32)
        values[random.random(len(values)) < 0.05] = -np.inf
    log_prob[0][1] = -np.inf
    return BackoffTable(ngrams, tuple(log_prob), tuple(log_backoff))


@pytest.mark.parametrize("order", range(1, 10))
def test_random_models_of_every_order(order):
    table = random_table(order, order, 300, [f"w{'x' * i}{i}" for i in range(30)])
    validate(table)
    again = read(written(table))
    validate(again)
    assert_same(again, table)


def test_words_of_any_bytes():
    names = ["é", "中文", "\u00a0", "\udcff\udc80", "x" * 5000, "\\data\\", "-1", "<UNK>", "<S>"]
    names += ["12345678", "123456789", "a" * 16, "a" * 17, "\x7f", "\u0085", "\u3000"]
    words = Words.from_bytes(*packed(names))
    ngrams, _ = link_ngrams(words, [np.zeros((0, 1), np.int32), np.array([[3, 4]], np.int32)])
    probs = tuple(np.linspace(-9, -1, n).astype(np.float32) for n in ngrams.sizes)
    probs[0][1] = -np.inf
    table = BackoffTable(ngrams, probs, (np.zeros(len(words), np.float32),))
    assert_same(read(written(table).encode("utf-8", "surrogateescape")), table)


def packed(names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    data = [name.encode("utf-8", "surrogateescape") for name in ("<unk>", "<s>", "</s>", *names)]
    starts = np.cumsum([0, *(len(word) for word in data)])
    return np.frombuffer(b"".join(data), np.uint8), starts


@given(st.lists(st.floats(-(2.0**99), 0, width=32), min_size=1, max_size=200))
@settings(deadline=None)
def test_any_float32_comes_back(values):
    words = Words(f"w{i}" for i in range(len(values)))
    ngrams, _ = link_ngrams(words, [np.zeros((0, 1), np.int32)])
    probs = np.array([-1, -np.inf, -1, *values], np.float32)
    again = read(written(BackoffTable(ngrams, (probs,), ()))).log_prob[0]
    # numbers below 1e-37 have fewer bits, and 0 loses its sign
    np.testing.assert_allclose(again, probs, rtol=0, atol=1e-44)


def test_a_number_that_rounds_to_never():
    words = Words(["a", "b"])
    ngrams, _ = link_ngrams(words, [np.zeros((0, 1), np.int32)])
    near = np.float32(-99 * math.log(10))
    probs = np.array([-1, -np.inf, -1, near, np.nextafter(near, np.float32(0))], np.float32)
    again = read(written(BackoffTable(ngrams, (probs,), ()))).log_prob[0]
    assert np.array_equal(again, probs)


def test_more_words_and_lines_than_one_block():
    names = [f"word{i:06}{'x' * (i % 9)}" for i in range(40000)]
    table = random_table(0, 2, 60000, names)
    assert_same(read(written(table)), table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unseen_backoff": -0.9}, "unseen_backoff=-0.9 must be 0 for an ARPA file.*binary"),
        ({"log_prob": math.nan}, "log-probability nan of a 2-gram must be at most 0"),
        ({"log_prob": 0.5}, "log-probability 0.5 of a 2-gram must be at most 0"),
        ({"log_backoff": math.inf}, "back-off weight inf of a 1-gram must be a finite logarithm"),
        ({"log_backoff": math.nan}, "back-off weight nan of a 1-gram must be a finite logarithm"),
    ],
)
def test_models_that_cannot_be_written(change, message, tmp_path):
    table = read(SMALL)
    if "unseen_backoff" in change:
        table = dataclasses.replace(table, **change)
    elif "log_prob" in change:
        table.log_prob[1][2] = change["log_prob"]
    else:
        table.log_backoff[0][3] = change["log_backoff"]
    with pytest.raises(ModelError, match=message):
        write_arpa(table, tmp_path / "lm.arpa")
    assert not list(tmp_path.iterdir())


def test_a_probability_above_one_by_rounding_is_written_as_one():
    table = read(SMALL)
    table.log_prob[1][0] = 1e-7
    assert "\n0\tb </s>\t0\n" in written(table)


def test_failed_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "lm.arpa"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seqlab.lm.ngram.arpa_write.write_lines", fail)
    with pytest.raises(KeyboardInterrupt):
        write_arpa(read(SMALL), path)
    assert [p.name for p in tmp_path.iterdir()] == ["lm.arpa"] and path.read_text() == "old"


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(ModelError, match="cannot be written"):
        write_arpa(read(SMALL), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"file/lm\.arpa cannot be written: "):
        write_arpa(read(SMALL), tmp_path / "file" / "lm.arpa")
    write_arpa(read(SMALL), tmp_path / "new" / "folder" / "lm.arpa")
    assert_same(read_arpa(tmp_path / "new" / "folder" / "lm.arpa"), read(SMALL))
