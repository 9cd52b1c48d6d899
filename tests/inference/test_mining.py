"""What fires in recordings without keywords, as sections to learn from."""

from __future__ import annotations

import pytest

from seqlab.audio import save_audio
from seqlab.data.manifest import Utterance
from seqlab.decoding.keyword import DetectorSettings
from seqlab.errors import SeqlabError
from seqlab.inference.mining import HardNegative, hard_negatives, strongest
from seqlab.inference.spotting import KeywordSpotter
from tests.inference.keywords import beeps, spotting_model
from tests.inference.tones import RATE


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Utterance, list[float]]:
    sound, starts = beeps("abca", every_s=2.0)
    path = tmp_path_factory.mktemp("mining") / "beeps.wav"
    save_audio(path, sound, RATE)
    return Utterance("r", str(path), 0.0, len(sound) / RATE, RATE, transcript="beep"), starts


def mined(recording: Utterance, context_s: float) -> list[HardNegative]:
    spotter = KeywordSpotter(spotting_model(), DetectorSettings(0.5), block_s=5.0)
    return list(hard_negatives(spotter, [recording], context_s))


def test_a_section_around_each_detection(recording: tuple[Utterance, list[float]]) -> None:
    whole, starts = recording
    found = mined(whole, 0.5)
    assert [n.labels for n in found] == [("a",), ("b",), ("c",), ("a",)]
    for negative, start in zip(found, starts, strict=True):
        section = negative.utterance
        assert section.start_s == pytest.approx(max(0.0, start - 0.5), abs=0.2)
        assert section.start_s + section.duration_s == pytest.approx(start + 0.65, abs=0.3)
        assert (section.label, section.transcript) == ("<unknown>", None)
        assert 0.5 <= negative.score <= 1
    assert len({n.utterance.id for n in found}) == 4


def test_overlapping_sections_become_one(recording: tuple[Utterance, list[float]]) -> None:
    [one] = mined(recording[0], 3.0)
    assert one.labels == ("a", "b", "c", "a")
    assert one.utterance.start_s == 0
    assert one.utterance.duration_s == pytest.approx(recording[0].duration_s)


def test_part_of_a_file_keeps_its_place(recording: tuple[Utterance, list[float]]) -> None:
    whole, starts = recording
    part = Utterance("p", whole.path, starts[1] - 0.4, 1.2, RATE)
    [found] = mined(part, 0.2)
    assert found.labels == ("b",)
    assert found.utterance.start_s == pytest.approx(starts[1] - 0.2, abs=0.15)
    end = found.utterance.start_s + found.utterance.duration_s
    assert end <= part.start_s + part.duration_s + 1e-9


def test_strongest_in_their_order(recording: tuple[Utterance, list[float]]) -> None:
    scores = [0.3, 0.9, 0.5, 0.9]
    found = [HardNegative(recording[0], score, ("a",)) for score in scores]
    assert [n.score for n in strongest(found, 3)] == [0.9, 0.5, 0.9]
    assert strongest(found, 9) == found


def test_context_out_of_range(recording: tuple[Utterance, list[float]]) -> None:
    with pytest.raises(SeqlabError, match="context_s=-1"):
        mined(recording[0], -1)
