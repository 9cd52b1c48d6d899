"""The settings that all framed front ends share, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from seqlab.checks import check_at_least, check_choice, check_range
from seqlab.errors import SeqlabError
from seqlab.frontend.cepstrum import DELTA_METHODS
from seqlab.frontend.framing import FrameLayout
from seqlab.frontend.spectrum import COMPRESSIONS

ENERGIES = ("none", "raw", "windowed")


@dataclass(frozen=True)
class FrameOptions:
    """Settings that all framed front ends share; ``LogMel`` documents each of them."""

    sample_rate: int
    win_length: int | None
    hop_length: int | None
    n_fft: int | None
    window: str
    periodic: bool
    edges: str
    drop_last: bool
    scale: float
    remove_dc: bool
    preemphasis: float
    dither: float
    dither_seed: int
    power: float
    compression: str
    floor: float
    dynamic_range: float | None
    energy: str
    energy_floor: float
    delta_order: int
    delta_window: int
    delta_method: str
    blackman_coeff: float = 0.42

    def __post_init__(self) -> None:
        check_at_least("sample_rate", self.sample_rate, 1, "16000 is common for speech")
        check_range("scale", self.scale, 1e-12, 1e12, "1 keeps [-1, 1], 32768 gives int16 size")
        check_range("preemphasis", self.preemphasis, 0, 1, "0.97 is common, 0 leaves it out")
        check_range("dither", self.dither, 0, 1e12, "0 leaves it out")
        check_range("power", self.power, 1e-3, 10, "2 is the power spectrum, 1 the magnitude")
        check_range("floor", self.floor, 1e-37, 1e12, "1.19e-7 is float32's epsilon")
        check_range("energy_floor", self.energy_floor, 0, 1e37, "0 leaves it out")
        check_choice("compression", self.compression, COMPRESSIONS)
        check_choice("energy", self.energy, ENERGIES)
        check_choice("delta_method", self.delta_method, DELTA_METHODS)
        check_at_least("delta_window", self.delta_window, 1, "2 is common")
        if self.dynamic_range is not None:
            check_range("dynamic_range", self.dynamic_range, 1e-6, 1e6, "None leaves it out")
            if self.energy != "none":
                raise SeqlabError(
                    f"dynamic_range={self.dynamic_range} and energy={self.energy!r} exclude each "
                    "other, for the two columns have different units; leave one of them out"
                )
        if self.delta_order not in (0, 1, 2, 3):
            raise SeqlabError(
                f"delta_order={self.delta_order!r} must be 0, 1, 2 or 3; "
                "2 appends deltas and delta-deltas"
            )

    def layout(self) -> FrameLayout:
        """Frame layout; lengths that are None become 25 ms, 10 ms and the next power of two."""
        win_length = self.sample_rate // 40 if self.win_length is None else self.win_length
        hop_length = self.sample_rate // 100 if self.hop_length is None else self.hop_length
        check_at_least("win_length", win_length, 1, "25 ms are 0.025 * sample_rate")
        n_fft = 1 << (win_length - 1).bit_length() if self.n_fft is None else self.n_fft
        return FrameLayout(win_length, hop_length, n_fft, self.edges, self.drop_last)
