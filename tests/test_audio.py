"""Loading, slicing, resampling and saving, against soundfile, torchaudio and closed forms."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from seqlab.audio import audio_info, load_audio, read_blocks, resample, save_audio
from seqlab.errors import AudioError
from tests.sounds import FORMATS, NAMES, RATE, assert_same, melody, noise


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("audio")
    paths = {}
    for name, (suffix, kind, encoding) in zip(NAMES, FORMATS, strict=True):
        paths[name] = folder / f"{name}.{suffix}"
        soundfile.write(paths[name], melody(3.0), RATE, encoding, format=kind)
    return paths


class TestLoad:
    @pytest.mark.parametrize("name", NAMES)
    def test_equals_soundfile(self, files: dict[str, Path], name: str) -> None:
        expected, _ = soundfile.read(files[name], dtype="float32")
        waveform, rate = load_audio(files[name])
        assert (rate, waveform.dtype, waveform.dim()) == (RATE, torch.float32, 1)
        assert_same(name, waveform, expected)

    @pytest.mark.parametrize("name", NAMES)
    def test_slice_equals_the_same_samples_of_the_whole(
        self, files: dict[str, Path], name: str
    ) -> None:
        whole, _ = load_audio(files[name])
        for start in (0, 1, 777, 20000, 40001, len(whole) - 1):
            part, _ = (
                load_audio(files[name], start_s=start / RATE, duration_s=0.1)
                if start + 1600 <= len(whole)
                else load_audio(files[name], start_s=start / RATE)
            )
            assert_same(name, part, whole[start : start + 1600])

    def test_channels_are_averaged(self, tmp_path: Path) -> None:
        stereo = noise(0.1, channels=2)
        soundfile.write(tmp_path / "a.wav", stereo, RATE, "FLOAT")
        waveform, _ = load_audio(tmp_path / "a.wav")
        np.testing.assert_allclose(waveform, stereo.mean(axis=1), atol=1e-7)

    def test_info(self, files: dict[str, Path]) -> None:
        info = audio_info(files["FLAC-PCM_16"])
        assert (info.sample_rate, info.num_samples, info.num_channels) == (RATE, 48000, 1)
        assert (info.duration_s, info.format, info.encoding) == (3.0, "FLAC", "PCM_16")

    def test_resamples_to_the_rate_wanted(self, files: dict[str, Path]) -> None:
        waveform, rate = load_audio(files["WAV-PCM_16"], sample_rate=8000)
        whole, _ = load_audio(files["WAV-PCM_16"])
        assert rate == 8000
        assert torch.equal(waveform, resample(whole, RATE, 8000))

    def test_a_millisecond_past_the_end_is_rounding(self, files: dict[str, Path]) -> None:
        waveform, _ = load_audio(files["WAV-PCM_16"], start_s=2.0, duration_s=1.001)
        assert len(waveform) == RATE

    def test_sizes_of_a_stream_that_was_never_finished_are_no_promise(
        self, files: dict[str, Path], tmp_path: Path
    ) -> None:
        content = bytearray(files["WAV-PCM_16"].read_bytes())
        content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
        (tmp_path / "pipe.wav").write_bytes(content)
        assert len(load_audio(tmp_path / "pipe.wav")[0]) == 48000

    @pytest.mark.data
    def test_slices_of_real_ogg_files(self) -> None:
        root = os.environ.get("SEQLAB_DATA")
        if not root:
            pytest.skip("SEQLAB_DATA is not set: needs arabic_speech_commands")
        folder = Path(root) / "arabic_speech_commands" / "audio"
        for path in sorted(folder.rglob("*.ogg"))[:40]:
            whole, rate = load_audio(path)
            last, _ = load_audio(path, start_s=9.0, duration_s=1.0)
            assert torch.equal(last, whole[9 * rate : 10 * rate])


class TestBlocks:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("block_s", [0.01, 0.7, 5.0])
    def test_put_together_equal_the_whole(
        self, files: dict[str, Path], name: str, block_s: float
    ) -> None:
        whole, _ = load_audio(files[name])
        blocks = [block for block, rate in read_blocks(files[name], block_s) if rate == RATE]
        assert_same(name, torch.cat(blocks), whole)
        assert {len(block) for block in blocks[:-1]} <= {round(block_s * RATE)}

    @pytest.mark.parametrize("block_s", [0.013, 0.5, 10.0])
    @pytest.mark.parametrize("rate", [8000, 22050, 48000])
    def test_resampled(self, files: dict[str, Path], block_s: float, rate: int) -> None:
        whole, _ = load_audio(files["WAV-PCM_16"], sample_rate=rate)
        got = torch.cat([b for b, _ in read_blocks(files["WAV-PCM_16"], block_s, sample_rate=rate)])
        assert len(got) == len(whole)
        torch.testing.assert_close(got, whole, atol=1e-6, rtol=0)

    def test_open_file_and_stream_without_descriptor(self, files: dict[str, Path]) -> None:
        class Stream(io.BytesIO):
            def seekable(self) -> bool:
                return False

        content = files["FLAC-PCM_16"].read_bytes()
        whole, _ = load_audio(files["FLAC-PCM_16"])
        for source in (io.BytesIO(content), Stream(content)):
            assert torch.equal(torch.cat([b for b, _ in read_blocks(source)]), whole)

    @pytest.mark.parametrize("name", ["WAV-PCM_16", "AU-PCM_16"])
    def test_live_pipe(self, files: dict[str, Path], name: str) -> None:
        program = (
            "from seqlab.audio import read_blocks\n"
            "print(*(f'{len(b)}/{r}' for b, r in read_blocks('-', 2.0)))"
        )
        with files[name].open("rb") as stream:
            cat = subprocess.Popen(["cat"], stdin=stream, stdout=subprocess.PIPE)
        done = subprocess.run(
            [sys.executable, "-c", program], stdin=cat.stdout, capture_output=True, text=True
        )
        assert cat.stdout is not None
        cat.stdout.close()
        assert cat.wait() == 0
        assert done.stdout.split() == ["32000/16000", "16000/16000"], done.stderr

    def test_pipe_that_is_not_audio(self) -> None:
        reading, writing = os.pipe()
        os.write(writing, b"no audio" * 100)
        os.close(writing)
        with open(reading, "rb") as stream, pytest.raises(AudioError, match="not audio"):
            list(read_blocks(stream))

    def test_truncated_and_bad_arguments(self, files: dict[str, Path], tmp_path: Path) -> None:
        content = files["FLAC-PCM_16"].read_bytes()
        (tmp_path / "a.flac").write_bytes(content[: len(content) // 2])
        with pytest.raises(AudioError, match="truncated"):
            list(read_blocks(tmp_path / "a.flac"))
        for block_s in (0.0, -1.0, math.nan):
            with pytest.raises(AudioError, match="block_s"):
                list(read_blocks(files["FLAC-PCM_16"], block_s))


class TestSave:
    @pytest.mark.parametrize("suffix", ["wav", "flac", "WAV"])
    def test_sixteen_bits_come_back_as_they_were(self, tmp_path: Path, suffix: str) -> None:
        waveform = torch.arange(-32768, 32768, dtype=torch.float32) / 32768
        save_audio(tmp_path / f"a.{suffix}", waveform, 22050)
        back, rate = load_audio(tmp_path / f"a.{suffix}")
        assert rate == 22050
        assert torch.equal(back, waveform)
        assert [path.name for path in tmp_path.iterdir()] == [f"a.{suffix}"]

    def test_other_encodings(self, tmp_path: Path) -> None:
        waveform = torch.from_numpy(noise(0.1)[:, 0])
        save_audio(tmp_path / "a.wav", 3 * waveform, RATE, encoding="float32")
        assert torch.equal(load_audio(tmp_path / "a.wav")[0], 3 * waveform)
        save_audio(tmp_path / "a.flac", waveform, RATE, encoding="pcm24")
        assert (load_audio(tmp_path / "a.flac")[0] - waveform).abs().max() <= 2**-24

    def test_clipping_is_an_error_or_asked_for(self, tmp_path: Path) -> None:
        waveform = torch.tensor([0.0, 1.5, -2.0, 1.0])
        with pytest.raises(AudioError, match=r"2 of 4 samples .*peak 2"):
            save_audio(tmp_path / "a.wav", waveform, RATE)
        save_audio(tmp_path / "a.wav", waveform, RATE, clip=True)
        top = 32767 / 32768
        assert load_audio(tmp_path / "a.wav")[0].tolist() == [0.0, top, -1.0, top]

    def test_a_failed_write_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.flac"
        save_audio(path, torch.zeros(10), RATE)
        before = path.read_bytes()
        with pytest.raises(AudioError, match="cannot be written"):
            save_audio(path, torch.zeros(10), 1_000_000)  # above FLAC's highest rate
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize(
        ("name", "waveform", "message"),
        [
            ("a.mp3", torch.zeros(10), "suffix"),
            ("a", torch.zeros(10), "suffix"),
            ("a.wav", torch.zeros(2, 10), "shape"),
            ("a.wav", torch.zeros(10, dtype=torch.int16), "int16"),
            ("a.wav", torch.tensor([math.nan]), "NaN"),
            ("none/a.wav", torch.zeros(10), "cannot be written"),
        ],
    )
    def test_bad_input(
        self, tmp_path: Path, name: str, waveform: torch.Tensor, message: str
    ) -> None:
        with pytest.raises(AudioError, match=message):
            save_audio(tmp_path / name, waveform, RATE)
        assert list(tmp_path.iterdir()) == []

    def test_float32_flac_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(AudioError, match="FLAC holds no float32"):
            save_audio(tmp_path / "a.flac", torch.zeros(10), RATE, encoding="float32")


def test_importing_audio_stays_cheap() -> None:
    program = (
        "import sys, seqlab.audio; "
        "print([m for m in ('torchaudio', 'librosa', 'soundfile', 'soxr') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
