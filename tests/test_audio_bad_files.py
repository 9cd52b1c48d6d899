"""Audio files that cannot be used: each error names the file, the rule and the remedy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.audio import load_audio
from seqlab.errors import AudioError
from tests.sounds import FORMATS, NAMES, RATE, melody, noise


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("audio")
    paths = {}
    for name, (suffix, kind, encoding) in zip(NAMES, FORMATS, strict=True):
        paths[name] = folder / f"{name}.{suffix}"
        soundfile.write(paths[name], melody(3.0), RATE, encoding, format=kind)
    return paths


class TestBadFiles:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("share", [0.3, 0.9])
    def test_truncated(
        self, files: dict[str, Path], name: str, share: float, tmp_path: Path
    ) -> None:
        content = files[name].read_bytes()
        path = tmp_path / files[name].name
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(AudioError, match=r"truncated|damaged"):
            load_audio(path)

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_a_prefix_loads_whole_or_not_at_all(
        self, files: dict[str, Path], data: st.DataObject
    ) -> None:
        source = files[data.draw(st.sampled_from([n for n in NAMES if "MP3" not in n]))]
        content = source.read_bytes()
        path = source.with_name("prefix" + source.suffix)
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        try:
            waveform, _ = load_audio(path)
        except AudioError:
            return
        assert len(waveform) == len(load_audio(source)[0])

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=200), st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b".snd"]))
    def test_any_bytes(
        self, tmp_path_factory: pytest.TempPathFactory, content: bytes, magic: bytes
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "any.bin"
        path.write_bytes(magic + content)
        with pytest.raises(AudioError):
            load_audio(path)

    def test_missing_empty_directory_text(self, tmp_path: Path) -> None:
        (tmp_path / "empty.wav").touch()
        (tmp_path / "text.wav").write_text("hello " * 100)
        (tmp_path / "raw.raw").write_bytes(bytes(3200))
        for name, message in [
            ("none.wav", "no such file"),
            ("empty.wav", "0 bytes"),
            ("text.wav", "not audio"),
            ("raw.raw", "not audio"),
            ("", "directory"),
            ("a\0b.wav", "cannot be read"),
            ("x" * 300, "cannot be read"),
        ]:
            with pytest.raises(AudioError, match=message) as caught:
                load_audio(tmp_path / name)
            assert "\n" not in str(caught.value)

    def test_no_samples(self, tmp_path: Path) -> None:
        for suffix in ("wav", "flac", "aiff"):
            soundfile.write(tmp_path / f"zero.{suffix}", np.zeros(0, np.float32), RATE)
            with pytest.raises(AudioError, match=r"0 samples|0 bytes|not audio"):
                load_audio(tmp_path / f"zero.{suffix}")

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite(self, tmp_path: Path, value: float) -> None:
        samples = noise(1.0)
        samples[9000] = value
        soundfile.write(tmp_path / "bad.wav", samples, RATE, "FLOAT")
        with pytest.raises(AudioError, match="sample 9000"):
            load_audio(tmp_path / "bad.wav")
        waveform, _ = load_audio(tmp_path / "bad.wav", duration_s=0.5)
        assert len(waveform) == 8000

    def test_header_that_promises_terabytes(self, files: dict[str, Path], tmp_path: Path) -> None:
        content = bytearray(files["FLAC-PCM_16"].read_bytes())
        content[21] |= 0x0F  # the 36 bits of STREAMINFO that count the samples
        content[22:26] = b"\xff\xff\xff\xff"
        (tmp_path / "huge.flac").write_bytes(content)
        with pytest.raises(AudioError, match=r"truncated|damaged"):
            load_audio(tmp_path / "huge.flac")

    @pytest.mark.parametrize(
        ("start_s", "duration_s", "message"),
        [
            (-0.1, None, "0 or more"),
            (math.nan, None, "0 or more"),
            (math.inf, None, "0 or more"),
            (3.0, None, "before its end"),
            (99.0, 1.0, "before its end"),
            (0.0, 0.0, "above 0"),
            (0.0, -1.0, "above 0"),
            (0.0, math.nan, "above 0"),
            (0.0, 3.1, "end within it"),
            (2.5, 0.6, "end within it"),
        ],
    )
    def test_bad_slices(
        self,
        files: dict[str, Path],
        start_s: float,
        duration_s: float | None,
        message: str,
    ) -> None:
        with pytest.raises(AudioError, match=message):
            load_audio(files["WAV-PCM_16"], start_s=start_s, duration_s=duration_s)

    @pytest.mark.parametrize("rate", [0, -1, 16000.0, True, 10**9, "16000"])
    def test_bad_rates(self, files: dict[str, Path], rate: int) -> None:
        with pytest.raises(AudioError, match="sample_rate="):
            load_audio(files["WAV-PCM_16"], sample_rate=rate)
