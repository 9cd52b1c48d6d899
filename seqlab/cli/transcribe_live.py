"""What ``seqlab transcribe --stream`` does: results while somebody speaks."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from seqlab.cli.decoding_options import HotwordDecoder
from seqlab.cli.live import live_blocks
from seqlab.cli.terminal import say

if TYPE_CHECKING:
    from torch import Tensor

    from seqlab.inference.live_results import LiveResult
    from seqlab.model import SpeechModel


class StreamHotwords:
    """A beam search of streams that prefers the same phrases in every utterance.

    Args:
        preferring: The beam search and its phrases.
    """

    def __init__(self, preferring: HotwordDecoder) -> None:
        self.decoder, self.hotwords = preferring.decoder, preferring.hotwords
        self.frame_s = self.decoder.frame_s

    def initial_state(self) -> Any:
        """The state of a stream, with the phrases."""
        return self.decoder.initial_state(self.hotwords)

    def step(self, log_probs: Tensor, state: Any) -> Any:
        """As the decoder."""
        return self.decoder.step(log_probs, state)

    def flush(self, state: Any) -> Any:
        """As the decoder."""
        return self.decoder.flush(state)


def results(args: argparse.Namespace, model: SpeechModel, decoder: Any) -> Iterator[LiveResult]:
    """Results as speech comes where the model can, at pauses where it cannot."""
    from seqlab.inference.live import why_not_live
    from seqlab.inference.live_results import live_results, pause_results

    blocks = live_blocks(args.stream != "-", args.rate, model.sample_rate)
    reason = why_not_live(model)
    if reason is not None:
        say(f"note: results come at pauses only: {reason}")
        return pause_results(model, blocks, decoder)
    if isinstance(decoder, HotwordDecoder):
        decoder = StreamHotwords(decoder)
    return live_results(model, blocks, decoder)


def as_json(result: LiveResult) -> dict[str, Any]:
    """One result as plain values."""
    from seqlab.text.timed import segment_facts

    facts = segment_facts(result.segment)
    del facts["speaker"]
    return {
        "final": result.final,
        **facts,
        "stable": result.stable,
        "heard_s": round(result.heard_s, 3),
        "latency_s": round(result.latency_s, 3),
    }


def print_results(found: Iterable[LiveResult], as_lines: bool) -> None:
    """Print results: JSON lines, one screen line an utterance, or columns with tabs between."""
    from seqlab.text.timed import clean

    for result in found:
        segment, text = result.segment, clean(result.segment.text)
        if as_lines:
            print(json.dumps(as_json(result), ensure_ascii=False, allow_nan=False), flush=True)
        elif sys.stdout.isatty():
            end = "\n" if result.final else ""
            print(f"\r\x1b[K{text}  ({result.latency_s:.2f} s)", end=end, flush=True)
        else:
            kind = "final" if result.final else "partial"
            times = f"{segment.start_s:.2f}\t{segment.end_s:.2f}\t{result.latency_s:.2f}"
            print(f"{kind}\t{times}\t{text}", flush=True)


def run(args: argparse.Namespace, model: SpeechModel, decoder: Any) -> int:
    """Recognise a stream to its end."""
    print_results(results(args, model, decoder), args.json)
    return 0
