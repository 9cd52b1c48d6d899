"""Phone tokenizers: variants, homophones, boundaries, unknown words, damaged states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab import components
from seqlab.errors import DataError, ModelError
from seqlab.text.lexicon import Lexicon, Pronunciation
from seqlab.text.phones import PhoneTokenizer
from seqlab.text.segmentation import Segmenter
from seqlab.text.spelling import SpellOut
from tests.text.words import LEXICON

HOMOPHONES = {"two": ["T UW"], "too": ["T UW"], "to": ["T UW", "T AH"], "see": ["S IY"]}


def fitted(texts: list[str], lexicon: dict[str, list[str]] | None = None, **options: object):
    return PhoneTokenizer(lexicon=lexicon or HOMOPHONES, **options).fit(texts)


class TestWords:
    def test_homophones_by_frequency(self) -> None:
        for word in ("two", "too"):
            tokenizer = fitted([word])
            assert tokenizer.decode(tokenizer.encode("two see too")) == f"{word} see {word}"

    def test_homophones_without_frequency_by_the_lexicon(self) -> None:
        tokenizer = fitted(["see"])
        assert tokenizer.decode(tokenizer.encode("to")) == "two"

    def test_a_variant_comes_back_and_counts_by_its_probability(self) -> None:
        lexicon = Lexicon({
            "to": [Pronunciation(("T", "UW"), 0.3), Pronunciation(("T", "AH"), 0.7)],
            "two": ["T UW"],
        })  # fmt: skip
        tokenizer = PhoneTokenizer().use(lexicon).fit(["to to two"])
        indices = dict(zip(tokenizer.tokens, range(9), strict=False))
        assert tokenizer.encode("to") == [indices["T"], indices["AH"]]  # the likeliest
        assert tokenizer.decode([indices["T"], indices["UW"]]) == "two"  # 1.5 against 0.3 * 2.5
        assert tokenizer.spellings("to") == [
            (indices["T"], indices["UW"]),
            (indices["T"], indices["AH"]),
        ]

    def test_blanks_and_doubled_boundaries_vanish(self) -> None:
        tokenizer = fitted(["see two"])
        bar, see, two = 1, tokenizer.encode("see"), tokenizer.encode("two")
        tokens = [bar, 0, see[0], 0, see[1], 0, bar, bar, *two, bar]
        assert tokenizer.decode(tokens) == "see two"
        assert tokenizer.decode([]) == tokenizer.decode([0, bar]) == ""

    def test_units_of_no_word_are_one_unknown(self) -> None:
        tokenizer = fitted(["see two"])
        s, t = (tokenizer.tokens.index(p) for p in "ST")
        assert tokenizer.decode([s, t, s, 1, *tokenizer.encode("see")]) == "<unk> see"
        assert tokenizer.decode([*tokenizer.encode("see"), t, t]) == "see <unk>"

    def test_pieces_end_with_the_words(self) -> None:
        tokenizer = fitted(["see two"])
        tokens = [0, *tokenizer.encode("see two")]
        assert tokenizer.pieces(tokens) == ["", " se", "e", " ", " tw", "o"]

    @given(st.lists(st.sampled_from([w for w in LEXICON if w != "sea"]), max_size=8))
    def test_round_trip_with_boundaries(self, words: list[str]) -> None:
        tokenizer = fitted([" ".join(LEXICON)], LEXICON)
        assert tokenizer.decode(tokenizer.encode(" ".join(words))) == " ".join(words)

    @settings(max_examples=50)
    @given(st.lists(st.sampled_from([*LEXICON]), max_size=8))
    def test_without_boundaries_the_phones_come_back(self, words: list[str]) -> None:
        """What is decoded may be other words, but they sound the same."""
        tokenizer = fitted([" ".join(LEXICON)], LEXICON, boundary="")
        tokens = tokenizer.encode(" ".join(words))
        heard = tokenizer.decode(tokens)
        assert "<unk>" not in heard
        assert len(tokenizer.encode(heard)) == len(tokens)

    def test_the_likelier_cut_wins(self) -> None:
        """By hand: p(gray) p(day) = 2/9 against p(grade) p(a) = 1/9 of the seen counts."""
        lexicon = {
            "gray": ["G R EY"], "day": ["D EY"], "grade": ["G R EY D"], "a": ["EY"],
        }  # fmt: skip
        often = fitted(["gray day gray day grade a"], lexicon, boundary="")
        assert often.decode(often.encode("grade a")) == "gray day"
        seldom = fitted(["grade a grade a gray day"], lexicon, boundary="")
        assert seldom.decode(seldom.encode("gray day")) == "grade a"


class TestUnknownWords:
    def test_in_training(self) -> None:
        with pytest.raises(DataError, match=r"2 of 3 words have no pronunciation, such as 'x y'"):
            fitted(["see x y x"])

    def test_a_fallback_teaches_them(self) -> None:
        tokenizer = PhoneTokenizer(lexicon=HOMOPHONES)
        tokenizer.fallback = {"tea": ["T", "IY"]}.get
        tokenizer.fit(["tea two"])
        assert tokenizer.lexicon.best("tea") == ("T", "IY")
        again = PhoneTokenizer().load_state(tokenizer.state())
        assert again.decode(again.encode("tea")) == "tea"

    def test_a_fallback_for_later_words(self) -> None:
        tokenizer = fitted(["see two"])
        with pytest.raises(DataError, match=r"text 'see tea': word 'tea' is not among the 4"):
            tokenizer.encode("see tea")
        tokenizer.fallback = {"tea": ["T", "IY"], "bee": ["B", "IY"]}.get
        assert len(tokenizer.encode("see tea")) == 5
        with pytest.raises(DataError, match=r"'bee' needs the phone 'B', which is not among"):
            tokenizer.encode("bee")


class TestSources:
    def test_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "lexicon.txt"
        path.write_text("SEE S IY1\nTWO T UW1\nnew-york N UW\n")
        tokenizer = fitted(["see two"], str(path))
        assert tokenizer.tokens == ["<blank>", "|", "IY", "N", "S", "T", "UW"]
        path.unlink()  # a stored model brings its own
        spec = components.describe(tokenizer)
        again = components.build(spec, PhoneTokenizer).load_state(tokenizer.state())
        assert again.encode("See TWO") == tokenizer.encode("see two")

    def test_stress_is_kept_on_demand(self) -> None:
        assert fitted(["a"], {"a": ["EY1"]}, stress=True).tokens == ["<blank>", "|", "EY1"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"lexicon": None}, "lexicon=None must be a file"),
            ({"lexicon": "/nowhere/lexicon.txt"}, "/nowhere/lexicon.txt is not a file"),
            ({"lexicon": {"two": ["|"]}}, "phone '|' is a token already"),
            ({"lexicon": {"two": ["<blank>"]}}, "phone '<blank>' is a token already"),
            ({"lexicon": {"...": ["T"]}, "punctuation": "remove"}, "holds no words once"),
            ({"lexicon": HOMOPHONES, "boundary": "a b"}, "boundary='a b' must be text without"),
        ],
    )
    def test_bad_settings(self, options: dict, message: str) -> None:
        with pytest.raises(DataError, match=re.escape(message)):
            PhoneTokenizer(**options).fit(["two"])


class TestDamagedState:
    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("lexicon.tsv", b"two\n", "lexicon.tsv is damaged: lexicon.tsv, line 1: 1 columns"),
            ("lexicon.tsv", b"\xff", "lexicon.tsv is damaged"),
            ("lexicon.tsv", b"two\tT XX\n", "the vocabulary lacks some"),
            ("word_counts.json", b'{"counts": {"two": -1}}', "above 0"),
            ("word_counts.json", b'{"counts": {"two": true}}', "above 0"),
            ("word_counts.json", b'{"counts": 3}', "must be a mapping"),
            ("word_counts.json", b"[" * 100_000, "word_counts.json is damaged"),
        ],
    )
    def test_message(self, name: str, content: bytes, message: str) -> None:
        state = {**fitted(["two see"]).state(), name: content}
        with pytest.raises(ModelError, match=re.escape(message)):
            PhoneTokenizer().load_state(state)

    def test_another_boundary(self) -> None:
        with pytest.raises(ModelError, match="of another model"):
            PhoneTokenizer(boundary="/").load_state(fitted(["two"]).state())


class TestSegmenter:
    def test_a_word_of_all_units_first_on_demand(self) -> None:
        words = {("A", "B"): (0.001, "ab"), ("A",): (9.0, "a"), ("B",): (9.0, "b")}
        assert [w for w, _, _ in Segmenter(words)("AB")] == ["a", "b"]
        assert Segmenter(words)("AB", whole=True) == [("ab", 0, 2)]

    @given(st.text("abcd", max_size=12))
    def test_words_cover_the_units(self, units: str) -> None:
        words = {tuple(w): (float(i + 1), w) for i, w in enumerate(["a", "ab", "bca", "cc"])}
        found = Segmenter(words)(units)
        assert [b for _, b, _ in found] + [len(units)] == [0] + [e for _, _, e in found]
        assert all(w in ("<unk>", units[b:e]) for w, b, e in found)
        if set(units) <= {"a"}:
            assert "<unk>" not in [w for w, _, _ in found]


class TestSpellOut:
    LEXICON = Lexicon({
        "a": ["AH"], "a.": ["EY"], "b.": ["B IY"], "two": ["T UW"], "and": ["AE N D"],
        "cafe": ["K AE F EY"],
    })  # fmt: skip

    @pytest.mark.parametrize(
        ("word", "phones"),
        [
            ("ab", "EY B IY"),
            ("a&b", "AH AE N D B IY"),
            ("22", "T UW T UW"),
            ("b-2", "B IY T UW"),
            ("café", "K AE F EY"),
            ("cafe\u0301", "K AE F EY"),
            ("b'", "B IY"),
            ("3", None),  # "three" is not in the lexicon
            ("xyz", None),
            ("...", None),
            ("§", None),
            ("", None),
        ],
    )
    def test_by_hand(self, word: str, phones: str | None) -> None:
        found = SpellOut(self.LEXICON)(word)
        assert found == (tuple(phones.split()) if phones else None)

    def test_letters_are_asked_before_they_are_named(self) -> None:
        speller = SpellOut(self.LEXICON, {"bab": ["B", "AE", "B"]}.get)
        assert speller("bab2") == ("B", "AE", "B", "T", "UW")

    @given(st.text(max_size=6))
    def test_any_word(self, word: str) -> None:
        found = SpellOut(self.LEXICON)(word)
        assert found is None or set(found) <= set(self.LEXICON.phones)
