"""Record measured runs beside a recipe, and make the README's table from the record.

example: seqlab results recipes/asr/an4 --add "separable convolutions" --runs runs/an4-1 runs/an4-2
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab results``."""
    parser.add_argument("folder", metavar="FOLDER", help="a recipe folder: results.json, README.md")
    parser.add_argument("--add", metavar="SYSTEM", help="add --runs as one entry of this name")
    parser.add_argument("--runs", metavar="RUN", nargs="+", default=[], help="finished run folders")
    parser.add_argument(
        "--evaluations",
        metavar="DIR",
        nargs="+",
        default=[],
        help="folders of seqlab evaluate -o, one a run, whose figures count in place of the runs'",
    )
    parser.add_argument(
        "--split", default="test", help="evaluated split of the runs; default: test"
    )
    parser.add_argument("--split-title", metavar="TEXT", help="what to call that split")
    parser.add_argument(
        "--names", metavar="A,B,...", help="what tells the runs apart; default: run 1, run 2, ..."
    )
    parser.add_argument(
        "--costs",
        action="store_true",
        help="with --add: multiplications and milliseconds for one second, of the first run",
    )
    parser.add_argument(
        "--picture", metavar="PNG", help="draw the figures over the milliseconds for one second"
    )


def run(args: argparse.Namespace) -> int:
    """Add an entry, if asked to, and update the table."""
    from seqlab.errors import SeqlabError
    from seqlab.training.result_costs import measure_costs, plot_results
    from seqlab.training.results import measure_runs, read_results, update_readme, write_results

    folder = Path(args.folder)
    path = folder / "results.json"
    if args.costs and not args.add:
        raise SeqlabError("--costs belongs to --add SYSTEM; name the runs that are measured")
    if bool(args.add) != bool(args.runs):
        raise SeqlabError("--runs and --add SYSTEM belong together; give both or neither")
    if args.add:
        runs = [Path(name) for name in args.runs]
        names = args.names.split(",") if args.names else [f"run {i + 1}" for i in range(len(runs))]
        evaluated = [Path(name) for name in args.evaluations]
        entry = measure_runs(runs, names, args.add, args.split, args.split_title, evaluated)
        if args.costs:
            costs = measure_costs(runs[0])
            entry["macs"], entry["clip_ms"] = costs["macs"], costs["clip_ms"]
        write_results(path, [*read_results(path), entry])
    if args.picture:
        plot_results(read_results(path)).savefig(args.picture, dpi=150)
    changed = update_readme(folder)
    print(f"{folder / 'README.md'}: {'updated' if changed else 'up to date'}")
    return 0
