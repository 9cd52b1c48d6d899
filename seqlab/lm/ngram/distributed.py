"""Counting n-grams across machines, with Dask.

The text is cut into partitions of whole lines. Each worker numbers the words of its partitions by
themselves; the vocabularies, merged in the order of the text, are what one machine would have
found. Then each partition is renumbered, sorted and counted, and cut at the same last words, so
that shards can be merged apart from one another. The merged runs follow one another in suffix
order, and what is left to do is what one machine does with its own: the counts have the same
bits, whatever the partitions, the workers, and the workers that were lost.

Only names and sizes go through Dask. Numbers, words and runs are files in a folder that all
machines share, as they share the text: runs outgrow the memory of workers; a file outlives the
worker that wrote it, so that only the task that was going on is done again; and what is merged is
mapped, and read where it is used.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lm.ngram.counting import counts_of_runs
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.distributed_job import Job, dask_distributed
from seqlab.lm.ngram.distributed_tasks import load_run
from seqlab.lm.ngram.folders import TemporaryFolder
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.numbering import Progress
from seqlab.lm.ngram.runs import RowShape
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.text import TextSource

if TYPE_CHECKING:
    from seqlab.lm.ngram.estimation import Estimation

__all__ = ["connected", "count_on_cluster", "estimate_on_cluster"]


@contextlib.contextmanager
def connected(address: str, timeout_s: float = 10.0) -> Iterator[Any]:
    """A Dask client of a scheduler that runs already.

    Args:
        address: such as ``tcp://10.0.0.1:8786``, or a scheduler file.
        timeout_s: seconds to wait for an answer.

    Raises:
        SeqlabError: there is no scheduler.
        MissingDependencyError: Dask is not installed.
    """
    distributed = dask_distributed()
    where = {"scheduler_file": address} if os.path.isfile(address) else {"address": address}
    try:
        client = distributed.Client(**where, timeout=timeout_s, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise SeqlabError(
            f"no Dask scheduler answers at {address} ({error}); start one with dask scheduler, "
            "and name its address, such as tcp://10.0.0.1:8786"
        ) from None
    with client:
        yield client


def estimate_on_cluster(
    source: TextSource,
    estimation: Estimation,
    client: Any,
    scratch: Scratch | None = None,
    partitions: int | None = None,
    progress: Progress | None = None,
) -> BackoffTable:
    """The model of a text whose n-grams are counted across machines.

    It has the same bits as the model of one machine. Arguments and errors are those of
    ``count_on_cluster``.
    """
    scratch = scratch or estimation.scratch(source)
    counts = count_on_cluster(source, estimation, client, scratch, partitions, progress)
    return estimation.estimate(counts, scratch, progress)


def count_on_cluster(
    source: TextSource,
    estimation: Estimation,
    client: Any,
    scratch: Scratch | None = None,
    partitions: int | None = None,
    progress: Progress | None = None,
) -> NGramCounts:
    """Count the n-grams of a text across machines; the same counts as ``Estimation.count``.

    The files of the text, ``estimation.scratch_folder`` (this folder by default), and a
    sentencepiece model must be seen by all machines under the same paths. Text that is no file is
    first written to the scratch folder, and so are 4 bytes for each word, and up to twice 4 bytes
    and 8 for every three words of order for each different row of a partition; all of it is
    removed in the end.

    Args:
        source: one or more files, or whatever ``text_blocks`` takes. Packed files are read by one
            worker each.
        estimation: how words are numbered and n-grams counted. Each thread of a worker sorts
            within half of its ``memory``, by default within 512 MB, but rows that share a last
            word are merged at once.
        client: a Dask client.
        scratch: where large arrays of the result go; by default what ``estimation`` chooses.
        partitions: to cut the text into, about; by default four for each thread of the workers,
            and at most 64 MB each.
        progress: told ``"words read"``, then ``"words sorted"`` and ``"rows merged"``.

    Raises:
        DataError: the text cannot be read, is empty, holds sentence marks, or is not seen by a
            worker.
        SeqlabError: a worker fails or keeps dying, or there is none.
        MissingDependencyError: Dask is not installed.

    Example:
        >>> from dask.distributed import Client  # doctest: +SKIP
        >>> client = Client("tcp://10.0.0.1:8786")  # doctest: +SKIP
        >>> counts = count_on_cluster("/shared/text.txt", Estimation(), client)  # doctest: +SKIP
    """
    dask_distributed()
    if partitions is not None:
        check_at_least("partitions", partitions, 1)
    if getattr(client, "asynchronous", False):
        raise SeqlabError("client is asynchronous, must not be; make it without asynchronous=True")
    numbering = estimation.numbering()
    resources = estimation.resources(scratch or estimation.scratch(source))
    with TemporaryFolder(estimation.scratch_folder or Path.cwd()) as folder:
        job = Job(client, folder, estimation, progress or (lambda what, done, total: None))
        cut = job.partitions(source, partitions)
        text, words = job.numbered(cut, numbering)
        shape = RowShape.of(estimation.order, len(text.words))
        stored = job.merged(text, words, shape)
        runs = [load_run(run.path, run.rows, shape) for run in stored]
        return counts_of_runs(text, runs, shape, resources)
