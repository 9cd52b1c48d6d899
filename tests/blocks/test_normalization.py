"""MaskedBatchNorm against torch.nn.BatchNorm1d, by hand, and over two processes."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributed, multiprocessing, nn

from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.errors import SeqlabError
from seqlab.lengths import valid_mask


def pair(width: int, dtype: torch.dtype = torch.float64) -> tuple[MaskedBatchNorm, nn.BatchNorm1d]:
    """Ours and torch's, with the same uneven weight and bias."""
    ours, theirs = MaskedBatchNorm(width, 1e-4, 0.3), nn.BatchNorm1d(width, 1e-4, 0.3)
    with torch.no_grad():
        for norm in (ours, theirs):
            norm.weight.copy_(torch.linspace(0.5, 2, width))
            norm.bias.copy_(torch.linspace(-1, 1, width))
    return ours.to(dtype), theirs.to(dtype)


def check_against_torch(lengths: list[int], frames: int, dtype: torch.dtype, **close: float):
    ours, theirs = pair(5, dtype)
    frame_counts = torch.tensor(lengths)
    valid = valid_mask(frame_counts, frames)
    generator = torch.Generator().manual_seed(frames)
    for _ in range(2):
        sequence = torch.randn(len(lengths), frames, 5, dtype=dtype, generator=generator) * 3 + 7
        grad = torch.randn(len(lengths), frames, 5, dtype=dtype, generator=generator)
        sequence.requires_grad_()
        result, expected = ours(sequence, frame_counts), theirs(sequence[valid])
        torch.testing.assert_close(result[valid], expected, **close)
        assert not result[~valid].any()
        inputs = (sequence, ours.weight, ours.bias)
        found = torch.autograd.grad(result, inputs, grad)
        wanted = torch.autograd.grad(expected, (sequence, theirs.weight, theirs.bias), grad[valid])
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, **close)
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), **close)
    result = ours.eval()(sequence, frame_counts)
    torch.testing.assert_close(result[valid], theirs.eval()(sequence[valid]), **close)
    assert not result[~valid].any()


def test_equals_torch_without_padding():
    check_against_torch([9, 9, 9], 9, torch.float64, rtol=1e-10, atol=1e-10)
    check_against_torch([9, 9, 9], 9, torch.float32, rtol=1e-4, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(0, 8), min_size=1, max_size=5), more=st.integers(0, 3))
def test_equals_torch_on_the_valid_frames(lengths, more):
    if sum(lengths) > 1:  # torch refuses to normalise one value
        check_against_torch(lengths, max(lengths) + more, torch.float64, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_compiled_loops_equal_double_precision(dtype, close):
    """Long, uneven, with a mean that is large beside the deviation, and a width of no vector."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([301, 0, 77, 150])
    exact, norm = pair(37)[0], pair(37)[0].float()
    values = torch.randn(4, 301, 2, 37, generator=generator) * 0.5 + 3
    sequence = values.to(dtype).requires_grad_()
    doubled = sequence.detach().double().requires_grad_()
    result, expected = norm(sequence, lengths), exact(doubled, lengths)
    assert result.dtype == torch.float32  # residual sums stay in single precision
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-5)
    grad = torch.randn(result.shape, generator=generator)
    found = torch.autograd.grad(result, (sequence, norm.weight, norm.bias), grad)
    inputs = (doubled, exact.weight, exact.bias)
    for one, other in zip(found, torch.autograd.grad(expected, inputs, grad.double()), strict=True):
        scale = float(other.abs().max())
        torch.testing.assert_close(one.double(), other, rtol=close, atol=close * 1e-2 * scale)
    torch.testing.assert_close(norm.running_var.double(), exact.running_var, rtol=1e-5, atol=0)


def test_without_compiler_the_result_is_the_same(monkeypatch):
    sequence, lengths = torch.randn(3, 50, 5), torch.tensor([50, 20, 1])
    compiled, plain = pair(5, torch.float32)[0], pair(5, torch.float32)[0]
    expected = compiled(sequence, lengths)
    monkeypatch.setattr("seqlab.blocks.kernels.arrays.can_compile", lambda: False)
    torch.testing.assert_close(plain(sequence, lengths), expected, rtol=1e-5, atol=1e-5)


def test_worked_by_hand():
    norm = MaskedBatchNorm(1, eps=1e-12, momentum=0.5)
    sequence = torch.tensor([[[2.0], [4.0]], [[9.0], [float("nan")]]])
    result = norm(sequence, torch.tensor([2, 1]))
    # mean 5, biased variance (9 + 1 + 16) / 3 = 26 / 3, unbiased 13
    deviation = (26 / 3) ** 0.5
    expected = torch.tensor([[[-3.0], [-1.0]], [[4.0], [0.0]]]) / deviation
    torch.testing.assert_close(result, expected)
    assert norm.running_mean.tolist() == [2.5] and norm.running_var.tolist() == [7.0]


def test_images_are_normalised_over_frequencies_too():
    norm, reference = MaskedBatchNorm(3), nn.BatchNorm1d(3)
    image = torch.randn(2, 6, 4, 3, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([6, 2])
    result = norm(image, lengths)
    valid = valid_mask(lengths, 6)
    expected = reference(image[valid].reshape(-1, 3)).reshape(-1, 4, 3)
    torch.testing.assert_close(result[valid], expected)
    torch.testing.assert_close(norm.running_var, reference.running_var)


def test_large_mean_keeps_precision():
    norm = MaskedBatchNorm(1)
    sequence = 1e4 + torch.linspace(-1, 1, 101).reshape(1, 101, 1)
    result = norm(torch.cat([sequence, torch.zeros(1, 99, 1)], 1), torch.tensor([101]))
    torch.testing.assert_close(
        result[0, :101].std(correction=0), torch.tensor(1.0), atol=2e-3, rtol=0
    )


def test_no_valid_frame_leaves_the_statistics():
    norm = MaskedBatchNorm(2)
    result = norm(torch.ones(2, 3, 2), torch.tensor([0, 0]))
    assert not result.any()
    assert norm.running_mean.tolist() == [0, 0] and norm.running_var.tolist() == [1, 1]


def test_gradient_by_finite_differences():
    norm, _ = pair(2)
    lengths = torch.tensor([3, 1])
    sequence = torch.randn(2, 3, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: norm(x, lengths), sequence)


@pytest.mark.parametrize("arguments", [(0,), (2, 0.0), (2, 1e-5, 0.0), (2, 1e-5, 1.1)])
def test_bad_arguments(arguments):
    with pytest.raises(SeqlabError):
        MaskedBatchNorm(*arguments)


def test_wrong_width():
    with pytest.raises(SeqlabError, match="must end in 2"):
        MaskedBatchNorm(2)(torch.zeros(1, 2, 3), torch.tensor([2]))


LENGTHS = torch.tensor([6, 1, 4, 0])


def run(norm: MaskedBatchNorm, share: slice) -> dict[str, torch.Tensor]:
    """Results and gradients of a share of one fixed batch."""
    sequence = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    grad = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    sequence = (sequence * torch.arange(1, 5)[:, None, None])[share].requires_grad_()
    result = norm(sequence, LENGTHS[share])
    result.backward(grad[share])
    assert sequence.grad is not None and norm.weight.grad is not None
    return {
        "result": result.detach(),
        "grad": sequence.grad,
        "weight_grad": norm.weight.grad,
        "running_mean": norm.running_mean,
        "running_var": norm.running_var,
    }


def worker(rank: int, norm: MaskedBatchNorm, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    norm = copy.deepcopy(norm)  # what spawn hands over lies in shared memory
    torch.save(run(norm, slice(rank, None, 2)), Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    norm, _ = pair(5)
    expected = run(copy.deepcopy(norm), slice(None))
    multiprocessing.spawn(worker, (norm, str(tmp_path)), nprocs=2)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for rank, part in enumerate(parts):
        for name in ("result", "grad"):
            torch.testing.assert_close(part[name], expected[name][rank::2])
        for name in ("running_mean", "running_var"):
            torch.testing.assert_close(part[name], expected[name])
    total = parts[0]["weight_grad"] + parts[1]["weight_grad"]
    torch.testing.assert_close(total, expected["weight_grad"])
