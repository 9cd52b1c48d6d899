"""Adapt a recogniser to one speaker by a dozen or more of their recordings, without transcripts.

examples: seqlab adapt runs/an4 ann1.flac ann2.flac ann3.flac -o models/ann
          seqlab adapt runs/an4 data/an4/test.jsonl.gz --speaker fcaw -o models/fcaw
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seqlab.cli.adapt_options import adaptation_of, add_adapt_options
from seqlab.cli.decoding_options import add_decoding_options, chosen_decoder
from seqlab.cli.recognise import check_task
from seqlab.cli.terminal import say
from seqlab.cli.train import add_allow_module
from seqlab.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from seqlab.model import SpeechModel

_MANIFESTS = (".jsonl", ".jsonl.gz", ".tsv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab adapt``."""
    parser.add_argument("model", metavar="MODEL", help="a model folder or a run folder")
    parser.add_argument(
        "sources", nargs="+", metavar="FILE", help="audio files of one voice, or one manifest"
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="where the adapted model goes"
    )
    parser.add_argument("--speaker", metavar="NAME", help="whose utterances of the manifest")
    parser.add_argument(
        "--transcripts",
        action="store_true",
        help="learn from the manifest's transcripts, not from the model's own answers",
    )
    add_adapt_options(parser, switch=False)
    add_decoding_options(parser)
    add_allow_module(parser)


def manifest_of(args: argparse.Namespace) -> str | None:
    """The manifest, where one is named; None of audio files.

    Raises:
        DataError: A manifest among other files, or options that need one.
    """
    named = [name for name in args.sources if str(name).endswith(_MANIFESTS)]
    if named and len(args.sources) > 1:
        raise DataError(
            f"{named[0]} is a manifest, must be the only file; name one voice at a time"
        )
    if not named and (args.speaker or args.transcripts):
        option = "--speaker" if args.speaker else "--transcripts"
        raise DataError(f"{option} needs a manifest ({', '.join(_MANIFESTS)}), not audio files")
    return str(named[0]) if named else None


def of_manifest(
    args: argparse.Namespace, model: SpeechModel, manifest: str
) -> tuple[list[Tensor], list[str] | None]:
    """Waveforms (N,) of a speaker, and what was said if that is wanted."""
    from seqlab.data.batch import SpeechDataset
    from seqlab.data.manifest import read_manifest
    from seqlab.training.speakers import by_speaker

    groups = by_speaker(read_manifest(manifest))
    if args.speaker is None and len(groups) > 1:
        raise DataError(f"{manifest} has {len(groups)} speakers; name one of them with --speaker")
    name = args.speaker or next(iter(groups))
    if name not in groups:
        near = ", ".join(sorted(groups)[:5])
        raise DataError(f"{manifest} has no speaker {name!r}, must be one of {near} and so on")
    utterances = groups[name]
    dataset = SpeechDataset(utterances, model.tokenizer, model.sample_rate)
    waveforms = [dataset.load(utterance) for utterance in utterances]
    if not args.transcripts:
        return waveforms, None
    silent = [utterance.id for utterance in utterances if utterance.transcript is None]
    if silent:
        raise DataError(f"{silent[0]} has no transcript to learn from; leave --transcripts out")
    return waveforms, [utterance.transcript or "" for utterance in utterances]


def of_files(files: list[str], sample_rate: int) -> list[Tensor]:
    """The speech in files, cut at pauses as ``seqlab transcribe`` does."""
    from seqlab.audio import read_blocks
    from seqlab.inference.cutting import cut_pieces

    waveforms: list[Tensor] = []
    for file in files:
        blocks = (block for block, _ in read_blocks(file, 10.0, sample_rate=sample_rate))
        waveforms += [piece.waveform.clone() for piece in cut_pieces(blocks, sample_rate)]
    if not waveforms:
        raise DataError(f"{files[0]}: no speech was found to adapt to; record some louder")
    return waveforms


def run(args: argparse.Namespace) -> int:
    """Adapt."""
    from seqlab.cli.locate import load_model, model_folder
    from seqlab.inference.settings import DecodingSettings
    from seqlab.saving import check_target
    from seqlab.training.adaptation import adapt

    check_target(Path(args.output).absolute())
    adaptation = adaptation_of(args)
    manifest = manifest_of(args)
    model = load_model(args.model, args.allow_module)
    check_task(model, args.model, "transcription")
    decoder = chosen_decoder(args, model)
    transcripts = None
    if manifest is None:
        waveforms = of_files(args.sources, model.sample_rate)
    else:
        waveforms, transcripts = of_manifest(args, model, manifest)
    seconds = sum(map(len, waveforms)) / model.sample_rate
    say(f"adapting to {len(waveforms)} recordings, {seconds:.0f} s")
    adapted = adapt(model, waveforms, adaptation, decoder=decoder, transcripts=transcripts)
    adapted.save(args.output)
    stored = DecodingSettings.stored(model_folder(args.model))
    if stored is not None:
        stored.store(Path(args.output))
    print(f"written: {args.output}")
    return 0
