"""What every encoder and head promises, as functions that take one."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqlab.contracts import Encoder
from seqlab.lengths import pad_stack, valid_mask

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
EXACT = {"rtol": 1e-9, "atol": 1e-10}


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers that depend on shape and seed only."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def without_dropout(module: nn.Module) -> nn.Module:
    """A copy of the module whose dropout probabilities are all zero."""
    module = copy.deepcopy(module)
    for part in module.modules():
        for name in ("p", "dropout"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)
    return module


def settled(module: nn.Module, input_dim: int) -> nn.Module:
    """A copy in evaluation mode whose running statistics have seen two batches."""
    module = copy.deepcopy(module).train()
    for seed in range(2):
        module(noise(4, 60, input_dim, seed=seed) * 2 + 1, torch.tensor([60, 50, 41, 33]))
    return module.eval()


def check_padding(encoder: Encoder, lengths: Sequence[int]) -> None:
    """In evaluation mode a padded batch equals each item alone; NaN in padding stays there."""
    encoder = settled(encoder, encoder.input_dim)
    items = [noise(length, encoder.input_dim, seed=length) for length in lengths]
    features, frames = pad_stack(items, value=float("nan"))
    with torch.no_grad():
        encoded, encoded_lengths = encoder(features, frames)
        for index, item in enumerate(items):
            alone, alone_length = encoder(item[None], torch.tensor([len(item)]))
            assert int(alone_length) == int(encoded_lengths[index]) == alone.shape[1]
            torch.testing.assert_close(
                encoded[index, : int(alone_length)], alone[0], **CLOSE, equal_nan=False
            )


def check_padding_in_training(encoder: Encoder) -> None:
    """In training mode more padding changes no result, running statistic or gradient.

    In double precision, so that nothing hides behind rounding.
    """
    tight = without_dropout(encoder).double().train()
    loose = copy.deepcopy(tight)
    features = noise(3, 40, encoder.input_dim).double() * 3 + 1
    lengths = torch.tensor([40, 23, 31])
    wide = torch.cat([features, torch.full((3, 29, encoder.input_dim), 7.0).double()], dim=1)
    torch.manual_seed(2)  # for what is drawn anew for every batch
    expected, frames = tight(features, lengths)
    torch.manual_seed(2)
    result, same_frames = loose(wide, lengths)
    assert frames.tolist() == same_frames.tolist()
    valid = valid_mask(frames, expected.shape[1])
    torch.testing.assert_close(result[:, : expected.shape[1]][valid], expected[valid], **EXACT)
    for name, buffer in tight.named_buffers():
        torch.testing.assert_close(loose.get_buffer(name), buffer, **EXACT)
    expected[valid].square().sum().backward()
    result[:, : expected.shape[1]][valid].square().sum().backward()
    for (name, one), other in zip(tight.named_parameters(), loose.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None, name
        scale = float(one.grad.abs().max()) + 1.0
        torch.testing.assert_close(other.grad / scale, one.grad / scale, **EXACT)


def check_lengths(encoder: Encoder, longest: int = 40) -> None:
    """``output_lengths`` says what ``forward`` returns, for every length from zero on."""
    encoder = copy.deepcopy(encoder).eval()
    expected = encoder.output_lengths(torch.arange(longest + 1))
    assert expected.dtype == torch.int64
    assert (expected.diff() >= 0).all() and int(expected[0]) == 0
    for length in range(longest + 1):
        features = noise(1, length, encoder.input_dim)
        encoded, lengths = encoder(features, torch.tensor([length]))
        frames = int(expected[length])
        assert encoded.shape == (1, frames, encoder.output_dim)
        assert lengths.dtype == torch.int64 and lengths.tolist() == [frames]
        assert torch.isfinite(encoded).all()


def check_empty_among_others(encoder: Encoder) -> None:
    """In training, utterances without frames have length 0 and spoil nothing."""
    encoder = copy.deepcopy(encoder).train()
    lengths = torch.tensor([0, 30, 1])
    encoded, frames = encoder(noise(3, 30, encoder.input_dim), lengths)
    assert frames.tolist() == encoder.output_lengths(lengths).tolist()
    encoded.square().sum().backward()
    assert torch.isfinite(encoded).all()
    assert_finite_gradients(encoder)


def assert_finite_gradients(module: nn.Module) -> None:
    """Every parameter has a gradient, and it is finite."""
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, f"no gradient reaches {name}"
        assert torch.isfinite(parameter.grad).all(), f"gradient of {name} is not finite"


def check_gradients(encoder: Encoder) -> None:
    """Finite gradients reach every parameter and every valid feature, and no padding."""
    encoder = without_dropout(encoder).train()
    lengths = torch.tensor([48, 32])
    features = noise(2, 48, encoder.input_dim).requires_grad_()
    encoded, frames = encoder(features, lengths)
    valid = valid_mask(frames, encoded.shape[1])
    (encoded[valid] * noise(*encoded[valid].shape, seed=1)).sum().backward()
    assert_finite_gradients(encoder)
    assert features.grad is not None and torch.isfinite(features.grad).all()
    reached = features.grad.abs().sum(-1) > 0
    # A window or stack at the very end may be left out; whatever is padding must be.
    assert reached[0, :45].all() and reached[1, :28].all() and not reached[1, 32:].any()
    assert (features.grad != 0).any(1).any(0).all(), "a feature is never read"


def check_no_future(encoder: Encoder, frames: int = 24) -> None:
    """No gradient flows from an encoded frame to features beyond its own and the look-ahead."""
    encoder = copy.deepcopy(encoder).eval()
    features = noise(1, frames, encoder.input_dim).requires_grad_()
    encoded, _ = encoder(features, torch.tensor([frames]))
    counts = encoder.output_lengths(torch.arange(frames + 1)).tolist()
    for index in range(encoded.shape[1]):
        own = next(n for n in range(frames + 1) if counts[n] > index)
        looked_at = (encoded[:, index] * noise(encoder.output_dim)).sum()
        (gradient,) = torch.autograd.grad(looked_at, features, retain_graph=True)
        assert not gradient[:, own + encoder.lookahead :].any()
        assert gradient[:, : own + encoder.lookahead].any()


def check_chunks(encoder: Encoder, chunks: Sequence[int], batch_size: int = 2) -> None:
    """Steps over any chunking, and ``flush``, give as early as promised what ``forward`` gives.

    And they remember nothing: from an old state they give what they gave before.
    """
    encoder = copy.deepcopy(encoder).eval()
    frames = sum(chunks)
    features = noise(batch_size, frames, encoder.input_dim)
    state = encoder.initial_state(batch_size)
    pieces, steps, seen, emitted = [], [], 0, 0
    with torch.no_grad():
        whole, _ = encoder(features, torch.full((batch_size,), frames))
        for chunk in chunks:
            new, before = features[:, seen : seen + chunk], state
            piece, state = encoder.step(new, before)
            seen, emitted = seen + chunk, emitted + piece.shape[1]
            counts = encoder.output_lengths(torch.tensor([seen - encoder.lookahead, seen]))
            assert counts[0].clamp(min=0) <= emitted <= counts[1]
            pieces.append(piece)
            steps.append((new, before, piece))
        rest = encoder.flush(state)
        for new, before, piece in reversed(steps):
            assert torch.equal(encoder.step(new, before)[0], piece)
        assert torch.equal(encoder.flush(state), rest)
    torch.testing.assert_close(torch.cat([whole[:, :0], *pieces, rest], dim=1), whole, **CLOSE)


def check_between(encoder: Encoder) -> None:
    """``between`` sees every layer in order, and what it returns takes the layer's place."""
    encoder = copy.deepcopy(encoder).eval()
    features, lengths = noise(2, 40, encoder.input_dim), torch.tensor([40, 23])
    seen: list[int] = []

    def look(index: int, sequence: Tensor, frames: Tensor) -> Tensor:
        seen.append(index)
        assert sequence.shape == (2, int(frames.max()), encoder.output_dim)
        assert torch.equal(frames, encoder.output_lengths(lengths))
        return sequence

    with torch.no_grad():
        plain, _ = encoder(features, lengths)
        looked, _ = encoder(features, lengths, between=look)
        assert torch.equal(looked, plain)
        assert seen == list(range(1, encoder.num_layers + 1))
        for layer in seen:
            changed, _ = encoder(
                features, lengths, lambda i, x, _, at=layer: x.roll(1, -1) if i == at else x
            )
            assert not torch.allclose(changed, plain)


def check_between_in_chunks(encoder: Encoder, frames: int = 40) -> None:
    """``between`` acts in steps as it does in ``forward``."""
    encoder = copy.deepcopy(encoder).eval()
    features = noise(1, frames, encoder.input_dim)

    def shift(index: int, sequence: Tensor, lengths: Tensor) -> Tensor:
        return sequence + index * sequence.roll(1, -1)

    with torch.no_grad():
        whole, _ = encoder(features, torch.tensor([frames]), shift)
        first, state = encoder.step(features[:, :17], encoder.initial_state(), shift)
        second, state = encoder.step(features[:, 17:], state, shift)
        pieces = [first, second, encoder.flush(state, shift)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, **CLOSE)


def check_round_trip(module: nn.Module, fresh: nn.Module, *inputs: Tensor) -> None:
    """A module that began otherwise, with the state of another, gives the same to the bit."""
    module, fresh = copy.deepcopy(module).eval(), fresh.eval()
    with torch.no_grad():
        before = fresh(*inputs)
        fresh.load_state_dict(module.state_dict(), strict=True)
        expected, result = module(*inputs), fresh(*inputs)
    first = [output[0] if isinstance(output, tuple) else output for output in (before, expected)]
    assert not torch.equal(*first), "both began alike, which proves nothing"
    for one, other in zip(
        *((e if isinstance(e, tuple) else (e,)) for e in (expected, result)), strict=True
    ):
        assert torch.equal(one, other)
