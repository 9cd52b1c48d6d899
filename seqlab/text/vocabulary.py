"""The list of tokens a model knows, and its safe form on disk."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence

from seqlab.errors import DataError, ModelError

BLANK = "<blank>"
UNKNOWN = "<unk>"
UNKNOWN_LABEL = "<unknown>"  # classes of no keyword: other speech
SILENCE_LABEL = "<silence>"  # and no speech
FILE_NAME = "vocabulary.json"


class Vocabulary:
    """Tokens in a fixed order, each different; a token's index is the class it stands for.

    Args:
        tokens: at least one, all different, none empty.

    Raises:
        DataError: no tokens, an empty one, or the same one twice.

    Example:
        >>> vocabulary = Vocabulary(["<blank>", "a", "b"])
        >>> vocabulary.index("b"), vocabulary[1], len(vocabulary)
        (2, 'a', 3)
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = list(tokens)
        if not self.tokens:
            raise DataError("a vocabulary of 0 tokens must hold at least 1; are there any texts?")
        self._index = {token: index for index, token in enumerate(self.tokens)}
        if "" in self._index:
            raise DataError("a vocabulary holds an empty token; remove empty labels or words")
        if len(self._index) < len(self.tokens):
            twice = next(t for i, t in enumerate(self.tokens) if self._index[t] != i)
            raise DataError(f"token {twice!r} stands twice in the vocabulary; rename or remove one")

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._index

    def __getitem__(self, index: int) -> str:
        """The token of class ``index``; DataError unless 0 <= index < len."""
        if not 0 <= index < len(self.tokens):
            raise DataError(
                f"token index {index} must be within 0 and {len(self.tokens) - 1}; "
                "is this the vocabulary the model was trained with?"
            )
        return self.tokens[index]

    def get(self, token: str) -> int | None:
        """The index of ``token``, or None."""
        return self._index.get(token)

    def index(self, token: str) -> int:
        """The index of ``token``; DataError, with the nearest known one, if there is none."""
        if token not in self._index:
            near = difflib.get_close_matches(token, self.tokens, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "correct it or train with it"
            raise DataError(f"{token!r} is not among the {len(self)} known tokens; {hint}")
        return self._index[token]

    def to_bytes(self) -> bytes:
        """JSON, UTF-8."""
        text = json.dumps({"tokens": self.tokens}, ensure_ascii=True, indent=1)
        return text.encode("ascii") + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Vocabulary:
        """Read what ``to_bytes`` wrote; ModelError for anything else."""
        try:
            tokens = json.loads(content)["tokens"]
            if not isinstance(tokens, list) or not all(isinstance(t, str) for t in tokens):
                raise TypeError("tokens must be a list of texts")
            return cls(tokens)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(
                f"{FILE_NAME} is damaged ({type(error).__name__}: {error}); must be JSON with a "
                "list 'tokens'; save the model again"
            ) from None
