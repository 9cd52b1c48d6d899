"""The keyword head: its loss by hand, streams equal to the whole, and what it learns to ignore."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlab.data.manifest import read_manifest
from seqlab.errors import SeqlabError
from seqlab.heads.keyword import KeywordHead
from seqlab.model import SpeechModel
from tests.training.corpus import make_corpus, make_recipe, run


def log_odds_head(**arguments: object) -> KeywordHead:
    """A head whose encoded frames are the logits."""
    head = KeywordHead(3, 3, **{"window": 1, **arguments})
    torch.nn.init.eye_(head.linear.weight)
    torch.nn.init.zeros_(head.linear.bias)
    return head.eval()


def frames(*probabilities: list[float]) -> tuple[Tensor, Tensor]:
    return torch.tensor([probabilities]).log(), torch.tensor([len(probabilities)])


def loss_of(head: KeywordHead, label: int, *probabilities: list[float]) -> float:
    ones = torch.tensor([1])
    return float(head.loss(*frames(*probabilities), torch.tensor([[label]]), ones).detach())


SPOKEN = ([0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.5, 0.1, 0.4])  # background, go, stop


def test_loss_by_hand() -> None:
    """Classes: 0 background, 1 and 2 keywords; two hardest frames."""
    head = log_odds_head(background=[0], hard_frames=2)
    # Best frame of 1: 0.7. Of 2 there is at most 0.4 and 0.1.
    expected = -math.log(0.7) - (math.log(0.6) + math.log(0.9)) / 2
    assert loss_of(head, 1, *SPOKEN) == pytest.approx(expected, abs=1e-6)
    # Background: at best 0.9; keywords together have 0.8 and 0.5 at the hardest.
    expected = -math.log(0.9) - (math.log(0.2) + math.log(0.5)) / 2
    assert loss_of(head, 0, *SPOKEN) == pytest.approx(expected, abs=1e-6)


def test_fewer_frames_than_hard_ones() -> None:
    head = log_odds_head(background=[0], hard_frames=9)
    expected = -math.log(0.9) - (math.log(0.9) + math.log(0.2) + math.log(0.5)) / 3
    assert loss_of(head, 0, *SPOKEN) == pytest.approx(expected, abs=1e-6)


def test_without_background_the_best_frame_is_all() -> None:
    assert loss_of(log_odds_head(), 2, *SPOKEN) == pytest.approx(-math.log(0.4), abs=1e-6)


def test_the_answer_is_where_a_keyword_peaks() -> None:
    head = log_odds_head(background=[0])
    torch.testing.assert_close(head(*frames(*SPOKEN)).exp(), torch.tensor([SPOKEN[1]]))
    # All of them count without background.
    torch.testing.assert_close(log_odds_head()(*frames(*SPOKEN)).exp(), torch.tensor([SPOKEN[0]]))


def test_the_mean_looks_back_only_and_is_of_what_there_is() -> None:
    head = log_odds_head(window=2)
    encoded = torch.tensor([[[0.0, 2.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]]])
    means = torch.tensor([[[0.0, 2.0, 0.0], [0.0, 3.0, 0.0], [0.0, 2.0, 3.0]]])
    found = head.posteriors(encoded, torch.tensor([3]))
    torch.testing.assert_close(found, means.softmax(-1))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.lists(st.integers(0, 20), max_size=6))
def test_steps_equal_the_whole(window: int, cuts: list[int]) -> None:
    torch.manual_seed(window)
    head = KeywordHead(4, 5, window=window).eval()
    encoded = torch.randn(2, 20, 4)
    whole = head.posteriors(encoded, torch.tensor([20, 20]))
    state, parts = head.initial_posterior_state(2), []
    for begin, end in itertools.pairwise([0, *sorted(cuts), 20]):
        some, state = head.posterior_step(encoded[:, begin:end], state)
        parts.append(some)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-5, atol=1e-6)
    assert state[0].shape == (2, window - 1, 5) and int(state[1].max()) <= window - 1


@pytest.mark.slow
def test_learns_keywords_of_ordinary_recordings(tmp_path: Path) -> None:
    """By the ordinary training loop; a label head like any other."""
    root = make_corpus(tmp_path / "tones", "classification", train=36, other=12)
    recipe = make_recipe(
        root,
        "classification",
        head={
            "class_path": "seqlab.heads.keyword.KeywordHead",
            "init_args": {"window": 5, "background": [0], "hard_frames": 3},
        },
        encoder__init_args__causal=True,
        spec_augment=None,
        training__epochs=8,
    )
    result = run(recipe, tmp_path / "run")
    model = SpeechModel.load(result.folder / "model")
    assert isinstance(model.head, KeywordHead) and model.head.window == 5
    tests = read_manifest(root / "test.jsonl.gz")
    answers = model.classify([utterance.path for utterance in tests])
    right = sum(best.label == u.label for [best], u in zip(answers, tests, strict=True))
    assert right >= 11  # of 12


def test_bad_arguments() -> None:
    for background in ([3], [-1], [0, 0], [0, 1, 2], [True]):
        with pytest.raises(SeqlabError, match="must be different class numbers from 0 to 2"):
            KeywordHead(4, 3, background=background)
    with pytest.raises(SeqlabError, match="window=0"):
        KeywordHead(4, 3, window=0)
    with pytest.raises(SeqlabError, match="hard_frames=0"):
        KeywordHead(4, 3, hard_frames=0)
    head = KeywordHead(4, 3)
    with pytest.raises(SeqlabError, match="one label an utterance"):
        head.loss(*[torch.zeros(1, 3, 4), torch.tensor([3])], torch.zeros(1, 2).long(),
                  torch.tensor([2]))  # fmt: skip
