"""The networks of ``tests.benchmarks.kws`` written plainly, for their times on the same machine.

What their papers draw, in ``torch.nn`` alone (those that see an image are ``tests.reference``'s):
features in, logits out, one length, no masks, no states and no front end; exported by torch's own
exporter.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn
from torchaudio.compliance import kaldi

from tests.reference import keyword_networks

Maker = Callable[[int], nn.Module]
Runner = Callable[[], Any]


def unit(conv: nn.Module, width: int, act: bool = True) -> nn.Sequential:
    """A convolution, its batch norm and a rectifier."""
    norm = nn.BatchNorm2d if isinstance(conv, nn.Conv2d) else nn.BatchNorm1d
    return nn.Sequential(conv, norm(width), *([nn.ReLU()] if act else []))


class Residual(nn.Module):
    """ReLU(body(x) + side(x))."""

    def __init__(self, body: nn.Module, side: nn.Module) -> None:
        super().__init__()
        self.body, self.side = body, side

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.side(x))


class MeanLinear(nn.Module):
    """Mean over all places, then a linear layer."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(2).mean(-1))


def tc_resnet8(classes: int) -> nn.Module:
    """Choi et al. 2019, figure 1; input (B, 40, T)."""
    layers: list[nn.Module] = [unit(nn.Conv1d(40, 16, 3, padding=1, bias=False), 16)]
    dim = 16
    for width in (24, 32, 48):
        body = nn.Sequential(
            unit(nn.Conv1d(dim, width, 9, 2, 4, bias=False), width),
            unit(nn.Conv1d(width, width, 9, 1, 4, bias=False), width, act=False),
        )
        layers.append(Residual(body, unit(nn.Conv1d(dim, width, 1, 2, bias=False), width)))
        dim = width
    return nn.Sequential(*layers, MeanLinear(dim, classes))


def separable(dim: int, width: int, kernel: int, dilation: int = 1, act: bool = True) -> nn.Module:
    """Depthwise in time, then pointwise."""
    side = (kernel - 1) * dilation // 2
    return nn.Sequential(
        nn.Conv1d(dim, dim, kernel, 1, side, dilation, groups=dim, bias=False),
        unit(nn.Conv1d(dim, width, 1, bias=False), width, act),
    )


def matchboxnet(classes: int) -> nn.Module:
    """Majumdar and Ginsburg 2020, 3x2x64; input (B, 64, T)."""
    layers: list[nn.Module] = [
        nn.Conv1d(64, 64, 11, 2, 5, groups=64, bias=False),
        unit(nn.Conv1d(64, 128, 1, bias=False), 128),
    ]
    dim = 128
    for kernel in (13, 15, 17):
        body = nn.Sequential(separable(dim, 64, kernel), separable(64, 64, kernel, act=False))
        layers.append(Residual(body, unit(nn.Conv1d(dim, 64, 1, bias=False), 64, act=False)))
        dim = 64
    layers += [separable(64, 128, 29, 2), unit(nn.Conv1d(128, 128, 1, bias=False), 128)]
    return nn.Sequential(*layers, MeanLinear(128, classes))


def bc_resnet(tau: int) -> Maker:
    """Kim et al. 2021; input (B, 1, 40, T)."""
    return lambda classes: nn.Sequential(
        keyword_networks.bc_resnet(tau), MeanLinear(32 * tau, classes)
    )


def ds_cnn(classes: int) -> nn.Module:
    """Zhang et al. 2017, DS-CNN-S; input (B, 1, 10, 49)."""
    return nn.Sequential(keyword_networks.ds_cnn(64, 4, (2, 2), 1), MeanLinear(64, classes))


PLAIN: dict[str, tuple[Maker, bool]] = {  # and whether it takes an image (B, 1, ...)
    "TC-ResNet8": (tc_resnet8, False),
    "DS-CNN": (ds_cnn, True),
    "MatchboxNet": (matchboxnet, False),
    "BC-ResNet-1": (bc_resnet(1), True),
    "BC-ResNet-8": (bc_resnet(8), True),
}


def features(name: str, waveform: Tensor) -> Tensor:
    """What the network hears, by torchaudio: (1, F, T), or as an image (1, 1, F, T)."""
    bands = 64 if name == "MatchboxNet" else 40
    kept: dict[str, Any] = {"sample_frequency": 16000.0, "num_mel_bins": bands}
    if name == "DS-CNN":
        found = kaldi.mfcc(waveform, frame_length=40, frame_shift=20, num_ceps=10, **kept)
    else:
        found = kaldi.fbank(waveform, **kept)
    return found.T[None, None] if PLAIN[name][1] else found.T[None]


def plain_runners(name: str, classes: int, clip: Tensor, folder: Path) -> dict[str, Runner]:
    """The plain network in onnxruntime on one thread: alone, and after torchaudio's features.

    Args:
        name: Of ``PLAIN``.
        classes: Outputs.
        clip: (N,), one second at 16 kHz.
        folder: Takes the exported graph.
    """
    torch.manual_seed(0)
    network, path = PLAIN[name][0](classes).eval(), folder / "plain.onnx"
    waveform = clip[None] * 32768
    heard = features(name, waveform)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, which is the older of torch's two
        torch.onnx.export(network, (heard,), str(path), dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    (given,) = (found.name for found in session.get_inputs())
    array = heard.numpy()
    return {
        "plain": lambda: session.run(None, {given: array}),
        "torchaudio": lambda: session.run(None, {given: features(name, waveform).numpy()}),
    }
