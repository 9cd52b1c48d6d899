"""The recipes of Google Speech Commands, on a small made tree of the published layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqlab.audio import save_audio
from seqlab.cli.main import main
from seqlab.data.corpora.speech_commands import COMMANDS, DIGITS, hash_split
from seqlab.data.manifest import read_manifest
from seqlab.model import SpeechModel
from seqlab.recipe import load_recipe, train_recipe

FOLDER = Path(__file__).parents[2] / "recipes" / "kws" / "speech_commands"
OTHERS = (
    "backward", "bed", "bird", "cat", "dog", "follow", "forward", "happy", "house", "learn",
    "marvin", "sheila", "tree", "visual", "wow",
)  # fmt: skip
SPEAKERS = ("0a7c2a8d", "8b775397", "2aa787cf")  # one of each split by the hash rule
RATE = 16000


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All words of version 2 by three speakers, and two background recordings."""
    folder = tmp_path_factory.mktemp("archive")
    generator = torch.Generator().manual_seed(0)
    assert [hash_split(f"yes/{name}_nohash_0.wav") for name in SPEAKERS] == ["train", "dev", "test"]
    for place, word in enumerate((*COMMANDS, *DIGITS, *OTHERS)):
        time = torch.arange(RATE) / RATE
        tone = 0.3 * torch.sin(2 * torch.pi * (200 + 90 * place) * time)
        (folder / word).mkdir()
        for speaker in SPEAKERS:
            sound = tone + 0.01 * torch.randn(RATE, generator=generator)
            save_audio(folder / word / f"{speaker}_nohash_0.wav", sound, RATE)
    (folder / "_background_noise_").mkdir()
    for name in ("doing_the_dishes", "pink_noise"):
        noise = 0.05 * torch.randn(20 * RATE, generator=generator)
        save_audio(folder / "_background_noise_" / f"{name}.wav", noise, RATE)
    return folder


@pytest.mark.parametrize(
    ("recipe", "classes"), [("twelve", 12), ("thirty_five", 35), ("spotting", 12)]
)
def test_prepared_trained_and_used(
    recipe: str, classes: int, archive: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    options = ["--classes", str(classes)]
    assert main(["prepare", "speech_commands", str(archive), str(data), *options]) == 0
    noise = list(read_manifest(data / "noise_train.jsonl.gz"))
    assert [u.duration_s for u in noise] == [16.0, 16.0]  # the rest is dev's and test's
    chosen = load_recipe(
        FOLDER / f"{recipe}.yaml",
        [
            f"--data.root={data}",
            "--data.num_workers=0",
            "--data.batch_size=6",
            "--encoder.init_args.tau=0.5",
            "--training.max_steps=4",
            "--training.device=cpu",
        ],
    )
    result = train_recipe(chosen, tmp_path / "run")
    assert result.training.step == 4
    model = SpeechModel.load(tmp_path / "run" / "model")
    assert len(model.tokenizer) == classes
    named = {"<silence>", "<unknown>"} & set(model.tokenizer.tokens)
    assert len(named) == (2 if classes == 12 else 0)
    assert len(model.classify(archive / "yes" / f"{SPEAKERS[0]}_nohash_0.wav")) == 1
    if recipe == "spotting":
        wav = str(archive / "_background_noise_" / "pink_noise.wav")
        assert main(["spot", str(tmp_path / "run"), wav, "--threshold", "1"]) == 0
