from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from seqlab.data.corpora import corpus_help, corpus_names, prepare
from seqlab.data.manifest import Utterance, read_manifest
from seqlab.errors import AudioError, DataError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "dest"


def splits(folder: Path) -> dict[str, list[Utterance]]:
    return {p.name.split(".")[0]: read_manifest(p) for p in folder.glob("*.jsonl.gz")}


class TestPrepare:
    def test_every_corpus_says_what_it_wants(self) -> None:
        for name in corpus_names():
            text = corpus_help(name)
            assert "source:" in text and "Raises:" in text, name

    def test_unknown_names(self, source: Path, dest: Path) -> None:
        with pytest.raises(DataError, match="'fsd' is not known; did you mean 'fsdd'"):
            prepare("fsd", source, dest)
        with pytest.raises(DataError, match="known: aligned_words, an4"):
            prepare("../../etc", source, dest)
        with pytest.raises(DataError, match="no option 'dev_take'; did you mean 'dev_takes'"):
            prepare("fsdd", source, dest, dev_take=3)
        with pytest.raises(DataError, match="known: dev_takes"):
            prepare("fsdd", source, dest, dest="x", colour=3)
        with pytest.raises(DataError, match="dev_takes='x' must be a number"):
            prepare("fsdd", source, dest, dev_takes="x")
        assert not dest.exists()

    @pytest.mark.parametrize("corpus", sorted(set(corpus_names()) - {"synthetic_digits"}))
    def test_sources_of_another_kind(self, corpus: str, source: Path, dest: Path) -> None:
        (source / "notes.txt").write_text("hello")
        for place in (source, source / "nothing", source / "notes.txt"):
            with pytest.raises(DataError) as error:
                prepare(corpus, place, dest)
            assert str(place) in str(error.value) and "must" in str(error.value)
            assert "\n" not in str(error.value)
        assert not dest.exists()

    def test_a_destination_that_is_a_file(self, source: Path) -> None:
        (source / "x").write_text("")
        with pytest.raises(DataError, match="must be a folder for the manifests"):
            prepare("fsdd", source, source / "x")


class TestFsdd:
    def test_takes_decide(self, write_audio, source: Path, dest: Path) -> None:
        for take in (0, 4, 5, 9, 10, 49):
            for speaker in ("theo", "lucas"):
                write_audio(f"recordings/3_{speaker}_{take}.wav", folder=source)
        (source / "recordings" / "readme.wav").write_text("not of the corpus")
        summary = prepare("fsdd", source, dest)
        found = splits(dest)
        takes = {name: sorted(int(u.id.split("_")[2]) for u in us) for name, us in found.items()}
        assert takes == {"train": [10, 10, 49, 49], "dev": [5, 5, 9, 9], "test": [0, 0, 4, 4]}
        assert {u.label for u in found["test"]} == {"three"}
        assert summary.speaker_overlap["train/test"] == ["lucas", "theo"]
        assert summary.warnings == [] and len(summary.notes) == 1
        assert "published splits share their speakers" in summary.notes[0]
        assert json.loads((dest / "summary.json").read_text())["corpus"] == "fsdd"
        prepare("fsdd", source / "recordings", dest / "again", dev_takes="0")
        assert set(splits(dest / "again")) == {"train", "test"}

    def test_a_broken_file_is_named(self, write_audio, source: Path, dest: Path) -> None:
        write_audio("0_theo_0.wav", folder=source)
        (source / "1_theo_0.wav").write_text("")
        with pytest.raises(AudioError, match=r"1_theo_0\.wav"):
            prepare("fsdd", source, dest)


class TestAn4:
    def write(self, source: Path, train: str, test: str = "<s> TEN </s> (an9-fcaw-b)\n") -> None:
        (source / "etc").mkdir(exist_ok=True)
        (source / "etc" / "an4_train.transcription").write_text(train)
        (source / "etc" / "an4_test.transcription").write_text(test)

    def test_the_published_layout(self, write_audio, source: Path, dest: Path) -> None:
        self.write(source, "<s> YES </s> (an1-fash-b)\n<s> GO ON </s> (cen2-mblw-b)\n")
        write_audio("wav/an4_clstk/fash/an1-fash-b.flac", folder=source, rate=16000)
        write_audio("wav/an4_clstk/mblw/cen2-mblw-b.wav", folder=source, rate=16000)
        write_audio("wav/an4test_clstk/fcaw/an9-fcaw-b.wav", folder=source, rate=16000)
        prepare("an4", source, dest)
        found = {n: [(u.id, u.transcript, u.speaker) for u in us] for n, us in splits(dest).items()}
        assert found == {
            "train": [("an1-fash-b", "YES", "fash")],
            "dev": [("cen2-mblw-b", "GO ON", "mblw")],
            "test": [("an9-fcaw-b", "TEN", "fcaw")],
        }
        prepare("an4", source, dest / "all", dev_speakers="")
        assert len(splits(dest / "all")["train"]) == 2

    def test_the_dictionary_becomes_a_lexicon(self, write_audio, source: Path, dest: Path) -> None:
        self.write(source, "<s> A </s> (an1-fash-b)\n")
        write_audio("wav/an1-fash-b.wav", folder=source, rate=16000)
        write_audio("wav/an9-fcaw-b.wav", folder=source, rate=16000)
        prepare("an4", source, dest)
        assert not (dest / "lexicon.txt").exists()
        text = "A   AH\nA(2)   EY\nTEN  T EH N\nELEVEN  AH L EH V\nELEVEN(2)  IY L EH V\n"
        (source / "etc" / "an4.dic").write_text(text)
        prepare("an4", source, dest)
        lines = (dest / "lexicon.txt").read_text().splitlines()
        assert lines == ["a EY", "a AH", "eleven AH L EH V", "eleven IY L EH V", "ten T EH N"]

    def test_sphere_files(self, source: Path, dest: Path) -> None:
        self.write(source, "YES (an1-fash-b)\n", "TEN (an9-fcaw-b)\n")
        tone = np.sin(np.arange(1600) / 20)
        for name in ("an1-fash-b", "an9-fcaw-b"):
            soundfile.write(source / f"{name}.sph", tone, 16000, "PCM_16", format="NIST")
        prepare("an4", source, dest)
        assert splits(dest)["train"][0].duration_s == 0.1

    @pytest.mark.parametrize("order", ["<i2", ">i2"])
    def test_headerless_audio_in_either_byte_order(
        self, order: str, source: Path, dest: Path
    ) -> None:
        self.write(source, "YES (an1-fash-b)\n", "TEN (an9-fcaw-b)\n")
        speech = (8000 * np.sin(np.arange(1600) / 20)).astype(np.int16)
        for name in ("an1-fash-b", "an9-fcaw-b"):
            (source / f"{name}.raw").write_bytes(speech.astype(order).tobytes())
        prepare("an4", source, dest)
        (utterance,) = splits(dest)["train"]
        samples, rate = soundfile.read(utterance.path, dtype="int16")
        assert rate == 16000 and (samples == speech).all()
        assert Path(utterance.path) == dest / "audio" / "an1-fash-b.wav"
        (source / "an1-fash-b.raw").write_bytes(b"abc")
        with pytest.raises(AudioError, match="3 bytes must be an even number"):
            prepare("an4", source, dest)
        with pytest.raises(DataError, match="byte_order='middle'"):
            prepare("an4", source, dest, byte_order="middle")

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("YES an1-fash-b", "utterance id in parentheses"),
            ("YES (an1-fash)", "text-speaker-letter"),
            ("YES (an2-fash-b)", "no audio named an2-fash-b"),
        ],
    )
    def test_bad_lines(self, write_audio, source: Path, dest: Path, line: str, says: str) -> None:
        write_audio("an1-fash-b.wav", folder=source)
        write_audio("an1-fash.wav", folder=source)
        self.write(source, f"A (an1-fash-b)\n{line}\n")
        with pytest.raises(DataError, match=says) as error:
            prepare("an4", source, dest)
        assert "an4_train.transcription:2" in str(error.value)


def test_arabic_lists(write_audio, source: Path, dest: Path) -> None:
    for name, speaker in (("train", "01"), ("val", "02"), ("test", "03")):
        write_audio(f"dataset/up/{speaker}_NO_01.wav", folder=source)
        (source / f"{name}.csv").write_text(f"file,class\nup/{speaker}_NO_01.wav,up\n")
    summary = prepare("arabic_speech_commands", source, dest)
    found = splits(dest)
    assert [(u.id, u.label, u.speaker) for u in found["dev"]] == [("up/02_NO_01", "up", "02")]
    assert summary.warnings == []
    (source / "val.csv").write_text("file\nup/02_NO_01.mp3\n")
    with pytest.raises(DataError, match=r"val\.csv:2"):
        prepare("arabic_speech_commands", source, dest)


class TestLibriSpeech:
    def chapter(self, write_audio, source: Path, part: str, speaker: str) -> Path:
        folder = source / "LibriSpeech" / part / speaker / "7"
        write_audio(f"{speaker}-7-0000.flac", folder=folder, rate=16000)
        lines = folder / f"{speaker}-7.trans.txt"
        lines.write_text(f"{speaker}-7-0000 GOOD MORNING\n")
        return lines

    def test_parts_become_splits(self, write_audio, source: Path, dest: Path) -> None:
        self.chapter(write_audio, source, "train-clean-100", "19")
        self.chapter(write_audio, source, "dev-clean", "84")
        prepare("librispeech", source, dest)
        found = splits(dest)
        assert set(found) == {"train-clean-100", "dev-clean"}
        (u,) = found["dev-clean"]
        assert (u.id, u.transcript, u.speaker) == ("84-7-0000", "GOOD MORNING", "84")
        prepare("librispeech", source / "LibriSpeech", dest / "one", parts="dev-clean")
        assert set(splits(dest / "one")) == {"dev-clean"}
        with pytest.raises(DataError, match="'test-other' is not in"):
            prepare("librispeech", source, dest, parts="test-other")

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("19-7-0001 MORE", r"19-7-0001\.flac is missing"),
            ("19-7-0000", "and a transcript"),
            ("20-7-0000 MORE", "speaker-chapter-number"),
        ],
    )
    def test_bad_lines(self, write_audio, source: Path, dest: Path, line: str, says: str) -> None:
        path = self.chapter(write_audio, source, "train-clean-5", "19")
        path.write_text(f"19-7-0000 GOOD\n{line}\n")
        with pytest.raises(DataError, match=says) as error:
            prepare("librispeech", source, dest)
        assert f"{path}:2" in str(error.value)


def test_yesno_halves(write_audio, source: Path, dest: Path) -> None:
    names = ["0_0_1", "1_0_0", "0_1_1", "1_1_1", "0_1_0"]
    for name in names:
        write_audio(f"waves_yesno/{name}.wav", folder=source)
    summary = prepare("yesno", source, dest)
    assert summary.warnings == [] and "one speaker" in summary.notes[0]
    found = splits(dest)
    assert [u.id for u in found["train"]] == ["0_0_1", "0_1_0"]
    assert [u.id for u in found["test"]] == ["0_1_1", "1_0_0", "1_1_1"]
    assert found["train"][0].transcript == "NO NO YES"
    prepare("yesno", source / "waves_yesno", dest / "dev", dev_files=1)
    assert [u.id for u in splits(dest / "dev")["dev"]] == ["0_1_0"]
    with pytest.raises(DataError, match="dev_files=2 must be 0 or more and below 2"):
        prepare("yesno", source, dest, dev_files=2)


@pytest.mark.data
class TestRealCorpora:
    def test_an4(self, corpora: Path, dest: Path, tmp_path: Path) -> None:
        """Figures: CMU's own (130 test utterances, 773 words; 948 in training, 74 speakers)."""
        summary = prepare("an4", corpora / "an4", dest)
        assert {n: s.utterances for n, s in summary.splits.items()} == {
            "train": 844,
            "dev": 104,
            "test": 130,
        }
        assert summary.splits["test"].words == 773
        assert summary.warnings == []
        source = tmp_path / "cmu"
        source.mkdir()
        for name in ("etc", "audio"):
            (source / name).symlink_to(corpora / "an4" / name)
        prepare("an4", source, tmp_path / "cmu-dest")
        table, own = splits(dest), splits(tmp_path / "cmu-dest")
        for split, utterances in table.items():
            expected = {(Path(u.path).stem, u.transcript, u.speaker) for u in utterances}
            assert {(u.id, u.transcript, u.speaker) for u in own[split]} == expected

    def test_fsdd(self, corpora: Path, dest: Path) -> None:
        summary = prepare("fsdd", corpora / "fsdd", dest)
        counts = {n: s.utterances for n, s in summary.splits.items()}
        assert counts == {"train": 2400, "dev": 300, "test": 300}
        prepare("tsv", corpora / "fsdd", dest / "tsv", split_column="official_split")
        official = {Path(u.path).name for u in splits(dest / "tsv")["test"]}
        assert {Path(u.path).name for u in splits(dest)["test"]} == official

    def test_arabic(self, corpora: Path, dest: Path) -> None:
        summary = prepare("arabic_speech_commands", corpora / "arabic_speech_commands", dest)
        assert [(s.utterances, s.speakers, s.classes) for s in summary.splits.values()] == [
            (7200, 18, 40),
            (2400, 6, 40),
            (2400, 6, 40),
        ]
        assert summary.warnings == []

    def test_librispeech_excerpt(self, corpora: Path, dest: Path) -> None:
        summary = prepare("librispeech", corpora / "librispeech_train_clean_5", dest)
        assert [s.utterances for s in summary.splits.values()] == [448, 102, 221]
