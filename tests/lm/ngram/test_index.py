"""Hash tables of n-gram models: what is put in comes out again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import ModelError
from seqlab.lm.ngram import index as index_module
from seqlab.lm.ngram import tables as tables_module
from seqlab.lm.ngram.index import QueryIndex, order_shapes
from seqlab.lm.ngram.query import Scorer
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.table_rows import OrderRows
from seqlab.lm.ngram.tables import OrderShape, enter_rows, fill_order
from tests.lm.ngram.models import random_table, tables


def assert_same(got, table):
    assert got.ngrams.words == table.ngrams.words and got.order == table.order
    for mine, theirs in zip(got.ngrams.levels, table.ngrams.levels, strict=True):
        for name in ("first", "suffix", "context"):
            assert getattr(mine, name).dtype == np.int32
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    for kind in ("log_prob", "log_backoff"):
        for mine, theirs in zip(getattr(got, kind), getattr(table, kind), strict=True):
            np.testing.assert_array_equal(mine.view(np.int32), theirs.view(np.int32))
    assert np.float32(got.unseen_backoff) == np.float32(table.unseen_backoff)


@settings(max_examples=100, deadline=None)
@given(tables())
def test_the_table_comes_back_bit_for_bit(table):
    index = QueryIndex.build(table)
    assert index.counts == table.ngrams.sizes and not index.quantised
    assert_same(index.to_table(), table)


@settings(max_examples=50, deadline=None)
@given(tables((2, 4)), st.integers(1, 30))
def test_filling_by_regions_finds_the_same(table, region):
    whole = QueryIndex.build(table)
    shapes = order_shapes(table.ngrams.sizes, False)
    contexts, pieces = np.arange(len(table.ngrams.words), dtype=np.uint32), []
    for k, shape in enumerate(shapes, 2):
        rows = OrderRows(table, k, contexts)
        pieces += [piece.copy() for piece in fill_order(rows.pieces, shape, None, region)]
        contexts = rows.slots
    records = tables_module.aligned(sum(shape.length for shape in shapes))
    records[:] = np.concatenate(pieces)
    index = QueryIndex.of_arrays(
        whole.words, whole.counts, shapes, records, whole.tables.unigrams,
        whole.tables.centres, table.unseen_backoff,
    )  # fmt: skip
    assert_same(index.to_table(), table)


@pytest.mark.parametrize("quantise", [False, True])
def test_a_table_made_on_disk_comes_back(quantise, tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "_REGION_SHARE", 1)
    table = random_table(np.random.default_rng(5), 3, 60, 3000)
    whole = QueryIndex.build(table, quantise)
    with Scratch(tmp_path, memory=50 * 64) as scratch:
        index = QueryIndex.build(table, quantise, scratch)
        assert isinstance(index.tables.records.base, np.memmap)
        assert_same(index.to_table(), whole.to_table())


def test_a_hash_that_fails_is_exchanged(monkeypatch):
    table = random_table(np.random.default_rng(0), 3, 40, 2000)
    monkeypatch.setattr(tables_module, "LONGEST_TAIL", 2)
    real = tables_module._multiplier
    monkeypatch.setattr(tables_module, "_multiplier", lambda i: 0 if i < 2 else real(i))
    monkeypatch.setattr(tables_module, "LOAD", 0.05)
    index = QueryIndex.build(table)
    assert int(index.tables.shape[2, 3]) == real(2)
    assert_same(index.to_table(), table)
    monkeypatch.setattr(tables_module, "_multiplier", lambda i: 0)
    with pytest.raises(ModelError, match="do not spread over a hash table"):
        QueryIndex.build(table)


def test_regions_say_when_a_table_is_too_full(monkeypatch):
    table = random_table(np.random.default_rng(0), 2, 40, 2000)
    shape = order_shapes(table.ngrams.sizes, False)[0]
    shape = OrderShape(shape.lines, 1, 0, shape.word_bits, shape.key_bits)
    rows = OrderRows(table, 2, np.arange(40, dtype=np.uint32))
    with pytest.raises(OverflowError):
        list(fill_order(rows.pieces, shape))
    records = tables_module.aligned(shape.length)
    assert not enter_rows(rows.pieces(), shape, None, (0, shape.lines), records)


def test_too_many_words_are_refused():
    with pytest.raises(ModelError, match="must be at most 2147483647 and 268435456; prune"):
        OrderShape.of(1, 2**28 + 1, 10)
    with pytest.raises(ModelError, match="must be at most"):
        OrderShape.of(2**31, 10, 10)
    with pytest.raises(ModelError, match="keys of 61 bits must have at most 54"):
        OrderShape.of(2**31 - 1, 2**28, 2**32, packed=True)


def test_tables_that_contradict_themselves_are_named():
    table = random_table(np.random.default_rng(3), 3)
    for flip, message in ((2**40, "no n-gram of the model"), (None, "must hold")):
        index = QueryIndex.build(table)
        records = index.tables.records.copy()
        places = np.nonzero(records[::2] & np.uint64(2**61 - 1))[0] * 2
        if flip:
            records[places[-1]] ^= np.uint64(flip)
        else:
            records[places[-1]] = 0
        forged = QueryIndex(index.words, index.counts, index.tables._replace(records=records))
        with pytest.raises(ModelError, match=message):
            forged.to_table()


@settings(max_examples=40, deadline=None)
@given(tables((1, 6)))
def test_quantised_keeps_few_values_exactly(table):
    """Up to 256 different values of a kind are kept as they are."""
    index = QueryIndex.build(table, quantise=True)
    assert index.quantised or table.order == 1
    numbers = np.random.default_rng(0).integers(-1, len(table.ngrams.words), 200)
    if max(index.counts) < 250:
        assert_same(index.to_table(), table)
        plain = Scorer(QueryIndex.build(table)).numbers(numbers)
        quantised = Scorer(index).numbers(numbers)
        assert plain[0].tolist() == quantised[0].tolist()
