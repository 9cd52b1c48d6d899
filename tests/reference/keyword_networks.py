"""BC-ResNet, DS-CNN and res15 in plain torch, (B, C, F, T), as their papers draw them.

Written for whole clips of one length, without masks or streams, from the equations and tables of
Kim et al. 2021, Zhang et al. 2017, and Tang and Lin 2018. `same_order` gives a network here the
numbers of one of ours, whose parts were made in the same order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SubSpectral(nn.Module):
    """Chang et al. 2021: bands become channels of an ordinary batch norm."""

    def __init__(self, channels: int, bands: int = 5) -> None:
        super().__init__()
        self.bands = bands
        self.norm = nn.BatchNorm2d(channels * bands)

    def forward(self, x: Tensor) -> Tensor:
        b, c, f, t = x.shape
        return self.norm(x.reshape(b, c * self.bands, f // self.bands, t)).reshape(b, c, f, t)


class BCBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.transition = before != after
        if self.transition:
            self.widen = nn.Conv2d(before, after, 1, bias=False)
            self.widen_norm = nn.BatchNorm2d(after)
        self.frequency = nn.Conv2d(
            after, after, (3, 1), (stride, 1), (1, 0), groups=after, bias=False
        )
        self.frequency_norm = SubSpectral(after)
        self.time = nn.Conv2d(
            after, after, (1, 3), 1, (0, dilation), (1, dilation), after, bias=False
        )
        self.time_norm = nn.BatchNorm2d(after)
        self.mix = nn.Conv2d(after, after, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self.transition:
            y = functional.relu(self.widen_norm(self.widen(x)))
        y = self.frequency_norm(self.frequency(y))
        z = self.mix(functional.silu(self.time_norm(self.time(y.mean(2, keepdim=True)))))
        return functional.relu(y + z if self.transition else x + y + z)


def bc_resnet(tau: int) -> nn.Module:
    """Kim et al. 2021, table 1, up to the last average: (B, 1, 40, T) to (B, 32 tau, 1, T)."""
    c = 8 * tau
    rows = [(c, 2, 1, 1), (c * 3 // 2, 2, 2, 2), (2 * c, 4, 2, 4), (c * 5 // 2, 4, 1, 8)]
    layers: list[nn.Module] = [
        nn.Conv2d(1, 2 * c, 5, (2, 1), 2, bias=False),
        nn.BatchNorm2d(2 * c),
        nn.ReLU(),
    ]
    before = 2 * c
    for after, number, stride, dilation in rows:
        for index in range(number):
            layers.append(BCBlock(before, after, stride if index == 0 else 1, dilation))
            before = after
    layers += [
        nn.Conv2d(before, before, 5, padding=(0, 2), groups=before, bias=False),
        nn.Conv2d(before, 4 * c, 1, bias=False),
        nn.BatchNorm2d(4 * c),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers)


def ds_cnn(width: int, blocks: int, stem: tuple[int, int], first: int) -> nn.Module:
    """Zhang et al. 2017, table 5: (B, 1, 10, 49) to (B, width, F, T); "same" as TensorFlow's."""
    layers: list[nn.Module] = [
        nn.ZeroPad2d((4, 5, 1, 2)),
        nn.Conv2d(1, width, (4, 10), (stem[1], stem[0]), bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    for stride in [first] + [1] * (blocks - 1):
        layers += [
            nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class Res(nn.Module):
    """Tang and Lin 2018, section 3 and figure 2; ``pool`` is (frames, bins)."""

    def __init__(self, maps: int, layers: int, dilated: bool, pool: tuple[int, int] | None) -> None:
        super().__init__()
        self.pool = pool
        self.first = nn.Conv2d(1, maps, 3, padding=1, bias=False)
        reach = [2 ** (i // 3) if dilated else 1 for i in range(layers)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(maps, maps, 3, padding=d, dilation=d, bias=False) for d in reach
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(maps, affine=False) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.first(x))
        if self.pool is not None:
            x = functional.avg_pool2d(x, self.pool[::-1])
        kept = x
        for i, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True), start=1
        ):
            x = functional.relu(convolution(x))
            if i % 2 == 0:
                x = kept = x + kept
            x = norm(x)
        return x


def same_order(plain: nn.Module, ours: nn.Module) -> None:
    """Copy convolutions and norms, in the order in which both networks made them.

    Kernels of ours are (time, frequency), of the plain ones (frequency, time); bands of ours
    come before channels, of the plain ones behind.
    """
    with torch.no_grad():
        for name in ("Conv", "Norm"):
            mine = [m for m in ours.modules() if name in type(m).__name__ and own(m)]
            theirs = [m for m in plain.modules() if name in type(m).__name__ and own(m)]
            for one, other in zip(mine, theirs, strict=True):
                if name == "Conv":
                    other.weight.copy_(one.weight.transpose(2, 3))
                    continue
                bands = len(one.sizes) if hasattr(one, "sizes") else 1
                for key in ("weight", "bias", "running_mean", "running_var"):
                    if getattr(other, key) is not None:
                        value = getattr(one, key).view(bands, -1).T.flatten()
                        getattr(other, key).copy_(value)


def own(module: nn.Module) -> bool:
    """Whether the module itself, not a part of it, holds statistics or a kernel."""
    return hasattr(module, "running_mean") or isinstance(module, nn.Conv2d)
