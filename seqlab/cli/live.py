"""Sound that comes while a command runs, from the microphone or on standard input."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from seqlab.cli.terminal import say
from seqlab.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


def is_live(args: argparse.Namespace) -> bool:
    """Whether the source that ``files``, ``microphone`` and ``rate`` name is live.

    Raises:
        DataError: options exclude each other.
    """
    live = args.microphone or args.files == ["-"]
    if args.microphone and args.files:
        raise DataError("--microphone goes with no files; leave one of them out")
    if not args.microphone and not args.files:
        raise DataError("no files; name at least one, - for standard input, or --microphone")
    if "-" in args.files and len(args.files) > 1:
        raise DataError("- (standard input) goes with no other files; leave them out")
    if args.rate is not None and args.files != ["-"]:
        raise DataError(f"--rate {args.rate} is for raw samples on standard input; leave it out")
    return bool(live)


def live_blocks(microphone: bool, raw_rate: int | None, sample_rate: int) -> Iterator[Tensor]:
    """Samples of the microphone up to Ctrl-C, or of standard input up to its end.

    Args:
        microphone: Which of the two.
        raw_rate: Of raw samples on standard input, in Hz; None: ``sample_rate``.
        sample_rate: Wanted, in Hz.
    """
    from seqlab.inference.live_sources import microphone_blocks, piped_blocks

    if not microphone:
        yield from piped_blocks(sys.stdin.buffer, sample_rate, raw_rate=raw_rate)
        return
    say("listening; stop with Ctrl-C")
    try:
        yield from microphone_blocks(sample_rate)
    except KeyboardInterrupt:
        return
