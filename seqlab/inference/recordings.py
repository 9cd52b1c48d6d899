"""Recordings of any length to text with times, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import BinaryIO

from seqlab.audio import audio_info, load_audio, read_blocks
from seqlab.checks import check_at_least
from seqlab.contracts import Decoder, Hypothesis
from seqlab.errors import ModelError
from seqlab.inference.cutting import Cutting, Piece, cut_pieces
from seqlab.inference.stitching import Heard, stitched
from seqlab.model import SpeechModel
from seqlab.text.segments import TimedSegment, TimedWord
from seqlab.text.words import words_of_tokens

__all__ = ["hear_pieces", "hear_recording", "hear_whole", "transcribe_recording"]

_BLOCK_S = 10.0
_BATCHES = 4  # pieces are gathered for so many batches, in which they are sorted by length


def transcribe_recording(
    model: SpeechModel,
    source: str | os.PathLike[str] | BinaryIO,
    *,
    decoder: Decoder | None = None,
    cutting: Cutting | None = None,
    batch_size: int = 8,
) -> Iterator[TimedSegment]:
    """Recognise a recording of any length; segments come as they are ready.

    Speech is cut at pauses; where there is none for too long, pieces overlap and are put together
    by their words. Memory does not grow with the recording.

    Args:
        model: A recogniser.
        source: A path, an open binary file, or ``"-"`` for standard input (WAV or AU).
        decoder: Such as a beam search; the plainest that fits the model's head, if None.
        cutting: Where to cut; None takes the defaults.
        batch_size: Pieces at a time, at least 1; does not change the answers.

    Yields:
        Segments with words, in order. Times count from the start of the recording. A segment
        lasts as long as its speech; nothing is said of stretches without text.

    Raises:
        AudioError: The recording cannot be used, or is damaged further on.
        ModelError: The model classifies instead.
    """
    return stitched(
        hear_recording(model, source, decoder=decoder, cutting=cutting, batch_size=batch_size)
    )


def hear_recording(
    model: SpeechModel,
    source: str | os.PathLike[str] | BinaryIO,
    *,
    decoder: Decoder | None = None,
    cutting: Cutting | None = None,
    batch_size: int = 8,
    skip: int = 0,
) -> Iterator[Heard]:
    """What a model says of each piece of a recording, for ``stitched`` to put together.

    Use it to keep what is done, and go on later: pieces are always the same ones.

    Args:
        model: As in ``transcribe_recording``, like all that follows.
        source: The same.
        decoder: The same.
        cutting: The same.
        batch_size: The same.
        skip: Pieces that were heard before and are left out.
    """
    blocks = read_blocks(source, _BLOCK_S, sample_rate=model.sample_rate)
    pieces = cut_pieces((block for block, _ in blocks), model.sample_rate, cutting)
    return hear_pieces(model, islice(pieces, skip, None), decoder, batch_size)


def hear_pieces(
    model: SpeechModel,
    pieces: Iterable[Piece],
    decoder: Decoder | None = None,
    batch_size: int = 8,
    gathered: int | None = None,
) -> Iterator[Heard]:
    """What a model says of pieces, in order.

    Args:
        model: A recogniser.
        pieces: Such as ``cut_pieces`` gives.
        decoder: None for the model's own.
        batch_size: Pieces at a time, at least 1.
        gathered: Pieces that are waited for, to be sorted by length; None: four batches.

    Raises:
        ModelError: The model classifies instead.
        SeqlabError: A number is below 1.
    """
    check_at_least("batch_size", batch_size, 1)
    gathered = batch_size * _BATCHES if gathered is None else gathered
    check_at_least("gathered", gathered, 1)
    _check_transcribes(model)
    return _hear(model, iter(pieces), decoder, batch_size, gathered)


def _hear(
    model: SpeechModel,
    pieces: Iterator[Piece],
    decoder: Decoder | None,
    batch_size: int,
    gathered: int,
) -> Iterator[Heard]:
    while some := list(islice(pieces, gathered)):
        waveforms = [piece.waveform for piece in some]
        answers = model.transcribe(waveforms, model.sample_rate, batch_size, decoder)
        for piece, answer in zip(some, answers, strict=True):
            yield _heard(model, piece, answer)


def hear_whole(
    model: SpeechModel, path: str | os.PathLike[str], decoder: Decoder | None = None
) -> Heard:
    """What a model says of a short recording heard at once, silence and all.

    Raises:
        AudioError: The recording cannot be used.
        ModelError: The model classifies instead.
    """
    _check_transcribes(model)
    waveform, rate = load_audio(path, sample_rate=model.sample_rate)
    [answer] = model.transcribe([waveform], rate, decoder=decoder)
    length_s = len(waveform) / rate
    return _heard(model, Piece(waveform, 0.0, 0.0, length_s), answer)


def duration_s(path: str | os.PathLike[str]) -> float:
    """Length of a recording in seconds, by its header.

    Raises:
        AudioError: It cannot be used.
    """
    return audio_info(path).duration_s


def timed_words(model: SpeechModel, answer: Hypothesis) -> tuple[TimedWord, ...]:
    """The words of an answer with times from its start; none where the decoder gives no times.

    Nor are there any where tokens do not spell the words of the text, as phones do not.
    """
    if len(answer.token_times) != len(answer.tokens) or not answer.tokens:
        return ()
    confidences = answer.token_confidences or (answer.confidence,) * len(answer.tokens)
    words = words_of_tokens(answer.tokens, answer.token_times, confidences, model.tokenizer)
    return words if len(words) == len(answer.text.split()) else ()


def timed_segment(
    model: SpeechModel, answer: Hypothesis, start_s: float, end_s: float
) -> TimedSegment:
    """An answer to what was said from ``start_s`` to ``end_s`` of a recording, with its words."""
    words = _moved(timed_words(model, answer), start_s, end_s)
    confidence = min(max(0.0, answer.confidence), 1.0)
    return TimedSegment(start_s, end_s, answer.text, words, confidence=confidence)


def _heard(model: SpeechModel, piece: Piece, answer: Hypothesis) -> Heard:
    end_s = piece.start_s + len(piece.waveform) / model.sample_rate
    segment = timed_segment(model, answer, piece.start_s, end_s)
    low, high = piece.speech_start_s, piece.speech_end_s
    words = tuple(_within(word, low, high) for word in segment.words)
    start_s = min([low, *(word.start_s for word in words)])
    stop_s = max([high, *(word.end_s for word in words)])
    segment = replace(segment, start_s=start_s, end_s=stop_s, words=words)
    return Heard(segment, piece.continued, bool(words))


def _within(word: TimedWord, low: float, high: float) -> TimedWord:
    """The word cut to the time of speech; one mostly outside of it is left as it is."""
    if not low <= (word.start_s + word.end_s) / 2 <= high:
        return word
    return replace(word, start_s=max(word.start_s, low), end_s=min(word.end_s, high))


def _moved(words: Sequence[TimedWord], start_s: float, end_s: float) -> tuple[TimedWord, ...]:
    """Words with ``start_s`` added to their times, none beyond ``end_s``."""
    return tuple(
        TimedWord(
            word.text,
            min(word.start_s + start_s, end_s),
            min(word.end_s + start_s, end_s),
            word.confidence,
        )
        for word in words
    )


def _check_transcribes(model: SpeechModel) -> None:
    if model.head.output == "label":
        raise ModelError("this model classifies and has no transcripts; call classify")
