"""The benchmark programs still run, read what peers write, and count what they say they count."""

import gzip
import json
import os
import stat
import struct
import sys
import time

import naive
import numpy as np
import pytest
from data_fixtures import backbone, write_pdb
from golden import FOLDER, PLANTED, tiny_alignment

from benchmarks import ablation, bench_dca, generative, objective, overhead, peers, precision, refiner
from benchmarks.cases import Case, read_case, simulated, strands
from benchmarks.measure import measure
from data.alphabet import LETTERS, decode

FAKE = """#!{python}
import sys
rows = open(sys.argv[-2]).read().split()
length = len(rows[0])
open(sys.argv[-1], "w").write("\\n".join(" ".join(str(1 / (1 + abs(i - j))) for j in range(length))
                                         for i in range(length)))
"""


def best_pairs(score):
    i, j = np.triu_indices(len(score), 6)
    best = np.argsort(-score[i, j], kind="stable")[: len(PLANTED)]
    return {(int(a), int(b)) for a, b in zip(i[best], j[best], strict=True)}


@pytest.fixture
def fake_ccmpred(tmp_path, monkeypatch):
    """A program of that name, alone on PATH, that scores near pairs best."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ccmpred"
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))
    return program


@pytest.mark.parametrize("name", ["ccmpred", "plmc"])
def test_maps_of_peers_are_read(name):
    peer = next(peer for peer in peers.PEERS if peer.name == name)
    score = peer.read(FOLDER, 24)
    assert best_pairs(score) == set(PLANTED)
    np.testing.assert_allclose(score, score.T, atol=1e-5)


def test_peers_are_those_on_path(fake_ccmpred):
    assert {peer.name: path for peer, path in peers.available().items()} == {"ccmpred": str(fake_ccmpred)}
    assert peers.missing() == ["plmc", "freecontact"]
    assert "adabmDCA" in peers.missing(boltzmann=True)


def test_usage_is_that_of_the_program():
    work = "import time\nwhile time.process_time() < 0.5: pass"
    used = measure([sys.executable, "-I", "-S", "-c", work])
    assert 0.5 <= used.cpu < 2
    assert used.wall >= 0.4
    assert 5 < used.memory < 40  # this process holds numpy and LLVM: far more
    large = measure([sys.executable, "-I", "-S", "-c", "b'1' * 100_000_000"])
    assert 100 < large.memory < 160
    both = measure(["sh", "-c", f'{sys.executable} -I -S -c "{work}"; {sys.executable} -I -S -c "{work}"'])
    assert both.cpu >= 1.0  # of the children, too


def test_a_program_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"ended with 3: .*no such thing"):
        measure([sys.executable, "-c", "import sys; sys.stderr.write('no such thing'); sys.exit(3)"])


def test_a_program_that_takes_too_long_is_ended_with_what_it_started(tmp_path):
    late = tmp_path / "late"
    child = f"import time; time.sleep(2); open({str(late)!r}, 'w')"
    start = time.perf_counter()
    with pytest.raises(TimeoutError, match=r"ended after 0\.5 s"):
        measure(["sh", "-c", f'{sys.executable} -I -S -c "{child}"; true'], limit=0.5)
    assert time.perf_counter() - start < 2
    time.sleep(2.5)
    assert not late.exists()


def test_a_peer_that_is_ended_has_a_row_that_says_so(tmp_path, fake_ccmpred):
    fake_ccmpred.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    short = ["--methods", "plm", "--threads", "1", "--repeats", "2", "--limit", "0.1"]
    options = bench_dca.parse(["simulated:30:60", *short])
    case = read_case(options.case[0], options.families)
    ours, peer = bench_dca.run_case(case, tmp_path, options)  # ours takes longer: the limit is not for it
    assert (ours["program"], len(ours["wall"])) == ("plm", 2)
    assert (peer["program"], peer["over"], "wall" in peer) == ("ccmpred", 0.1, False)
    cells = [cell.strip() for cell in bench_dca.line(peer).strip("|").split("|")]
    assert len(cells) == len(bench_dca.HEAD)
    assert cells[4:8] == ["1", "> 0.1", "", ""]
    json.dumps(peer, allow_nan=False)


def test_made_up_fold_has_contacts_of_every_range():
    contacts = strands(100)
    i, j = np.nonzero(np.triu(contacts))
    np.testing.assert_array_equal(contacts, contacts.T)
    assert [contacts[7, 12], contacts[0, 43], contacts[0, 42]] == [True, True, False]
    assert min((j - i >= 24).sum(), (j - i < 24).sum()) > 30


def test_table_of_a_family(tmp_path, fake_ccmpred):
    short = ["--methods", "ridge", "plm", "--threads", "1", "--repeats", "1"]
    options = bench_dca.parse(["simulated:30:60", *short])
    case = read_case(options.case[0], options.families)
    rows = {row["program"]: row for row in bench_dca.run_case(case, tmp_path, options)}
    assert list(rows) == ["ridge", "plm", "ccmpred"]
    peer = rows["ccmpred"]
    assert peer["ratio"] == pytest.approx(peer["cpu"][0] / rows["plm"]["cpu"][0])
    with np.load(tmp_path / case.name / "plm-1.npz") as arrays:
        i, j = np.triu_indices(30, 6)
        expected = np.corrcoef(arrays["score"][i, j], 1 / (1 + j - i))[0, 1]
    assert peer["correlation"] == pytest.approx(expected)
    assert "ratio" not in rows["ridge"]
    assert 0 <= rows["ridge"]["L/5"] <= 1
    cells = bench_dca.line(peer).strip("| ").split(" | ")
    assert len(cells) == len(bench_dca.HEAD)
    assert cells[:5] == ["simulated_L30_N60", "60", "30", "ccmpred", "1"]


def test_a_peer_that_fails_is_left_out(tmp_path, fake_ccmpred, capsys):
    options = bench_dca.parse(["simulated:30:60", "--repeats", "2"])
    codes = {"plm": "pass", "peer": "import sys; sys.exit('out of ' + 'memory')"}
    planned = [
        bench_dca.Program(label, "plm", 1, [sys.executable, "-c", code], lambda: np.zeros((30, 30)))
        for label, code in codes.items()
    ]
    used = bench_dca.measure_in_turns("name", planned, options)
    assert [len(usages) for usages in used] == [2, 0]
    assert capsys.readouterr().err.count("out of memory") == 1
    with pytest.raises(RuntimeError, match="out of memory"):
        bench_dca.measure_in_turns("name", [planned[1]._replace(label="plm")], options)
    options.once_above = 0
    assert [len(usages) for usages in bench_dca.measure_in_turns("name", planned, options)] == [1, 0]


def test_speed_up_is_wall_of_one_thread_over_several():
    rows = [{"family": "A", "program": "plm", "threads": t, "wall": w} for t, w in ((1, [3, 9, 4]), (2, [2]))]
    assert "A 2.00 (2 threads)" in bench_dca.speed_ups(rows)
    assert bench_dca.speed_ups(rows[:1]) == ""


@pytest.mark.slow
def test_the_whole_benchmark(tmp_path, fake_ccmpred, capsys):
    out = tmp_path / "bench.json"
    short = ["simulated:30:60", "simulated:31:60", "--methods", "plm", "--repeats", "1", "--json", str(out)]
    assert bench_dca.main(short) == 0
    result = json.loads(out.read_text())
    assert len(result["rows"]) == 2 * 3
    assert result["start_up"]["cold cpu"][0] > 2 * result["start_up"]["warm cpu"][0]
    assert result["batch"]["together cpu"][0] < result["batch"]["apart cpu"][0]
    assert "2 alignments, wall / CPU s" in capsys.readouterr().out


def random_model(rng, length=4):
    pairs = length * (length - 1) // 2
    return rng.normal(size=(length, 21)), rng.normal(size=(pairs, 21, 21))


def test_objective_is_the_naive_one():
    rng = np.random.default_rng(3)
    fields, couplings = random_model(rng)
    tokens = rng.integers(0, 21, size=(9, 4)).astype(np.int8)
    weights = rng.uniform(0.1, 1, size=9)
    centred = fields - fields.mean(axis=1, keepdims=True)
    expected = naive.objective(centred, couplings, tokens, weights, 0.2 * 3, 0.01)
    for chunk in (4, 100):
        found = objective.objective_value((fields + 5, couplings), tokens, weights, chunk)
        assert found == pytest.approx(expected, rel=1e-12)


def test_own_objective_penalises_fields_as_they_are():
    rng = np.random.default_rng(6)
    fields, couplings = random_model(rng)
    tokens = rng.integers(0, 21, size=(5, 4)).astype(np.int8)
    case = Case("case", tokens, "", None)
    weights = np.ones(5)
    run = lambda limit: (1.0, (fields + 1, couplings))  # noqa: E731 (what a program would return)
    pair = objective._pair("peer", weights, {"ours": run, "peer": run}, case, (10, 15))
    point = pair["curves"]["peer"][0]
    assert point["own"] == pytest.approx(naive.objective(fields + 1, couplings, tokens, weights, 0.6, 0.01))
    assert point["objective"] == pair["best"] < point["own"]
    assert [len(curve) for curve in pair["curves"].values()] == [2, 1]  # no change; low enough at once
    result = {"case": "case", "n": 5, "length": 4, "pairs": [pair]}
    assert f"| peer | 5.0 | {pair['best']:.1f} | ours | 1.00 (2) |" in objective.text(result)


def test_raw_file_of_ccmpred(tmp_path):
    rng = np.random.default_rng(4)
    fields, couplings = random_model(rng)
    order = [LETTERS.index(letter) for letter in "ARNDCQEGHILKMFPSTWYV-"]
    lines = ["\t".join(f"{value:.17g}" for value in row[order[:20]]) for row in fields]
    for (i, j), block in zip(np.transpose(np.triu_indices(4, 1)), couplings, strict=True):
        lines += [f"# {i} {j}", *("\t".join(f"{x:.17g}" for x in row) for row in block[np.ix_(order, order)])]
    (tmp_path / "raw").write_text("\n".join(lines) + "\n")
    found, blocks = objective.read_ccmpred_raw(tmp_path / "raw", 4)
    np.testing.assert_array_equal(found[:, :20], fields[:, :20])
    assert (found[:, 20] == 0).all()
    np.testing.assert_array_equal(blocks, couplings)


def test_parameter_file_of_plmc(tmp_path):
    rng = np.random.default_rng(5)
    fields, couplings = (part.astype("<f4") for part in random_model(rng))
    letters = "-" + LETTERS[:-1]
    order = [LETTERS.index(letter) for letter in letters]
    similar = np.array([2, 1, 2], dtype="<f4")
    parts = [struct.pack("<5i5f", 4, 21, 2, 1, 7, 0.2, 0.01, 0.6, 0, 2), letters.encode(), similar.tobytes()]
    parts += [b"ACDE", np.arange(1, 5, dtype="<i4").tobytes(), np.zeros((4, 21), "<f4").tobytes()]
    parts += [fields[:, order].tobytes(), np.zeros((6, 21, 21), "<f4").tobytes()]
    parts += [couplings[:, order][:, :, order].tobytes()]
    (tmp_path / "params").write_bytes(b"".join(parts))
    (found, blocks), weights = objective.read_plmc_params(tmp_path / "params")
    np.testing.assert_array_equal(found, fields)
    np.testing.assert_array_equal(blocks, couplings)
    np.testing.assert_array_equal(weights, [0.5, 1, 0.5])


def test_weights_of_ccmpred_ask_for_more_than_the_share():
    tokens = np.zeros((3, 10), dtype=np.int8)
    tokens[1, :2] = 1  # 8 of 10 equal columns: at the threshold, and so not similar
    tokens[2, 0] = 2  # 9 of 10 with the first row, 8 with the second
    np.testing.assert_allclose(objective.ccmpred_weights(tokens), [1 / 2, 1, 1 / 2])
    assert objective.ccmpred_weights(tiny_alignment()).sum() == pytest.approx(266)  # what CCMpred prints


def test_seconds_to_a_distance():
    curve = [{"limit": n, "cpu": n / 10, "objective": 100 + 1 / n**2} for n in (1, 3, 5, 20)]
    assert objective.seconds_to(curve, 100.0, 1e-3)["limit"] == 5
    assert objective.seconds_to(curve, 100.0, 1e-6) is None


def test_our_side_of_the_objective_comes_down(tmp_path):
    path, w, tokens = tmp_path / "x.fasta", tmp_path / "w.npy", tiny_alignment()
    path.write_text("".join(f">{n}\n{decode(row)}\n" for n, row in enumerate(tokens)))
    np.save(w, np.ones(len(tokens)))
    values = []
    for limit in (2, 8, 40):
        objective.infer_ours(str(path), str(w), limit, str(tmp_path / "out.npz"))
        with np.load(tmp_path / "out.npz") as arrays:
            model = arrays["fields"], arrays["couplings"]
            values.append(objective.objective_value(model, tokens, np.ones(len(tokens))))
    assert values[0] > values[1] > values[2]
    assert values[1] < values[2] * 1.001


@pytest.fixture
def families(tmp_path):
    """Two tiny families on made-up folds, and a table of them as `data.families` reads it."""
    folder = tmp_path / "families"
    lines = ["id\tsplit\tcluster\trepresentative\tlength"]
    for name, length in (("one", 40), ("two", 42)):
        case = simulated(length, 80)
        (folder / name).mkdir(parents=True)
        a3m = "".join(f">s{n}\n{decode(row)}\n" for n, row in enumerate(case.tokens))
        (folder / name / "msa.a3m.gz").write_bytes(gzip.compress(a3m.encode()))
        # A hairpin, so that there are long-range contacts
        places = [(3.8 * min(k, length - 1 - k), 5.0 * (2 * k >= length), 0.0) for k in range(length)]
        atoms = [line for k, at in enumerate(places) for line in backbone(case.query[k], k + 1, at)]
        pdb = write_pdb(tmp_path / f"{name}.pdb", atoms)
        (folder / name / "structure.pdb.gz").write_bytes(gzip.compress(pdb.read_bytes()))
        lines.append(f"{name}\ttrain\tc_{name}\t1\t{length}")
    (folder / "families.tsv").write_text("\n".join(lines) + "\n")
    return folder


def run_precision(families, out, *further):
    cheap = ["--corrections", "apc", "raw", "entropy"]
    return precision.main(["--families", str(families), "--out", str(out), *cheap, *further])


def test_precision_is_resumed_where_it_stopped(families, tmp_path, monkeypatch, capsys):
    out = tmp_path / "p.tsv"
    assert run_precision(families, out, "--methods", "mi", "ridge") == 0
    whole = out.read_text()
    rows = precision.read_rows(out)
    assert {row["method"] for row in rows} >= {"mi", "mi raw", "ridge", "ridge raw"}
    assert len(rows) % precision.ROWS_OF_A_MAP == 0
    out.write_text(whole[: int(len(whole) * 0.7)])  # killed in the middle of a row
    monkeypatch.setattr(precision, "raw_map", None)  # maps are kept: nothing is inferred again
    assert run_precision(families, out, "--methods", "mi", "ridge") == 0
    assert sorted(out.read_text().splitlines()) == sorted(whole.splitlines())
    capsys.readouterr()
    assert precision.main(["--table", str(out), "--reference", "ridge"]) == 0
    printed = capsys.readouterr().out
    assert "| all | mi | 2 |" in printed
    assert "difference to ridge" in printed


def test_a_family_that_fails_ends_with_1(families, tmp_path):
    out = tmp_path / "p.tsv"
    (families / "two" / "structure.pdb.gz").write_bytes(b"nothing")
    assert run_precision(families, out, "--methods", "mi", "--corrections", "apc", "low-rank") == 1
    assert {(row["protein"], row["method"]) for row in precision.read_rows(out)} == {
        ("one", "mi"),
        ("one", "mi low-rank"),
    }


def test_peers_stop_at_the_largest_cost(families, tmp_path, fake_ccmpred, capsys):
    out = tmp_path / "p.tsv"
    assert run_precision(families, out, "--methods", "mi", "--peers", "--max-cost", str(80 * 41**2)) == 0
    assert "ccmpred on two (N 80, L 42)" in capsys.readouterr().out
    assert {row["protein"] for row in precision.read_rows(out) if row["method"] == "ccmpred"} == {"one"}
    assert os.environ["PATH"] == str(fake_ccmpred.parent)


def key_of(row):
    return row["protein"], row["method"], row["range"], row["cut"]


def test_redo_computes_a_method_anew(families, tmp_path, monkeypatch):
    out = tmp_path / "p.tsv"
    run_precision(families, out, "--methods", "mi", "ridge")
    before = {key_of(row): row for row in precision.read_rows(out)}
    monkeypatch.setattr(precision, "raw_map", lambda family, method: np.eye(*family.tokens.shape[1:] * 2))
    run_precision(families, out, "--methods", "mi", "ridge", "--redo", "mi")
    after = {key_of(row): row for row in precision.read_rows(out)}
    assert set(before) == set(after)
    changed = {key[1] for key in before if before[key] != after[key]}
    assert "mi raw" in changed
    assert not {method for method in changed if method.startswith("ridge")}


def test_folds_that_are_not_there_are_no_variant(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "training_examples", lambda *_: [])  # real families, and no folder of folds
    arguments = ["--examples", str(tmp_path), "--out", str(tmp_path / "a.tsv")]
    with pytest.raises(SystemExit, match="no simulated folds"):
        ablation.main([*arguments, "--variants", "with folds"])


def test_files_of_weights_are_called_alike_with_and_without_a_folder():
    names = ["covarion-5", "mine.safetensors", "a/mine.safetensors", "./mine"]
    assert [refiner.named(name) for name in names] == ["covarion-5", "mine", "mine", "mine"]


def test_a_calibration_without_maps_is_refused(tmp_path):
    (tmp_path / "t.tsv").write_text("protein\n")
    with pytest.raises(SystemExit, match=r"t\.maps: no maps of mine"):
        refiner.main(["--calibration", str(tmp_path / "t.tsv"), "--weights", "a/mine.safetensors"])


def test_refiner_at_depths_and_its_calibration(families, tmp_path, capsys):
    out = tmp_path / "r.tsv"
    arguments = ["--families", str(families), "--split", "train", "--methods", "ridge", "--depths", "3"]
    assert refiner.main([*arguments, "--out", str(out)]) == 0
    rows = precision.read_rows(out)
    assert {row["protein"] for row in rows} == {"one", "one@36", "one@16", "two", "two@36", "two@16"}
    assert {row["method"] for row in rows} == {"ridge", "default"}
    assert {row["cluster"] for row in rows} == {"c_one", "c_two"}
    before = out.read_text()
    assert refiner.main([*arguments, "--out", str(out)]) == 0
    assert out.read_text() == before
    capsys.readouterr()
    assert refiner.main(["--calibration", str(out)]) == 0
    assert "| all | >= 24 | 6 |" in capsys.readouterr().out
    assert refiner.main(["--table", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "all sequences: Neff" in printed
    assert printed.count("| all | default | 2 |") == 3


def test_expected_error_of_known_probabilities():
    probability = np.repeat([0.1, 0.9], 100)
    contact = np.r_[np.arange(100) < 30, np.arange(100) < 80]
    one_by_one = refiner.expected_error(np.linspace(0, 1, 10), np.linspace(0, 1, 10) > 0.5)
    assert one_by_one == pytest.approx(np.mean([min(p, 1 - p) for p in np.linspace(0, 1, 10)]))
    rng = np.random.default_rng(0)
    mixed = rng.permutation(100)
    contact = np.r_[contact[:100][mixed], contact[100:][mixed]]
    assert refiner.expected_error(probability, contact) == pytest.approx(0.15, abs=0.05)


def test_ablation_is_resumed_and_averages_seeds(families, tmp_path, capsys):
    table = families / "families.tsv"
    table.write_text(table.read_text().replace("two\ttrain", "two\tval"))
    out, examples = tmp_path / "a.tsv", tmp_path / "examples"
    some = [
        "--variants",
        "all inputs",
        "profile",
        "--steps",
        "2",
        "--depths",
        "2",
        "--families",
        str(families),
    ]
    whole = [*some, "--examples", str(examples), "--out", str(out), "--seeds", "1", "2"]
    assert ablation.main(whole) == 0
    before = out.read_text()
    assert {path.name for path in (examples / "real").glob("*")} == {"one.npz"}  # nothing is learned from val
    rows = precision.read_rows(out)
    assert {row["protein"] for row in rows} == {"two", "two@16"}
    assert {row["method"] for row in rows} == {f"{v}#{s}" for v in ("all inputs", "profile") for s in (1, 2)}
    assert ablation.main(whole) == 0
    assert out.read_text() == before
    capsys.readouterr()
    assert ablation.main(["--table", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| all | profile | 1 |") == 2
    assert "standard deviation over seeds" in printed
    part = [row for row in rows if row["protein"] == "two" and row["cut"] == "L" and row["range"] == "long"]
    mean = np.mean([row["precision"] for row in part if row["method"].startswith("profile")])
    merged = [row for row in ablation.over_seeds(part) if row["method"] == "profile"]
    assert [row["precision"] for row in merged] == [pytest.approx(mean)]


def test_a_blind_variant_does_not_see_what_it_may_not(families, tmp_path):
    example = ablation.training_examples(str(families), tmp_path, 0)
    variant = ablation.VARIANTS["profile + MI"]
    settings = ablation.TrainConfig(**ablation.SETTINGS | {"steps": 3})
    run = ablation.Ablation(example, variant, settings, tmp_path / "run")
    run.run()
    model = run.averaged()
    assert not model.embed_couplings.weight.any()
    assert not model.embed_maps.weight[:, ablation.MAPS.index("ridge")].any()
    assert model.embed_maps.weight[:, ablation.MAPS.index("mi")].all()


def test_overhead_of_weights():
    rows = overhead.weights(1, rows=60, length=20).splitlines()[2:]
    neff = [float(row.split("|")[2]) for row in rows]
    assert neff == sorted(neff)  # deeper trees, fewer relatives
    assert neff[-1] > 1.2 * neff[0]


@pytest.mark.slow
def test_overhead_of_starting():
    cold, warm = (row.split("|")[2] for row in overhead.start(1).splitlines()[2:])
    assert float(cold) > 3 * float(warm)


def test_generative_models_are_told_of(families, tmp_path, capsys, monkeypatch):
    table = tmp_path / "g.tsv"
    short = generative.BoltzmannSettings(max_epochs=2, chains=50)
    monkeypatch.setattr(generative, "BoltzmannSettings", lambda: short)
    arguments = ["one", "two", "--families", str(families), "--out", str(table)]
    assert generative.main(arguments) == 0
    before = table.read_text()
    assert [row["family"] for row in generative.read(table)] == ["one", "two"]
    assert generative.main(arguments) == 0
    assert table.read_text() == before
    capsys.readouterr()
    assert generative.main(["--table", str(table)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    assert all(-1 <= float(line.split("|")[5]) <= 1 for line in printed[2:])
