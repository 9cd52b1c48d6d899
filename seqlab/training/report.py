"""One training run as one self-contained page: ``report.html`` in the run folder.

Everything is read from the files of the run, so a report can be written again at any time. The
page fetches nothing and holds no scripts; every text goes through the template's escaping.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import seqlab
from seqlab.errors import TrainingError
from seqlab.training.charts import Chart, line_chart
from seqlab.training.findings import Facts, evaluation_contents
from seqlab.training.writers import read_metrics

REPORT_NAME = "report.html"


def write_report(folder: str | Path, max_pictures: int = 6) -> Path:
    """Write ``report.html`` from the files of a run folder; missing files leave out their part.

    Use it after a training or an evaluation; ``run_training`` does so by itself.

    Args:
        folder: The run folder: any of recipe.yaml, run.json, metrics.jsonl, evaluation.json,
            model/.
        max_pictures: Utterances shown with spectrogram and sound, at least 0; recordings that
            are not on this machine any more are shown without.

    Returns:
        The path of the report.

    Raises:
        TrainingError: The folder holds none of those files.
    """
    folder = Path(folder)
    page = report_page(folder, max_pictures)
    path = folder / REPORT_NAME
    partial = folder / f".{REPORT_NAME}.partial"
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def report_page(folder: Path, max_pictures: int = 6) -> str:
    """The HTML of ``write_report``."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.jinja")
    return template.render(report_contents(folder, max_pictures))


def report_contents(folder: Path, max_pictures: int) -> dict[str, Any]:
    """What the template shows, as plain values."""
    run = _read_json(folder / "run.json")
    evaluations = _read_json(folder / "evaluation.json")
    rows = read_metrics(folder / "metrics.jsonl")
    recipe_text, recipe = _read_recipe(folder / "recipe.yaml")
    if not (run or evaluations or rows or recipe):
        raise TrainingError(f"{folder} holds no files of a run; name a folder that training wrote")
    title = str(recipe.get("title") or run.get("title") or folder.resolve().name)
    return {
        "title": title,
        "subtitle": _subtitle(run),
        "synthetic": bool(recipe.get("synthetic")),
        "charts": training_charts(rows),
        "command": _command(run.get("command")),
        "recipe": recipe_text,
        "machine": machine_facts(run),
        "model": model_facts(folder / "model"),
        **evaluation_contents(evaluations, max_pictures),
    }


def training_charts(rows: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Loss, metric, learning rate and gradient over the epochs; what was not recorded is left out.

    Rows are those of ``metrics.jsonl``.
    """
    ends = {row["epoch"]: row["step"] for row in rows}  # the last row of each epoch wins

    def when(row: Mapping[str, Any]) -> float:
        end, start = ends[row["epoch"]], ends.get(row["epoch"] - 1, 0)
        share = (row["step"] - start) / (end - start) if end > start else 1.0
        return float(row["epoch"] - 1 + share)

    def series(**names: str) -> dict[str, list[tuple[float, float]]]:
        return {
            shown.replace("_", " "): points
            for shown, name in names.items()
            if (points := [(when(r), r[name]) for r in rows if r.get(name) is not None])
        }

    smooth = series(training="epoch_loss") or series(training="train_loss")
    charts = [
        line_chart("Loss", smooth | series(dev="dev_loss"), from_zero=True),
        line_chart(
            "Errors on dev",
            series(word_error_rate="dev_word_error_rate", characters="dev_character_error_rate"),
            from_zero=True,
        ),
        line_chart("Accuracy on dev", series(accuracy="dev_accuracy")),
        line_chart("Events on dev, F1", series(overlap="dev_event_f1", onset="dev_onset_f1")),
        line_chart("Missed keywords on dev", series(missed="dev_miss_rate"), from_zero=True),
        line_chart("Learning rate", series(learning_rate="learning_rate"), from_zero=True),
        line_chart("Gradient norm", series(norm="gradient_norm"), from_zero=True),
    ]
    return [chart for chart in charts if chart]


def machine_facts(run: Mapping[str, Any]) -> Facts:
    """Where and how long the training ran, and with which versions."""
    facts: Facts = []
    for name, value in run.items():
        if name in ("command", "title") or value in (None, "", {}, []):
            continue
        if isinstance(value, Mapping):
            text = ", ".join(f"{key}: {entry}" for key, entry in value.items())
        elif isinstance(value, list):
            text = ", ".join(map(str, value))
        elif isinstance(value, float):
            text = f"{value:,.1f}"
        elif isinstance(value, int) and not isinstance(value, bool):
            text = f"{value:,}"
        else:
            text = str(value)
        facts.append((name.replace("_", " "), text))
    return facts


def model_facts(folder: Path) -> Facts:
    """Sizes and parts of the model in ``folder``; nothing where there is none."""
    weights, config = folder / "model.safetensors", _read_json(folder / "config.json")
    facts: Facts = []
    if not weights.is_file():
        return facts
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="pt") as tensors:
            shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    except SafetensorError:
        return facts
    facts.append(("weights", f"{sum(math.prod(shape) for shape in shapes):,} numbers"))
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    facts.append(("size on disk", f"{size / 1e6:,.2f} MB"))
    for name, spec in (config.get("components") or {}).items():
        if isinstance(spec, Mapping) and "class_path" in spec:
            facts.append((name.replace("_", " "), str(spec["class_path"]).rpartition(".")[2]))
    return facts


def _subtitle(run: Mapping[str, Any]) -> str:
    parts = []
    if isinstance(run.get("seconds"), int | float):
        parts.append(f"trained in {run['seconds'] / 60:.1f} minutes")
    parts.append(f"seqlab {seqlab.__version__}")
    return " · ".join(parts)


def _command(command: object) -> str:
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command or "")


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{path} is not JSON: {error}; remove it or train again") from None
    if not isinstance(value, dict):
        raise TrainingError(f"{path} must hold one JSON object; remove it or train again")
    return value


def _read_recipe(path: Path) -> tuple[str, dict[str, Any]]:
    if not path.is_file():
        return "", {}
    text = path.read_text(encoding="utf-8")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TrainingError(f"{path} is not YAML: {error}; remove it or train again") from None
    return text, value if isinstance(value, dict) else {}
