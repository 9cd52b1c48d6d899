"""The texts that n-gram models are measured on, made ready for every toolkit."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.ngram_process import run

UNKNOWN_SPELLING = b"UNKWORD"  # for <unk>, which lmplz refuses in a text
HELD_OUT = 2_000_000  # words of a generated text that are scored
SMALL = 2_000_000  # words of the text that stands in for WikiText-2


@dataclass(frozen=True)
class Text:
    """A text to estimate from, and one to score.

    Args:
        name: for tables.
        train: one sentence a line.
        test: one sentence a line, of the same kind; not within ``train`` unless ``name`` says so.
    """

    name: str
    train: Path
    test: Path


def small_text(folder: Path) -> Text:
    """WikiText-2 (Merity et al. 2016) where SEQLAB_DATA holds it, else a generated text."""
    packed = Path(os.environ.get("SEQLAB_DATA", "-"), "text", "wikitext2")
    if not (packed / "wiki.train.tokens.gz").is_file():
        return generated(SMALL, folder)
    paths = []
    for part in ("train", "test"):
        text = gzip.decompress((packed / f"wiki.{part}.tokens.gz").read_bytes())
        paths.append(folder / f"wikitext2-{part}.txt")
        paths[-1].write_bytes(text.replace(b"<unk>", UNKNOWN_SPELLING))
    return Text("WikiText-2", paths[0], paths[1])


def generated(words: int, folder: Path, seed: int = 1) -> Text:
    """A generated text of so many words, and how it goes on; made unless it is there."""
    train = folder / f"generated-{words}-{seed}.txt"
    test = folder / f"generated-{words}-{seed}-continued.txt"
    generate(train, words, seed)
    generate(test, words + HELD_OUT, seed, skip=words)
    return Text(f"{words / 1e6:.3g} M generated words", train, test)


def generate(path: Path, words: int, seed: int, skip: int = 0) -> None:
    """Run the generator in a process of its own, unless the file is there.

    Raises:
        RuntimeError: it failed.
    """
    if path.exists():
        return
    partial = path.with_name(path.name + ".partial")
    module = [sys.executable, "-m", "tests.benchmarks.ngram_text"]
    options = ["--seed", str(seed), "--skip", str(skip)]
    usage = run([*module, str(words), str(partial), *options])
    if usage.failure:
        raise RuntimeError(f"generating a text: {usage.failure}")
    partial.replace(path)


def given(path: Path, folder: Path) -> Text:
    """A text of the user's; its last tenth, 10 MB at most, is scored."""
    test = folder / "tail.txt"
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(size - min(size // 10, 10_000_000))
        file.readline()
        test.write_bytes(file.read())
    return Text(f"{path.name} (scored: its end)", path, test)


def tiled(path: Path, megabytes: float, folder: Path) -> tuple[Path, int]:
    """A text repeated until it has a size, so that it takes long enough to be timed.

    Returns:
        The file, and how often the text stands in it.
    """
    text = path.read_bytes()
    times = max(1, round(megabytes * 1e6 / max(len(text), 1)))
    result = folder / f"{path.stem}-{times}.txt"
    with result.open("wb") as file:
        for _ in range(times):
            file.write(text)
    return result, times


@contextmanager
def with_marks(path: Path, folder: Path) -> Iterator[Path]:
    """The text with sentence marks, as IRSTLM wants it."""
    marked = folder / "marked.txt"
    with path.open("rb") as source, marked.open("wb") as target:
        for line in source:
            target.write(b"<s> " + line.strip() + b" </s>\n")
    yield marked
    marked.unlink()
