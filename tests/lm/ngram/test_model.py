from __future__ import annotations

import gzip
import math
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import seqlab
from seqlab.errors import DataError, ModelError, SeqlabError
from seqlab.lm.ngram.model import NGramModel
from seqlab.lm.ngram.smoothing.additive import Lidstone
from seqlab.lm.ngram.smoothing.kneser_ney import ModifiedKneserNey
from seqlab.lm.ngram.smoothing.registry import SMOOTHINGS

DATA = Path(os.environ.get("SEQLAB_DATA", "/nowhere"))
REFERENCE = DATA.parent / "reference" / "ngram"
WIKITEXT = DATA / "text" / "wikitext2"
SENTENCES = [
    "the cat sat on the mat",
    "the dog sat on the cat",
    "a cat and a dog sat",
    "on the mat sat a dog",
    "the mat",
] * 3


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Discounts of small texts fall back, and say so; what they say is tested elsewhere."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the discounts of order")
        warnings.filterwarnings("ignore", category=UserWarning, module="seqlab.lm")
        yield


def estimate(order: int = 3, **options: object) -> NGramModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return NGramModel.estimate(SENTENCES, order, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("smoothing", sorted(set(SMOOTHINGS) - {"maximum_likelihood"}))
def test_every_way_to_ask_gives_the_same(smoothing: str, tmp_path: Path) -> None:
    """Words one by one, a sentence, a batch; from memory, a binary file, and ARPA."""
    model = estimate(smoothing=smoothing)
    sentence = "the dog and the bird sat"
    state, total = model.initial_state(), 0.0
    for word in [*sentence.split(), "</s>"]:
        log_prob, state = model.advance(state, word)
        total += log_prob
    assert model.score(sentence) == pytest.approx(total, abs=1e-9)
    assert model.score(sentence.split()) == model.score(sentence)
    assert model.score_batch([sentence, "", "a"])[0] == model.score(sentence)
    assert model.perplexity([sentence]).log_prob == pytest.approx(total, abs=1e-9)
    model.save(tmp_path / "m.ngram")
    stored = NGramModel.load(tmp_path / "m.ngram")
    assert stored.score(sentence) == model.score(sentence)
    assert stored.facts == model.facts
    assert stored.sizes == model.sizes
    if smoothing == "stupid_backoff":
        with pytest.raises(ModelError, match="ARPA"):
            model.write_arpa(tmp_path / "m.arpa")
        return
    stored.write_arpa(tmp_path / "m.arpa.gz")
    read = NGramModel.load(tmp_path / "m.arpa.gz")
    assert read.score(sentence) == pytest.approx(model.score(sentence), abs=2e-6)
    read.save(tmp_path / "again.ngram")
    assert NGramModel.load(tmp_path / "again.ngram").score(sentence) == read.score(sentence)


def test_marks_at_the_ends_are_optional() -> None:
    model = estimate()
    inner = model.score("the cat", bos=False, eos=False)
    assert inner == pytest.approx(model.log_prob("the") + model.log_prob("cat", "the"))
    assert model.score("the cat", eos=False) == pytest.approx(
        model.log_prob("the", "<s>") + model.log_prob("cat", "<s> the")
    )
    assert model.score("the cat") < model.score("the cat", eos=False)


def test_a_model_without_marks_scores_lines_without() -> None:
    model = estimate(marks=False, smoothing="witten_bell")
    assert model.perplexity(["the cat"]).tokens == 2
    batch = model.score_batch(["the cat", "", "the cat sat"])
    assert batch.shape == (3,)
    assert batch[0] == pytest.approx(model.score("the cat", bos=False, eos=False))
    assert batch[1] == 0


def test_characters(tmp_path: Path) -> None:
    model = NGramModel.estimate(["abc ab", "cab"], 3, "witten_bell", unit="character")
    assert list(model.words)[3:] == ["a", "b", "c", "\u2581"]
    model.save(tmp_path / "c.ngram")
    stored = NGramModel.load(tmp_path / "c.ngram")
    assert stored.score("ab c") == model.score(["a", "b", "\u2581", "c"])
    assert stored.perplexity(["ab c"]).tokens == 5


def test_sampled_sentences_are_of_its_words() -> None:
    model = estimate()
    drawn = model.sample(20, seed=1)
    assert drawn == model.sample(20, seed=1)
    assert {word for sentence in drawn for word in sentence} <= set(model.words)
    word, log_prob = model.complete("the", 1)[0]
    assert log_prob == pytest.approx(
        max(model.log_prob(w, "<s> the") for w in model.words if w != "<s>")
    )
    assert model.log_prob(word, "<s> the") == pytest.approx(log_prob)


def test_it_is_the_lazy_public_name() -> None:
    assert seqlab.NGramModel is NGramModel


def test_it_works_without_torch() -> None:
    code = (
        "import sys, seqlab.lm.ngram as n; m = n.NGramModel.estimate(['a b'], 2, 'witten_bell');"
        "m.score('a'); m.sample(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_it_can_be_sent_to_another_process() -> None:
    model = estimate()
    model.score("the cat")
    copy = pickle.loads(pickle.dumps(model))
    assert copy.score("the cat") == model.score("the cat")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0}, "order=0 must be a whole number of at least 1"),
        ({"order": 10}, "order=10 must be at most 9"),
        ({"smoothing": "kneser_nay"}, "did you mean 'kneser_ney'"),
        ({"cutoffs": (0, 2, 1)}, "never fall"),
        ({"memory": "lots"}, "must be a size such as"),
        ({"memory": 1000}, "memory=1000 must be"),
        ({"threads": 0}, "threads=0"),
        ({"min_count": 0}, "min_count=0"),
        ({"unknown": "drop"}, "unknown='drop' must be one of"),
        ({"unit": "letters"}, "letters"),
        ({"vocabulary": ["a b"]}, "white space"),
        ({"vocabulary": ["a", "a"]}, "stands twice"),
        (
            {"smoothing": ModifiedKneserNey(cutoffs=(0, 1)), "cutoffs": (0, 2)},
            "differ; give them once",
        ),
    ],
)
def test_arguments_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(SeqlabError, match=message):
        estimate(**options)  # type: ignore[arg-type]


def test_files_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a file"):
        NGramModel.load(tmp_path)
    (tmp_path / "model.ngram").write_bytes(b"\x80\x04no")
    with pytest.raises(ModelError):
        NGramModel.load(tmp_path / "model.ngram")
    with pytest.raises(ModelError, match=r"did you mean .model\.ngram"):
        NGramModel.load(tmp_path / "modell.ngram")


def test_more_than_a_line_is_no_sentence() -> None:
    with pytest.raises(DataError, match="must be one line"):
        estimate().score("a\nb")


@pytest.mark.data
@pytest.mark.skipif(not REFERENCE.is_dir(), reason="SEQLAB_DATA is unset or has no reference/ngram")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("kn2", {"order": 2}),
        ("kn3", {"order": 3}),
        ("kn5", {"order": 5}),
        ("kn3_prune001", {"order": 3, "cutoffs": (0, 0, 1)}),
        ("kn3_prune011", {"order": 3, "cutoffs": (0, 1, 1)}),
        (
            "kn3_no_unigram_interpolation",
            {"order": 3, "smoothing": ModifiedKneserNey(interpolate_unigrams=False)},
        ),
        ("chars4", {"order": 4, "smoothing": ModifiedKneserNey(like_lmplz=True)}),
    ],
)
def test_perplexities_equal_kenlm(name: str, options: dict[str, object]) -> None:
    chars = ".chars" if name == "chars4" else ""
    model = NGramModel.estimate(REFERENCE / f"train{chars}.txt", **options)  # type: ignore[arg-type]
    result = model.perplexity(REFERENCE / f"test{chars}.txt")
    lines = (REFERENCE / "perplexities.tsv").read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith(name + "\t"))
    including, excluding, unknown, tokens = (
        float(row.split(field)[1].split()[0])
        for field in ("including OOVs:\t", "excluding OOVs:\t", "OOVs:\t", "Tokens:\t")
    )
    unknown = float(row.rsplit("OOVs:\t", 1)[1].split()[0])
    assert result.perplexity == pytest.approx(including, rel=1e-5)
    assert result.perplexity_excluding_unknown == pytest.approx(excluding, rel=1e-5)
    assert (result.unknown, result.tokens) == (unknown, tokens)


def wikitext(part: str, folder: Path) -> Path:
    """A part of WikiText-2 with ``<unk>`` spelled otherwise, as KenLM's lmplz needs it."""
    path = folder / f"{part}.txt"
    if not path.exists():
        with gzip.open(WIKITEXT / f"wiki.{part}.tokens.gz") as file:
            path.write_bytes(file.read().replace(b"<unk>", b"<UNK>"))
    return path


KN = ModifiedKneserNey
WIKITEXT_FIGURES = [
    (263.96, {"order": 2}),
    (226.05, {"order": 3}),
    (221.34, {"order": 4}),
    (220.14, {"order": 5}),
    (219.82, {"order": 6}),
    (248.55, {"order": 3, "cutoffs": (0, 1, 1)}),
    (230.31, {"order": 3, "cutoffs": (0, 0, 1)}),
    (225.68, {"order": 5, "cutoffs": (0, 0, 1, 1, 1)}),
    (235.55, {"order": 3, "smoothing": KN(interpolate_unigrams=False)}),
    (229.39, {"order": 5, "smoothing": KN(interpolate_unigrams=False)}),
]
ADDITIVE_FIGURES = [
    (914.38, 1, 1.0), (1877.9, 2, 1.0), (11423, 3, 1.0),
    (911.73, 1, 0.01), (498.26, 2, 0.01), (3230.0, 3, 0.01),
]  # fmt: skip


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not WIKITEXT.is_dir(), reason="SEQLAB_DATA is unset or has no text/wikitext2")
@pytest.mark.parametrize(("expected", "options"), WIKITEXT_FIGURES)
def test_wikitext_equals_kenlm(
    expected: float, options: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Figures of KenLM's lmplz and query, five digits printed."""
    folder = tmp_path_factory.getbasetemp()
    model = NGramModel.estimate(wikitext("train", folder), **options)  # type: ignore[arg-type]
    result = model.perplexity(wikitext("test", folder))
    assert result.tokens == 245_569
    assert result.perplexity == pytest.approx(expected, rel=1e-4)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not WIKITEXT.is_dir(), reason="SEQLAB_DATA is unset or has no text/wikitext2")
@pytest.mark.parametrize(("expected", "order", "k"), ADDITIVE_FIGURES)
def test_wikitext_equals_other_additive_models(expected: float, order: int, k: float) -> None:
    model = NGramModel.estimate(WIKITEXT / "wiki.train.tokens.gz", order, Lidstone(k))
    result = model.perplexity(WIKITEXT / "wiki.test.tokens.gz")
    assert result.perplexity == pytest.approx(expected, rel=1e-4)
    assert math.isfinite(result.perplexity_excluding_unknown)
    assert np.isclose(sum(result.hit_rates), 1)


def test_a_text_that_outgrows_memory_gives_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By way of the disk: the same n-grams and values, bit for bit, and nothing left behind."""
    random = np.random.default_rng(0)
    text = tmp_path / "text.txt"
    lines = (" ".join(f"w{n}" for n in random.zipf(1.3, 12) % 900) for _ in range(4000))
    text.write_text("\n".join(lines) + "\n", encoding="ascii")
    whole = NGramModel.estimate(text, 3)
    monkeypatch.setattr("seqlab.lm.ngram.estimation.fits", lambda *_: False)
    monkeypatch.setattr("seqlab.lm.ngram.counting.Resources.rows", lambda self, shape: 5000)
    monkeypatch.setattr("seqlab.lm.ngram.index._REGION_SHARE", 2**29 // 64 // 1000)
    folder = tmp_path / "scratch"
    folder.mkdir()
    model = NGramModel.estimate(text, 3, memory="512M", scratch_folder=folder)
    assert isinstance(model.table.log_prob[2], np.memmap)
    model.save(tmp_path / "disk.ngram")
    stored = NGramModel.load(tmp_path / "disk.ngram").table
    for mine, other in zip(stored.log_prob, whole.table.log_prob, strict=True):
        assert np.array_equal(mine, other)
    for mine, other in zip(stored.log_backoff, whole.table.log_backoff, strict=True):
        assert np.array_equal(mine, other)
    assert model.perplexity(text) == whole.perplexity(text)
    del model
    assert list(folder.iterdir()) == []


def test_progress_of_every_phase(tmp_path: Path) -> None:
    """Each phase of estimating and writing is told, rising up to its total."""
    told: dict[str, list[tuple[int, int | None]]] = {}

    def progress(what: str, done: int, total: int | None) -> None:
        told.setdefault(what, []).append((done, total))

    model = NGramModel.estimate(["a b c", "a c b a"] * 5, 3, "witten_bell", progress=progress)
    model.save(tmp_path / "m.ngram", progress=progress)
    model.write_arpa(tmp_path / "m.arpa", progress)
    phases = ["n-grams indexed", "bytes written", "n-grams written"]
    assert list(told) == ["words read", "smoothing", *phases]  # nothing to sort in pieces
    for rows in told.values():
        assert sorted(rows) == rows and all(total is None or done <= total for done, total in rows)
        assert len({total for _, total in rows}) == 1
    assert told["n-grams written"][-1] == (sum(model.sizes), sum(model.sizes))
    assert len(told["n-grams indexed"]) == 2  # the orders that have tables
    done, total = told["bytes written"][-1]
    assert done == total and 0 < done < (tmp_path / "m.ngram").stat().st_size
