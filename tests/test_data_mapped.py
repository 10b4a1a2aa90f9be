"""Mapped arrays: the same numbers as read ones, errors that name the file, no open file left behind."""

import os
import zipfile

import numpy as np
import pytest

from data.errors import CovarionError
from data.mapped import SMALL, map_arrays
from data.store import load_arrays, save_arrays


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    save_arrays(
        tmp_path / "a.npz",
        small=np.arange(5, dtype=np.int32),
        large=rng.integers(-128, 127, size=(400, 441)).astype(np.int8),
        turned=np.asfortranarray(rng.normal(size=(300, 70))),
        empty=np.zeros((0, 3), np.float32),
        one=np.float32(2.5),
        text=np.array(["ridge", "mi"]),
        **{"P1/couplings": rng.normal(size=20_000).astype(np.float16)},
    )
    return tmp_path / "a.npz"


def test_mapped_arrays_are_those_that_are_read(path):
    mapped, read = map_arrays(path), load_arrays(path)
    assert set(mapped) == set(read)
    for name, array in read.items():
        np.testing.assert_array_equal(mapped[name], array)
        assert (mapped[name].dtype, mapped[name].shape) == (array.dtype, array.shape)
    assert mapped["large"].nbytes > SMALL
    with pytest.raises(ValueError, match="read-only"):
        mapped["large"][0, 0] = 1


def test_nothing_stays_open(path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        _ = map_arrays(path)["large"][3].sum()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_of_the_same_name_is_not_taken_for_the_older_one(path):
    assert map_arrays(path)["small"].size == 5
    save_arrays(path, small=np.arange(7))
    assert map_arrays(path)["small"].size == 7


def test_what_is_no_archive_of_arrays_is_refused(path, tmp_path):
    with pytest.raises(CovarionError, match=r"a\.npz: an array is missing; found: nothing"):
        map_arrays(path)["nothing"]
    for name, content in (("cut", path.read_bytes()[:-200]), ("text", b"no archive")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CovarionError, match=rf"{name}: cannot be read as an .npz file"):
            map_arrays(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "packed.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "a.npy")
    with pytest.raises(CovarionError, match="is compressed"):
        map_arrays(tmp_path / "packed.npz")
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(CovarionError, match="not what the file holds"):
        map_arrays(tmp_path / "objects.npz")


def test_an_array_that_claims_more_than_its_file_is_refused(path, tmp_path):
    content = path.read_bytes().replace(b"'shape': (400, 441)", b"'shape': (900, 441)")
    (tmp_path / "more.npz").write_bytes(content)
    with pytest.raises(CovarionError, match=r"shape \(900, 441\) of int8 is not what the file holds"):
        map_arrays(tmp_path / "more.npz")
