"""Columns of pictures; the contract of all front ends is tested in tests/contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seqlab.audio import load_audio
from seqlab.errors import SeqlabError
from seqlab.frontend.columns import Columns
from seqlab.image_lines import save_pixels


def test_a_picture_comes_back_column_by_column(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 17)).astype(np.uint8)
    save_pixels(tmp_path / "line.png", pixels)
    columns = Columns().extract(*load_audio(tmp_path / "line.png"))
    assert np.array_equal(columns.numpy(), (255 - pixels.T.astype(np.float32)) / 256)


def test_by_hand() -> None:
    frontend = Columns(sample_rate=20, height=2)
    features, lengths = frontend(torch.arange(14.0).view(2, 7), torch.tensor([7, 2]))
    assert features.tolist() == [[[0, 1], [2, 3], [4, 5]], [[7, 8], [0, 0], [0, 0]]]
    assert lengths.tolist() == [3, 1]


def test_streams_that_do_not_run_abreast() -> None:
    frontend = Columns(sample_rate=20, height=2)
    states = [frontend.initial_state(), frontend.initial_state()]
    waveform = torch.arange(10.0).view(2, 5)
    features, counts, states = frontend.step_ragged(waveform, torch.tensor([5, 1]), states)
    assert counts.tolist() == [2, 0]
    assert features[0].tolist() == [[0, 1], [2, 3]]
    features, counts, _ = frontend.step_ragged(waveform, torch.tensor([1, 2]), states)
    assert features[:, 0].tolist() == [[4, 0], [5, 5]]
    assert counts.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"height": 0}, "height=0 must be a whole number of at least 1"),
        ({"sample_rate": 0}, "sample_rate=0"),
        ({"sample_rate": 16000, "height": 48}, "must be a multiple of height=48"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, int], says: str) -> None:
    with pytest.raises(SeqlabError, match=says):
        Columns(**settings)
