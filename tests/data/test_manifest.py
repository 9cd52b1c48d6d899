from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.manifest import (
    Utterance,
    cut,
    from_file,
    read_manifest,
    write_atomically,
    write_manifest,
)
from seqlab.errors import AudioError, DataError, SeqlabError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=12)
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@st.composite
def some_utterances(draw: st.DrawFn) -> list[Utterance]:
    ids = draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    found = []
    for utterance_id in ids:
        start = draw(st.integers(0, 10**6))
        count = draw(st.integers(1, 10**6))
        rest = draw(st.integers(0, 10**6))
        rate = draw(st.sampled_from([8000, 11025, 16000, 44100]))
        found.append(
            Utterance(
                utterance_id,
                "/corpus/audio.wav",
                start / rate,
                count / rate,
                rate,
                transcript=draw(st.none() | TEXT),
                label=draw(st.none() | TEXT),
                speaker=draw(st.none() | NAME),
                recording_s=(start + count + rest) / rate,
            )
        )
    return found


@settings(max_examples=30)
@given(some_utterances(), st.sampled_from(["a.jsonl", "a.jsonl.gz"]))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, written: list[Utterance], name: str
) -> None:
    path = tmp_path_factory.mktemp("manifest") / name
    write_manifest(written, path)
    assert read_manifest(path) == written


def test_lhotse_reads_what_is_written(write_audio, tmp_path: Path) -> None:
    import lhotse

    whole = from_file(write_audio("a.wav", 1.0), "a", transcript="YES", speaker="s", label="yes")
    part = cut(whole, "a2", 0.25, 0.5)
    write_manifest([whole, part], tmp_path / "m.jsonl.gz")
    cuts = lhotse.load_manifest(tmp_path / "m.jsonl.gz")
    lhotse.validate(cuts)
    first, second = list(cuts)
    assert first.supervisions[0].text == "YES"
    assert first.supervisions[0].custom == {"label": "yes"}
    assert first.load_audio().shape == (1, 8000)
    assert (second.load_audio() == first.load_audio()[:, 2000:6000]).all()


def test_a_manifest_of_lhotse_is_read(write_audio, tmp_path: Path) -> None:
    from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

    recording = Recording.from_file(write_audio("a.wav", 1.0))
    supervision = SupervisionSegment("s", recording.id, 0, 0.5, text="HELLO", speaker="bob")
    cuts = CutSet.from_cuts(
        [MonoCut("c", 0.25, 0.5, 0, recording=recording, supervisions=[supervision])]
    )
    cuts.to_file(tmp_path / "m.jsonl")
    (read,) = read_manifest(tmp_path / "m.jsonl")
    assert (read.id, read.start_s, read.duration_s) == ("c", 0.25, 0.5)
    assert (read.transcript, read.label, read.speaker) == ("HELLO", None, "bob")
    assert read.recording_s == 1.0


def test_equal_utterances_give_equal_bytes(utterances, tmp_path: Path) -> None:
    write_manifest(utterances, tmp_path / "one.jsonl.gz")
    write_manifest(utterances, tmp_path / "two.jsonl.gz")
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()


def test_relative_paths_start_from_the_manifest(utterances, tmp_path: Path) -> None:
    write_manifest(utterances[:1], tmp_path / "m.jsonl")
    line = json.loads((tmp_path / "m.jsonl").read_text())
    line["recording"]["sources"][0]["source"] = "sub/x.wav"
    (tmp_path / "m.jsonl").write_text(json.dumps(line))
    assert read_manifest(tmp_path / "m.jsonl")[0].path == str(tmp_path / "sub" / "x.wav")


def test_a_failed_write_leaves_the_old_file(utterances, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(utterances, path)
    before = path.read_bytes()
    with pytest.raises(DataError, match="occurs twice"):
        write_manifest([utterances[0], utterances[0]], path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "m.jsonl", b"")


def test_target_is_the_label_before_the_transcript() -> None:
    plain = Utterance("a", "/a.wav", 0, 1, 8000, transcript="YES PLEASE")
    assert plain.target == "YES PLEASE"
    assert replace(plain, label="yes").target == "yes"
    assert replace(plain, transcript=None).target is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": ""}, "empty id"),
        ({"start_s": -0.1}, "0 or more"),
        ({"start_s": float("nan")}, "0 or more"),
        ({"duration_s": 0.0}, "more than 0"),
        ({"duration_s": float("inf")}, "more than 0"),
        ({"sample_rate": 0}, "more than 0"),
    ],
)
def test_impossible_utterances(change: dict[str, object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        replace(Utterance("a", "/a.wav", 0, 1, 8000), **change)


def test_a_part_must_lie_in_its_file(write_audio) -> None:
    whole = from_file(write_audio("a.wav", 1.0), "a")
    assert cut(whole, "b", 0.5, 0.5004).duration_s == 0.5
    with pytest.raises(DataError, match=r"beyond the end of .*a\.wav at 1\.0000 s"):
        cut(whole, "b", 0.5, 0.6)


def test_a_file_that_is_no_audio(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("hello")
    with pytest.raises(AudioError, match=r"a\.wav"):
        from_file(tmp_path / "a.wav", "a")


def good_cut() -> dict:
    return {
        "id": "c",
        "start": 0,
        "duration": 1.0,
        "channel": 0,
        "type": "MonoCut",
        "supervisions": [{"id": "s", "recording_id": "r", "start": 0, "duration": 1, "text": "A"}],
        "recording": {
            "id": "r",
            "sources": [{"type": "file", "channels": [0], "source": "a.wav"}],
            "sampling_rate": 8000,
            "num_samples": 8000,
            "duration": 1.0,
        },
    }


def change(path: str, value: object) -> str:
    cut = good_cut()
    *folders, last = path.split(".")
    place: object = cut
    for name in folders:
        place = place[int(name) if name.isdigit() else name]  # type: ignore[index]
    place[last] = value  # type: ignore[index]
    return json.dumps(cut)


def without(name: str) -> str:
    cut = good_cut()
    del cut[name]
    return json.dumps(cut)


COMMAND = [{"type": "command", "channels": [0], "source": "touch /tmp/owned"}]
BAD_LINES = {
    "not json": ("{", "not JSON"),
    "a list": ("[1]", "must be a JSON object"),
    "a number": ("3", "must be a JSON object"),
    "deep": ("[" * 100000, "nested too deep"),
    "long number": ("1" * 5000, "number too long"),
    "mixed": (change("type", "MixedCut"), "must be a MonoCut"),
    "command": (change("recording.sources", COMMAND), "never executed"),
    "no source": (change("recording.sources", []), "audio sources none"),
    "source is text": (change("recording.sources", "ab"), "wrong type"),
    "two channels": (
        change("recording.sources", [{"type": "file", "channels": [0, 1], "source": "a"}]),
        "several channels",
    ),
    "transforms": (change("recording.transforms", [{"name": "Speed"}]), "has transforms"),
    "no id": (without("id"), "'id' is missing"),
    "no recording": (without("recording"), "'recording' is missing"),
    "recording is text": (change("recording", "x"), "wrong type"),
    "negative start": (change("start", -1), "0 or more"),
    "start is text": (change("start", "soon"), "wrong type"),
    "no length": (change("duration", 0), "more than 0"),
    "rate is text": (change("recording.sampling_rate", "fast"), "wrong type"),
    "rate is infinite": (change("recording.sampling_rate", float("inf")), "wrong type"),
    "text is a number": (change("supervisions.0.text", 3), "must be text"),
    "custom is text": (change("supervisions.0.custom", "x"), "wrong type"),
    "two supervisions": (change("supervisions", [{}, {}]), "trim_to_supervisions"),
}


@pytest.mark.parametrize(("line", "says"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_bad_lines_name_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(f"{json.dumps({**good_cut(), 'id': 'first'})}\n\n{line}\n")
    with pytest.raises(DataError, match=says) as error:
        read_manifest(path)
    assert f"{path}:3" in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing"):
        read_manifest(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="is a folder"):
        read_manifest(tmp_path)
    (tmp_path / "m.txt").write_text("")
    with pytest.raises(DataError, match="must end in"):
        read_manifest(tmp_path / "m.txt")
    (tmp_path / "m.jsonl.gz").write_text("{}")
    with pytest.raises(DataError, match="not what its name says"):
        read_manifest(tmp_path / "m.jsonl.gz")
    whole = gzip.compress(json.dumps(good_cut()).encode())
    (tmp_path / "m.jsonl.gz").write_bytes(whole[:-9])
    with pytest.raises(DataError, match="damaged"):
        read_manifest(tmp_path / "m.jsonl.gz")
    (tmp_path / "m.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="damaged"):
        read_manifest(tmp_path / "m.jsonl")
    twice = json.dumps(good_cut())
    (tmp_path / "m.jsonl").write_text(f"{twice}\n{twice}\n")
    with pytest.raises(DataError, match="occurs twice"):
        read_manifest(tmp_path / "m.jsonl")


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "m.jsonl"
    path.write_bytes(data)
    try:
        read_manifest(path)
    except SeqlabError as error:
        assert str(path) in str(error)


def test_a_line_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqlab.data.cuts.MAX_LINE", 1000)
    (tmp_path / "m.jsonl.gz").write_bytes(gzip.compress(b"\n" + b" " * 10**6))
    with pytest.raises(DataError, match=r"m\.jsonl\.gz:2: longer than 1000 characters"):
        read_manifest(tmp_path / "m.jsonl.gz")


def test_a_table_of_several_splits_is_not_read_as_one(write_audio, tmp_path: Path) -> None:
    write_audio("a.wav", 0.1, folder=tmp_path)
    write_audio("b.wav", 0.1, folder=tmp_path)
    table = tmp_path / "m.tsv"
    table.write_text("path\tlabel\tsplit\na.wav\tyes\ttrain\nb.wav\tno\ttest\n")
    with pytest.raises(DataError, match=r"several splits \(train, test\), must be one"):
        read_manifest(table)
    assert [u.label for u in read_manifest(table, "test")] == ["no"]
    with pytest.raises(DataError, match="has no split 'dev', has train, test"):
        read_manifest(table, "dev")
    write_manifest(read_manifest(table, "test"), tmp_path / "m.jsonl")
    with pytest.raises(DataError, match=r"goes with a \.tsv table"):
        read_manifest(tmp_path / "m.jsonl", "test")


def test_the_waveform_of_a_part_is_that_part(write_audio) -> None:
    whole = from_file(write_audio("a.wav", 0.5), "a")
    sound = whole.waveform()
    part = cut(whole, "b", 0.125, 0.25)
    assert len(sound) == round(0.5 * whole.sample_rate)
    assert part.waveform().equal(sound[whole.sample_rate // 8 : 3 * whole.sample_rate // 8])
    assert len(part.waveform(2 * whole.sample_rate)) == round(0.5 * whole.sample_rate)
