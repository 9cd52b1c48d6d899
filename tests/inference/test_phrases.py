"""Phrases in streams: found where they are, and the same for any chunking."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlab.audio import save_audio
from seqlab.data.manifest import from_file
from seqlab.decoding.keyword import Detection, DetectorSettings
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.errors import DataError, ModelError, SeqlabError
from seqlab.heads.ctc import CTCHead
from seqlab.inference.gate import Gate
from seqlab.inference.log_probs import LiveLogProbs, WindowedLogProbs, log_prob_stream
from seqlab.inference.operating_point import Measurement, choose
from seqlab.inference.phrases import PhraseSpotter, spot_phrases
from seqlab.inference.spotting import spot_blocks
from seqlab.model import SpeechModel
from tests.inference.keywords import spotting_model
from tests.inference.tones import LETTER_S, RATE, Same, said, talk, tone_model

PHRASES = ["abc", "ca b"]
TALK, TIMES = talk(["abc", "ca b", "abca", "ca b abc", "b"], [1.0, 2.0, 1.5, 1.0, 1.0])


class WholeOnly(Same):
    """As ``Same``, but hears whole utterances."""

    causal = False


MODELS = {"live": tone_model(), "windows": tone_model(WholeOnly(16))}


def spotted(name: str, blocks: list[Tensor], gate: Gate | None = None) -> list[Detection]:
    spotter = PhraseSpotter(MODELS[name], PHRASES, window_s=2.0, hop_s=1.0)
    return list(spot_blocks(spotter, blocks, gate))


def test_each_way_is_chosen_by_what_the_model_can() -> None:
    kinds = [type(log_prob_stream(model)) for model in MODELS.values()]
    assert kinds == [LiveLogProbs, WindowedLogProbs]


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("gate", [None, Gate()])
def test_phrases_are_found_where_they_are(name: str, gate: Gate | None) -> None:
    """Of "abca" nothing is found: phrases are whole words."""
    found = spotted(name, [TALK], gate)
    first, second, _, both, _ = TIMES
    expected = [("abc", first[0]), ("ca b", second[0]), ("ca b", both[0]),
                ("abc", both[0] + 5 * LETTER_S)]  # fmt: skip
    assert [d.label for d in found] == [label for label, _ in expected]
    for detection, (label, start) in zip(found, expected, strict=True):
        assert detection.start_s == pytest.approx(start, abs=0.03)
        end = start + LETTER_S * (len(label) - 1 / 3)
        assert detection.time_s == pytest.approx(end, abs=0.03)
        assert detection.score > 0.7


def test_recordings(tmp_path: Path) -> None:
    save_audio(tmp_path / "talk.wav", TALK, RATE)
    found = list(spot_phrases(MODELS["live"], tmp_path / "talk.wav", PHRASES))
    expected = spotted("live", [TALK])
    assert [(d.label, d.start_s, d.time_s) for d in found] == [
        (d.label, d.start_s, d.time_s) for d in expected
    ]
    last = list(spot_phrases(MODELS["live"], tmp_path / "talk.wav", ["b"]))[-1]
    assert last.start_s == pytest.approx(TIMES[-1][0], abs=0.03)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(list(MODELS)), st.lists(st.integers(0, len(TALK)), max_size=8), st.booleans()
)
def test_any_chunking_gives_the_same_to_the_bit(name: str, cuts: list[int], gate: bool) -> None:
    edges = [0, *sorted(cuts), len(TALK)]
    blocks = [TALK[a:b] for a, b in itertools.pairwise(edges)]
    chosen = Gate() if gate else None
    assert spotted(name, blocks, chosen) == spotted(name, [TALK], chosen)


def test_windows_put_together_equal_the_whole() -> None:
    """A model that sees 9 frames around each, so that a margin of half a second is plenty."""
    torch.manual_seed(1)
    encoder = SeparableConvEncoder(
        16, widths=8, kernel_sizes=[5], repeats=1, strides=(2,), output_dim=8
    )
    head = CTCHead(8, 5)
    model = SpeechModel(MODELS["live"].frontend, encoder, head, MODELS["live"].tokenizer).eval()
    with torch.no_grad():
        whole, lengths = model(TALK[None], torch.tensor([len(TALK)]))
    for window_s, hop_s in ((2.0, 1.0), (1.5, 0.3), (100.0, 50.0)):
        stream = WindowedLogProbs(model, window_s, hop_s)
        state, parts = stream.initial_state(), []
        for block in TALK.split(1777):
            values, state = stream.step(block, state)
            parts.append(values)
        found = torch.cat([*parts, stream.flush(state)])
        torch.testing.assert_close(found, whole[0, : int(lengths)], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", list(MODELS))
def test_streams_shorter_than_a_frame(name: str) -> None:
    for count in (0, 1, 100, 500):
        assert spotted(name, [TALK[:count]]) == []
    assert spotted(name, []) == []


def test_an_utterance_that_ends_with_its_phrase() -> None:
    [found] = spotted("live", [said("abc")])
    assert found.label == "abc"


def test_thresholds_of_phrases(tmp_path: Path) -> None:
    """Chosen on recordings whose transcripts hold a phrase, and such as hold none."""
    positives, negatives = [], []
    for place, text in enumerate(["abc", "ca b", "b abc", "a ca b", "abca", "cab", "c b", "ba"]):
        path = tmp_path / f"{place}.wav"
        save_audio(path, talk([text], [0.5])[0], RATE)
        kind = positives if place < 4 else negatives
        kind.append(from_file(path, str(place), transcript=text))
    spotter = PhraseSpotter(MODELS["live"], PHRASES)
    assert spotter.said("b ca b abc") == ["abc", "ca b"]
    assert spotter.said("abca b") == []
    measured = Measurement.of(spotter, positives, negatives)
    point = choose(measured, 0.0, spotter, window_s=10.0, hop_s=8.0)
    assert {n: (p.missed, p.total, p.false_alarms) for n, p in point.phrases.items()} == {
        "abc": (0, 2, 0), "ca b": (0, 2, 0)
    }  # fmt: skip
    with pytest.raises(DataError, match="is no keyword of the model"):
        Measurement.of(spotter, negatives, negatives)


def test_what_is_refused() -> None:
    live = MODELS["live"]
    with pytest.raises(ModelError, match="KeywordHead gives no answer for each frame"):
        PhraseSpotter(spotting_model(), ["a"])
    with pytest.raises(DataError, match="character 'z'"):
        PhraseSpotter(live, ["zebra"])
    with pytest.raises(SeqlabError, match="there are no phrases"):
        PhraseSpotter(live, [])
    with pytest.raises(SeqlabError, match="'abd', which is none of the phrases; did you mean"):
        PhraseSpotter(live, ["abc"], DetectorSettings(0.5, {"abd": 0.5}, 0.0))
    with pytest.raises(SeqlabError, match=r"hop_s=2\.0 must be a number within \[0\.1, 1"):
        PhraseSpotter(MODELS["windows"], ["abc"], window_s=1.0, hop_s=2.0)
    with pytest.raises(SeqlabError, match="leaves too little of window_s=1"):
        PhraseSpotter(MODELS["windows"], ["abc"], window_s=1.0, hop_s=1.0)
    assert "has 1 letters" in PhraseSpotter(live, ["b"]).warnings[0]
