"""Small training examples with a signal: pairs (i, L - 1 - i) share a letter and touch."""

import numpy as np

from nets.dataset import Example, write_example

LENGTH = 30


def write_examples(folder, count=5, length=LENGTH, rows=60, depths=1, with_alignment=False):
    """Example files of `count` families; the last one tunes."""
    made = []
    for n in range(count):
        rng = np.random.default_rng(n)
        tokens = rng.integers(0, 20, size=(rows, length)).astype(np.int8)
        distance = np.full((length, length), 15.0, dtype=np.float32)
        distance[n % length] = distance[:, n % length] = np.nan  # a residue without a place
        for i in range(length // 2 - 3):
            j = length - 1 - i
            tokens[:, j] = np.where(rng.random(rows) < 0.8, tokens[:, i], tokens[:, j])
            distance[i, j] = distance[j, i] = 6.0
        path = folder / f"{n}.npz"
        write_example(path, tokens, distance, rng, count=depths, with_alignment=with_alignment)
        made.append(Example(f"p{n}", str(path), f"c{n}", "tune" if n == count - 1 else "train"))
    return made


def as_files(examples):
    """Their fields, as the rules pass them."""
    return [vars(example) for example in examples]
