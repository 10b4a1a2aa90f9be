"""Alignments of every format come out as the same tokens, and bad ones are refused with the place."""

import gzip
import re
import string

import numpy as np
import pytest
from data_fixtures import FORMATS, MATCH, demo_file, write_text
from hypothesis import given, settings
from hypothesis import strategies as st

from data.alphabet import GAP, LETTERS, decode
from data.errors import AlignmentError
from data.msa import crop, filter_alignment, read_alignment, read_rows, write_a3m
from dca.weights import sequence_weights


def rows_of(alignment):
    return [decode(row) for row in alignment.tokens]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_every_format_gives_the_same_tokens(tmp_path, name, ending):
    path = write_text(tmp_path / (name + ending), FORMATS[name])
    alignment = read_alignment(path)
    assert rows_of(alignment) == MATCH
    assert alignment.query == "MKVLWE"
    assert alignment.columns.tolist() == list(range(6))
    assert alignment.columns.dtype == np.int32
    assert alignment.tokens.dtype == np.int8
    assert alignment.tokens.flags["C_CONTIGUOUS"]
    if not name.endswith(".aln"):
        assert [found.split()[0] for found in alignment.names] == ["q", "s2", "s3", "s4"]


@pytest.mark.parametrize("name", FORMATS)
def test_format_is_found_without_a_telling_name(tmp_path, name):
    assert rows_of(read_alignment(write_text(tmp_path / "unnamed", FORMATS[name]))) == MATCH


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "f.aln"])
def test_a3m_of_any_format_keeps_insertions(tmp_path, name):
    source = write_text(tmp_path / name, FORMATS[name])
    report = write_a3m(source, tmp_path / "out.a3m.gz")
    with gzip.open(tmp_path / "out.a3m.gz", "rt") as stream:
        lines = stream.read().splitlines()
    assert lines[1::2] == ["MKVLWE", "MRVagLWE", "MK-LWD", "-KVgIW-"]
    assert lines[2::2] == [">s2", ">s3", ">s4"]
    assert (report["rows"], report["columns"], report["unknown"]) == (4, 6, {})
    assert rows_of(read_alignment(tmp_path / "out.a3m.gz")) == MATCH


def test_format_names_in_the_report(tmp_path):
    found = {
        name: write_a3m(write_text(tmp_path / name, text), tmp_path / "o.gz")["format"]
        for name, text in FORMATS.items()
    }
    assert found["f.a3m"] == "a3m"
    assert found["f.a2m"] == found["f.fasta"] == "a2m"  # lower case stands in columns of its own
    assert {found["f.sto"], found["wrapped.sto"], found["rf.sto"]} == {"stockholm"}
    assert found["f.aln"] == "aln"


def test_written_bytes_depend_on_the_rows_alone(tmp_path):
    write_a3m(write_text(tmp_path / "one.fasta", FORMATS["f.fasta"]), tmp_path / "a.gz")
    write_a3m(write_text(tmp_path / "two.sto.gz", FORMATS["f.a3m"]), tmp_path / "b.gz")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_reading_is_lazy_and_names_the_line(tmp_path):
    path = write_text(tmp_path / "f.a3m", FORMATS["f.a3m"])
    rows = read_rows(path)
    first = next(rows)
    assert (first.name, first.text, first.line) == ("q description", "MKVLWE", 1)
    assert [row.line for row in rows] == [3, 5, 7]


def test_windows_line_ends_byte_order_mark_and_remarks(tmp_path):
    text = "\ufeff#A3M#\n" + FORMATS["f.a3m"]
    path = tmp_path / "f.a3m"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    assert rows_of(read_alignment(path)) == MATCH


def test_secondary_structure_rows_of_hhsuite_are_skipped(tmp_path):
    path = write_text(tmp_path / "f.a3m", ">ss_pred PSIPRED\nHHHHHH\n>ss_conf\n987654\n" + FORMATS["f.a3m"])
    assert rows_of(read_alignment(path)) == MATCH


def test_insertions_of_one_length_are_not_taken_for_columns(tmp_path):
    # Both rows have 7 characters, but the insertions stand in different places
    path = write_text(tmp_path / "f.a3m", ">a\nMKgVLWE\n>b\nMKVLWgE\n")
    assert rows_of(read_alignment(path)) == ["MK-VLWE", "MK-VLWE"]


@pytest.mark.parametrize("name", ["f.fasta", "unnamed", "f.fa.gz"])
def test_two_readings_of_lower_case_are_refused(tmp_path, name):
    # Masked residues, or insertions that happen to be as many: the tokens would differ
    path = write_text(tmp_path / name, ">a\nMKgVLWE\n>b\nMKVLWgE\n")
    with pytest.raises(
        AlignmentError, match=r"column 3 and 1 more.*2 rows of 7 columns.*name the file \.a3m"
    ):
        read_alignment(path)


def test_masked_rows_that_allow_one_reading_are_read_by_columns(tmp_path):
    path = write_text(tmp_path / "f.fasta", ">a\nMKVLWEHT\n>b\nmkvLWEHT\n")
    assert rows_of(read_alignment(path)) == ["MKVLWEHT", "MKVLWEHT"]


def test_columns_of_lower_case_alone_are_told(tmp_path, caplog):
    masked = ">a\nMKvlWEHT\n>b\nMRvlWEHT\n"
    assert rows_of(read_alignment(write_text(tmp_path / "f.fasta", masked))) == ["MK--WEHT", "MR--WEHT"]
    assert "2 columns of lower case alone are insertions" in caplog.text
    caplog.clear()
    dotted = masked.replace("MRvl", "MR..")
    assert rows_of(read_alignment(write_text(tmp_path / "f.a2m", dotted))) == ["MK--WEHT", "MR--WEHT"]
    read_alignment(write_text(tmp_path / "dotted.fasta", dotted))
    assert "lower case" not in caplog.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_names_in_other_encodings(tmp_path, encoding):
    path = tmp_path / "f.fasta"
    path.write_bytes(">Protéine à\nMKVLWE\n>b\nMRVLWE\n".encode(encoding))
    assert read_alignment(path, "Protéine").query_name == "Protéine à"
    write_a3m(path, tmp_path / "o.a3m.gz")  # always UTF-8
    assert gzip.decompress((tmp_path / "o.a3m.gz").read_bytes()).decode().startswith(">Protéine à\n")
    assert read_alignment(tmp_path / "o.a3m.gz").query_name == "Protéine à"


def test_letters_of_other_scripts_are_no_residues(tmp_path):
    path = tmp_path / "f.fasta"
    path.write_text(">a\nMKVLWE\n>b\nMK漢LWE\n", encoding="utf-8")
    with pytest.raises(AlignmentError, match="row 'b', column 3: an illegal character; found: '漢'"):
        read_alignment(path)


def test_lower_case_alone_carries_no_meaning(tmp_path):
    path = write_text(tmp_path / "f.fasta", ">a\nmkv-we\n>b\nmkvlwe\n")
    assert rows_of(read_alignment(path)) == ["MKVWE", "MKVWE"]


def test_lower_case_in_a_match_column_is_a_residue(tmp_path):
    path = write_text(tmp_path / "f.fasta", ">a\nMKVLWE-\n>b\nMkVLwE-\n")
    assert rows_of(read_alignment(path)) == ["MKVLWE", "MKVLWE"]
    write_a3m(path, tmp_path / "o.gz")
    assert [row.text for row in read_rows(tmp_path / "o.gz")] == ["MKVLWE", "MKVLWE"]


def test_where_both_readings_hold_the_name_decides(tmp_path):
    # A column of gaps is a match column of an A3M, and no match column of a FASTA file
    text = ">a\nMK-LWE\n>b\nMR-LWE\n"
    a3m = read_alignment(write_text(tmp_path / "f.a3m", text))
    fasta = read_alignment(write_text(tmp_path / "f.fasta", text))
    assert a3m.columns.tolist() == [0, 1, 3, 4, 5]
    assert fasta.columns.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(a3m.tokens, fasta.tokens)


def test_unknown_letters_become_gaps_and_are_counted(tmp_path):
    path = write_text(tmp_path / "f.fasta", ">a\nMKXLWE\n>b\nBZUOJE\n>c\nMKVLWE\n")
    alignment = read_alignment(path)
    assert alignment.query == "MKXLWE"  # the query's column stays
    assert rows_of(alignment) == ["MK-LWE", "-----E", "MKVLWE"]
    assert alignment.unknown == 6
    assert write_a3m(path, tmp_path / "o.gz")["unknown"] == dict.fromkeys("XBZUOJ", 1)


def test_query_row_moves_to_the_top_and_decides_the_columns(tmp_path):
    alignment = read_alignment(write_text(tmp_path / "f.a3m", FORMATS["f.a3m"]), query="s3")
    assert alignment.names == ["s3", "q description", "s2", "s4"]
    assert alignment.query_name == "s3"
    assert alignment.query_row == 2
    assert alignment.query == "MKLWD"
    assert alignment.columns.tolist() == [0, 1, 3, 4, 5]
    assert rows_of(alignment) == ["MKLWD", "MKLWE", "MRLWE", "-KIW-"]


@pytest.mark.parametrize("for_columns", [False, True])
def test_rows_without_a_residue_in_the_query_columns_name_the_query(tmp_path, for_columns):
    path = write_text(tmp_path / "a.fasta", ">one\nAC--\n>two x\n--DE\n>three\nA---\n")
    with pytest.raises(AlignmentError, match=r"every row but the query holds .*two x"):
        read_alignment(path, "two", for_columns=for_columns)


def test_for_columns_the_same_tokens_without_names(tmp_path):
    path = write_text(tmp_path / "a.fasta", ">one\nAC-W\n>two x\nACXW\n>three\n-CDW\n")
    whole, found = read_alignment(path, "two"), read_alignment(path, "two", for_columns=True)
    np.testing.assert_array_equal(found.tokens, whole.tokens)
    assert found.tokens.T.flags.c_contiguous
    assert whole.tokens.flags.c_contiguous
    assert (whole.names, found.names) == (["two x", "one", "three"], [])
    assert (found.query, found.query_name, found.unknown) == ("ACXW", "two x", 1)
    assert decode(crop(found, "2-3").tokens[0]) == "C-"


@pytest.mark.parametrize(
    ("query", "row"),
    [
        ("q description", 0),
        ("q", 0),
        ("s2", 1),
        ("MRVAGLWE", 1),
        ("MRV-AGLWE", 1),
        ("MRVLWE", 1),
        ("mk-lwd", 2),
        ("P0ABQ4", 4),
        ("DYR_ECOLI", 4),
        ("A0A2", 5),
        ("TRX/5-9", 6),
        ("TRX", 6),
    ],
)
def test_ways_to_name_a_query(tmp_path, query, row):
    more = ">sp|P0ABQ4|DYR_ECOLI reductase\nMMVLWE\n>A0A2.1\nMCVLWE\n>TRX/5-9\nMYVLWE\n"
    path = write_text(tmp_path / "f.a3m", FORMATS["f.a3m"] + more)
    assert read_alignment(path, query=query).query_row == row


def test_query_from_a_fasta_file(tmp_path):
    path = write_text(tmp_path / "f.a3m", FORMATS["f.a3m"])
    query = write_text(tmp_path / "query.fasta", ">x\nMKLWD\n")
    assert read_alignment(path, query=str(query)).query_row == 2


def test_an_exact_name_beats_a_first_word(tmp_path):
    path = write_text(tmp_path / "f.a3m", ">s long\nMKVLWE\n>s\nMRVLWE\n")
    assert read_alignment(path, query="s").query_row == 1


def test_chosen_row(tmp_path):
    seen = []

    def choose(rows):
        seen.extend(rows)
        return 3

    alignment = read_alignment(write_text(tmp_path / "f.a3m", FORMATS["f.a3m"]), choose=choose)
    assert seen[1] == ("s2", "MRVAGLWE")
    assert alignment.query == "KVGIW"  # with the residue that stands in an insertion


def test_residues_of_the_query_in_insertions_are_columns_of_gaps(tmp_path, caplog):
    # EVcouplings' way: target columns with too many gaps in lower case, those of the others alike or "."
    text = ">t\nacDEFghIKLMNp\n>u\n..DEF.hIK-MN.\n>v\n..DQF..I-LMN.\n"
    found = read_alignment(write_text(tmp_path / "f.a2m", text))
    assert "5 residues of query 't' stand in insertions: columns of gaps" in caplog.text
    assert found.query == "ACDEFGHIKLMNP"
    assert found.columns.tolist() == [-1, -1, 0, 1, 2, -1, -1, 3, 4, 5, 6, 7, -1]
    held = found.columns >= 0
    assert (found.tokens[:, ~held] == GAP).all()
    plain = ">t\nDEFIKLMN\n>u\nDEFIK-MN\n>v\nDQFI-LMN\n"
    alone = read_alignment(write_text(tmp_path / "plain.a2m", plain))
    np.testing.assert_array_equal(found.tokens[:, held], alone.tokens)
    by_columns = read_alignment(tmp_path / "f.a2m", for_columns=True)
    np.testing.assert_array_equal(by_columns.tokens, found.tokens)
    np.testing.assert_array_equal(sequence_weights(found.tokens), sequence_weights(alone.tokens))
    _, report = filter_alignment(found, min_coverage=0.8)
    assert report["min_coverage"]["rows_dropped"] == 0  # 7 of the 8 columns that can hold a residue
    assert report["max_column_gaps"]["columns_masked"] == 0
    assert report["query_residues_in_insertions"] == 5
    part = crop(found, "3-8")
    assert (part.query, part.columns.tolist()) == ("DEFGHI", [0, 1, 2, -1, -1, 3])


def test_columns_with_just_the_share_of_gaps_that_is_allowed_stay(tmp_path):
    rows = ["ACDE", *["ACDE"] * 6, *["-CDE"] * 3]  # 3 of 10: 1 - 0.7 would be more than 0.3
    text = "".join(f">r{k}\n{row}\n" for k, row in enumerate(rows))
    alignment = read_alignment(write_text(tmp_path / "f.a3m", text))
    assert filter_alignment(alignment, max_column_gaps=0.3)[1]["max_column_gaps"]["columns_masked"] == 0
    assert filter_alignment(alignment, max_column_gaps=0.29)[1]["max_column_gaps"]["columns_masked"] == 1


def test_a_region_that_no_other_row_reaches_is_refused(tmp_path):
    text = ">t\nACDEFGHIKL\n>u\n-----GHIKL\n"
    alignment = read_alignment(write_text(tmp_path / "f.a3m", text))
    with pytest.raises(AlignmentError, match=r"every row but the query.*region 1-5"):
        crop(alignment, "1-5")


def test_query_that_is_not_there(tmp_path):
    path = write_text(tmp_path / "f.a3m", FORMATS["f.a3m"])
    with pytest.raises(AlignmentError, match=r"query is not in the alignment; found: s9.*q, s2, s3"):
        read_alignment(path, query="s9")
    with pytest.raises(AlignmentError, match="no such row"):
        read_alignment(path, choose=lambda rows: 4)


columns = st.integers(2, 12)


@st.composite
def families(draw):
    """Rows of (match letters, insertion before each column and at the end)."""
    width = draw(columns)
    match = st.text(LETTERS + "XB", min_size=width, max_size=width)
    gap = st.text(string.ascii_lowercase, max_size=3)
    row = st.tuples(match, st.lists(gap, min_size=width + 1, max_size=width + 1))
    return draw(st.lists(row, min_size=2, max_size=6))


def interleave(match, insertions):
    return "".join(a + b for a, b in zip(insertions, [*match, ""], strict=True))


@settings(max_examples=60, deadline=None)
@given(families())
def test_a3m_round_trip(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("round")
    texts = [interleave(*row) for row in rows]
    query = "W" * len(rows[0][0])  # a first row that has every column, and no family of nucleotides
    source = write_text(
        folder / "f.a3m", "".join(f">r{i} x|y\n{t}\n" for i, t in enumerate([query, query, *texts]))
    )
    write_a3m(source, folder / "o.a3m.gz")
    again = [(row.name, row.text) for row in read_rows(folder / "o.a3m.gz")]
    assert again == [(f"r{i} x|y", t) for i, t in enumerate([query, query, *texts])]
    expected = [re.sub("[XB]", "-", match) for match, _ in rows]
    assert rows_of(read_alignment(folder / "o.a3m.gz"))[2:] == expected


@settings(max_examples=60, deadline=None)
@given(families())
def test_columns_of_an_aligned_file_are_those_of_its_a3m(tmp_path_factory, rows):
    """The same family as A2M (insertions padded) and as A3M reads alike."""
    folder = tmp_path_factory.mktemp("aligned")
    rows = [("W" * len(rows[0][0]), [""] * (len(rows[0][0]) + 1)), *rows]
    widths = [max(len(row[1][place]) for row in rows) for place in range(len(rows[0][1]))]
    padded = [(m, [t.ljust(w, ".") for t, w in zip(ins, widths, strict=True)]) for m, ins in rows]
    for name, family in (("f.a3m", rows), ("f.fasta", padded)):
        write_text(folder / name, "".join(f">r{i}\n{interleave(*row)}\n" for i, row in enumerate(family)))
    write_a3m(folder / "f.a3m", folder / "1.gz")
    write_a3m(folder / "f.fasta", folder / "2.gz")
    assert (folder / "1.gz").read_bytes() == (folder / "2.gz").read_bytes()


def family(tmp_path, *rows):
    text = "".join(f">r{i}\n{row}\n" for i, row in enumerate(rows))
    return read_alignment(write_text(tmp_path / "f.a3m", text))


def test_nothing_is_filtered_by_default(tmp_path):
    alignment = family(tmp_path, "MKVLWE", "MKVLWE", "M-----")
    same, report = filter_alignment(alignment)
    assert np.array_equal(same.tokens, alignment.tokens)
    assert (report["rows_before"], report["rows_after"], report["columns"]) == (3, 3, 6)


def test_each_filter_says_what_it_dropped(tmp_path):
    alignment = family(tmp_path, "MKVLWE", "M----E", "MKVLW-", "MKVLWD", "CKVLW-", "RRRRR-")
    kept, report = filter_alignment(alignment, 0.5, 0.5, 0.9, 2)
    # r1 covers 2 of 6; column E is a gap in 3 of 5; then r2 and r3 equal r0 in all five columns
    assert report["min_coverage"] == {"threshold": 0.5, "rows_dropped": 1}
    assert report["max_column_gaps"] == {"threshold": 0.5, "columns_masked": 1}
    assert report["max_identity"] == {"threshold": 0.9, "rows_dropped": 2}
    assert report["max_sequences"] == {"threshold": 2, "rows_dropped": 1}
    assert kept.names == ["r0", "r4"]
    # The gap-rich column is masked, not removed: indices and residue numbers stay
    assert kept.query == "MKVLWE"
    assert kept.columns.tolist() == [0, 1, 2, 3, 4, 5]
    assert rows_of(kept) == ["MKVLW-", "CKVLW-"]
    assert rows_of(alignment)[0] == "MKVLWE"


def test_the_query_survives_every_filter(tmp_path):
    # The query knows 1 of its 6 residues: coverage would drop it
    alignment = family(tmp_path, "MXXXXX", "MKVLWE", "MRVLWE", "M----E")
    kept, report = filter_alignment(alignment, min_coverage=0.5)
    assert kept.names == ["r0", "r1", "r2"]
    assert report["min_coverage"]["rows_dropped"] == 1


def test_depth_is_spread_over_the_file(tmp_path):
    alignment = family(tmp_path, *("MKVLW" + letter for letter in "ACDEFGHIKL"))
    kept, _ = filter_alignment(alignment, max_sequences=5)
    assert kept.names == ["r0", "r2", "r4", "r6", "r8"]


def test_filters_that_leave_nothing(tmp_path):
    alignment = family(tmp_path, "MKVLWE", "MK----", "--V---")
    with pytest.raises(AlignmentError, match=r"leave nothing.*'threshold': 0\.9.*relax"):
        filter_alignment(alignment, min_coverage=0.9)


def test_crop_counts_residues_of_the_query(tmp_path):
    alignment = family(tmp_path, "MK-LWE", "MRVLWE")
    part = crop(alignment, "2-4")
    assert part.query == "KLW"
    assert part.columns.tolist() == [1, 3, 4]
    assert rows_of(part) == ["KLW", "RLW"]
    assert crop(alignment, "") is alignment


@pytest.mark.parametrize("region", ["0-3", "3-2", "1-6", "a-b", "3", "1-2-3"])
def test_bad_regions(tmp_path, region):
    alignment = family(tmp_path, "MKLWE", "MRLWE")
    with pytest.raises(AlignmentError, match=f"{region}.*<= 5"):
        crop(alignment, region)


DEMO = {
    "DHFR/alignment.faa.gz": ("a2m", 4422, 160, 158, "MISLIAALAVDRVIGMENAM"),
    "S1A_serine_proteases/halabi_alignment.fasta": ("fasta", 1470, 823, 223, "IVGGYTCQENSVPYQVSLNS"),
    "rhomboid_proteases/Data_S1_Rhomboid_MSA_short_names.fasta": (
        "fasta",
        2767,
        135,
        135,
        "PTEFWRYFTHALMHFSLMHI",
    ),
}


@pytest.mark.parametrize("name", DEMO)
def test_families_of_the_demo(tmp_path, name):
    kind, rows, match, length, start = DEMO[name]
    path = demo_file(name)
    report = write_a3m(path, tmp_path / "x.a3m.gz")
    assert (report["format"], report["rows"], report["columns"]) == (kind, rows, match)
    alignment = read_alignment(tmp_path / "x.a3m.gz")
    assert alignment.tokens.shape == (rows, length)
    assert alignment.query.startswith(start)
    assert alignment.tokens.min() >= 0
    assert alignment.tokens.max() == GAP
    assert (alignment.tokens == GAP).mean() < 0.2
