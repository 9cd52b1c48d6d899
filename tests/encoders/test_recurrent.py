"""Recurrent encoders against the published equations and torch's modules run one by one."""

from __future__ import annotations

import pytest
import torch

from seqlab.encoders.recurrent import RecurrentEncoder
from seqlab.errors import SeqlabError
from tests.contract import invariants


def weights(encoder: RecurrentEncoder, layer: int = 0) -> list[torch.Tensor]:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [getattr(encoder.layers, f"{name}_l{layer}") for name in names]


def elman(x, h, c, w, u, b, d):
    return torch.tanh(w @ x + b + u @ h + d), c


def lstm(x, h, c, w, u, b, d):
    i, f, g, o = (w @ x + b + u @ h + d).chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru(x, h, c, w, u, b, d):
    (r, z, n), (hr, hz, hn) = (w @ x + b).chunk(3), (u @ h + d).chunk(3)
    r, z = (r + hr).sigmoid(), (z + hz).sigmoid()
    return (1 - z) * (n + r * hn).tanh() + z * h, c


@pytest.mark.parametrize(("cell", "equations"), [("rnn", elman), ("lstm", lstm), ("gru", gru)])
def test_equations(cell, equations):
    encoder = RecurrentEncoder(3, cell, hidden_dim=4, num_layers=1)
    features = torch.randn(1, 6, 3)
    h = c = torch.zeros(4)
    expected = []
    for x in features[0]:
        h, c = equations(x, h, c, *weights(encoder))
        expected.append(h)
    encoded, _ = encoder(features, torch.tensor([6]))
    torch.testing.assert_close(encoded[0], torch.stack(expected))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_backward_direction_starts_at_each_end(cell):
    encoder = RecurrentEncoder(3, cell, hidden_dim=4, num_layers=2, bidirectional=True).eval()
    features, lengths = torch.randn(3, 8, 3), torch.tensor([5, 8, 2])
    encoded, _ = encoder(features, lengths)
    for index, length in enumerate(lengths.tolist()):
        expected, _ = encoder.layers(features[index : index + 1, :length])
        torch.testing.assert_close(encoded[index, :length], expected[0])
        assert not encoded[index, length:].any()


def test_stacking_keeps_the_order_of_frames_and_drops_the_rest():
    encoder = RecurrentEncoder(2, hidden_dim=4, num_layers=1, subsampling=3)
    features = torch.randn(1, 8, 2)
    encoded, lengths = encoder(features, torch.tensor([8]))
    expected, _ = encoder.layers(features[:, :6].reshape(1, 2, 6))
    assert lengths.tolist() == [2]
    torch.testing.assert_close(encoded, expected)


def test_causality_is_a_matter_of_direction():
    assert RecurrentEncoder(3).causal and not RecurrentEncoder(3, bidirectional=True).causal


def test_streams_of_a_batch_keep_apart():
    encoder = RecurrentEncoder(3, hidden_dim=4, subsampling=2).eval()
    invariants.check_chunks(encoder, [1, 1, 1, 5, 0, 3], batch_size=3)


def test_step_leaves_the_state_it_was_given():
    encoder = RecurrentEncoder(3, hidden_dim=4).eval()
    state = encoder.initial_state()
    first, _ = encoder.step(torch.ones(1, 2, 3), state)
    again, _ = encoder.step(torch.ones(1, 2, 3), state)
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "lsmt"}, "did you mean 'lstm'"),
        ({"hidden_dim": 0}, "hidden_dim=0"),
        ({"num_layers": 0}, "num_layers=0"),
        ({"dropout": 1.5}, "dropout=1.5"),
        ({"subsampling": 0}, "subsampling=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(SeqlabError, match=message):
        RecurrentEncoder(3, **arguments)
