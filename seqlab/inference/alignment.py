"""A model, a recording and its text: when each line and each word of the text was said."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from seqlab.audio import read_blocks
from seqlab.decoding.align import Alignment, align, word_times
from seqlab.decoding.segmentation import segment
from seqlab.errors import AudioError, DataError, ModelError
from seqlab.model import SpeechModel
from seqlab.recordings import evaluating
from seqlab.text.timed import TimedSegment, words_in

_CHUNK_S = 30.0  # what a model hears at once of a long recording,
_CONTEXT_S = 5.0  # beside this much before and after, whose frames are left out


def align_file(
    model: SpeechModel,
    path: str | os.PathLike[str],
    lines: Sequence[str],
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    gap_cost: float = 1.0,
    skip_cost: float = 3.0,
) -> list[TimedSegment | None]:
    """Find when each line of a text was said in a recording, in their order.

    A single line is taken to be all that was said, no more and no less. Of several lines some may
    be missing in the recording, and more than the text may be said before, between and after
    them. The recording may be hours long.

    Args:
        model: a recogniser whose head answers each frame, such as one trained with CTC.
        path: an audio file; resampled to the model's rate.
        lines: of the text, as people write it; the model's tokenizer brings it into its spelling.
        start_s: where the speech begins in the file; times count from the start of the file.
        duration_s: how much of the file to look at; None for all of it.
        gap_cost: see ``seqlab.decoding.segmentation.segment``.
        skip_cost: the same.

    Returns:
        For each line when it was said, with its words and a confidence, or None: not said, or
        without anything to say. A confidence below about 0.1 is doubtful.

    Raises:
        AudioError: the file cannot be used, or is too short for a single frame.
        DataError: a line has characters that the model does not know; the message names it.
        ModelError: the model does not answer each frame.
        SeqlabError: a single line does not fit into the recording.
    """
    tokens = encode_lines(model, lines)
    frames = frame_log_probs(model, path, start_s, duration_s)
    if not len(frames):
        raise AudioError(f"{path} is too short for a single frame of this model; leave it out")
    found: Sequence[Alignment | None]
    blank, frame_s = model.tokenizer.blank or 0, model.frame_s
    if len(tokens) == 1:
        sizes = [torch.tensor([len(frames)]), torch.tensor([len(tokens[0])])]
        target = torch.tensor(tokens, dtype=torch.int64)
        name = os.fspath(path)
        found = align(
            frames[None], sizes[0], target, sizes[1], blank=blank, frame_s=frame_s, names=[name]
        )
        found = found if tokens[0] else [None]
    else:
        found = segment(
            frames, tokens, blank=blank, frame_s=frame_s, gap_cost=gap_cost, skip_cost=skip_cost
        )
    return [
        _timed(model, line, alignment, start_s)
        for line, alignment in zip(lines, found, strict=True)
    ]


def encode_lines(model: SpeechModel, lines: Sequence[str]) -> list[list[int]]:
    """Tokens of each line; DataError names a line that cannot be encoded."""
    tokens = []
    for number, line in enumerate(lines, start=1):
        try:
            tokens.append(model.tokenizer.encode(line))
        except DataError as error:
            where = f"line {number}: " if len(lines) > 1 else ""
            raise DataError(f"{where}{error}") from None
    return tokens


def frame_log_probs(
    model: SpeechModel,
    path: str | os.PathLike[str],
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Tensor:
    """Log-probabilities (T', C) of a recording of any length, on the CPU.

    Up to 40 s are one pass of the model. Of longer recordings it hears 30 s at a time, with 5 s
    more on either side, so memory grows by the log-probabilities alone.

    Args:
        model: a recogniser whose head answers each frame.
        path: an audio file.
        start_s: where to start in the file.
        duration_s: how much to hear; None for all of it.

    Raises:
        AudioError: the file cannot be used.
        ModelError: the model does not answer each frame.
    """
    if model.head.output != "frames":
        raise ModelError(
            f"{type(model.head).__name__} gives {model.head.output}, alignment needs a head that "
            "answers each frame; train with CTC, or with CTC beside it"
        )
    blocks = read_blocks(
        path, _CHUNK_S, start_s=start_s, duration_s=duration_s, sample_rate=model.sample_rate
    )
    parts = []
    with evaluating(model), torch.inference_mode():
        for samples, first, last in _chunks(model, (block for block, _ in blocks)):
            lengths = torch.tensor([len(samples)], device=model.device)
            if not int(model.output_lengths(lengths)):
                continue
            log_probs, _ = model(samples[None].to(model.device), lengths)
            parts.append(log_probs[0, first:last].float().cpu())
    return torch.cat(parts) if parts else torch.empty(0, len(model.tokenizer))


def _chunks(
    model: SpeechModel, blocks: Iterator[Tensor]
) -> Iterator[tuple[Tensor, int, int | None]]:
    """Samples to hear at once, and which of their frames to keep."""
    stride = round(model.frame_s * model.sample_rate)
    chunk, context = round(_CHUNK_S / model.frame_s), round(_CONTEXT_S / model.frame_s)
    held = torch.empty(0)
    before = 0  # frames of context that are held before the chunk
    for block in blocks:
        held = torch.cat([held, block])
        while len(held) > (before + chunk + 2 * context) * stride:
            yield held[: (before + chunk + context) * stride], before, before + chunk
            gone = max(0, before + chunk - context)
            held, before = held[gone * stride :], before + chunk - gone
    yield held, before, None


def _timed(
    model: SpeechModel, line: str, alignment: Alignment | None, start_s: float
) -> TimedSegment | None:
    if alignment is None:
        return None
    words = tuple(
        replace(word, start_s=word.start_s + start_s, end_s=word.end_s + start_s)
        for word in word_times(alignment, model.tokenizer)
    )
    if not words:
        return None
    plain = TimedSegment(
        words[0].start_s, words[-1].end_s, line, words, confidence=alignment.confidence
    )
    return replace(plain, words=words_in(plain))
