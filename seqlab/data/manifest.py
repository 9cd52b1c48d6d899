"""Utterances, and the manifests that hold them: one line a recording or a part of one."""

from __future__ import annotations

import gzip
import json
import math
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seqlab.errors import DataError


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance: where its audio lies, and what is known about it.

    Args:
        id: unique within a split; random numbers of augmentation depend on it.
        path: absolute path of the audio file.
        start_s: first second of the utterance within the file, at least 0.
        duration_s: length in seconds, more than 0.
        sample_rate: of the file, in Hz.
        transcript: the words spoken, where they are known.
        label: the class, where the corpus is one for classification.
        speaker: None where the speaker is not known.
        recording_s: length of the whole file in seconds; None: read from the file when needed.

    Raises:
        DataError: a value outside its range.

    Example:
        >>> Utterance("a", "/a.wav", 0.0, 1.5, 16000, transcript="YES").target
        'YES'
    """

    id: str
    path: str
    start_s: float
    duration_s: float
    sample_rate: int
    transcript: str | None = None
    label: str | None = None
    speaker: str | None = None
    recording_s: float | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise DataError(f"an utterance of {self.path} has an empty id; give each its own")
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise DataError(
                f"utterance {self.id}: start_s={self.start_s} must be 0 or more; correct it"
            )
        if not (math.isfinite(self.duration_s) and self.duration_s > 0):
            raise DataError(
                f"utterance {self.id}: duration_s={self.duration_s} must be more than 0; "
                "leave the utterance out"
            )
        if self.sample_rate <= 0:
            raise DataError(
                f"utterance {self.id}: sample_rate={self.sample_rate} must be more than 0; "
                "correct it"
            )

    @property
    def target(self) -> str | None:
        """What a model learns to say: the label where there is one, else the transcript."""
        return self.label if self.label is not None else self.transcript


def from_file(
    path: str | os.PathLike[str],
    utterance_id: str,
    *,
    transcript: str | None = None,
    label: str | None = None,
    speaker: str | None = None,
) -> Utterance:
    """Utterance of a whole file, its duration and rate read from the file's header.

    Raises:
        AudioError: the file is missing or is no audio.
        DataError: the file holds no samples.
    """
    from seqlab.audio import audio_info

    absolute = os.path.abspath(path)
    info = audio_info(absolute)
    if info.num_samples == 0:
        raise DataError(f"{absolute} holds 0 samples, must hold at least 1; leave the file out")
    duration_s = info.num_samples / info.sample_rate
    return Utterance(
        id=utterance_id,
        path=absolute,
        start_s=0.0,
        duration_s=duration_s,
        sample_rate=info.sample_rate,
        transcript=transcript,
        label=label,
        speaker=speaker,
        recording_s=duration_s,
    )


def cut(whole: Utterance, utterance_id: str, start_s: float, duration_s: float) -> Utterance:
    """Part of the utterance ``whole`` of an entire file, as a new utterance.

    Raises:
        DataError: the part reaches beyond the end of the file (half a millisecond is forgiven).
    """
    end_s = whole.duration_s
    if start_s + duration_s > end_s + 5e-4:
        raise DataError(
            f"utterance {utterance_id}: start_s={start_s} + duration_s={duration_s} reaches beyond "
            f"the end of {whole.path} at {end_s:.4f} s; correct the times or the file"
        )
    return replace(
        whole,
        id=utterance_id,
        start_s=start_s,
        duration_s=min(duration_s, end_s - start_s),
        recording_s=end_s,
    )


def check_ids(utterances: Iterable[Utterance], where: str) -> None:
    """Raise DataError if two utterances of ``where`` share an id."""
    seen: set[str] = set()
    for utterance in utterances:
        if utterance.id in seen:
            raise DataError(
                f"{where}: the id {utterance.id!r} occurs twice, must be unique; rename one"
            )
        seen.add(utterance.id)


def read_manifest(path: str | os.PathLike[str]) -> list[Utterance]:
    """Read a manifest: a lhotse CutSet (``.jsonl``, ``.jsonl.gz``) or a table (``.tsv``).

    Relative audio paths are taken from the manifest's own folder. The audio itself is not
    opened, except for a table, which does not hold the sample rate.

    Args:
        path: the manifest.

    Returns:
        The utterances in the order of the file; of all splits where a table names several.

    Raises:
        DataError: missing or damaged file; the message names the line.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        found = "a folder" if path.is_dir() else "missing"
        raise DataError(
            f"manifest {path} is {found}, must be a .jsonl, .jsonl.gz or .tsv file; "
            "make one with seqlab prepare"
        )
    if path.suffix == ".tsv":
        from seqlab.data.table import read_table

        rows = read_table(path)
        return [utterance for _, utterance in rows]
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise DataError(
            f"manifest {path} must end in .jsonl, .jsonl.gz or .tsv; rename it, or make one "
            "with seqlab prepare"
        )
    utterances = [
        _from_cut(cut, path.parent.absolute(), f"{path}:{number}")
        for number, cut in _json_lines(path)
    ]
    check_ids(utterances, str(path))
    return utterances


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, _json_object(line, f"{path}:{number}")
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}:{number + 1}: damaged or not what its name says ({error}); "
            "make the manifest anew"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the file") from None


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not JSON ({error.msg} at column {error.colno}); each line must be one "
            "lhotse cut; make the manifest anew"
        ) from None
    except (RecursionError, ValueError):
        raise DataError(
            f"{where}: JSON nested too deep or a number too long, must be one lhotse cut; make "
            "the manifest anew"
        ) from None
    if not isinstance(value, dict):
        raise DataError(
            f"{where}: {type(value).__name__} must be a JSON object describing a lhotse cut; "
            "make the manifest anew"
        )
    return value


def _from_cut(cut: dict[str, Any], folder: Path, where: str) -> Utterance:
    kind = cut.get("type", "MonoCut")
    if kind != "MonoCut":
        raise DataError(
            f"{where}: a {kind}, must be a MonoCut with one audio file; save mixed or "
            "multi-channel cuts to audio first (lhotse: CutSet.save_audios)"
        )
    supervisions = cut.get("supervisions") or []
    if len(supervisions) > 1:
        raise DataError(
            f"{where}: {len(supervisions)} supervisions in one cut, must be at most 1; "
            "cut it (lhotse: CutSet.trim_to_supervisions)"
        )
    supervision = supervisions[0] if supervisions else {}
    try:
        recording = cut["recording"]
        return Utterance(
            id=str(cut["id"]),
            path=_source(recording, folder, where),
            start_s=float(cut["start"]),
            duration_s=float(cut["duration"]),
            sample_rate=int(recording["sampling_rate"]),
            transcript=_text(supervision.get("text"), where),
            label=_text((supervision.get("custom") or {}).get("label"), where),
            speaker=_text(supervision.get("speaker"), where),
            recording_s=float(recording["duration"]),
        )
    except KeyError as error:
        raise DataError(
            f"{where}: {error.args[0]!r} is missing in the cut; make the manifest anew"
        ) from None
    except DataError as error:
        raise DataError(str(error) if where in str(error) else f"{where}: {error}") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{where}: a value has the wrong type ({error}); make the manifest anew"
        ) from None


def _text(value: object, where: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise DataError(f"{where}: {value!r} must be text; put it in quotation marks")


def _source(recording: dict[str, Any], folder: Path, where: str) -> str:
    sources = recording["sources"]
    if len(sources) != 1 or sources[0].get("type") != "file":
        kinds = ", ".join(str(source.get("type")) for source in sources) or "none"
        raise DataError(
            f"{where}: audio sources {kinds}, must be one of type 'file'; save the audio to "
            "files first (commands are never executed)"
        )
    if recording.get("transforms"):
        raise DataError(
            f"{where}: the recording has transforms, must have none; save the changed audio to "
            "files first (lhotse: CutSet.save_audios)"
        )
    if len(sources[0].get("channels", [0])) > 1:
        raise DataError(f"{where}: several channels, must be 1; save each channel to its own file")
    return str(os.path.normpath(folder / sources[0]["source"]))


def write_manifest(utterances: Iterable[Utterance], path: str | os.PathLike[str]) -> None:
    """Write utterances as a lhotse CutSet, ``.jsonl`` or ``.jsonl.gz``.

    The file appears whole or not at all, and equal utterances give equal bytes.

    Raises:
        DataError: two utterances share an id, or the file cannot be written.
    """
    path = Path(path)
    utterances = list(utterances)
    check_ids(utterances, str(path))
    text = "".join(json.dumps(_to_cut(u), ensure_ascii=False) + "\n" for u in utterances)
    data = text.encode()
    write_atomically(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` is never seen half written; folders are made.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror}); choose another folder"
        ) from None


def _to_cut(utterance: Utterance) -> dict[str, Any]:
    from lhotse import MonoCut, Recording, SupervisionSegment
    from lhotse.audio import AudioSource

    recording_s = utterance.recording_s
    if recording_s is None:
        recording_s = from_file(utterance.path, utterance.id).duration_s
    recording_id = f"{Path(utterance.path).parent.name}/{Path(utterance.path).stem}"
    supervision = SupervisionSegment(
        id=utterance.id,
        recording_id=recording_id,
        start=0.0,
        duration=utterance.duration_s,
        text=utterance.transcript,
        speaker=utterance.speaker,
        custom=None if utterance.label is None else {"label": utterance.label},
    )
    recording = Recording(
        id=recording_id,
        sources=[AudioSource(type="file", channels=[0], source=utterance.path)],
        sampling_rate=utterance.sample_rate,
        num_samples=round(recording_s * utterance.sample_rate),
        duration=recording_s,
    )
    cut = MonoCut(
        id=utterance.id,
        start=utterance.start_s,
        duration=utterance.duration_s,
        channel=0,
        supervisions=[supervision],
        recording=recording,
    )
    return dict(cut.to_dict())
