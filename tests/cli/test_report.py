"""The report: self-contained, harmless, complete, and drawn from whatever a run has left."""

from __future__ import annotations

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seqlab.errors import TrainingError
from seqlab.training import findings
from seqlab.training.charts import line_chart, matrix_chart, nice_ticks
from seqlab.training.report import report_page, training_charts, write_report
from tests.cli.conftest import Trained

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>\"' & {{ 7 * 7 }}"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def record(reference: str, hypothesis: str, **changes: Any) -> dict[str, Any]:
    words = findings.align_words(reference, hypothesis)
    return {
        "id": "u",
        "reference": reference,
        "hypothesis": hypothesis,
        "confidence": 0.5,
        "speaker": "s",
        "loss": 1.0,
        "errors": words.errors,
        "reference_length": words.reference_length,
        "path": "/nowhere.wav",
        "start_s": 0.0,
        "duration_s": 1.0,
    } | changes


def evaluation(records: list[dict[str, Any]], task: str = "transcription") -> dict[str, Any]:
    metric = "word_error_rate" if task == "transcription" else "accuracy"
    return {
        "task": task,
        "loss": 0.25,
        "metric": metric,
        "value": 0.125,
        "confidence_interval": [0.1, 0.2],
        "figures": {metric: 0.125, "character_error_rate": 0.05},
        "records": records,
    }


def write_run(folder: Path, evaluations: dict[str, Any], **files: str) -> None:
    (folder / "evaluation.json").write_text(json.dumps(evaluations), encoding="utf-8")
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("which", ["keywords", "speech"])
def test_report_of_a_training_is_whole_and_fetches_nothing(
    which: str, request: pytest.FixtureRequest
) -> None:
    run: Trained = request.getfixturevalue(which)
    page = (run.run / "report.html").read_text(encoding="utf-8")
    reader = Reader(page)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert not re.search(r"https?:|@import|url\(", page)
    for tag, attributes in reader.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")
        assert not any(name.startswith("on") for name in attributes), tag
    for heading in ("Training", "Speakers", "Model and machine", "Reproduce", "Recipe"):
        assert heading in reader.text
    assert ("Confusion matrix" in reader.text) == (which == "keywords")
    assert ("Synthetic speech:" in reader.text) == (which == "keywords")
    images = [a["src"] for tag, a in reader.tags if tag == "img"]
    assert images
    for image in images:
        assert base64.b64decode((image or "").partition(",")[2]).startswith(b"\x89PNG")


def test_report_escapes_everything(tmp_path: Path) -> None:
    records = [record(f"a {EVIL}", f"{EVIL} b", id=EVIL, speaker=EVIL, path=EVIL)]
    records.append(record("x", "y", speaker="other"))
    rows = [{"step": 1, "epoch": 1, "train_loss": 1.0, "learning_rate": 0.1}]
    write_run(
        tmp_path,
        {EVIL: evaluation(records)},
        recipe__yaml=json.dumps({"title": EVIL, "synthetic": True}),
        run__json=json.dumps({"command": ["seqlab", EVIL], "machine": {EVIL: EVIL}}),
        metrics__jsonl="\n".join(map(json.dumps, rows)),
    )
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"components": {EVIL: EVIL}}))
    page = write_report(tmp_path).read_text(encoding="utf-8")
    reader = Reader(page)
    assert {tag for tag, _ in reader.tags}.isdisjoint({"script", "img"})
    assert all(not name.startswith("on") for _, a in reader.tags for name in a)
    assert reader.text.count("<script>alert('x')</script>") >= 4
    assert "{{ 7 * 7 }}" in reader.text  # text is data, never a template


def test_report_escapes_labels_of_a_confusion_matrix(tmp_path: Path) -> None:
    records = [record(EVIL, "b", errors=1), record("b", "b", errors=0, id=EVIL)]
    write_run(tmp_path, {"test": evaluation(records, "classification")})
    reader = Reader(report_page(tmp_path))
    assert {tag for tag, _ in reader.tags}.isdisjoint({"script", "img"})


def test_report_without_any_file_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no files of a run"):
        write_report(tmp_path)


@pytest.mark.parametrize("name", ["run.json", "evaluation.json"])
def test_report_of_damaged_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{")
    with pytest.raises(TrainingError, match=name):
        write_report(tmp_path)


def test_report_of_metrics_alone(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "epoch": 1, "train_loss": 2.0}\n{"st')
    reader = Reader(report_page(tmp_path))
    assert "Loss" in reader.text
    assert "Speakers" not in reader.text


def test_test_split_is_the_headline(tmp_path: Path) -> None:
    dev = evaluation([record("a", "a")]) | {"value": 0.5}
    write_run(tmp_path, {"test": evaluation([record("a b", "a")]), "dev": dev})
    text = Reader(report_page(tmp_path)).text
    assert "12.5 %" in text
    assert "word error rate on test" in text
    assert re.search(r"on dev\s*50\.0 %", text)


def test_alignment_of_words() -> None:
    rows = findings.aligned(record("a b c", "a x c d"), words=True)
    assert [(w["reference"], w["hypothesis"], w["wrong"]) for w in rows] == [
        ("a", "a", False),
        ("b", "x", True),
        ("c", "c", False),
        ("", "d", True),
    ]


def test_worst_come_first_then_the_least_confident() -> None:
    records = [
        record("a b", "a b", id="sure", confidence=0.9),
        record("a b", "a", id="half"),
        record("a", "", id="all"),
        record("a", "a", id="unsure", confidence=0.1),
    ]
    found = [entry["id"] for entry in findings.worst_records(records, words=True)]
    assert found == ["all", "half", "unsure", "sure"]


def test_speakers_are_ratios_of_sums_worst_first() -> None:
    records = [
        record("a b c", "a b c", speaker="good"),
        record("a", "b", speaker="mixed"),
        record("a b c", "a b c", speaker="mixed"),
    ]
    rows = findings.speaker_rows(records, "word_error_rate")
    assert [(row["speaker"], row["value"]) for row in rows] == [("mixed", 0.25), ("good", 0.0)]
    assert findings.speaker_rows(records[1:], "word_error_rate") == []
    many = [{**records[0], "speaker": f"s{number}"} for number in range(150)]
    assert len(findings.speaker_rows(many, "word_error_rate")) == findings.MAX_SPEAKERS
    assert len(findings.speaker_rows(many, "word_error_rate", most=None)) == 150


def test_frequent_confusions_count_pairs() -> None:
    records = [record("a b", "x b"), record("a", "x"), record("c", "")]
    assert findings.frequent_confusions(records, words=True) == [
        {"reference": "a", "hypothesis": "x", "count": 2},
        {"reference": "c", "hypothesis": "", "count": 1},
    ]


def test_rows_within_an_epoch_stand_between_its_ends() -> None:
    rows = [{"step": s, "epoch": 1 + (s > 4), "train_loss": 1.0} for s in (2, 4, 6, 8)]
    chart = training_charts(rows)[0]
    xs = [float(point.split(",")[0]) for point in chart.lines[0].points.split()]
    assert xs == sorted(xs)
    assert len(set(xs)) == 4


def test_charts_leave_out_what_is_not_finite() -> None:
    assert line_chart("x", {"a": [(0.0, math.nan)], "b": []}) is None
    chart = line_chart("x", {"a": [(0.0, 1.0), (1.0, math.inf), (2.0, 3.0)]})
    assert chart is not None
    assert len(chart.lines[0].points.split()) == 2


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_within_and_few(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    tolerance = 1e-6 * max(abs(low), span)
    assert all(low - tolerance <= tick <= low + span + tolerance for tick in ticks)
    assert len(ticks) <= 8


@example([(0.0, 5e-324)])
@example([(0.0, 0.0), (5e-324, 5e-324)])
@given(st.lists(st.tuples(st.floats(0, 1e3), st.floats(-1e9, 1e9)), min_size=1, max_size=9))
def test_points_stay_inside_the_chart(points: list[tuple[float, float]]) -> None:
    chart = line_chart("x", {"a": points})
    assert chart is not None
    for pair in chart.lines[0].points.split():
        x, y = map(float, pair.split(","))
        assert chart.left - 0.1 <= x <= chart.right + 0.1
        assert chart.top - 0.1 <= y <= chart.bottom + 0.1


def test_matrix_counts() -> None:
    matrix = matrix_chart(["a", "a", "b"], ["a", "b", "b"])
    assert matrix is not None
    assert [(cell.text, cell.right) for cell in matrix.cells] == [
        ("a answered as a: 1 of 2", True),
        ("a answered as b: 1 of 2", False),
        ("b answered as b: 1 of 1", True),
    ]
    assert matrix_chart([str(i) for i in range(65)], ["0"] * 65) is None
