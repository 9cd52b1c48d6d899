"""Milliseconds for a one-second clip: ``python -m tests.benchmarks.kws [--quick] [--json]``.

Waveform in, posterior out, front end included, on one thread: torch eager, the float32 export in
onnxruntime and, with ``--int8``, the int8 export. Interleaved with them, in onnxruntime, too: the
same network written plainly (``kws_plain``), alone ("plain") and after torchaudio's features
("torchaudio"). The networks are untrained, with 12 classes, and hear the features that were
published for each: 98 frames of 40 log-mel bands, of MatchboxNet 64; DS-CNN 49 frames of 10 MFCCs.
Beside them stand published implementations' figures of the network alone, measured on a two-core
Zen 4; the goal is within 1.2 times of those in onnxruntime. Ratios are those of the least times,
which a busy machine changes least: our export over plain, torchaudio and published.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from seqlab.contracts import Encoder, Frontend
from seqlab.deploy.model import ExportedModel
from seqlab.encoders.cnn.bc_resnet import BCResNetEncoder
from seqlab.encoders.cnn.ds_cnn import DSCNNEncoder
from seqlab.encoders.cnn.matchboxnet import MatchboxNetEncoder
from seqlab.encoders.cnn.tc_resnet import TCResNetEncoder
from seqlab.encoders.residual import ResidualCNNEncoder
from seqlab.errors import SeqlabError
from seqlab.export.export import export_model, made_recordings
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.mfcc import MFCC
from seqlab.heads.classifier import ClassifierHead
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import LabelTokenizer
from tests.benchmarks.kws_plain import PLAIN, plain_runners
from tests.benchmarks.timing import table, versions

RATE, BANDS, CLASSES = 16000, 40, 12
PACKAGES = ("numpy", "onnxruntime", "torch", "torchaudio")


def bands(count: int = BANDS) -> Frontend:
    """25 ms frames every 10 ms."""
    return LogMel(n_mels=count)


def cepstra() -> Frontend:
    """40 ms frames every 20 ms."""
    return MFCC(win_length=640, hop_length=320, n_mels=BANDS, n_mfcc=10, energy="none")


NETWORKS: dict[str, tuple[Callable[[], Frontend], Callable[[int], Encoder]]] = {
    "TC-ResNet8": (bands, TCResNetEncoder),
    "DS-CNN": (cepstra, DSCNNEncoder),
    "MatchboxNet": (lambda: bands(64), MatchboxNetEncoder),
    "BC-ResNet-1": (bands, BCResNetEncoder),
    "BC-ResNet-8": (bands, lambda width: BCResNetEncoder(width, tau=8)),
    "ResidualCNN": (bands, ResidualCNNEncoder),
}
PEERS = {  # eager, onnxruntime
    "TC-ResNet8": (0.39, 0.17),
    "DS-CNN": (0.65, 0.14),
    "MatchboxNet": (1.9, 0.57),
    "BC-ResNet-1": (6.2, 0.42),
    "BC-ResNet-8": (13.4, 3.1),
}
TURN = 20
COLUMNS = ("torch", "onnxruntime", "int8", "plain", "torchaudio")


def built(name: str) -> SpeechModel:
    torch.manual_seed(0)
    frontend = NETWORKS[name][0]()
    encoder = NETWORKS[name][1](frontend.output_dim)
    labels = LabelTokenizer(labels=[f"word {number}" for number in range(CLASSES)])
    head = ClassifierHead(encoder.output_dim, CLASSES)
    return SpeechModel(frontend, encoder, head, labels).eval()


def runners(name: str, folder: Path, with_int8: bool) -> dict[str, Callable[[], Any]]:
    """What is timed; an int8 export that is refused is left out."""
    model, clip = built(name), made_recordings(RATE, 1)[0][:RATE]
    lengths, samples = torch.tensor([RATE]), clip.numpy()

    def eager() -> None:
        with torch.inference_mode():
            model(clip[None], lengths)

    found: dict[str, Callable[[], Any]] = {"torch": eager}
    recordings = made_recordings(RATE, 8)
    for column, int8 in (("onnxruntime", False), ("int8", True))[: 1 + with_int8]:
        try:
            export_model(
                model, folder / column, recordings=recordings, streaming=False, int8=int8,
                tolerance=1 if int8 else None,
            )  # fmt: skip
        except SeqlabError:
            continue
        exported = ExportedModel.load(folder / column)
        found[column] = lambda exported=exported: exported.log_probs(samples)
    return found | (plain_runners(name, CLASSES, clip, folder) if name in PLAIN else {})


def measured(timed: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round; they take turns of ``TURN`` rounds, so that caches are warm."""
    for run in timed.values():
        for _ in range(5):
            run()
    found: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(max(1, rounds // TURN)):
        for name, run in timed.items():
            for _ in range(TURN):
                start = time.perf_counter()
                run()
                found[name].append(1000 * (time.perf_counter() - start))
    return found


def figures(names: list[str], rounds: int, int8: bool) -> dict[str, Any]:
    """Medians and least times of all networks."""
    result: dict[str, Any] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            times = measured(runners(name, Path(folder), int8), rounds)
        result[name] = {column: statistics.median(values) for column, values in times.items()}
        result[name]["least"] = {column: min(values) for column, values in times.items()}
        if name in PEERS:
            result[name]["peer_eager"], result[name]["peer_onnxruntime"] = PEERS[name]
            least = result[name]["least"]
            beside = (least["plain"], least["torchaudio"], PEERS[name][1])
            result[name]["ratios"] = [least["onnxruntime"] / time for time in beside]
    return result


def main(argv: list[str] | None = None) -> None:
    """Run, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--int8", action="store_true", help="also the export in int8")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="two networks, 100 rounds")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if args.quick:
        args.rounds, args.networks = 100, args.networks[:2]
    found = figures(args.networks, args.rounds, args.int8)
    facts = {"threads": 1, "versions": versions(PACKAGES)}
    if args.json:
        print(json.dumps({"ms_per_clip": found, **facts}, indent=1))
        return
    beside = ("peer_eager", "peer_onnxruntime")
    rows = [
        [name]
        + [f"{row[c]:.2f} ({row['least'][c]:.2f})" if c in row else "-" for c in COLUMNS]
        + [f"{row[c]:.2f}" if c in row else "-" for c in beside]
        + [" / ".join(f"{ratio:.2f}" for ratio in row.get("ratios", [])) or "-"]
        for name, row in found.items()
    ]
    print("ms per one-second clip: median (least)")
    print(table(["network", *COLUMNS, "published eager", "published onnx", "ratios"], rows))
    print(facts)


if __name__ == "__main__":
    main()
