"""Round trips, unknown text, and state as plain bytes, for every tokenizer."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.components import available
from seqlab.errors import DataError, ModelError
from seqlab.pronunciation.tokenizer import PronouncingTokenizer
from seqlab.text.lexicon import Lexicon
from seqlab.text.normalize import TextNormalizer
from seqlab.text.phones import PhoneTokenizer
from seqlab.text.subwords import SentencePieceTokenizer
from seqlab.text.syllables import SyllableTokenizer
from seqlab.text.tokenizers import (
    CharacterTokenizer,
    LabelTokenizer,
    Tokenizer,
    WordTokenizer,
)
from seqlab.text.units import ListTokenizer
from seqlab.text.vocabulary import Vocabulary
from tests.text.words import LEXICON

TEXTS = [
    "The sun rises in the east",
    "the stars rise at night",
    "nothing rests in the sea",
    "She sees the tree near the shore",
    "ten trains arrive at noon",
]
UNITS = [*"aeghinorstuvw", "th", "in", "rise", "ea", "ar", "st", "sh"]
TOKENIZERS = [
    CharacterTokenizer(),
    CharacterTokenizer(case="upper", punctuation="remove"),
    WordTokenizer(),
    WordTokenizer(unknown=True, min_count=2),
    SentencePieceTokenizer(vocab_size=30),
    SentencePieceTokenizer(vocab_size=40, model_type="bpe"),
    PhoneTokenizer(lexicon=LEXICON),
    PhoneTokenizer(lexicon=LEXICON, boundary=""),
    SyllableTokenizer(lexicon=LEXICON),
    SyllableTokenizer(lexicon=LEXICON, onsets="learned", vocabulary="texts"),
    PronouncingTokenizer(lexicon=LEXICON, order=3),
    ListTokenizer(units=UNITS),
    ListTokenizer(units=UNITS, segmentation="fewest"),
    ListTokenizer(units=UNITS, segmentation="likeliest"),
    LabelTokenizer(),
]
IDS = [
    "characters", "capitals", "words", "frequent", "unigram", "bpe", "phones",
    "phones without boundary", "syllables", "syllables of the texts", "pronounced", "longest",
    "fewest", "likeliest", "labels",
]  # fmt: skip
letters = st.text("aehinorst ", max_size=30)


@pytest.fixture(params=TOKENIZERS, ids=IDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    fitted: Tokenizer = request.param.fit(TEXTS)
    return fitted


def fresh(tokenizer: Tokenizer) -> Tokenizer:
    if isinstance(tokenizer, SentencePieceTokenizer):
        return SentencePieceTokenizer(vocab_size=99)
    if isinstance(tokenizer, WordTokenizer):
        return WordTokenizer(unknown=tokenizer.unknown)
    if isinstance(tokenizer, CharacterTokenizer):
        return CharacterTokenizer(
            case=tokenizer.normalize.case, punctuation=tokenizer.normalize.punctuation
        )
    if isinstance(tokenizer, ListTokenizer):
        return ListTokenizer(units=UNITS, segmentation=tokenizer.segmentation)
    if isinstance(tokenizer, PhoneTokenizer):
        return type(tokenizer)(boundary=tokenizer.boundary).use(Lexicon(LEXICON))
    return type(tokenizer)()


def test_every_tokenizer_is_here() -> None:
    rooms = ("seqlab.text", "seqlab.pronunciation")
    paths = {path for room in rooms for path in available(Tokenizer, near=room)}
    paths.discard("seqlab.text.events.EventTokenizer")  # of events, not of texts
    assert {f"{type(t).__module__}.{type(t).__name__}" for t in TOKENIZERS} == paths


class TestEveryTokenizer:
    def test_training_texts_come_back(self, tokenizer: Tokenizer) -> None:
        if getattr(tokenizer, "unknown", False):
            pytest.skip("rare words come back as <unk>")
        for text in TEXTS:
            tokens = tokenizer.encode(text)
            assert all(0 <= t < len(tokenizer) and t != tokenizer.blank for t in tokens)
            assert tokenizer.decode(tokens) == tokenizer.normalize(text)

    def test_blank_is_first_or_absent(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.blank == (None if tokenizer.unit == "label" else 0)
        assert (tokenizer.tokens[0] == "<blank>") == (tokenizer.blank == 0)
        assert len(tokenizer) == len(tokenizer.tokens) == len(set(tokenizer.tokens))

    def test_state_is_bytes_and_brings_everything_back(self, tokenizer: Tokenizer) -> None:
        state = tokenizer.state()
        assert all(isinstance(content, bytes) for content in state.values())
        again = fresh(tokenizer).load_state(state)
        assert again.tokens == tokenizer.tokens
        assert [again.encode(t) for t in TEXTS] == [tokenizer.encode(t) for t in TEXTS]
        assert again.state() == state

    def test_fit_is_repeatable(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.fit(TEXTS).state() == tokenizer.fit(list(TEXTS)).state()

    def test_index_out_of_range(self, tokenizer: Tokenizer) -> None:
        for index in (len(tokenizer), -1):
            with pytest.raises(DataError, match=f"token index {index} must be within 0"):
                tokenizer.decode([index])

    def test_nothing_learned_yet(self, tokenizer: Tokenizer) -> None:
        with pytest.raises(DataError, match="no tokens yet; call fit"):
            fresh(tokenizer).encode("the")
        with pytest.raises(DataError, match="no tokens yet"):
            len(fresh(tokenizer))

    def test_nothing_to_learn_from(self, tokenizer: Tokenizer) -> None:
        for texts in ([], [" "]):
            with pytest.raises(DataError, match="at least 1|no characters|no words|empty token"):  # noqa: RUF043
                fresh(tokenizer).fit(texts)

    def test_unknown_text_is_named(self, tokenizer: Tokenizer) -> None:
        if isinstance(tokenizer, PronouncingTokenizer):
            pytest.skip("no word is unknown")
        if getattr(tokenizer, "unknown", False):
            assert tokenizer.tokens[tokenizer.encode("zebra")[0]] == "<unk>"
            return
        with pytest.raises(DataError, match=r"'[zZ]|'the zebra'") as caught:
            tokenizer.encode("the zebra")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "content",
        [b"", b"{}", b"[]", b'{"tokens": 3}', b'{"tokens": ["a", 1]}', b'{"tokens": ["a", "a"]}',
         b'{"tokens": []}', b"\xff\xfe", b"[" * 100_000, pickle.dumps(["a"])],
        ids=lambda content: repr(content[:12]),
    )  # fmt: skip
    def test_damaged_state(self, tokenizer: Tokenizer, content: bytes) -> None:
        state = dict.fromkeys(tokenizer.state(), content)
        with pytest.raises(ModelError, match=r"damaged|no sentencepiece model") as caught:
            fresh(tokenizer).load_state(state)
        assert len(str(caught.value)) < 300

    def test_missing_and_foreign_state(self, tokenizer: Tokenizer) -> None:
        with pytest.raises(ModelError, match="is missing"):
            fresh(tokenizer).load_state({})
        if not isinstance(tokenizer, SentencePieceTokenizer):
            foreign = b'{"tokens": ["a", "<blank>"]}' if tokenizer.blank == 0 else (
                b'{"tokens": ["<blank>", "a"]}'
            )  # fmt: skip
            with pytest.raises(ModelError, match="another model"):
                fresh(tokenizer).load_state({"vocabulary.json": foreign})

    def test_travels_to_worker_processes(self, tokenizer: Tokenizer) -> None:
        again = pickle.loads(pickle.dumps(tokenizer))
        assert again.encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])


class TestCharacters:
    @given(letters)
    def test_round_trip(self, text: str) -> None:
        tokenizer = CharacterTokenizer().fit(TEXTS)
        assert tokenizer.decode(tokenizer.encode(text)) == tokenizer.normalize(text)

    @settings(max_examples=200)
    @given(st.lists(st.text(min_size=1), min_size=1).filter(lambda t: any(x.split() for x in t)))
    def test_round_trip_of_any_writing(self, texts: list[str]) -> None:
        tokenizer = CharacterTokenizer(unicode_form="NFKC").fit(texts)
        for text in texts:
            assert tokenizer.decode(tokenizer.encode(text)) == tokenizer.normalize(text)

    def test_blanks_and_extra_spaces_vanish(self) -> None:
        tokenizer = CharacterTokenizer(characters=" ab")
        assert tokenizer.decode([1, 0, 2, 1, 0, 1, 3, 1]) == "a b"

    def test_fixed_inventory(self) -> None:
        tokenizer = CharacterTokenizer(characters="xyz ").fit(["x y", "zz"])
        assert tokenizer.tokens == ["<blank>", "x", "y", "z", " "]
        with pytest.raises(DataError, match=r"'w' \(U\+0077\) is not among the 4 known 'xyz '"):
            tokenizer.fit(["xw"])
        with pytest.raises(DataError, match="twice"):
            CharacterTokenizer(characters="aa")


class TestWords:
    def test_rare_words(self) -> None:
        tokenizer = WordTokenizer(min_count=2, unknown=True).fit(["a b a", "c b"])
        assert tokenizer.tokens == ["<blank>", "<unk>", "a", "b"]
        assert tokenizer.encode("c a") == [1, 2]

    def test_bad_settings(self) -> None:
        for arguments in ({"min_count": 0}, {"min_count": 2}):
            with pytest.raises(DataError, match="min_count"):
                WordTokenizer(**arguments)

    def test_nearest_word_is_offered(self) -> None:
        with pytest.raises(DataError, match=r"word 'seveen' .* did you mean 'seven'"):
            WordTokenizer().fit(["six seven"]).encode("six seveen")

    def test_a_word_that_is_the_blank(self) -> None:
        with pytest.raises(DataError, match="'<blank>' stands twice"):
            WordTokenizer().fit(["a <blank>"])


class TestLabels:
    def test_order(self) -> None:
        assert LabelTokenizer().fit(["no", "yes", "no"]).tokens == ["no", "yes"]
        assert LabelTokenizer(labels=["yes", "no"]).fit(["no"]).tokens == ["yes", "no"]
        assert LabelTokenizer().fit(["Zwei Worte ", "Zwei Worte"]).tokens == ["Zwei Worte"]

    def test_unknown_label(self) -> None:
        with pytest.raises(DataError, match=r"label 'maybe' is not among the 2 known tokens"):
            LabelTokenizer(labels=["yes", "no"]).fit(["yes", "maybe"])
        with pytest.raises(DataError, match="stands twice"):
            LabelTokenizer(labels=["a", "a"])
        with pytest.raises(DataError, match="2 tokens are no label"):
            LabelTokenizer(labels=["a", "b"]).decode([0, 1])


class TestSentencePiece:
    @settings(max_examples=50)
    @given(letters, st.sampled_from(["unigram", "bpe"]))
    def test_round_trip(self, text: str, model_type: str) -> None:
        tokenizer = TOKENIZERS[4 if model_type == "unigram" else 5].fit(TEXTS)
        assert tokenizer.decode(tokenizer.encode(text)) == tokenizer.normalize(text)

    @pytest.mark.parametrize("model_type", ["unigram", "bpe"])
    def test_size_limits_are_named_and_true(self, model_type: str) -> None:
        with pytest.raises(DataError, match=r"vocab_size=900 must be at most \d+ for") as caught:
            SentencePieceTokenizer(vocab_size=900, model_type=model_type).fit(TEXTS)
        most = int(str(caught.value).split("at most ")[1].split()[0])
        fitted = SentencePieceTokenizer(vocab_size=most, model_type=model_type).fit(TEXTS)
        assert len(fitted) == most
        with pytest.raises(DataError, match=r"vocab_size=5 must be at least \d+ for") as caught:
            SentencePieceTokenizer(vocab_size=5, model_type=model_type).fit(TEXTS)
        least = int(str(caught.value).split("at least ")[1].split()[0])
        fitted = SentencePieceTokenizer(vocab_size=least, model_type=model_type).fit(TEXTS)
        assert len(fitted) == least

    def test_bad_settings(self) -> None:
        with pytest.raises(DataError, match="vocab_size=3"):
            SentencePieceTokenizer(vocab_size=3)
        with pytest.raises(DataError, match="model_type='word'"):
            SentencePieceTokenizer(vocab_size=30, model_type="word")

    def test_characters_it_cannot_take(self) -> None:
        for character in ("\u2581", "\0", "\ud800"):
            with pytest.raises(DataError, match="sentencepiece cannot take"):
                SentencePieceTokenizer(vocab_size=30).fit([*TEXTS, f"a{character}b"])

    def test_nothing_reaches_the_terminal(self) -> None:
        program = (
            "from seqlab.text.subwords import SentencePieceTokenizer as S\n"
            f"texts = {TEXTS!r}\n"
            "S(vocab_size=30).fit(texts)\n"
            "for size in (5, 900):\n"
            "    try: S(vocab_size=size).fit(texts)\n"
            "    except ValueError: pass\n"
            "try: S(vocab_size=30).load_state({'tokenizer.model': b'junk'})\n"
            "except ValueError: pass\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


class TestVocabulary:
    @given(st.lists(st.text(min_size=1), min_size=1, unique=True))
    def test_round_trip(self, tokens: list[str]) -> None:
        vocabulary = Vocabulary(tokens)
        again = Vocabulary.from_bytes(vocabulary.to_bytes())
        assert again.tokens == tokens
        assert [again.index(token) for token in again] == list(range(len(tokens)))
        assert [again[i] for i in range(len(again))] == tokens

    def test_reads_as_json(self) -> None:
        assert json.loads(Vocabulary(["é", "\n"]).to_bytes()) == {"tokens": ["é", "\n"]}

    def test_membership(self) -> None:
        vocabulary = Vocabulary(["a", "b"])
        assert "a" in vocabulary
        assert 3 not in vocabulary
        assert (vocabulary.get("b"), vocabulary.get("c")) == (1, None)


def test_normalizer_is_the_tokenizer_s() -> None:
    tokenizer = CharacterTokenizer(case="keep", punctuation="remove")
    assert tokenizer.normalize == TextNormalizer(case="keep", punctuation="remove")
