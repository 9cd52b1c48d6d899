"""Kaldi data directories: wav.scp, text, utt2spk, segments."""

from __future__ import annotations

import math
from pathlib import Path

from seqlab.data.corpora._layout import require_folder, wrong_layout
from seqlab.data.manifest import Utterance, cut, from_file
from seqlab.data.table import read_lines
from seqlab.errors import AudioError, DataError

_EXPECTED = "wav.scp, or folders such as train and test with one each"


def prepare(
    source: Path, *, split: str = "train", audio_root: str = ""
) -> dict[str, list[Utterance]]:
    """Splits of one Kaldi data directory, or of a folder of several.

    ``wav.scp`` names audio files; commands (lines that end in ``|``) are refused and never run.
    ``text`` and ``utt2spk`` may be missing; with ``segments`` utterances are parts of recordings.

    Args:
        source: a data directory, which becomes ``split``; or a folder of data directories, each
            of which becomes the split of its name.
        split: name for a single data directory.
        audio_root: folder that relative paths in wav.scp start from; empty: the data directory.

    Raises:
        DataError: naming file and line.

    Source: kaldi-asr.org/doc/data_prep.html.
    """
    require_folder(source, "a Kaldi corpus", _EXPECTED)
    if (source / "wav.scp").is_file():
        folders = {split: source}
    else:
        folders = {
            folder.name: folder
            for folder in sorted(source.iterdir())
            if (folder / "wav.scp").is_file()
        }
    if not folders:
        raise wrong_layout(source, "a Kaldi corpus", _EXPECTED)
    root = Path(audio_root).expanduser() if audio_root else None
    return {name: _directory(folder, root or folder) for name, folder in folders.items()}


def _directory(folder: Path, audio_root: Path) -> list[Utterance]:
    recordings = _recordings(folder / "wav.scp", audio_root)
    if (folder / "segments").is_file():
        utterances = _segments(folder / "segments", recordings)
    else:
        utterances = recordings
    texts = _table(folder / "text") if (folder / "text").is_file() else None
    speakers = _table(folder / "utt2spk") if (folder / "utt2spk").is_file() else {}
    found = []
    for utterance_id, utterance in utterances.items():
        if texts is not None and utterance_id not in texts:
            raise DataError(
                f"{folder / 'text'}: no line for utterance {utterance_id!r}, must have one for "
                "each; add it, or remove the utterance from wav.scp or segments"
            )
        speaker = speakers[utterance_id][1] if utterance_id in speakers else None
        found.append(
            Utterance(
                id=utterance_id,
                path=utterance.path,
                start_s=utterance.start_s,
                duration_s=utterance.duration_s,
                sample_rate=utterance.sample_rate,
                transcript=None if texts is None else texts[utterance_id][1],
                speaker=speaker,
                recording_s=utterance.recording_s,
            )
        )
    return found


def _recordings(path: Path, audio_root: Path) -> dict[str, Utterance]:
    recordings = {}
    for recording_id, (where, target) in _table(path).items():
        if target.startswith("|") or target.endswith("|"):
            raise DataError(
                f"{where}: {target[:60]!r} is a command, must be an audio file; commands are not "
                "run, write the audio to files first (Kaldi: wav-copy)"
            )
        if not target:
            raise DataError(f"{where}: no audio file for {recording_id!r}; add its path")
        name, _, offset = target.rpartition(":")
        if name.endswith(".ark") and offset.isdigit():
            raise DataError(
                f"{where}: {target!r} lies in an archive, must be an audio file; write it to "
                "files first (Kaldi: wav-copy)"
            )
        try:
            recordings[recording_id] = from_file(audio_root / target, recording_id)
        except (AudioError, DataError) as error:
            raise type(error)(
                f"{where}: {error} (relative paths start from {audio_root}; see audio_root)"
            ) from None
    return recordings


def _segments(path: Path, recordings: dict[str, Utterance]) -> dict[str, Utterance]:
    utterances = {}
    for utterance_id, (where, rest) in _table(path).items():
        fields = rest.split()
        if len(fields) not in (3, 4):
            raise DataError(
                f"{where}: {len(fields) + 1} fields, must be utterance, recording, start and end "
                "in seconds; correct the line"
            )
        if fields[0] not in recordings:
            raise DataError(
                f"{where}: recording {fields[0]!r} is not in wav.scp; add it there, or drop the "
                "segment"
            )
        start_s, end_s = (_seconds(text, where) for text in fields[1:3])
        whole = recordings[fields[0]]
        if end_s == -1:
            end_s = whole.duration_s
        if not 0 <= start_s < end_s:
            raise DataError(
                f"{where}: start {start_s} and end {end_s} must be 0 <= start < end; correct them"
            )
        try:
            utterances[utterance_id] = cut(whole, utterance_id, start_s, end_s - start_s)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
    return utterances


def _seconds(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: {text!r} must be a number of seconds; correct it")
    return value


def _table(path: Path) -> dict[str, tuple[str, str]]:
    """First field of each line -> (where it stands, the rest of the line)."""
    table: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        key, *rest = line.split(maxsplit=1)
        where = f"{path}:{number}"
        if key in table:
            raise DataError(
                f"{where}: {key!r} stands in {table[key][0]} already; keys must be unique, "
                "remove one"
            )
        table[key] = (where, rest[0].strip() if rest else "")
    if not table:
        raise DataError(f"{path}: empty, must have at least one line; write it anew")
    return table
