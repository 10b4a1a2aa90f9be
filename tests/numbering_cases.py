"""Structures of awkward kinds, written by this module's own writers of PDB and mmCIF.

Each case holds residues as they stand in the file, and says for every residue of the query which label
(number and insertion code) and position it must get, or that it has no coordinates.
"""

import gzip
from dataclasses import dataclass, field, replace

import numpy as np
from data_fixtures import THREE

SEQUENCE = "MKVLWEHTRQNPYFADCISGKMEWLVRHDAGTQYIPKLSNFEVCWHRMDTAGYQKIPLEV"


@dataclass
class Residue:
    """One residue of a file.

    Attributes
    ----------
    name : str
        Three letters.
    at : float [3]
        Where C-alpha is; C-beta lies one angstrom above.
    slot : int
        0-based place in the full sequence, -1 for what is no part of it.
    atoms : list of (atom, altloc, occupancy, shift along z)
    """

    name: str
    number: int
    at: np.ndarray
    slot: int = -1
    icode: str = " "
    chain: str = "A"
    hetero: bool = False
    atoms: list = field(default_factory=list)
    label_chain: str = ""
    end: bool = False  # TER follows

    @property
    def label(self) -> str:
        return f"{self.number}{self.icode.strip()}"


def atoms_of(name: str, beta: bool = True) -> list:
    plain = [("N", " ", 1.0, -0.5), ("CA", " ", 1.0, 0.0), ("C", " ", 1.0, 0.5)]
    return plain + ([("CB", " ", 1.0, 1.0)] if beta and name != "GLY" else [])


def chain_of(
    sequence: str = SEQUENCE, first: int = 1, chain: str = "A", seed: int = 0, slot: int = 0
) -> list:
    """Residues of a chain folded as a walk of 3.8 angstrom a step."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(len(sequence), 3))
    places = np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
    residues = [
        Residue(THREE[letter], first + k, places[k], slot + k, chain=chain, atoms=atoms_of(THREE[letter]))
        for k, letter in enumerate(sequence)
    ]
    residues[-1].end = True
    return residues


def pdb_text(models: list, seqres: dict | None = None) -> str:
    """PDB text of models of residues; SEQRES by chain where given."""
    lines = ["HEADER    TEST                                    01-JAN-00   9XYZ"]
    for chain, names in (seqres or {}).items():
        for start in range(0, len(names), 13):
            part = " ".join(names[start : start + 13])
            lines.append(f"SEQRES {1 + start // 13:>3} {chain} {len(names):>4}  {part}")
    for number, residues in enumerate(models, 1):
        if len(models) > 1:
            lines.append(f"MODEL     {number:>4}")
        serial = 0
        for residue in residues:
            for atom, altloc, occupancy, shift in residue.atoms:
                serial += 1
                x, y, z = residue.at + np.array([0, 0, shift])
                lines.append(
                    f"{'HETATM' if residue.hetero else 'ATOM':<6}{serial:>5} {' ' + atom:<4}{altloc}"
                    f"{residue.name:>3} {residue.chain}{resseq(residue.number)}{residue.icode}   "
                    f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{10.0:6.2f}          {atom[0]:>2}"
                )
            if residue.end:
                lines.append("TER")
        if len(models) > 1:
            lines.append("ENDMDL")
    return "\n".join([*lines, "END", ""])


def resseq(number: int) -> str:
    """Four columns of a residue number, hybrid-36 above 9999."""
    if number <= 9999:
        return f"{number:>4}"
    digits, rest = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", number - 10000 + 10 * 36**3
    out = ""
    while rest:
        rest, last = divmod(rest, 36)
        out = digits[last] + out
    return out


COLUMNS = [
    "group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id", "label_asym_id",
    "label_entity_id", "label_seq_id", "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy",
    "B_iso_or_equiv", "auth_seq_id", "auth_asym_id", "pdbx_PDB_model_num",
]  # fmt: skip


def cif_text(models: list, full: list | None = None, label_seq: bool = True) -> str:
    """MmCIF text of models of residues; `full` is (name, slot) of the sequence of entity 1."""
    lines = ["data_9XYZ", "_entry.id 9XYZ", "#"]
    if full:
        lines += ["_entity.id 1", "_entity.type polymer", "_entity_poly.entity_id 1"]
        lines += ["_entity_poly.type 'polypeptide(L)'", "loop_", "_entity_poly_seq.entity_id"]
        lines += ["_entity_poly_seq.num", "_entity_poly_seq.mon_id", "_entity_poly_seq.hetero"]
        numbers = [slot for _, slot in full]
        lines += [f"1 {slot + 1} {name} {'y' if numbers.count(slot) > 1 else 'n'}" for name, slot in full]
    lines += ["loop_", *(f"_atom_site.{name}" for name in COLUMNS)]
    serial = 0
    for number, residues in enumerate(models, 1):
        for r in residues:
            for atom, altloc, occupancy, shift in r.atoms:
                serial += 1
                x, y, z = r.at + np.array([0, 0, shift])
                seq = str(r.slot + 1) if label_seq and r.slot >= 0 else "."
                cells = [
                    "HETATM" if r.hetero else "ATOM", serial, atom[0], atom, altloc.strip() or ".", r.name,
                    r.label_chain or r.chain, 1 if r.slot >= 0 else 2, seq, r.icode.strip() or "?",
                    f"{x:.3f}", f"{y:.3f}", f"{z:.3f}", f"{occupancy:.2f}", "10.00", r.number, r.chain,
                    number,
                ]  # fmt: skip
                lines.append(" ".join(map(str, cells)))
    return "\n".join([*lines, "#", ""])


@dataclass
class Case:
    """A file and what must come of it.

    Attributes
    ----------
    models : list of list of Residue
    form : str
        ``pdb`` or ``cif``.
    header : list of (name, slot) or None
        Full sequence in the header.
    chain : str
        What is asked for.
    query : str
    shift : int
        Slot of the first query residue.
    label_seq : bool
        Whether mmCIF has label numbers.
    packed : bool
        Whether the file is gzip.
    peer : bool
        Whether aligning the observed letters alone, as the independent check does, leads to one answer.
    """

    models: list
    form: str = "pdb"
    header: list | None = None
    chain: str = ""
    query: str = SEQUENCE
    shift: int = 0
    peer: bool = True
    label_seq: bool = True
    packed: bool = False

    def text(self) -> bytes:
        if self.form == "pdb":
            chains = {}
            if self.header:
                name = self.chain or self.models[0][0].chain
                chains = {name: [name for name, _ in self.header]}
            text = pdb_text(self.models, chains)
        else:
            text = cif_text(self.models, self.header, self.label_seq)
        content = text.encode()
        return gzip.compress(content, mtime=0) if self.packed else content

    def expected(self) -> list:
        """(label, position) of each query residue, None where it has no coordinates."""
        found: dict = {}
        for residue in self.models[0]:
            asked = {residue.chain, residue.label_chain} & {self.chain} or not self.chain
            if not asked or residue.slot < 0:
                continue
            names = ("CA",) if residue.name in ("GLY",) else ("CB",)
            points = [(occ, shift) for atom, _, occ, shift in residue.atoms if atom in names]
            if points:
                occupancy, shift = max(points, key=lambda point: point[0])
                best = found.get(residue.slot)
                if best is None or occupancy > best[0]:
                    found[residue.slot] = (occupancy, residue.label, residue.at + np.array([0, 0, shift]))
        return [found[k][1:] if k in found else None for k in range(self.shift, self.shift + len(self.query))]


def names_of(sequence: str = SEQUENCE) -> list:
    return [(THREE[letter], k) for k, letter in enumerate(sequence)]


def changed(residues: list, places: dict) -> list:
    """Residues with some replaced: place to attributes."""
    return [replace(r, **places[k]) if k in places else r for k, r in enumerate(residues)]


def numbered(residues: list, numbers: list) -> list:
    """Residues with new numbers, given as 12 or ``12A``."""
    out = []
    for residue, number in zip(residues, numbers, strict=True):
        text = str(number)
        icode = text[-1] if text[-1].isalpha() else " "
        out.append(replace(residue, number=int(text.rstrip("ABCDEFGHIJ")), icode=icode))
    return out


def without(residues: list, *places: int) -> list:
    return [r for k, r in enumerate(residues) if k not in places]


def renamed(residues: list, names: dict, hetero: bool = True) -> list:
    return changed(residues, {k: {"name": name, "hetero": hetero} for k, name in names.items()})


def ligand(name: str, number: int, chain: str = "A") -> Residue:
    return Residue(name, number, np.array([60.0, 60.0, number % 90]), chain=chain, hetero=True,
                   atoms=[("CA", " ", 1.0, 0.0), ("CB", " ", 1.0, 1.0), ("N", " ", 1.0, 2.0)])  # fmt: skip


def altloc(residue: Residue, *points: tuple) -> Residue:
    """Residue whose C-beta has conformers: (altloc, occupancy, shift)."""
    kept = [atom for atom in residue.atoms if atom[0] != "CB"]
    return replace(residue, atoms=kept + [("CB", *point) for point in points])


def _cases() -> dict:
    n, base, full = len(SEQUENCE), chain_of(), names_of()
    loop, ends = range(20, 27), (*range(6), *range(n - 5, n))
    water = [ligand("HOH", 301 + k) for k in range(3)]
    other = chain_of("GSTNQADEKRHHWYFPMILVCCAA", first=5, chain="B", seed=3, slot=100)
    mixture = replace(base[9], name="GLU", atoms=[("CA", "B", 0.7, 0.2), ("CB", "B", 0.7, 1.7)])
    minor = replace(base[9], atoms=[("CA", "A", 0.3, 0.0), ("CB", "A", 0.3, 1.0)])
    twofold = [*base[:9], minor, mixture, *base[10:]]
    repeat = "MKVLWEHTRQNPYFADCISG"
    triple = chain_of(repeat * 3)
    fusion = [*range(101, 131), *range(16, 16 + n - 30)]
    mutated = SEQUENCE[:12] + "A" + SEQUENCE[13:40] + "W" + SEQUENCE[41:]
    bigger = chain_of("GSHMAS" + SEQUENCE + "LEHHHHHH", first=-5, slot=-6)
    for residue in bigger:
        residue.slot = residue.slot if 0 <= residue.slot < n else -1
    inserted = chain_of(SEQUENCE[:30] + "PSPSPS" + SEQUENCE[30:])
    for k, residue in enumerate(inserted):
        residue.slot = k if k < 30 else -1 if k < 36 else k - 6
    twice = SEQUENCE[:24] + "LL" + SEQUENCE[24:]
    doubled = numbered(chain_of(twice), [*range(1, 25), "24A", "24B", *range(25, n + 1)])
    for k, residue in enumerate(doubled):
        residue.slot = k if k < 24 else -1 if k < 26 else k - 2
    author = [replace(r, number=r.number + 213, label_chain="A", chain="X") for r in base]
    split = [*[replace(r, end=False) for r in base[:30]], *other, *base[30:]]
    acetyl = [("C", " ", 1.0, 0.0), ("CH3", " ", 1.0, 1.0)]
    first = Residue("ACE", 0, base[0].at - 3, hetero=True, atoms=acetyl)
    last = Residue("NH2", n + 1, base[-1].at + 3, hetero=True, atoms=[("N", " ", 1.0, 0.0)], end=True)
    capped = [first, *[replace(r, end=False) for r in base], last]
    conformers = [
        altloc(r, ("A", 0.4, 1.0), ("B", 0.6, 1.6)) if k % 7 == 3 and r.name != "GLY" else r
        for k, r in enumerate(base)
    ]
    bare = [replace(r, atoms=atoms_of(r.name, beta=False)) if 8 < k < 14 else r for k, r in enumerate(base)]
    falling = [*range(1, 30), "30C", "30B", "30A", *range(30, n - 2)]
    models = [[replace(r, at=r.at + 50 * k) for r in base] for k in range(3)]
    d_names = {13: "DPN", 14: "DAL", 22: "DGL"}
    return {
        "plain": Case([base]),
        "packed": Case([base], packed=True),
        "negative numbers": Case([numbered(base, range(-20, n - 20))]),
        "no zero": Case([numbered(base, [k if k < 0 else k + 1 for k in range(-20, n - 20)])]),
        "insertion codes": Case([numbered(base, [*range(1, 31), "30A", "30B", "30C", *range(31, n - 2)])]),
        "insertion codes that fall": Case([numbered(base, falling)]),
        "insertion codes and a missing loop": Case(
            [without(numbered(base, [*range(1, 31), "30A", "30B", *range(31, n - 1)]), *loop)], header=full
        ),
        "numbers that jump without a break": Case(
            [numbered(base, [*range(16, 40), *range(47, 47 + 20), *range(120, 120 + n - 44)])]
        ),
        "numbers that go back": Case([numbered(base, fusion)]),
        "numbers that come twice": Case([numbered(base, [*range(1, 31), *range(1, n - 29)])]),
        "numbers beyond four digits": Case([numbered(base, range(9980, 9980 + n))]),
        "missing loop in the header": Case([without(base, *loop)], header=full),
        "missing loop, numbers skip": Case([without(base, *loop)]),
        "missing loop, numbers go on": Case([numbered(without(base, *loop), range(1, n - 6))]),
        "missing ends in the header": Case([without(base, *ends)], header=full),
        "missing ends": Case([without(base, *ends)]),
        "mixture": Case([twofold]),
        "mixture in mmCIF": Case([twofold], "cif", [*full[:10], ("GLU", 9), *full[10:]]),
        "selenomethionine": Case([renamed(base, {0: "MSE", 21: "MSE"})], header=full),
        "selenomethionine without header": Case([renamed(base, {0: "MSE", 21: "MSE"})]),
        "phosphorylated and oxidised": Case([renamed(base, {7: "TPO", 12: "PTR", 16: "CSO", 18: "SEP"})]),
        "modified without TER": Case(
            [[*[replace(r, end=False) for r in renamed(base, {7: "TPO", 20: "MLY"})], *water]]
        ),
        "unknown residues": Case([renamed(base, {5: "UNK", 6: "UNK"}, hetero=False)]),
        "residue of no table": Case([[*[replace(r, end=False) for r in renamed(base, {25: "QQQ"})], *water]]),
        "D amino acids": Case([renamed(base, d_names)]),
        "D amino acids in mmCIF": Case([renamed(base, d_names)], "cif", full),
        "three models": Case(models),
        "three models in mmCIF": Case(models, "cif", full),
        "the second chain": Case([[*other, *base]], chain="A"),
        "a chain in two parts": Case([split], chain="A"),
        "conformers": Case([conformers]),
        "no occupancy": Case([[altloc(r, (" ", 0.0, 1.0)) if 8 < k < 14 else r for k, r in enumerate(base)]]),
        "no C-beta": Case([bare]),
        "author numbers apart": Case([author], "cif", full, chain="X"),
        "asked by label": Case([author], "cif", full, chain="A"),
        "chain of several letters": Case([[replace(r, chain="AAA") for r in base]], "cif", full, chain="AAA"),
        "no sequence in mmCIF": Case([without(base, *loop)], "cif"),
        "no label numbers": Case([without(base, *loop)], "cif", label_seq=False),
        "missing loop in mmCIF": Case([without(numbered(base, range(301, 301 + n)), *loop)], "cif", full),
        "ligands with numbers of residues": Case([[*base, ligand("HEM", 5), ligand("NAG", 17), *water]]),
        "a free amino acid": Case([[*base, ligand("GLU", 401), ligand("GLY", 402)]]),
        "caps": Case([capped]),
        "tag": Case([bigger]),
        "mutations": Case([base], query=mutated),
        "residues that the query lacks": Case([inserted]),
        "insertion of equal letters": Case([doubled], peer=False),
        "insertion of equal letters in the header": Case([doubled], header=names_of(twice), peer=False),
        "query of the middle": Case([base], query=SEQUENCE[15:45], shift=15),
        "repeats": Case([triple], query=repeat * 3),
        "missing repeat in the header": Case(
            [without(triple, *range(20, 40))], header=names_of(repeat * 3), query=repeat * 3, peer=False
        ),
        "missing repeat, numbers skip": Case([without(triple, *range(20, 40))], query=repeat * 3, peer=False),
        "missing first repeat in mmCIF": Case(
            [without(triple, *range(20))], "cif", names_of(repeat * 3), query=repeat * 3, peer=False
        ),
        "chain without a name": Case([[replace(r, chain=" ") for r in base]]),
        "header of a mutant": Case([base], header=names_of(mutated)),
        "header of another protein": Case([base], header=names_of("GSTNQADEKRHHWYFPMILVCCAA")),
    }


CASES = _cases()
