"""Makes what is generated of recipes/lm/wikitext2/README.md: tables, commands and pictures.

`python -m tests.reference.ngram_page` writes them from results.json beside the page, and with
--measure everything is measured first, which needs SEQLAB_DATA. A test holds the page to the
record, and recomputes some of it.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tests.reference.ngram_measure import BOOK, KENLM, ORDERS, RESPELL, SMOOTHINGS, measure_all
from tests.reference.ngram_measure import prepare as prepare_texts

FOLDER = Path(__file__).parents[2] / "recipes" / "lm" / "wikitext2"
BEGIN = "<!-- {name}: made by `python -m tests.reference.ngram_page`, do not edit -->"
END = "<!-- end of {name} -->"
Record = dict[str, Any]


def read_records() -> list[Record]:
    """What was measured."""
    records: list[Record] = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    return records


def _number(value: float | None, bold: bool = False) -> str:
    """A perplexity with as many digits as a table needs."""
    if value is None:
        return "infinite"
    text = f"{value:.0f}" if value >= 1000 else f"{value:.2f}"
    return f"**{text}**" if bold else text


def _size(record: Record) -> str:
    return f"{record['bytes'] / 1e6:.1f}"


def _table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    lines = [f"| {' | '.join(map(str, header))} |"]
    lines.append("|---" * lines[0].count(" | ") + "|---|")
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def _grid(records: list[Record], section: str, value: str) -> dict[str, list[Any]]:
    """Name of the row: a figure for each order."""
    rows: dict[str, list[Any]] = {}
    for record in records:
        if record["section"] == section:
            figure = record[value]
            rows.setdefault(record["system"], []).append(
                figure[0] if isinstance(figure, list) else figure
            )
    return rows


def _best_k(records: list[Record]) -> tuple[list[str], list[Record]]:
    """The k of least perplexity on valid, and its record, for each order."""
    best = []
    for order in ORDERS:
        tried = [r for r in records if r["section"] == "add k" and r["order"] == order]
        best.append(min(tried, key=lambda record: record["valid"]))
    return [record["system"] for record in best], best


def _smoothing(records: list[Record], value: str) -> str:
    rows = _grid(records, "smoothing", value)
    _, best = _best_k(records)
    chosen = [record[value] for record in best]
    chosen = [figure[0] if isinstance(figure, list) else figure for figure in chosen]
    table = []
    models = [figures for name, figures in rows.items() if "scores" not in name]
    columns = [sorted(v for v in column if v) for column in zip(*models, strict=True)]
    least = [column[0] if column[0] < column[1] else 0 for column in columns]
    for name, figures in rows.items():
        cells = [_number(f, f == bold) for f, bold in zip(figures, least, strict=True)]
        table.append([name, *cells])
        if name.startswith("add k"):
            table.append(["add k, k chosen on valid", *map(_number, chosen)])
    return _table(["smoothing", *(f"order {order}" for order in ORDERS)], table)


def smoothing_tables(records: list[Record]) -> str:
    """Perplexities of all smoothings and orders, sizes and times."""
    seconds = [
        [name, f"`{SMOOTHINGS[name]}`", *(f"{value:.1f}" for value in values)]
        for name, values in _grid(records, "smoothing", "seconds").items()
    ]
    best = list(SMOOTHINGS)[-2]
    whole = [r for r in records if (r["section"], r["system"]) == ("smoothing", best)]
    sizes = [
        [r["order"], f"{r['ngrams'][-1]:,}", f"{sum(r['ngrams']):,}", _size(r), *_interval(r)]
        for r in whole
    ]
    zeros = [r["zeros"] for r in records if r["system"] == "maximum likelihood"]
    impossible = ", ".join(f"{count:,}" for count in zeros)
    ks, _ = _best_k(records)
    picks = ", ".join(f"order {order}: {k}" for order, k in zip(ORDERS, ks, strict=True))
    sweep = [
        [name, *map(_number, values)] for name, values in _grid(records, "add k", "valid").items()
    ]
    orders = [f"order {order}" for order in ORDERS]
    header = ["order", "longest n-grams", "all", "file, MB", "perplexity", "95 % interval"]
    return "\n\n".join([
        "Perplexity of the test text, `<unk>` a word like others (245,569 tokens):",
        _smoothing(records, "values"),
        "Maximum likelihood gives so many tokens of the test text, order by order, the "
        f"probability 0: {impossible}.",
        "Without `<unk>`, which is left out of the average but stays in contexts (230,351 tokens):",
        _smoothing(records, "excluding_unknown"),
        f"k of \"chosen on valid\", from the perplexities of the valid text below ({picks}):",
        _table(["valid", *orders], sweep),
        "Size, the same with every smoothing, and how far modified Kneser-Ney could be off by the "
        "choice of test sentences:",
        _table(header, sizes),
        "Seconds of processor time from the packed text to the written file, and the options of "
        "`seqlab ngram train`:",
        _table(["smoothing", "options", *orders], seconds),
        f"Machine: {whole[0]['machine']}.",
    ])  # fmt: skip


def _interval(record: Record) -> list[str]:
    low, high = record["confidence_interval"]
    return [_number(record["values"][0]), f"{low:.1f} to {high:.1f}"]


def kenlm_table(records: list[Record]) -> str:
    """Beside the figures of KenLM's own programs."""
    rows = [
        [f"`{r['system']}`", f"{KENLM[r['system']]:.2f}", f"{r['values'][0]:.2f}"]
        for r in records
        if r["section"] == "kenlm"
    ]
    table = _table(["seqlab ngram train", "KenLM", "seqlab"], rows)
    return f"```bash\n{RESPELL.strip()}\n```\n\n{table}"


def size_table(records: list[Record]) -> str:
    """Cut-offs, pruning and rounding."""
    rows = [
        [
            r["system"],
            f"{sum(r['ngrams']):,}",
            _size(r),
            _number(r["valid"]),
            _number(r["values"][0]),
        ]
        for r in sorted(records, key=lambda r: -sum(r["ngrams"]))
        if r["section"] == "size"
    ]
    return _table(["model of order 5", "n-grams", "file, MB", "valid", "test"], rows)


def vocabulary_table(records: list[Record]) -> str:
    """Rare words left out."""
    rows = [
        [r["system"], f"{r['ngrams'][0] - 3:,}", f"{100 * r['unknown'] / r['tokens']:.1f} %",
         _number(r["values"][0]), _number(r["excluding_unknown"]), _size(r)]
        for r in records if r["section"] == "min_count"
    ]  # fmt: skip
    header = ["`--min-count`", "words", "test tokens that are `<unk>`", "perplexity",
              "without `<unk>`", "file, MB"]  # fmt: skip
    return _table(header, rows)


def adaptation_table(records: list[Record]) -> str:
    """Two models and their mixture on the texts of each."""
    rows = []
    for record in records:
        if record["section"] != "adaptation":
            continue
        weights = " and ".join(f"{weight:.3f}" for weight in record["weights"])
        rows.append([
            record["split"], record["system"], weights, _number(record["valid"]),
            _number(record["values"][0]), f"{record['unknown']:,}",
            _number(record["excluding_unknown"]),
        ])  # fmt: skip
    header = ["test text", "model", "weights", "valid", "test", "unknown", "without unknown"]
    return f"```bash\n{BOOK.strip()}\n```\n\n{_table(header, rows)}"


BLOCKS = {
    "smoothing": smoothing_tables,
    "kenlm": kenlm_table,
    "size": size_table,
    "vocabulary": vocabulary_table,
    "adaptation": adaptation_table,
}


def blocks(records: list[Record]) -> dict[str, str]:
    """The generated parts of the page by name, marks included."""
    return {
        name: f"{BEGIN.format(name=name)}\n{make(records)}\n{END.format(name=name)}"
        for name, make in BLOCKS.items()
    }


def orders_picture(records: list[Record]) -> Figure:
    """Perplexity over the order, a line for each smoothing: all of it, and the better ones."""
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.6])
    rows = _grid(records, "smoothing", "values")
    rows = {name: row for name, row in rows.items() if None not in row and "scores" not in name}
    for number, name in enumerate(sorted(rows, key=lambda name: -rows[name][-1])):
        style = "--" if "back-off" in name else "-"
        for axes, label in ((left, None), (right, name)):
            axes.plot(
                ORDERS, rows[name], style, marker="o", ms=3, lw=1.3, color=f"C{number % 10}",
                mfc="white" if number > 9 else None, label=label,
            )  # fmt: skip
    left.set(yscale="log", ylabel="perplexity, WikiText-2 test")
    left.set_yticks([300, 1000, 3000, 10000], ["300", "1000", "3000", "10000"])
    right.set(ylim=(210, 360), xlim=(1.8, 6.2))
    for axes in (left, right):
        axes.set(xlabel="order", xticks=[order for order in ORDERS if order > 1 or axes is left])
        axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    return figure


def sizes_picture(records: list[Record]) -> Figure:
    """Perplexity over the size of the file, a line for each way to make it smaller."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    lines: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        name = re.sub("[ 0-9]+$", "", record["system"])
        if record["section"] == "size" and "8 bits" not in record["system"] and name != "whole":
            lines.setdefault(name, []).append((record["bytes"] / 1e6, record["values"][0]))
    for name, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), "o-", ms=4, lw=1.3, label=name)
    (whole,) = (r for r in records if r["section"] == "size" and r["system"] == "whole")
    axes.plot(whole["bytes"] / 1e6, whole["values"][0], "k*", ms=9, label="whole")
    axes.set(xscale="log", xlabel="file, MB", ylabel="perplexity, WikiText-2 test")
    axes.set_xticks([3, 10, 30, 100], ["3", "10", "30", "100"])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    return figure


def write() -> None:
    """Write the tables into the page and the pictures beside it."""
    page, records = FOLDER / "README.md", read_records()
    text = page.read_text(encoding="utf-8")
    for name, block in blocks(records).items():
        begin, end = text.index(f"<!-- {name}: "), text.index(END.format(name=name))
        text = text[:begin] + block + text[end + len(END.format(name=name)) :]
    page.write_text(text, encoding="utf-8")
    orders_picture(records).savefig(FOLDER / "orders.png", dpi=90)
    sizes_picture(records).savefig(FOLDER / "sizes.png", dpi=90)


def measure() -> None:
    """Measure everything anew and write the record."""
    with tempfile.TemporaryDirectory() as folder:
        prepare_texts(Path(folder))
        records = measure_all(Path(folder))
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    (FOLDER / "results.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure everything first")
    if parser.parse_args().measure:
        measure()
    write()
