"""Pictures of lines of text as signals: exact samples, other kinds of PNG, and hostile files."""

from __future__ import annotations

import base64
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from seqlab.audio import audio_info, load_audio, read_blocks
from seqlab.data.manifest import from_file, read_manifest, write_manifest
from seqlab.errors import AudioError
from seqlab.image_lines import (
    MAX_COLUMNS,
    MAX_PIXELS,
    as_samples,
    load_pixels,
    save_pixels,
    scaled_width,
)
from seqlab.training.findings import recording_uris

END = b"\0\0\0\0IEND\xaeB\x60\x82"


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(width: int, height: int, rows: bytes, bits: int = 8, colour: int = 0) -> bytes:
    """A PNG file by hand, from the specification: rows each begin with their filter type."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + END


def noise(width: int, height: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "line.png"


class TestSamples:
    def test_a_file_written_by_hand(self, path: Path) -> None:
        rows = b"".join(b"\0" + bytes([255, 0, row]) for row in range(32))
        path.write_bytes(png(3, 32, rows))
        waveform, rate = load_audio(path)
        assert rate == 3200 and waveform.dtype == torch.float32
        white, black, ramp = waveform.reshape(3, 32)
        assert white.tolist() == [0.0] * 32
        assert black.tolist() == [255 / 256] * 32
        assert ramp.tolist() == [(255 - row) / 256 for row in range(32)]
        assert torch.equal((waveform * 32768).round() / 32768, waveform)  # 16 bits hold it

    def test_the_header_tells_as_much(self, path: Path) -> None:
        save_pixels(path, noise(50))
        info = audio_info(path)
        assert (info.sample_rate, info.num_samples, info.num_channels) == (3200, 1600, 1)
        assert (info.duration_s, info.format) == (0.5, "PNG")

    def test_what_is_saved_is_loaded(self, path: Path) -> None:
        pixels = noise(7)
        save_pixels(path, pixels)
        assert np.array_equal(load_pixels(path), pixels)
        assert [p.name for p in path.parent.iterdir()] == ["line.png"]
        for bad in (pixels.astype(np.float32), pixels[0], pixels[:, :0]):
            with pytest.raises(AudioError, match=r"must be uint8 \(H, W\)"):
                save_pixels(path, bad)
        with pytest.raises(AudioError, match="cannot be written"):
            save_pixels(path.parent / "nowhere" / "x.png", pixels)

    def test_slices_begin_at_a_column(self, path: Path) -> None:
        save_pixels(path, noise(20))
        whole = load_audio(path)[0]
        part = load_audio(path, start_s=0.05, duration_s=0.1)[0]
        assert torch.equal(part, whole[160:480])
        with pytest.raises(AudioError, match=r"cuts a column in two, must start at a multiple of"):
            load_audio(path, start_s=0.055)
        with pytest.raises(AudioError, match=r"is 0\.2 s long"):
            load_audio(path, start_s=0.3)

    def test_blocks_are_the_whole(self, path: Path) -> None:
        save_pixels(path, noise(33))
        blocks = [block for block, _ in read_blocks(path, block_s=0.07)]
        assert torch.equal(torch.cat(blocks), load_audio(path)[0])

    def test_speech_models_are_refused(self, path: Path) -> None:
        save_pixels(path, noise(20))
        assert load_audio(path, sample_rate=3200)[1] == 3200
        for call in (load_audio, lambda *a, **k: next(read_blocks(*a, **k))):
            with pytest.raises(AudioError, match=r"picture of a line.* sample_rate=16000"):
                call(path, sample_rate=16000)

    def test_a_manifest_holds_pictures(self, path: Path, tmp_path: Path) -> None:
        save_pixels(path, noise(20))
        made = from_file(path, "a", transcript="x y")
        write_manifest([made], tmp_path / "m.jsonl")
        assert read_manifest(tmp_path / "m.jsonl") == [made] and made.duration_s == 0.2

    def test_a_report_shows_the_picture_itself(self, path: Path) -> None:
        save_pixels(path, noise(20))
        record = {"path": str(path), "start_s": 0.0, "duration_s": 0.2}
        picture, sound = recording_uris(record)
        assert sound is None and picture is not None
        assert base64.b64decode(picture.partition(",")[2]) == path.read_bytes()
        assert recording_uris(record | {"path": str(path.with_name("gone.png"))}) == (None, None)

    @given(st.integers(1, 40), st.integers(1, 40))
    def test_samples_run_down_the_columns(self, width: int, height: int) -> None:
        pixels = noise(width, height)
        samples = as_samples(pixels)
        assert np.array_equal(samples.reshape(width, height).T * 256, 255.0 - pixels)


class TestKinds:
    """Grey levels by the rules of the PNG specification (third edition) and ITU-R BT.601."""

    def both(self, path: Path, image: Image.Image, expected: int) -> None:
        image.save(path)
        assert set(load_pixels(path).ravel().tolist()) == {expected}

    def test_colours(self, path: Path) -> None:
        luma = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
        self.both(path, Image.new("RGB", (9, 32), (200, 100, 50)), luma)
        self.both(path, Image.new("RGBA", (9, 32), (200, 100, 50, 255)), luma)
        self.both(path, Image.new("RGB", (9, 32), (200, 100, 50)).quantize(4), luma)

    def test_transparency_shows_white_paper(self, path: Path) -> None:
        self.both(path, Image.new("RGBA", (9, 32), (0, 0, 0, 0)), 255)
        self.both(path, Image.new("LA", (9, 32), (0, 0)), 255)
        self.both(path, Image.new("RGBA", (9, 32), (0, 0, 0, 51)), 204)  # a fifth of black
        Image.new("P", (9, 32), 0).save(path, transparency=0)
        assert load_pixels(path).min() == 255

    def test_one_bit(self, path: Path) -> None:
        self.both(path, Image.new("1", (9, 32), 1), 255)
        self.both(path, Image.new("1", (9, 32), 0), 0)

    @pytest.mark.parametrize(("level", "expected"), [(0, 0), (257 * 77, 77), (65535, 255)])
    def test_sixteen_bits(self, path: Path, level: int, expected: int) -> None:
        row = b"\0" + struct.pack(">H", level) * 9
        path.write_bytes(png(9, 32, row * 32, bits=16))
        assert set(load_pixels(path).ravel().tolist()) == {expected}

    def test_sixteen_bits_of_colour(self, path: Path) -> None:
        row = b"\0" + struct.pack(">HHH", 257 * 9, 257 * 9, 257 * 9) * 9
        path.write_bytes(png(9, 32, row * 32, bits=16, colour=2))
        assert set(load_pixels(path).ravel().tolist()) == {9}

    @pytest.mark.parametrize(
        ("width", "height", "columns"), [(100, 64, 50), (100, 16, 200), (1, 1024, 1), (33, 48, 22)]
    )
    def test_other_heights_are_scaled(
        self, path: Path, width: int, height: int, columns: int
    ) -> None:
        save_pixels(path, np.full((height, width), 100, np.uint8))
        assert load_pixels(path).shape == (32, columns)
        assert set(load_pixels(path).ravel().tolist()) == {100}
        assert audio_info(path).num_samples == len(load_audio(path)[0]) == 32 * columns
        assert scaled_width(width, height) == columns

    def test_a_line_scaled_by_whole_factors_keeps_its_strokes(self, path: Path) -> None:
        pixels = np.kron(np.where(noise(9, 8) > 127, 255, 0), np.ones((4, 4))).astype(np.uint8)
        save_pixels(path, np.kron(pixels, np.ones((2, 2))).astype(np.uint8))
        assert np.array_equal(load_pixels(path) > 127, pixels > 127)


class TestHostile:
    def refused(self, path: Path, content: bytes, says: str) -> None:
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(AudioError, match=says) as error:
                load_audio(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)

    def test_decompression_bombs(self, path: Path) -> None:
        zeros = zlib.compress(bytes(2**24), 9)
        self.refused(path, png(2**18, 1024, zeros), f"must be at most {MAX_PIXELS} in all")
        self.refused(path, png(2**31 - 1, 2**31 - 1, zeros), "must be 8 to 1024 high")
        self.refused(path, png(MAX_COLUMNS + 1, 32, zeros), f"at most {MAX_COLUMNS} wide")
        self.refused(path, png(20000, 8, zeros), "cut it in parts")

    def test_more_data_than_pixels(self, path: Path) -> None:
        content = png(9, 32, (b"\0" + bytes(9)) * 32 + bytes(2**24))
        path.write_bytes(content)
        assert load_pixels(path).shape == (32, 9)

    def test_a_comment_that_fills_the_memory(self, path: Path) -> None:
        content = png(9, 32, (b"\0" + bytes(9)) * 32)
        bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**26), 9))
        self.refused(
            path, content[:33] + bomb + content[33:], "is no PNG image that can be decoded"
        )

    @pytest.mark.parametrize("height", [1, 7, 1025, 3508])
    def test_what_is_no_line(self, path: Path, height: int) -> None:
        save_pixels(path, np.zeros((height, 40), np.uint8))
        self.refused(path, path.read_bytes(), "must be 8 to 1024 high; cut a page into its lines")

    def test_sizes_of_nothing(self, path: Path) -> None:
        self.refused(path, png(0, 32, b"\0" * 32), "0 x 32 pixels, must have some")

    def test_truncated_anywhere(self, path: Path) -> None:
        save_pixels(path, noise(40))
        content = path.read_bytes()
        for length in [*range(1, 40), *range(40, len(content), 97)]:
            self.refused(path, content[:length], r"truncated|damaged|not audio")
        self.refused(path, content[:60] + END, "truncated or damaged")
        self.refused(path, content[:33] + END, "truncated or damaged")

    def test_another_kind_with_that_name(self, path: Path) -> None:
        buffer = io.BytesIO()
        Image.new("L", (40, 32)).save(buffer, "JPEG")
        self.refused(path, buffer.getvalue(), "is not audio that libsndfile reads")
        path.write_bytes(buffer.getvalue())
        with pytest.raises(AudioError, match="is not a PNG image"):
            load_pixels(path)
        with pytest.raises(AudioError, match="cannot be read"):
            load_pixels(path.with_name("none.png"))

    def test_text_and_profiles_change_nothing(self, path: Path) -> None:
        info = PngImagePlugin.PngInfo()
        info.add_text("Title", "x" * 100)
        Image.fromarray(noise(9)).save(path, pnginfo=info, icc_profile=b"nonsense")
        assert np.array_equal(load_pixels(path), noise(9))

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_damaged_bytes_give_pixels_or_an_error(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "damaged.png"
        mode = data.draw(st.sampled_from(["L", "RGBA", "P", "I;16", "LA", "1"]))
        buffer = io.BytesIO()
        Image.new(mode, (12, 32)).save(buffer, "PNG")
        content = bytearray(buffer.getvalue())
        for place in data.draw(st.lists(st.integers(8, len(content) - 13), max_size=4)):
            content[place] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        try:
            waveform, _ = load_audio(path)
        except AudioError as error:
            assert "\n" not in str(error)
        else:
            assert len(waveform) % 32 == 0 and 0 <= waveform.min() <= waveform.max() < 1
