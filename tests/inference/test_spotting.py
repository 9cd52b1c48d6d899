"""Spotting in streams: the same as over the whole, for any chunking, with memory that stays."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlab.audio import save_audio
from seqlab.contracts import Encoder
from seqlab.decoding.keyword import Detection, DetectorSettings, KeywordDetector
from seqlab.encoders.recurrent import RecurrentEncoder
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.encoders.tdnn import TDNNEncoder
from seqlab.errors import AudioError, ModelError, SeqlabError
from seqlab.frontend.normalize import UtteranceCMVN
from seqlab.heads.keyword import KeywordHead
from seqlab.inference.gate import Gate, gated
from seqlab.inference.posteriors import AudioWindows, FramePosteriors, FrameWindows
from seqlab.inference.spotting import KeywordSpotter, spot_blocks, spot_recording
from seqlab.model import SpeechModel
from tests.inference.keywords import LABELS, beeps, spotting_model
from tests.inference.tones import RATE, tone_model

QUICK = DetectorSettings(smoothing_s=0.05, refractory_s=0.3)


def small_encoder(kind: str = "separable", causal: bool = True) -> Encoder:
    torch.manual_seed(5)
    if kind == "lstm":
        return RecurrentEncoder(16, hidden_dim=8, num_layers=1, subsampling=2)
    if kind == "tdnn":
        return TDNNEncoder(16, hidden_dim=16, bottleneck_dim=8, causal=causal)
    return SeparableConvEncoder(
        16, widths=8, kernel_sizes=[5, 5], repeats=1, strides=(2,), output_dim=8, causal=causal
    )


def in_pieces(sound: Tensor, cuts: list[int]) -> list[Tensor]:
    edges = [0, *sorted(cuts), len(sound)]
    return [sound[a:b] for a, b in itertools.pairwise(edges)]


@functools.cache
def sensitive(model: SpeechModel) -> DetectorSettings:
    """Thresholds in the middle of what an untrained model says, so that it fires often."""
    spotter = KeywordSpotter(model, window_s=0.4)
    scores = torch.cat(list(spotter.posteriors([beeps("abcabc")[0]])))
    middle = {label: float(scores[:, i].median()) for i, label in enumerate(LABELS) if i}
    return DetectorSettings(thresholds=middle, smoothing_s=0.05, release=1.0, refractory_s=0.1)


@pytest.mark.parametrize("head", ["keyword", "classifier"])
def test_keywords_are_found_where_they_are(head: str, tmp_path: Path) -> None:
    sound, starts = beeps("abcacb")
    path = tmp_path / "beeps.wav"
    save_audio(path, sound, RATE)
    found = list(spot_recording(spotting_model(head), path, QUICK, window_s=0.1))
    assert "".join(d.label for d in found) == "abcacb"
    for detection, start in zip(found, starts, strict=True):
        assert start < detection.time_s < start + 0.25
        assert start - 0.05 < detection.start_s < detection.time_s
        assert 0.5 <= detection.score <= 1


@pytest.mark.parametrize("kind", ["separable", "lstm", "tdnn"])
@pytest.mark.parametrize("head", ["keyword", "classifier"])
def test_streams_equal_the_whole(kind: str, head: str) -> None:
    """Against posteriors and detections of one forward pass over the recording."""
    model = spotting_model(head, small_encoder(kind))
    sound, _ = beeps("abcabc")
    chosen = sensitive(model)
    with torch.no_grad():
        encoded, lengths = model.encode(sound[None], torch.tensor([len(sound)]))
        if isinstance(model.head, KeywordHead):
            offline = model.head.posteriors(encoded, lengths)[0]
        else:
            width = round(0.4 / model.frame_s)
            padded = torch.zeros(encoded.shape[1], len(LABELS))
            for last in range(width - 1, encoded.shape[1]):
                part = encoded[:, last + 1 - width : last + 1]
                padded[last] = model.head(part, torch.tensor([width]))[0].exp()
            offline = padded
    spotter = KeywordSpotter(model, chosen, window_s=0.4)
    streamed = torch.cat(list(spotter.posteriors(in_pieces(sound, [7, 5000, 5001]))))
    torch.testing.assert_close(streamed, offline, rtol=1e-5, atol=1e-5)
    detector = KeywordDetector(LABELS, model.frame_s, chosen)
    expected, _ = detector.step(offline.numpy().clip(0, 1), detector.initial_state())
    found = list(spot_blocks(spotter, in_pieces(sound, [1000, 1001, 30000])))
    assert len(expected) > 5
    assert [(d.label, d.time_s) for d in found] == [(d.label, d.time_s) for d in expected]


WAYS: dict[str, SpeechModel] = {
    "frames": spotting_model("keyword", small_encoder()),
    "windows of frames": spotting_model("classifier", small_encoder()),
    "windows of sound": spotting_model("keyword", small_encoder(causal=False), UtteranceCMVN(16)),
}
SOUND, _ = beeps("abcab")


def spotted(name: str, blocks: list[Tensor], gate: Gate | None = None) -> list[Detection]:
    spotter = KeywordSpotter(WAYS[name], sensitive(WAYS[name]), window_s=0.4)
    return list(spot_blocks(spotter, blocks, gate))


@functools.cache
def whole(name: str, gate: bool) -> list[Detection]:
    return spotted(name, [SOUND], Gate() if gate else None)


def test_each_way_is_chosen_by_what_the_model_can() -> None:
    kinds = [type(KeywordSpotter(model).stream) for model in WAYS.values()]
    assert kinds == [FramePosteriors, FrameWindows, AudioWindows]
    assert all(len(whole(name, False)) > 4 for name in WAYS)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(list(WAYS)), st.lists(st.integers(0, len(SOUND)), max_size=8), st.booleans())
def test_any_chunking_gives_the_same_to_the_bit(name: str, cuts: list[int], gate: bool) -> None:
    found = spotted(name, in_pieces(SOUND, cuts), Gate() if gate else None)
    assert found == whole(name, gate)


def test_windows_of_sound_are_what_the_model_says_of_them() -> None:
    model = WAYS["windows of sound"]
    spotter = KeywordSpotter(model, window_s=0.4, hop_s=0.1)
    every = torch.cat(list(spotter.posteriors([SOUND])))
    assert (every[:3] == 0).all()  # until a window is whole
    for frame in (3, 10, len(every) - 1):
        end = (frame + 1) * RATE // 10
        part = SOUND[end - 4 * RATE // 10 : end]
        [said] = model.classify([part], RATE, top_k=len(LABELS))
        expected = {c.label: c.probability for c in said}
        for place, label in enumerate(LABELS):
            assert float(every[frame, place]) == pytest.approx(expected[label], abs=1e-5)


@pytest.mark.parametrize("name", list(WAYS))
def test_streams_shorter_than_a_window(name: str) -> None:
    model = WAYS[name]
    spotter = KeywordSpotter(model, window_s=5.0)
    for count in (0, 1, 100, 1000, 4000):
        posteriors = torch.cat(list(spotter.posteriors([SOUND[:count]])))
        assert torch.isfinite(posteriors).all()
        if count == 4000 and name != "frames":  # judged once, as a recording
            [said] = model.classify([SOUND[:count]], RATE)
            assert float(posteriors[-1].max()) == pytest.approx(said[0].probability, abs=1e-5)
    assert list(spot_blocks(spotter, [])) == []


def sizes(state: Any) -> int:
    """Values that a state holds in all its parts."""
    if isinstance(state, Tensor):
        return state.untyped_storage().nbytes()
    if isinstance(state, tuple | list):
        return sum(map(sizes, state))
    if hasattr(state, "__dataclass_fields__"):
        return sum(sizes(getattr(state, name)) for name in state.__dataclass_fields__)
    return getattr(state, "nbytes", 0)


@pytest.mark.parametrize("name", list(WAYS))
def test_a_state_does_not_grow(name: str) -> None:
    spotter = KeywordSpotter(WAYS[name], window_s=0.4)
    state, found = spotter.initial_state(), []
    for _ in range(24):
        _, state = spotter.step(SOUND[:8000], state)
        found.append(sizes(state))
    assert max(found[4:]) <= max(found[:4])


def test_the_gate_leaves_silence_out() -> None:
    """What is said is found all the same, and the model hears a small part of the hour."""
    sound, starts = beeps("abc", every_s=8.0)
    model = spotting_model()
    heard = sum(len(s.samples) for s in gated([sound], RATE, 80, Gate()))
    assert heard < 0.4 * len(sound)
    spotter = KeywordSpotter(model, QUICK)
    all_of_it = list(spot_blocks(spotter, [sound]))
    found = list(spot_blocks(spotter, [sound], Gate()))
    assert [d.label for d in found] == ["a", "b", "c"]
    for a, b in zip(found, all_of_it, strict=True):
        assert a.time_s == pytest.approx(b.time_s, abs=0.011)
    assert len(starts) == 3


def test_stretches_lie_on_frames_and_follow_each_other() -> None:
    sound, _ = beeps("abcabcabc", every_s=4.0)
    stretches = list(gated(sound.split(777), RATE, 160, Gate(before_s=0.2, after_s=0.3)))
    assert sum(s.begins for s in stretches) == sum(s.ends for s in stretches) == 9
    at = 0
    for stretch in stretches:
        assert stretch.start >= at
        assert (stretch.start % 160 == 0) if stretch.begins else (stretch.start == at)
        at = stretch.start + len(stretch.samples)
        assert torch.equal(stretch.samples, sound[stretch.start : at])


def test_bad_input() -> None:
    with pytest.raises(ModelError, match="CTCHead gives no labels to spot"):
        KeywordSpotter(tone_model())
    with pytest.raises(SeqlabError, match="window_s=0"):
        KeywordSpotter(spotting_model(), window_s=0)
    with pytest.raises(SeqlabError, match="hop_s=2"):
        KeywordSpotter(spotting_model(), hop_s=2)
    with pytest.raises(SeqlabError, match="no keyword of the model"):
        KeywordSpotter(spotting_model(), DetectorSettings(thresholds={"d": 0.5}))
    spotter = KeywordSpotter(spotting_model())
    with pytest.raises(AudioError, match="divide 16-bit samples"):
        spotter.step(torch.zeros(10, dtype=torch.int16), spotter.initial_state())
