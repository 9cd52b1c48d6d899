"""Settings of the beam search as a small file: tuned once, then used wherever the model is."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seqlab.checks import check_at_least, check_choice, check_range
from seqlab.decoding.prefix_beam import PrefixBeamDecoder
from seqlab.decoding.priors import Priors
from seqlab.errors import DataError, ModelError, SeqlabError
from seqlab.lm.ngram.model import NGramModel
from seqlab.model import SpeechModel
from seqlab.values import shown

__all__ = ["FILE_NAME", "DecodingSettings"]

FILE_NAME = "decoding.json"  # in a model folder
_LARGEST_FILE = 2**20  # bytes
_PATHS = ("language_model", "lexicon")


@dataclass(frozen=True)
class DecodingSettings:
    """How a CTC model's answers are searched; ``PrefixBeamDecoder`` says more of each.

    Args:
        beam: Texts that are followed at a time, at least 1.
        beam_threshold: Nats below the best text at which one is given up, above 0.
        language_model: File of an n-gram model, binary or ARPA; None: none.
        lm_unit: ``word``, or ``token`` where the model's words are the recogniser's tokens.
        lm_weight: Of its log-probabilities, 0 or more.
        word_bonus: Nats for each word.
        unknown_penalty: Nats for each word that the language model does not know, 0 or more.
        lexicon: File of the only words allowed, one a line; None: any.
        log_priors: Of each token, natural logarithms, as ``seqlab tune`` finds them; empty: none.
        prior_weight: Power to which posteriors are divided by the priors, within [0, 10].

    Raises:
        SeqlabError: A value is out of range.

    Example:
        >>> DecodingSettings(beam=16).lm_weight
        0.5
    """

    beam: int = 50
    beam_threshold: float = 20.0
    language_model: str | None = None
    lm_unit: Literal["word", "token"] = "word"
    lm_weight: float = 0.5
    word_bonus: float = 0.0
    unknown_penalty: float = 10.0
    lexicon: str | None = None
    log_priors: tuple[float, ...] = ()
    prior_weight: float = 0.0

    def __post_init__(self) -> None:
        check_at_least("beam", self.beam, 1)
        check_choice("lm_unit", self.lm_unit, ("word", "token"))
        check_range("beam_threshold", self.beam_threshold, 0, math.inf, "20 is plenty")
        check_range("lm_weight", self.lm_weight, 0, 100, "0.3 to 2 are usual")
        check_range("word_bonus", self.word_bonus, -100, 100, "0 to 4 are usual")
        check_range("unknown_penalty", self.unknown_penalty, 0, 1000, "10 is usual")
        check_range("prior_weight", self.prior_weight, 0, 10, "0 leaves priors out")
        if self.prior_weight and not self.log_priors:
            raise SeqlabError(
                f"prior_weight={self.prior_weight} needs log_priors; seqlab tune finds them"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DecodingSettings:
        """Read what ``save`` wrote; paths in it are relative to its folder.

        Raises:
            DataError: No such file, or not such a file, with the key that is wrong.
        """
        file = Path(path)
        try:
            if file.stat().st_size > _LARGEST_FILE:
                raise DataError(
                    f"{file} is larger than {_LARGEST_FILE} bytes, which no settings are"
                )
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            if isinstance(error, SeqlabError):
                raise
            raise DataError(f"{file} cannot be read as decoding settings: {error}") from error
        if not isinstance(content, dict):
            raise DataError(f"{file} is {shown(content)}, must be a JSON object of settings")
        try:
            settings = cls(**_checked(content))
        except SeqlabError as error:
            raise DataError(f"{file}: {error}; seqlab tune writes such files") from error
        inside: dict[str, Any] = {
            name: str(file.parent / content[name]) for name in _PATHS if content.get(name)
        }
        return dataclasses.replace(settings, **inside)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the settings as JSON, in one step, with paths relative to the file's folder."""
        file = Path(path)
        content = dataclasses.asdict(self)
        for name in _PATHS:
            if content[name] is not None:
                content[name] = os.path.relpath(content[name], file.parent)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(file.name + ".part")
        fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(fresh, file)

    @classmethod
    def stored(cls, folder: str | os.PathLike[str]) -> DecodingSettings | None:
        """The settings that a model folder keeps for its model; None where it keeps none.

        Raises:
            DataError: They are there, and damaged.
        """
        file = Path(folder) / FILE_NAME
        return cls.load(file) if file.is_file() else None

    def store(self, folder: str | os.PathLike[str]) -> DecodingSettings:
        """Keep the settings in a model folder, with copies of the files that they name.

        Returns:
            The settings that name the copies.

        Raises:
            DataError: A file that they name cannot be read.
        """
        copies: dict[str, Any] = {}
        for name in _PATHS:
            source = getattr(self, name)
            if source is not None:
                copies[name] = str(_copied(Path(source), Path(folder)))
        kept = dataclasses.replace(self, **copies)
        kept.save(Path(folder) / FILE_NAME)
        return kept

    def decoder(self, model: SpeechModel, *, n_best: int = 1) -> PrefixBeamDecoder:
        """The beam search for a model.

        Raises:
            ModelError: The model does not give an answer for each frame.
            SeqlabError: Language model or lexicon cannot be read, or do not fit the tokens.
        """
        if model.head.output != "frames":
            raise ModelError(
                f"{type(model.head).__name__} gives no answer for each frame, which a CTC beam "
                "search needs; leave the decoding settings out"
            )
        language_model = None
        if self.language_model is not None:
            language_model = NGramModel.load(self.language_model)
        return PrefixBeamDecoder.for_tokenizer(
            model.tokenizer,
            model.frame_s,
            beam=self.beam,
            beam_threshold=self.beam_threshold,
            n_best=n_best,
            language_model=language_model,
            lm_unit=self.lm_unit,
            lm_weight=self.lm_weight,
            word_bonus=self.word_bonus,
            unknown_penalty=self.unknown_penalty,
            lexicon=None if self.lexicon is None else _words(Path(self.lexicon)),
            priors=Priors(self.log_priors, self.prior_weight) if self.log_priors else None,
        )


def _copied(source: Path, folder: Path) -> Path:
    """The copy of a file in a folder, made in one step; a file that lies there is its own copy."""
    if source.parent.resolve() == folder.resolve():
        return source
    copy = folder / f"decoding-{source.name}"
    fresh = copy.with_name(copy.name + ".part")
    try:
        shutil.copyfile(source, fresh)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise DataError(f"{source} cannot be copied to {folder}: {error}") from error
    os.replace(fresh, copy)
    return copy


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    """The content, if every key is a setting and every value of its kind."""
    kinds: dict[str, tuple[type, ...]] = {
        "beam": (int,),
        "lm_unit": (str,),
        **dict.fromkeys(_PATHS, (str, type(None))),
    }
    names = [field.name for field in dataclasses.fields(DecodingSettings)]
    content = dict(content)
    for name, value in content.items():
        if name not in names:
            raise DataError(f"{shown(name)} is no setting; there are {', '.join(names)}")
        if name == "log_priors":
            content[name] = _numbers(value)
            continue
        if isinstance(value, bool) or not isinstance(value, kinds.get(name, (int, float))):
            raise DataError(f"{name} is {shown(value)}, which is not what it must be")
    return content


def _numbers(value: Any) -> tuple[float, ...]:
    if isinstance(value, list) and all(isinstance(v, int | float) for v in value):
        return tuple(map(float, value))
    raise DataError(f"log_priors is {shown(value)}, must be a list of numbers")


def _words(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"lexicon {path} cannot be read: {error}") from error
    words = [line.strip() for line in lines if line.strip()]
    if not words:
        raise DataError(f"lexicon {path} holds no words; write one a line")
    return words
