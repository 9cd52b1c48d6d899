"""Long recordings against long texts: restated plainly, and on made recordings of known content."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.decoding import trellis
from seqlab.decoding.align import align
from seqlab.decoding.segmentation import segment
from seqlab.errors import SeqlabError

CLASSES = 12


def restated(log_probs, utterances, gap_cost, skip_cost) -> float:
    """The best total price, by a dictionary of states such as ("gap", 0) and ("token", 0, 3)."""
    best = log_probs.max(axis=1)
    count = len(utterances)

    def skipped(scores):
        for i in range(count):
            score = scores.get(("gap", i), -math.inf) - skip_cost * len(utterances[i])
            if score > scores.get(("gap", i + 1), -math.inf):
                scores[("gap", i + 1)] = score
        return scores

    def successors(state):
        yield state
        kind, i, *rest = state
        if kind == "gap":
            if i < count:
                yield ("token", i, 0)
            return
        k = rest[0]
        token = utterances[i][k]
        last = k + 1 == len(utterances[i])
        if kind == "rest":
            yield ("token", i, k + 1)
            return
        yield ("gap", i + 1) if last else ("rest", i, k)
        after = ("token", i + 1, 0) if last else ("token", i, k + 1)
        if after[1] < count and utterances[after[1]][after[2]] != token:
            yield after

    scores = skipped({("gap", 0): 0.0})
    for frame in range(len(log_probs)):
        row = log_probs[frame] - best[frame]
        reached: dict[tuple, float] = {}
        for state, score in scores.items():
            for target in successors(state):
                if target[0] == "gap":
                    price = max(row[0], -gap_cost)
                else:
                    price = row[0] if target[0] == "rest" else row[utterances[target[1]][target[2]]]
                reached[target] = max(reached.get(target, -math.inf), score + price)
        scores = skipped(reached)
    ends = [scores.get(("gap", count), -math.inf)]
    for i, tokens in enumerate(utterances):  # an utterance may end with the recording
        rest = skip_cost * sum(map(len, utterances[i + 1 :]))
        ends.append(scores.get(("token", i, len(tokens) - 1), -math.inf) - rest)
    return max(ends)


def total_price(found, log_probs, utterances, gap_cost, skip_cost) -> float:
    best = log_probs.max(axis=1)
    row = log_probs - best[:, None]
    price, reached = 0.0, 0
    for alignment, tokens in zip(found, utterances, strict=True):
        if alignment is None:
            price -= skip_cost * len(tokens)
            continue
        gap = row[reached : alignment.first_frame, 0]
        price += np.maximum(gap, -gap_cost).sum() - alignment.lost
        reached = alignment.first_frame + alignment.num_frames
    return price + np.maximum(row[reached:, 0], -gap_cost).sum()


@given(
    utterances=st.lists(
        st.lists(st.integers(1, 3), min_size=1, max_size=4), min_size=1, max_size=4
    ),
    frames=st.integers(1, 14),
    gap_cost=st.sampled_from([0.0, 0.5, 2.0]),
    skip_cost=st.sampled_from([0.0, 1.0, 4.0]),
    memory=st.sampled_from([1, 60, 32 << 20]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_the_best_price_is_found(utterances, frames, gap_cost, skip_cost, memory, seed):
    generator = torch.Generator().manual_seed(seed)
    log_probs = (2 * torch.randn(frames, 4, generator=generator)).log_softmax(-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trellis, "_ARROW_BYTES", memory)
        found = segment(log_probs, utterances, gap_cost=gap_cost, skip_cost=skip_cost)
    scores = log_probs.double().numpy()
    wanted = restated(scores, utterances, gap_cost, skip_cost)
    assert total_price(found, scores, utterances, gap_cost, skip_cost) == pytest.approx(
        wanted, abs=1e-4
    )
    spans = [span for one in found if one for span in zip(one.starts, one.ends, strict=True)]
    times = list(itertools.chain(*spans))
    assert times == sorted(times)


def speech(tokens, generator, sureness=6.0) -> np.ndarray:
    """Log-probabilities as a trained model gives them: peaks for tokens, blanks between."""
    classes: list[int] = []
    for token in tokens:
        classes += [token] * int(generator.integers(1, 3)) + [0] * int(generator.integers(1, 4))
    logits = generator.normal(size=(len(classes), CLASSES))
    logits[np.arange(len(classes)), classes] += sureness
    return torch.tensor(logits).log_softmax(-1).float().numpy()


def recording(seed, count, only_audio=0.0, only_text=0.0, size=(8, 40)):
    """Log-probabilities, the utterances of a text, and (first, last) frame of each, or None."""
    generator = np.random.default_rng(seed)
    parts, utterances, truth = [], [], []
    reached = 0
    for _ in range(count):
        tokens = generator.integers(1, CLASSES, int(generator.integers(*size))).tolist()
        kind = generator.random()
        said = not only_audio <= kind < only_audio + only_text
        if said:
            parts.append(speech(tokens, generator))
            span = (reached, reached + len(parts[-1]))
            reached = span[1]
        if kind >= only_audio:
            utterances.append(tokens)
            truth.append(span if said else None)
    return torch.tensor(np.concatenate(parts)), utterances, truth


@pytest.mark.parametrize(
    ("only_audio", "only_text"), [(0, 0), (0.3, 0), (0, 0.3), (0.2, 0.2)], ids=str
)
@pytest.mark.parametrize("window", [1024, 16384])
def test_every_utterance_is_where_it_was_said(only_audio, only_text, window):
    log_probs, utterances, truth = recording(1, 120, only_audio, only_text)
    found = segment(log_probs, utterances, window=window)
    for alignment, span in zip(found, truth, strict=True):
        if span is None:
            assert alignment is None or alignment.confidence < 0.1
        else:
            assert alignment is not None and alignment.confidence > 0.5
            assert span[0] <= alignment.starts[0] and alignment.ends[-1] <= span[1]


def test_stretches_give_the_same_as_the_whole(monkeypatch):
    log_probs, utterances, _ = recording(2, 60, 0.1, 0.1)
    for window in (512, 16384):
        whole = segment(log_probs, utterances, window=window)
        with monkeypatch.context() as patch:
            patch.setattr(trellis, "_ARROW_BYTES", 50_000)
            assert segment(log_probs, utterances, window=window) == whole


def test_one_utterance_is_aligned_as_by_align():
    log_probs, utterances, _ = recording(3, 1)
    (found,) = segment(log_probs, utterances, frame_s=0.04)
    (plain,) = align(
        log_probs[None],
        torch.tensor([len(log_probs)]),
        torch.tensor(utterances),
        torch.tensor([len(utterances[0])]),
        frame_s=0.04,
    )
    assert found is not None
    assert found.token_times == plain.token_times


def test_text_said_differently_is_found_with_a_low_confidence():
    log_probs, utterances, _ = recording(4, 20)
    wrong = list(utterances[7])
    wrong[::3] = [1 + token % (CLASSES - 1) for token in wrong[::3]]
    found = segment(log_probs, [*utterances[:7], wrong, *utterances[8:]])
    assert found[7] is None or found[7].confidence < 0.3
    assert all(one and one.confidence > 0.5 for one in (*found[:7], *found[8:]))


def test_text_of_another_recording_is_skipped():
    log_probs, _, _ = recording(5, 30)
    _, utterances, _ = recording(6, 30)
    found = segment(log_probs, utterances)
    assert all(one is None or one.confidence < 0.3 for one in found)


def test_a_long_start_and_a_long_end_that_are_not_in_the_text():
    log_probs, utterances, truth = recording(7, 150)
    found = segment(log_probs, utterances[60:90], window=512)
    for alignment, span in zip(found, truth[60:90], strict=True):
        assert alignment is not None and span is not None
        assert span[0] <= alignment.starts[0] and alignment.ends[-1] <= span[1]


def test_a_text_longer_than_the_window_beyond_the_end_is_skipped():
    log_probs, utterances, _ = recording(8, 20)
    _, more, _ = recording(9, 100)
    found = segment(log_probs, [*utterances, *more], window=512)
    assert all(one is not None for one in found[:20]) and found[20:] == [None] * 100


def test_empty_utterances_and_nothing_at_all():
    log_probs, utterances, _ = recording(10, 3)
    found = segment(log_probs, [[], utterances[0], [], utterances[1], utterances[2], []])
    assert [one is None for one in found] == [True, False, True, False, False, True]
    assert segment(log_probs, []) == []
    assert segment(log_probs, [[], []]) == [None, None]
    assert segment(log_probs[:0], utterances) == [None] * 3


def test_memory_is_bounded():
    """Arrows of the whole trellis would take 245 MB, scores in double precision 2 GB."""
    import tracemalloc

    log_probs, utterances, _ = recording(11, 400, size=(30, 40))
    tracemalloc.start()
    found = segment(log_probs[:15_000], utterances, window=8192)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(one is not None for one in found) > 90
    assert peak < 80 << 20


def test_utterances_follow_one_another():
    log_probs, utterances, _ = recording(12, 40, 0.2, 0.2)
    found = [one for one in segment(log_probs, utterances) if one is not None]
    for one, other in itertools.pairwise(found):
        assert one.ends[-1] <= other.starts[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_probs": torch.zeros(1, 4, 3)}, r"must be \(T', C\)"),
        ({"utterances": [[1], [5]]}, "target 5 of utterance 1 of the text"),
        ({"utterances": [[0]]}, "not the blank 0"),
        ({"gap_cost": -1.0}, "gap_cost=-1.0"),
        ({"skip_cost": math.nan}, "skip_cost=nan"),
        ({"window": 100}, "window=100"),
        ({"log_probs": torch.full((4, 3), math.nan)}, "NaN"),
    ],
)
def test_bad_input(change, message):
    arguments = {"log_probs": torch.zeros(4, 3).log_softmax(-1), "utterances": [[1], [2]]}
    with pytest.raises(SeqlabError, match=message):
        segment(**(arguments | change))
