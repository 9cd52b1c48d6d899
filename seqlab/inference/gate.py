"""Only stretches of a stream that hold speech, so that a model need not hear the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlab.checks import check_at_least, check_range
from seqlab.inference.cutting import Cutting, speech_decisions

__all__ = ["Gate", "Stretch", "gated"]

_HOP_S = 0.01


@dataclass(frozen=True)
class Gate:
    """When a stream is listened to.

    Args:
        before_s: Seconds before speech that are heard, too, 0 to 30; a model needs them to fill
            its memory.
        after_s: Seconds without speech after which nothing is heard, 0 to 60.
        decide_s: How much is decided at a time, above 0 seconds.
        ahead_s: How much is heard before that; both add to the delay.
        threshold_db: See ``seqlab.frontend.voice_activity.voice_activity``.

    Raises:
        SeqlabError: A value is out of range.
    """

    before_s: float = 0.5
    after_s: float = 1.0
    decide_s: float = 0.25
    ahead_s: float = 0.25
    threshold_db: float = 2.0

    def __post_init__(self) -> None:
        check_range("before_s", self.before_s, 0, 30, "0.5 is usual")
        check_range("after_s", self.after_s, 0, 60, "1 is usual")
        self.cutting()

    def cutting(self) -> Cutting:
        """What finds the speech."""
        return Cutting(decide_s=self.decide_s, ahead_s=self.ahead_s, threshold_db=self.threshold_db)


@dataclass(frozen=True)
class Stretch:
    """Samples that are to be heard; several in a row where ``ends`` is False.

    Args:
        samples: (n,).
        start: Number of the first of them, from the start of the stream.
        begins: Whether something was left out before them, or nothing was heard before.
        ends: Whether something is left out after them, or the stream ends.
    """

    samples: Tensor
    start: int
    begins: bool
    ends: bool


def gated(
    blocks: Iterable[Tensor], sample_rate: int, unit: int = 1, gate: Gate | None = None
) -> Iterator[Stretch]:
    """Leave out what holds no speech.

    The blocks' own lengths change nothing. At most about eleven seconds are held.

    Args:
        blocks: The stream (n,), float, in blocks of any length.
        sample_rate: In Hz, at least 2000.
        unit: Samples of which every stretch begins at a multiple, at least 1.
        gate: Settings; None takes the defaults.
    """
    check_at_least("unit", unit, 1)
    gate = gate or Gate()
    before, after = (round(s * sample_rate) for s in (gate.before_s, gate.after_s))
    hop = max(1, round(_HOP_S * sample_rate))
    held, at = torch.empty(0), 0  # samples not heard yet, and the number of the next one
    opened, begins, quiet = False, False, 0
    for samples, active in speech_decisions(blocks, sample_rate, hop, gate.cutting()):
        speech = any(active)
        held, at = torch.cat([held, samples]), at + len(samples)
        if speech and not opened:
            start = max(at - len(held), at - len(samples) - before)
            start = min(-(-start // unit) * unit, at)
            held, opened, begins = held[len(held) - (at - start) :], True, True
        quiet = 0 if speech else quiet + len(samples)
        if opened and quiet >= after:
            yield Stretch(held, at - len(held), begins, True)
            held, opened = held[:0], False
        elif opened:
            yield Stretch(held, at - len(held), begins, False)
            held, begins = held[:0], False
        else:
            held = held[max(0, len(held) - before - unit) :]
    if opened:
        yield Stretch(held, at - len(held), begins, True)
