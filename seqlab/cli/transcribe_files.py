"""What ``seqlab transcribe`` does with ``--format`` and ``-o``: files of timed text."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab.cli.decoding_options import decoding_settings
from seqlab.cli.terminal import duration, say
from seqlab.errors import DataError

if TYPE_CHECKING:
    from seqlab.inference.cutting import Cutting
    from seqlab.inference.journal import Journal
    from seqlab.inference.stitching import Heard
    from seqlab.model import SpeechModel

FORMATS = {form.lower(): form for form in ("txt", "srt", "vtt", "json", "ctm", "TextGrid")}
JOURNALS = ".seqlab-transcribe"  # the folder in that of the results


@dataclasses.dataclass(frozen=True)
class Target:
    """Where the text of a recording goes.

    Args:
        form: one of the values of ``FORMATS``.
        path: of the file; None for standard output.
        journal: of what is done of it; None where nothing is kept.
    """

    form: str
    path: Path | None = None
    journal: Path | None = None


def targets(args: argparse.Namespace) -> list[Target]:
    """Where the text of each file goes.

    Raises:
        DataError: two would go to the same file, or into one that cannot hold several.
    """
    files = [Path(file) for file in args.files]
    if args.output is None:
        form = FORMATS[args.format]
        if len(files) > 1 and form not in ("txt", "ctm"):
            raise DataError(f"--format {args.format} of {len(files)} recordings needs -o FOLDER")
        return [Target(form)] * len(files)
    output = Path(args.output)
    known = FORMATS.get(output.suffix[1:].lower())
    if len(files) == 1 and not output.is_dir() and (known or args.format) and output.suffix:
        form = FORMATS[args.format] if args.format else str(known)
        _check_apart({output: files[0]}, files)
        return [Target(form, output)]
    if output.exists() and not output.is_dir():
        raise DataError(f"-o {args.output} is a file, must be a folder for {len(files)} recordings")
    form = FORMATS[args.format or "txt"]
    return _in_folder(files, output, form)


def _in_folder(files: Sequence[Path], folder: Path, form: str) -> list[Target]:
    found: dict[Path, Path] = {}
    made = []
    for file in files:
        path = folder / f"{file.stem}.{form}"
        other = found.setdefault(path, file)
        if other is not file:
            raise DataError(f"{other} and {file} would both go to {path}; rename one, or two runs")
        made.append(Target(form, path, folder / JOURNALS / f"{file.stem}.jsonl"))
    _check_apart(found, files)
    return made


def _check_apart(outputs: dict[Path, Path], files: Sequence[Path]) -> None:
    for path, file in outputs.items():
        if any(path.exists() and other.exists() and path.samefile(other) for other in files):
            raise DataError(f"the text of {file} would replace the recording {path}; name another")


def run_key(args: argparse.Namespace, model: SpeechModel, cutting: Cutting) -> list[Any]:
    """What the answers depend on beside the recording: model, settings, version."""
    from seqlab import __version__
    from seqlab.inference.journal import file_key

    folder = Path(args.model).expanduser()
    if (folder / "model").is_dir() and not (folder / "config.json").exists():
        folder = folder / "model"
    parts = [(path.name, file_key(path)) for path in sorted(folder.iterdir()) if path.is_file()]
    settings = decoding_settings(args)
    named = [settings.language_model, settings.lexicon] if settings else []
    return [
        __version__,
        parts,
        None if settings is None else dataclasses.asdict(settings),
        [file_key(name) for name in named if name is not None],
        sorted(args.hotword or []),
        getattr(model.encoder, "chunk_frames", None),
        dataclasses.asdict(cutting),
    ]


def journaled(
    journal: Journal, file: str, hear: Callable[[int], Iterator[Heard]], batch: int
) -> Iterator[Heard]:
    """What was heard of a recording before, and the rest, which the journal keeps.

    Args:
        journal: of the recording.
        file: its name.
        hear: maps a number of pieces to those that follow.
        batch: pieces that are kept at a time.
    """
    done = list(journal.heard)
    if done and not journal.finished:
        say(f"{file}: goes on at {duration(done[-1].segment.end_s)}")
    yield from done
    if journal.finished:
        return
    waiting: list[Heard] = []
    try:
        for heard in hear(len(done)):
            waiting.append(heard)
            if len(waiting) == batch:
                journal.append(waiting)
                waiting = []
            yield heard
    finally:  # stopped by Ctrl-C, or a recording that is damaged further on
        if waiting:
            journal.append(waiting)
    journal.finish()


def write_whole(path: Path, text: str) -> None:
    """Write a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        fresh.write_text(text, encoding="utf-8", newline="\n")
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
