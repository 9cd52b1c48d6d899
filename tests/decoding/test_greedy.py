"""Greedy CTC decoding, worked by hand and restated with dictionaries."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.contracts import Decoder
from seqlab.decoding.greedy import GreedyCTCDecoder
from seqlab.errors import SeqlabError

LETTERS = "-abc"


def spell(tokens) -> str:
    return "".join(LETTERS[t] for t in tokens)


def decoder(blank: int = 0) -> GreedyCTCDecoder:
    return GreedyCTCDecoder(spell, frame_s=0.5, blank=blank)


def from_path(path: str, best: float = 0.7) -> torch.Tensor:
    """Log-probabilities (1, T, 4) whose best path is given, each step with ``best``."""
    probs = torch.full((1, len(path), 4), (1 - best) / 3, dtype=torch.float64)
    for frame, letter in enumerate(path):
        probs[0, frame, LETTERS.index(letter)] = best
    return probs.log()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("", ""),
        ("---", ""),
        ("a", "a"),
        ("aaa", "a"),
        ("a-a", "aa"),
        ("-aab--bbc-", "abbc"),
        ("abab", "abab"),
        ("aa--aa", "aa"),
    ],
)
def test_collapse_by_hand(path, text):
    (best,) = decoder().decode(from_path(path), torch.tensor([len(path)]))[0]
    assert best.text == text and spell(best.tokens) == text


def test_times_and_confidence_by_hand():
    log_probs = from_path("-aab-")
    log_probs[0, 1, 1], log_probs[0, 2, 1] = math.log(0.9), math.log(0.4)
    (best,) = decoder().decode(log_probs, torch.tensor([5]))[0]
    assert best.token_times == ((0.5, 1.5), (1.5, 2.0))
    assert best.token_confidences == pytest.approx([math.sqrt(0.9 * 0.4), 0.7])
    assert best.score == pytest.approx(math.log(0.7**3 * 0.9 * 0.4))
    assert best.confidence == pytest.approx((0.7**3 * 0.9 * 0.4) ** (1 / 5))


def restated(log_probs: torch.Tensor, blank: int) -> list[dict]:
    """The same from one dictionary a token, frame by frame."""
    tokens: list[dict] = []
    previous = blank
    for frame, row in enumerate(log_probs.tolist()):
        best = row.index(max(row))
        if best != blank:
            if best != previous:
                tokens.append({"token": best, "start": frame, "probs": []})
            tokens[-1]["probs"].append(math.exp(max(row)))
            tokens[-1]["end"] = frame + 1
        previous = best
    return tokens


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    blank=st.integers(0, 3),
    seed=st.integers(0, 999),
)
def test_equals_restatement(lengths, blank, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(lengths), max(lengths) + 1, 4, generator=generator) * 2
    log_probs = logits.log_softmax(-1)
    results = decoder(blank).decode(log_probs, torch.tensor(lengths))
    for index, length in enumerate(lengths):
        (best,) = results[index]
        expected = restated(log_probs[index, :length], blank)
        assert best.tokens == tuple(t["token"] for t in expected)
        assert best.token_times == tuple((t["start"] * 0.5, t["end"] * 0.5) for t in expected)
        means = [math.prod(t["probs"]) ** (1 / len(t["probs"])) for t in expected]
        assert best.token_confidences == pytest.approx(means, rel=1e-4)
        assert 0 <= best.confidence <= 1 and best.score <= 0


def test_no_frames_is_no_confidence():
    (best,) = decoder().decode(torch.zeros(1, 3, 4), torch.tensor([0]))[0]
    assert (best.text, best.tokens, best.score, best.confidence) == ("", (), 0.0, 0.0)


def test_padding_may_hold_anything():
    log_probs = from_path("ab--")
    log_probs[0, 2:] = float("nan")
    assert decoder().decode(log_probs, torch.tensor([2]))[0][0].text == "ab"


def test_it_is_a_decoder():
    assert isinstance(decoder(), Decoder)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_frames_without_a_finite_best_are_refused(bad):
    log_probs = from_path("ab")
    log_probs[0, 1, :] = bad
    with pytest.raises(SeqlabError, match="utterance 0 in the batch have no finite best"):
        decoder().decode(log_probs, torch.tensor([2]))


@pytest.mark.parametrize("frame_s", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_frame_duration(frame_s):
    with pytest.raises(SeqlabError, match="frame_s"):
        GreedyCTCDecoder(spell, frame_s=frame_s)


def test_bad_shapes():
    with pytest.raises(SeqlabError, match="must be \\(B, T', C\\)"):
        decoder().decode(torch.zeros(3, 4), torch.tensor([3]))
    with pytest.raises(SeqlabError, match="blank=4"):
        decoder(blank=4).decode(torch.zeros(1, 3, 4), torch.tensor([3]))
    with pytest.raises(SeqlabError, match="padded length 3"):
        decoder().decode(torch.zeros(1, 3, 4), torch.tensor([4]))
    with pytest.raises(SeqlabError, match="1 lengths for 2 utterances"):
        decoder().decode(torch.zeros(2, 3, 4), torch.tensor([3]))
