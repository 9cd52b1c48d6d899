from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqlab.errors import DataError, MissingDependencyError, SeqlabError
from seqlab.lm.ngram import distributed_job
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.distributed import connected, count_on_cluster, estimate_on_cluster
from seqlab.lm.ngram.distributed_tasks import written
from seqlab.lm.ngram.estimation import Estimation, estimate_table
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.words import BEGIN

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("dask.distributed")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers in processes of their own.

    A local cluster gives up a worker that is not there some seconds after it was lost, even where
    it has come back in between and was lost again.
    """
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words as frequent as those of a language, some of them <unk>, and blank lines."""
    random = np.random.default_rng(4)
    lines = []
    for length in random.integers(0, 25, 6000):
        numbers = random.zipf(1.3, length) % 4000
        lines.append(" ".join("<unk>" if n == 7 else f"wört{n}" for n in numbers))
    path = tmp_path_factory.mktemp("text") / "text"
    path.write_text("\n".join([*lines, "the end"]), encoding="utf-8")
    return path


def assert_same(one: NGramCounts, other: NGramCounts) -> None:
    assert one.ngrams.words == other.ngrams.words
    for name in ("occurrences", "left_types"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            assert a.dtype == b.dtype
            assert np.array_equal(a, b)
    for a, b in zip(one.ngrams.levels, other.ngrams.levels, strict=True):
        for name in ("first", "suffix", "context"):
            assert getattr(a, name).dtype == getattr(b, name).dtype
            assert np.array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize(
    ("order", "partitions", "options"),
    [
        (1, 3, {}),
        (2, 1, {"marks": False}),
        (3, 7, {"min_count": 3}),
        (3, None, {"min_count": 2, "unknown": "gap"}),
        (4, 5, {"vocabulary": ("wört3", "nowhere", "wört1"), "unknown": "word"}),
        (5, 16, {"vocabulary": ("wört900", "wört2"), "min_count": 2}),
        (9, 2, {"unknown": "word", "memory": "512M"}),
        (6, 4, {"unit": "character", "space": "_"}),
    ],
)
def test_counts_are_those_of_one_process(
    order: int, partitions: int | None, options: dict[str, Any], text: Path, tmp_path: Path,
    client: Any,
) -> None:  # fmt: skip
    estimation = Estimation(order=order, scratch_folder=tmp_path, **options)
    counts = count_on_cluster(text, estimation, client, partitions=partitions)
    assert_same(counts, estimation.count(text, Scratch()))
    assert list(tmp_path.iterdir()) == []


def test_rows_that_do_not_fit_are_sorted_in_several_runs(
    text: Path, tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed_job.Resources, "rows", lambda self, shape: 5000)
    estimation = Estimation(order=4, scratch_folder=tmp_path)
    said: list[tuple[str, int, int | None]] = []
    counts = count_on_cluster(
        text, estimation, client, partitions=2, progress=lambda *what: said.append(what)
    )
    monkeypatch.undo()
    assert_same(counts, estimation.count(text, Scratch()))
    for stage in ("words read", "words sorted", "rows merged"):
        done = [(done, total) for what, done, total in said if what == stage]
        assert done == sorted(done)
        assert stage == "words read" or done[-1][0] == done[-1][1]
    assert sum(what == "rows merged" for what, _, _ in said) >= 10


def test_models_have_the_same_bits(text: Path, tmp_path: Path, client: Any) -> None:
    estimation = Estimation(order=5, cutoffs=(0, 0, 1), scratch_folder=tmp_path)
    model = estimate_on_cluster(text, estimation, client, partitions=6)
    one = estimate_table(text, estimation, Scratch())
    assert one.ngrams.words == model.ngrams.words
    for name in ("log_prob", "log_backoff"):
        for a, b in zip(getattr(one, name), getattr(model, name), strict=True):
            assert a.tobytes() == b.tobytes()
    for a, b in zip(one.ngrams.levels, model.ngrams.levels, strict=True):
        assert a.first.tobytes() == b.first.tobytes()
        assert a.context.tobytes() == b.context.tobytes()


def test_the_model_and_the_command_take_a_cluster(
    text: Path, tmp_path: Path, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from seqlab.cli.main import main
    from seqlab.lm.ngram.model import NGramModel

    model = NGramModel.estimate(text, order=3, client=client, scratch_folder=tmp_path)
    model.save(tmp_path / "a.ngram")
    address = client.scheduler.address
    options = ["--order", "3", "--scratch", str(tmp_path), "--scheduler", address]
    assert main(["ngram", "train", str(text), "-o", str(tmp_path / "b.ngram"), *options]) == 0
    NGramModel.estimate(text, order=3).save(tmp_path / "c.ngram")
    one, two, three = (path.read_bytes() for path in sorted(tmp_path.glob("*.ngram")))
    assert one == two == three
    assert len(list(tmp_path.iterdir())) == 3
    capsys.readouterr()


def test_several_files_and_packed_ones(text: Path, tmp_path: Path, client: Any) -> None:
    content = text.read_bytes()
    for name, part in {"a": content[:5000], "b": b"", "d": content[9000:]}.items():
        (tmp_path / name).write_bytes(part)
    (tmp_path / "c.gz").write_bytes(gzip.compress(content[5000:9000]))
    (tmp_path / "e.gz").write_bytes(gzip.compress(b""))
    files = sorted(tmp_path.iterdir())
    estimation = Estimation(order=3, scratch_folder=tmp_path)
    counts = count_on_cluster(files, estimation, client, partitions=5)
    assert_same(counts, estimation.count(files, Scratch()))
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize("kind", [list, iter])
def test_sentences(kind: Callable[[Any], Any], tmp_path: Path, client: Any) -> None:
    sentences = ["to be or", ["not", "to", "be"], "", "BZh is no header here"] * 5
    estimation = Estimation(order=3, scratch_folder=tmp_path)
    counts = count_on_cluster(kind(sentences), estimation, client, partitions=4)
    assert_same(counts, estimation.count(sentences, Scratch()))
    assert counts.occurrences[0][BEGIN] == 20
    assert list(tmp_path.iterdir()) == []


def test_large_arrays_may_lie_on_disk(text: Path, tmp_path: Path, client: Any) -> None:
    estimation = Estimation(order=3, memory="512M", scratch_folder=tmp_path)
    with Scratch(tmp_path) as scratch:
        counts = count_on_cluster(text, estimation, client, scratch)
        assert isinstance(counts.occurrences[2], np.memmap)
        assert_same(counts, estimation.count(text, Scratch()))
    assert list(tmp_path.iterdir()) == []


def processes(client: Any) -> set[int]:
    return set(client.run(os.getpid).values())


@pytest.mark.parametrize("stage", ["words read", "words sorted", "rows merged"])
def test_a_worker_killed_from_outside(stage: str, text: Path, tmp_path: Path, client: Any) -> None:
    """It dies when the first result of a step has come, with tasks of the step under way."""
    client.wait_for_workers(2, timeout=300)
    before = processes(client)
    killed: list[int] = []

    def kill(what: str, done: int, total: int | None) -> None:
        if what == stage and not killed:
            killed.append(min(before))
            os.kill(killed[0], signal.SIGKILL)

    estimation = Estimation(order=5, scratch_folder=tmp_path)
    counts = count_on_cluster(text, estimation, client, partitions=12, progress=kill)
    assert_same(counts, estimation.count(text, Scratch()))
    assert list(tmp_path.iterdir()) == []
    client.wait_for_workers(2, timeout=300)
    assert killed and killed[0] not in processes(client)


class Dying:
    """A task that a worker first dies of: halfway through, or just before the result is told."""

    def __init__(self, work: Callable[[Any], Any], victim: Any, folder: str, halfway: bool) -> None:
        self.work, self.victim, self.folder, self.halfway = work, victim, folder, halfway

    def __call__(self, task: Any) -> Any:
        marker = os.path.join(self.folder, f"{self.work.__name__}-died")
        if task != self.victim or os.path.exists(marker):
            return self.work(task)
        open(marker, "x").close()
        if self.halfway:
            scratch = getattr(task, "folder", None) or os.path.dirname(task.path)
            with written(os.path.join(scratch, "half")) as file:
                file.write(b"a part of what was to be written")
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        self.work(task)
        os.kill(os.getpid(), signal.SIGKILL)


class KillingClient:
    """Hands tasks to a client, one task of each step so that its worker dies of it once."""

    def __init__(self, client: Any, folder: Path, halfway: bool) -> None:
        self.client, self.folder, self.halfway = client, str(folder), halfway

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def map(self, work: Callable[[Any], Any], tasks: Sequence[Any], **options: Any) -> Any:
        work = Dying(work, tasks[len(tasks) // 2], self.folder, self.halfway)
        return self.client.map(work, tasks, **options)


@pytest.mark.slow
@pytest.mark.parametrize("halfway", [True, False])
def test_a_worker_that_dies_in_each_step(
    halfway: bool, text: Path, tmp_path: Path, client: Any
) -> None:
    scratch, notes = tmp_path / "scratch", tmp_path / "notes"
    scratch.mkdir()
    notes.mkdir()
    estimation = Estimation(order=5, min_count=2, scratch_folder=scratch)
    killing = KillingClient(client, notes, halfway)
    counts = count_on_cluster(text, estimation, killing, partitions=6)
    died = {path.name for path in notes.iterdir()}
    assert died == {
        f"{name}-died" for name in ("number_partition", "sort_partition", "merge_pieces")
    }
    assert_same(counts, estimation.count(text, Scratch()))
    assert list(scratch.iterdir()) == []


class Deadly(KillingClient):
    """Workers die of one task again and again."""

    def map(self, work: Callable[[Any], Any], tasks: Sequence[Any], **options: Any) -> Any:
        return self.client.map(die, tasks[:1], **options)


def die(task: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Failing(KillingClient):
    """Tasks fail."""

    def map(self, work: Callable[[Any], Any], tasks: Sequence[Any], **options: Any) -> Any:
        return self.client.map(fill_disk, tasks, **options)


def fill_disk(task: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        pytest.param(
            Deadly,
            "worker after worker died while words are numbered, .* give each more",
            marks=pytest.mark.slow,
        ),
        (Failing, "a worker failed while words are numbered: OSError: .*No space left"),
    ],
)
def test_workers_that_cannot(
    kind: type[KillingClient], message: str, text: Path, tmp_path: Path, client: Any
) -> None:
    estimation = Estimation(scratch_folder=tmp_path)
    with pytest.raises(SeqlabError, match=message):
        count_on_cluster(text, estimation, kind(client, tmp_path, False))
    assert list(tmp_path.iterdir()) == []
    client.wait_for_workers(2, timeout=300)


def test_a_mark_in_the_text_is_refused(tmp_path: Path, client: Any) -> None:
    path = tmp_path / "text"
    path.write_text("a b c\n" * 1000 + "a <s> b\n" + "a b c\n" * 1000)
    estimation = Estimation(scratch_folder=tmp_path)
    with pytest.raises(DataError, match=r"line \d+ holds the sentence mark.*bytes \d+ to \d+ of"):
        count_on_cluster(path, estimation, client, partitions=20)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "the text is empty"),
        ("no such file", "cannot be opened"),
        ([3], "sentence 1 is 3"),
    ],
)
def test_texts_that_are_refused(source: Any, message: str, tmp_path: Path, client: Any) -> None:
    with pytest.raises(DataError, match=message):
        count_on_cluster(source, Estimation(scratch_folder=tmp_path), client)
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_refused(text: Path, tmp_path: Path, client: Any) -> None:
    estimation = Estimation(scratch_folder=tmp_path)
    with pytest.raises(SeqlabError, match="partitions=0 must be a whole number of at least 1"):
        count_on_cluster(text, estimation, client, partitions=0)
    with pytest.raises(DataError, match="nowhere is not a folder; create it"):
        count_on_cluster(text, Estimation(scratch_folder="/nowhere"), client)
    with pytest.raises(DataError, match="unit='wrd' must be 'word'"):
        count_on_cluster(text, Estimation(unit="wrd", scratch_folder=tmp_path), client)


def test_interrupting_leaves_nothing(text: Path, tmp_path: Path, client: Any) -> None:
    def interrupt(what: str, done: int, total: int | None) -> None:
        if what == "words sorted":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        count_on_cluster(
            text, Estimation(scratch_folder=tmp_path), client, partitions=30, progress=interrupt
        )
    time.sleep(0.5)  # for tasks that cannot be stopped
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_without_workers(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed_job, "PATIENCE_S", 0.2)
    with (
        distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=":0") as cluster,
        connected(cluster.scheduler_address) as client,
        pytest.raises(SeqlabError, match=r"has had no worker for .* start some"),
    ):
        count_on_cluster(text, Estimation(scratch_folder=tmp_path), client)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_workers_that_do_not_come_back(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed_job, "PATIENCE_S", 1.0)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):

        def lose(what: str, done: int, total: int | None) -> None:
            if what == "words read":
                cluster.scale(0)
                while client.nthreads():
                    time.sleep(0.05)

        with pytest.raises(SeqlabError, match=r"has had no worker for 1 s; start some"):
            count_on_cluster(text, Estimation(scratch_folder=tmp_path), client, progress=lose)
    assert list(tmp_path.iterdir()) == []


def test_no_scheduler() -> None:
    with pytest.raises(SeqlabError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"), \
         connected("tcp://127.0.0.1:9", timeout_s=0.3):  # fmt: skip
        pass


def test_without_dask(monkeypatch: pytest.MonkeyPatch, text: Path) -> None:
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(MissingDependencyError, match=r"pip install \"seqlab\[distributed\]\""):
        count_on_cluster(text, Estimation(), object())


def test_dask_and_torch_are_imported_only_when_needed() -> None:
    code = (
        "import sys, seqlab.lm.ngram.distributed, seqlab.lm.ngram.estimation;"
        "assert not {'dask', 'distributed', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_appears_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), written(str(tmp_path / "a")) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with written(str(tmp_path / "a")) as file:
        file.write(b"all")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"all"
