"""Transducers against the sum over all alignments, and against torchaudio."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import SeqlabError
from seqlab.heads import transducer
from seqlab.heads.transducer import LSTMTransducerHead, Transducer, TransducerHead
from seqlab.heads.transducer_loss import transducer_loss

KINDS = [TransducerHead, LSTMTransducerHead]


def lattice(head: Transducer, encoded: torch.Tensor, target: list[int]) -> torch.Tensor:
    """Log-probabilities (T, U + 1, C), written down node by node."""
    predicted = head.predicted_layer(head.predictor(torch.tensor([target], dtype=torch.int64)))[0]
    frames = head.encoded_layer(encoded)
    rows = [[head.linear(torch.tanh(f + p)).log_softmax(-1) for p in predicted] for f in frames]
    return torch.stack([torch.stack(row) for row in rows])


def loss_by_enumeration(log_probs: torch.Tensor, target: list[int], blank: int) -> float:
    """-log of the sum over all ways to put the tokens into the frames."""
    frames, total = len(log_probs), 0.0
    for places in itertools.combinations_with_replacement(range(frames), len(target)):
        score, said = 0.0, 0
        for frame in range(frames):
            for _ in range(places.count(frame)):
                score += float(log_probs[frame, said, target[said]])
                said += 1
            score += float(log_probs[frame, said, blank])
        total += math.exp(score)
    return -math.log(total)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(
    frames=st.integers(1, 4),
    padding=st.integers(0, 2),
    blank=st.integers(0, 2),
    target=st.lists(st.integers(0, 1), max_size=4),
    seed=st.integers(0, 99),
)
def test_loss_sums_over_all_alignments(kind, frames, padding, blank, target, seed) -> None:
    torch.manual_seed(seed)
    target = [token if token < blank else token + 1 for token in target]
    head = kind(4, 3, hidden_dim=5, dropout=0.0, blank=blank).double()
    encoded = torch.randn(1, frames + padding, 4).double()
    targets = torch.tensor([[*target, blank]])
    loss = head.loss(encoded, torch.tensor([frames]), targets, torch.tensor([len(target)]))
    log_probs = lattice(head, encoded[0, :frames], target).detach()
    expected = loss_by_enumeration(log_probs, target, blank)
    torch.testing.assert_close(loss, torch.tensor([expected]).double())


def test_equals_torchaudio() -> None:
    """Loss and gradient of a padded batch."""
    rnnt_loss = pytest.importorskip("torchaudio.functional").rnnt_loss
    torch.manual_seed(0)
    logits = torch.randn(3, 20, 8, 11, requires_grad=True)
    targets = torch.randint(1, 11, (3, 7))
    lengths, sizes = torch.tensor([20, 13, 5]), torch.tensor([4, 7, 0])
    expected = rnnt_loss(
        logits, targets.int(), lengths.int(), sizes.int(), blank=0, reduction="none"
    )
    (wanted,) = torch.autograd.grad(expected.sum(), logits)
    log_probs = logits.log_softmax(-1)
    index = targets[:, None, :, None].expand(-1, 20, -1, -1)
    label = log_probs[:, :, :-1].gather(-1, index)[..., 0]
    losses = transducer_loss(log_probs[..., 0], label, lengths, sizes)
    (found,) = torch.autograd.grad(losses.sum(), logits)
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_gradient_equals_differences() -> None:
    torch.manual_seed(0)
    blank = torch.randn(3, 4, 4).double().sub(2).requires_grad_()
    label = torch.randn(3, 4, 3).double().sub(2).requires_grad_()
    lengths, sizes = torch.tensor([4, 2, 1]), torch.tensor([2, 3, 0])
    assert torch.autograd.gradcheck(
        lambda b, y: transducer_loss(b, y, lengths, sizes), (blank, label)
    )


@torch.no_grad()
def test_long_and_unlikely_texts_keep_their_precision() -> None:
    """A single way through 3000 frames: its log-probability is a plain sum."""
    blank = torch.full((1, 3000, 1), -20.0)
    losses = transducer_loss(blank, blank[:, :, :0], torch.tensor([3000]), torch.tensor([0]))
    assert float(losses) == pytest.approx(60000, rel=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_the_joiner_change_nothing(kind, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    head = kind(4, 6, hidden_dim=5, dropout=0.0).double()
    encoded, lengths = torch.randn(2, 9, 4).double(), torch.tensor([9, 6])
    targets, sizes = torch.tensor([[1, 5, 2], [3, 4, 0]]), torch.tensor([3, 2])
    results = []
    for limit in (2**23, 2 * 4 * 6 * 2, 1):
        monkeypatch.setattr(transducer, "_JOINT_ELEMENTS", limit)
        head.zero_grad()
        losses = head.loss(encoded, lengths, targets, sizes)
        losses.sum().backward()
        results.append([losses.detach(), *(p.grad.clone() for p in head.parameters())])
    for other in results[1:]:
        torch.testing.assert_close(other, results[0])


@pytest.mark.parametrize("kind", KINDS)
def test_steps_walk_the_lattice(kind) -> None:
    torch.manual_seed(3)
    head = kind(4, 3, hidden_dim=5, blank=2).double().eval()
    encoded, target = torch.randn(4, 4).double(), [1, 0, 1]
    log_probs = lattice(head, encoded, target)
    state = head.initial_state(encoded[None], torch.tensor([4]))
    frame, said = -1, 0
    for token in (2, 1, 2, 0, 1, 2, 2):
        found, state = head.advance(state, torch.tensor([token]))
        frame, said = frame + (token == 2), said + (token != 2)
        torch.testing.assert_close(found[0], log_probs[frame, said])


def test_without_frames() -> None:
    head = TransducerHead(4, 3, hidden_dim=5)
    encoded = torch.randn(2, 0, 4)
    targets, sizes = torch.tensor([[1], [1]]), torch.tensor([0, 1])
    losses = head.loss(encoded, torch.tensor([0, 0]), targets, sizes)
    assert losses.tolist() == [0, math.inf]
    losses.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())


def test_score_knows_of_no_length() -> None:
    torch.manual_seed(0)
    head = TransducerHead(4, 3, hidden_dim=5, length_normalized=True).eval()
    batch = torch.randn(1, 6, 4), torch.tensor([6]), torch.tensor([[1, 2]]), torch.tensor([2])
    torch.testing.assert_close(head.score(*batch), -2 * head.loss(*batch))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TransducerHead(4, 3, hidden_dim=0), "hidden_dim=0"),
        (lambda: TransducerHead(4, 3, context=0), "context=0"),
        (lambda: LSTMTransducerHead(4, 3, num_layers=0), "num_layers=0"),
        (lambda: TransducerHead(4, 3, blank=-1), "blank=-1 must be"),
        (lambda: TransducerHead(4, 3, dropout=1.0), "dropout=1.0"),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(SeqlabError, match=message):
        call()
