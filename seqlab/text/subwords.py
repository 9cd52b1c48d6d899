"""Text to subwords and back, by sentencepiece."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from seqlab.errors import DataError, ModelError
from seqlab.text.base import Tokenizer, not_fitted, shorten, state_file, unknown_character
from seqlab.text.normalize import Case, Digits, Punctuation, TextNormalizer, UnicodeForm
from seqlab.text.vocabulary import BLANK, Vocabulary

MODEL_NAME = "tokenizer.model"
_SPACE = "\u2581"  # sentencepiece's sign for a space


class SentencePieceTokenizer(Tokenizer):
    """Subwords learned from the training texts; for corpora of more than about ten hours.

    Training is repeatable: one thread, every text used, no normalisation but the one here.

    Args:
        vocab_size: number of tokens, ``<blank>`` and ``<unk>`` included; at least one more than
            the different characters.
        model_type: ``unigram`` (Kudo 2018) or ``bpe`` (Sennrich et al. 2016).
        case: ``lower``, ``upper`` or ``keep``.
        unicode_form: ``NFC`` or ``NFKC``.
        punctuation: ``keep`` or ``remove``.
        digits: ``keep`` or ``separate``.

    Example:
        >>> texts = ["see the sea", "see the sand", "the sand and the sea"]
        >>> tokenizer = SentencePieceTokenizer(vocab_size=14, model_type="bpe").fit(texts)
        >>> len(tokenizer), tokenizer.decode(tokenizer.encode("The sand"))
        (14, 'the sand')
    """

    unit = "subword"

    def __init__(
        self,
        *,
        vocab_size: int,
        model_type: Literal["unigram", "bpe"] = "unigram",
        case: Case = "lower",
        unicode_form: UnicodeForm = "NFC",
        punctuation: Punctuation = "keep",
        digits: Digits = "keep",
    ) -> None:
        super().__init__(TextNormalizer(case, unicode_form, punctuation, digits=digits))
        if vocab_size < 4:
            raise DataError(f"vocab_size={vocab_size} must be at least 4; 100 to 5000 is usual")
        if model_type not in ("unigram", "bpe"):
            raise DataError(f"model_type={model_type!r} must be 'unigram' or 'bpe'")
        self.vocab_size = vocab_size
        self.model_type = model_type
        self._model = b""
        self._characters: set[str] = set()
        self._processor: Any = None

    def fit(self, texts: Iterable[str]) -> Self:
        """Train the subwords; DataError names the largest possible ``vocab_size``."""
        normalized = [text for text in map(self.normalize, texts) if text]
        for text in normalized:
            _check_pieces(text)
        if not normalized:
            raise DataError("the training texts hold no characters; are there transcripts?")
        self._take(_train(normalized, self.vocab_size - 1, self.model_type))
        return self

    def encode(self, text: str) -> list[int]:
        """Token indices (U,), one a subword of the normalised text."""
        if self._processor is None:
            raise not_fitted(self)
        normalized = self.normalize(text)
        _check_pieces(normalized)
        for character in normalized:
            if character not in self._characters and character != " ":
                raise unknown_character(text, character, sorted(self._characters))
        return [piece + 1 for piece in self._processor.encode(normalized)]

    def decode(self, tokens: Sequence[int]) -> str:
        """The subwords put together."""
        return " ".join("".join(self._units(tokens)).replace(_SPACE, " ").split())

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """The subwords, those that begin a word with a space before them."""
        return [unit.replace(_SPACE, " ") for unit in self._units_or_blanks(tokens)]

    def state(self) -> dict[str, bytes]:
        """The vocabulary, for people, and the sentencepiece model."""
        return {**super().state(), MODEL_NAME: self._model}

    def load_state(self, files: Mapping[str, bytes]) -> Self:
        """Take over what ``state`` gave; ModelError if it is missing or damaged."""
        model = state_file(files, MODEL_NAME)
        try:
            self._take(model)
        except (RuntimeError, TypeError, DataError) as error:
            raise ModelError(
                f"{MODEL_NAME} is no sentencepiece model ({error}); save the model again"
            ) from None
        return self

    def _take(self, model: bytes) -> None:
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor()
        processor.LoadFromSerializedProto(model)
        pieces = [processor.IdToPiece(i) for i in range(processor.GetPieceSize())]
        self._vocabulary = Vocabulary([BLANK, *pieces])
        self._characters = {character for piece in pieces[1:] for character in piece}
        self._model, self._processor = model, processor


def _train(texts: list[str], size: int, model_type: str) -> bytes:
    """A sentencepiece model of ``size`` pieces, silently and in one thread."""
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=size,
            model_type=model_type,
            character_coverage=1.0,
            normalization_rule_name="identity",
            bos_id=-1,
            eos_id=-1,
            num_threads=1,
            max_sentence_length=1 << 24,
            minloglevel=5,
        )
    except RuntimeError as error:
        reason = str(error)
        limit = re.search(r"value <= (\d+)", reason)
        least = 2 + len({character for text in texts for character in text.replace(" ", _SPACE)})
        remedy = f"at most {int(limit[1]) + 1}" if limit else f"at least {least}"
        raise DataError(
            f"vocab_size={size + 1} must be {remedy} for these {len(texts)} texts and "
            f"model_type={model_type!r}"
        ) from None
    return model.getvalue()


def _check_pieces(text: str) -> None:
    for character in text:
        if character in (_SPACE, "\0") or "\ud800" <= character <= "\udfff":
            raise DataError(
                f"text {shorten(text)} holds {character!r} (U+{ord(character):04X}), which "
                "sentencepiece cannot take; remove it"
            )
