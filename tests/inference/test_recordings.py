"""Recordings of any length become text with times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from seqlab.audio import save_audio
from seqlab.decoding.prefix_beam import PrefixBeamDecoder
from seqlab.errors import AudioError, ModelError, SeqlabError
from seqlab.inference.cutting import Cutting
from seqlab.inference.recordings import hear_recording, hear_whole, transcribe_recording
from seqlab.inference.stitching import stitched
from seqlab.text.timed import to_srt
from tests.inference.tones import LETTER_S, RATE, quiet, said, talk, tone_model
from tests.test_model import classifier

TEXTS = ["ab ba c", "cab", "a b c a b c", "bb", "abc cba"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sound, _ = talk(TEXTS * 4, [1.2, 0.7, 2.0, 0.9, 1.0] * 4)
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    save_audio(path, sound, RATE)
    return path


def test_segments_have_text_words_and_times(path: Path) -> None:
    _, times = talk(TEXTS * 4, [1.2, 0.7, 2.0, 0.9, 1.0] * 4)
    found = list(transcribe_recording(tone_model(), path))
    assert [segment.text for segment in found] == TEXTS * 4
    for segment, (start_s, end_s) in zip(found, times, strict=True):
        assert segment.start_s == pytest.approx(start_s, abs=0.1)
        assert segment.end_s == pytest.approx(end_s, abs=0.1)
        assert [word.text for word in segment.words] == segment.text.split()
        assert 0.5 < segment.confidence <= 1
        letters = 0
        for word in segment.words:
            at = start_s + letters * LETTER_S
            assert word.start_s == pytest.approx(at, abs=0.06)
            letters += len(word.text) + 1
    assert "00:00:01,1" in to_srt(found) or "00:00:01,2" in to_srt(found)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_do_not_matter(path: Path, batch_size: int) -> None:
    model = tone_model()
    expected = list(hear_recording(model, path))
    found = list(hear_recording(model, path, batch_size=batch_size))
    assert [heard.segment.text for heard in found] == [heard.segment.text for heard in expected]
    assert list(hear_recording(model, path, skip=7)) == expected[7:]


def test_beam_search(path: Path) -> None:
    model = tone_model()
    decoder = PrefixBeamDecoder.for_tokenizer(model.tokenizer, model.frame_s, beam=8)
    found = list(transcribe_recording(model, path, decoder=decoder))
    assert [segment.text for segment in found] == TEXTS * 4
    assert all(segment.words for segment in found)


def test_speech_without_pauses(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    words = ["".join(rng.choice(list("abc"), rng.integers(1, 5))) for _ in range(120)]
    save_audio(tmp_path / "a.flac", torch.cat([quiet(1), said(" ".join(words)), quiet(1)]), RATE)
    model = tone_model()
    cutting = Cutting(max_s=6.0, overlap_s=2.0)
    heard = list(hear_recording(model, tmp_path / "a.flac", cutting=cutting))
    assert sum(each.continued for each in heard) >= 10
    found = list(stitched(heard))
    assert " ".join(segment.text for segment in found).split() == words
    starts = [word.start_s for segment in found for word in segment.words]
    assert starts == sorted(starts)


def test_whole(path: Path) -> None:
    model = tone_model()
    segment = hear_whole(model, path).segment
    assert segment.text == model.transcribe([path])[0].text
    assert (segment.start_s, segment.end_s) == (0.0, pytest.approx(soundfile.info(path).duration))


def test_silence_clipping_and_other_rates(tmp_path: Path) -> None:
    model = tone_model()
    save_audio(tmp_path / "silence.wav", torch.zeros(3 * RATE), RATE)
    assert list(transcribe_recording(model, tmp_path / "silence.wav")) == []
    sound, _ = talk(["abc", "cab"], [1.0, 1.0])
    soundfile.write(tmp_path / "clipped.wav", (20 * sound).clip(-1, 1).numpy(), RATE)
    assert len(list(transcribe_recording(model, tmp_path / "clipped.wav"))) >= 1
    wide = torch.nn.functional.interpolate(sound[None, None], scale_factor=2, mode="linear")[0, 0]
    save_audio(tmp_path / "wide.wav", wide, 2 * RATE)
    assert [s.text for s in transcribe_recording(model, tmp_path / "wide.wav")] == ["abc", "cab"]


def test_bad_input(tmp_path: Path, path: Path) -> None:
    model = tone_model()
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match=r"empty\.wav: is empty"):
        list(transcribe_recording(model, tmp_path / "empty.wav"))
    (tmp_path / "cut.wav").write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(AudioError, match="truncated"):
        list(transcribe_recording(model, tmp_path / "cut.wav"))
    with pytest.raises(SeqlabError, match="batch_size=0"):
        transcribe_recording(model, path, batch_size=0)
    with pytest.raises(ModelError, match="call classify"):
        transcribe_recording(classifier(), path)


@pytest.mark.slow
def test_two_hours_need_little_memory(tmp_path: Path) -> None:
    """Less than 200 MB beyond what half a minute needs; a float32 waveform alone has 230 MB."""
    import resource

    sound, _ = talk(TEXTS * 2, [1.2, 0.7, 2.0, 0.9, 1.0] * 2)
    model = tone_model()
    save_audio(tmp_path / "short.wav", sound, RATE)
    assert len(list(transcribe_recording(model, tmp_path / "short.wav"))) == 10
    with soundfile.SoundFile(tmp_path / "long.wav", "w", RATE, 1) as file:
        times = 7200 * RATE // len(sound) + 1
        for _ in range(times):
            file.write(sound.numpy())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = sum(1 for _ in transcribe_recording(model, tmp_path / "long.wav"))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert count == 10 * times
    assert (after - before) / 1024 < 200
