"""Evaluation: figures by hand, independent of batches, and plain enough for JSON."""

import json
import math
from pathlib import Path

import pytest

from seqlab.data.manifest import Utterance, read_manifest
from seqlab.errors import DataError
from seqlab.recipe import build_model, build_tokenizer
from seqlab.training.validate import Answer, evaluate, summarize

from .corpus import RATE, make_corpus, make_recipe


def spoken(name: str, speaker: str | None = None) -> Utterance:
    return Utterance(name, f"/{name}.wav", 0.0, 1.0, RATE, transcript="-", speaker=speaker)


def test_word_errors_by_hand() -> None:
    """1 substitution, 1 insertion and 2 deletions in 6 words."""
    utterances = [spoken("a"), spoken("b"), spoken("c")]
    references = ["one two three", "four", "five six"]
    answers = [Answer("a", "one too three", 0.9, 3.0), Answer("b", "four four", 0.8, math.inf)]
    answers.append(Answer("c", "", 0.1, 5.0))
    result = summarize("transcription", utterances, references, answers)
    assert result.metric == "word_error_rate"
    assert result.value == result.error == pytest.approx(4 / 6)
    assert [r.errors for r in result.records] == [1, 1, 2]
    assert [r.reference_length for r in result.records] == [3, 1, 2]
    assert result.loss == 4.0  # of those that are finite
    assert result.records[1].loss is None
    low, high = result.interval() or (0, 0)
    assert low <= result.value <= high
    assert result.hypotheses[2] == ""
    json.dumps(result.to_dict(), allow_nan=False)


def test_accuracy_by_hand() -> None:
    utterances = [spoken("a", "x"), spoken("b", "x"), spoken("c", "y"), spoken("d", "y")]
    answers = [Answer(u.id, "yes", 1.0, 0.5) for u in utterances]
    result = summarize("classification", utterances, ["yes", "yes", "yes", "no"], answers)
    assert (result.metric, result.value, result.error) == ("accuracy", 0.75, 0.25)
    by_speaker = result.interval(by_speaker=True)
    assert by_speaker is not None
    assert by_speaker[0] == 0.5 and by_speaker[1] == 1.0


def test_one_utterance_has_no_interval_and_no_infinities_in_json() -> None:
    answers = [Answer("a", "noise", 0.5, math.inf)]
    result = summarize("transcription", [spoken("a")], [""], answers)
    assert result.interval() is None
    assert math.isinf(result.value) and math.isnan(result.loss)
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert content["value"] is None and content["loss"] is None


@pytest.mark.parametrize("task", ["transcription", "classification"])
def test_batches_do_not_matter(task: str, tmp_path: Path) -> None:
    root = make_corpus(tmp_path, task, train=2, other=7)
    recipe = make_recipe(root, task, normalize=None)
    utterances = read_manifest(root / "dev.jsonl.gz")
    tokenizer = build_tokenizer(recipe, [u.target or "" for u in utterances])
    model = build_model(recipe, tokenizer).train()
    seen: list[tuple[int, int]] = []
    one = evaluate(model, utterances, batch_size=1)
    many = evaluate(model, utterances, batch_size=4, progressed=lambda *n: seen.append(n))
    assert model.training
    assert seen[-1] == (7, 7)
    assert [r.id for r in many.records] == [u.id for u in utterances]
    assert one.loss == pytest.approx(many.loss, rel=1e-5)
    assert one.hypotheses == many.hypotheses
    assert one.figures == many.figures


def test_references_are_normalised_as_the_answers_are(tmp_path: Path) -> None:
    root = make_corpus(tmp_path, "transcription", train=2, other=2)
    recipe = make_recipe(root, normalize=None)
    model = build_model(recipe, build_tokenizer(recipe, ["abc"]))
    utterances = read_manifest(root / "dev.jsonl.gz")
    loud = [
        Utterance(u.id, u.path, 0.0, u.duration_s, RATE, transcript=(u.transcript or "").upper())
        for u in utterances
    ]
    assert evaluate(model, loud).references == [u.transcript for u in utterances]


def test_nothing_to_evaluate(tmp_path: Path) -> None:
    root = make_corpus(tmp_path, "transcription", train=2, other=2)
    recipe = make_recipe(root, normalize=None)
    model = build_model(recipe, build_tokenizer(recipe, ["abc"]))
    with pytest.raises(DataError, match="0 utterances cannot be evaluated"):
        evaluate(model, [])
    with pytest.raises(DataError, match="neither transcript nor label"):
        evaluate(model, [Utterance("a", "/a.wav", 0.0, 1.0, RATE)])
