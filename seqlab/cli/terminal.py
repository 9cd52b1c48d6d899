"""What every subcommand prints with: tables, JSON, and progress with the time left.

On a terminal rich draws; into a pipe or file go plain lines of tab-separated or aligned text, so
that ``seqlab ... | grep`` and logs stay readable. Standard output carries results, standard
error carries progress and errors.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any


def print_json(value: Any) -> None:
    """Print ``value`` as one JSON document, the output of ``--json``; NaN becomes null."""
    print(json.dumps(_finite(value), ensure_ascii=False, indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None
) -> None:
    """Print a table: drawn on a terminal, aligned plain text elsewhere; numbers to the right."""
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich_table(columns, cells, title)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    right = [_is_numeric(column) for column in _columns(cells, len(columns))]
    if title:
        print(title)
    for row in [list(columns), *cells]:
        padded = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, right, strict=True)
        ]
        print("  ".join(padded).rstrip())


def _columns(cells: list[list[str]], count: int) -> list[list[str]]:
    return [[row[index] for row in cells] for index in range(count)]


def _is_numeric(column: Iterable[str]) -> bool:
    texts = [text for text in column if text not in ("", "-")]
    return bool(texts) and all(text[0].isdigit() or text[0] in "+-." for text in texts)


def _print_rich_table(columns: Sequence[str], cells: list[list[str]], title: str | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) if title else None, title_justify="left")
    for name, column in zip(columns, _columns(cells, len(columns)), strict=True):
        table.add_column(escape(name), justify="right" if _is_numeric(column) else "left")
    for row in cells:
        table.add_row(*(escape(text) for text in row))
    Console().print(table)


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(4.24), duration(312), duration(7384)
    ('4.2 s', '5:12', '2:03:04')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def say(text: str) -> None:
    """Print a remark for people on standard error, where it does not mix with results."""
    sys.stdout.flush()  # so that both keep their order in one log
    print(text, file=sys.stderr, flush=True)


class Progress:
    """Progress of a long job on standard error: a bar with the time left, or plain lines.

    Used as a context manager. On a terminal ``update`` moves a bar; elsewhere it prints a line
    only every ``every_s`` seconds, so that logs stay short.
    """

    def __init__(self, total: int | None, what: str, every_s: float = 30.0) -> None:
        self._what = what
        self._total = total
        self._every_s = every_s
        self._started = self._printed = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[note]}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total, note="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(
        self, done: int, note: str = "", total: int | None = None, left_s: float | None = None
    ) -> None:
        """Say where the job stands.

        Args:
            done: steps done.
            note: a short figure, such as the loss.
            total: steps in all, if it was not known before.
            left_s: seconds left; None estimates them from the pace so far.
        """
        self._total = total = self._total if total is None else total
        now = time.monotonic()
        if left_s is None and total and done:
            left_s = (now - self._started) / done * (total - done)
        note = "  ".join(filter(None, [note, f"{duration(left_s)} left" if left_s else ""]))
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)
        elif now - self._printed > self._every_s and done != total:
            self.line(f"{self._what}: {done} of {total or '?'}  {note}")

    def line(self, text: str) -> None:
        """Print a line that stays: above the bar, or plain."""
        self._printed = time.monotonic()
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            say(text)
