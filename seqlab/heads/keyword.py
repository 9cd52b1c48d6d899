"""A keyword's posterior at every frame, for spotting in a stream that never ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.dropout import Dropout
from seqlab.checks import check_at_least
from seqlab.contracts import Head
from seqlab.errors import SeqlabError
from seqlab.lengths import valid_mask, zero_padding

# Logits of the last ``window`` - 1 frames (B, window - 1, C), and how many of them were (B,).
PosteriorState = tuple[Tensor, Tensor]


class KeywordHead(Head):
    """Class posteriors at every encoded frame, from a moving average that looks back only.

    Use it for wake words and commands in live audio: ``seqlab spot`` follows it frame by frame,
    and it is trained on where the keyword ends, not on a mean over the whole recording. As a
    classifier it answers with the frame at which a keyword peaks.

    The loss has two parts. The label's cross-entropy at the frame where it is most probable; and
    for all keywords but the label, minus the logarithm of the probability that none of them is
    there, averaged over the ``hard_frames`` frames where that is least. The second one is what
    keeps a detector quiet; without ``background`` there is nothing else that a frame could be, and
    it is left out.

    Args:
        input_dim: Width D of an encoded frame, at least 1.
        num_classes: Labels, at least 2.
        window: Encoded frames that are averaged, the frame itself and those before it; about as
            long as a keyword. At least 1.
        background: Numbers of the labels that are no keywords, such as ``<unknown>`` and
            ``<silence>``; at least one class must be left. A recipe that names none has those of
            the labels in angle brackets.
        hard_frames: Frames of the second part, at least 1.
        dropout: Probability in [0, 1) on the encoded frames.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: max-pooling by Sun et al. 2016, "Max-pooling loss training of long short-term memory
    networks for small-footprint keyword spotting", section 3.3, where every frame of background
    counts; here the hardest ones do, after Hou et al. 2020, "Mining effective negative training
    samples for keyword spotting", section 2, and in recordings of keywords, too.

    Example:
        >>> head = KeywordHead(input_dim=4, num_classes=3, window=2, background=[0])
        >>> head(torch.zeros(1, 5, 4), torch.tensor([5])).shape
        torch.Size([1, 3])
        >>> head.posteriors(torch.zeros(1, 5, 4), torch.tensor([5])).shape
        torch.Size([1, 5, 3])
    """

    output: ClassVar[Literal["frames", "label", "tokens"]] = "label"
    is_keyword: Tensor

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        window: int = 20,
        background: Sequence[int] = (),
        hard_frames: int = 5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_at_least("input_dim", input_dim, 1)
        check_at_least("num_classes", num_classes, 2)
        check_at_least("window", window, 1)
        check_at_least("hard_frames", hard_frames, 1)
        self.input_dim = input_dim
        self.num_classes = num_classes
        self.window = window
        self.hard_frames = hard_frames
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(input_dim, num_classes)
        self.register_buffer("is_keyword", _keywords(background, num_classes), persistent=False)

    def forward(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Natural log-probabilities (B, C) at the frame where a keyword is most probable.

        An utterance without frames gets what the bias says.
        """
        log_probs, valid = self._frames(encoded, lengths)
        keywords = log_probs.masked_fill(~self.is_keyword, -torch.inf).amax(-1)
        return _at(log_probs, keywords.masked_fill(~valid, -torch.inf).argmax(1))

    def posteriors(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Probability of every class at every frame (B, T', C); padding is 0."""
        log_probs, _ = self._frames(encoded, lengths)
        return zero_padding(log_probs[:, : encoded.shape[1]].exp(), lengths)

    def initial_posterior_state(self, batch_size: int = 1) -> PosteriorState:
        """State of ``batch_size`` streams before their first encoded frame."""
        check_at_least("batch_size", batch_size, 1)
        history = self.linear.bias.new_zeros(batch_size, self.window - 1, self.num_classes)
        return history.detach(), torch.zeros(batch_size, dtype=torch.int64, device=history.device)

    def posterior_step(
        self, encoded: Tensor, state: PosteriorState
    ) -> tuple[Tensor, PosteriorState]:
        """Posteriors (B, T', C) of the next encoded frames (B, T', D), and the new state.

        All steps put together equal ``posteriors``.
        """
        history, seen = state
        logits = torch.cat([history, self.linear(self.dropout(encoded))], 1)
        averaged = self._average(logits, seen)
        keep = logits[:, encoded.shape[1] :]
        seen = (seen + encoded.shape[1]).clamp(max=self.window - 1)
        return averaged.softmax(-1, dtype=_precise(averaged)), (keep, seen)

    def loss(
        self, encoded: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Loss of each utterance (B,), for targets (B, 1) with target_lengths all 1.

        Raises:
            SeqlabError: If a shape does not fit, or a target is not a class.
        """
        labels = self._labels(targets, target_lengths)
        log_probs, valid = self._frames(encoded, lengths)
        wanted = log_probs.gather(2, labels[:, None, None].expand(-1, log_probs.shape[1], 1))
        losses = -wanted[..., 0].masked_fill(~valid, -torch.inf).amax(1)
        if bool(self.is_keyword.all()):
            return losses
        own = functional.one_hot(labels, self.num_classes).bool()
        allowed = (own | ~self.is_keyword)[:, None]
        quiet = -log_probs.masked_fill(~allowed, -torch.inf).logsumexp(-1)
        hardest = quiet.masked_fill(~valid, -torch.inf)
        hardest = hardest.topk(min(self.hard_frames, hardest.shape[1]), dim=1).values
        real = hardest > -torch.inf
        return losses + hardest.masked_fill(~real, 0).sum(1) / real.sum(1).clamp(min=1)

    def _frames(self, encoded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (B, T, C) of frames, one at least, and which there are (B, T).

        An utterance without frames has one, of zeros.
        """
        check_sequence(encoded, lengths, self.input_dim, "encoded")
        encoded = zero_padding(encoded, lengths)
        if encoded.shape[1] == 0:
            encoded = encoded.new_zeros(len(encoded), 1, self.input_dim)
        logits = self.linear(self.dropout(encoded))
        batch_size = logits.shape[0]  # len() would fix the size of an exported graph
        start = logits.new_zeros(batch_size, self.window - 1, self.num_classes)
        none = torch.zeros(batch_size, dtype=torch.int64, device=logits.device)
        averaged = self._average(torch.cat([start, logits], 1), none)
        log_probs = averaged.log_softmax(-1, dtype=_precise(averaged))
        return log_probs, valid_mask(lengths.clamp(min=1), log_probs.shape[1])

    def _average(self, logits: Tensor, seen: Tensor) -> Tensor:
        """Mean (B, T, C) of the last ``window`` of logits (B, window - 1 + T, C).

        Of the first window - 1 the last ``seen`` (B,) are frames, those before them zero.
        """
        count = logits.shape[1] - self.window + 1
        if count == 0:
            return logits[:, :0]
        means = functional.avg_pool1d(logits.transpose(1, 2), self.window, 1).transpose(1, 2)
        place = torch.arange(1, count + 1, device=logits.device)
        frames = (seen[:, None] + place).clamp(max=self.window)
        return means * (self.window / frames).to(means.dtype)[..., None]

    def _labels(self, targets: Tensor, target_lengths: Tensor) -> Tensor:
        if targets.dim() != 2 or targets.shape[1] != 1 or bool((target_lengths != 1).any()):
            raise SeqlabError(
                f"targets of shape {tuple(targets.shape)} must be (B, 1), one label an utterance; "
                "for token sequences use a CTC head"
            )
        labels = targets[:, 0]
        wrong = (labels < 0) | (labels >= self.num_classes)
        if wrong.any():
            raise SeqlabError(
                f"target label {int(labels[wrong][0])} must be within 0 and "
                f"{self.num_classes - 1}; check that head and tokenizer share one label set"
            )
        return labels


def _precise(logits: Tensor) -> torch.dtype:
    return torch.float32 if logits.dtype in (torch.float16, torch.bfloat16) else logits.dtype


def _at(log_probs: Tensor, frames: Tensor) -> Tensor:
    """The frame ``frames`` (B,) of each of log_probs (B, T, C)."""
    index = frames[:, None, None].expand(-1, 1, log_probs.shape[2])
    return log_probs.gather(1, index)[:, 0]


def _keywords(background: Sequence[int], num_classes: int) -> Tensor:
    """Which classes (C,) are keywords."""
    found = list(background)
    inside = all(
        isinstance(c, int) and not isinstance(c, bool) and 0 <= c < num_classes for c in found
    )
    if not inside or len(set(found)) < len(found) or len(found) >= num_classes:
        raise SeqlabError(
            f"background={found} must be different class numbers from 0 to {num_classes - 1}, and "
            "leave a keyword; name the classes of <unknown> and <silence>"
        )
    keywords = torch.ones(num_classes, dtype=torch.bool)
    keywords[found] = False
    return keywords
