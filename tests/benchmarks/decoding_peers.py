"""Peers of the decoding benchmark, in their own environment: flashlight-text and pyctcdecode.

Run by ``tests.benchmarks.decoding`` with the Python that has them; it needs numpy beside. Reads one
JSON object a line from the standard input, each a task; answers each with one line: milliseconds of
CPU time for each round, and the texts.
"""

import json
import math
import os
import sys
import time

import numpy as np

_LN_10 = math.log(10)  # flashlight takes KenLM's logarithms, of base 10, as they are


def _plain_flashlight(tokens, task):
    from flashlight.lib.text.decoder import (
        CriterionType,
        LexiconFreeDecoder,
        LexiconFreeDecoderOptions,
        ZeroLM,
    )

    options = LexiconFreeDecoderOptions(
        beam_size=task["beam"], beam_size_token=task["max_tokens"] or len(tokens),
        beam_threshold=task["threshold"], lm_weight=0.0, sil_score=0.0, log_add=True,
        criterion_type=CriterionType.CTC,
    )  # fmt: skip
    lm, model = ZeroLM(), None
    if task["lm"] == "token":
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary

        model = Dictionary([task["space"] if token == " " else token for token in tokens])
        lm = KenLM(task["arpa"], model)
        options.lm_weight = task["lm_weight"] * _LN_10
    space = tokens.index(" ") if " " in tokens else 0
    decoder = LexiconFreeDecoder(options, lm, space, 0, [])
    return decoder, model


def _lexicon_flashlight(tokens, task):
    from flashlight.lib.text.decoder import (
        CriterionType,
        LexiconDecoder,
        LexiconDecoderOptions,
        SmearingMode,
        Trie,
    )
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    words = Dictionary()
    for word in [*task["words"], "<unk>"]:
        words.add_entry(word)
    lm = KenLM(task["arpa"], words)
    start = lm.start(False)
    numbers = {token: index for index, token in enumerate(tokens)}
    space = numbers[" "]
    trie = Trie(len(tokens), space)
    for word in task["words"]:
        if any(letter not in numbers for letter in word):
            continue
        entry = words.get_index(word)
        _, score = lm.score(start, entry)
        trie.insert([numbers[letter] for letter in word] + [space], entry, score)
    trie.smear(SmearingMode.MAX)
    options = LexiconDecoderOptions(
        beam_size=task["beam"], beam_size_token=task["max_tokens"] or len(tokens),
        beam_threshold=task["threshold"], lm_weight=task["lm_weight"] * _LN_10,
        word_score=task["word_bonus"], unk_score=-math.inf, sil_score=0.0, log_add=True,
        criterion_type=CriterionType.CTC,
    )  # fmt: skip
    unknown = words.get_index("<unk>")
    return LexiconDecoder(options, trie, lm, space, 0, unknown, [], False), (words, lm)


def _flashlight_text(result, tokens):
    found, last = [], 0
    for token in result.tokens:
        if token != last and token != 0:
            found.append(tokens[token])
        last = token
    return " ".join("".join(found).split())


def flashlight(task, rows):
    """A function that decodes all rows once, and gives their texts."""
    tokens = task["tokens"]
    make = _lexicon_flashlight if task["lm"] == "word" else _plain_flashlight
    decoder, kept = make(tokens, task)
    if task["lm"] == "word":  # its words end with a space, the last one as well
        end = rows[0][:1] * 0 - 30
        end[0, tokens.index(" ")] = 0
        rows = [np.concatenate([row, end]) for row in rows]

    def run():
        texts = []
        for row in rows:
            results = decoder.decode(row.ctypes.data, *row.shape)
            texts.append(_flashlight_text(results[0], tokens) if results else "")
        return texts

    run.kept = kept
    return run


def pyctcdecode(task, rows):
    """The same with pyctcdecode."""
    import logging

    from pyctcdecode import build_ctcdecoder

    logging.disable(logging.CRITICAL)
    tokens = ["", *task["tokens"][1:]]
    decoder = build_ctcdecoder(
        tokens, kenlm_model_path=task.get("arpa"), unigrams=task.get("words"),
        alpha=task["lm_weight"], beta=task["word_bonus"], unk_score_offset=-10.0,
    )  # fmt: skip
    options = {"beam_width": task["beam"], "beam_prune_logp": -min(task["threshold"], 1e9)}
    if task["hotwords"]:
        options |= {"hotwords": task["hotwords"], "hotword_weight": 10.0}
    return lambda: [decoder.decode(row, **options) for row in rows]


def main():
    """Answer tasks until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes elsewhere
    made = {}
    for line in sys.stdin:
        task = json.loads(line)
        try:
            if task["name"] not in made:
                file = np.load(task["rows"])
                rows = [
                    np.ascontiguousarray(row[:length], np.float32)
                    for row, length in zip(file["log_probs"], file["lengths"], strict=True)
                ]
                make = {"flashlight-text": flashlight, "pyctcdecode": pyctcdecode}[task["system"]]
                made[task["name"]] = make(task, rows), len(rows)
                made[task["name"]][0]()
            run, count = made[task["name"]]
            begin = time.process_time()
            texts = run()
            answer = {"ms": 1e3 * (time.process_time() - begin) / count, "texts": texts}
        except Exception as error:  # it is a figure that is missing, not the benchmark
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
