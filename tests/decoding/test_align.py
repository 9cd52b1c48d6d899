"""Forced alignment against brute force, torchaudio, and by hand."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.decoding import trellis
from seqlab.decoding.align import Alignment, align, word_times
from seqlab.errors import SeqlabError
from seqlab.lengths import ctc_required_length
from seqlab.text.tokenizers import CharacterTokenizer


def random_scores(frames: int, classes: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, classes, generator=generator).log_softmax(-1)


def align_one(log_probs: torch.Tensor, tokens: list[int], **options) -> Alignment:
    return align(
        log_probs[None],
        torch.tensor([len(log_probs)]),
        torch.tensor([tokens], dtype=torch.int64).reshape(1, len(tokens)),
        torch.tensor([len(tokens)]),
        **options,
    )[0]


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    return [token for token, _ in itertools.groupby(path) if token != blank]


def by_brute_force(log_probs: torch.Tensor, tokens: list[int], blank: int) -> float:
    paths = itertools.product(range(log_probs.shape[1]), repeat=len(log_probs))
    return max(
        sum(log_probs[frame, token].item() for frame, token in enumerate(path))
        for path in paths
        if collapsed(path, blank) == tokens
    )


@given(
    frames=st.integers(1, 5),
    blank=st.integers(0, 2),
    tokens=st.lists(st.integers(0, 2), max_size=4),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=50, deadline=None)
def test_brute_force_over_all_paths(frames, blank, tokens, seed):
    tokens = [token for token in tokens if token != blank]
    if frames < ctc_required_length(tokens):
        return
    log_probs = random_scores(frames, 3, seed)
    found = align_one(log_probs, tokens, blank=blank)
    assert collapsed(found.path, blank) == tokens and len(found.path) == frames
    assert found.score == pytest.approx(by_brute_force(log_probs, tokens, blank), abs=1e-5)


@pytest.mark.parametrize(("frames", "size", "classes"), [(12, 5, 4), (60, 20, 29), (300, 80, 60)])
@pytest.mark.parametrize("memory", [32 << 20, 1000], ids=["whole", "stretches"])
def test_torchaudio(frames, size, classes, memory, monkeypatch):
    """torchaudio 2.11: one utterance at a time, and float32, so its path may be a little worse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchaudio.functional import forced_align

        monkeypatch.setattr(trellis, "_ARROW_BYTES", memory)
        for seed in range(20):
            log_probs = random_scores(frames, classes, seed)
            generator = np.random.default_rng(seed)
            tokens = generator.integers(1, classes, size).tolist()
            if frames < ctc_required_length(tokens):
                continue
            found = align_one(log_probs, tokens)
            path, scores = forced_align(log_probs[None], torch.tensor([tokens]))
            score = scores.double().sum().item()
            assert found.path == tuple(path[0].tolist()) or found.score > score
            assert found.score == pytest.approx(score, rel=1e-5)


def test_everything_by_hand():
    probs = torch.tensor(
        [[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8], [0.2, 0.3, 0.5]]
    )
    found = align_one(probs.log(), [1, 2], frame_s=0.5)
    assert found.path == (0, 1, 1, 2, 2)
    assert (found.starts, found.ends) == ((1, 3), (3, 5))
    assert found.token_times == ((0.5, 1.5), (1.5, 2.5))
    assert found.token_scores == pytest.approx([math.log(0.42), math.log(0.4)])
    assert found.token_confidences == pytest.approx([math.sqrt(0.42), math.sqrt(0.4)])
    assert found.score == pytest.approx(math.log(0.9 * 0.42 * 0.4))
    assert found.confidence == 1.0
    other = align_one(probs.log(), [2, 1])
    assert other.confidence == pytest.approx(math.sqrt(math.exp(other.score - found.score)))


def test_equal_neighbours_need_a_blank_between():
    found = align_one(random_scores(7, 3), [1, 1, 1, 1])
    assert found.path == (1, 0, 1, 0, 1, 0, 1)


def test_padding_changes_nothing_and_a_batch_equals_each_alone():
    log_probs = torch.stack([random_scores(30, 5, seed) for seed in range(3)])
    log_probs[1, 20:] = math.nan
    targets = torch.tensor([[1, 2, 3, 4], [4, 4, 0, 0], [0, 0, 0, 0]])
    found = align(
        log_probs, torch.tensor([30, 20, 0]), targets, torch.tensor([4, 2, 0]), frame_s=0.1
    )
    assert found[0] == align_one(log_probs[0], [1, 2, 3, 4], frame_s=0.1)
    assert found[1] == align_one(log_probs[1, :20], [4, 4], frame_s=0.1)
    assert found[2].path == () and found[2].score == 0 and found[2].confidence == 1


def test_no_tokens_are_all_blanks():
    log_probs = random_scores(4, 3)
    found = align_one(log_probs, [])
    assert found.path == (0, 0, 0, 0)
    assert found.score == pytest.approx(log_probs[:, 0].sum().item())


def test_half_precision_and_views():
    log_probs = random_scores(40, 6)[::2]
    assert align_one(log_probs.half(), [1, 2]).starts == align_one(log_probs.float(), [1, 2]).starts


@pytest.mark.gpu
def test_on_a_gpu():
    log_probs = random_scores(40, 6)
    assert align_one(log_probs.cuda(), [1, 2]) == align_one(log_probs, [1, 2])


def test_words():
    tokenizer = CharacterTokenizer(characters=" abc")
    tokens = tokenizer.encode("ab c")
    steps = [2, 0, 3, 1, 4]
    log_probs = torch.nn.functional.one_hot(torch.tensor(steps), 5).mul(0.9).add(0.02).log()
    words = word_times(align_one(log_probs, tokens, frame_s=0.5), tokenizer)
    assert [(w.text, w.start_s, w.end_s) for w in words] == [("ab", 0, 1.5), ("c", 2, 2.5)]
    assert words[0].confidence == pytest.approx(0.92)


def test_too_few_frames_name_the_utterance():
    log_probs, lengths = random_scores(9, 3)[None].repeat(2, 1, 1), torch.tensor([9, 3])
    targets, sizes = torch.tensor([[1, 1, 2], [1, 1, 2]]), torch.tensor([3, 3])
    message = r"utterance b/2\.wav has 3 frames, its 3 tokens need at least 4; is the transcript"
    with pytest.raises(SeqlabError, match=message):
        align(log_probs, lengths, targets, sizes, names=["a", "b/2.wav"])
    with pytest.raises(SeqlabError, match="utterance 1 of the batch has 3 frames"):
        align(log_probs, lengths, targets, sizes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_probs": torch.zeros(4, 3)}, r"shape \(4, 3\) must be \(B, T', C\)"),
        ({"blank": 3}, "C above blank=3"),
        ({"blank": -1}, "blank=-1"),
        ({"frame_s": 0.0}, "frame_s=0.0 must be above 0"),
        ({"lengths": torch.tensor([5])}, "log_probs"),
        ({"lengths": torch.tensor([4, 4])}, "1 utterances of log_probs with 2 lengths"),
        ({"target_lengths": torch.tensor([3])}, "targets"),
        ({"targets": torch.tensor([[1, 3]])}, "target 3 of utterance 0 of the batch .* 0 to 2"),
        ({"targets": torch.tensor([[1, 0]])}, "not the blank 0"),
        ({"targets": torch.tensor([[1, -1]])}, "target -1"),
        ({"names": ["a", "b"]}, "2 names for 1 utterances"),
        ({"log_probs": torch.full((1, 4, 3), math.nan)}, "hold NaN"),
        ({"log_probs": torch.full((1, 4, 3), -math.inf)}, "without any probability"),
        ({"log_probs": torch.full((1, 4, 3), 2.5)}, "reach 2.5, must be at most 0; apply log_soft"),
        (
            {"log_probs": torch.tensor([[[0.0, -1.0, -math.inf]] * 4])},
            "probability 0 in every alignment",
        ),
    ],
)
def test_bad_input(change, message):
    arguments = {
        "log_probs": random_scores(4, 3)[None],
        "lengths": torch.tensor([4]),
        "targets": torch.tensor([[1, 2]]),
        "target_lengths": torch.tensor([2]),
    }
    with pytest.raises(SeqlabError, match=message):
        align(**(arguments | change))
