"""ARPA files as the toolkits write them; each text follows the layout of what its tool prints."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seqlab.errors import ModelError

from .arpa_oracle import SMALL, assert_same, grams_of, read, score, validate, written

LN_10 = math.log(10)


def test_windows_line_ends_byte_order_mark_and_blank_lines():
    expected = read(SMALL)
    crlf = SMALL.replace("\n", "\r\n")
    for text in (crlf, "\ufeff" + SMALL, "\ufeff" + crlf, SMALL.replace("\n", "\n\n \t\n")):
        assert_same(read(text), expected)
    assert_same(read(SMALL.rstrip("\n")), expected)  # no end of line behind \end\
    assert_same(read(SMALL + "\n \n"), expected)
    assert_same(read("\n\n# estimated on Friday\n" + SMALL), expected)
    assert_same(read(SMALL.replace("\t", " ")), expected)
    assert_same(read(SMALL.replace("\t", "  \t ").replace("\n", " \t\n")), expected)


def test_zero_backoffs_may_be_left_out_or_written_for_the_longest():
    expected = read(SMALL)
    assert_same(read(SMALL.replace("\t0\n", "\n")), expected)
    assert_same(read(SMALL.replace("<s> a b\n", "<s> a b\t0\n")), expected)
    assert_same(read(SMALL.replace("<s> a b\n", "<s> a b\t-0.0000\n")), expected)


SRILM = """

\\data\\
ngram  1= 4
ngram  2= 2
ngram  3= 2

\\1-grams:
-0.60206\t</s>
-99\t<s>\t-0.1249387
-0.4771213\tone\t-0.2218487
-0.7781513\ttwo\t-99

\\2-grams:
-0.1760913\t<s> one\t-0.07918125
-0.30103\tone two\t0.146128

\\3-grams:
-0.2218488\t<s> one two
-0.3979400\ttwo one two

\\end\\
"""


def test_srilm():
    """No <unk>, back-offs left out, -99 for minus infinity; after pruning n-grams are missing."""
    table = read(SRILM)
    validate(table)
    assert list(table.ngrams.words) == ["<unk>", "<s>", "</s>", "one", "two"]
    grams = grams_of(table)
    assert grams[("<unk>",)] == (-math.inf, 0)
    assert grams[("two",)][1] == -math.inf
    assert grams[("one", "two")][1] == pytest.approx(0.146128 * LN_10, rel=1e-6)
    # the context "two one" was missing: bow(two) p(one)
    assert grams[("two", "one")] == (-math.inf, 0)
    assert grams[("<s>", "one", "two")][0] == pytest.approx(-0.2218488 * LN_10, rel=1e-6)


def test_added_ngrams_change_no_score():
    """Removing n-grams that longer ones need: what is put back says what backing off says."""
    words = ["a", "b", "c", "d"]
    random = np.random.default_rng(0)
    lines = [[f"-{random.random():.4f}\t{w}\t-{random.random():.4f}" for w in words]]
    lines[0] += ["-1\t</s>\t0", "-99\t<s>\t-0.5"]
    kept: dict[tuple[str, ...], tuple[float, float]] = {}
    for k in (2, 3, 4, 5):
        grams = {tuple(gram) for gram in random.choice(words, (12, k)).tolist()}
        lines.append([f"-{random.random():.4f}\t{' '.join(g)}\t-0.{k}1" for g in sorted(grams)])
    lines[-1] = [line.rsplit("\t", 1)[0] for line in lines[-1]]
    head = "\n".join(f"ngram {k}={len(section)}" for k, section in enumerate(lines, 1))
    body = "\n\n".join(f"\\{k}-grams:\n" + "\n".join(s) for k, s in enumerate(lines, 1))
    for line in (line for section in lines for line in section):
        prob, gram, *backoff = line.split("\t")
        kept[tuple(gram.split())] = float(prob) * LN_10, float((backoff or ["0"])[0]) * LN_10
    kept[("<s>",)] = -math.inf, kept[("<s>",)][1]
    kept[("<unk>",)] = -math.inf, 0
    table = read(f"\\data\\\n{head}\n\n{body}\n\n\\end\\\n")
    validate(table)
    grams = grams_of(table)
    assert len(grams) > len(kept)
    for _ in range(500):
        context = tuple(random.choice(words, random.integers(0, 6)).tolist())
        for word in words:
            expected = score(kept, 5, context, word)
            assert score(grams, 5, context, word) == pytest.approx(expected, rel=1e-5)


IRSTLM = """
\\data\\
ngram  1=         6
ngram  2=         5


\\1-grams:
-1.96379\t<s>\t-0.359022
-1.96379\tberg\t-0.30103
-1.41972\t</s>\t-0.845098
-1.7877\tas\t-0.30103
-1.7877\troom
-0.508943\t<unk>


\\2-grams:
-0.716122\t<s> <s>
-1.17227\t<s> berg
-0.0439256\t</s> <s>
-0.3\tberg as
0.000217\troom </s>
\\end\\
"""


def test_irstlm():
    """<unk> last, <s> with a probability, no blank line before the end, more than one in all."""
    with pytest.warns(UserWarning, match="line 21: 1 log-probabilities lie above 0 by rounding"):
        table = read(IRSTLM)
    validate(table)
    grams = grams_of(table)
    assert grams[("<unk>",)] == (pytest.approx(-0.508943 * LN_10), 0)
    assert grams[("room", "</s>")][0] == 0
    assert grams[("<s>",)] == (-math.inf, pytest.approx(-0.359022 * LN_10))


def test_irstlm_formats_that_are_not_arpa():
    for start in ("iARPA\n\n", "qARPA 2\n", "blmt 3    57\n", "Qblmt 3 5\n"):
        with pytest.raises(ModelError, match=r"IRSTLM.*compile-lm --text=yes"):
            read(start + IRSTLM)


POCKETSPHINX = """This is a CLOSED-vocabulary model
  (OOVs eliminated from training data and are forbidden in test data)

Beginning of data mark: \\data\\
ngram 1=nr            # number of 1-grams

\\1-grams:
p_1     wd_1 bo_wt_1

end of data mark: \\end\\

\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-2.0794 <UNK>\t-0.1
-0.9031 </s>\t0.0000
-0.9031 <s>\t-0.2978
-0.6021 HELLO\t-0.1761

\\2-grams:
-0.3010 <s> HELLO 0.0000
-0.3010 HELLO <UNK> 0.0000

\\end\\
"""


def test_pocketsphinx():
    """Text before the data, spaces, <UNK> in capitals."""
    table = read(POCKETSPHINX)
    validate(table)
    assert list(table.ngrams.words) == ["<unk>", "<s>", "</s>", "HELLO"]
    grams = grams_of(table)
    assert grams[("<unk>",)] == (pytest.approx(-2.0794 * LN_10), pytest.approx(-0.1 * LN_10))
    assert grams[("HELLO", "<unk>")][0] == pytest.approx(-0.301 * LN_10)


def test_capital_unknown_beside_the_small_one_is_a_word():
    table = read(
        SMALL.replace("\ta\t", "\t<UNK>\t").replace(" a", " <UNK>").replace("\ta ", "\t<UNK> ")
    )
    assert list(table.ngrams.words) == ["<unk>", "<s>", "</s>", "<UNK>", "b"]


def test_capital_unknown_between_other_words():
    text = SMALL.replace("<unk>", "x").replace("\ta\t", "\t<UNK>\t")
    text = text.replace(" a", " <UNK>").replace("\ta ", "\t<UNK> ")
    table = read(text)
    validate(table)
    assert list(table.ngrams.words) == ["<unk>", "<s>", "</s>", "x", "b"]
    expected = grams_of(read(SMALL))
    rename = {"<unk>": "x", "a": "<unk>"}
    renamed = {tuple(rename.get(w, w) for w in gram): value for gram, value in expected.items()}
    assert grams_of(table) == renamed


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("-1.25e-1", -0.125), ("-12.5E-2", -0.125), ("-.125", -0.125), ("-1e-45", -1e-45),
        ("-0.12500000000000000000000000001", -0.125), ("-00000000000000000000000.125", -0.125),
        ("-12345678901234567890e-20", -0.12345678901234567), ("-1.", -1), ("0", 0), ("+0.0", 0),
        ("-inf", -math.inf), ("-Infinity", -math.inf), ("-1.#INF", -math.inf), ("-99", -math.inf),
        ("-99.0000", -math.inf), ("-9.9e1", -math.inf), ("-98.99", -98.99), ("-120", -120),
        ("-1e9", -1e9), ("-0.1234567", -0.1234567), ("-0.12345678", -0.12345678),
        ("-0.123456789", -0.123456789), ("-1.12345678901234567", -1.12345678901234567),
        ("-1e-300", 0), ("-0e99", 0),
    ],
)  # fmt: skip
def test_numbers(number, value):
    table = read(SMALL.replace("-0.5\ta\t-0.25", f"{number}\ta\t{number}"))
    expected = np.float32(value * LN_10)
    assert table.log_prob[0][3] == table.log_backoff[0][3] == expected


def test_an_order_without_ngrams_is_left_out():
    text = SMALL.split("\\3-grams:")[0].replace("ngram 3=2", "ngram 3=0")
    for end in ("\\3-grams:\n\n\\end\\\n", "\\end\\\n"):
        zeros = text.replace("-0.5\n", "0\n").replace("-0.0625\n", "0\n")
        assert read(zeros + end).order == 2
        table = read(text + end)  # its back-off weights count, so the order stays
        assert table.ngrams.sizes == (5, 4, 0)
        validate(table)
        assert_same(read(written(table)), table)


def test_words_that_are_not_utf_8():
    table = read(
        SMALL.encode()
        .replace(b"\ta\t", b"\t\xff\xfe\t")
        .replace(b" a", b" \xff\xfe")
        .replace(b"\ta ", b"\t\xff\xfe ")
    )
    assert table.ngrams.words[3] == "\udcff\udcfe"
