"""Make one n-gram model from several, by given weights or those that suit a text best.

examples: seqlab ngram interpolate news.ngram talks.ngram -o both.ngram --weights 0.3 0.7
          seqlab ngram interpolate a.arpa b.arpa c.arpa -o all.ngram --tune dev.txt

Linear interpolation adds probabilities; --log-linear multiplies powers of them.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seqlab.cli.ngram.shared import (
    MODEL_HELP,
    OUTPUT_HELP,
    add_quantise,
    check_output,
    load_model,
    model_of_table,
    report_model,
    say_written,
    write_model,
)
from seqlab.cli.ngram.texts import add_unit, text_source, unit_options
from seqlab.cli.terminal import print_table
from seqlab.errors import SeqlabError

if TYPE_CHECKING:
    from seqlab.lm.ngram.facts import Facts
    from seqlab.lm.ngram.interpolation import Weights
    from seqlab.lm.ngram.ngrams import BackoffTable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab ngram interpolate``."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help=OUTPUT_HELP)
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--weights", type=float, nargs="+", metavar="W", help="one a model; default: equal ones"
    )
    weights.add_argument("--tune", metavar="TEXT", help="fit the weights on this held-out text")
    parser.add_argument("--log-linear", action="store_true", help="instead of linear")
    add_unit(parser)
    add_quantise(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Interpolate."""
    from seqlab.lm.ngram.interpolation import interpolate
    from seqlab.lm.ngram.log_linear import interpolate_log_linear

    check_output(args.output, args.quantise)
    if len(args.models) < 2:
        raise SeqlabError("interpolation takes at least two models; name another")
    parts = [load_model(path) for path in args.models]
    tables = [part.table for part in parts]
    facts_of_all = common_facts(args.models, [part.facts for part in parts])
    fit = tune(args, tables, facts_of_all) if args.tune else None
    weights = fit.weights if fit else args.weights or [1 / len(tables)] * len(tables)
    mix = interpolate_log_linear if args.log_linear else interpolate
    model = model_of_table(mix(tables, weights), facts_of_all)
    write_model(model, args.output, args.quantise)
    facts: dict[str, Any] = {"weights": list(weights)}
    if fit:
        facts["tuned_perplexity"] = fit.perplexity
    if not args.json:
        rows = zip(args.models, (f"{weight:.4f}" for weight in weights), strict=True)
        print_table(["model", "weight"], list(rows))
        if fit:
            print(f"perplexity of {args.tune}: {fit.perplexity:.4f}")
    report_model(model, args.json, model=args.output, **facts)
    say_written([args.output])
    return 0


def common_facts(names: Sequence[str], facts: Sequence[Facts]) -> Facts:
    """What the models agree on; those of ARPA files, which say nothing, agree with all.

    Raises:
        SeqlabError: they were trained on different units, or only some with sentence marks.
    """
    told = [(name, f) for name, f in zip(names, facts, strict=True) if f.smoothing]
    if not told:
        return facts[0]
    first, common = told[0]
    for name, other in told[1:]:
        for rule in ("unit", "space", "marks"):
            if getattr(other, rule) != getattr(common, rule):
                raise SeqlabError(
                    f"{first} has {rule}={getattr(common, rule)!r} and {name} "
                    f"{rule}={getattr(other, rule)!r}, which must agree; train one anew"
                )
    return dataclasses.replace(common, smoothing="interpolation")


def tune(args: argparse.Namespace, tables: list[BackoffTable], facts: Facts) -> Weights:
    """Weights that make the held-out text most probable."""
    from seqlab.lm.ngram.interpolation import fit_linear_weights, score_columns
    from seqlab.lm.ngram.log_linear_weights import fit_log_linear_weights
    from seqlab.lm.ngram.text import text_blocks

    blocks = text_blocks(text_source([args.tune]), **unit_options(args, facts))
    text = b"".join(block.tobytes() for block in blocks)
    if args.log_linear:
        return fit_log_linear_weights(tables, text)
    return fit_linear_weights(score_columns(tables, text))
