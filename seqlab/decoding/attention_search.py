"""One search through an attention decoder: all utterances of a batch, token by token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqlab.contracts import Head
from seqlab.decoding.ctc_prefix import CTCPrefixScorer
from seqlab.decoding.parts import selected
from seqlab.decoding.shallow_fusion import FusionState, ShallowFusion
from seqlab.errors import SeqlabError

_WORTH_ASKING = 2  # tokens a hypothesis, for each place in the beam, that a language model scores


@dataclass(frozen=True)
class Ended:
    """A finished hypothesis.

    Args:
        score: By which it is ranked.
        tokens: Without the end.
        token_scores: The attention decoder's log-probability of each token and of the end.
        details: What the parts say: "attention", "ctc" and "language", log-probabilities.
    """

    score: float
    tokens: tuple[int, ...]
    token_scores: tuple[float, ...]
    details: dict[str, Any]


class Search:
    """The state of one search; ``run`` it once.

    B utterances have K hypotheses each; K grows from 1 to ``beam_size``. Hypotheses of utterances
    that are done, and places in the beam without one, are not ``alive``.
    """

    def __init__(
        self,
        head: Head,
        encoded: Tensor,
        lengths: Tensor,
        longest: Tensor,
        *,
        beam_size: int,
        n_best: int,
        ctc: Head | None,
        ctc_weight: float,
        language_model: ShallowFusion | None,
        length_bonus: float,
        stop_margin: float,
    ) -> None:
        self.head, self.longest = head, longest
        self.blank = int(head.blank)  # type: ignore[arg-type]
        self.beam_size, self.n_best = beam_size, n_best
        self.ctc_weight, self.length_bonus = ctc_weight, length_bonus
        self.language_model, self.stop_margin = language_model, stop_margin
        count = len(lengths)
        blanks = torch.full((count,), self.blank, device=encoded.device)
        log_probs, self.state = head.advance(head.initial_state(encoded, lengths), blanks)
        self.next = self._checked(log_probs).view(count, 1, -1)
        self.attention = self.next.new_zeros(count, 1)
        self.alive = torch.ones(count, 1, dtype=torch.bool, device=encoded.device)
        self.tokens = torch.empty(count, 1, 0, dtype=torch.int64, device=encoded.device)
        self.token_scores = self.next.new_empty(count, 1, 0)
        self.ctc = self.ctc_state = None
        if ctc is not None:
            self.ctc = CTCPrefixScorer(ctc(encoded, lengths), lengths, int(ctc.blank))  # type: ignore[arg-type]
            self.ctc_state = self.ctc.initial_state()
        self.language: list[list[FusionState]] = []
        if language_model is not None:
            self.language = [[language_model.initial_state()] for _ in range(count)]
        self.ended: list[list[Ended]] = [[] for _ in range(count)]

    def run(self) -> list[list[Ended]]:
        """The ``n_best`` finished hypotheses of each utterance, best first."""
        for size in range(int(self.longest.max()) + 1):
            attention = self.attention[..., None] + self.next
            total = (1 - self.ctc_weight) * attention
            ctc = None
            if self.ctc is not None:
                assert self.ctc_state is not None  # they come together
                ctc = self.ctc.extensions(self.ctc_state)
                total = total + self.ctc_weight * ctc
            total = total.masked_fill(~self.alive[..., None], -torch.inf)
            self._finish(total[..., self.blank], attention[..., self.blank], ctc, size)
            total[..., self.blank] = -torch.inf
            total = total + self.length_bonus * (size + 1)
            total[self.longest <= size] = -torch.inf
            if self.language_model is not None:
                total = self._with_language_model(self.language_model, total)
            if not self._extend(total, attention, size):
                break
        return self.ended

    def _finish(self, total: Tensor, attention: Tensor, ctc: Tensor | None, size: int) -> None:
        """Take every hypothesis as the whole text, and keep the best."""
        for row, column in (total > -torch.inf).nonzero().tolist():
            score, kept = float(total[row, column]) + self.length_bonus * size, self.ended[row]
            needed = kept[-1].score if len(kept) == self.n_best else -math.inf
            if score <= needed:  # a language model can only make it worse
                continue
            details = {"attention": float(attention[row, column])}
            if ctc is not None:
                details["ctc"] = float(ctc[row, column, self.blank])
            if self.language_model is not None:
                details["language"] = self.language_model.ended(self.language[row][column])
                score += self.language_model.weight * details["language"]
                if score <= needed:
                    continue
            said = float(self.next[row, column, self.blank])
            scores = (*self.token_scores[row, column].tolist(), said)
            tokens = tuple(self.tokens[row, column].tolist())
            kept.append(Ended(score, tokens, scores, details))
            kept.sort(key=lambda ended: -ended.score)
            del kept[self.n_best :]

    def _with_language_model(self, model: ShallowFusion, total: Tensor) -> Tensor:
        """Scores with the language model's; only the most promising tokens get one."""
        asked = min(_WORTH_ASKING * self.beam_size, total.shape[-1])
        values, tokens = total.topk(asked, dim=-1)
        added = torch.full(values.shape, -torch.inf, dtype=total.dtype)
        for row, column, place in (values > -torch.inf).nonzero().tolist():
            state = self.language[row][column]
            after = model.extend(state, int(tokens[row, column, place]))
            added[row, column, place] = model.weight * after.score
        kept = torch.full_like(total, -torch.inf)
        return kept.scatter(-1, tokens, values + added.to(total.device))

    def _extend(self, total: Tensor, attention: Tensor, size: int) -> bool:
        """Keep the best beginnings, longer by one token; False if nothing better can come."""
        count, width, classes = total.shape
        values, places = total.flatten(1).topk(min(self.beam_size, width * classes), dim=-1)
        values = values.masked_fill(self._is_done(values[:, 0], size)[:, None], -torch.inf)
        self.alive = values > -torch.inf
        if not bool(self.alive.any()):
            return False
        parents, tokens = places // classes, places % classes
        rows = torch.arange(count, device=parents.device)[:, None]
        self.attention = attention[rows, parents, tokens]
        said = self.next[rows, parents, tokens][..., None]
        self.token_scores = torch.cat([self.token_scores[rows, parents], said], dim=-1)
        self.tokens = torch.cat([self.tokens[rows, parents], tokens[..., None]], dim=-1)
        if self.ctc is not None:
            assert self.ctc_state is not None
            self.ctc_state = self.ctc.advance(self.ctc_state, parents, tokens)
        if self.language_model is not None:
            self._extend_language(self.language_model, parents.tolist(), tokens.tolist())
        flat = (rows * width + parents).flatten()
        chosen = selected(self.head, self.state, flat, count * width)
        log_probs, self.state = self.head.advance(chosen, tokens.flatten())
        self.next = self._checked(log_probs).view(*tokens.shape, -1)
        return True

    def _extend_language(
        self, model: ShallowFusion, parents: list[list[int]], tokens: list[list[int]]
    ) -> None:
        alive = self.alive.tolist()
        self.language = [
            [
                model.extend(states[parent], token) if living else states[parent]
                for parent, token, living in zip(*row, strict=True)
            ]
            for states, *row in zip(self.language, parents, tokens, alive, strict=True)
        ]

    def _is_done(self, best: Tensor, size: int) -> Tensor:
        """Whether (B,) no unfinished hypothesis, the best of score ``best`` (B,), can win."""
        done = []
        rows = zip(best.tolist(), self.ended, self.longest.tolist(), strict=True)
        for score, kept, longest in rows:
            bonus = max(0.0, self.length_bonus) * (longest - size - 1)
            reach = score + min(bonus, self.stop_margin)
            done.append(len(kept) == self.n_best and reach <= kept[-1].score)
        return torch.tensor(done, device=best.device)

    def _checked(self, log_probs: Tensor) -> Tensor:
        if bool(log_probs.isnan().any()):
            raise SeqlabError(
                "the attention decoder gives log-probabilities that are not numbers; look for NaN "
                "in the audio or in the model's weights"
            )
        return log_probs.double()
