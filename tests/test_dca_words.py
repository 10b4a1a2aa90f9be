"""Shared words: what sequences pick adds up to their letters' rows, and back, for any alignment."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dca import accelerate, kernels
from dca.accelerate import get_threads, set_threads
from dca.asymmetric import asymmetric_pseudolikelihood
from dca.pseudolikelihood import PlmSettings, pseudolikelihood
from dca.vector import WIDTH
from dca.words import ABREAST, shared_words

LETTERS = 4


@st.composite
def alignments(draw):
    """Related sequences: copies of a few with some letters changed, so that words are shared."""
    rows, length = draw(st.integers(1, 60)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    founders = rng.integers(0, LETTERS, size=(draw(st.integers(1, 4)), length))
    tokens = founders[rng.integers(0, len(founders), size=rows)]
    changed = rng.random((rows, length)) < draw(st.sampled_from([0.0, 0.05, 0.5]))
    tokens[changed] = rng.integers(0, LETTERS, size=changed.sum())
    return tokens.astype(np.int8)


def sums_by_words(words, slab, rows):
    table = np.full(kernels.table_rows(words, LETTERS) * WIDTH, np.nan, np.float32)
    found = []
    for lo, hi in parts_of(rows):
        sums = np.full((hi - lo) * WIDTH, np.nan, np.float32)
        kernels._energies(words, slab.reshape(len(slab), -1), table, lo, hi, sums)
        found.append(sums.reshape(-1, WIDTH))
    return np.concatenate(found)


def parts_of(rows):
    """All sequences in two parts, as of a deep alignment, where there are two."""
    return [(0, rows // 2), (rows // 2, rows)] if rows > 1 else [(0, rows)]


def check(tokens, words):
    """Sums there and back against a loop over sequences and columns."""
    rows, length = tokens.shape
    rng = np.random.default_rng(1)
    slab = rng.normal(size=(length, LETTERS, WIDTH)).astype(np.float32)
    expected = np.array([sum(slab[j, row[j]] for j in range(length)) for row in tokens])
    np.testing.assert_allclose(sums_by_words(words, slab, rows), expected, rtol=1e-4, atol=1e-5)
    values = rng.normal(size=(rows, WIDTH)).astype(np.float32)
    back = np.zeros((length, LETTERS, WIDTH))
    for n, row in enumerate(tokens):
        for j in range(length):
            back[j, row[j]] += values[n]
    table = np.full(kernels.table_rows(words, LETTERS) * WIDTH, np.nan, np.float32)
    found = np.full((length, LETTERS * WIDTH), np.nan, np.float32)
    for lo, hi in parts_of(rows):
        kernels._slab_sums(words, values[lo:hi].ravel(), table, lo, hi, found)
    np.testing.assert_allclose(found.reshape(back.shape), back, rtol=1e-4, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(alignments(), st.sampled_from([0.0, 0.2, 1.0]), st.sampled_from([LETTERS, 20, 60, 10_000]))
def test_sums_are_those_of_the_letters(tokens, share, most_rows):
    check(tokens, shared_words(tokens, LETTERS, share, most_rows))


@settings(max_examples=30, deadline=None)
@given(alignments(), st.sampled_from([10, 30, 10_000]))
def test_batches_cover_all_columns_within_their_room(tokens, most_rows):
    words = shared_words(tokens, LETTERS, 1.0, most_rows)
    edges = words.edges
    assert (edges[0] == 0).all()
    ends = tokens.shape[1], words.lefts.size, words.rights.size, len(words.fours), len(words.singles)
    assert tuple(edges[-1]) == ends
    assert (np.diff(edges[:, 0]) > 0).all()
    rows = LETTERS * np.diff(edges[:, 0]) + np.diff(edges[:, 2])
    assert (rows <= most_rows).all()
    assert rows.max() == kernels.table_rows(words, LETTERS)
    assert words.fours.shape[1:] == (len(tokens), ABREAST)
    assert words.singles.shape[1] == len(tokens)


def test_equal_sequences_are_one_word():
    tokens = np.tile(np.arange(12, dtype=np.int8) % LETTERS, (50, 1))
    words = shared_words(tokens, LETTERS)
    assert words.fours.shape[0] == 0
    assert words.singles.shape == (1, 50)
    assert words.rights.size == 11
    check(tokens, words)


def test_without_shared_words_each_column_is_picked():
    tokens = np.random.default_rng(0).integers(0, LETTERS, size=(10, 9)).astype(np.int8)
    words = shared_words(tokens, LETTERS, share=0.0)
    assert words.rights.size == 0
    assert words.fours.shape[0] == 2
    assert words.singles.shape[0] == 1
    check(tokens, words)


def test_fewer_rows_are_picked_in_a_family_of_relatives():
    rng = np.random.default_rng(2)
    founders = rng.integers(0, 21, size=(20, 60))
    tokens = founders[rng.integers(0, 20, size=2000)]
    changed = rng.random(tokens.shape) < 0.05
    tokens[changed] = rng.integers(0, 21, size=changed.sum())
    words = shared_words(tokens.astype(np.int8), 21)
    picked = words.fours.shape[0] * ABREAST + words.singles.shape[0]
    assert picked <= 20
    assert words.rights.size + picked * 2000 < 0.4 * tokens.size


def test_too_many_rows_of_a_batch_are_refused():
    with pytest.raises(ValueError, match="70000"):
        shared_words(np.zeros((3, 3), dtype=np.int8), LETTERS, most_rows=70_000)


@pytest.mark.parametrize("infer", [pseudolikelihood, asymmetric_pseudolikelihood])
def test_threads_do_not_change_a_bit_of_couplings_from_shared_words(infer, monkeypatch):
    rng = np.random.default_rng(4)
    tokens = rng.integers(0, LETTERS, size=(5, 24))[rng.integers(0, 5, size=600)].astype(np.int8)
    changed = rng.random(tokens.shape) < 0.1
    tokens[changed] = rng.integers(0, LETTERS, size=changed.sum())
    small = functools.partial(shared_words, most_rows=200)
    monkeypatch.setattr(f"{infer.__module__}.shared_words", small)
    words = small(tokens, LETTERS)
    assert len(words.edges) > 3
    assert words.lefts.size > 10
    assert words.singles.size > 0
    weights = np.ones(600, dtype=np.float32)
    found = []
    monkeypatch.setattr(accelerate, "_AVAILABLE", 2)  # also where there is one core
    for threads in (1, 2, 1):
        set_threads(threads)
        assert get_threads() == threads
        found.append(infer(tokens, weights, PlmSettings(letters=LETTERS)).couplings)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_same_alignment_gives_the_same_words():
    tokens = np.random.default_rng(3).integers(0, 3, size=(40, 15)).astype(np.int8)
    one, two = shared_words(tokens, 3), shared_words(tokens.copy(), 3)
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("rows", [kernels.BLOCK - 1, kernels.BLOCK, 2 * kernels.BLOCK + 1])
def test_blocks_of_sequences(rows):
    tokens = np.random.default_rng(rows).integers(0, LETTERS, size=(rows, 7)).astype(np.int8)
    check(tokens, shared_words(tokens, LETTERS))
