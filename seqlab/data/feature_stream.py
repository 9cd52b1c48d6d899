"""Features of one recording, however long, in little memory.

A short recording is read whole. A long one passes through the front end block by block, and the
rows come out block by block; they equal ``Frontend.extract`` of the whole to the bit, resampling
included. Where a front end limits the dynamic range, which takes the maximum of the whole
recording, the rows wait in a temporary file until it is known.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
import torch
from torch import Tensor

from seqlab.audio import load_audio, read_blocks
from seqlab.audio_file import check_path, locate, open_file
from seqlab.contracts import Frontend
from seqlab.errors import AudioError
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.cepstrum import add_deltas
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.mfcc import MFCC
from seqlab.frontend.spectrogram import Spectrogram
from seqlab.frontend.validation import check_recording
from seqlab.lengths import resampled_length

_LIMITED_ROWS = 4096  # rows of a spooled recording that are finished at once


@dataclass(frozen=True)
class AudioPart:
    """A recording, or a part of one, and what its header says about it.

    Args:
        path: the audio file.
        start_s: first second of the part.
        duration_s: its length in seconds; None: up to the end of the file.
        sample_rate: of the file, in Hz.
        num_samples: of the part, at that rate.
        file_samples: of the whole file.
    """

    path: str
    start_s: float
    duration_s: float | None
    sample_rate: int
    num_samples: int
    file_samples: int

    @property
    def seconds(self) -> float:
        """Length of the part in seconds."""
        return self.num_samples / self.sample_rate


def measure(path: str | os.PathLike[str], start_s: float, duration_s: float | None) -> AudioPart:
    """Look at the header of a file, and at where a part of it lies.

    Raises:
        AudioError: as ``seqlab.audio.load_audio``, as far as the header tells.
    """
    name = check_path(path)
    with open_file(name) as sound:
        start, count = locate(name, sound, start_s, duration_s)
        if count is None:
            count = sound.frames - start
        return AudioPart(name, start_s, duration_s, sound.samplerate, count, sound.frames)


def frame_count(frontend: Frontend, part: AudioPart, resample: bool = False) -> int:
    """Rows that ``feature_blocks`` will give in all.

    Raises:
        AudioError: the file has another rate than the front end, and ``resample`` is False.
    """
    wanted = frontend.sample_rate
    if part.sample_rate != wanted and not resample:
        raise AudioError(
            f"{part.path} has {part.sample_rate} Hz, {type(frontend).__name__} is set to "
            f"{wanted} Hz; pass --resample, or --set sample_rate={part.sample_rate}"
        )
    length = part.num_samples
    if part.sample_rate != wanted:
        length = resampled_length(length, part.sample_rate, wanted)
    return int(frontend.output_lengths(torch.tensor([length]))[0])


def feature_blocks(
    frontend: Frontend, part: AudioPart, resample: bool = False, block_s: float = 20.0
) -> Iterator[Tensor]:
    """Features of a recording as blocks of rows (n, F), n from 0 up.

    Put together they equal ``frontend.extract`` of the waveform that ``load_audio`` returns, to
    the bit, whatever ``block_s`` is. A recording of up to one block is read whole; so is any
    recording where a front end that is none of this package cannot stream.

    Args:
        frontend: on the CPU; on another device every recording is read whole.
        part: from ``measure``.
        resample: bring the recording to the front end's rate.
        block_s: seconds read at a time, above 0.

    Raises:
        AudioError: another rate without ``resample``, samples that are not finite, or a file that
            breaks off.
    """
    frame_count(frontend, part, resample)  # checks the rate
    streamed = streaming_frontend(frontend)
    if part.seconds <= block_s or streamed is None:
        waveform, rate = load_audio(
            part.path,
            start_s=part.start_s,
            duration_s=part.duration_s,
            sample_rate=frontend.sample_rate,
        )
        yield frontend.extract(waveform, rate)
        return
    rows = _stream(streamed, part, block_s)
    if streamed is frontend:
        yield from rows
    else:
        assert isinstance(frontend, FramedFrontend)
        with tempfile.TemporaryFile() as spool:
            yield from _limit(frontend, rows, spool)


def streaming_frontend(frontend: Frontend) -> Frontend | None:
    """What streams in place of ``frontend``: itself, or its rows before ``dynamic_range``.

    None where nothing does.
    """
    if next(frontend.buffers(), torch.zeros(0)).device.type != "cpu":
        return None
    if getattr(frontend, "can_stream", False):
        return frontend
    if type(frontend) not in (LogMel, MFCC, Spectrogram):
        return None
    arguments = frontend.constructor_arguments | {"dynamic_range": None, "delta_order": 0}
    if not isinstance(frontend, MFCC):
        return type(frontend)(**arguments)
    known = inspect.signature(LogMel).parameters
    return LogMel(**{name: value for name, value in arguments.items() if name in known})


def _stream(frontend: Frontend, part: AudioPart, block_s: float) -> Iterator[Tensor]:
    name = type(frontend).__name__
    scale = getattr(getattr(frontend, "options", None), "scale", 1.0)
    state = frontend.initial_state()
    blocks = read_blocks(
        part.path,
        block_s,
        start_s=part.start_s,
        duration_s=part.duration_s,
        sample_rate=frontend.sample_rate,
    )
    for block, _ in blocks:
        check_recording(name, block, scale)  # as ``extract`` does
        features, state = frontend.step(block.unsqueeze(0), state)
        yield features[0]
    yield frontend.flush(state)[0]


def _limit(frontend: FramedFrontend, rows: Iterator[Tensor], spool: IO[bytes]) -> Iterator[Tensor]:
    """Rows raised to the maximum less ``dynamic_range``, then cepstra and deltas of them."""
    options = frontend.options
    assert options.dynamic_range is not None
    highest = torch.tensor(-torch.inf)
    total = width = 0
    for block in rows:
        spool.write(np.ascontiguousarray(block.numpy()).data)
        total += len(block)
        width = block.shape[1]
        known = block[~block.isnan()]
        highest = torch.maximum(highest, known.max()) if len(known) else highest
    if total == 0:
        yield torch.zeros(0, frontend.output_dim)
    lowest = highest - options.dynamic_range
    margin = options.delta_order * options.delta_window  # rows that deltas read to either side
    for first in range(0, total, _LIMITED_ROWS):
        last = min(first + _LIMITED_ROWS, total)
        begin, end = max(0, first - margin), min(total, last + margin)
        spool.seek(begin * width * 4)
        held = np.frombuffer(spool.read((end - begin) * width * 4), np.float32).copy()
        limited = torch.maximum(torch.from_numpy(held).reshape(1, -1, width), lowest)
        features = frontend.finish(limited)
        if options.delta_order:
            features = add_deltas(
                features,
                torch.tensor([end - begin]),
                options.delta_order,
                options.delta_window,
                options.delta_method,
            )
        yield features[0, first - begin : last - begin]
