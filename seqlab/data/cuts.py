"""Lhotse cuts: the form in which manifests are kept.

Reading takes the JSON as data and never runs anything; lhotse itself is imported to write only.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from seqlab.data.utterance import Utterance, from_file
from seqlab.errors import DataError
from seqlab.events.event import Event

MAX_LINE = 2**24  # characters; a compressed line could fill the memory


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and objects of a ``.jsonl`` or ``.jsonl.gz`` file.

    Raises:
        DataError: naming file and line.
    """
    number = 0
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(iter(partial(lines.readline, MAX_LINE + 1), ""), start=1):
                if len(line) > MAX_LINE:
                    raise DataError(
                        f"{path}:{number}: longer than {MAX_LINE} characters, must be one lhotse "
                        "cut; make the manifest anew"
                    )
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


def from_cut(cut: dict[str, Any], folder: Path, where: str) -> Utterance:
    """The utterance of a lhotse cut; ``where`` is its file and line, for errors.

    Raises:
        DataError: the cut is not one part of one audio file.
    """
    kind = cut.get("type", "MonoCut")
    if kind != "MonoCut":
        raise DataError(
            f"{where}: a {kind}, must be a MonoCut with one audio file; save mixed or "
            "multi-channel cuts to audio first (lhotse: CutSet.save_audios)"
        )
    supervisions = cut.get("supervisions") or []
    custom = cut.get("custom") or {}
    has_events = isinstance(custom, dict) and bool(custom.get("events"))
    if len(supervisions) > 1 and not has_events:
        raise DataError(
            f"{where}: {len(supervisions)} supervisions in one cut, must be at most 1; "
            "cut it (lhotse: CutSet.trim_to_supervisions)"
        )
    supervision = supervisions[0] if supervisions and not has_events else {}
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
            speaker=_text((custom if has_events else supervision).get("speaker"), where),
            recording_s=float(recording["duration"]),
            events=tuple(map(_event, supervisions)) if has_events else None,
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


def _event(supervision: dict[str, Any]) -> Event:
    onset_s = float(supervision["start"])
    label = supervision["custom"]["event"]
    if not isinstance(label, str):
        raise TypeError(f"event {label!r} is no text")
    return Event(label, onset_s, onset_s + float(supervision["duration"]))


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


def to_cut(utterance: Utterance) -> dict[str, Any]:
    """The lhotse cut of an utterance, as plain values: transcript, speaker, and custom label.

    Events are supervisions, with onset as start and a custom ``event``, in a cut whose custom
    ``events`` is true and whose custom ``speaker`` is that of the utterance.
    """
    from lhotse import MonoCut, Recording, SupervisionSegment
    from lhotse.audio import AudioSource

    recording_s = utterance.recording_s
    if recording_s is None:
        recording_s = from_file(utterance.path, utterance.id).duration_s
    recording_id = f"{Path(utterance.path).parent.name}/{Path(utterance.path).stem}"
    supervisions = [
        SupervisionSegment(
            id=utterance.id,
            recording_id=recording_id,
            start=0.0,
            duration=utterance.duration_s,
            text=utterance.transcript,
            speaker=utterance.speaker,
            custom=None if utterance.label is None else {"label": utterance.label},
        )
    ]
    if utterance.events is not None:
        supervisions = [
            SupervisionSegment(
                id=f"{utterance.id}-{number}",
                recording_id=recording_id,
                start=event.onset_s,
                duration=round(event.duration_s, 9),
                custom={"event": event.label},
            )
            for number, event in enumerate(utterance.events)
        ]
    recording = Recording(
        id=recording_id,
        sources=[AudioSource(type="file", channels=[0], source=utterance.path)],
        sampling_rate=utterance.sample_rate,
        num_samples=round(recording_s * utterance.sample_rate),
        duration=recording_s,
    )
    custom = None
    if utterance.events is not None:
        custom = {"events": True, "speaker": utterance.speaker}
    cut = MonoCut(
        id=utterance.id,
        start=utterance.start_s,
        duration=utterance.duration_s,
        channel=0,
        supervisions=supervisions,
        recording=recording,
        custom=custom,
    )
    return dict(cut.to_dict())
