"""Every text of a few tokens, and what the parts of a model say of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from seqlab.contracts import Head

Text = tuple[int, ...]


def all_texts(tokens: Sequence[int], longest: int) -> list[Text]:
    sizes = range(longest + 1)
    return [text for size in sizes for text in itertools.product(tokens, repeat=size)]


@torch.no_grad()
def scores(head: Head, encoded: torch.Tensor, texts: list[Text]) -> list[float]:
    """What a head of output "tokens" says, text by text; encoded (T, D)."""
    found = []
    for text in texts:
        targets, sizes = torch.tensor([text], dtype=torch.int64), torch.tensor([len(text)])
        found.append(float(head.score(encoded[None], torch.tensor([len(encoded)]), targets, sizes)))
    return found


@torch.no_grad()
def ctc_scores(log_probs: torch.Tensor, texts: list[Text], blank: int) -> list[float]:
    """What torch's CTC loss says; log_probs (T, C)."""
    found = []
    for text in texts:
        loss = functional.ctc_loss(
            log_probs[:, None],
            torch.tensor([text], dtype=torch.int64),
            torch.tensor([len(log_probs)]),
            torch.tensor([len(text)]),
            blank=blank,
            reduction="none",
        )
        found.append(-float(loss))
    return found


class Letters:
    """A language model over the units "1", "2", ...: each depends on the one before."""

    def __init__(self, classes: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        table = torch.randn(classes + 2, classes + 1, generator=generator).double()
        self.table = table.log_softmax(-1)

    def initial_state(self) -> int:
        return len(self.table) - 1

    def advance(self, state: int, token: str) -> tuple[float, int]:
        number = self.table.shape[1] - 1 if token == "</s>" else int(token)
        return float(self.table[state, number]), number

    def score_batch(self, sentences: Sequence[Sequence[str]]) -> list[float]:
        totals = []
        for sentence in sentences:
            state, total = self.initial_state(), 0.0
            units = sentence.split() if isinstance(sentence, str) else sentence
            for unit in [*units, "</s>"]:
                gained, state = self.advance(state, unit)
                total += gained
            totals.append(total)
        return totals


def ranked(texts: list[Text], totals: Sequence[float]) -> list[tuple[Text, float]]:
    pairs = [pair for pair in zip(texts, totals, strict=True) if pair[1] > -math.inf]
    return sorted(pairs, key=lambda pair: -pair[1])
