"""The benchmarks of kinship and repeats on a folder of made-up families."""

import logging

import numpy as np
import pytest

from benchmarks import homology, kin, repeats
from data.alphabet import decode
from data.families import read_families
from data.homology import Family

LENGTH = 80


def sequence(seed):
    return np.random.default_rng(seed).integers(0, 20, LENGTH).astype(np.int8)


def relatives(start, seed, rows=30, share=0.3):
    """Mutants of a sequence."""
    rng = np.random.default_rng(seed)
    tokens = np.tile(start, (rows, 1))
    changed = rng.random(tokens.shape) < share
    tokens[changed] = rng.integers(0, 20, changed.sum())
    return tokens


@pytest.fixture
def folder(tmp_path):
    """a and b are kin, c is not, d repeats a unit of 20 residues four times."""
    unit = sequence(7)[:20]
    starts = {"a": sequence(1), "b": sequence(1), "c": sequence(2), "d": np.tile(unit, 4)}
    lines = ["id\tsplit\tcluster\trepresentative\tlength"]
    for number, (name, start) in enumerate(starts.items()):
        (tmp_path / name).mkdir()
        rows = relatives(start, number)
        text = "".join(f">{name}{k}\n{decode(row)}\n" for k, row in enumerate(rows))
        (tmp_path / name / "msa.a3m.gz").write_text(text)
        (tmp_path / name / "structure.pdb.gz").write_text("")
        lines.append(f"{name}\ttrain\t{'t1' if name in 'ab' else name}\t1\t{LENGTH}")
    (tmp_path / "families.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_kin_is_counted(folder):
    rows = {row.protein: row for row in read_families(str(folder))}
    table = [Family(n, rows[n].cluster, "train", homology.consensus_of(rows[n].alignment)) for n in "bc"]
    found = {name: homology.search(row, table) for name, row in rows.items()}
    assert [(found[n].listed, found[n].itself, found[n].sibling) for n in "abc"] == [
        (False, False, True), (True, True, False), (True, True, False),
    ]  # fmt: skip
    assert "| train | 4 | 2 | 2 | 1 | 1 | 0 |" in homology.report(list(found.values()))


def test_kin_of_chains_is_told(folder, tmp_path):
    letters = decode(sequence(2))
    lines = ["id\tsequence", f"kin\t{letters}", f"stranger\t{decode(sequence(5))}", f"long\t{letters * 9}"]
    (tmp_path / "structures.tsv").write_text("\n".join(lines) + "\n")
    chains = homology.chains_of(tmp_path, 8 * LENGTH)
    assert [chain.family for chain in chains] == ["kin", "stranger"]
    told = homology.kin_of_chains({row.protein: row for row in read_families(str(folder))}, chains)
    assert told.startswith("4 families, 2 chains\n- c (c): kin ")
    assert told.count("\n") == 2


def test_families_with_kin_are_left_out(tmp_path, capsys):
    head, rows = "protein\tmethod\trange\tcut\tprecision\tkin", []
    told = {"a": ("none found", 0.2), "b": ("related", 0.4), "c": ("none found", 0.9)}
    for name, (kin_word, value) in told.items():
        for method, factor in (("plm", 0.5), ("refined", 1.0)):
            rows += [f"{name}\t{method}\tlong\t{cut}\t{value * factor}\t{kin_word}" for cut in ("L/5", "L")]
    (tmp_path / "s.tsv").write_text("\n".join([head, *rows, "d\tplm\tlong\tL\t\t"]) + "\n")
    peers = [
        f"{n}\t{m}\tlong\t{c}\t0.5" for n in "abc" for m in ("deepcov", "trrosetta") for c in ("L/5", "L")
    ]
    (tmp_path / "p.tsv").write_text("\n".join(["id\tmethod\trange\tcut\tprecision", *peers]) + "\n")
    arguments = [str(tmp_path / "s.tsv"), "--peers", str(tmp_path / "p.tsv"), "--chains"]
    assert kin.main([*arguments, "c"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| all | 3 | 0.250, 0.250 | 0.500, 0.500 | 0.500, 0.500 | 0.500, 0.500 |"
    assert lines[3].endswith("| 2 | 0.275, 0.275 | 0.500, 0.500 | 0.500, 0.500 | 0.550, 0.550 |")
    assert lines[4].endswith("| 1 | 0.100, 0.100 | 0.500, 0.500 | 0.500, 0.500 | 0.200, 0.200 |")
    with pytest.raises(SystemExit, match="no refined map of z"):
        kin.main([*arguments, "z"])


def test_repeats_are_told(folder, capsys, monkeypatch):
    monkeypatch.setattr(logging, "disable", lambda _: None)  # it would be for all tests that follow
    assert repeats.main(["--folder", str(folder)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("d: ")
    assert "period 20" in told or "period 40" in told
    assert told.endswith("1 of 4 families\n")
