"""Batch normalisation that padding cannot reach."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from seqlab.blocks.kernels import batch_norm as kernels
from seqlab.blocks.kernels.arrays import as_array, runs_compiled
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lengths import is_traced, valid_mask, zero_padding


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over the valid frames of a batch; padding comes out as zero.

    Use it wherever utterances of different lengths share a batch: the amount of padding changes
    neither the statistics nor the output. Without padding it equals ``torch.nn.BatchNorm1d``.
    When torch.distributed is initialised, training statistics cover the batches of all
    processes, so that one and two processes agree; every process must then call it equally often.

    Args:
        num_features: Width D of the last axis, at least 1.
        eps: Added to the variance, above 0.
        momentum: Share of the new batch in the running statistics, in (0, 1].
        affine: Whether a trained scale and shift follow.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithms 1 and 2. Deviations: the
    mean and variance cover valid frames only; one lone frame has variance 0 (torch raises);
    with no valid frame at all the running statistics stay as they are.

    Example:
        >>> norm = MaskedBatchNorm(1)
        >>> x = torch.tensor([[[1.0], [3.0], [99.0]]])
        >>> norm(x, torch.tensor([2])).flatten().round(decimals=2).tolist()
        [-1.0, 1.0, 0.0]
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__()
        check_at_least("num_features", num_features, 1)
        if eps <= 0 or not 0 < momentum <= 1:
            raise SeqlabError(
                f"eps={eps} must be above 0 and momentum={momentum} within (0, 1]; "
                "the defaults are 1e-5 and 0.1"
            )
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        if affine:
            self.weight = nn.Parameter(torch.ones(num_features))
            self.bias = nn.Parameter(torch.zeros(num_features))
        else:
            self.register_buffer("weight", torch.ones(num_features), persistent=False)
            self.register_buffer("bias", torch.zeros(num_features), persistent=False)
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.int64))

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """Normalise sequence (B, T, ..., D) over all axes but the last; lengths (B,) -> same shape.

        Axes between T and D, such as the frequencies of a 2-D convolution, count as frames do.
        The result has the precision of the parameters, so that under bf16 autocast the sums of
        residual blocks stay in float32.
        """
        if sequence.shape[-1] != self.num_features:
            raise SeqlabError(
                f"sequence of shape {tuple(sequence.shape)} must end in {self.num_features}, "
                "the num_features of this normalisation"
            )
        if not self.training:
            return self._evaluated(sequence, lengths)
        output, mean, squares, total = self._normalized(sequence, lengths, self.weight, self.bias)
        self._track(mean, squares, total)
        return output

    def _normalized(
        self, sequence: Tensor, lengths: Tensor, weight: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """In training: the output, and of all processes mean, squared deviations and count."""
        if runs_compiled(sequence, weight) and weight.dtype == torch.float32:
            rows = lengths.clamp(0, sequence.shape[1]) * sequence.shape[2:-1].numel()
            return _CompiledBatchNorm.apply(sequence, rows, weight, bias, self.eps)  # type: ignore[no-any-return]
        padding = ~valid_mask(lengths, sequence.shape[1])
        count = lengths.sum() * sequence.shape[2:-1].numel()
        shift = _first_guess(sequence.detach(), lengths, padding).to(weight.dtype)
        return _BatchNorm.apply(  # type: ignore[no-any-return]
            sequence, padding, count, shift, weight, bias, self.eps
        )

    def _evaluated(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        frames = sequence.shape[1]
        if is_traced(sequence):  # elementwise: no shapes to compute in an exported graph
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            normalized = sequence * scale + (self.bias - self.running_mean * scale)
            return zero_padding(normalized, lengths)
        statistics = (self.running_mean, self.running_var, self.weight, self.bias)
        rows = sequence.to(self.weight.dtype).reshape(-1, self.num_features)
        normalized = functional.batch_norm(rows, *statistics, eps=self.eps).view(sequence.shape)
        if sequence.device.type != "cpu":
            return _zero_(normalized, ~valid_mask(lengths, frames))
        if not bool((lengths < frames).any()):
            return normalized
        padding = (~valid_mask(lengths, frames)).flatten().nonzero().squeeze(1)
        normalized.flatten(0, 1).index_fill_(0, padding, 0)  # a tenth of the cost of a mask
        return normalized

    @torch.no_grad()
    def _track(self, mean: Tensor, squares: Tensor, total: Tensor) -> None:
        share = self.momentum * (total > 0).to(mean.dtype)
        self.num_batches_tracked += 1
        self.running_mean += share * (mean - self.running_mean)
        self.running_var += share * (squares / (total - 1).clamp(min=1) - self.running_var)

    def extra_repr(self) -> str:
        """The settings, for printing a model."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class _CompiledBatchNorm(torch.autograd.Function):
    """The training pass on a CPU: two sweeps over memory each way, whose traffic is what it costs.

    For the gradient it keeps the input as it came, in bfloat16 half of what _BatchNorm keeps.
    """

    @staticmethod
    def forward(
        ctx: Any, sequence: Tensor, rows: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        sequence = sequence.contiguous()
        images, valid = _images(sequence), rows.numpy()
        shift, total, squared = kernels.moments(as_array(images), valid)
        count = rows.sum().double()
        offset = torch.from_numpy(total) / count.clamp(min=1)
        squares = (torch.from_numpy(squared) - count * offset.square()).clamp(min=0)
        mean = torch.from_numpy(shift).double() + offset
        if _world_size() > 1:
            count, mean, squares = _combine(count, mean, squares)
        deviation = torch.rsqrt(squares / count.clamp(min=1) + eps)
        mean, squares = mean.to(weight.dtype), squares.to(weight.dtype)
        scale = (weight * deviation).to(weight.dtype)
        output = torch.empty(sequence.shape, dtype=weight.dtype)
        factors = torch.stack([mean, scale, bias.detach()]).numpy()
        kernels.normalize(as_array(images), valid, factors, as_array(_images(output)))
        ctx.save_for_backward(sequence, rows, count, mean, deviation, weight)
        ctx.mark_non_differentiable(mean, squares, count)
        return output, mean, squares, count

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        sequence, rows, total, mean, deviation, weight = ctx.saved_tensors
        above, images = as_array(_images(grad.contiguous())), as_array(_images(sequence))
        valid, centre = rows.numpy(), as_array(mean)
        sums = torch.from_numpy(kernels.gradient_sums(above, images, valid, centre))
        grad_bias, grad_weight = sums[0].to(weight.dtype), (deviation * sums[1]).to(weight.dtype)
        if _world_size() > 1:
            distributed.all_reduce(sums)
        mean_grad, mean_product = sums / total.clamp(min=1)
        # scale * (grad - mean_grad - normalised * its mean product), by powers of x - mean
        scale = weight * deviation
        parts = scale, scale * deviation.square() * mean_product, scale * mean_grad
        factors = torch.stack(parts).to(weight.dtype).numpy()
        result = torch.empty_like(sequence)
        kernels.input_gradient(above, images, valid, centre, factors, as_array(_images(result)))
        return result, None, grad_weight, grad_bias, None


def _images(sequence: Tensor) -> Tensor:
    """A view (B, R, D) of a contiguous sequence (B, ..., D)."""
    return sequence.reshape(sequence.shape[0], sequence.shape[1:-1].numel(), sequence.shape[-1])


class _BatchNorm(torch.autograd.Function):
    """The training pass on any device and in any precision.

    Frames are moved once by ``shift``, a value near their mean, so that sums and squares of the
    moved frames lose no precision; ``offset`` is what is left to the mean of all processes.
    """

    @staticmethod
    def forward(
        ctx: Any,
        sequence: Tensor,
        padding: Tensor,
        count: Tensor,
        shift: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        moved = _zero_((sequence - shift).contiguous(), padding)
        count = count.to(weight.dtype)
        offset = moved.sum(tuple(range(moved.dim() - 1))) / count.clamp(min=1)
        squares = (_sum_of_products(moved, moved) - count * offset.square()).clamp(min=0)
        if _world_size() > 1:
            count, mean, squares = _combine(count, shift + offset, squares)
            offset = mean - shift
        deviation = torch.rsqrt(squares / count.clamp(min=1) + eps)
        scale = weight * deviation
        output = _zero_(torch.addcmul(bias - offset * scale, moved, scale), padding)
        ctx.save_for_backward(moved, padding, count, deviation, offset, weight)
        mean = shift + offset
        ctx.mark_non_differentiable(mean, squares, count)
        ctx.input_dtype = sequence.dtype
        return output, mean, squares, count

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        moved, padding, total, deviation, offset, weight = ctx.saved_tensors
        grad_sequence = _zero_(grad.to(weight.dtype, copy=True).contiguous(), padding)
        grad_bias = grad_sequence.sum(tuple(range(grad.dim() - 1)))
        grad_weight = deviation * (_sum_of_products(grad_sequence, moved) - offset * grad_bias)
        sums = torch.stack([grad_bias, grad_weight])
        if _world_size() > 1:
            distributed.all_reduce(sums)
        mean_grad, mean_product = sums / total.clamp(min=1)
        # scale * (grad - mean_grad - normalised * mean_product), where normalised is
        # (moved - offset) * deviation, as one affine map of grad and moved
        scale, slope = weight * deviation, deviation * mean_product
        constant = scale * (offset * slope - mean_grad)
        grad_sequence.mul_(scale).addcmul_(moved, -scale * slope).add_(constant)
        _zero_(grad_sequence, padding)
        return grad_sequence.to(ctx.input_dtype), None, None, None, grad_weight, grad_bias, None


def _first_guess(sequence: Tensor, lengths: Tensor, padding: Tensor) -> Tensor:
    """Mean (D,) of the longest utterance alone; zero if it has no frame."""
    if sequence.shape[0] == 0:
        return sequence.new_zeros(sequence.shape[-1])
    longest = lengths.argmax().unsqueeze(0)
    frames = sequence.index_select(0, longest).squeeze(0)
    hidden = padding.index_select(0, longest).squeeze(0)
    frames = frames.masked_fill(hidden.reshape((-1,) + (1,) * (frames.dim() - 1)), 0)
    count = lengths.max() * frames.shape[1:-1].numel()
    return frames.flatten(0, -2).sum(0) / count.clamp(min=1)


def _sum_of_products(one: Tensor, other: Tensor) -> Tensor:
    """Sum of one * other over all axes but the last (D,)."""
    return (one * other).sum(tuple(range(one.dim() - 1)))


def _world_size() -> int:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1


def _combine(count: Tensor, mean: Tensor, squares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean and squared deviations of all processes together (Chan et al. 1979, eq. 1.5)."""
    local = torch.cat([count.reshape(1), mean, squares])
    parts = [torch.empty_like(local) for _ in range(_world_size())]
    distributed.all_gather(parts, local)
    gathered = torch.stack(parts)
    counts, width = gathered[:, :1], mean.numel()
    means, deviations = gathered[:, 1 : 1 + width], gathered[:, 1 + width :]
    total = counts.sum()
    mean = (counts * means).sum(0) / total.clamp(min=1)
    return total, mean, (deviations + counts * (means - mean).square()).sum(0)


def _zero_(sequence: Tensor, padding: Tensor) -> Tensor:
    """Sequence (B, T, ...) with padding zeroed in place where the mask (B, T) says so."""
    return sequence.masked_fill_(padding.reshape(padding.shape + (1,) * (sequence.dim() - 2)), 0)
