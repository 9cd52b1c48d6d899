"""Length formulas against what torch's operations really return."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab import lengths
from seqlab.errors import SeqlabError

samples = st.integers(0, 600)


def both(function: Callable[..., Any], length: int, *arguments: int, **named: int) -> int:
    """The result for an int, once the same is known to come of a tensor."""
    result = function(length, *arguments, **named)
    batch = function(torch.tensor([length, length]), *arguments, **named)
    assert batch.dtype == torch.int64
    assert batch.tolist() == [result, result]
    assert isinstance(result, int)
    return result


@settings(max_examples=200)
@given(samples, st.integers(1, 60), st.integers(1, 40))
def test_frame_count_equals_unfold(count: int, win_length: int, hop_length: int) -> None:
    frames = both(lengths.frame_count, count, win_length, hop_length)
    if count < win_length:
        assert frames == 0
    else:
        assert frames == torch.zeros(count).unfold(0, win_length, hop_length).shape[0]


@given(samples, st.integers(1, 64), st.integers(1, 40))
def test_centered_frames_equal_stft(count: int, n_fft: int, hop_length: int) -> None:
    frames = both(lengths.frame_count_centered, count, n_fft, hop_length)
    if count + 2 * (n_fft // 2) < n_fft:
        assert frames == 0
        return
    spectrum = torch.stft(
        torch.zeros(count), n_fft, hop_length, pad_mode="constant", return_complex=True,
        window=torch.ones(n_fft),
    )  # fmt: skip
    assert frames == spectrum.shape[1]


@given(samples, st.integers(1, 40))
def test_rounded_frames_are_rounded_half_up(count: int, hop_length: int) -> None:
    frames = both(lengths.frame_count_rounded, count, hop_length)
    half = hop_length // 2
    assert frames * hop_length - half <= count <= (frames + 1) * hop_length - half - 1


@settings(max_examples=200)
@given(
    st.integers(0, 60), st.integers(1, 7), st.integers(1, 4), st.integers(0, 5), st.integers(1, 3)
)
def test_conv_length_equals_convolution(
    length: int, kernel_size: int, stride: int, padding: int, dilation: int
) -> None:
    result = both(
        lengths.conv_length, length, kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    if length == 0 or length + 2 * padding < dilation * (kernel_size - 1) + 1:
        assert length == 0 or result == 0  # torch refuses these
        return
    convolution = torch.nn.Conv1d(
        1, 1, kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    assert result == convolution(torch.zeros(1, 1, length)).shape[2]


@given(samples, st.integers(1, 9))
def test_strided_length_equals_slicing(length: int, stride: int) -> None:
    assert both(lengths.strided_length, length, stride) == len(range(length)[::stride])


@given(st.integers(0, 10**9), st.integers(1, 400_000), st.integers(1, 400_000))
def test_resampled_length_is_a_ceiling(count: int, from_rate: int, to_rate: int) -> None:
    result = both(lengths.resampled_length, count, from_rate, to_rate)
    assert result == math.ceil(count * to_rate / from_rate) or count * to_rate > 2**52
    assert (result - 1) * from_rate < count * to_rate <= result * from_rate


class TestMasks:
    @given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(0, 3))
    def test_valid_mask_counts(self, counts: list[int], extra: int) -> None:
        total = max(counts) + extra
        valid = lengths.valid_mask(torch.tensor(counts), total)
        assert valid.shape == (len(counts), total)
        assert valid.dtype == torch.bool
        assert valid.sum(dim=1).tolist() == counts
        assert bool((valid.long().diff(dim=1) <= 0).all())  # real frames come first

    def test_no_utterances(self) -> None:
        assert lengths.valid_mask(torch.zeros(0, dtype=torch.int64)).shape == (0, 0)

    def test_zero_padding_removes_nan_and_its_gradient(self) -> None:
        sequence = torch.full((2, 3, 2), math.nan)
        sequence[0, :1] = 1.0
        sequence[1] = 2.0
        sequence.requires_grad_()
        result = lengths.zero_padding(sequence, torch.tensor([1, 3]))
        assert result.tolist() == [[[1, 1], [0, 0], [0, 0]], [[2, 2]] * 3]
        result.sum().backward()
        assert sequence.grad is not None
        assert sequence.grad[0, 1:].abs().sum() == 0

    @given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.sampled_from([(), (2,), (2, 3)]))
    def test_pad_stack_gives_every_item_back(self, counts: list[int], rest: tuple) -> None:
        items = [torch.randn(count, *rest) for count in counts]
        stacked, found = lengths.pad_stack(items, value=7.0)
        assert found.tolist() == counts
        assert found.dtype == torch.int64
        for item, row, count in zip(items, stacked, counts, strict=True):
            assert torch.equal(row[:count], item)
            assert bool((row[count:] == 7.0).all())

    def test_pad_stack_of_nothing(self) -> None:
        with pytest.raises(SeqlabError, match="at least one"):
            lengths.pad_stack([])


class TestCTC:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(1, 3), max_size=6))
    def test_required_length_is_the_shortest_with_a_finite_loss(self, tokens: list[int]) -> None:
        need = lengths.ctc_required_length(tokens)
        for frames in range(max(1, need - 1), need + 2):
            loss = torch.nn.functional.ctc_loss(
                torch.zeros(frames, 1, 4).log_softmax(dim=2),
                torch.tensor([tokens], dtype=torch.int64),
                torch.tensor([frames]),
                torch.tensor([len(tokens)]),
                reduction="none",
            )
            assert bool(torch.isfinite(loss)) == (frames >= need)


class TestCheckLengths:
    def test_good(self) -> None:
        lengths.check_lengths(torch.tensor([0, 5]), 5, "features")
        lengths.check_lengths(torch.zeros(0, dtype=torch.int64), 5, "features")

    @pytest.mark.parametrize(
        ("counts", "message"),
        [
            (torch.tensor([0.5, 1.0]), "float32"),
            (torch.tensor([3], dtype=torch.int32), "int32"),
            (torch.tensor(3), r"shape \(\)"),
            (torch.tensor([[3]]), r"shape \(1, 1\)"),
            (torch.tensor([6, 2]), "from 2 to 6"),
            (torch.tensor([-1, 2]), "from -1 to 2"),
        ],
    )
    def test_bad(self, counts: torch.Tensor, message: str) -> None:
        with pytest.raises(SeqlabError, match=f"lengths of features .*{message}"):
            lengths.check_lengths(counts, 5, "features")
