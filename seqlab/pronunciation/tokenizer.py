"""Phones as tokens for any word: the lexicon's, and a model's where the lexicon has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seqlab.errors import DataError
from seqlab.pronunciation.model import JointSequenceModel
from seqlab.text.lexicon import Lexicon, Phones
from seqlab.text.normalize import Case, Digits, Punctuation, UnicodeForm
from seqlab.text.phones import PhoneTokenizer
from seqlab.text.spelling import SpellOut


class PronouncingTokenizer(PhoneTokenizer):
    """A ``PhoneTokenizer`` that knows how to say any word.

    ``fit`` trains a ``JointSequenceModel`` on the lexicon, which is stored with the tokenizer, so
    that a loaded model can still spell new words, such as names to listen for. Digits and symbols
    are said by their English names (``SpellOut``). With the whole of cmudict ``fit`` takes about a
    minute.

    Args:
        lexicon: see ``PhoneTokenizer``.
        order: of the model of letters and phones, 1 to 9.
        stress: see ``PhoneTokenizer``.
        boundary: see ``PhoneTokenizer``.
        case: see ``PhoneTokenizer``.
        unicode_form: see ``PhoneTokenizer``.
        punctuation: see ``PhoneTokenizer``.
        digits: see ``PhoneTokenizer``.

    Example:
        >>> lexicon = {"bat": ["B AE T"], "cab": ["K AE B"], "tick": ["T IH K"],
        ...            "act": ["AE K T"], "cot": ["K AO T"]}
        >>> tokenizer = PronouncingTokenizer(lexicon=lexicon, order=2).fit(["bat", "cat"])
        >>> tokenizer.decode(tokenizer.encode("cat")), tokenizer.lexicon.best("cat")
        ('cat', ('K', 'AE', 'T'))
    """

    def __init__(
        self,
        *,
        lexicon: str | Mapping[str, Sequence[str]] | None = None,
        order: int = 7,
        stress: bool = False,
        boundary: str = "|",
        case: Case = "lower",
        unicode_form: UnicodeForm = "NFC",
        punctuation: Punctuation = "keep",
        digits: Digits = "keep",
    ) -> None:
        super().__init__(
            lexicon=lexicon, stress=stress, boundary=boundary, case=case,
            unicode_form=unicode_form, punctuation=punctuation, digits=digits,
        )  # fmt: skip
        if not 1 <= order <= 9:
            raise DataError(f"order={order} must be from 1 to 9; 7 is enough for English")
        self.order = order
        self._model: JointSequenceModel | None = None
        self._speller: SpellOut | None = None

    def state(self) -> dict[str, bytes]:
        """As of ``PhoneTokenizer``, and the model's files."""
        state = super().state()
        return {**state, **self._model.state()} if self._model is not None else state

    def _prepare(self, lexicon: Lexicon) -> None:
        self._model = JointSequenceModel.train(lexicon, self.order)
        self._speller = SpellOut(lexicon, self._model)

    def _load_cuts(self, files: Mapping[str, bytes]) -> None:
        self._model, self._speller = JointSequenceModel.from_state(files), None

    def _ask(self, word: str) -> Phones | None:
        if self._speller is None:
            self._speller = SpellOut(self.lexicon, self._model)
        return super()._ask(word) or self._speller(word)
