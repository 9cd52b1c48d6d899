"""Streams equal the whole, to the bit, for every preset; their state is small and portable."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlab.errors import SeqlabError
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.mfcc import MFCC
from seqlab.frontend.plp import PLP
from seqlab.frontend.presets import PRESETS
from seqlab.frontend.spectrogram import Spectrogram
from seqlab.frontend.stream_state import StreamState, join_states
from seqlab.lengths import pad_stack

pytestmark = pytest.mark.filterwarnings("ignore:.*bands hold no bin")

KINDS = {kind.__name__: kind for kind in (LogMel, MFCC, PLP, Spectrogram)}


def make(kind: str, preset: str, **changes: object) -> FramedFrontend:
    """A preset; where it needs the whole utterance, without the setting that does."""
    return KINDS[kind].from_preset(preset, dynamic_range=None, **changes)


@pytest.fixture(
    params=[(kind, preset) for kind in KINDS for preset in PRESETS[kind]],
    ids="-".join,
    scope="module",
)
def frontend(request: pytest.FixtureRequest) -> FramedFrontend:
    return make(*request.param)


@pytest.fixture(scope="module")
def deltas() -> FramedFrontend:
    return MFCC(delta_order=2, edges="mirror")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def whole(frontend: FramedFrontend, waveform: Tensor) -> Tensor:
    return frontend(waveform, torch.full((len(waveform),), waveform.shape[1]))[0]


def streamed(frontend: FramedFrontend, waveform: Tensor, chunks: list[int]) -> Tensor:
    state, begin, pieces = frontend.initial_state(len(waveform)), 0, []
    for chunk in [*chunks, waveform.shape[1]]:
        features, state = frontend.step(waveform[:, begin : begin + chunk], state)
        pieces.append(features)
        begin = min(begin + chunk, waveform.shape[1])
    return torch.cat([*pieces, frontend.flush(state)], 1)


def special_lengths(frontend: FramedFrontend) -> st.SearchStrategy[int]:
    edge = [0, 1, frontend.win_length - 1, frontend.win_length, frontend.layout.left + 1]
    return st.one_of(st.sampled_from(edge), st.integers(0, 4 * frontend.win_length))


@settings(max_examples=20, deadline=None)
@given(data=st.data(), streams=st.integers(1, 3))
def test_any_chunking_equals_the_whole_to_the_bit(
    frontend: FramedFrontend, data: st.DataObject, streams: int
) -> None:
    length = data.draw(special_lengths(frontend))
    chunks = data.draw(st.lists(st.integers(0, frontend.win_length), max_size=8))
    waveform = noise(streams, length, seed=length)
    assert torch.equal(streamed(frontend, waveform, chunks), whole(frontend, waveform))


def test_sample_by_sample_equals_the_whole_to_the_bit(frontend: FramedFrontend) -> None:
    length = frontend.win_length + 2 * frontend.hop_length + 3
    waveform = noise(1, length)
    assert torch.equal(streamed(frontend, waveform, [1] * length), whole(frontend, waveform))


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_padded_batch_equals_each_alone_to_the_bit(
    frontend: FramedFrontend, data: st.DataObject
) -> None:
    sizes = data.draw(st.lists(special_lengths(frontend), min_size=1, max_size=4))
    items = [noise(size, seed=i) for i, size in enumerate(sizes)]
    batch, lengths = pad_stack(items, value=torch.nan)
    features, counts = frontend(batch, lengths)
    for row, count, item in zip(features, counts.tolist(), items, strict=True):
        assert torch.equal(row[:count], whole(frontend, item[None])[0])
        assert not row[count:].any()


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_ragged_streams_equal_each_alone_to_the_bit(
    frontend: FramedFrontend, data: st.DataObject
) -> None:
    check_ragged(frontend, data)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize(
    "options",
    [
        {"delta_order": 2, "edges": "mirror"},
        {"delta_order": 2, "delta_method": "htk", "dither": 1.0},
        {"edges": "reflect", "win_length": 331, "hop_length": 173, "n_fft": 333, "delta_order": 1},
        {"edges": "zero", "win_length": 160, "hop_length": 400},
        {"power": 1.5},  # no compiled kernel
    ],
    ids=str,
)
def test_ragged_streams_of_other_settings(options: dict[str, object], data: st.DataObject) -> None:
    check_ragged(MFCC(**options), data)


def check_ragged(frontend: FramedFrontend, data: st.DataObject) -> None:
    """Streams bring what they like, and a third joins one step late."""
    size = st.integers(0, 2 * frontend.win_length)
    steps = data.draw(st.lists(st.lists(size, min_size=3, max_size=3), min_size=2, max_size=5))
    steps[0].pop()
    states = [frontend.initial_state() for _ in range(2)]
    heard: list[list[Tensor]] = [[], [], []]
    found: list[list[Tensor]] = [[], [], []]

    def collect(features: Tensor, counts: Tensor) -> None:
        for i, (row, count) in enumerate(zip(features, counts.tolist(), strict=True)):
            found[i].append(row[:count])
            assert not row[count:].any()

    for number, sizes in enumerate(steps):
        if number == 1:
            states.append(frontend.initial_state())
        parts = [noise(n, seed=10 * number + i) for i, n in enumerate(sizes)]
        for i, part in enumerate(parts):
            heard[i].append(part)
        batch, lengths = pad_stack(parts, value=torch.nan)
        features, counts, states = frontend.step_ragged(batch, lengths, states)
        collect(features, counts)
    collect(*frontend.flush_ragged(states))
    for pieces, parts in zip(found, heard, strict=True):
        assert torch.equal(torch.cat(pieces), whole(frontend, torch.cat(parts)[None])[0])


def test_streams_come_and_go(deltas: FramedFrontend) -> None:
    first, second = noise(2, 3000)
    states = [deltas.initial_state()]
    one, _, states = deltas.step_ragged(first[None, :1000], torch.tensor([1000]), states)
    states.append(deltas.initial_state())
    batch, lengths = pad_stack([first[1000:], second])
    features, counts, states = deltas.step_ragged(batch, lengths, states)
    end = deltas.flush(states.pop(0))
    together = torch.cat([one[0], features[0, : counts[0]], end[0]])
    assert torch.equal(together, whole(deltas, first[None])[0])
    rest = torch.cat([features[1, : counts[1]], deltas.flush(states[0])[0]])
    assert torch.equal(rest, whole(deltas, second[None])[0])


def test_no_streams_at_all(deltas: FramedFrontend) -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    features, counts, states = deltas.step_ragged(torch.zeros(0, 160), nothing, [])
    assert (features.shape, counts.tolist(), states) == ((0, 0, 39), [], [])
    assert deltas.flush_ragged([])[0].shape == (0, 0, 39)


def test_nan_stays_with_its_stream(deltas: FramedFrontend) -> None:
    states = [deltas.initial_state() for _ in range(3)]
    waveform = noise(3, 2000)
    spoilt = waveform.clone()
    spoilt[1] = torch.nan
    lengths = torch.tensor([2000, 2000, 1700])
    clean, _, _ = deltas.step_ragged(waveform, lengths, states)
    features, _, _ = deltas.step_ragged(spoilt, lengths, states)
    assert torch.equal(features[::2], clean[::2])
    assert features[1].isnan().all()


def test_gradients_pass_through_steps(deltas: FramedFrontend) -> None:
    waveform = noise(2, 2000).requires_grad_()
    features, state = deltas.step(waveform[:, :900], deltas.initial_state(2))
    ragged, _, _ = deltas.step_ragged(waveform[:, 900:], torch.tensor([1100, 700]), state.split())
    (features.sum() + ragged.sum()).backward()
    assert waveform.grad is not None
    assert waveform.grad.isfinite().all()
    assert waveform.grad[:, :1500].any()


def test_int16_streams_as_the_same_recording(frontend: FramedFrontend) -> None:
    samples = (noise(2, 3 * frontend.win_length) * 32768).to(torch.int16)
    expected = whole(frontend, samples / 32768)
    assert torch.equal(streamed(frontend, samples, [100, 777]), expected)


# State ---------------------------------------------------------------------------------------


def test_a_state_survives_being_written(frontend: FramedFrontend) -> None:
    waveform = noise(2, 3 * frontend.win_length + 7)
    state = frontend.step(waveform[:, :-50], frontend.initial_state(2))[1]
    file = io.BytesIO()
    torch.save(state.to_dict(), file)
    assert file.tell() < 4 * 2 * (2 * frontend.win_length + 20 * frontend.static_dim) + 4000
    file.seek(0)
    again = StreamState.from_dict(torch.load(file, weights_only=True))
    for one, other in ((state, again), (again, state)):
        assert torch.equal(
            frontend.step(waveform[:, -50:], one)[0], frontend.step(waveform[:, -50:], other)[0]
        )
        assert torch.equal(frontend.flush(one), frontend.flush(other))


def test_a_state_serves_an_equal_front_end(frontend: FramedFrontend) -> None:
    state = frontend.step(noise(1, 5000), frontend.initial_state())[1]
    other = type(frontend)(**frontend.constructor_arguments)
    assert torch.equal(other.flush(state), frontend.flush(state))
    assert torch.equal(copy.deepcopy(frontend).flush(state), frontend.flush(state))


def test_a_state_stays_small_however_long_the_stream(deltas: FramedFrontend) -> None:
    state = deltas.initial_state()
    for seed in range(50):
        state = deltas.step(noise(1, 16000, seed=seed), state)[1]
    values = state.to_dict()
    assert values["samples"].numel() < deltas.win_length + deltas.hop_length
    assert values["history"].shape[1] <= 2 * 2 * 2 + 1
    assert state.seen == 50 * 16000


def test_split_and_join_are_inverse(deltas: FramedFrontend) -> None:
    waveform = noise(3, 4000)
    state = deltas.step(waveform[:, :2345], deltas.initial_state(3))[1]
    parts = state.split()
    last = deltas.step(waveform[1:2, 2345:], parts[1])[0]
    joined = deltas.step(waveform[:, 2345:].flip(0), join_states(parts[::-1]))[0]
    assert torch.equal(last[0], joined[1])
    assert torch.equal(joined.flip(0), deltas.step(waveform[:, 2345:], state)[0])


def test_states_of_others_are_refused(deltas: FramedFrontend) -> None:
    state = LogMel().step(noise(1, 1000), LogMel().initial_state())[1]
    for other in (deltas, LogMel(scale=1.0), LogMel(n_mels=40), Spectrogram()):
        with pytest.raises(SeqlabError, match=r"does not come from this .* initial_state"):
            other.step(noise(1, 100), state)
        with pytest.raises(SeqlabError, match="does not come from this"):
            other.flush_ragged([state])
    with pytest.raises(SeqlabError, match="does not come from this"):
        deltas.step(noise(1, 100), None)
    with pytest.raises(SeqlabError, match="different front ends"):
        join_states([state, deltas.initial_state()])


def test_states_that_do_not_run_abreast_are_refused() -> None:
    frontend = LogMel()
    ahead = frontend.step(noise(1, 1000), frontend.initial_state())[1]
    with pytest.raises(SeqlabError, match=r"seen 0 and 1000 samples .* step_ragged"):
        join_states([ahead, frontend.initial_state()])
    with pytest.raises(SeqlabError, match="0 states"):
        join_states([])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset": -1}, "offset .* is -1, must be a whole number of at least 0"),
        ({"frames": 1.5}, r"frames .* is 1\.5"),
        ({"emitted": True}, "emitted .* is True"),
        ({"samples": [0.0]}, "samples .* must be a floating-point tensor of 2 dimensions"),
        ({"samples": torch.zeros(1, 5, dtype=torch.int64)}, r"samples .*\.int64 of"),
        ({"samples": torch.zeros(2, 5)}, "of 2 streams, must be of 1, as history"),
        ({"history": torch.zeros(1, 3)}, "history .* 3 dimensions"),
        ({"source": 7}, "source .* must be a string"),
        ({"unknown": 7}, "must hold samples, offset"),
    ],
)
def test_damaged_states_are_refused(change: dict[str, object], message: str) -> None:
    content = LogMel().initial_state().to_dict()
    with pytest.raises(SeqlabError, match=message):
        StreamState.from_dict({**content, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"offset": 3},
        {"frames": 9},
        {"emitted": 2},
        {"samples": torch.zeros(1, 1)},
        {"history": torch.zeros(1, 1, 13)},
        {"history": torch.zeros(1, 5, 12)},
    ],
    ids=str,
)
def test_states_that_contradict_themselves_are_refused(
    deltas: FramedFrontend, change: dict[str, object]
) -> None:
    state = deltas.step(noise(1, 1000), deltas.initial_state())[1]
    broken = StreamState.from_dict({**state.to_dict(), **change})
    with pytest.raises(SeqlabError, match="contradicts itself"):
        deltas.step(noise(1, 100), broken)


def test_no_mapping_is_refused() -> None:
    with pytest.raises(SeqlabError, match="must hold samples"):
        StreamState.from_dict("state")


def test_wrong_ragged_input_names_rule_and_remedy(deltas: FramedFrontend) -> None:
    states = [deltas.initial_state(), deltas.initial_state()]
    two = torch.tensor([100, 100])
    with pytest.raises(SeqlabError, match="2 waveforms, 1 lengths and 2 states"):
        deltas.step_ragged(noise(2, 100), two[:1], states)
    with pytest.raises(SeqlabError, match="2 waveforms, 2 lengths and 1 states"):
        deltas.step_ragged(noise(2, 100), two, states[:1])
    with pytest.raises(SeqlabError, match="holds 3 streams, must hold 1"):
        deltas.step_ragged(noise(2, 100), two, [deltas.initial_state(3), states[0]])
    with pytest.raises(SeqlabError, match="relative lengths are not accepted"):
        deltas.step_ragged(noise(2, 99), two, states)
    with pytest.raises(SeqlabError, match="whole utterance"):
        LogMel(dynamic_range=80.0).step_ragged(noise(2, 100), two, states)


@pytest.mark.gpu
def test_streams_on_another_device(deltas: FramedFrontend) -> None:
    there = copy.deepcopy(deltas).cuda()
    waveform = noise(2, 4000)
    features, state = there.step(waveform.cuda(), there.initial_state(2))
    expected, here = deltas.step(waveform, deltas.initial_state(2))
    torch.testing.assert_close(features.cpu(), expected, rtol=1e-4, atol=1e-3)
    with pytest.raises(SeqlabError, match="must be on cpu"):
        deltas.flush(state)
    moved = StreamState.from_dict(state.to_dict(), "cpu")
    torch.testing.assert_close(deltas.flush(moved), deltas.flush(here), rtol=1e-4, atol=1e-3)
