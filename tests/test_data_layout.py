"""Alignments that no method can use are refused, with file, place, value and remedy."""

import gzip
import re

import pytest
from data_fixtures import write_text

from data.errors import AlignmentError
from data.msa import read_alignment, write_a3m

BAD = {
    "empty": ("", "is empty"),
    "blank": ("\n\n  \n", "is empty"),
    "one sequence": (">a\nMKVLWE\n", "holds one sequence"),
    "header only": (">a\n", "a row without letters"),
    "row without letters": (">a\nMKVLWE\n>b\n>c\nMKVLWE\n", r"line 3, row 'b'.*without letters"),
    "all gaps": (">a\n------\n>b\n......\n", "nothing but gaps"),
    "query all gaps": (">a\n------\n>b\nMKVLWE\n", "the query row holds nothing but gaps"),
    "others all gaps": (">a\nMKVLWE\n>b\n------\n", "every row but the query"),
    "ragged fasta": (">a\nMKVLWE\n>b\nMKVLW\n", r"rows differ in length.*line 3, row 'b': 5 columns"),
    "ragged aln": ("MKVLWE\nMKVLW\n", r"rows differ in length.*line 2, row 'row2'"),
    "dna": (">a\nACGTTGCA\n>b\nACGTTGNA\n", "nucleotides, not proteins.*translate"),
    "rna": (">a\nACGUUGCA\n>b\nACGUUGCA\n", "nucleotides"),
    "digit": (">a\nMKVLWE\n>b\nMK1LWE\n", r"line 3, row 'b', column 3: an illegal character; found: '1'"),
    "stop codon": (">a\nMKVLWE*\n>b\nMKVLWE*\n", r"illegal character; found: '\*'"),
    "accent": (">a\nMKVLWE\n>b\nMKéLWE\n", "illegal character"),
    "web page": ("<!DOCTYPE html>\n<html>\n", "line 1: not an alignment format.*<!DOCTYPE"),
    "clustal": ("CLUSTAL W (1.82)\n\na MKV\nb MKV\n", "not an alignment format"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_alignments_are_refused_with_the_place(tmp_path, case):
    text, pattern = BAD[case]
    path = write_text(tmp_path / "bad.txt", text)
    with pytest.raises(AlignmentError, match=re.compile(pattern, re.S)) as caught:
        read_alignment(path)
    assert caught.value.file == str(path)
    assert caught.value.remedy


@pytest.mark.parametrize("text", [case[0] for name, case in BAD.items() if "all gaps" not in name])
def test_bad_alignments_are_not_written(tmp_path, text):
    with pytest.raises(AlignmentError):
        write_a3m(write_text(tmp_path / "bad.txt", text), tmp_path / "out.a3m.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.txt"]


def test_ragged_a3m_names_the_row(tmp_path):
    path = write_text(tmp_path / "f.a3m", ">a\nMKVLWE\n>b\nMKgVLW\n>c\nMKVLW\n")
    with pytest.raises(AlignmentError, match="row 'b': 5 match columns where the first row has 6"):
        read_alignment(path)


def test_rf_line_of_another_length(tmp_path):
    text = "# STOCKHOLM 1.0\na MKV\nb MRV\n#=GC RF xx\n//\n"
    with pytest.raises(AlignmentError, match="2 and 3 columns"):
        read_alignment(write_text(tmp_path / "f.sto", text))


def test_missing_and_cut_off_files(tmp_path):
    with pytest.raises(AlignmentError, match=r"nowhere\.a3m: cannot be read.*No such file"):
        read_alignment(tmp_path / "nowhere.a3m")
    whole = gzip.compress(b">a\nMKVLWE\n>b\nMRVLWE\n" * 500)
    (tmp_path / "cut.a3m.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AlignmentError, match="damaged or cut off"):
        read_alignment(tmp_path / "cut.a3m.gz")
    (tmp_path / "bad.a3m.gz").write_bytes(whole[:-8] + b"\0" * 8)
    with pytest.raises(AlignmentError, match="damaged or cut off"):
        read_alignment(tmp_path / "bad.a3m.gz")
