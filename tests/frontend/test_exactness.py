"""Every preset, option and piece within its bound of the peers and of double precision."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reference.frontend import (
    CASES,
    OPTION_CASES,
    PIECES,
    Case,
    Row,
    measure,
    measure_piece,
    speech,
)

ALL = [*CASES, *OPTION_CASES]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty bands, by the peers and by ours
        yield


def assert_ok(rows: list[Row]) -> None:
    assert [row for row in rows if not row.ok] == []


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.preset}-{case.kind}-{case.option}")
def test_within_its_bounds(case: Case) -> None:
    assert_ok(list(measure(case)))


@pytest.mark.data
@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.preset}-{case.kind}-{case.option}")
def test_within_its_bounds_on_speech(case: Case, corpora: Path) -> None:
    rows = list(measure(case, speech(case.frontend().sample_rate)))
    assert len(rows) == 3, f"speech is expected under {corpora}"
    assert_ok(rows)


@pytest.mark.parametrize("index", range(len(PIECES)), ids=lambda index: PIECES[index].name)
def test_pieces_within_their_bounds(index: int) -> None:
    row = measure_piece(index)
    assert row.ok, row


def test_the_bounds_asked_for() -> None:
    """Kaldi 4.5e-4, torchaudio and Whisper 1e-4; of double precision 4e-6, cepstra 1e-4."""
    found = {(case.preset, case.kind, case.option): case for case in CASES}
    assert found["kaldi", "LogMel", ""].bound <= 4.5e-4
    assert found["kaldi", "LogMel", ""].exact <= 4e-6
    assert found["torchaudio", "LogMel", ""].bound <= 1e-4
    assert found["whisper", "LogMel", ""].bound <= 1e-4
    assert found["htk", "LogMel", ""].exact <= 4e-6
    assert found["htk", "MFCC", "MFCC_0_D_A"].exact <= 1.1e-4
    assert all(piece.bound <= 1e-12 for piece in PIECES if piece.name.endswith("norm=slaney"))
