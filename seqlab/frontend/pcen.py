"""Per-channel energy normalisation (PCEN)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlab.checks import check_at_least, check_range
from seqlab.errors import SeqlabError
from seqlab.frontend.normalize import (
    Normalizer,
    check_features,
    check_streams,
    finite_frames,
)
from seqlab.lengths import valid_mask, zero_padding

_BLOCK = 64  # frames that one matrix product smooths
_CACHED = 2048  # frames normalised in one go


@dataclass(frozen=True)
class PCENState:
    """What a stream of PCEN carries along."""

    mean: Tensor  # (B, F): the running mean; (B, 0) before the first frame
    started: Tensor  # (B,), bool: whether it has a value yet


class PCEN(Normalizer):
    """Per-channel energy normalisation: automatic gain control, then a root.

    Use it for far-field speech and keyword spotting, on mel energies that are not compressed:
    ``LogMel(compression="none")``. A frame that is not finite becomes NaN and leaves the running
    mean as it is, so that it spoils no other frame.

    Args:
        smoothing: weight of the newest frame in the running mean, within (0, 1].
        gain: strength of the gain control, within [0, 1].
        bias: added before the root, at least 0.
        power: the root, within (0, 1].
        epsilon: keeps silence from being divided by zero.
        start: value of the running mean before the first frame; None takes the first frame, and
            1 is what librosa.pcen does.

    Source: Wang et al. 2017, "Trainable frontend for robust and far-field keyword spotting",
    equations 1 and 2.

    Example:
        >>> PCEN(gain=1.0, bias=0.0, power=1.0)(torch.full((1, 2, 1), 7.0), torch.tensor([2]))
        tensor([[[1.0000],
                 [1.0000]]])
    """

    can_stream = True

    def __init__(
        self,
        smoothing: float = 0.025,
        gain: float = 0.98,
        bias: float = 2.0,
        power: float = 0.5,
        epsilon: float = 1e-6,
        start: float | None = None,
    ) -> None:
        super().__init__()
        check_range("smoothing", smoothing, 1e-6, 1, "0.025 suits frames every 10 ms")
        check_range("gain", gain, 0, 1, "0.98 is common")
        check_range("bias", bias, 0, 1e6, "2 is common")
        check_range("power", power, 1e-3, 1, "0.5 is common")
        check_range("epsilon", epsilon, 1e-20, 1e6, "1e-6 is common")
        if start is not None:
            check_range("start", start, 0, 1e30, "None takes the first frame")
        self.smoothing, self.gain, self.bias = smoothing, gain, bias
        self.power, self.epsilon, self.start = power, epsilon, start

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise energies (B, T, F) of ``lengths`` (B,) frames; the shape stays.

        Raises:
            SeqlabError: an energy is negative, as log-mel features are.
        """
        check_features(features, lengths)
        real = zero_padding(features, lengths)
        result, _ = self._run(real, lengths, self.initial_state(len(features)))
        return zero_padding(result, lengths)

    def initial_state(self, batch_size: int = 1) -> PCENState:
        """State of ``batch_size`` streams before their first frame."""
        check_at_least("batch_size", batch_size, 0, "give the number of streams run abreast")
        started = torch.full((batch_size,), self.start is not None)
        return PCENState(torch.zeros(batch_size, 0), started)

    def step(self, features: Tensor, state: PCENState) -> tuple[Tensor, PCENState]:
        """Normalise the next energies (B, T, F) of each stream; all of them come out at once.

        Raises:
            SeqlabError: an energy is negative, or the streams are not those of the state.
        """
        check_streams(features, len(state.started))
        lengths = torch.full((len(features),), features.shape[1], device=features.device)
        return self._run(features, lengths, state)

    def flush(self, state: PCENState) -> Tensor:
        """Nothing (B, 0, F): every frame came out with its own step."""
        return state.mean.new_zeros(len(state.mean), 0, state.mean.shape[1])

    def _run(self, features: Tensor, lengths: Tensor, state: PCENState) -> tuple[Tensor, PCENState]:
        """Block by block, so that what is at work fits the cache."""
        blocks = [features[:, :0]]
        for first in range(0, features.shape[1] if features.numel() else 0, _CACHED):
            energies = features[:, first : first + _CACHED]
            energies = energies.float() if energies.element_size() < 4 else energies
            _check_energies(energies)
            good = finite_frames(energies) & valid_mask(lengths - first, energies.shape[1])
            block, state = self._run_block(energies, good, state)
            blocks.append(block.to(features.dtype))
        return (torch.cat(blocks, 1) if features.numel() else features), state

    def _run_block(
        self, energies: Tensor, good: Tensor, state: PCENState
    ) -> tuple[Tensor, PCENState]:
        count = good.sum(1)
        order = None
        if not bool(good.all()):
            # Frames that do not count go behind the others, as if they had never come.
            order = good.logical_not().byte().argsort(dim=1, stable=True).unsqueeze(-1)
            energies = zero_padding(energies.take_along_dim(order, 1), count)
        before, started = self._before(energies, count, state)
        means = scan(energies * self.smoothing, 1 - self.smoothing, before)
        last = torch.cat([before.unsqueeze(1), means], 1)
        last = last.take_along_dim(count.reshape(-1, 1, 1), 1)[:, 0]
        result = self._root(energies * (means + self.epsilon).pow(-self.gain))
        if order is not None:
            unused = ~valid_mask(count, result.shape[1]).unsqueeze(-1)
            result = result.masked_fill(unused, torch.nan)
            result = result.take_along_dim(order.argsort(dim=1), 1)
        return result, PCENState(last, started)

    def _before(self, kept: Tensor, count: Tensor, state: PCENState) -> tuple[Tensor, Tensor]:
        """The running mean (B, F) before the first of these frames, and whether it goes on."""
        mean = state.mean.to(kept)
        started = state.started.to(kept.device)
        if mean.shape[1] == 0:
            mean = kept.new_full((len(kept), kept.shape[2]), self.start or 0.0)
        before = torch.where(started.unsqueeze(-1), mean, kept[:, 0])
        return before, started | (count > 0)

    def _root(self, values: Tensor) -> Tensor:
        if self.bias:
            # Written so that quiet frames keep their digits: the bias itself cancels.
            root: Tensor = torch.expm1(self.power * torch.log1p(values / self.bias))
            return root.mul(self.bias**self.power)
        # Without a bias, a root has no finite slope at zero.
        silent = values == 0
        return values.masked_fill(silent, 1).pow(self.power).masked_fill(silent, 0)


def _check_energies(energies: Tensor) -> None:
    lowest = float(energies.detach().nan_to_num(neginf=0.0).min())
    if lowest < 0:
        raise SeqlabError(
            f"features reach {lowest:g}, must be energies of at least 0; build the front end "
            'with compression="none"'
        )


def scan(values: Tensor, decay: float, before: Tensor) -> Tensor:
    """The recurrence y[t] = decay * y[t - 1] + values[t] for all t, without a loop over them.

    A matrix of powers of the decay serves a block of frames; what one block hands to the next is
    the same recurrence over blocks.

    Args:
        values: (B, T, F).
        decay: within [0, 1].
        before: (B, F), y before the first frame.

    Returns:
        y (B, T, F).

    Example:
        >>> scan(torch.ones(1, 3, 1), 0.5, torch.zeros(1, 1)).flatten().tolist()
        [1.0, 1.5, 1.75]
    """
    total = values.shape[1]
    place = torch.arange(_BLOCK, dtype=torch.float64)
    lag = place.unsqueeze(1) - place
    matrix = torch.where(lag < 0, 0.0, decay ** lag.clamp_min(0)).to(values)
    fading = (decay ** (place + 1)).unsqueeze(1).to(values)
    blocks = math.ceil(total / _BLOCK)
    padded = torch.nn.functional.pad(values, (0, 0, 0, blocks * _BLOCK - total))
    grouped = padded.reshape(len(padded), blocks, _BLOCK, padded.shape[2])
    inside = torch.matmul(matrix, grouped)
    handed = before.unsqueeze(1)
    if blocks > 1:
        later = scan(inside[:, :-1, -1], decay**_BLOCK, before)
        handed = torch.cat([handed, later], 1)
    return (inside + fading * handed.unsqueeze(2)).flatten(1, 2)[:, :total]
