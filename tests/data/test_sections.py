"""Sections of other speech and of silence: what is cut, from where, and the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.audio import save_audio
from seqlab.data.batch import SpeechDataset
from seqlab.data.cache import AudioCache
from seqlab.data.config import DataConfig, SilenceConfig, UnknownConfig
from seqlab.data.loader import make_loader
from seqlab.data.manifest import Utterance, write_manifest
from seqlab.data.sampling import BucketBatchSampler
from seqlab.data.sections import (
    Sections,
    SilenceSections,
    Tape,
    UnknownSections,
    make_sections,
    read_sources,
    without_phrases,
)
from seqlab.errors import DataError
from seqlab.text.tokenizers import LabelTokenizer

RATE = 8000
COUNTS = (1000, 411, 2400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings, whose samples count on from one to the next."""
    folder = tmp_path_factory.mktemp("speech")
    everything = torch.arange(sum(COUNTS)) / 32768
    for number, part in enumerate(torch.split(everything, COUNTS)):
        save_audio(folder / f"{number}.wav", part, RATE)
    return folder


def recordings(folder: Path) -> list[Utterance]:
    return [
        Utterance(f"{n}", str(folder / f"{n}.wav"), 0.0, count / RATE, RATE)
        for n, count in enumerate(COUNTS)
    ]


def numbers(waveform: torch.Tensor) -> list[int]:
    return [round(float(value) * 32768) for value in waveform]


@settings(max_examples=60, deadline=None)
@given(draw=st.floats(0, 1, exclude_max=True), samples=st.integers(1, 9000), cached=st.booleans())
def test_tape_goes_on_over_ends(folder: Path, draw: float, samples: int, cached: bool) -> None:
    tape = Tape(recordings(folder), "unknown.sources")
    cut = tape.cut(tape.anywhere(draw), samples, RATE, AudioCache(10**6 if cached else 0))
    assert len(cut) == samples
    found = numbers(cut)
    breaks = [place for place in range(1, samples) if found[place] != found[place - 1] + 1]
    ends = np.cumsum(COUNTS)
    # A piece ends with its recording, less the 20 ms that are not worth a piece of their own.
    assert all(found[p] in (0, *ends[:-1]) for p in breaks)
    assert all(ends[np.searchsorted(ends, found[p - 1], "right")] - found[p - 1] <= 161
               for p in breaks)  # fmt: skip
    assert abs(found[0] - draw * sum(COUNTS)) <= 161 or found[0] in (0, *ends[:-1])


def test_within_keeps_to_a_recording_that_is_long_enough(folder: Path) -> None:
    tape = Tape(recordings(folder), "unknown.hard")
    for where in (0.0, 0.5, 0.999):
        found = numbers(tape.cut(tape.within(0.1, 0.99, where), 800, RATE, AudioCache(0)))
        assert found == list(range(found[0], found[0] + 800))
        assert found[0] >= 1411 and found[-1] < 3811
    assert tape.within(1.0, 0.0, 0.9) == (0, 0.0)


def test_short_recordings_are_left_out() -> None:
    with pytest.raises(DataError, match=r"data\.unknown\.sources: no recording of 0\.05 s"):
        Tape([Utterance("a", "/a.wav", 0.0, 0.04, RATE)], "unknown.sources")


def test_part_of_a_recording_and_another_rate(folder: Path) -> None:
    [part] = [Utterance("a", str(folder / "2.wav"), 0.1, 0.1, RATE)]
    tape = Tape([part], "unknown.sources")
    assert numbers(tape.cut((0, 0.05), 400, RATE, AudioCache(0))) == list(range(2611, 3011))
    assert len(tape.cut((0, 0.05), 8000, 16000, AudioCache(0))) == 8000


def test_hard_negatives_have_their_share(folder: Path) -> None:
    speech, hard = recordings(folder)[:2], recordings(folder)[2:]
    config = UnknownConfig(["s"], 10, hard=["h"], hard_share=0.4)
    sections, cache = UnknownSections(config, speech, hard), AudioCache(10**6)
    rng = np.random.default_rng(0)
    cuts = [numbers(sections.cut(200, RATE, rng, cache)) for _ in range(500)]
    share = sum(cut[0] >= 1411 for cut in cuts) / 500
    assert share == pytest.approx(0.4, abs=0.07)
    assert UnknownSections(UnknownConfig(["s"], 1), speech).hard is None


def test_silence_is_zeros_or_noise_at_a_level(folder: Path) -> None:
    rng, cache = np.random.default_rng(0), AudioCache(10**6)
    none = SilenceSections(SilenceConfig(per_epoch=1))
    assert not none.cut(300, RATE, rng, cache).any() and none.recordings == []
    config = SilenceConfig(["n"], 1, digital_share=0.25, gain_db=(-20.0, -20.0))
    some = SilenceSections(config, recordings(folder)[2:])
    cuts = [some.cut(200, RATE, rng, cache) for _ in range(400)]
    assert sum(not cut.any() for cut in cuts) / 400 == pytest.approx(0.25, abs=0.07)
    steps = {round(float(cut[1] - cut[0]) * 327680) for cut in cuts if cut.any()}
    assert steps == {1}  # a tenth of the amplitude is -20 dB


def dataset(folder: Path, seed: int = 3, count: int = 6) -> SpeechDataset:
    said = [Utterance(f"go{n}", str(folder / "0.wav"), 0.0, 0.1, RATE, label="go") for n in (1, 2)]
    made: list[Sections] = [
        UnknownSections(UnknownConfig(["s"], count), recordings(folder)),
        SilenceSections(SilenceConfig(per_epoch=2, duration_s=(0.2, 0.3))),
    ]
    labels = LabelTokenizer(labels=["<silence>", "<unknown>", "go"])
    return SpeechDataset(said, labels, RATE, seed=seed, sections=made)


def test_sections_depend_on_seed_epoch_and_number_alone(folder: Path) -> None:
    data = dataset(folder)
    assert [u.label for u in data.utterances] == ["go"] * 2 + ["<unknown>"] * 6 + ["<silence>"] * 2
    assert data.durations[2:8] == [0.1] * 6
    assert all(0.2 <= duration <= 0.3 for duration in data.durations[8:])
    first = [data[1, n].waveform for n in range(10)]
    again = [dataset(folder)[1, n].waveform for n in reversed(range(10))][::-1]
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert [len(w) for w in first] == [round(d * RATE) for d in data.durations]
    for other in (dataset(folder, seed=4)[1, 2], data[2, 2], data[1, 3]):
        assert not torch.equal(other.waveform, first[2])
    assert data[1, 2].targets.tolist() == [1] and data[1, 9].targets.tolist() == [0]


def test_workers_cut_the_same(folder: Path) -> None:
    def batches(workers: int) -> list[torch.Tensor]:
        data = dataset(folder)
        sampler = BucketBatchSampler(data.durations, batch_size=4, seed=1)
        loader = make_loader(data, sampler, workers)
        found = [batch.waveform for batch in loader]
        loader.close()
        return found

    assert all(torch.equal(a, b) for a, b in zip(batches(0), batches(1), strict=True))


def test_sources_are_manifests_or_folders(folder: Path, tmp_path: Path) -> None:
    write_manifest(recordings(folder), tmp_path / "speech.jsonl.gz")
    assert len(read_sources(tmp_path, ["speech", str(folder)], "negatives")) == 6
    with pytest.raises(DataError, match=r"data\.negatives: .*other is neither a folder nor"):
        read_sources(tmp_path, ["other"], "negatives")


def test_speech_with_a_keyword_is_left_out(folder: Path, tmp_path: Path) -> None:
    said = ["PLEASE OPEN IT", "THE OPENER", "OPEN-IT, HE SAID", "it open"]
    spoken = [
        Utterance(f"{n}", str(folder / "0.wav"), 0.0, 0.1, RATE, transcript=text)
        for n, text in enumerate(said)
    ]
    assert [u.id for u in without_phrases(spoken, ["open it", "<unknown>"])] == ["1", "3"]
    write_manifest(spoken, tmp_path / "s.jsonl")
    config = DataConfig(str(tmp_path), batch_size=1, unknown=UnknownConfig(["s.jsonl"], 5))
    made, notes = make_sections(config, ["open it"])
    assert [u.id for u in made[0].recordings] == ["1", "3"]
    assert notes == ["2 of 4 utterances of data.unknown are left out: a keyword is said in them"]
    assert make_sections(DataConfig(str(tmp_path), batch_size=1), ["open it"]) == ([], [])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UnknownConfig(per_epoch=5), "per_epoch=5 and 0 sources"),
        (lambda: UnknownConfig(["s"]), "per_epoch=0 and 1 sources"),
        (lambda: UnknownConfig(["s"], -1), "per_epoch=-1 must be 0 or more"),
        (lambda: UnknownConfig(["s"], 1, hard_share=0.5), r"hard_share=0\.5 needs hard"),
        (lambda: UnknownConfig(["s"], 1, hard=["h"], hard_share=2), "within 0 and 1"),
        (lambda: UnknownConfig(hard=["h"]), "hard needs sources"),
        (lambda: UnknownConfig(["s"], 1, (0.5, 0.2)), "low <= high"),
        (lambda: UnknownConfig(["s"], 1, (0.0, 0.2)), r"within 0\.05 and 600 seconds"),
        (lambda: SilenceConfig(["s"]), "per_epoch=0 uses no sources"),
        (lambda: SilenceConfig(per_epoch=1, digital_share=-0.1), "within 0 and 1"),
        (lambda: SilenceConfig(per_epoch=1, gain_db=(0.0, -3.0)), "low <= high"),
    ],
)
def test_bad_settings(make: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()  # type: ignore[operator]
