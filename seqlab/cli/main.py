"""The ``seqlab`` command: finds the subcommand, runs it, turns errors into one line and a code.

Exit codes: 0 done, 2 something the user can put right (one line on standard error), 130 stopped
by Ctrl-C, 141 the reader of a pipe went away. Each subcommand is a module of this folder with
``add_arguments(parser)`` and ``run(args) -> int``; only the one that is asked for is imported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from seqlab import __version__
from seqlab.cli.interrupt import interruptible
from seqlab.cli.overrides import take_overrides
from seqlab.errors import SeqlabError

COMMANDS = {
    "demo": "train and use a keyword model on synthetic digits, in a few minutes",
    "prepare": "turn a corpus as downloaded into manifests",
    "check": "check a recipe and explain what it builds",
    "train": "train the model of a recipe; any value can be overridden",
    "learning-rate": "find a learning rate for a recipe by trying rising ones",
    "evaluate": "measure a model on a manifest: error rates with confidence intervals",
    "tune": "find the weights of language model and words with the fewest errors on dev",
    "adapt": "a recogniser for one voice, from a dozen recordings without transcripts",
    "transcribe": "speech in files to text",
    "align": "when each word of a known text was said: TextGrid, subtitles, CTM",
    "classify": "the most probable labels of files",
    "wakeword": "a detector of typed phrases, from synthetic speech to the export",
    "spot": "keywords in hours of recordings, or while somebody speaks",
    "events": "sound events in recordings: which, from when to when",
    "operating-point": "thresholds of a keyword model for a wanted rate of false alarms",
    "hard-negatives": "what a keyword model mistakes for keywords, to learn from it",
    "export": "a model as ONNX, with its front end inside, to run without torch",
    "encoders": "what encoders cost and see: parameters, MACs, receptive field, delay",
    "features": "log-mel, MFCC or spectrogram of files, as arrays or pictures",
    "ngram": "n-gram language models: estimate, measure, convert, combine, use",
    "results": "record finished runs beside a recipe, and make its README's table",
}

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like every other error of the command."""

    def error(self, message: str) -> NoReturn:
        """Print the message and where help is, and exit with code 2."""
        report_error(f"{message}; see {self.prog} --help")
        raise SystemExit(EXIT_ERROR)


def one_line(message: str) -> str:
    """The message on one line, with control characters (of a hostile file name, say) escaped."""
    joined = " ".join(message.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)


def report_error(message: str) -> None:
    """Print ``seqlab: error: message`` on standard error, on one line."""
    print(f"seqlab: error: {one_line(message)}", file=sys.stderr)


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as ``note: message`` on standard error, without the code that gave it."""
    print(f"note: {one_line(str(message))}", file=sys.stderr)


def top_parser() -> OneLineParser:
    """The parser of ``seqlab --help``; it imports no subcommand."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{text}" for name, text in COMMANDS.items()]
    parser = OneLineParser(
        prog="seqlab",
        description="From waveform to text: features, keyword spotting, speech recognition.",
        epilog="commands:\n" + "\n".join(lines) + "\n\nseqlab COMMAND --help says more of each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"seqlab {__version__}")
    parser.add_argument("command", metavar="COMMAND", help="one of the commands below")
    return parser


def parse_command(name: str, arguments: list[str]) -> argparse.Namespace:
    """Import the subcommand ``name`` and parse its arguments; ``run`` and ``argv`` are added."""
    module = importlib.import_module(f"seqlab.cli.{name.replace('-', '_')}")
    parser = OneLineParser(
        prog=f"seqlab {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    overrides: list[str] = []
    rest = arguments
    if getattr(module, "TAKES_OVERRIDES", False):
        rest, overrides = take_overrides(parser, arguments)
    args = parser.parse_args(rest)
    args.overrides = overrides
    args.argv = ["seqlab", name, *arguments]
    args.run = module.run
    return args


def run_command(argv: Sequence[str]) -> int:
    """Parse and run; SeqlabError and OSError pass through."""
    parser = top_parser()
    if not argv:
        parser.print_help()
        return EXIT_ERROR
    name = str(parser.parse_args(argv[:1]).command)
    if name not in COMMANDS:
        from seqlab.checks import did_you_mean

        raise SeqlabError(f"{name!r} is not a command{did_you_mean(name, COMMANDS)}")
    args = parse_command(name, list(argv[1:]))
    return int(args.run(args))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: arguments after the program's name; None takes them from ``sys.argv``.

    Returns:
        The exit code, for scripts to test; see the top of this module.
    """
    try:
        with warnings.catch_warnings(), interruptible():
            warnings.showwarning = show_warning
            code = run_command(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except SeqlabError as error:
        report_error(str(error))
        return EXIT_ERROR
    except KeyboardInterrupt as stop:  # a training says how to go on
        report_error(str(stop) or "stopped by Ctrl-C")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `seqlab ... | head`: nobody is left to read
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        name = f": {error.filename}" if error.filename else ""
        report_error(f"{error.strerror or error}{name}")
        return EXIT_ERROR
    except SystemExit as exit_:  # argparse: --help, --version and usage errors
        return exit_.code if isinstance(exit_.code, int) else EXIT_ERROR


if __name__ == "__main__":
    raise SystemExit(main())
