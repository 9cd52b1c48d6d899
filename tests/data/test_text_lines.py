"""Rendered lines: what is drawn, that no font or line is on two sides, and repeatability."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.data.corpora import prepare
from seqlab.data.corpora.text_lines import SPLIT_FAMILIES
from seqlab.data.line_texts import MAX_CHARACTERS, number_words, random_line, wrapped
from seqlab.data.manifest import Utterance, read_manifest
from seqlab.data.text_lines import FAMILIES, family_faces, lacking, render_line
from seqlab.errors import DataError, SeqlabError
from seqlab.image_lines import load_pixels

SANS = family_faces("DejaVu Sans")[0]


def splits(folder: Path) -> dict[str, list[Utterance]]:
    return {p.name.split(".")[0]: read_manifest(p) for p in folder.glob("*.jsonl.gz")}


class TestTexts:
    @given(st.integers(0, 2**32))
    def test_lines_are_short_and_plain(self, seed: int) -> None:
        line = random_line(np.random.default_rng(seed))
        assert 0 < len(line) <= MAX_CHARACTERS
        assert line == " ".join(line.split()) and line.isascii() and line.isprintable()
        for family in FAMILIES:
            assert lacking(line, family_faces(family)[0]) == ""

    def test_they_vary(self) -> None:
        lines = [random_line(np.random.default_rng(seed)) for seed in range(500)]
        assert len(set(lines)) > 480
        assert len(set("".join(lines))) > 65

    def test_numbers_in_words(self) -> None:
        assert [number_words(n) for n in (0, 13, 20, 99, 100, 101, 999)] == [
            "zero",
            "thirteen",
            "twenty",
            "ninety-nine",
            "one hundred",
            "one hundred one",
            "nine hundred ninety-nine",
        ]

    @given(st.lists(st.text("ab ", max_size=30), max_size=5), st.integers(1, 12))
    def test_wrapping_keeps_every_letter(self, lines: list[str], width: int) -> None:
        pieces = list(wrapped(lines, width))
        assert all(0 < len(piece) <= width for piece in pieces)
        assert "".join(pieces).replace(" ", "") == "".join(lines).replace(" ", "")


class TestPictures:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_every_face_draws(self, family: str) -> None:
        for face in family_faces(family):
            pixels = render_line("Ag 1,5", face, np.random.default_rng(1))
            assert pixels.shape[0] == 32 and 40 < pixels.shape[1] < 200
            assert int(pixels.max()) - int(pixels.min()) > 60

    def test_equal_draws_give_equal_pictures(self) -> None:
        one, two, other = (render_line("Ag", SANS, np.random.default_rng(s)) for s in (1, 1, 2))
        assert np.array_equal(one, two)
        assert one.shape != other.shape or not np.array_equal(one, other)

    def test_ink_is_dark_and_where_the_words_are(self) -> None:
        for seed in range(8):
            pixels = render_line("HHHH      HHHH", SANS, np.random.default_rng(seed)).astype(float)
            shade = np.linspace(pixels[:, :4].mean(), pixels[:, -4:].mean(), pixels.shape[1])
            dark = (pixels.mean(0) < shade - 15).nonzero()[0]
            assert len(dark) > pixels.shape[1] / 8
            assert dark[0] > 4 and dark[-1] < pixels.shape[1] - 5  # margins

    def test_letters_lie_within_the_picture(self) -> None:
        """Rows of ink and no ink: neither ascenders nor descenders are cut off."""
        for seed in range(12):
            rng = np.random.default_rng(seed)
            pixels = render_line("Thequickbrownfoxjumps dgplyq", SANS, rng).astype(float)
            paper = np.median(pixels)
            ink = (paper - pixels).clip(min=0).sum(1)
            assert ink[0] < 0.2 * ink.max() and ink[-1] < 0.2 * ink.max()

    def test_longer_texts_are_wider(self) -> None:
        widths = [
            render_line("n" * count, SANS, np.random.default_rng(0)).shape[1]
            for count in (1, 5, 20)
        ]
        assert widths == sorted(widths) and widths[2] > 3 * widths[1]

    def test_nothing_to_draw(self) -> None:
        with pytest.raises(DataError, match="must hold something to draw"):
            render_line("  ", SANS, np.random.default_rng(0))

    def test_what_is_no_font(self, tmp_path: Path) -> None:
        (tmp_path / "x.ttf").write_text("no font")
        with pytest.raises(DataError, match=r"x\.ttf: is no font that can be read"):
            render_line("a", tmp_path / "x.ttf", np.random.default_rng(0))
        with pytest.raises(DataError, match=r"x\.ttf: is no font that can be read"):
            lacking("a", tmp_path / "x.ttf")


class TestPrepare:
    def test_no_font_and_no_line_is_on_two_sides(self, tmp_path: Path) -> None:
        summary = prepare("text_lines", "-", tmp_path, lines=40, dev="8", test=12)
        found = splits(tmp_path)
        assert {name: len(own) for name, own in found.items()} == {
            "train": 40,
            "dev": 8,
            "test": 12,
        }
        families = [set(SPLIT_FAMILIES[name]) for name in found]
        assert sum(map(len, families)) == len(set().union(*families)) == len(FAMILIES)
        assert summary.speaker_overlap == {} and summary.warnings == []
        assert "rendered text" in summary.notes[0]
        texts = [u.transcript for own in found.values() for u in own]
        assert len(set(texts)) == len(texts)
        assert {u.speaker for u in found["test"]} <= {p.stem for p in family_faces("STIX")}
        for utterance in found["dev"]:
            pixels = load_pixels(utterance.path)
            assert utterance.duration_s == pixels.shape[1] / 100
            assert utterance.sample_rate == 3200

    def test_equal_options_give_equal_pictures(self, tmp_path: Path) -> None:
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            prepare("text_lines", "-", tmp_path / name, lines=6, dev=2, test=2, seed=seed)

        def contents(name: str) -> list[bytes]:
            return [p.read_bytes() for p in sorted((tmp_path / name / "images").rglob("*.png"))]

        assert contents("a") == contents("b") != contents("c")
        more = tmp_path / "more"
        prepare("text_lines", "-", more, lines=9, dev=2, test=2)
        assert contents("more")[:4] == contents("a")[:4]  # dev and test do not depend on train

    def test_a_text_of_ones_own(self, tmp_path: Path) -> None:
        text = tmp_path / "text.txt"
        text.write_text("".join(f"chapter {n} of a novel that goes on and on\n" for n in range(40)))
        prepare("text_lines", text, tmp_path / "d", lines=50, dev=5, test=5)
        found = {name: {u.transcript for u in own} for name, own in splits(tmp_path / "d").items()}
        assert found["train"] and found["dev"] and found["test"]
        assert not found["train"] & (found["dev"] | found["test"]) and not (
            found["dev"] & found["test"]
        )
        assert all(len(line) <= MAX_CHARACTERS for own in found.values() for line in own)

    def test_fonts_of_ones_own(self, tmp_path: Path) -> None:
        (tmp_path / "fonts").mkdir()
        for number in range(30):
            shutil.copy(SANS, tmp_path / "fonts" / f"own{number}.ttf")
        prepare(
            "text_lines", "-", tmp_path / "d", lines=12, dev=0, test=2, fonts=tmp_path / "fonts"
        )
        found = splits(tmp_path / "d")
        assert set(found) == {"train", "test"}
        assert any(str(u.speaker).startswith("own") for u in found["train"])
        with pytest.raises(DataError, match=r"holds no \.ttf or \.otf"):
            prepare("text_lines", "-", tmp_path / "d", fonts=str(tmp_path))

    def test_characters_without_a_picture(self, tmp_path: Path) -> None:
        text = tmp_path / "text.txt"
        text.write_text("漢\n字\n書\n")
        with pytest.raises(DataError, match="which no font of its split has; replace"):
            prepare("text_lines", text, tmp_path / "d", lines=3, dev=1, test=1)

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"lines": 0}, "lines=0 must be a whole number of at least 1"),
            ({"dev": -1}, "dev=-1"),
            ({"test": -1}, "test=-1"),
            ({"seed": -1}, "seed=-1"),
        ],
    )
    def test_options_that_cannot_be(
        self, tmp_path: Path, options: dict[str, int], says: str
    ) -> None:
        with pytest.raises(SeqlabError, match=says):
            prepare("text_lines", "-", tmp_path / "d", **options)
        assert not (tmp_path / "d").exists()
