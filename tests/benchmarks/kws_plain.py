"""The networks of ``tests.benchmarks.kws`` written plainly, for their times on the same machine.

What their papers draw, in ``torch.nn`` alone: features in, logits out, one length, no masks, no
states and no front end; exported by torch's own exporter.
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
    layers: list[nn.Module] = [nn.Conv1d(40, 16, 3, padding=1, bias=False)]
    dim = 16
    for width in (24, 32, 48):
        body = nn.Sequential(
            unit(nn.Conv1d(dim, width, 9, 2, 4, bias=False), width),
            unit(nn.Conv1d(width, width, 9, 1, 4, bias=False), width, act=False),
        )
        layers.append(Residual(body, unit(nn.Conv1d(dim, width, 1, 2, bias=False), width)))
        dim = width
    return nn.Sequential(*layers, MeanLinear(dim, classes))


def ds_cnn(classes: int) -> nn.Module:
    """Zhang et al. 2017, DS-CNN-S; input (B, 1, 49, 10)."""
    layers = [unit(nn.Conv2d(1, 64, (10, 4), 2, (5, 1)), 64)]
    for _ in range(4):
        layers += [
            unit(nn.Conv2d(64, 64, 3, padding=1, groups=64), 64),
            unit(nn.Conv2d(64, 64, 1), 64),
        ]
    return nn.Sequential(*layers, MeanLinear(64, classes))


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


class SubSpectralNorm(nn.Module):
    """Batch norm of each of five bands of frequencies."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(5 * width)

    def forward(self, x: Tensor) -> Tensor:
        batch, width, bins, frames = x.shape
        return self.norm(x.view(batch, 5 * width, bins // 5, frames)).view(x.shape)


class Broadcast(nn.Module):
    """A block of BC-ResNet: what was found in two dimensions, and over time alone."""

    def __init__(self, dim: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.same = dim == width
        first = [] if self.same else [unit(nn.Conv2d(dim, width, 1, bias=False), width)]
        self.image = nn.Sequential(
            *first,
            nn.Conv2d(width, width, (3, 1), (stride, 1), (1, 0), groups=width, bias=False),
            SubSpectralNorm(width),
        )
        self.time = nn.Sequential(
            nn.Conv2d(
                width, width, (1, 3), 1, (0, dilation), (1, dilation), groups=width, bias=False
            ),
            nn.BatchNorm2d(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        image = self.image(x)
        found = image + self.time(image.mean(2, keepdim=True))
        return torch.relu(found + x if self.same else found)


def bc_resnet(tau: int) -> Maker:
    """Kim et al. 2021, table 1; input (B, 1, 40, T)."""

    def make(classes: int) -> nn.Module:
        layers: list[nn.Module] = [unit(nn.Conv2d(1, 16 * tau, 5, (2, 1), 2, bias=False), 16 * tau)]
        dim = 16 * tau
        for stage, (width, count) in enumerate(((8, 2), (12, 2), (16, 4), (20, 4))):
            for place in range(count):
                stride = 2 if stage in (1, 2) and place == 0 else 1
                layers.append(Broadcast(dim, width * tau, stride, 2**stage))
                dim = width * tau
        return nn.Sequential(
            *layers,
            nn.Conv2d(dim, dim, 5, 1, (0, 2), groups=dim, bias=False),
            unit(nn.Conv2d(dim, 32 * tau, 1, bias=False), 32 * tau),
            MeanLinear(32 * tau, classes),
        )

    return make


PLAIN: dict[str, tuple[Maker, bool]] = {  # and whether it takes an image (B, 1, ...)
    "TC-ResNet8": (tc_resnet8, False),
    "DS-CNN": (ds_cnn, True),
    "MatchboxNet": (matchboxnet, False),
    "BC-ResNet-1": (bc_resnet(1), True),
    "BC-ResNet-8": (bc_resnet(8), True),
}


def features(name: str, waveform: Tensor) -> Tensor:
    """What the network hears, by torchaudio; DS-CNN has time in rows, the others in columns."""
    kept: dict[str, Any] = {"sample_frequency": 16000.0, "num_mel_bins": 40}
    if name == "DS-CNN":
        found = kaldi.mfcc(waveform, frame_length=40, frame_shift=20, num_ceps=10, **kept)
    else:
        kept["num_mel_bins"] = 64 if name == "MatchboxNet" else 40
        found = kaldi.fbank(waveform, **kept).T
    return found[None, None] if PLAIN[name][1] else found[None]


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
