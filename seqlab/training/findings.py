"""What an evaluation says, as plain values for people: the figure, the confusions, the worst.

The command line and the report show the same findings. Input are the records that
``Evaluation.to_dict`` makes, so that they can also be read back from ``evaluation.json``.
"""

from __future__ import annotations

import base64
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqlab.errors import SeqlabError
from seqlab.metrics import align_words, error_rate
from seqlab.training.charts import matrix_chart
from seqlab.training.event_figures import paired_events
from seqlab.training.validate import HIGHER_IS_BETTER

MAX_WORST = 12
MIN_SHOWN = 4
MAX_SPEAKERS = 100
METRIC_NAMES = {
    "word_error_rate": "word error rate",
    "character_error_rate": "character error rate",
    "accuracy": "accuracy",
    "event_f1": "event F1 (overlap of a half)",
    "event_precision": "event precision",
    "event_recall": "event recall",
    "onset_f1": "event F1 (onset within 200 ms)",
    "segment_f1": "segment F1 (1 s)",
    "average_precision_50": "average precision (overlap of a half)",
    "mean_average_precision": "average precision (overlaps of 0.5 to 0.95)",
}
WORST_TITLE = "Utterances to look at"
Facts = list[tuple[str, str]]
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as a percentage; what is not a number becomes a dash.

    >>> percent(0.1234), percent(None)
    ('12.3 %', '-')
    """
    return "-" if fraction is None else f"{100 * fraction:.{digits}f} %"


def interval_text(bounds: Sequence[float] | None) -> str:
    """A confidence interval in per cent; a dash where there is none.

    >>> interval_text((0.051, 0.092))
    '5.1 to 9.2 %'
    """
    return "-" if bounds is None else f"{100 * bounds[0]:.1f} to {percent(bounds[1])}"


def evaluation_contents(
    evaluations: Mapping[str, Mapping[str, Any]], max_pictures: int
) -> dict[str, Any]:
    """The parts of the page that tell how good the model is.

    Args:
        evaluations: By split; "test" is shown at length, or else the last one.
        max_pictures: Utterances shown with spectrogram and sound.
    """
    empty = ("headline", "matrix", "errors", "confusions", "speakers", "worst")
    if not evaluations:
        return dict.fromkeys(empty) | {"worst_title": ""}
    split = "test" if "test" in evaluations else list(evaluations)[-1]
    evaluation = evaluations[split]
    records = evaluation["records"]
    task = evaluation["task"]
    words = task != "classification"
    references = [record["reference"] for record in records]
    hypotheses = [record["hypothesis"] for record in records]
    worst = worst_records(records, words)
    return {
        "headline": headline(evaluations, split),
        "matrix": None if words else matrix_chart(references, hypotheses),
        "errors": error_facts(records) if task == "transcription" else None,
        "confusions": [] if task == "detection" else frequent_confusions(records, words),
        "speakers": speaker_rows(records, evaluation["metric"]),
        "worst": [show(record, task, i < max_pictures) for i, record in enumerate(worst)],
        "worst_title": WORST_TITLE,
    }


def headline(evaluations: Mapping[str, Mapping[str, Any]], split: str) -> dict[str, Any]:
    """The one figure, and the facts beside it."""
    evaluation = evaluations[split]
    records = evaluation["records"]
    facts: Facts = [("95 % interval", interval_text(evaluation["confidence_interval"]))]
    for name, value in evaluation["figures"].items():
        if name != evaluation["metric"]:
            facts.append((METRIC_NAMES.get(name, name), percent(value)))
    facts.append(("utterances", str(len(records))))
    if speakers := {record["speaker"] for record in records if record["speaker"]}:
        facts.append(("speakers", str(len(speakers))))
    if evaluation.get("loss") is not None:
        facts.append(("loss", f"{evaluation['loss']:.3f}"))
    metric = evaluation["metric"]
    for other in evaluations:
        if other != split:
            facts.append((f"on {other}", percent(evaluations[other]["value"])))
    name = METRIC_NAMES.get(metric, metric)
    return {
        "value": percent(evaluation["value"]),
        "name": name,
        "what": f"{name} on {split}",
        "facts": facts,
    }


def error_facts(records: Iterable[Mapping[str, Any]]) -> Facts:
    """Counts of word errors by kind, and of utterances without any."""
    found = list(records)
    total = error_rate([r["reference"] for r in found], [r["hypothesis"] for r in found])
    right = sum(record["errors"] == 0 for record in found)
    return [
        ("words", str(total.reference_length)),
        ("right", str(total.hits)),
        ("substituted", str(total.substitutions)),
        ("deleted", str(total.deletions)),
        ("inserted", str(total.insertions)),
        ("utterances without an error", f"{right} of {len(found)}"),
    ]


def frequent_confusions(records: Iterable[Mapping[str, Any]], words: bool) -> list[dict[str, Any]]:
    """The ten most frequent (true, answered) pairs that differ; "" where a word is missing."""
    counts: Counter[tuple[str, str]] = Counter()
    for record in records:
        if record["errors"]:
            pairs = aligned(record, words)
            counts.update((p["reference"], p["hypothesis"]) for p in pairs if p["wrong"])
    return [
        {"reference": reference, "hypothesis": hypothesis, "count": count}
        for (reference, hypothesis), count in counts.most_common(10)
    ]


def speaker_rows(
    records: Iterable[Mapping[str, Any]], metric: str, most: int | None = MAX_SPEAKERS
) -> list[dict[str, Any]]:
    """The figure of each speaker, the worst first; nothing where speakers are unknown.

    Args:
        records: As ``Evaluation.to_dict`` makes them.
        metric: "accuracy", "event_f1" or "word_error_rate".
        most: The worst speakers to keep; None keeps all.
    """
    by_speaker: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        if record["speaker"]:
            by_speaker[record["speaker"]].append(record)
    if len(by_speaker) < 2:
        return []
    rows = []
    for speaker, own in by_speaker.items():
        length = sum(record["reference_length"] for record in own)
        error = sum(record["errors"] for record in own) / max(length, 1)
        value = 1 - error if metric in HIGHER_IS_BETTER else error
        rows.append((error, {"speaker": speaker, "utterances": len(own), "value": value}))
    rows.sort(key=lambda row: (-row[0], row[1]["speaker"]))
    return [
        row | {"text": percent(row["value"]), "bar": round(100 * min(row["value"], 1), 1)}
        for _, row in rows[:most]
    ]


def worst_records(records: Iterable[Mapping[str, Any]], words: bool) -> list[Mapping[str, Any]]:
    """The utterances to look at: most word errors for their length, or wrong with confidence.

    Where few are wrong, the least confident of the right ones follow.
    """
    found = list(records)
    wrong = [record for record in found if record["errors"]]
    if words:
        wrong.sort(key=lambda r: (-r["errors"] / max(r["reference_length"], 1), r["id"]))
    else:
        wrong.sort(key=lambda r: (-r["confidence"], r["id"]))
    right = [record for record in found if not record["errors"]]
    right.sort(key=lambda r: (r["confidence"], r["id"]))
    return wrong[:MAX_WORST] + right[: max(0, MIN_SHOWN - len(wrong))]


def aligned(record: Mapping[str, Any], words: bool) -> list[dict[str, Any]]:
    """Reference and answer side by side, word by word; "" where one of them has none."""
    if not words:
        pairs = [(record["reference"], record["hypothesis"])]
    else:
        alignment = align_words(record["reference"], record["hypothesis"])
        pairs = [(said, heard) for _, said, heard in alignment.steps]
    return [{"reference": r, "hypothesis": h, "wrong": r != h} for r, h in pairs]


def paired(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """True and found events side by side; "" where one has no counterpart."""
    pairs = paired_events(record["reference"], record["hypothesis"])
    return [{"reference": r, "hypothesis": h, "wrong": not (r and h)} for r, h in pairs]


def show(record: Mapping[str, Any], task: str, with_picture: bool) -> dict[str, Any]:
    """One utterance as the template shows it."""
    picture, sound = recording_uris(record) if with_picture else (None, None)
    sure = f"{100 * record['confidence']:.0f} % confident"
    count, length = record["errors"], record["reference_length"]
    note, events = sure, task == "detection"
    if task == "transcription":
        note = f"{_count(count, 'error')} in {_count(length, 'word')}, {sure}"
    elif events:
        note = f"{_count(count, 'event')} missed or wrong, {sure}"
    return {
        "id": record["id"],
        "speaker": record["speaker"],
        "note": f"{note}, {record['duration_s']:.1f} s",
        "words": paired(record) if events else aligned(record, task == "transcription"),
        "picture": picture,
        "width": round(max(120, 190 * record["duration_s"])),
        "audio": sound,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def recording_uris(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The log-mel picture and the sound of an utterance as data URIs; None where it is gone.

    A picture of a line of text stands for itself, and has no sound.
    """
    import soundfile

    from seqlab.audio import audio_info, load_audio
    from seqlab.frontend.logmel import LogMel
    from seqlab.plot import features_png

    try:
        if audio_info(record["path"]).format == "PNG":
            return data_uri("image/png", Path(record["path"]).read_bytes()), None
        waveform, sample_rate = load_audio(
            record["path"], start_s=record["start_s"], duration_s=record["duration_s"]
        )
        frontend = LogMel.from_preset("kaldi", sample_rate=sample_rate, n_mels=40)
        png = features_png(frontend.extract(waveform, sample_rate))
    except SeqlabError:
        return None, None
    small = sample_rate in _MP3_RATES and "MP3" in soundfile.available_formats()
    kind = "MP3" if small else "WAV"
    sound = io.BytesIO()
    soundfile.write(sound, waveform.numpy(), sample_rate, format=kind)
    mime = "audio/mpeg" if kind == "MP3" else "audio/wav"
    return data_uri("image/png", png), data_uri(mime, sound.getvalue())


def data_uri(mime: str, content: bytes) -> str:
    """Content as a ``data:`` address, which a page holds within itself."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
