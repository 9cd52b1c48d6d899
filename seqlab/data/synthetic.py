"""Synthetic speech: any word list in many voices, bit-identical from a seed.

It lets a fresh machine train and test without a download. Accuracy on it says nothing about
people; everything made from it is labelled synthetic.

Voices are those of espeak-ng from a wheel, and of other programs on this machine
(:mod:`seqlab.data.speech_programs`). espeak-ng repeats itself only if one seed is set once and
everything is said in a fixed order by one fresh process. So a corpus is always made whole, by
``python -m seqlab.data.synthetic``.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from seqlab.data._espeak import import_loader
from seqlab.data._speech_plan import Plan as Plan
from seqlab.data._synthesis import RECORD, write_corpus
from seqlab.data._synthesis import TABLE as TABLE
from seqlab.errors import DataError, SeqlabError

_ACCENTS = (
    "en-us",
    "en",
    "en-gb-scotland",
    "en-029",
    "en-gb-x-rp",
    "en-us-nyc",
    "en-gb-x-gbclan",
)
_TIMBRES = (
    "m3 f2 Alex Andrea m1 f3 Mike Annie m7 Alicia Lee f4 boris belinda m2 linda max anika Denis f5 "
    "Michael steph m8 shelby pablo aunty klatt4 Hugo f1 m5 Jacky victor announcer robert paul "
    "michel Nguyen travis edward Gene john Henrique m4 marcelo zac quincy Marco grandma sandro "
    "gustave norbert rob pedro ian miguel iven4 Reed m6 grandpa steph2 Diogo mike2 iven2 Mario "
    "adam ed klatt2 iven3 klatt3 antonio"
)
_VARIANTS = tuple(_TIMBRES.split())


def default_voices(count: int = 48) -> tuple[str, ...]:
    """The first ``count`` of the English voices that sound like people, no timbre twice.

    Raises:
        DataError: ``count`` is not within 1 and the number of timbres.

    Example:
        >>> default_voices(2)
        ('en-us+m3', 'en+f2')
    """
    if not 1 <= count <= len(_VARIANTS):
        raise DataError(f"voices={count} must be within 1 and {len(_VARIANTS)}")
    return tuple(
        f"{_ACCENTS[i % len(_ACCENTS)]}+{variant}" for i, variant in enumerate(_VARIANTS[:count])
    )


def cached_corpus(plan: Plan, cache: str | os.PathLike[str] | None = None) -> Path:
    """Folder of the corpus of ``plan``, made when it is not in the cache yet or is damaged.

    Args:
        plan: what to say.
        cache: folder of corpora; None: the user's cache folder.

    Returns:
        A folder with ``manifest.tsv`` (path, label, transcript, speaker, start_s, duration_s, id),
        the audio it names and ``corpus.json`` (the plan, checksums).

    Raises:
        MissingDependencyError: espeakng-loader, or a program, is not installed.
        DataError: the cache cannot be written, or a synthesiser fails.
    """
    if plan.needs_espeak:
        import_loader()
    if cache is None:
        import platformdirs

        cache = Path(platformdirs.user_cache_dir("seqlab")) / "synthetic"
    folder = Path(cache).absolute() / plan.key
    if not _is_intact(folder):
        synthesize(plan, folder)
    return folder


def synthesize(plan: Plan, dest: str | os.PathLike[str]) -> str:
    """Make the corpus of ``plan`` in ``dest``, in one fresh process; it appears whole or not.

    Args:
        plan: what to say.
        dest: folder to make; an older corpus there is replaced, another folder is refused.

    Returns:
        The checksum of all samples: equal plans give equal checksums.

    Raises:
        MissingDependencyError: espeakng-loader, or a program, is not installed.
        DataError: ``dest`` cannot be written or holds something else, or a synthesiser fails.
    """
    if plan.needs_espeak:
        import_loader()
    dest = Path(dest).absolute()
    if dest.exists() and not (dest / RECORD).is_file() and (dest.is_file() or any(dest.iterdir())):
        raise DataError(f"{dest} exists and is no synthetic corpus; choose another folder")
    fresh = dest.with_name(f".{dest.name}.{secrets.token_hex(4)}")
    try:
        fresh.mkdir(parents=True)
        _run_fresh(plan, fresh)
        record = json.loads((fresh / RECORD).read_text())
        _put_in_place(fresh, dest)
    except OSError as error:
        raise DataError(
            f"{dest} cannot be written ({error.strerror or error}); choose another folder, for "
            "the cache with the environment variable XDG_CACHE_HOME"
        ) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return str(record["checksum"])


def _run_fresh(plan: Plan, folder: Path) -> None:
    command = [sys.executable, "-m", "seqlab.data.synthetic", str(folder)]
    done = subprocess.run(
        command, input=json.dumps(asdict(plan)), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        raise DataError(reason.removeprefix("error: "))


def _put_in_place(fresh: Path, dest: Path) -> None:
    if dest.exists():
        if _is_intact(dest) and _checksum(dest) == _checksum(fresh):
            return  # another process was faster
        old = dest.with_name(f"{fresh.name}.old")
        dest.rename(old)
        shutil.rmtree(old, ignore_errors=True)
    fresh.rename(dest)


def _checksum(folder: Path) -> str:
    return str(json.loads((folder / RECORD).read_text())["checksum"])


def _is_intact(folder: Path) -> bool:
    """Whether every file of a corpus is as it was written."""
    try:
        files = json.loads((folder / RECORD).read_text())["files"]
        return all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
            for name, digest in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def main(arguments: Sequence[str]) -> int:
    """Make the corpus whose plan (JSON) stands on standard input in the folder named."""
    try:
        given = json.load(sys.stdin)
        lists = {name: tuple(given[name]) for name in ("words", "voices")}
        plan = Plan(**{**given, **lists})
        write_corpus(plan, Path(arguments[0]))
    except (SeqlabError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
