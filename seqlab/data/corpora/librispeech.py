"""LibriSpeech: read English books, 16 kHz, and corpora in the same layout."""

from __future__ import annotations

from pathlib import Path

from seqlab.data.corpora._layout import require_folder, table_splits, wrong_layout
from seqlab.data.manifest import Utterance, from_file
from seqlab.data.table import read_lines
from seqlab.errors import DataError

_EXPECTED = "train-clean-100 or the like, with speaker/chapter/*.flac and *.trans.txt"


def prepare(source: Path, *, parts: str = "") -> dict[str, list[Utterance]]:
    """One split for each part of LibriSpeech that is there, under its own name.

    A recipe then says ``train: [train-clean-100]``, ``dev: [dev-clean]`` and so on.

    Args:
        source: the folder ``LibriSpeech``, the folder that holds it, or one with
            ``manifest.tsv``.
        parts: names of the parts to take, by spaces; empty: all that are there.

    Raises:
        DataError: no such part, or transcripts and audio do not match.

    Source: openslr.org/12.
    """
    require_folder(source, "LibriSpeech", _EXPECTED)
    if (source / "manifest.tsv").is_file():
        return table_splits(source / "manifest.tsv")
    if (source / "LibriSpeech").is_dir():
        source = source / "LibriSpeech"
    there = {
        folder.name: lists
        for folder in sorted(source.iterdir())
        if folder.is_dir() and (lists := sorted(folder.glob("*/*/*.trans.txt")))
    }
    if not there:
        raise wrong_layout(source, "LibriSpeech", _EXPECTED)
    wanted = parts.split() or list(there)
    for part in wanted:
        if part not in there:
            raise DataError(
                f"parts: {part!r} is not in {source}, there are {', '.join(there)}; download it"
            )
    return {part: [u for path in there[part] for u in _chapter(path)] for part in wanted}


def _chapter(path: Path) -> list[Utterance]:
    utterances = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        utterance_id, _, transcript = line.partition(" ")
        speaker = utterance_id.split("-")[0]
        if not transcript.strip() or speaker != path.parent.parent.name:
            raise DataError(
                f"{path}:{number}: {line[:60]!r} must be speaker-chapter-number and a transcript; "
                "download the part again"
            )
        audio = path.parent / f"{utterance_id}.flac"
        if not audio.is_file():
            raise DataError(
                f"{path}:{number}: {audio.name} is missing beside it; download the part again"
            )
        utterances.append(
            from_file(audio, utterance_id, transcript=transcript.strip(), speaker=speaker)
        )
    return utterances
