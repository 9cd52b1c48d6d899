"""What a recipe says about data: which manifests, how they are batched and augmented."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seqlab.data.manifest import Utterance, check_ids, read_manifest
from seqlab.errors import DataError
from seqlab.values import not_default

Split = Literal["train", "dev", "test"]


@dataclass(frozen=True)
class AugmentConfig:
    """Changes made to training waveforms, drawn anew for each utterance and epoch.

    Every draw depends only on the seed, the epoch and the utterance's id.

    Args:
        speeds: factors of speed perturbation, one of which is drawn, each within 0.5 to 2;
            empty: no change. Pitch and length change together.
        noise: manifest of noise recordings, or None. Relative to ``DataConfig.root``.
        noise_snr_db: range (low, high) of the signal-to-noise ratio in dB.
        noise_probability: share of utterances that get noise, 0 to 1.
        noise_speeds: factors, as ``speeds``, at one of which the noise is played; empty: as it is.
            Makes more of few noises: a hum of another pitch, a machine that turns faster.
        reverberation: manifest of room impulse responses, or None.
        reverberation_probability: share of utterances that are reverberated, 0 to 1.
        gain_db: range (low, high) of a level change in dB, or None.
        time_shift_s: largest shift to either side in seconds, filled with silence; the length
            stays. For keywords cut to a fixed length.
        colored_noise_snr_db: range (low, high) in dB of generated noise, from white to brown, that
            every utterance gets; None: no such noise. Needs no recordings.
        spectral_tilt: largest coefficient, to either side, of a first-order filter that stands
            for other microphones; 0 to 0.9.
        edges_s: largest move of either end in seconds, outwards (silence, which noise covers) or
            inwards (cut, at most a quarter of the utterance). For keywords of any length.
        pauses_s: longest silence in seconds (before, after) that is put around an utterance ahead
            of room and noise, which fill it; None: none. For keywords heard in a stream: without
            it a network never hears noise before the word.
    """

    speeds: list[float] = field(default_factory=list)
    noise: str | None = None
    noise_snr_db: tuple[float, float] = (5.0, 20.0)
    noise_probability: float = 0.5
    noise_speeds: list[float] = field(default_factory=list)
    reverberation: str | None = None
    reverberation_probability: float = 0.3
    gain_db: tuple[float, float] | None = None
    time_shift_s: float = 0.0
    colored_noise_snr_db: tuple[float, float] | None = None
    spectral_tilt: float = 0.0
    edges_s: float = 0.0
    pauses_s: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("speeds", "noise_speeds"):
            for factor in getattr(self, name):
                if not 0.5 <= factor <= 2:
                    raise DataError(f"{name}: {factor} must be within 0.5 and 2, such as 0.9")
        for name in ("noise_probability", "reverberation_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name}={getattr(self, name)} must be within 0 and 1")
        for name in ("noise_snr_db", "gain_db", "colored_noise_snr_db"):
            _check_interval(name, getattr(self, name))
        for name in ("time_shift_s", "edges_s"):
            if not getattr(self, name) >= 0:
                raise DataError(f"{name}={getattr(self, name)} must be 0 or more seconds")
        if self.pauses_s is not None and not all(0 <= value <= 60 for value in self.pauses_s):
            raise DataError(f"pauses_s={self.pauses_s} must be two numbers of 0 to 60 seconds")
        needed = dict.fromkeys(("noise_snr_db", "noise_probability", "noise_speeds"), "noise")
        needed["reverberation_probability"] = "reverberation"
        for name, value in not_default(self, needed).items():
            if getattr(self, needed[name]) is None:
                raise DataError(
                    f"{name}={value} needs {needed[name]}, a manifest; name one, or leave it out"
                )
        if not 0 <= self.spectral_tilt <= 0.9:
            raise DataError(f"spectral_tilt={self.spectral_tilt} must be within 0 and 0.9")


@dataclass(frozen=True)
class UnknownConfig:
    """Sections of other speech, which a keyword model learns to ignore under ``<unknown>``.

    They are cut anew in each epoch, at random places; every draw depends only on the seed, the
    epoch and the section's number.

    Args:
        sources: manifests, as ``DataConfig.train`` names them, or folders of recordings, relative
            to ``DataConfig.root``. Utterances whose label or transcript holds one of the keywords
            are left out; where neither is known, that is up to you.
        per_epoch: sections in an epoch; 0: none.
        duration_s: range (low, high) of their lengths in seconds; None: those of training
            utterances, drawn at random.
        hard: manifests that ``seqlab hard-negatives`` has written.
        hard_share: share of the sections that are cut from those, 0 to 1.
    """

    sources: list[str] = field(default_factory=list)
    per_epoch: int = 0
    duration_s: tuple[float, float] | None = None
    hard: list[str] = field(default_factory=list)
    hard_share: float = 0.3

    def __post_init__(self) -> None:
        _check_sections(self.per_epoch, self.duration_s)
        if (self.per_epoch > 0) != bool(self.sources):
            raise DataError(
                f"per_epoch={self.per_epoch} and {len(self.sources)} sources; name sources of "
                "other speech and how many sections to cut, or leave out both"
            )
        if not 0 <= self.hard_share <= 1:
            raise DataError(f"hard_share={self.hard_share} must be within 0 and 1")
        if not_default(self, ["hard_share"]) and not self.hard:
            raise DataError(
                f"hard_share={self.hard_share} needs hard, manifests of hard negatives; make one "
                "with seqlab hard-negatives, or leave it out"
            )
        if self.hard and not self.sources:
            raise DataError("hard needs sources and per_epoch beside it; name other speech, too")


@dataclass(frozen=True)
class SilenceConfig:
    """Sections without speech, which a keyword model learns to ignore under ``<silence>``.

    Args:
        sources: manifests or folders of noise recordings, as in ``UnknownConfig``; none: all
            sections are digital silence.
        per_epoch: sections in an epoch; 0: none.
        duration_s: as in ``UnknownConfig``.
        digital_share: share of the sections that hold nothing but zeros, 0 to 1.
        gain_db: range (low, high) of the level change of a section in dB.
    """

    sources: list[str] = field(default_factory=list)
    per_epoch: int = 0
    duration_s: tuple[float, float] | None = None
    digital_share: float = 0.1
    gain_db: tuple[float, float] = (-30.0, 0.0)

    def __post_init__(self) -> None:
        _check_sections(self.per_epoch, self.duration_s)
        if self.sources and not self.per_epoch:
            raise DataError("per_epoch=0 uses no sources; say how many sections, or name none")
        if not 0 <= self.digital_share <= 1:
            raise DataError(f"digital_share={self.digital_share} must be within 0 and 1")
        _check_interval("gain_db", self.gain_db)


def _check_sections(per_epoch: int, duration_s: tuple[float, float] | None) -> None:
    if per_epoch < 0:
        raise DataError(f"per_epoch={per_epoch} must be 0 or more")
    _check_interval("duration_s", duration_s)
    if duration_s is not None and not 0.05 <= duration_s[0] <= duration_s[1] <= 600:
        raise DataError(
            f"duration_s={duration_s} must be within 0.05 and 600 seconds; about as long as the "
            "keywords' recordings"
        )


def _check_interval(name: str, interval: tuple[float, float] | None) -> None:
    if interval is not None and (len(interval) != 2 or not interval[0] <= interval[1]):
        raise DataError(f"{name}={interval} must be a low and a high value, low <= high")


@dataclass(frozen=True)
class DataConfig:
    """Manifests, batches and augmentation of a training.

    Args:
        root: folder of the manifests, as ``seqlab prepare`` makes it.
        train: names of the splits to train on (``train`` is ``root/train.jsonl.gz``), or
            manifest file names relative to ``root``.
        dev: splits that choose the best checkpoint.
        test: splits to evaluate on.
        hold_out_speakers: speakers kept out of train and dev; test then holds only them. With
            ``test: [train, dev, test]`` every recording of an unseen speaker is tested.
        batch_size: utterances in a global batch, over all processes; or
        batch_duration_s: seconds in a global batch, padding counted. One of the two.
        min_duration_s: shorter training utterances are left out.
        max_duration_s: longer training utterances are left out; None: no limit.
        num_workers: processes that load and augment; 0: the training process itself.
        cache_mb: most memory for decoded audio of train, over all workers, and once more for
            that of dev, in 2**20 bytes; 0: none.
        augment: changes to training waveforms.
        unknown: sections of other speech beside ``train``, for keyword models.
        silence: sections without speech beside ``train``, for keyword models.
        negatives: manifests or folders of recordings without the keywords, as in
            ``unknown.sources``, on which ``training.monitor: miss_rate`` counts false alarms.
            Neither those that are trained on nor those of the test.
    """

    root: str
    train: list[str] = field(default_factory=lambda: ["train"])
    dev: list[str] = field(default_factory=lambda: ["dev"])
    test: list[str] = field(default_factory=lambda: ["test"])
    hold_out_speakers: list[str] = field(default_factory=list)
    batch_size: int | None = None
    batch_duration_s: float | None = None
    min_duration_s: float = 0.0
    max_duration_s: float | None = None
    num_workers: int = 0
    cache_mb: int = 1024
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    unknown: UnknownConfig = field(default_factory=UnknownConfig)
    silence: SilenceConfig = field(default_factory=SilenceConfig)
    negatives: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if (self.batch_size is None) == (self.batch_duration_s is None):
            raise DataError(
                f"batch_size={self.batch_size} and batch_duration_s={self.batch_duration_s}: "
                "exactly one must be given; set the other to null"
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise DataError(f"batch_size={self.batch_size} must be 1 or more")
        if self.batch_duration_s is not None and not self.batch_duration_s > 0:
            raise DataError(f"batch_duration_s={self.batch_duration_s} must be more than 0")
        if self.max_duration_s is not None and self.max_duration_s <= self.min_duration_s:
            raise DataError(
                f"max_duration_s={self.max_duration_s} must be more than "
                f"min_duration_s={self.min_duration_s}"
            )
        for name in ("min_duration_s", "num_workers", "cache_mb"):
            if not getattr(self, name) >= 0:
                raise DataError(f"{name}={getattr(self, name)} must be 0 or more")


def split_path(root: str | Path, name: str) -> Path:
    """Manifest that ``name`` means below ``root``: a split's name, or a manifest's file name.

    >>> split_path("data/an4", "train").as_posix()
    'data/an4/train.jsonl.gz'
    """
    if name.endswith((".jsonl", ".jsonl.gz", ".tsv")):
        return Path(root) / name
    return Path(root) / f"{name}.jsonl.gz"


def load_split(config: DataConfig, split: Split) -> list[Utterance]:
    """Utterances of the train, dev or test side of ``config``, held-out speakers applied.

    Duration limits apply to train only: a test without its long utterances would flatter.

    Raises:
        DataError: a manifest is missing, ids clash, or nothing is left.
    """
    names: list[str] = getattr(config, split)
    chosen: list[Utterance] = []
    for name in names:
        path = split_path(config.root, name)
        if not path.exists():
            raise DataError(
                f"data.{split}: {path} is missing; prepare the corpus first: "
                f"seqlab prepare CORPUS SOURCE {config.root}"
            )
        chosen.extend(read_manifest(path))
    if config.hold_out_speakers:
        chosen = _apply_hold_out(chosen, set(config.hold_out_speakers), split)
    if split == "train":
        longest = config.max_duration_s
        chosen = [
            u
            for u in chosen
            if u.duration_s >= config.min_duration_s
            and (longest is None or u.duration_s <= longest)
        ]
    if names and not chosen:
        raise DataError(
            f"data.{split}: no utterance of {', '.join(names)} is left after hold_out_speakers "
            "and the duration limits; loosen them"
        )
    check_ids(chosen, f"data.{split} ({', '.join(names)})")
    return chosen


def _apply_hold_out(
    utterances: list[Utterance], held_out: set[str], split: Split
) -> list[Utterance]:
    unknown = [u.id for u in utterances if u.speaker is None]
    if unknown:
        raise DataError(
            f"hold_out_speakers: the speaker of {unknown[0]} is not known (and of "
            f"{len(unknown) - 1} more); drop hold_out_speakers or name every speaker"
        )
    absent = sorted(held_out - {u.speaker for u in utterances if u.speaker is not None})
    if split == "test" and absent and len(absent) < len(held_out):
        raise DataError(
            f"hold_out_speakers: {', '.join(absent)} not in data.test, must be there to be tested; "
            "correct the name, or add their split to data.test"
        )
    return [u for u in utterances if (u.speaker in held_out) == (split == "test")]
