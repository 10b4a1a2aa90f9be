"""Rows of alignment files, some at a time; files that are cut off or hold something else are refused."""

import numpy as np
import pytest
from data_fixtures import FORMATS, write_text

from data.errors import AlignmentError
from data.msa import read_alignment, read_rows
from data.rows import Blocks, Row, blocks_of, read_blocks


@pytest.mark.parametrize("ending", [".sto", ".sto.gz"])
def test_a_stockholm_file_cut_between_two_rows(tmp_path, ending):
    path = write_text(tmp_path / f"cut{ending}", "# STOCKHOLM 1.0\nq  MKVLWE\ns2 MRVLWE\n")
    with pytest.raises(AlignmentError, match=r"line 3: the Stockholm file has no end"):
        read_alignment(path)


def test_the_alignment_of_a_complex_is_not_that_of_a_chain(tmp_path):
    path = write_text(tmp_path / "pair.a3m", "#4,3\t1,1\n>101\t102\nMKVLAAA\n>b\nMRVLAAC\n")
    with pytest.raises(AlignmentError, match="line 1: the alignment of a complex"):
        read_alignment(path)
    alone = write_text(tmp_path / "dimer.a3m", "#4\t2\n>101\nMKVL\n>b\nMRVL\n")
    assert read_alignment(alone).query == "MKVL"


def test_a_file_of_several_families_is_refused(tmp_path):
    one = "# STOCKHOLM 1.0\nq MKV\na MRV\n//\n"
    path = tmp_path / "two.sto"
    path.write_text(one + "\n")
    assert read_alignment(path).tokens.shape == (2, 3)
    path.write_text(one + "\n" + one)
    with pytest.raises(AlignmentError, match="several alignments") as caught:
        read_alignment(path)
    assert "line 6" in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("letters", [1, 13])
def test_rows_in_many_blocks_are_the_same_alignment(tmp_path, monkeypatch, name, letters):
    path = write_text(tmp_path / name, FORMATS[name])
    for query in ("", "s3" if "aln" not in name else "row3"):
        whole = read_alignment(path, query)
        for module in ("layout", "rows"):
            monkeypatch.setattr(f"data.{module}.read_blocks", lambda path: read_blocks(path, letters))
        parts = read_alignment(path, query)
        monkeypatch.undo()
        assert (parts.names, parts.query, parts.unknown) == (whole.names, whole.query, whole.unknown)
        np.testing.assert_array_equal(parts.tokens, whole.tokens)
        assert [row for block in read_blocks(path, letters) for row in block] == list(read_rows(path))


def test_rows_without_letters_close_blocks(tmp_path):
    """What is held at once is bounded by names and rows too, and a blank row is met before the file's end."""
    path = write_text(tmp_path / "f.fasta", ">\n" * 5000)
    sizes = [len(block) for block in read_blocks(path, 10_000)]
    assert sum(sizes) == 5000
    assert max(sizes) <= 100
    named = write_text(tmp_path / "g.fasta", f">{'x' * 999}\nA\n" * 100)
    assert max(len(block) for block in read_blocks(named, 10_000)) <= 10


@pytest.mark.parametrize("letters", [1, 13, 10_000])
def test_the_first_row_that_is_odd_is_named_whatever_the_blocks(tmp_path, monkeypatch, letters):
    monkeypatch.setattr("data.rows.read_blocks", lambda path: read_blocks(path, letters))
    rows = [">q", "MKVLWE", ">s2", "MRVLWE", ">s3", "MK1LWD", ">s4", "-K?IW-"]
    with pytest.raises(AlignmentError, match=r"line 5, row 's3', column 3"):
        read_alignment(write_text(tmp_path / "f.fasta", "\n".join(rows)))
    rows = [">q", "MKVLWE", ">s2", "MRVLWE", ">s3", "MKLWD", ">s4", "-KIW"]
    with pytest.raises(AlignmentError, match=r"line 5, row 's3': 5 (match )?columns"):
        read_alignment(write_text(tmp_path / "f.fasta", "\n".join(rows)))


@pytest.mark.parametrize(("most", "readings"), [(0, 3), (450, 3), (10_000, 1)])
def test_rows_of_a_small_file_are_read_once(most, readings):
    blocks = [[Row("a", "MK", 1), Row("b", "MR", 3)], [Row("c", "MK", 5)], [Row("d", "-K", 7)] * 2]
    read = []
    several = Blocks(lambda: read.append(1) or iter(blocks), most)
    assert [list(several) for _ in range(3)] == [blocks] * 3
    assert len(read) == readings
    partly = Blocks(lambda: iter(blocks), most)
    next(iter(partly))  # what was not gone over to its end is read again
    assert list(partly) == blocks


@pytest.mark.parametrize(("most", "kept"), [(20, False), (4000, True)])
def test_of_a_file_that_is_larger_than_what_is_kept_nothing_is(tmp_path, monkeypatch, most, kept):
    monkeypatch.setattr("data.rows.KEPT", most)
    blocks = blocks_of(write_text(tmp_path / "f.fasta", ">a\nMKVLW\n>b\nMRVLW\n>c\n-KVLW\n"))
    assert [row.name for block in blocks for row in block] == ["a", "b", "c"]
    assert (blocks._kept is not None) == kept
