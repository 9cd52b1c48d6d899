"""Problems of the data are found before training, all at once, with the ids."""

from pathlib import Path

import pytest

from seqlab.data.manifest import Utterance, read_manifest
from seqlab.errors import DataError
from seqlab.recipe import build_model, build_tokenizer
from seqlab.training.preflight import check_targets, drop_too_short, too_short

from .corpus import RATE, make_corpus, make_recipe, run, utterance, write_manifest
from .test_loop import Recorder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus", "transcription", train=6, other=2)


def spoken(name: str, frames: int, text: str) -> Utterance:
    """25 ms frames every 10 ms: 15 ms more than the frames."""
    return Utterance(name, "/none.wav", 0.0, 0.015 + 0.01 * frames, RATE, transcript=text)


def test_frames_needed_by_hand(root: Path) -> None:
    """The encoder halves the frames: 6 give 3, enough for abc and aa but not for aab or abca."""
    tokenizer = build_tokenizer(make_recipe(root), ["abc"])
    model = build_model(make_recipe(root), tokenizer)
    texts = ["abc", "aa", "aab", "abca"]
    found = too_short([spoken(text, 6, text) for text in texts], model)
    assert [(u.id, frames, needed) for u, frames, needed in found] == [
        ("aab", 3, 4),
        ("abca", 3, 4),
    ]
    assert [u.id for u, _, _ in too_short([spoken("short", 0, "")], model)] == ["short"]
    assert too_short([], model) == []


def test_speed_shortens(root: Path) -> None:
    tokenizer = build_tokenizer(make_recipe(root), ["abc"])
    model = build_model(make_recipe(root), tokenizer)
    utterances = [spoken("tight", 6, "abc")]
    assert too_short(utterances, model, 1.0) == []
    assert [u.id for u, _, _ in too_short(utterances, model, 1.3)] == ["tight"]


def test_cut_edges_shorten(root: Path) -> None:
    """4 encoded frames; 10 ms off both ends leave 6 frames and 3, 20 ms leave 4 and 2."""
    tokenizer = build_tokenizer(make_recipe(root), ["abc"])
    model = build_model(make_recipe(root), tokenizer)
    utterances = [spoken("tight", 8, "abc")]
    assert too_short(utterances, model, edges_s=0.01) == []
    assert [(frames, needed) for _, frames, needed in too_short(utterances, model, 1, 0.02)] == [
        (2, 3)
    ]
    # never more than a quarter: 95 ms keep 47.5, so 3 frames and 2
    assert [frames for _, frames, _ in too_short(utterances, model, edges_s=9.0)] == [2]


def test_too_short_is_an_error_or_dropped(root: Path, tmp_path: Path) -> None:
    found = read_manifest(root / "train.jsonl.gz")
    found.append(utterance(root, "hasty", "c", transcript="abcabcabcabcabcabc"))
    write_manifest(found, root / "train.jsonl.gz")
    with pytest.raises(DataError, match=r"hasty: \d+ encoded frames must be at least 18;.*skip"):
        run(make_recipe(root), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    observer = Recorder()
    run(make_recipe(root, training__skip_too_short=True), tmp_path / "run", observer=observer)
    assert observer.notes == ["1 utterances too short for their targets dropped: hasty"]


def test_a_test_set_that_was_trained_on_is_told(root: Path, tmp_path: Path) -> None:
    observer = Recorder()
    run(make_recipe(root, data__dev=["dev", "train"]), tmp_path / "run", observer=observer)
    assert observer.notes == [
        "6 of 8 dev utterances are in the training set too: figures on dev say little about new "
        "recordings"
    ]


def test_nothing_left(root: Path) -> None:
    model = build_model(make_recipe(root), build_tokenizer(make_recipe(root), ["abc"]))
    with pytest.raises(DataError, match="1 training utterance"):
        drop_too_short([spoken("x", 2, "abcabc")], model, 1.0, skip=True)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_characters_outside_the_vocabulary(root: Path, tmp_path: Path, split: str) -> None:
    found = read_manifest(root / f"{split}.jsonl.gz")
    found.append(utterance(root, "strange", "c", transcript="qa"))
    write_manifest(found, root / f"{split}.jsonl.gz")
    with pytest.raises(DataError, match=rf"{split} utterance\(s\) strange: .*'q'"):
        run(make_recipe(root), tmp_path / "run")


def test_labels_absent_from_training(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "corpus", "classification", train=6, other=3)
    found = read_manifest(root / "test.jsonl.gz")
    found.append(utterance(root, "strange", "c", label="q"))
    write_manifest(found, root / "test.jsonl.gz")
    with pytest.raises(DataError, match=r"test utterance\(s\) strange: .*q"):
        run(make_recipe(root, "classification"), tmp_path / "run")


def test_targets_that_are_missing(root: Path) -> None:
    tokenizer = build_tokenizer(make_recipe(root), ["abc"])
    unlabelled = Utterance("mute", "/none.wav", 0.0, 1.0, RATE)
    with pytest.raises(DataError, match=r"1 train utterance.*neither transcript nor label.*mute"):
        check_targets([unlabelled], tokenizer, "train")
