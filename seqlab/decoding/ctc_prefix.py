"""CTC's probability of everything that begins with a prefix, for searches token by token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from seqlab.lengths import valid_mask

_FLOOR = -1e4  # of log-probabilities: e^-10000 is as good as nothing, but can be added up


@dataclass(frozen=True)
class CTCPrefixState:
    """How each of K prefixes of B utterances goes with the first 0, 1, ..., T frames.

    Args:
        nonblank: Log-probability (B, K, T + 1) that the frames say the prefix, its last token last.
        blank: The same with a blank last.
        last: Last token (B, K); -1 of the empty prefix.
    """

    nonblank: Tensor
    blank: Tensor
    last: Tensor


class CTCPrefixScorer:
    """Scores prefixes, and all their extensions by one token at once.

    Use it to guide the search of an attention decoder, which alone may skip or repeat parts of a
    recording. All sums are in double precision. A token less probable than e^-10000 in a frame
    counts as that probable.

    Args:
        log_probs: Of a CTC head (B, T, C).
        lengths: (B,).
        blank: Index of the blank.

    Source: Watanabe et al. 2017, "Hybrid CTC/Attention Architecture for End-to-End Speech
    Recognition", algorithm 2 and equations 51 to 53. The recursions over frames are running
    log-sum-exps, and the extensions a matrix product.

    Example:
        >>> log_probs = torch.tensor([[[0.4, 0.6], [0.5, 0.5]]]).log()
        >>> scorer = CTCPrefixScorer(log_probs, torch.tensor([2]), blank=0)
        >>> scorer.extensions(scorer.initial_state()).exp().flatten()  # nothing more; an "a"
        tensor([0.2000, 0.8000], dtype=torch.float64)
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor, blank: int) -> None:
        if log_probs.shape[1] == 0:
            log_probs = functional.pad(log_probs, (0, 0, 0, 1))
        valid = valid_mask(lengths, log_probs.shape[1])[..., None]
        scores = log_probs.detach().double().clamp(min=_FLOOR).masked_fill(~valid, _FLOOR)
        scores[..., blank] = scores[..., blank].masked_fill(~valid[..., 0], 0)
        self.log_probs = scores
        self.probs = scores.exp()
        self.blank = blank

    def initial_state(self) -> CTCPrefixState:
        """State of one empty prefix for each utterance."""
        blanks = self.log_probs[:, None, :, self.blank]
        blank = torch.cat([torch.zeros_like(blanks[..., :1]), blanks.cumsum(-1)], dim=-1)
        last = torch.full(blank.shape[:2], -1, device=blank.device)
        return CTCPrefixState(torch.full_like(blank, -torch.inf), blank, last)

    def extensions(self, state: CTCPrefixState) -> Tensor:
        """Log-probability (B, K, C) of all texts that begin with the prefix and a further token.

        In the blank's place stands that of the prefix alone, as the whole text.
        """
        before = torch.logaddexp(state.nonblank, state.blank)[..., :-1]
        total = _log_matmul(before, self.probs)
        # After the same token again only frames that follow a blank count.
        last = state.last.clamp(min=0)[..., None]
        again = (state.blank[..., :-1] + self._of(state.last.clamp(min=0))).logsumexp(-1)
        kept = torch.where(state.last < 0, total.gather(-1, last)[..., 0], again)
        total = total.scatter(-1, last, kept[..., None])
        total[..., self.blank] = torch.logaddexp(state.nonblank[..., -1], state.blank[..., -1])
        return total

    def advance(self, state: CTCPrefixState, parents: Tensor, tokens: Tensor) -> CTCPrefixState:
        """State of the prefixes ``parents`` (B, K'), each longer by one of ``tokens`` (B, K')."""
        index = parents[..., None].expand(-1, -1, state.blank.shape[-1])
        blank, nonblank = state.blank.gather(1, index), state.nonblank.gather(1, index)
        repeated = (state.last.gather(1, parents) == tokens)[..., None]
        before = torch.where(repeated, blank, torch.logaddexp(blank, nonblank))
        said = _recursion(before, self._of(tokens))
        silent = _recursion(said, self.log_probs[:, None, :, self.blank])
        return CTCPrefixState(said, silent, tokens)

    def _of(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (B, K, T) of tokens (B, K), frame by frame."""
        index = tokens[:, None].expand(-1, self.log_probs.shape[1], -1)
        return self.log_probs.gather(2, index).transpose(1, 2)


def _recursion(enters: Tensor, stays: Tensor) -> Tensor:
    """x[t] = log(e^x[t-1] + e^enters[t-1]) + stays[t], x[0] = -inf; (B, K, T + 1) of (B, K, T)."""
    sums = stays.cumsum(-1)
    offsets = torch.cat([torch.zeros_like(sums[..., :1]), sums[..., :-1]], dim=-1)
    found = (enters[..., :-1] - offsets).logcumsumexp(-1) + sums
    return torch.cat([torch.full_like(enters[..., :1], -torch.inf), found], dim=-1)


def _log_matmul(left: Tensor, right: Tensor) -> Tensor:
    """Log of the product of e^left (B, K, T) and right (B, T, C)."""
    highest = left.amax(-1, keepdim=True).clamp(min=torch.finfo(left.dtype).min)
    return (left - highest).exp().matmul(right).log() + highest
