"""Witten-Bell and absolute discounting compared with what IRSTLM's ``tlm`` estimates.

IRSTLM 6 differs in its unigrams: it counts <s> among them (once) and estimates a probability of
unknown words of its own instead of sharing it among all words. It also sees <s> <s> at the start
of a sentence. So what an n-gram's own order adds to what its suffix has, p(w | h) - b(h) p(w |
h'), is compared, along with b(h), wherever h does not begin with <s>.
"""

from __future__ import annotations

import math
import random
import shutil
import subprocess

import pytest

from seqlab.lm.ngram.smoothing.registry import smoothing_named

from .oracle import Lookup, count

TLM = shutil.which("tlm", path="/usr/lib/irstlm/bin") or shutil.which("tlm")
pytestmark = pytest.mark.skipif(TLM is None, reason="IRSTLM's tlm is not installed")


def read_arpa(path):
    """Log-probabilities and back-offs (natural) of a small ARPA file by n-gram."""
    log_prob, log_backoff = {}, {}
    for line in path.read_text().splitlines():
        cells = line.split("\t")
        if len(cells) > 1:
            gram = tuple(cells[1].split())
            log_prob[gram] = float(cells[0]) * math.log(10)
            log_backoff[gram] = float(cells[2]) * math.log(10) if len(cells) > 2 else 0.0
    return log_prob, log_backoff


@pytest.mark.parametrize(
    ("name", "options", "arguments"),
    [
        ("witten_bell", {}, ["-lm=wb"]),
        ("absolute_discounting", {"discount": 0.6}, ["-lm=sb", "-beta=0.6"]),
    ],
)
@pytest.mark.parametrize("order", [2, 3])
def test_equals_tlm(name, options, arguments, order, tmp_path):
    generator = random.Random(order)
    text = [generator.choices("abcdefgh", range(8, 0, -1), k=8) for _ in range(200)]
    source, target = tmp_path / "text", tmp_path / "arpa"
    source.write_text("".join(f"<s> {' '.join(sentence)} </s>\n" for sentence in text))
    command = [TLM, f"-tr={source}", f"-n={order}", "-ps=no", f"-oarpa={target}", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=300, cwd=tmp_path)
    log_prob, log_backoff = read_arpa(target)
    ours = Lookup(smoothing_named(name, **options).estimate(count(text, order)))

    compared = 0
    for gram, value in log_prob.items():
        if len(gram) == 1 or gram[0] == "<s>" or gram not in ours.log_prob:
            continue
        history = gram[:-1]
        backoff = math.exp(log_backoff[history])
        assert math.exp(ours.log_backoff[history]) == pytest.approx(backoff, rel=2e-5), gram
        own = math.exp(value) - backoff * math.exp(log_prob[gram[1:]])
        below = math.exp(ours.log_backoff[history] + ours.log_prob[gram[1:]])
        assert math.exp(ours.log_prob[gram]) - below == pytest.approx(own, abs=2e-5), gram
        compared += 1
    assert compared > 60
