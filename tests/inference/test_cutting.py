"""Recordings are cut at pauses, however they come in blocks, and in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from seqlab.errors import SeqlabError
from seqlab.inference.cutting import Cutting, Piece, cut_pieces
from tests.inference.tones import RATE, quiet, said, talk

TEXTS = ["ab ba c", "cab", "a b c a b c", "bb"]
PAUSES = [1.0, 1.5, 0.8, 2.5]


def pieces(sound: Tensor, cutting: Cutting | None = None, block: int = 7777) -> list[Piece]:
    return list(cut_pieces(torch.split(sound, block), RATE, cutting))


def test_pieces_begin_and_end_with_speech() -> None:
    sound, times = talk(TEXTS, PAUSES)
    found = pieces(sound)
    assert len(found) == len(times)
    for piece, (start_s, end_s) in zip(found, times, strict=True):
        assert piece.speech_start_s == pytest.approx(start_s, abs=0.05)
        assert piece.speech_end_s == pytest.approx(end_s, abs=0.08)  # a third of a letter is quiet
        assert piece.start_s == pytest.approx(piece.speech_start_s - 0.25, abs=0.01)
        first = round(piece.start_s * RATE)
        assert torch.equal(piece.waveform, sound[first : first + len(piece.waveform)])


def facts(found: list[Piece]) -> list[tuple[float, float, float, int, bool]]:
    return [
        (p.start_s, p.speech_start_s, p.speech_end_s, len(p.waveform), p.continued) for p in found
    ]


def test_blocks_do_not_matter() -> None:
    sound, _ = talk(TEXTS * 4, PAUSES * 4)
    whole = pieces(sound, block=len(sound))
    for block in (80, 1001, 50_000):
        assert facts(pieces(sound, block=block)) == facts(whole)


def test_deciding_in_small_steps_finds_the_same_speech() -> None:
    sound, times = talk(TEXTS * 3, PAUSES * 3)
    live = pieces(sound, Cutting(decide_s=0.25, ahead_s=0.25))
    assert len(live) == len(times)
    for piece, (start_s, end_s) in zip(live, times, strict=True):
        assert piece.speech_start_s == pytest.approx(start_s, abs=0.1)
        assert piece.speech_end_s == pytest.approx(end_s, abs=0.1)


def test_long_speech_is_cut_at_its_longest_pause() -> None:
    sound = torch.cat([quiet(1), said("abc " * 8), quiet(0.3), said("cab " * 5), quiet(1)])
    found = pieces(sound, Cutting(max_s=5.0, overlap_s=1.0))
    assert [piece.continued for piece in found] == [False, False]
    assert found[0].speech_end_s == pytest.approx(1 + 32 * 0.12, abs=0.08)
    assert found[1].speech_start_s == pytest.approx(1.3 + 32 * 0.12, abs=0.05)


def test_without_pauses_pieces_overlap() -> None:
    sound = torch.cat([quiet(1), said("abc" * 40), quiet(1)])  # 14.4 s
    found = pieces(sound, Cutting(max_s=5.0, overlap_s=1.0))
    assert [piece.continued for piece in found] == [True, True, True, False]
    for before, after in itertools.pairwise(found):
        end_s = before.start_s + len(before.waveform) / RATE
        assert end_s - after.start_s == pytest.approx(1.0, abs=0.02)
    assert all(len(piece.waveform) <= 5.6 * RATE for piece in found)


def test_a_click_is_no_speech() -> None:
    sound = quiet(4)
    sound[16000:16100] = 0.5
    assert pieces(sound, Cutting(min_speech_s=0.2)) == []


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.02, 3.0])
def test_silence_has_no_pieces(seconds: float) -> None:
    assert pieces(torch.zeros(round(seconds * RATE)), block=1000) == []
    assert list(cut_pieces([], RATE)) == []


def test_digital_silence_is_no_padding() -> None:
    sound = torch.cat([torch.zeros(RATE), said("abc", noise=0.001), torch.zeros(RATE)])
    [piece] = pieces(sound)
    assert piece.start_s == pytest.approx(1.0, abs=0.02)
    assert float(piece.waveform[:80].var()) > 0
    assert float(piece.waveform[-80:].var()) > 0


def test_memory_does_not_grow() -> None:
    """What is held of six minutes without any pause, and without any speech."""
    for sound in (said("abc" * 20), quiet(8)):
        given = 0
        held = 0

        def blocks(sound: Tensor = sound) -> Iterator[Tensor]:
            nonlocal given
            for _ in range(6 * 60 * RATE // len(sound)):
                given += len(sound)
                yield sound

        for piece in cut_pieces(blocks(), RATE):
            held = max(held, given - round(piece.start_s * RATE))
            assert len(piece.waveform) <= 20.6 * RATE
            assert piece.waveform.untyped_storage().nbytes() == 4 * len(piece.waveform)
        assert held <= 90 * RATE


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_s": 0.5}, "max_s=0.5"),
        ({"padding_s": 0.6}, "padding_s=0.6"),
        ({"overlap_s": 11.0}, "overlap_s=11.0"),
        ({"pause_s": float("nan")}, "pause_s=nan"),
    ],
)
def test_settings_out_of_range(settings: dict[str, float], message: str) -> None:
    with pytest.raises(SeqlabError, match=message):
        Cutting(**settings)
