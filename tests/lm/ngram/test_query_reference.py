"""Queries of lmplz's own models, word by word, against the kenlm wheel."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from seqlab.lm.ngram.arpa import read_arpa
from seqlab.lm.ngram.binary import open_binary, write_binary
from seqlab.lm.ngram.index import QueryIndex
from seqlab.lm.ngram.query import Scorer
from seqlab.lm.ngram.words import BEGIN

FOLDER = Path(os.environ.get("SEQLAB_DATA", "none")) / ".." / "reference" / "ngram"
MODELS = ["kn2", "kn3", "kn3_no_unigram_interpolation", "kn3_prune001", "kn3_prune011", "kn5",
          "chars4"]  # fmt: skip
RECORDED = Path(__file__).with_name("kenlm_scores.json")
pytestmark = pytest.mark.data


@pytest.mark.parametrize("name", MODELS)
def test_every_word_scores_as_kenlm_said(name):
    """Against scores that the kenlm wheel gave, so that no compiler is needed to install it."""
    if not (FOLDER / f"{name}.arpa.gz").exists():
        pytest.skip(f"{FOLDER} has no {name}.arpa.gz; set SEQLAB_DATA beside it")
    said = json.loads(RECORDED.read_text(encoding="utf-8"))[name]
    text = (FOLDER / ("test.chars.txt" if name == "chars4" else "test.txt")).read_bytes()
    text = b"\n".join(text.split(b"\n")[: said["sentences"]])
    index = QueryIndex.build(read_arpa(FOLDER / f"{name}.arpa.gz"))
    numbers = index.words.numbers(text, marks=True)
    log_prob, matched = Scorer(index).numbers(numbers)
    mine = numbers != BEGIN
    expected = np.array(said["log10"]) * np.log(10)
    np.testing.assert_allclose(log_prob[mine], expected, rtol=1e-5, atol=2e-5)
    unknown = [flag == "1" for flag in said["unknown"]]
    assert (numbers[mine] == 0).tolist() == unknown
    lengths = np.array([int(length) for length in said["matched"]])
    known = ~np.array(unknown)
    assert matched[mine][known].tolist() == lengths[known].tolist()


@pytest.mark.parametrize("name", MODELS)
def test_every_word_scores_as_in_kenlm(name, tmp_path):
    kenlm = pytest.importorskip("kenlm", reason="the kenlm wheel is not installed")
    if not (FOLDER / f"{name}.arpa.gz").exists():
        pytest.skip(f"{FOLDER} has no {name}.arpa.gz; set SEQLAB_DATA beside it")
    arpa = tmp_path / "model.arpa"
    arpa.write_bytes(gzip.decompress((FOLDER / f"{name}.arpa.gz").read_bytes()))
    text = (FOLDER / ("test.chars.txt" if name == "chars4" else "test.txt")).read_bytes()
    table, peer = read_arpa(arpa), kenlm.Model(str(arpa))
    write_binary(table, tmp_path / "model.ngram")
    words, index = open_binary(tmp_path / "model.ngram")
    numbers = words.numbers(text, marks=True)
    log_prob, matched = Scorer(index).numbers(numbers)
    lines = text.decode().removesuffix("\n").split("\n")
    theirs = [score for line in lines for score in peer.full_scores(line)]
    mine = numbers != BEGIN
    expected = np.array([score[0] for score in theirs]) * np.log(10)
    np.testing.assert_allclose(log_prob[mine], expected, rtol=1e-5, atol=2e-5)
    assert (numbers[mine] == 0).tolist() == [score[2] for score in theirs]
    known = numbers[mine] != 0
    assert matched[mine][known].tolist() == [s[1] for s in theirs if not s[2]]
    sums = Scorer(QueryIndex.build(table)).text(text, threads=2, chunk=4096)
    np.testing.assert_allclose(
        sums.log_prob, [peer.score(line) * np.log(10) for line in lines], rtol=1e-5, atol=1e-3
    )


def test_quantised_values_change_little(tmp_path):
    if not (FOLDER / "kn3.arpa.gz").exists():
        pytest.skip(f"{FOLDER} has no kn3.arpa.gz; set SEQLAB_DATA beside it")
    table, text = read_arpa(FOLDER / "kn3.arpa.gz"), (FOLDER / "test.txt").read_bytes()
    perplexities = []
    for quantise in (False, True):
        scores = Scorer(QueryIndex.build(table, quantise)).text(text)
        perplexities.append(np.exp(-scores.log_prob.sum() / scores.tokens.sum()))
    assert perplexities[1] == pytest.approx(perplexities[0], rel=0.002)
