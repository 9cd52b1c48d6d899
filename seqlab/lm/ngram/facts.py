"""What a model remembers of how it was made, so that it is asked as it was trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError, ModelError
from seqlab.lm.ngram.text import SPACE, TextSource, Unit, text_blocks
from seqlab.values import shown

UNITS = ("word", "character", "subword")


@dataclass(frozen=True)
class Facts:
    """How a model came about; stored in its file as JSON.

    Args:
        smoothing: name of the method; empty where that is not known, as of an ARPA file.
        unit: ``"word"``, ``"character"`` or ``"subword"``. Text for a model of subwords must come
            cut into them.
        space: for characters, the word that stands for white space.
        marks: whether sentences begin with ``<s>`` and end with ``</s>``.
    """

    smoothing: str = ""
    unit: str = "word"
    space: str = SPACE
    marks: bool = True

    @staticmethod
    def unit_name(unit: Unit) -> str:
        """``"subword"`` for the file of a sentencepiece model, the unit's name otherwise."""
        return str(unit) if unit in ("word", "character") else "subword"

    def blocks(self, source: TextSource) -> Iterator[NDArray[np.uint8]]:
        """A text cut into words as the model's own was, in blocks of whole lines."""
        # Subwords come cut, so that white space parts them.
        unit = "character" if self.unit == "character" else "word"
        return text_blocks(source, unit, space=self.space)

    def parted(self, sentence: str) -> list[str]:
        """One sentence cut into words as the model's text was.

        Raises:
            DataError: it is more than one line.
        """
        lines = b"".join(block.tobytes() for block in self.blocks([sentence])).split(b"\n")[:-1]
        if len(lines) != 1:
            raise DataError(f"{shown(sentence)} must be one line; score lines one by one")
        return [word.decode("utf-8", "surrogateescape") for word in lines[0].split()]

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """What ``to_json`` gave; fields of later versions are left out.

        Raises:
            ModelError: it is something else.
        """
        try:
            found: Any = json.loads(text)
        except ValueError as error:
            raise ModelError(f"the model's facts are no JSON ({error}); it is damaged") from None
        known = {field.name: type(field.default) for field in fields(cls)}
        if not isinstance(found, dict) or not all(
            isinstance(value, known[name]) for name, value in found.items() if name in known
        ):
            raise ModelError(f"the model's facts {shown(found)} must be an object; it is damaged")
        facts = cls(**{name: value for name, value in found.items() if name in known})
        if facts.unit not in UNITS:
            raise ModelError(f"the model's unit {shown(facts.unit)} must be one of {UNITS}")
        return facts
