"""One search through a transducer: all utterances of a batch, one frame or token at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from seqlab.contracts import Head
from seqlab.decoding.parts import selected
from seqlab.decoding.shallow_fusion import FusionState, ShallowFusion
from seqlab.errors import SeqlabError

_WORTH_ASKING = 2  # tokens a hypothesis, for each place in the beam, that a language model scores
_FACTOR = 6364136223846793005  # of the hash of a text, modulo 2^64 (Knuth's MMIX)
_SUMMAND = 1442695040888963407


@dataclass(frozen=True)
class Ended:
    """A finished hypothesis.

    Args:
        score: By which it is ranked.
        tokens: Without blanks.
        frames: Where each was said.
        token_scores: Log-probability of each token there.
        details: What the parts say: "transducer" and "language", log-probabilities.
    """

    score: float
    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    token_scores: tuple[float, ...]
    details: dict[str, Any]


@dataclass(frozen=True)
class Beam:
    """K hypotheses of each of B utterances.

    Args:
        acoustic: Log-probability (B, K) of all ways to the text, up to here; -inf: none there.
        beside: What language model and bonus add to it (B, K).
        frame: Where each is (B, K).
        size: Tokens of each (B, K).
        text: Hash of its tokens (B, K).
        shorter: Hash of its tokens but the last (B, K).
        tokens: Each with room for the longest text, (B, K, U).
        frames: Where each token was said (B, K, U).
        token_scores: Log-probability of each token (B, K, U).
    """

    acoustic: Tensor
    beside: Tensor
    frame: Tensor
    size: Tensor
    text: Tensor
    shorter: Tensor
    tokens: Tensor
    frames: Tensor
    token_scores: Tensor

    def select(self, rows: Tensor, columns: Tensor) -> Beam:
        """The hypotheses ``columns`` (B, K') of each utterance."""
        return Beam(*(getattr(self, field.name)[rows, columns] for field in fields(self)))


class Search:
    """The state of one search; ``run`` it once."""

    def __init__(
        self,
        head: Head,
        encoded: Tensor,
        lengths: Tensor,
        longest: Tensor,
        *,
        beam_size: int,
        n_best: int,
        language_model: ShallowFusion | None,
        length_bonus: float,
        stop_margin: float,
    ) -> None:
        self.head, self.lengths, self.longest = head, lengths, longest
        self.blank = int(head.blank)  # type: ignore[arg-type]
        self.beam_size, self.n_best = beam_size, n_best
        self.language_model, self.length_bonus = language_model, length_bonus
        self.stop_margin = stop_margin
        count, device = len(lengths), encoded.device
        blanks = torch.full((count,), self.blank, device=device)
        log_probs, self.state = head.advance(head.initial_state(encoded, lengths), blanks)
        self.next = self._checked(log_probs).view(count, 1, -1)
        self.rows = torch.arange(count, device=device)[:, None]
        zeros = torch.zeros(count, 1, dtype=torch.int64, device=device)
        room = torch.zeros(count, 1, int(longest.max()) + 1, dtype=torch.int64, device=device)
        nothing = zeros.double().masked_fill((lengths == 0)[:, None], -torch.inf)
        self.beam = Beam(
            nothing, zeros.double(), zeros, zeros, zeros + 1, zeros, room, room, room.double()
        )
        self.language: list[list[FusionState]] = []
        if language_model is not None:
            self.language = [[language_model.initial_state()] for _ in range(count)]
        self.ended: list[list[Ended]] = [[] for _ in range(count)]
        for row in (lengths == 0).nonzero().flatten().tolist():
            self.ended[row] = [Ended(0.0, (), (), (), {"transducer": 0.0})]

    def run(self) -> list[list[Ended]]:
        """The ``n_best`` finished hypotheses of each utterance, best first."""
        for _ in range(int((self.lengths + self.longest).max())):
            silent = self.beam.acoustic + self.next[..., self.blank]
            said = self.beam.acoustic[..., None] + self.next
            said[..., self.blank] = -torch.inf
            said = said.masked_fill(
                (self.beam.size >= self.longest[:, None])[..., None], -torch.inf
            )
            silent = self._merge(silent, said)
            last = self.beam.frame + 1 >= self.lengths[:, None]
            self._finish(silent.masked_fill(~last, -torch.inf))
            silent = silent.masked_fill(last, -torch.inf)
            if not self._extend(silent, said):
                break
        return self.ended

    def _merge(self, silent: Tensor, said: Tensor) -> Tensor:
        """Add to each text that waits (B, K) the way that says its last token only now.

        That way is taken out of ``said`` (B, K, C).
        """
        beam = self.beam
        same = (beam.shorter[:, :, None] == beam.text[:, None, :]) & (beam.size > 0)[..., None]
        same &= silent[..., None] > -torch.inf
        if not bool(same.any()):
            return silent
        last = beam.tokens.gather(-1, (beam.size - 1).clamp(min=0)[..., None])[..., 0]
        ways = said[:, None].expand(-1, same.shape[1], -1, -1)
        index = last[:, :, None, None].expand(-1, -1, same.shape[2], 1)
        late = ways.gather(-1, index)[..., 0].masked_fill(~same, -torch.inf)
        for row, column, shorter in same.nonzero().tolist():
            said[row, shorter, last[row, column]] = -torch.inf
        return torch.logaddexp(silent, late.logsumexp(-1))

    def _finish(self, ended: Tensor) -> None:
        """Keep the best of the texts that wait beyond their last frame, (B, K)."""
        beam = self.beam
        totals = (ended + beam.beside).tolist()
        for row, column in (ended > -torch.inf).nonzero().tolist():
            score, kept = totals[row][column], self.ended[row]
            details = {"transducer": float(ended[row, column])}
            if self.language_model is not None:
                state = self.language[row][column]
                details["language"] = self.language_model.ended(state)
                score += self.language_model.weight * (details["language"] - state.score)
            if score == -math.inf or (len(kept) == self.n_best and score <= kept[-1].score):
                continue
            size = int(beam.size[row, column])
            tokens, frames, token_scores = (
                tuple(values[row, column, :size].tolist())
                for values in (beam.tokens, beam.frames, beam.token_scores)
            )
            kept.append(Ended(score, tokens, frames, token_scores, details))
            kept.sort(key=lambda hypothesis: -hypothesis.score)
            del kept[self.n_best :]

    def _extend(self, silent: Tensor, said: Tensor) -> bool:
        """Go on with the best, a frame or a token further; False if nothing better can come."""
        beam, blank = self.beam, self.blank
        total = said + (beam.beside + self.length_bonus)[..., None]
        if self.language_model is not None:
            total = self._with_language_model(self.language_model, total)
        total[..., blank] = silent + beam.beside
        total = total.masked_fill(self._is_done(total)[:, None, None], -torch.inf)
        _, width, classes = total.shape
        values, places = total.flatten(1).topk(min(self.beam_size, width * classes), dim=-1)
        if not bool((values > -torch.inf).any()):
            return False
        nowhere = values == -torch.inf
        parents, tokens = places // classes, (places % classes).masked_fill(nowhere, blank)
        log_probs = self.next[self.rows, parents, tokens]
        said[..., blank] = silent
        acoustic = said[self.rows, parents, tokens].masked_fill(nowhere, -torch.inf)
        beside = (values - acoustic).masked_fill(nowhere, 0)
        self.beam = self._further(
            beam.select(self.rows, parents), acoustic, beside, tokens, log_probs
        )
        if self.language_model is not None:
            self._extend_language(self.language_model, parents.tolist(), tokens.tolist())
        flat = (self.rows * width + parents).flatten()
        chosen = selected(self.head, self.state, flat, len(total) * width)
        log_probs, self.state = self.head.advance(chosen, tokens.flatten())
        self.next = self._checked(log_probs).view(*tokens.shape, -1)
        return True

    def _further(
        self, beam: Beam, acoustic: Tensor, beside: Tensor, tokens: Tensor, log_probs: Tensor
    ) -> Beam:
        """The hypotheses after a blank or another token each, (B, K)."""
        speaks = tokens != self.blank
        place = torch.nn.functional.one_hot(beam.size, beam.tokens.shape[-1]).bool()
        place &= speaks[..., None]
        return Beam(
            acoustic=acoustic,
            beside=beside,
            frame=beam.frame + ~speaks,
            size=beam.size + speaks,
            text=torch.where(speaks, beam.text * _FACTOR + tokens + _SUMMAND, beam.text),
            shorter=torch.where(speaks, beam.text, beam.shorter),
            tokens=torch.where(place, tokens[..., None], beam.tokens),
            frames=torch.where(place, beam.frame[..., None], beam.frames),
            token_scores=torch.where(place, log_probs[..., None], beam.token_scores),
        )

    def _with_language_model(self, model: ShallowFusion, total: Tensor) -> Tensor:
        """Scores with the language model's; only the most promising tokens get one."""
        asked = min(_WORTH_ASKING * self.beam_size, total.shape[-1])
        values, tokens = total.topk(asked, dim=-1)
        added = torch.full(values.shape, -torch.inf, dtype=total.dtype)
        for row, column, place in (values > -torch.inf).nonzero().tolist():
            state = self.language[row][column]
            after = model.extend(state, int(tokens[row, column, place]))
            added[row, column, place] = model.weight * (after.score - state.score)
        kept = torch.full_like(total, -torch.inf)
        return kept.scatter(-1, tokens, values + added.to(total.device))

    def _extend_language(
        self, model: ShallowFusion, parents: list[list[int]], tokens: list[list[int]]
    ) -> None:
        alive = (self.beam.acoustic > -torch.inf).tolist()
        self.language = [
            [
                model.extend(states[parent], token)
                if living and token != self.blank
                else states[parent]
                for parent, token, living in zip(*row, strict=True)
            ]
            for states, *row in zip(self.language, parents, tokens, alive, strict=True)
        ]

    def _is_done(self, total: Tensor) -> Tensor:
        """Whether (B,) all that is unfinished together, (B, K, C), is less than the n-th best."""
        done = []
        everything = total.flatten(1).logsumexp(-1).tolist()
        margin = self.stop_margin if self.length_bonus > 0 else 0.0
        for left, kept in zip(everything, self.ended, strict=True):
            done.append(len(kept) == self.n_best and left + margin <= kept[-1].score)
        return torch.tensor(done, device=total.device)

    def _checked(self, log_probs: Tensor) -> Tensor:
        if bool(log_probs.isnan().any()):
            raise SeqlabError(
                "the transducer gives log-probabilities that are not numbers; look for NaN in the "
                "audio or in the model's weights"
            )
        return log_probs.double()
