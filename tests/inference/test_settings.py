"""Decoding settings as a file: round trips, paths beside it, and files that are not such."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seqlab import NGramModel
from seqlab.errors import DataError, ModelError, SeqlabError
from seqlab.inference.settings import DecodingSettings
from tests.test_model import classifier, recogniser


def test_round_trip_beside_its_language_model(tmp_path: Path) -> None:
    NGramModel.estimate(["no yes", "yes"], order=2, smoothing="witten_bell").save(
        tmp_path / "words.ngram"
    )
    settings = DecodingSettings(
        beam=8, language_model=str(tmp_path / "words.ngram"), lm_weight=1.25, word_bonus=-0.5,
        log_priors=(-0.5, -2.25), prior_weight=0.25,
    )  # fmt: skip
    (tmp_path / "tuned").mkdir()
    settings.save(tmp_path / "tuned" / "decoding.json")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("tuned", "words.ngram"):
        (tmp_path / name).rename(moved / name)
    found = DecodingSettings.load(moved / "tuned" / "decoding.json")
    assert found.language_model is not None
    assert Path(found.language_model).resolve() == (moved / "words.ngram").resolve()
    assert (found.beam, found.lm_weight, found.word_bonus) == (8, 1.25, -0.5)
    decoder = found.decoder(recogniser(), n_best=3)
    assert decoder.n_best == 3
    assert decoder.priors is not None and decoder.priors.weight == 0.25
    assert decoder.priors.log_priors == (-0.5, -2.25)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "must be a JSON object"),
        ("{", "cannot be read as decoding settings"),
        ("[" * 100000, "cannot be read as decoding settings"),
        ('{"beams": 3}', "is no setting; there are beam"),
        ('{"beam": 0}', "beam=0"),
        ('{"beam": 2.5}', "beam is 2.5"),
        ('{"beam": true}', "beam is True"),
        ('{"lm_weight": "much"}', "lm_weight is 'much'"),
        ('{"lm_weight": NaN}', "lm_weight=nan"),
        ('{"lm_weight": -1}', "lm_weight=-1"),
        ('{"lm_unit": "phone"}', "lm_unit='phone'"),
        ('{"language_model": 3}', "language_model is 3"),
        ('{"log_priors": [1, "x"]}', "log_priors is .* must be a list of numbers"),
        ('{"log_priors": {"a": 1}}', "log_priors is .* must be a list of numbers"),
        ('{"prior_weight": 0.5}', r"prior_weight=0\.5 needs log_priors"),
    ],
)
def test_files_that_are_not_settings(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "decoding.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        DecodingSettings.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        DecodingSettings.load(tmp_path / "none.json")
    with pytest.raises(SeqlabError, match=r"none\.ngram"):
        DecodingSettings(language_model=str(tmp_path / "none.ngram")).decoder(recogniser())
    with pytest.raises(DataError, match="lexicon"):
        DecodingSettings(lexicon=str(tmp_path / "none.txt")).decoder(recogniser())


def test_lexicon(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("no\n\n yes \n")
    assert DecodingSettings(lexicon=str(path)).decoder(recogniser()).guidance is not None
    path.write_text("\n")
    with pytest.raises(DataError, match="holds no words"):
        DecodingSettings(lexicon=str(path)).decoder(recogniser())


def test_classifiers_have_no_beam_search() -> None:
    with pytest.raises(ModelError, match="no answer for each frame"):
        DecodingSettings().decoder(classifier())


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "decoding.json"
    DecodingSettings(beam=3).save(path)

    def fail(*_: Any, **__: Any) -> str:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", fail)
        with pytest.raises(OSError, match="disk full"):
            DecodingSettings(beam=4).save(path)
    assert json.loads(path.read_text())["beam"] == 3
