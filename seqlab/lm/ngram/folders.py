"""Folders for a while, which are sure to go again."""

from __future__ import annotations

import os
import secrets
import shutil
import time
import weakref
from pathlib import Path

from seqlab.errors import DataError

__all__ = ["TemporaryFolder"]

_TRIES, _WAIT_S = 20, 0.1


class TemporaryFolder:
    """A new folder that goes with the object, in the end of ``with``, or of the process.

    No moment is left in which Ctrl-C would leave it behind. Its name is that of no other folder.

    Args:
        parent: the folder to make it in.

    Raises:
        DataError: ``parent`` is not a folder.
        OSError: nothing can be written there.

    Example:
        >>> with TemporaryFolder(".") as folder:
        ...     os.listdir(folder)
        []
        >>> os.path.exists(folder)
        False
    """

    def __init__(self, parent: str | Path) -> None:
        if not os.path.isdir(parent):
            raise DataError(f"scratch folder {parent} is not a folder; create it")
        self.path = os.path.join(os.path.abspath(parent), f"seqlab-ngram-{secrets.token_hex(8)}")
        # Before it is made; and until it is gone, whatever interrupts removing it.
        self._finalizer = weakref.finalize(self, _remove, self.path)
        os.mkdir(self.path, 0o700)

    def __enter__(self) -> str:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the folder and what is in it; a second time does nothing."""
        if self._finalizer.alive:
            _remove(self.path)
            self._finalizer.detach()


def _remove(folder: str) -> None:
    for attempt in range(_TRIES):  # whoever was told to stop may write until it is gone
        if attempt:
            time.sleep(_WAIT_S)
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
