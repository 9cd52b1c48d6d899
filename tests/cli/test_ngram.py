"""``seqlab ngram`` as a user calls it: subcommands, their JSON, errors, interruptions."""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqlab.cli.ngram import COMMANDS, shared, texts
from seqlab.cli.ngram.train import SMOOTHINGS, numbers_of, read_vocabulary
from seqlab.errors import SeqlabError
from seqlab.lm.ngram.facts import Facts
from tests.cli.conftest import Call, Outcome

TEXT = "the cat sat on the mat\nthe dog sat on the log\na cat and a dog\n\nthe end\n" * 3
TEST = "the cat sat on a log\nthe bird sat\n"

pytestmark = pytest.mark.filterwarnings("default::UserWarning")  # small texts fall back


def ok(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ngram")
    (folder / "train.txt").write_text(TEXT, encoding="utf-8")
    (folder / "test.txt").write_text(TEST, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    from seqlab.cli.main import main

    path = folder / "model.ngram"
    arguments = ["--order", "3", "--smoothing", "witten_bell", "--arpa", str(folder / "model.arpa")]
    assert main(["ngram", "train", str(folder / "train.txt"), "-o", str(path), *arguments]) == 0
    return path


@pytest.fixture(scope="module")
def other(folder: Path) -> Path:
    from seqlab.cli.main import main

    path = folder / "other.arpa.gz"
    arguments = ["--order", "2", "--smoothing", "add_k", "--set", "k=0.5"]
    assert main(["ngram", "train", str(folder / "test.txt"), "-o", str(path), *arguments]) == 0
    return path


def perplexity(call: Call, model: Path, text: Path, *options: str) -> dict[str, float]:
    outcome = ok(call("ngram", "perplexity", model, text, "--json", *options))
    facts = dict(json.loads(outcome.out))
    assert sum(facts.pop("order_hits")) == facts["tokens"]
    return facts


@pytest.mark.parametrize("name", COMMANDS)
def test_help(call: Call, name: str) -> None:
    outcome = ok(call("ngram", name, "--help"))
    assert outcome.out.startswith(f"usage: seqlab ngram {name}")


def test_help_lists_the_commands(call: Call) -> None:
    outcome = ok(call("ngram", "--help"))
    assert all(f"  {name} " in outcome.out for name in COMMANDS)


def test_help_lists_the_smoothings() -> None:
    from seqlab.lm.ngram.smoothing.registry import SMOOTHINGS as KNOWN

    assert set(SMOOTHINGS.split(", ")) | {"lidstone"} == set(KNOWN)


def test_training_says_what_it_needs_and_writes(call: Call, folder: Path, tmp_path: Path) -> None:
    path, arpa = tmp_path / "m.ngram", tmp_path / "m.arpa"
    outcome = ok(
        call(
            "ngram", "train", folder / "train.txt", "-o", path, "--arpa", arpa, "--order", "3",
            "--json",
        )
    )  # fmt: skip
    facts = json.loads(outcome.out)
    assert facts["order"] == 3 and len(facts["ngrams"]) == 3
    assert facts["bytes"] == path.stat().st_size and facts["arpa"] == str(arpa)
    assert "of memory and no disk" in outcome.err and f"written: {arpa}" in outcome.err
    assert "note:" in outcome.err  # the discounts fell back
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.arpa", "m.ngram"]
    counts = [line for line in arpa.read_text().splitlines() if line.startswith("ngram ")]
    assert counts == [f"ngram {k}={n}" for k, n in enumerate(facts["ngrams"], 1)]


def test_training_table(call: Call, folder: Path, tmp_path: Path) -> None:
    outcome = ok(
        call("ngram", "train", folder / "train.txt", "-o", tmp_path / "m.ngram", "--order", "2")
    )
    assert outcome.out.splitlines()[0].split() == ["order", "n-grams"]
    assert len(outcome.out.splitlines()) == 3


def test_texts_packed_and_several(call: Call, folder: Path, model: Path, tmp_path: Path) -> None:
    lines = TEXT.splitlines(keepends=True)
    first, second = tmp_path / "a.txt", tmp_path / "b.bin"
    first.write_text("".join(lines[:7]))
    second.write_bytes(gzip.compress("".join(lines[7:]).encode()))
    arguments = ["--order", "3", "--smoothing", "witten_bell", "-o", tmp_path / "m.arpa"]
    ok(call("ngram", "train", first, second, *arguments))
    assert (tmp_path / "m.arpa").read_text() == (folder / "model.arpa").read_text()


def test_standard_input(folder: Path, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.arpa"
    command = [*SEQLAB, "train", "-", "-o", str(path), "--order", "3", "--smoothing", "witten_bell"]
    done = subprocess.run(command, input=TEXT.encode(), capture_output=True, check=True)
    assert b"the size of the text is not known" in done.stderr
    assert path.read_text() == (folder / "model.arpa").read_text()
    done = subprocess.run(
        [*SEQLAB, "score", str(path), "-"], input=TEST.encode(), capture_output=True, check=True
    )
    assert len(done.stdout.splitlines()) == 2


def test_perplexity(call: Call, model: Path, folder: Path) -> None:
    facts = perplexity(call, model, folder / "test.txt")
    assert facts["tokens"] == 11 and facts["unknown"] == 1 and facts["sentences"] == 2
    assert facts["perplexity"] == pytest.approx(math.exp(-facts["log_prob"] / 11))
    outcome = ok(call("ngram", "perplexity", model, folder / "test.txt"))
    assert f"{facts['perplexity']:.4f}" in outcome.out
    assert f"{facts['perplexity_excluding_unknown']:.4f}" in outcome.out


def test_scores_that_are_no_probabilities_are_named(
    call: Call, folder: Path, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "scores.ngram"
    text = str(folder / "train.txt")
    ok(call("ngram", "train", text, "-o", str(path), "--smoothing", "stupid_backoff"))
    assert "do not sum to one" in ok(call("ngram", "perplexity", str(path), text)).err
    assert "sum to one" not in ok(call("ngram", "perplexity", str(model), text)).err


def test_rows_add_up(call: Call, model: Path, folder: Path) -> None:
    text = folder / "test.txt"
    facts = perplexity(call, model, text)
    totals = []
    for option, count in (("--per-sentence", 2), ("--per-word", 11)):
        outcome = ok(call("ngram", "perplexity", model, text, option))
        header, *rows = [line.split("\t") for line in outcome.out.splitlines()]
        assert len(rows) == count
        totals.append(sum(float(row[header.index("log_prob")]) for row in rows))
        records = json.loads(ok(call("ngram", "perplexity", model, text, option, "--json")).out)
        assert [list(record) for record in records] == [header] * count
    scores = ok(call("ngram", "score", model, text)).out.splitlines()
    assert [line.split("\t")[1:] for line in scores] == [["7", "0"], ["4", "1"]]
    totals.append(sum(float(line.split("\t")[0]) for line in scores))
    tens = json.loads(ok(call("ngram", "score", model, text, "--base", "10", "--json")).out)
    totals.append(sum(row["log_prob"] for row in tens) * math.log(10))
    assert totals == pytest.approx([facts["log_prob"]] * 4, abs=1e-5)


def test_scores_without_marks(call: Call, model: Path, folder: Path) -> None:
    facts = perplexity(call, model, folder / "test.txt", "--no-sentence-marks")
    assert facts["tokens"] == 9 and facts["sentences"] == 2
    option = "--no-sentence-marks"
    scores = ok(call("ngram", "score", model, folder / "test.txt", option)).out.splitlines()
    assert [line.split("\t")[1:] for line in scores] == [["6", "0"], ["3", "1"]]


def test_conversion_keeps_the_model(call: Call, model: Path, folder: Path, tmp_path: Path) -> None:
    binary, arpa = tmp_path / "b.ngram", tmp_path / "a.arpa.gz"
    outcome = ok(call("ngram", "convert", folder / "model.arpa", binary, "--json"))
    assert json.loads(outcome.out)["bytes"] == binary.stat().st_size
    ok(call("ngram", "convert", binary, arpa))
    assert gzip.decompress(arpa.read_bytes()).decode() == (folder / "model.arpa").read_text()
    expected = perplexity(call, model, folder / "test.txt")
    assert perplexity(call, arpa, folder / "test.txt") == pytest.approx(expected)
    small = tmp_path / "q.ngram"
    ok(call("ngram", "convert", arpa, small, "--quantise"))
    rounded = perplexity(call, small, folder / "test.txt")
    assert rounded["perplexity"] == pytest.approx(expected["perplexity"], rel=0.05)


def test_interpolation(call: Call, model: Path, other: Path, folder: Path, tmp_path: Path) -> None:
    text = folder / "test.txt"
    one, both = [perplexity(call, path, text)["perplexity"] for path in (model, other)], []
    for options in (
        ["--weights", "0.3", "0.7"],
        ["--tune", text],
        ["--tune", text, "--log-linear"],
    ):
        path = tmp_path / "mix.ngram"
        outcome = ok(call("ngram", "interpolate", model, other, "-o", path, "--json", *options))
        facts = json.loads(outcome.out)
        assert len(facts["weights"]) == 2
        both.append(perplexity(call, path, text)["perplexity"])
        if "--tune" in options:
            assert both[-1] == pytest.approx(facts["tuned_perplexity"], rel=0.05)
    assert both[1] <= min(one) * 1.01
    outcome = ok(call("ngram", "interpolate", model, other, "-o", tmp_path / "m.arpa"))
    assert "0.5000" in outcome.out


def test_pruning(call: Call, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.ngram"
    outcome = ok(call("ngram", "prune", model, "-o", path, "--threshold", "1e-2", "--json"))
    facts = json.loads(outcome.out)
    assert sum(facts["ngrams"]) < sum(facts["before"])
    room = sum(facts["before"]) - 3
    outcome = ok(call("ngram", "prune", model, "-o", path, "--ngrams", room, "--json"))
    assert sum(json.loads(outcome.out)["ngrams"]) <= room
    outcome = ok(call("ngram", "prune", model, "-o", path, "--size", "1M", "--history", model))
    assert outcome.out.splitlines()[0].split() == ["order", "before", "after"]


def test_sampling(call: Call, model: Path) -> None:
    arguments = ["sample", model, "-n", "4", "--seed", "3"]
    first, second = (ok(call("ngram", *arguments)).out for _ in range(2))
    assert first == second and len(first.splitlines()) == 4
    outcome = ok(call("ngram", *arguments, "--prefix", "the cat", "--json"))
    facts = json.loads(outcome.out)
    assert facts["seed"] == 3
    assert all(sentence.startswith("the cat") for sentence in facts["sentences"])


def test_completion(call: Call, model: Path) -> None:
    rows = json.loads(ok(call("ngram", "complete", model, "sat on", "-n", "2", "--json")).out)
    assert rows[0]["word"] == "the" and len(rows) == 2
    assert "the" in ok(call("ngram", "complete", model, "sat on")).out


def test_comparison(call: Call, model: Path, other: Path, folder: Path) -> None:
    text = folder / "test.txt"
    facts = json.loads(ok(call("ngram", "compare", model, other, text, "--json")).out)
    expected = [perplexity(call, path, text)["perplexity"] for path in (model, other)]
    assert facts["perplexities"] == pytest.approx(expected)
    outcome = ok(call("ngram", "compare", model, other, text))
    assert "suit the first better" in outcome.out and "gains most on" in outcome.out
    outcome = ok(call("ngram", "compare", model, model, text))
    assert "no difference is sure" in outcome.out


def test_coverage(call: Call, model: Path, folder: Path) -> None:
    facts = json.loads(ok(call("ngram", "coverage", model, folder / "test.txt", "--json")).out)
    assert facts["words"] == 9 and facts["types"] == 7 and facts["unknown"] == 1
    assert facts["unknown_types"] == 1 and len(facts["hit_rates"]) == 3
    assert facts["unknown_in_text"] == 0
    assert "unknown words, %" in ok(call("ngram", "coverage", model, folder / "test.txt")).out


def test_coverage_counts_unk_of_the_text_apart(call: Call, model: Path, folder: Path) -> None:
    """Corpora such as WikiText come with their rare words written as <unk>."""
    text = folder / "unk.txt"
    text.write_text("the <unk> sat\n<unk> zebra <unk>\n", encoding="utf-8")
    facts = json.loads(ok(call("ngram", "coverage", model, text, "--json")).out)
    assert (facts["unknown"], facts["unknown_in_text"], facts["unknown_types"]) == (4, 3, 1)
    rows = [line.split() for line in ok(call("ngram", "coverage", model, text)).out.splitlines()]
    assert ["of", "them,", "<unk>", "in", "the", "text", "itself", "3"] in rows
    assert ["different", "unknown", "words", "beside", "<unk>", "1"] in rows


def test_characters(call: Call, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.ngram"
    options = ["--unit", "character", "--space", "_"]
    ok(call("ngram", "train", folder / "train.txt", "-o", path, "--order", "4", *options))
    facts = perplexity(call, path, folder / "test.txt")  # the model knows its unit
    assert facts["tokens"] == len(TEST)
    outcome = ok(call("ngram", "sample", path, "--prefix", "the c", "--seed", "1"))
    assert all(line.startswith("the c") and "_" not in line for line in outcome.out.splitlines())
    rows = json.loads(ok(call("ngram", "complete", path, "the ca", "--json")).out)
    assert rows[0]["word"] == "t"
    arpa = tmp_path / "c.arpa"
    ok(call("ngram", "convert", path, arpa))
    again = perplexity(call, arpa, folder / "test.txt", *options)  # an ARPA file does not
    assert again == pytest.approx(facts)
    words = tmp_path / "w.ngram"
    train = ["ngram", "train", folder / "train.txt", "-o", words]
    ok(call(*train, "--order", "2", "--smoothing", "witten_bell"))
    outcome = call("ngram", "interpolate", words, path, "-o", tmp_path / "m.ngram")
    assert outcome.code == 2 and "unit='word'" in outcome.err and "train one anew" in outcome.err


def test_words_to_know(call: Call, folder: Path, tmp_path: Path) -> None:
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("the cat\nsat <unk> the\n<s>\tmat never\n")
    assert read_vocabulary(str(vocabulary)) == ["the", "cat", "sat", "mat", "never"]
    path = tmp_path / "m.ngram"
    arguments = [folder / "train.txt", "-o", path, "--json", "--smoothing", "witten_bell"]
    facts = json.loads(ok(call("ngram", "train", *arguments, "--vocabulary", vocabulary)).out)
    assert facts["ngrams"][0] == 3 + 5
    facts = json.loads(ok(call("ngram", "train", *arguments, "--min-count", "4")).out)
    assert facts["ngrams"][0] == 3 + len({w for w in TEXT.split() if TEXT.split().count(w) >= 4})
    vocabulary.write_text(" <s> \n")
    outcome = call("ngram", "train", *arguments, "--vocabulary", vocabulary)
    assert outcome.code == 2 and "holds no words" in outcome.err


def test_more_options_of_training(call: Call, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.ngram"
    train = ["ngram", "train", folder / "train.txt", "-o", path, "--json", "--order", "3"]

    def sizes(*options: object) -> list[int]:
        return list(json.loads(ok(call(*train, *options)).out)["ngrams"])

    whole = sizes()
    assert sizes("--cutoffs", "0", "0", "3")[2] < whole[2]
    assert sum(sizes("--prune-entropy", "1e-2")) < sum(whole)
    assert sizes("--memory", "512M", "--threads", "1", "--scratch", tmp_path) == whole
    assert sizes("--discount-fallback", "0.4", "0.9", "1.2") == whole
    assert sizes("--set", "discounts=0.5,1,1.5", "--quantise") == whole
    held_out = folder / "test.txt"
    assert sizes("--smoothing", "jelinek_mercer", "--held-out", held_out) == whole
    for unknown in ("word", "gap"):
        assert sizes("--unknown", unknown, "--min-count", "4")[0] < whole[0]
    sizes("--no-sentence-marks", "--smoothing", "witten_bell")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "missing.txt", "-o", "m"], "text missing.txt does not exist; name a file"),
        (["train", "{folder}", "-o", "m"], "is a folder; name the files in it"),
        (["train", "-", "-", "-o", "m"], "standard input (-) can be read only once"),
        (["train", "{text}", "-o", "no/where/m"], "does not exist; create it"),
        (["train", "{text}", "-o", "{folder}"], "exists and is no file; choose another name"),
        (["train", "{text}", "-o", "/dev/null"], "exists and is no file; choose another name"),
        (["train", "{text}", "-o", "m.arpa.xz"], "must end in .arpa or .arpa.gz"),
        (["train", "{text}", "-o", "m.arpa", "--quantise"], "--quantise is for binary files"),
        (["train", "{text}", "-o", "m", "--order", "0"], "order=0 must be"),
        (["train", "{text}", "-o", "m", "--order", "10"], "order=10 must be at most 9"),
        (["train", "{text}", "-o", "m", "--memory", "lots"], "memory='lots' must be a size"),
        (["train", "{text}", "-o", "m", "--smoothing", "witen"], "did you mean 'witten_bell'"),
        (["train", "{text}", "-o", "m", "--set", "kk=1"], "has no option 'kk'"),
        (["train", "{text}", "-o", "m", "--set", "kk"], "kk"),
        (["train", "{text}", "-o", "m", "--set", "interpolated=3"], "must be true or false"),
        (["train", "{text}", "-o", "m", "--arpa", "m"], "both name m; leave --arpa out"),
        (["train", "{text}", "-o", "m.arpa", "--smoothing", "stupid_backoff"], "cannot hold"),
        (
            ["train", "{text}", "-o", "m", "--scratch", "no", "--memory", "512M"],
            "no is not a folder",
        ),
        (["train", "{text}", "-o", "m", "--threads", "0"], "threads=0 must be"),
        (["train", "{marks}", "-o", "m"], "line 2 holds the sentence mark"),
        (["score", "{model}", "{marks}"], "line 2 holds the sentence mark"),
        (["sample", "{model}", "--seed", "-1"], "--seed=-1 must be"),
        (["train", "{text}", "-o", "m", "--held-out", "{text}"], "has no option 'held_out'"),
        (["train", "{text}", "-o", "m", "--space", "_"], "needs --unit character"),
        (["train", "{text}", "-o", "m", "--unit", "char"], "did you mean 'character'"),
        (["train", "{text}", "-o", "m", "--cutoffs", "1", "0"], "cutoffs=(1, 0) must be"),
        (["train", "{text}", "-o", "m", "--vocabulary", "no.txt"], "no.txt does not exist"),
        (["train", "{empty}", "-o", "m"], "empty"),
        (["train", "{model}", "-o", "m"], "is a binary n-gram model; give a text"),
        (["perplexity", "missing.ngram", "{text}"], "model missing.ngram does not exist"),
        (["perplexity", "{folder}", "{text}"], "is a folder; name an ARPA or .ngram file"),
        (["perplexity", "{text}", "{text}"], "it is no ARPA file"),
        (["perplexity", "{model}", "{empty}"], "the text is empty"),
        (["perplexity", "{model}", "{text}", "--per-word", "--per-sentence"], "not allowed with"),
        (["score", "{model}", "missing.txt"], "text missing.txt does not exist"),
        (["convert", "{model}", "no/where/m.arpa"], "does not exist; create it"),
        (["interpolate", "{model}", "-o", "m"], "at least two models"),
        (["interpolate", "{model}", "{model}", "-o", "m", "--weights", "1"], "weights"),
        (["interpolate", "{model}", "{model}", "-o", "m", "--weights", "1", "1"], "sum to 1"),
        (["prune", "{model}", "-o", "m"], "one of the arguments --threshold --ngrams --size"),
        (["prune", "{model}", "-o", "m", "--threshold", "-1"], "threshold=-1.0 must be"),
        (["prune", "{model}", "-o", "m", "--ngrams", "1"], "must leave room for"),
        (["prune", "{model}", "-o", "m", "--size", "big"], "size 'big' must be a number of bytes"),
        (["sample", "{model}", "-n", "0"], "count=0 must be"),
        (["sample", "{model}", "--temperature", "0"], "temperature=0.0 must be"),
        (["compare", "{model}", "{model}", "-"], "can be read only once"),
        (["coverage", "{model}", "{empty}"], "the text is empty"),
        (["trian"], "did you mean 'train'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_errors_are_one_line(
    call: Call,
    folder: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "empty.txt").touch()
    (folder / "marks.txt").write_text("a b\n<s> c\n", encoding="utf-8")
    names = {
        "marks": "marks.txt",
        "text": "train.txt",
        "model": "model.ngram",
        "empty": "empty.txt",
        "folder": ".",
    }
    paths = {name: str(folder / file) for name, file in names.items()}
    outcome = call("ngram", *(argument.format(**paths) for argument in arguments))
    errors = [line for line in outcome.lines if line.startswith("seqlab: error: ")]
    assert outcome.code == 2, outcome.err
    assert len(errors) == 1 and message in errors[0]
    assert not list(tmp_path.iterdir())


def test_a_damaged_model_is_refused(call: Call, model: Path, folder: Path, tmp_path: Path) -> None:
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 0x10
    bad = tmp_path / "bad.ngram"
    bad.write_bytes(data)
    outcome = call("ngram", "perplexity", bad, folder / "test.txt")
    assert outcome.code == 2 and len(outcome.lines) == 1 and "bad.ngram" in outcome.err


SEQLAB = [sys.executable, "-m", "seqlab.cli.main", "ngram"]


def test_torch_is_not_imported(model: Path, folder: Path, tmp_path: Path) -> None:
    text = str(folder / "test.txt")
    calls = [
        ["train", text, "-o", str(tmp_path / "m.ngram"), "--order", "2", "--quantise"],
        ["perplexity", str(model), text],
        ["score", str(model), text],
        ["convert", str(model), str(tmp_path / "m.arpa")],
        ["interpolate", str(model), str(model), "-o", str(tmp_path / "i.ngram"), "--tune", text],
        ["prune", str(model), "-o", str(tmp_path / "p.ngram"), "--threshold", "1e-3"],
        ["sample", str(model)],
        ["complete", str(model), "the"],
        ["compare", str(model), str(model), text],
        ["coverage", str(model), text],
    ]
    code = (
        "import sys; from seqlab.cli.main import main\n"
        f"for call in {calls!r}: assert main(['ngram', *call]) == 0, call\n"
        "assert 'torch' not in sys.modules and 'sentencepiece' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert {call[0] for call in calls} == set(COMMANDS)


def test_help_imports_little() -> None:
    code = (
        "import sys; from seqlab.cli.main import main\n"
        "assert main(['ngram', 'train', '--help']) == 0\n"
        "assert not {'numba', 'numpy', 'torch', 'rich'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
@pytest.mark.parametrize("wait_s", [0.0, 0.05, 0.15, 0.5, 1.5])
def test_ctrl_c_leaves_nothing(tmp_path: Path, wait_s: float) -> None:
    """Standard input stays open, so training is surely not done; it counts by way of the disk."""
    command = [*SEQLAB, "train", "-", "-o", "m.ngram", "--arpa", "m.arpa", "--memory", "512M"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stderr is not None
    process.stdin.write(b"some words of a line\n" * 1000)
    process.stdin.flush()
    assert b"the size of the text is not known" in process.stderr.readline()
    time.sleep(wait_s)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors == b"seqlab: error: stopped by Ctrl-C\n"
    assert not list(tmp_path.iterdir())


def test_interrupted_writing_keeps_the_old_file(
    call: Call, model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("m.ngram", "m.arpa"):
        path = tmp_path / name
        path.write_text("old")
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", stop)
            patch.setattr(Path, "replace", stop)
            assert call("ngram", "convert", model, path).code == 130
        assert path.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.arpa", "m.ngram"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes")
def test_a_reader_that_goes_away(model: Path, tmp_path: Path) -> None:
    text = tmp_path / "long.txt"
    text.write_text("the cat sat\n" * 100_000)
    process = subprocess.Popen(
        [*SEQLAB, "score", str(model), str(text)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 141 and errors == b""


def test_phases_are_shown_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr("seqlab.cli.terminal.say", lines.append)
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr("seqlab.cli.terminal.time.monotonic", lambda: float(next(clock)))
    with shared.Phases() as progress:
        progress("words read", 10, None)
        progress("rows merged", 1, 4)
        progress("rows merged", 2, 4)
    assert [line.split(":")[0] for line in lines] == ["words read", "rows merged", "rows merged"]
    assert lines[0].startswith("words read: 10 of ?")


def test_small_helpers() -> None:
    assert numbers_of("1,2") == (1.0, 2.0) and numbers_of(True) is True and numbers_of("1,") == "1,"
    assert shared.bytes_of(" 10kB ") == 10240
    with pytest.raises(SeqlabError, match="size 'x' must be"):
        shared.bytes_of("x")
    assert texts.parted("a  b", {"unit": "character"}) == ["a", "\u2581", "b"]
    args = argparse.Namespace(unit=None, space=None)
    assert texts.joined(["a", "b"], args, Facts()) == "a b"
    assert texts.joined(["\u2581a", "\u2581", "b"], args, Facts(unit="subword")) == "a b"
    assert texts.joined(["a", "_", "b"], args, Facts(unit="character", space="_")) == "a b"
    with pytest.raises(SeqlabError, match="give their sentencepiece model"):
        texts.unit_options(args, Facts(unit="subword"))
    options = argparse.Namespace(unit="word", space="_")
    with pytest.raises(SeqlabError, match="needs --unit character"):
        texts.unit_options(options)
