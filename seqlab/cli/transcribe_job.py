"""The files of one run of ``seqlab transcribe``: heard in turn, bad ones noted, with progress."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from seqlab.cli.terminal import Progress
from seqlab.errors import AudioError

if TYPE_CHECKING:
    from seqlab.inference.cutting import Cutting
    from seqlab.inference.stitching import Heard
    from seqlab.model import SpeechModel
    from seqlab.text.segments import TimedSegment

WHOLE_S = 30.0  # recordings up to this long are heard whole, unless there is a format


class Job:
    """All files of a run: the model, its settings, and progress over their seconds.

    Args:
        args: of the command.
        model: a recogniser.
        decoder: None for the model's own.
        cutting: where long recordings are cut.
    """

    def __init__(
        self, args: argparse.Namespace, model: SpeechModel, decoder: Any, cutting: Cutting
    ) -> None:
        self.model, self.decoder, self.cutting = model, decoder, cutting
        self.batch_size, self.files = args.batch_size, args.files
        self.failed: list[str] = []

    def each(
        self,
        hear: Callable[[int, str], Iterator[Heard]],
        said: Callable[[int, Iterator[TimedSegment]], None],
        empty: bool = False,
    ) -> None:
        """Hear every file, and hand over its segments; bad files are noted, others go on.

        Args:
            hear: maps place and name of a file to its pieces.
            said: takes place and segments of a file, which come as they are ready.
            empty: whether there are segments without text among them.
        """
        from seqlab.inference.recordings import duration_s
        from seqlab.inference.stitching import stitched

        lengths: dict[int, float] = {}
        for place, file in enumerate(self.files):
            with self._noting(file):
                lengths[place] = duration_s(file)
        done = 0.0
        with Progress(max(1, round(sum(lengths.values()))), "seconds of audio") as self.progress:
            for place, length_s in lengths.items():
                with self._noting(self.files[place]):
                    pieces = self._followed(hear(place, self.files[place]), done)
                    said(place, stitched(pieces, empty=empty))
                done += length_s
                self.progress.update(round(done))

    def whole_or_cut(self, _: int, file: str) -> Iterator[Heard]:
        """The pieces of a file, a single one if it is short."""
        from seqlab.inference.recordings import duration_s, hear_whole

        if duration_s(file) <= WHOLE_S:
            return iter([hear_whole(self.model, file, self.decoder)])
        return self.cut(file)

    def cut(self, file: str, skip: int = 0) -> Iterator[Heard]:
        """The pieces of a file, but for the first ``skip``."""
        from seqlab.inference.recordings import hear_recording

        return hear_recording(
            self.model,
            file,
            decoder=self.decoder,
            cutting=self.cutting,
            batch_size=self.batch_size,
            skip=skip,
        )

    def _followed(self, pieces: Iterator[Heard], before_s: float) -> Iterator[Heard]:
        for heard in pieces:
            self.progress.update(round(before_s + heard.segment.end_s))
            yield heard

    def _noting(self, file: str) -> Noting:
        return Noting(self.failed, file)


class Noting:
    """A block whose AudioError becomes a line about a file.

    Args:
        failed: takes the line.
        file: its name.
    """

    def __init__(self, failed: list[str], file: str) -> None:
        self.failed, self.file = failed, file

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, AudioError):
            return False
        text = str(error)
        self.failed.append(text if self.file in text else f"{self.file}: {text}")
        return True
