"""``seqlab align --manifest``: every utterance into a file of its own; goes on after a stop."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab.cli.terminal import Progress, say
from seqlab.errors import DataError, SeqlabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seqlab.data.utterance import Utterance
    from seqlab.model import SpeechModel
    from seqlab.text.timed import TimedSegment

LIST = "alignments.jsonl"
MOST_ERRORS = 20  # told one by one
Entry = dict[str, Any]  # a line of the list


def align_manifest(model: SpeechModel, args: argparse.Namespace, form: str) -> None:
    """Align every utterance, each into a file of its own.

    Raises:
        SeqlabError: utterances that could not be aligned; the others are.
    """
    from seqlab.data.feature_storage import json_line, sole_writer, write_lines
    from seqlab.data.manifest import read_manifest

    utterances = read_manifest(args.manifest, args.split)
    listed = Path(args.output) / LIST
    found: list[Entry] = []
    with sole_writer(listed.parent):
        known = read_list(listed, args.resume)
        with listed.open("ab") as listing, Progress(len(utterances), "aligning") as progress:
            listing.write(b"\n" if listing.tell() else b"")  # after a line that was cut short
            for entry, is_new in entries(model, args, form, utterances, known):
                found.append(entry)
                if is_new:
                    listing.write(json_line(entry))
                    listing.flush()
                progress.update(len(found))
        write_lines(listed, found)
    report(found, listed)


def entries(
    model: SpeechModel,
    args: argparse.Namespace,
    form: str,
    utterances: Sequence[Utterance],
    known: dict[str, Entry],
) -> Iterator[tuple[Entry, bool]]:
    """What the list says of each utterance, and whether it was aligned just now."""
    from seqlab.data.feature_inputs import safe_name
    from seqlab.data.manifest import write_atomically

    for utterance in utterances:
        name = "/".join(safe_name(part) for part in utterance.id.split("/")) + f".{form}"
        path = Path(args.output) / name
        entry: Entry = {"id": utterance.id, "file": name, "model": args.model}
        earlier = known.get(utterance.id, {})
        if entry.items() <= earlier.items() and path.is_file():
            yield earlier, False
            continue
        try:
            said = align_utterance(model, utterance)
            segments = [] if said is None else [said]
            text = render(segments, args, form, Path(utterance.path))
        except SeqlabError as error:
            yield entry | {"error": f"{utterance.id}: {error}"}, True
            continue
        write_atomically(path, text.encode())
        entry["confidence"] = said.confidence if said else 0.0
        yield (
            entry
            | ({"start_s": round(said.start_s, 6), "end_s": round(said.end_s, 6)} if said else {}),
            True,
        )


def align_utterance(model: SpeechModel, utterance: Utterance) -> TimedSegment | None:
    """When the words of one utterance were said, from the start of its file.

    Raises:
        SeqlabError: it has no transcript, or cannot be aligned.
    """
    from seqlab.inference.alignment import align_file

    if not utterance.transcript:
        raise DataError("it has no transcript; leave it out")
    whole = utterance.start_s == 0 and utterance.duration_s == utterance.recording_s
    (said,) = align_file(
        model,
        utterance.path,
        [utterance.transcript],
        start_s=utterance.start_s,
        duration_s=None if whole else utterance.duration_s,
    )
    return said


def render(said: Sequence[TimedSegment], args: argparse.Namespace, form: str, audio: Path) -> str:
    """The segments in the format that was asked for."""
    from seqlab.audio import audio_info
    from seqlab.text.timed import CueLayout, timed_text

    return timed_text(
        said,
        form,
        recording=audio.stem,
        duration_s=audio_info(audio).duration_s,
        layout=CueLayout(args.cue_characters, args.cue_lines),
    )


def read_list(path: Path, resume: bool) -> dict[str, Entry]:
    """What an earlier call finished, by id; a last line that was cut short is left out.

    Raises:
        DataError: there is an earlier call's list and no ``--resume``.
    """
    if not path.exists():
        return {}
    if not resume:
        raise DataError(
            f"{path.parent} holds the alignments of an earlier call, must be new; add --resume to "
            "go on, or choose another folder"
        )
    known = {}
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and "error" not in entry and {"id", "file"} <= entry.keys():
            known[str(entry["id"])] = entry
    return known


def report(found: Sequence[Entry], listed: Path) -> None:
    """Say how sure the alignments are, and which could not be made.

    Raises:
        SeqlabError: utterances that failed; the first ones are reported, one line each.
    """
    from seqlab.cli.main import report_error

    failed = [entry["error"] for entry in found if "error" in entry]
    sure = sorted(entry["confidence"] for entry in found if "error" not in entry)
    middle = f", median confidence {sure[len(sure) // 2]:.2f}" if sure else ""
    say(f"{len(sure)} utterances aligned{middle}; listed in {listed}")
    if len(failed) == 1:
        raise SeqlabError(failed[0])
    for line in failed[:MOST_ERRORS]:
        report_error(line)
    if failed:
        raise SeqlabError(
            f"{len(failed)} of {len(found)} utterances could not be aligned; listed in {listed}"
        )
