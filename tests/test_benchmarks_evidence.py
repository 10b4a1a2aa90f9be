"""Tables of the refiner beside peers, on made-up scores whose means and tests are known."""

import pytest

from benchmarks import evidence
from benchmarks.precision import COLUMNS

CUTS = {
    "long": ("L/10", "L/5", "L/2", "L", "2L", "AP"),
    "medium+long": ("L/10", "L/5", "L/2", "L", "2L", "AP"),
}


def lines(protein: str, cluster: str, rows: int, method: str, precision: float) -> list[str]:
    values = {"cluster": cluster, "split": "val", "length": 50, "n_seq": rows, "neff": float(rows)}
    values |= {"protein": protein, "method": method, "k": 50, "ceiling": 1.0, "pairs": 300, "contacts": 60}
    made = []
    for name, cuts in CUTS.items():
        for cut in cuts:
            row = values | {"range": name, "cut": cut, "precision": precision}
            made.append("\t".join(str(row[column]) for column in COLUMNS))
    return made


@pytest.fixture
def table(tmp_path):
    found = ["\t".join(COLUMNS)]
    families = ["id\tkind"]
    peers = ["id\tneff80\tmethod\trange\tcut\tprecision"]
    for k in range(8):
        name = f"p{k}"
        for protein, rows in ((name, 400), (f"{name}@16", 16)):
            found += lines(protein, f"c{k}", rows, "ours", 0.5 + 0.01 * k)
            found += lines(protein, f"c{k}", rows, "plm", 0.3)
        families.append(f"{name}\t{'direct' if k < 2 else 'self-built'}")
        peers.append(f"{name}\t400\tdeepcov\tlong\tL\t{0.6 + 0.01 * k}")
    peers.append("elsewhere\t400\tdeepcov\tlong\tL\t0")
    (tmp_path / "t.tsv").write_text("\n".join(found) + "\n")
    (tmp_path / "families.tsv").write_text("\n".join(families) + "\n")
    (tmp_path / "peers.tsv").write_text("\n".join(peers) + "\n")
    return tmp_path / "t.tsv"


def printed(table, capsys) -> list[str]:
    assert evidence.main([str(table), "--reference", "ours", "--families", str(table.parent)]) == 0
    return capsys.readouterr().out.splitlines()


def test_peers_stand_beside_all_sequences_only(table, capsys):
    found = printed(table, capsys)
    shallow = found.index("### Step 1 of subsampling")
    peers = [number for number, line in enumerate(found) if "deepcov (peer)" in line and line.startswith("|")]
    assert peers
    assert max(peers) < shallow
    assert any(line.startswith("| all | ours | 8 | 0.535") for line in found[shallow:])


def test_kinds_are_apart(table, capsys):
    found = printed(table, capsys)
    direct = found.index("Alignments that are direct:")
    of_direct = found[direct : found.index("Alignments that are self-built:")]
    assert any(line.startswith("| all | ours | 2 | 0.505") for line in of_direct)
    assert not any("Signed-rank" in line for line in of_direct)  # two pairs cannot be tested


def test_tests_are_paired_and_corrected(table, capsys):
    found = printed(table, capsys)
    line = next(line for line in found if line.startswith("Signed-rank"))
    # eight differences of one sign: p = 2 / 2^8, over two methods twice that
    assert "plm 0.008 (0.02)" in line
    assert "deepcov (peer) 0.008 (0.02)" in line
