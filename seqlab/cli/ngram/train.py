"""Estimate an n-gram model from text and write it.

examples: seqlab ngram train corpus.txt.gz -o corpus.ngram --order 5 --memory 2G
          seqlab ngram train a.txt b.txt -o small.arpa.gz --order 3 --cutoffs 0 0 1
          seqlab ngram train names.txt -o names.ngram --unit character --smoothing witten_bell
          zstdcat huge.zst | seqlab ngram train - -o huge.ngram --order 3 --memory 8G

What it will need of memory and disk is said before it starts. An interrupted training leaves no
file behind.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from seqlab.cli.ngram.shared import (
    OUTPUT_HELP,
    Phases,
    add_quantise,
    check_output,
    is_arpa,
    model_of_table,
    report_model,
    say_written,
    size_text,
    write_model,
)
from seqlab.cli.ngram.texts import TEXT_HELP, add_unit, text_source, unit_options
from seqlab.cli.terminal import duration, say
from seqlab.errors import SeqlabError

if TYPE_CHECKING:
    from seqlab.lm.ngram.model import NGramModel
    from seqlab.lm.ngram.smoothing.base import Smoothing

SMOOTHINGS = (
    "modified_kneser_ney, kneser_ney, witten_bell, good_turing, absolute_discounting, "
    "jelinek_mercer, add_k, laplace, maximum_likelihood, stupid_backoff"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab ngram train``."""
    parser.add_argument("text", nargs="+", metavar="TEXT", help=TEXT_HELP)
    parser.add_argument("-o", "--output", required=True, metavar="MODEL", help=OUTPUT_HELP)
    parser.add_argument("--arpa", metavar="FILE", help="write an ARPA file, too")
    add_quantise(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    _add_estimation(parser.add_argument_group("estimation"))
    _add_words(parser.add_argument_group("words and sentences"))
    group = parser.add_argument_group("resources")
    group.add_argument(
        "--memory", metavar="SIZE", help="such as 512M or 2G; beyond it the work goes by the disk"
    )
    group.add_argument(
        "--scratch", metavar="DIR", help="where files go meanwhile; default: this folder"
    )
    group.add_argument("--threads", type=int, metavar="N", help="default: up to four")
    group.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask cluster that counts, such as tcp://10.0.0.1:8786; its machines must share "
        "the texts and the folder of --scratch",
    )


def _add_estimation(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--order", type=int, default=5, metavar="N", help="longest n-grams, 1 to 9; default: 5"
    )
    group.add_argument(
        "--smoothing",
        default="modified_kneser_ney",
        metavar="NAME",
        help=f"one of {SMOOTHINGS}; default: modified_kneser_ney",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change one setting of the smoothing, such as k=0.01, interpolated=false or "
        "discounts=0.5,1,1.5; may be repeated",
    )
    group.add_argument(
        "--discount-fallback",
        type=float,
        nargs="+",
        metavar="D",
        help="Kneser-Ney discounts where a text is too small to estimate them; default: 0.5 1 1.5",
    )
    group.add_argument(
        "--held-out", metavar="TEXT", help="text that jelinek_mercer fits its weights on"
    )
    group.add_argument(
        "--cutoffs",
        type=int,
        nargs="+",
        default=(),
        metavar="C",
        help="for each order, n-grams that occur so often or less are left out, such as 0 0 1; "
        "the last one serves the longer n-grams",
    )
    group.add_argument(
        "--prune-entropy",
        type=float,
        metavar="X",
        help="leave out n-grams that change the model by less, such as 1e-8",
    )


def _add_words(group: argparse._ArgumentGroup) -> None:
    add_unit(group, default="word")
    group.add_argument(
        "--vocabulary", metavar="FILE", help="the words to know, parted by white space"
    )
    group.add_argument(
        "--min-count", type=int, default=1, metavar="N", help="rarer words are left out; default: 1"
    )
    group.add_argument(
        "--unknown",
        choices=("class", "word", "gap"),
        default="class",
        help="class: words left out are <unk>; word: <unk> of the text is a word, words left out "
        "are gaps; gap: both are gaps, which no n-gram crosses; default: class",
    )
    group.add_argument(
        "--no-sentence-marks", action="store_true", help="no <s> and </s> at the ends of a line"
    )


def smoothing_of(args: argparse.Namespace) -> Smoothing:
    """The smoothing that ``--smoothing``, ``--set`` and their like name."""
    from seqlab.cli.features import parse_settings
    from seqlab.lm.ngram.smoothing.registry import smoothing_named

    options: dict[str, Any] = {
        name: numbers_of(value) for name, value in parse_settings(args.set).items()
    }
    if args.discount_fallback is not None:
        options["fallback"] = tuple(args.discount_fallback)
    if args.held_out is not None:
        options["held_out"] = _held_out(args)
    smoothing = smoothing_named(args.smoothing, **options)
    for field in dataclasses.fields(smoothing):  # type: ignore[arg-type]  # all are dataclasses
        if field.type == "bool" and not isinstance(getattr(smoothing, field.name), bool):
            raise SeqlabError(
                f"--set {field.name}={options[field.name]} must be true or false; change it"
            )
    return smoothing


def numbers_of(value: Any) -> Any:
    """Several numbers parted by commas as a tuple, other values as they are.

    >>> numbers_of("0.5,1,1.5"), numbers_of(3), numbers_of("a,b")
    ((0.5, 1.0, 1.5), 3, 'a,b')
    """
    try:
        return tuple(map(float, value.split(","))) if isinstance(value, str) else value
    except ValueError:
        return value


def _held_out(args: argparse.Namespace) -> Iterator[str]:
    """The held-out text as sentences of the same units."""
    from seqlab.lm.ngram.text import text_blocks

    for block in text_blocks(text_source([args.held_out]), **unit_options(args)):
        text = block.tobytes().decode("utf-8", "surrogateescape")
        yield from text[:-1].split("\n")


def read_vocabulary(path: str) -> list[str]:
    """The words of a file, each once; sentence marks and ``<unk>`` are always known."""
    from seqlab.lm.ngram.text import text_blocks
    from seqlab.lm.ngram.words import SPECIAL

    found: dict[str, None] = {}
    for block in text_blocks(text_source([path])):
        text = block.tobytes().translate(bytes(b if b > 32 else 32 for b in range(256)))
        words = text.decode("utf-8", "surrogateescape").split(" ")
        found.update(dict.fromkeys(filter(None, words)))
    words = [word for word in found if word not in SPECIAL]
    if not words:
        raise SeqlabError(f"vocabulary {path} holds no words; name a file with the words to know")
    return words


def say_needs(args: argparse.Namespace) -> None:
    """Say what memory and disk the estimation will take, before it starts."""
    from seqlab.lm.ngram.needs import expected_needs, parse_size
    from seqlab.lm.ngram.text import unpacked_size

    memory = None if args.memory is None else parse_size(args.memory)
    size = unpacked_size(text_source(args.text))
    if size is None:
        limit = f"; --memory {args.memory} bounds it" if memory else "; --memory SIZE bounds it"
        say(f"the size of the text is not known, nor is the memory it needs{limit}")
        return
    needs = expected_needs(size, args.order, memory, args.unit)
    disk = f"up to {size_text(needs.disk)} of disk" if needs.disk else "no disk"
    say(f"{size_text(size)} of text need up to {size_text(needs.memory)} of memory and {disk}")


def check_outputs(args: argparse.Namespace, smoothing: Smoothing) -> list[str]:
    """The files to write; SeqlabError where one cannot be, before long work begins."""
    check_output(args.output, args.quantise)
    if args.arpa is None:
        outputs = [args.output]
    else:
        check_output(args.arpa)
        outputs = [args.output, args.arpa]
        if os.path.abspath(args.arpa) == os.path.abspath(args.output):
            raise SeqlabError(f"-o and --arpa both name {args.arpa}; leave --arpa out")
    if smoothing.name == "stupid_backoff" and (args.arpa or is_arpa(args.output)):
        raise SeqlabError(
            "ARPA files cannot hold stupid_backoff, whose unseen contexts have a weight; write a "
            "binary file alone"
        )
    return outputs


def estimate(args: argparse.Namespace, smoothing: Smoothing) -> NGramModel:
    """The model that the arguments describe, with progress."""
    from seqlab.lm.ngram.distributed import connected
    from seqlab.lm.ngram.model import NGramModel

    vocabulary = read_vocabulary(args.vocabulary) if args.vocabulary else None
    say_needs(args)
    source: Any = text_source(args.text)
    cluster = connected(args.scheduler) if args.scheduler else contextlib.nullcontext()
    with cluster as client, Phases() as progress:
        return NGramModel.estimate(
            source[0] if len(source) == 1 else source,
            order=args.order,
            smoothing=smoothing,
            **unit_options(args),
            vocabulary=vocabulary,
            min_count=args.min_count,
            unknown=args.unknown,
            marks=not args.no_sentence_marks,
            cutoffs=tuple(args.cutoffs),
            memory=args.memory,
            scratch_folder=args.scratch,
            threads=args.threads,
            progress=progress,
            client=client,
        )


def run(args: argparse.Namespace) -> int:
    """Estimate and write a model."""
    from seqlab.lm.ngram.pruning import prune

    smoothing = smoothing_of(args)
    outputs = check_outputs(args, smoothing)
    started = time.monotonic()
    model = estimate(args, smoothing)
    if args.prune_entropy is not None:
        model = model_of_table(prune(model.table, args.prune_entropy).table, model.facts)
    write_model(model, args.output, args.quantise)
    if args.arpa:
        with Phases() as progress:
            model.write_arpa(args.arpa, progress)
    seconds = time.monotonic() - started
    facts = {"model": args.output, "arpa": args.arpa, "bytes": os.path.getsize(args.output)}
    report_model(model, args.json, **facts, seconds=round(seconds, 3))
    say(f"estimated and written in {duration(seconds)}")
    say_written(outputs)
    return 0
