"""Spotting for a day of sound: ``python -m tests.benchmarks.spotting --hours 24 --audio FOLDER``.

One stream of a recording that is heard again and again. Shown are the share of a core that live
sound would take, the memory after each pass, and how the detections of the last pass differ from
those of the second one, the first that begins warm: labels and scores to the bit, and by how many
seconds their times, each counted from the start of its pass, have moved. Without ``--model`` the
model is untrained and its thresholds lie in the middle of its scores, so that it fires all the
time; a trained one has those of its operating point. ``--export`` hears with the ONNX export
instead, in onnxruntime. Folders of ``--audio`` take turns, a recording from each, so that speech
and keywords mix.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab.audio import load_audio
from seqlab.decoding.keyword import Detection, DetectorSettings
from seqlab.deploy.model import ExportedModel
from seqlab.deploy.spotting import ExportSpotter
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.export.export import export_model, made_recordings
from seqlab.frontend.logmel import LogMel
from seqlab.heads.keyword import KeywordHead
from seqlab.inference.operating_point import OperatingPoint
from seqlab.inference.spotting import KeywordSpotter
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import LabelTokenizer
from tests.benchmarks.timing import status_bytes, table, versions

LABELS = ["<unknown>", "alexa", "computer", "jarvis"]
RATE = 16000
PACKAGES = ("numba", "numpy", "onnxruntime", "torch")


def small_model() -> SpeechModel:
    """A causal network of 25 ms frames every 10 ms, an answer every 20 ms."""
    torch.manual_seed(0)
    encoder = SeparableConvEncoder(
        40, widths=64, kernel_sizes=(9, 9, 11, 11), repeats=1, strides=(2,), output_dim=64,
        causal=True,
    )  # fmt: skip
    head = KeywordHead(64, len(LABELS), window=40, background=[0])
    tokenizer = LabelTokenizer(labels=LABELS)
    return SpeechModel(LogMel(n_mels=40), encoder, head, tokenizer).eval()


def made_sound(seconds: int) -> Tensor:
    """Noise whose colour and level change."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(seconds * RATE, generator=generator)
    level = torch.rand(seconds * 4, generator=generator).repeat_interleave(RATE // 4)
    return 0.1 * level * (noise + level * noise.roll(1))


def recorded_sound(folders: Sequence[Path], seconds: int) -> Tensor:
    """Recordings in shuffled order, one of each folder in turn; again if they are too short."""
    random = np.random.default_rng(0)
    lists = []
    for folder in folders:
        paths = sorted(p for p in folder.rglob("*") if p.suffix in (".wav", ".flac", ".ogg"))
        if not paths:
            raise SystemExit(f"{folder} holds no recordings")
        lists.append([paths[place] for place in random.permutation(len(paths))])
    parts: list[Tensor] = []
    count = 0
    for turn in itertools.count():
        for paths in lists:
            parts.append(load_audio(paths[turn % len(paths)], sample_rate=RATE)[0])
            count += len(parts[-1])
        if count >= seconds * RATE:
            return torch.cat(parts)[: seconds * RATE]
    raise AssertionError("itertools.count has no end")


def settings_for(model: SpeechModel, sound: Tensor) -> DetectorSettings:
    """Thresholds in the middle of the scores of the first minute."""
    spotter = KeywordSpotter(model, block_s=5.0)
    scores = torch.cat(list(spotter.posteriors([sound[: 60 * RATE]])))
    middle = {label: float(scores[:, i].median()) for i, label in enumerate(LABELS) if i}
    return DetectorSettings(thresholds=middle, smoothing_s=0.3)


def heard_with(folder: Path | None, sound: Tensor) -> tuple[SpeechModel, DetectorSettings]:
    """A trained model with its thresholds, or the small one."""
    if folder is None:
        model = small_model()
        return model, settings_for(model, sound)
    model, point = SpeechModel.load(folder).eval(), OperatingPoint.load(folder)
    if point is None or model.sample_rate != RATE:
        raise SystemExit(f"{folder} must have an operating point and hear {RATE} Hz")
    return model, point.settings


def passes(sound: Tensor, count: int, block: int) -> Iterator[Iterator[Tensor]]:
    for _ in range(count):
        yield (sound[start : start + block] for start in range(0, len(sound), block))


class Exported:
    """The export of a model, heard as ``KeywordSpotter`` hears the model."""

    def __init__(self, model: SpeechModel, settings: DetectorSettings, block_s: float) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "export"
            export_model(
                model, folder, recordings=made_recordings(RATE), offline=False, streaming=True,
                block_s=block_s,
            )  # fmt: skip
            self.spotter = ExportSpotter(ExportedModel(folder), settings)
        self.unit, self.frame_s = self.spotter.stream.unit, self.spotter.frame_s
        self.block = round(block_s * RATE) // self.unit * self.unit
        self.initial_state = self.spotter.initial_state

    def step(self, samples: Tensor, state: Any) -> tuple[list[Detection], Any]:
        """What the next samples (n,) complete, and the new state."""
        return self.spotter.step(samples.numpy(), state)


def soak(
    sound: Tensor,
    count: int,
    block_s: float,
    export: bool = False,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Hear the sound ``count`` times, 3 at least, as one stream."""
    model, settings = heard_with(folder, sound)
    spotter: KeywordSpotter | Exported
    if export:
        spotter = Exported(model, settings, block_s)
    else:
        spotter = KeywordSpotter(model, settings, block_s=block_s)
    if len(sound) % spotter.block:
        raise SystemExit(f"--pass-seconds must be a multiple of {spotter.block / RATE:g}")
    state, total = spotter.initial_state(), 0
    second: list[Detection] = []
    found: list[Detection] = []  # of the last pass; keeping all would look like a leak
    memory: list[float] = []
    processor, wall = time.process_time(), time.perf_counter()
    for number, blocks in enumerate(passes(sound, count, spotter.block)):
        found = []
        for block in blocks:
            some, state = spotter.step(block, state)
            found += some
        second, total = found if number == 1 else second, total + len(found)
        memory.append(status_bytes("VmRSS") / 1e6)
    processor = time.process_time() - processor
    seconds = len(sound) / RATE
    return {
        "hours": count * seconds / 3600,
        "block_s": block_s,
        "share_of_a_core": processor / (count * seconds),
        "times_real_time": count * seconds / (time.perf_counter() - wall),
        "processor_seconds": processor,
        "detections": total,
        "detections_a_pass": len(second),
        "last_pass_equals_second": facts(found) == facts(second),
        "greatest_move_of_a_time_s": moved(second, found, (count - 2) * seconds),
        "megabytes": max(memory),
        "megabytes_added_after_first_pass": max(memory) - memory[0],
        "megabytes_after_each_pass": memory,
    }


def facts(found: Sequence[Detection]) -> list[tuple[str, float]]:
    """Labels and scores, to the bit."""
    return [(d.label, d.score) for d in found]


def moved(early: Sequence[Detection], late: Sequence[Detection], between_s: float) -> float:
    """By how much times of a later pass differ from an earlier one's; infinite if their number."""
    if len(early) != len(late):
        return float("inf")
    pairs = zip(early, late, strict=True)
    times = [(b.time_s - a.time_s, b.start_s - a.start_s) for a, b in pairs]
    return max((abs(each - between_s) for pair in times for each in pair), default=0.0)


def main(argv: list[str] | None = None) -> None:
    """Run, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--pass-seconds", type=int, default=3600)
    parser.add_argument(
        "--audio", type=Path, nargs="+", help="folders of recordings; default: noise"
    )
    parser.add_argument("--model", type=Path, help="a trained model's folder; default: untrained")
    parser.add_argument("--block", type=float, default=1.0, help="seconds heard at a time")
    parser.add_argument("--export", action="store_true", help="hear with the ONNX export")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="three passes of two minutes")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if args.quick:
        args.hours, args.pass_seconds = 0.1, 120
    sound = made_sound(args.pass_seconds)
    if args.audio is not None:
        sound = recorded_sound(args.audio, args.pass_seconds)
    count = max(3, round(args.hours * 3600 / args.pass_seconds))
    figures = soak(sound, count, args.block, args.export, args.model)
    if args.json:
        print(json.dumps({**figures, "versions": versions(PACKAGES)}))
        return
    memory = figures.pop("megabytes_after_each_pass")
    rows = [
        [name, str(value) if isinstance(value, bool | int) else f"{value:.4g}"]
        for name, value in figures.items()
    ]
    print(table(["figure", "value"], rows))
    print("megabytes after each pass:", " ".join(f"{value:.1f}" for value in memory))


if __name__ == "__main__":
    main()
