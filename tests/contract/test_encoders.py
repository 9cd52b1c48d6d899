"""Every Encoder in the package is found by walking it, and keeps the contract."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqlab.contracts import Encoder
from seqlab.errors import SeqlabError
from tests.contract import invariants
from tests.contract.discovery import implementations, required_arguments

INPUT_DIM = 13

# Beside the defaults, which every class is tested with: other settings of known classes.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "BCResNetEncoder": {"causal": {"tau": 0.5, "bands": 3, "causal": True}},
    "DSCNNEncoder": {
        "causal": {"width": 6, "num_blocks": 2, "causal": True, "activation": "sigmoid"},
        "causal, stride 6": {
            "width": 5,
            "num_blocks": 1,
            "stem_kernel_size": (7, 4),
            "stem_stride": (3, 2),
            "first_stride": 2,
            "causal": True,
        },
        "even": {"width": 6, "num_blocks": 1, "stem_kernel_size": (4, 2), "stem_stride": 1},
    },
    "Res15Encoder": {
        "causal": {"width": 5, "num_layers": 5, "causal": True},
        "causal, pooled": {
            "width": 5,
            "num_layers": 4,
            "pool": (4, 3),
            "dilated": False,
            "causal": True,
        },
        "pooled": {"width": 5, "num_layers": 3, "pool": (3, 2)},
    },
    "CRNNEncoder": {
        "one way": {
            "widths": (3, 5),
            "time_pools": (3, 1),
            "frequency_pools": (2, 3),
            "hidden_dim": 9,
            "bidirectional": False,
            "activation": "tanh",
        },
        "gru": {"widths": (4,), "time_pools": (2,), "frequency_pools": (4,), "cell": "gru"},
    },
    "ConformerEncoder": {
        "chunks": {
            "hidden_dim": 16,
            "num_layers": 2,
            "kernel_size": 7,
            "chunk_frames": 2,
            "convolution_norm": "layer",
        },
        "any chunks": {
            "hidden_dim": 16,
            "num_layers": 2,
            "kernel_size": 9,
            "subsampling": 2,
            "chunk_frames": 3,
            "left_chunks": 1,
            "dynamic_chunks": True,
            "stochastic_depth": 0.2,
        },
    },
    "EBranchformerEncoder": {
        "chunks": {
            "hidden_dim": 16,
            "num_layers": 2,
            "kernel_size": 5,
            "subsampling": 2,
            "chunk_frames": 3,
            "left_chunks": 1,
        },
        "any chunks": {"hidden_dim": 16, "num_layers": 2, "dynamic_chunks": True},
    },
    "KeywordTransformerEncoder": {
        "sinusoidal": {"hidden_dim": 8, "num_layers": 2, "positions": "sinusoidal"},
        "chunks": {
            "hidden_dim": 8,
            "num_layers": 2,
            "num_heads": 2,
            "subsampling": 2,
            "chunk_frames": 3,
            "left_chunks": 1,
            "stochastic_depth": 0.2,
        },
    },
    "MDTCEncoder": {
        "causal": {"hidden_dim": 8, "stacks": 2, "stack_size": 3, "causal": True},
        "strided": {
            "hidden_dim": 8,
            "stacks": 2,
            "stack_size": 2,
            "kernel_size": 3,
            "subsampling": 3,
            "dropout": 0.2,
            "activation": "sigmoid",
            "causal": True,
        },
    },
    "MHAttRNNEncoder": {
        "causal": {"hidden_dim": 9, "cell": "lstm", "dropout": 0.2, "causal": True},
        "smooth": {"hidden_dim": 9, "filters": 3, "kernel_size": 7, "activation": "sigmoid"},
    },
    "MLPEncoder": {"strided": {"subsampling": 3, "context": 1, "activation": "sigmoid"}},
    "MatchboxNetEncoder": {
        "causal": {
            "blocks": 2,
            "repeats": 1,
            "width": 8,
            "output_dim": 9,
            "subsampling": 3,
            "activation": "log_sigmoid",
            "causal": True,
        },
    },
    "RecurrentEncoder": {
        "gru": {"cell": "gru", "hidden_dim": 9, "subsampling": 3, "dropout": 0.2},
        "elman": {"cell": "rnn", "hidden_dim": 9, "num_layers": 1},
        "both ways": {"bidirectional": True, "hidden_dim": 9, "subsampling": 2},
    },
    "ResidualCNNEncoder": {
        "deep": {"widths": (4, 6), "blocks": 2, "time_strides": (2, 3), "frequency_strides": (1, 2)}
    },
    "SeparableConvEncoder": {
        "gated": {
            "widths": (8, 12),
            "kernel_sizes": (3, 5),
            "squeeze_excitation": True,
            "activation": "log_sigmoid",
        },
        "stride 8": {"widths": 8, "kernel_sizes": (3,), "strides": (2, 1, 4), "repeats": 1},
        "causal": {
            "widths": (8, 10),
            "kernel_sizes": (3, 5),
            "strides": (2, 3),
            "repeats": 2,
            "activation": "sigmoid",
            "causal": True,
        },
    },
    "TCNEncoder": {
        "causal": {"hidden_dim": 8, "subsampling": 2, "causal": True, "activation": "swish"},
    },
    "TCResNetEncoder": {
        "causal": {"widths": (8, 8, 9), "dropout": 0.2, "causal": True},
        "wide": {"widths": (8, 9), "width_multiplier": 1.5, "activation": "sigmoid"},
    },
    "TDNNEncoder": {
        "factorised": {"hidden_dim": 16, "bottleneck_dim": 5},
        "causal": {
            "hidden_dim": 8,
            "kernel_sizes": (5, 3, 1),
            "dilations": (1, 3, 1),
            "subsampling": 2,
            "causal": True,
        },
        "causal factorised": {
            "hidden_dim": 8,
            "kernel_sizes": (3, 3, 5),
            "dilations": (1, 2, 3),
            "bottleneck_dim": 4,
            "causal": True,
        },
    },
    "TransformerEncoder": {
        "sinusoidal": {"hidden_dim": 16, "num_layers": 2, "positions": "sinusoidal"},
        "every frame": {"hidden_dim": 16, "num_layers": 1, "subsampling": 1},
        "chunks": {"hidden_dim": 16, "num_layers": 2, "subsampling": 2, "chunk_frames": 3},
        "few chunks": {
            "hidden_dim": 16,
            "num_layers": 2,
            "subsampling": 1,
            "chunk_frames": 2,
            "left_chunks": 1,
            "positions": "sinusoidal",
        },
        "any chunks": {
            "hidden_dim": 16,
            "num_layers": 2,
            "dynamic_chunks": True,
            "chunk_frames": 1,
            "left_chunks": 2,
            "stochastic_depth": 0.3,
        },
    },
}
CASES = [
    (kind, name, settings_)
    for kind in implementations(Encoder)
    for name, settings_ in {"default": {}, **VARIANTS.get(kind.__name__, {})}.items()
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}", scope="module")
def make(request: pytest.FixtureRequest):
    kind, _, arguments = request.param

    def build(seed: int = 0) -> Encoder:
        torch.manual_seed(seed)
        return kind(INPUT_DIM, **arguments)

    return build


@pytest.fixture(scope="module")
def encoder(make) -> Encoder:
    return make()


def test_discovery_finds_the_known_families():
    names = {kind.__name__ for kind in implementations(Encoder)}
    assert names >= set(VARIANTS)


@pytest.mark.parametrize("kind", implementations(Encoder), ids=lambda kind: kind.__name__)
def test_input_dim_is_the_only_required_argument(kind):
    assert required_arguments(kind) == ["input_dim"]
    assert kind(INPUT_DIM).input_dim == INPUT_DIM


def test_padded_batch_equals_each_item_alone(encoder):
    invariants.check_padding(encoder, [37, 5, 52, 1, 16, 0])


@settings(max_examples=5, deadline=None)
@given(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=4))
def test_any_lengths_share_a_batch(encoder, lengths):
    invariants.check_padding(encoder, lengths)


def test_padding_changes_nothing_in_training(encoder):
    invariants.check_padding_in_training(encoder)


def test_output_lengths_for_every_length(encoder):
    invariants.check_lengths(encoder)


def test_utterance_without_frames_spoils_no_batch(encoder):
    invariants.check_empty_among_others(encoder)


def test_batch_without_frames_or_utterances(encoder):
    for shape in ((2, 0, INPUT_DIM), (0, 7, INPUT_DIM)):
        encoded, lengths = encoder(torch.zeros(shape), torch.zeros(shape[0], dtype=torch.int64))
        assert encoded.shape[0] == lengths.shape[0] == shape[0]
        assert encoded.shape[2] == encoder.output_dim


def test_gradients_reach_everything(encoder):
    invariants.check_gradients(encoder)


def test_causal_encoders_do_not_see_the_future(encoder):
    if encoder.causal:
        invariants.check_no_future(encoder)


@settings(max_examples=10, deadline=None)
@example(chunks=[5, 1, 0, 9])
@example(chunks=[1] * 21)
@given(chunks=st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_causal_encoders_step_as_they_run(encoder, chunks):
    if encoder.causal:
        invariants.check_chunks(encoder, chunks)
    else:
        with pytest.raises(NotImplementedError, match="not causal"):
            encoder.initial_state()
        with pytest.raises(NotImplementedError, match="not causal"):
            encoder.step(torch.zeros(1, 3, INPUT_DIM), None)
        with pytest.raises(NotImplementedError, match="not causal"):
            encoder.flush(None)


def test_between_sees_every_layer(encoder):
    invariants.check_between(encoder)
    if encoder.causal:
        invariants.check_between_in_chunks(encoder)


def test_state_round_trip(make, encoder):
    used = invariants.settled(encoder, INPUT_DIM)
    lengths = torch.tensor([30, 17])
    invariants.check_round_trip(used, make(seed=1), invariants.noise(2, 30, INPUT_DIM), lengths)


def test_lengths_stay_integers_and_inputs_stay_as_they_were(encoder):
    features, lengths = invariants.noise(2, 20, INPUT_DIM), torch.tensor([20, 9])
    before = features.clone()
    encoder(features, lengths)
    assert torch.equal(features, before) and lengths.tolist() == [20, 9]


def test_reduced_precision(encoder):
    with torch.autocast("cpu", torch.bfloat16):
        encoded, _ = encoder(invariants.noise(2, 20, INPUT_DIM), torch.tensor([20, 9]))
    assert torch.isfinite(encoded).all()


@pytest.mark.parametrize(
    ("features", "lengths", "message"),
    [
        (torch.zeros(2, 9, INPUT_DIM + 1), torch.tensor([9, 9]), "input_dim"),
        (torch.zeros(9, INPUT_DIM), torch.tensor([9]), "must be"),
        (torch.zeros(2, 9, INPUT_DIM), torch.tensor([9, 10]), "padded length 9"),
        (torch.zeros(2, 9, INPUT_DIM), torch.tensor([9, -1]), "within 0"),
        (torch.zeros(2, 9, INPUT_DIM), torch.tensor([1.0, 0.5]), "int64"),
        (torch.zeros(2, 9, INPUT_DIM), torch.tensor([9]), "one for each"),
    ],
)
def test_bad_input_is_refused(encoder, features, lengths, message):
    with pytest.raises(SeqlabError, match=message):
        encoder(features, lengths)


@pytest.mark.parametrize("kind", implementations(Encoder), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("input_dim", [0, -3, 1.5, True])
def test_bad_input_dim_is_refused(kind, input_dim):
    with pytest.raises(SeqlabError, match="input_dim"):
        kind(input_dim)
