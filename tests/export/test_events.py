"""Sound events by exports, without torch, and in streams."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.audio import save_audio
from seqlab.cli.main import main
from seqlab.decoding.events import EventSettings, find_events
from seqlab.encoders.cnn.tcn import TCNEncoder
from seqlab.errors import ModelError
from seqlab.events.event import Event
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.normalize import UtteranceCMVN
from seqlab.heads.event import EventHead
from seqlab.inference.events import event_probabilities as torch_probabilities
from seqlab.inference.events import events_of_file as torch_events
from seqlab.inference.events import live_events as torch_live_events
from seqlab.model import SpeechModel
from seqlab.text.events import EventTokenizer
from tests.contract.invariants import settled
from tests.export.models import RATE, causal_encoder, classifier
from tests.export.test_export import sound

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from seqlab.deploy.events import event_probabilities, events_of_file, live_events
from seqlab.deploy.model import ExportedModel
from seqlab.export.export import export_model, made_recordings

BANDS = 12
SETTINGS = EventSettings(threshold=0.55, median_s=0.06, min_gap_s=0.05, min_duration_s=0.0)
OPTIONS = ["--threshold", "0.55", "--median", "0.06", "--min-gap", "0.05", "--min-duration", "0"]


def event_model(causal: bool) -> SpeechModel:
    """Untrained; what it says changes with the sound."""
    torch.manual_seed(0)
    encoder = settled(
        TCNEncoder(BANDS, hidden_dim=8, num_blocks=2, subsampling=2, causal=causal), BANDS
    )
    head = EventHead(8, 2, frame_s=0.02)
    tokenizer = EventTokenizer(labels=["dog", "cat"])
    frontend = LogMel(sample_rate=RATE, n_mels=BANDS)
    normalizer = None if causal else UtteranceCMVN(variance=False)
    model = SpeechModel(frontend, encoder, head, tokenizer, normalizer).eval()
    with torch.no_grad():  # so that each class is there half of the time
        encoded, _ = model.encode(SOUND[None], torch.tensor([len(SOUND)]))
        said = head.linear(encoded[0])
        head.linear.weight.mul_(2 / said.std(0).unsqueeze(1))
        head.linear.bias.copy_(-head.linear(encoded[0]).median(0)[0] + head.linear.bias)
    return model


SOUND = sound(9.0)
MODELS = {"causal": event_model(True), "whole": event_model(False)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for name, model in MODELS.items():
        found[name] = tmp_path_factory.mktemp("export") / name
        agreement = export_model(model, found[name], recordings=made_recordings(RATE))
        assert agreement.offline is not None and agreement.offline <= 1e-5
        assert (agreement.stream is not None) == (name == "causal")
    return found


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    save_audio(path, SOUND, RATE)
    return path


def assert_same(found: list[Event], expected: list[Event]) -> None:
    assert len(expected) > 3
    assert [(e.label, e.onset_s, e.offset_s) for e in found] == [
        (e.label, e.onset_s, e.offset_s) for e in expected
    ]
    np.testing.assert_allclose([e.score for e in found], [e.score for e in expected], atol=1e-5)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("window_s", [2.0, 30.0])
def test_files_equal_torch(name: str, window_s: float, folders: dict[str, Path], wav: Path) -> None:
    given_ = {"window_s": window_s, "margin_s": 0.5}
    exported = ExportedModel(folders[name])
    expected = torch_probabilities(MODELS[name], SOUND.split(777), **given_)
    found = event_probabilities(exported, np.array_split(SOUND.numpy(), 5), **given_)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert_same(
        events_of_file(exported, wav, SETTINGS, **given_),
        torch_events(MODELS[name], wav, SETTINGS, **given_),
    )


def test_streams_equal_recordings(folders: dict[str, Path]) -> None:
    model, exported = MODELS["causal"], ExportedModel(folders["causal"])
    values = torch_probabilities(model, [SOUND])
    whole = find_events(values, ["dog", "cat"], model.frame_s, SETTINGS)

    @settings(max_examples=6, deadline=None, database=None)
    @given(cuts=st.lists(st.integers(0, len(SOUND)), max_size=9))
    def check(cuts: list[int]) -> None:
        pieces = np.split(SOUND.numpy(), sorted(cuts))
        by_torch = list(torch_live_events(model, map(torch.from_numpy, pieces), SETTINGS))
        assert_same(in_order(by_torch), whole)
        # What zeros beyond the end complete is not in an export: the last frame.
        found = in_order(list(live_events(exported, pieces, SETTINGS)))
        last = max(e.offset_s for e in whole)
        kept = [e for e in whole if e.offset_s < last - 0.05]
        assert_same([e for e in found if e.offset_s < last - 0.05], kept)

    check()


def in_order(events: list[Event]) -> list[Event]:
    """Live ones come by their ends."""
    return sorted(events, key=lambda event: (event.onset_s, event.offset_s, event.label))


def test_the_command_runs_without_torch(folders: dict[str, Path], wav: Path) -> None:
    names = [str(folder) for folder in folders.values()]
    code = (
        "import sys\n"
        "from seqlab.cli.main import main\n"
        f"codes = [main(['events', name, {str(wav)!r}, '--format', 'json', *{OPTIONS!r}])\n"
        f"    for name in {names!r}]\n"
        "print()\n"
        "print(codes, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *lines, last = done.stdout.splitlines()
    assert last == "[0, 0] False", done.stderr
    first, _, second = "\n".join(lines).partition("]\n[")
    for name, text in zip(MODELS, (first + "]", "[" + second), strict=True):
        [answer] = json.loads(text)
        expected = torch_events(MODELS[name], wav, SETTINGS)
        assert [e["label"] for e in answer["events"]] == [e.label for e in expected]


@pytest.mark.parametrize("exported", [False, True])
def test_standard_input(
    exported: bool,
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = folders["causal"]
    if not exported:
        folder = tmp_path / "model"
        MODELS["causal"].save(folder)
    samples = (SOUND * 32768).clamp(-32768, 32767).to(torch.int16).numpy()
    counts = []
    for form in ("txt", "json", "tsv"):
        stream = io.TextIOWrapper(io.BytesIO(samples.tobytes()))
        monkeypatch.setattr(sys, "stdin", stream)
        assert main(["events", str(folder), "-", "--format", form, *OPTIONS]) == 0
        lines = capsys.readouterr().out.splitlines()
        counts.append(len(lines))
        assert lines and (form != "json" or json.loads(lines[0])["label"] in ("dog", "cat"))
    assert len(set(counts)) == 1


def test_what_does_not_go_together(
    folders: dict[str, Path], wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MODELS["whole"].save(tmp_path / "whole")
    export_model(classifier(causal_encoder()), tmp_path / "words", recordings=[sound()])
    for options, message in [
        ((folders["causal"], "--microphone"), "--microphone is not for exports"),
        ((folders["whole"], "-"), "was exported for whole recordings only"),
        ((tmp_path / "whole", "-"), "TCNEncoder looks ahead"),
        ((folders["causal"],), "no files; name at least one"),
        ((folders["causal"], wav, "--threshold", "cow=0.5"), "no label 'cow'"),
        ((tmp_path / "words", wav), "classifies recordings; use seqlab classify"),
    ]:
        assert main(["events", *map(str, options)]) == 2, options
        assert message in capsys.readouterr().err
    for command in ("classify", "spot", "transcribe"):
        assert main([command, str(folders["causal"]), str(wav)]) == 2
        assert "finds sound events; use seqlab events" in capsys.readouterr().err
    with pytest.raises(ModelError, match="finds no events"):
        list(live_events(ExportedModel(tmp_path / "words"), [SOUND.numpy()]))


@pytest.mark.slow
def test_an_export_for_streams_alone_hears_files(tmp_path: Path, wav: Path) -> None:
    model = copy.deepcopy(MODELS["causal"])
    export_model(model, tmp_path / "x", recordings=[sound()], offline=False, streaming=True)
    found = events_of_file(ExportedModel(tmp_path / "x"), wav, SETTINGS)
    expected = torch_events(model, wav, SETTINGS)
    assert_same(found[:-2], expected[: len(found) - 2])
