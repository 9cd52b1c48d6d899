"""Measured runs become entries of results.json, and entries the README's table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seqlab.cli.main import main
from seqlab.errors import DataError
from seqlab.training.result_costs import measure_costs, plot_results
from seqlab.training.results import (
    measure_runs,
    read_results,
    results_table,
    update_readme,
    write_results,
)

README = "# Numbers\n\n<!-- results: none yet -->\n<!-- end of results -->\n\nThe end.\n"


def make_run(
    folder: Path, errors: list[int], speakers: int = 1, metric: str = "accuracy", **facts: Any
) -> Path:
    """A finished run whose test utterances have these errors, one word each."""
    folder.mkdir()
    mean = sum(errors) / len(errors)
    records = [
        {"id": f"u{i}", "errors": e, "reference_length": 1, "speaker": f"s{i % speakers}"}
        for i, e in enumerate(errors)
    ]
    test = {"metric": metric, "value": 1 - mean if metric == "accuracy" else mean}
    (folder / "evaluation.json").write_text(json.dumps({"test": test | {"records": records}}))
    run = {
        "command": ["seqlab", "train", "a b.yaml"],
        "seconds": 90.0,
        "parameters": 65_432,
        "threads": 2,
        "machine": {"processor": "Abacus", "cores": 4},
        "versions": {"torch": "2.0"},
    }
    (folder / "run.json").write_text(json.dumps(run | facts))
    return folder


def test_an_entry_by_hand(tmp_path: Path) -> None:
    """8 and 6 of 10 right: the mean 0.7, and Wilson's interval of 7 of 10."""
    runs = [
        make_run(tmp_path / "a", [1] * 2 + [0] * 8),
        make_run(tmp_path / "b", [1] * 4 + [0] * 6, seconds=30.0),
    ]
    entry = measure_runs(runs, ["1", "2"], "small CNN", "test", "takes 0 to 4")
    assert entry == {
        "system": "small CNN",
        "split": "takes 0 to 4",
        "metric": "accuracy",
        "values": [0.8, 0.6],
        "runs": ["1", "2"],
        # (0.7 + z²/20 ± z sqrt(0.021 + z²/400)) / (1 + z²/10) with z = 1.959964
        "confidence_interval": [pytest.approx(0.396772, 1e-4), pytest.approx(0.892209, 1e-4)],
        "command": "seqlab train 'a b.yaml'",
        "seconds": [90.0, 30.0],
        "machine": "Abacus, 2 of 4 cores, torch 2.0",
        "parameters": 65_432,
    }


def test_figures_of_evaluations_in_place_of_the_runs(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", [1] * 5 + [0] * 5)
    evaluated = make_run(tmp_path / "c", [1] * 2 + [0] * 8)
    (evaluated / "run.json").write_text('{"title": "x", "command": ["seqlab", "evaluate"]}')
    entry = measure_runs([run], ["1"], "x", "test", None, [evaluated])
    assert entry["values"] == [0.8] and entry["seconds"] == [90.0]
    assert entry["command"] == "seqlab train 'a b.yaml' && seqlab evaluate"
    with pytest.raises(DataError, match="2 evaluations for 1 runs"):
        measure_runs([run], ["1"], "x", "test", None, [evaluated, run])


def test_speed_of_evaluations_gets_a_column(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, [1, 0, 0, 0]) for name in "abc"]
    for run, factor in zip(runs, (0.5, 0.031, 0.02), strict=True):
        content = json.loads((run / "evaluation.json").read_text())
        content["test"]["speed"] = {"real_time_factor": factor}
        (run / "evaluation.json").write_text(json.dumps(content))
    timed = measure_runs(runs, ["1", "2", "3"], "timed", "test")
    assert timed["real_time_factor"] == 0.031
    plain = measure_runs([make_run(tmp_path / "d", [1, 0])], ["1"], "plain", "test")
    rows = results_table([timed, plain]).splitlines()
    assert rows[0].endswith("| training, minutes | real-time factor |")
    assert rows[2].endswith(" | 1.5 | 0.031 |") and rows[3].endswith(" | 1.5 |  |")
    write_results(tmp_path / "results.json", [timed, plain])
    assert read_results(tmp_path / "results.json") == [timed, plain]


def test_five_speakers_are_drawn_whole(tmp_path: Path) -> None:
    """One speaker has every error: 10 of 50 words, and drawn speakers have none to all."""
    errors = [1 if i % 5 == 0 else 0 for i in range(50)]
    five = make_run(tmp_path / "five", errors, speakers=5, metric="word_error_rate")
    low, high = measure_runs([five], ["1"], "x", "test")["confidence_interval"]
    assert low == 0.0 and high == pytest.approx(0.6)
    four = make_run(tmp_path / "four", errors, speakers=4, metric="word_error_rate")
    low, high = measure_runs([four], ["1"], "x", "test")["confidence_interval"]
    assert 0.05 < low < 0.15 and 0.26 < high < 0.36  # binomial: 0.2 within 0.11


def test_held_out_speakers_are_one_test_set(tmp_path: Path) -> None:
    """Runs over different utterances: all of them count once."""
    runs = []
    for number, errors in enumerate([[0, 0, 0, 1], [1, 1, 0, 0]]):
        folder = make_run(tmp_path / str(number), errors)
        content = json.loads((folder / "evaluation.json").read_text())
        for record in content["test"]["records"]:
            record["id"] += f"-{number}"
        (folder / "evaluation.json").write_text(json.dumps(content))
        runs.append(folder)
    low, high = measure_runs(runs, ["ann", "bob"], "x", "test")["confidence_interval"]
    assert (low, high) == (pytest.approx(0.305742, 1e-4), pytest.approx(0.863156, 1e-4))


def test_the_table_by_hand(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a", [1, 0, 0, 0]), make_run(tmp_path / "b", [0, 0, 1, 1])]
    entry = measure_runs(runs, ["1", "2"], "small CNN", "test")
    entry["confidence_interval"] = [0.25, 0.875]
    assert results_table([entry]) == (
        "| system | parameters | measured on | figure | 95 % interval | runs | "
        "training, minutes |\n"
        "|---|---|---|---|---|---|---|\n"
        "| small CNN | 65 k | test | accuracy **62.5 %** | 25.0 to 87.5 | 1 75.0, 2 50.0 | 1.5 |\n"
        "\n"
        "- small CNN, test: `seqlab train 'a b.yaml'`\n"
        "\n"
        "Machine: Abacus, 2 of 4 cores, torch 2.0."
    )


def test_costs_of_a_model(tmp_path: Path) -> None:
    """MACs by hand: 101 frames of 4 bands into 5 units, and the head's 5 into 2 words, once."""
    from seqlab.encoders.tdnn import TDNNEncoder
    from seqlab.frontend.logmel import LogMel
    from seqlab.heads.classifier import ClassifierHead
    from seqlab.model import SpeechModel
    from seqlab.text.tokenizers import LabelTokenizer

    frontend = LogMel(sample_rate=8000, n_mels=4)
    encoder = TDNNEncoder(4, 5, kernel_sizes=(1,), dilations=(1,), subsampling=1)
    head = ClassifierHead(encoder.output_dim, 2, pooling="mean")
    model = SpeechModel(frontend, encoder, head, LabelTokenizer(labels=["no", "yes"]))
    model.save(tmp_path / "model")
    frames = int(model.output_lengths(torch.tensor([8000])))
    threads = torch.get_num_threads()
    costs = measure_costs(tmp_path, rounds=3)
    assert costs["macs"] == frames * 4 * 5 + 5 * 2
    assert 0 < costs["clip_ms"] < 1000 and torch.get_num_threads() == threads


def test_costs_get_columns_and_a_picture(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, [1, 0, 0, 0]) for name in "ab"]
    small, large = (measure_runs([run], ["1"], f"${run.name}_", "test") for run in runs)
    with pytest.raises(DataError, match="add runs with --costs"):
        plot_results([small, large])
    small["macs"], small["clip_ms"] = 1_250_000, 0.5
    rows = results_table([small, large]).splitlines()
    assert rows[0].endswith("| training, minutes | MACs for 1 s | ms for 1 s |")
    assert rows[2].endswith(" | 1.2 M | 0.50 |") and rows[3].endswith(" | 1.5 |  |  |")
    write_results(tmp_path / "results.json", [small, large])
    assert read_results(tmp_path / "results.json") == [small, large]
    axes = plot_results([small, large]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["$a_"]
    assert axes.texts[0].xy == (0.5, 75.0) and axes.get_ylabel() == "accuracy (%)"
    large["clip_ms"], large["metric"] = 2.0, "word_error_rate"
    with pytest.raises(DataError, match="accuracy and word_error_rate make no one axis"):
        plot_results([small, large])


def test_the_command_line_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "recipes" / "kws" / "toy"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(README)
    entry = measure_runs([make_run(tmp_path / "a", [1, 0])], ["1"], "CNN", "test")
    entry["clip_ms"] = 1.5
    write_results(folder / "results.json", [entry])
    assert main(["results", str(folder), "--picture", str(tmp_path / "p.png")]) == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert main(["results", str(folder), "--costs"]) == 2
    assert "--costs belongs to --add SYSTEM" in capsys.readouterr().err


def test_the_command_line_records_and_replaces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "recipes" / "kws" / "toy"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(README)
    run = str(make_run(tmp_path / "a", [1, 0, 0, 0]))
    assert main(["results", str(folder), "--runs", run, "--add", "CNN", "--names", "seed 1"]) == 0
    text = (folder / "README.md").read_text()
    assert "<!-- results: made by `seqlab results recipes/kws/toy`, do not edit -->" in text
    assert "accuracy **75.0 %**" in text and "seed 1 75.0" in text
    assert text.startswith("# Numbers\n") and text.endswith("<!-- end of results -->\n\nThe end.\n")
    better = str(make_run(tmp_path / "b", [0, 0, 0, 0]))
    assert main(["results", str(folder), "--runs", better, "--add", "CNN"]) == 0
    assert [entry["values"] for entry in read_results(folder / "results.json")] == [[1.0]]
    capsys.readouterr()
    before = (folder / "README.md").read_text()
    assert main(["results", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'README.md'}: up to date\n"
    assert (folder / "README.md").read_text() == before


def test_an_edited_table_is_made_anew(tmp_path: Path) -> None:
    entry = measure_runs([make_run(tmp_path / "a", [1, 0])], ["1"], "x", "test")
    write_results(tmp_path / "results.json", [entry])
    (tmp_path / "README.md").write_text(README)
    assert update_readme(tmp_path) and not update_readme(tmp_path)
    good = (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text(good.replace("50.0 %", "99.0 %"))
    assert update_readme(tmp_path)
    assert (tmp_path / "README.md").read_text() == good


def test_what_is_no_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", [0, 1])
    words = make_run(tmp_path / "b", [0, 1], metric="word_error_rate")
    evaluated = make_run(tmp_path / "c", [0, 1])
    (evaluated / "run.json").write_text('{"title": "x", "command": []}')
    cases: list[tuple[list[Path], list[str], str, str, str]] = [
        ([tmp_path], ["1"], "x", "test", "finished run folders"),
        ([run], ["1", "2"], "x", "test", "one each"),
        ([], [], "x", "test", "one each"),
        ([run], ["1"], "x", "dev", "no 'dev', has test"),
        ([run], ["1"], "a|b", "test", "without |"),
        ([run, words], ["1", "2"], "x", "test", "one metric"),
        ([evaluated], ["1"], "x", "test", "no training run"),
    ]
    for folders, names, system, split, message in cases:
        with pytest.raises(DataError, match=message.replace("|", r"\|")):
            measure_runs(folders, names, system, split)


@pytest.mark.parametrize("content", ["{", "{}", '[{"system": "x"}]', "[1]"])
def test_a_damaged_record(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(DataError, match="seqlab results"):
        read_results(tmp_path / "results.json")


def test_a_record_whose_lists_differ(tmp_path: Path) -> None:
    entry = measure_runs([make_run(tmp_path / "a", [1, 0])], ["1"], "x", "test")
    write_results(tmp_path / "results.json", [entry | {"runs": ["1", "2"]}])  # type: ignore[list-item]
    with pytest.raises(DataError, match="as many values as runs"):
        read_results(tmp_path / "results.json")


def test_readme_without_a_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="add one"):
        update_readme(tmp_path)


def test_runs_and_name_belong_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", str(tmp_path), "--add", "x"]) == 2
    assert "belong together" in capsys.readouterr().err
