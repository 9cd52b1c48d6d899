"""Vocal tract length normalisation: mel bands moved to fit a speaker's vocal tract."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqlab.checks import check_range
from seqlab.errors import SeqlabError


@dataclass(frozen=True)
class Warp:
    """A piecewise linear map of frequencies, the identity at both ends of the band.

    Between two bends a frequency f becomes f / factor; straight lines lead from there to the ends,
    so that no band is left empty.

    Args:
        factor: above 1 for a short vocal tract, below 1 for a long one; speakers lie within 0.8
            and 1.25.
        low: Hz of the lower bend; the smaller of a bend and what it becomes. Above ``f_min``.
        high: Hz of the upper bend; the larger of a bend and what it becomes. Below ``f_max``; a
            negative one counts from half the sample rate.

    Raises:
        SeqlabError: the factor is not positive, or the bends do not fit the band (on use).

    Source: Kaldi's --vtln-warp, --vtln-low and --vtln-high; after Lee and Rose 1998, "A frequency
    warping approach to speaker normalization".
    """

    factor: float = 1.0
    low: float = 100.0
    high: float = -500.0

    def __post_init__(self) -> None:
        check_range("vtln_warp", self.factor, 0.1, 10, "1 leaves it out, 0.8 to 1.25 are common")
        check_range("vtln_low", self.low, 0, 1e6, "100 Hz is common")
        check_range("vtln_high", self.high, -1e6, 1e6, "-500, counted from the top, is common")

    def apply(self, hz: Tensor, f_min: float, f_max: float, sample_rate: int) -> Tensor:
        """Warped frequencies.

        Args:
            hz: frequencies in Hz, any shape, float64.
            f_min: Hz where the band begins.
            f_max: Hz where the band ends.
            sample_rate: Hz.

        Returns:
            Hz, same shape; as they were beyond the band.

        Raises:
            SeqlabError: the bends do not fit the band.

        Example:
            >>> hz = torch.tensor([20.0, 1000.0, 8000.0], dtype=torch.float64)
            >>> Warp(1.25).apply(hz, 20.0, 8000.0, 16000).tolist()
            [20.0, 800.0, 8000.0]
        """
        lower, upper = self._bends(f_min, f_max, sample_rate)
        left = (lower / self.factor - f_min) / (lower - f_min)
        right = (f_max - upper / self.factor) / (f_max - upper)
        warped = torch.where(hz < upper, hz / self.factor, f_max + right * (hz - f_max))
        warped = torch.where(hz < lower, f_min + left * (hz - f_min), warped)
        return torch.where((hz < f_min) | (hz > f_max), hz, warped)

    def _bends(self, f_min: float, f_max: float, sample_rate: int) -> tuple[float, float]:
        high = self.high + sample_rate / 2 if self.high < 0 else self.high
        lower, upper = self.low * max(1.0, self.factor), high * min(1.0, self.factor)
        if not (f_min < self.low and high < f_max and lower < upper):
            raise SeqlabError(
                f"vtln_warp={self.factor} with bends at {lower:g} and {upper:g} Hz must keep "
                f"f_min={f_min:g} < vtln_low={self.low:g} < vtln_high={high:g} < "
                f"f_max={f_max:g} and the bends in order; move vtln_low and vtln_high inside the "
                "band, or bring vtln_warp closer to 1"
            )
        return lower, upper
