"""The option --chunk-frames: how far ahead an encoder with attention may look."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seqlab.errors import ModelError

if TYPE_CHECKING:
    from seqlab.model import SpeechModel


def add_chunk_option(parser: Any) -> None:
    """Describe the option to a parser or a group of one."""
    parser.add_argument(
        "--chunk-frames",
        type=int,
        metavar="N",
        help="encoded frames that an encoder with attention waits for; 0: whole utterances; "
        "default: as the model was trained",
    )


def set_chunks(model: SpeechModel, args: argparse.Namespace) -> None:
    """Give the encoder its chunks, if the option was given.

    Raises:
        ModelError: the encoder has none.
    """
    if args.chunk_frames is None:
        return
    if not hasattr(model.encoder, "chunk_frames"):
        raise ModelError(f"--chunk-frames is not for {type(model.encoder).__name__}; leave it out")
    encoder: Any = model.encoder
    encoder.chunk_frames = args.chunk_frames
