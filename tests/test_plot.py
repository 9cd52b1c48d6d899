"""Pictures of features."""

from __future__ import annotations

import io

import pytest
import torch
from matplotlib.image import imread

from seqlab.detection import counted_curve
from seqlab.errors import SeqlabError
from seqlab.frontend.mel import mel_matrix
from seqlab.plot import features_png, plot_detection, plot_features, plot_filterbank


def test_png_has_a_pixel_a_value_with_low_bins_at_the_bottom() -> None:
    features = torch.zeros(7, 3)
    features[:, 0] = 1.0
    picture = imread(io.BytesIO(features_png(features)))
    assert picture.shape[:2] == (3, 7)
    assert picture[2, 0, :3].sum() > picture[0, 0, :3].sum()


def test_png_of_a_long_recording_is_thinned() -> None:
    picture = imread(io.BytesIO(features_png(torch.rand(5000, 4), max_frames=1000)))
    assert picture.shape[1] == 1000


def test_values_that_are_not_finite_are_drawn_as_the_floor() -> None:
    features = torch.tensor([[1.0, float("nan")], [float("-inf"), 2.0]])
    assert features_png(features).startswith(b"\x89PNG")


def test_figure_has_seconds_and_bins() -> None:
    figure = plot_features(torch.rand(100, 40), frame_s=0.01, title="$ [x] _ \\")
    axes = figure.axes[0]
    assert axes.get_xlim() == (0.0, 1.0)
    assert axes.get_ylim() == (-0.5, 39.5)
    figure.savefig(io.BytesIO(), format="png")


def test_figure_has_hertz_and_a_colour_scale_where_given() -> None:
    figure = plot_features(torch.rand(9, 5), 0.01, "", "Hz", highest=8000.0, limits=(-1.0, 2.0))
    axes = figure.axes[0]
    assert axes.get_ylim() == (-1000.0, 9000.0)
    assert axes.get_ylabel() == "Hz"
    assert axes.images[0].get_clim() == (-1.0, 2.0)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (2, 3, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SeqlabError, match="make no picture"):
        plot_features(torch.zeros(shape), 0.01)


def test_filterbank_has_a_line_a_band_where_the_band_is() -> None:
    weights = mel_matrix(16000, 512, 10)
    axes = plot_filterbank(weights, 16000, "ten bands").axes[0]
    assert axes.get_xlim() == (0.0, 8000.0)
    assert len(axes.lines) == 10
    for line, column in zip(axes.lines, weights.T, strict=True):
        assert line.get_xdata()[line.get_ydata().argmax()] == int(column.argmax()) * 16000 / 512
    weights[:, 3] = 0
    assert len(plot_filterbank(weights, 16000).axes[0].lines) == 9  # an empty band has no line


@pytest.mark.parametrize("shape", [(257,), (257, 0), (1, 5)])
def test_other_filterbanks_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SeqlabError, match="no filter bank"):
        plot_filterbank(torch.zeros(shape), 16000)


def test_detection_curves_are_drawn_down_to_what_the_negatives_tell() -> None:
    curves = {
        "go": counted_curve([0.9, 0.4], [0.2, 0.5, 0.8], [7, 1, 0], 2.0),
        "$stop_": counted_curve([0.9], [0.2], [3], 2.0),
    }
    figure = plot_detection(curves, {"go": 0.8}, "$ [x] _ \\")
    axes = figure.axes[0]
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert labels[:2] == ["none", "0.5"]  # one in two hours
    point = next(line for line in axes.lines if line.get_marker() == "o")
    assert point.get_xdata()[0] == 0.25 and point.get_ydata()[0] == 0.0  # none; half are missed
    figure.savefig(io.BytesIO(), format="png")
    with pytest.raises(SeqlabError, match="no detection curves"):
        plot_detection({})
