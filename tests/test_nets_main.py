"""``python -m nets`` and the features behind it."""

import subprocess
import sys

import numpy as np
import pytest
from workflow_fixtures import LENGTH, ROOT, family, write_family

from nets.features import SITE_CHANNELS, compute_features


def nets(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "nets", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )


def test_pairs_are_printed_best_first_and_the_map_is_whole(tmp_path):
    query = write_family(tmp_path, "p")
    out = tmp_path / "map.npz"
    done = nets(tmp_path / "p.fasta", "-o", out)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == (LENGTH - 6) * (LENGTH - 5) // 2
    probabilities = [float(row[4]) for row in rows]
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(
        query[int(i) - 1] == a and query[int(j) - 1] == b and int(j) - int(i) >= 6 for i, j, a, b, _ in rows
    )
    arrays = np.load(out)
    contact = arrays["contact"]
    assert contact.shape == (LENGTH, LENGTH)
    assert np.array_equal(contact, contact.T)
    assert arrays["distance"].shape == (LENGTH, LENGTH, len(arrays["bin_edges"]) - 1)
    i, j = int(rows[0][0]) - 1, int(rows[0][1]) - 1
    assert contact[i, j] == pytest.approx(probabilities[0], abs=1e-4)


def test_several_weights_are_averaged(tmp_path):
    write_family(tmp_path, "p")
    maps = {}
    for name, chosen in {
        "one": ["covarion-1"],
        "two": ["covarion-2"],
        "both": ["covarion-1", "covarion-2"],
    }.items():
        out = tmp_path / f"{name}.npz"
        flags = [flag for weights in chosen for flag in ("--weights", weights)]
        done = nets(*flags, tmp_path / "p.fasta", "-o", out)
        assert done.returncode == 0, done.stderr
        maps[name] = np.load(out)
    mean = (maps["one"]["contact"] + maps["two"]["contact"]) / 2
    assert np.allclose(maps["both"]["contact"], mean, atol=1e-6)
    assert not np.allclose(maps["one"]["contact"], maps["two"]["contact"], atol=1e-3)
    assert str(maps["both"]["weights"]) == "covarion-1 + covarion-2"


@pytest.mark.parametrize(
    ("text", "said"), [("", "empty"), (">a\nMKVLWAA\n>b\nMK\n", "b"), (None, "no such file")]
)
def test_bad_input_leaves_a_message_and_no_file(tmp_path, text, said):
    path, out = tmp_path / "bad.fasta", tmp_path / "map.npz"
    if text is not None:
        path.write_text(text)
    done = nets(path, "-o", out)
    assert done.returncode == 1
    assert said.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_unknown_weights_are_named(tmp_path):
    write_family(tmp_path, "p")
    done = nets(tmp_path / "p.fasta", "--weights", "nobody")
    assert done.returncode == 1
    assert "nobody" in done.stderr


def test_features_do_not_depend_on_the_order_of_the_other_rows():
    tokens = family(3)
    shuffled = np.concatenate([tokens[:1], np.random.default_rng(0).permutation(tokens[1:])])
    one = compute_features(tokens)
    two = compute_features(shuffled)
    assert np.abs(one.couplings.astype(int) - two.couplings).max() <= 1
    np.testing.assert_allclose(one.maps, two.maps, atol=2e-2)
    np.testing.assert_allclose(one.sites, two.sites, atol=1e-3)
    assert one.sites.shape == (LENGTH, SITE_CHANNELS)


def test_a_foreign_map_enters_as_a_named_channel():
    tokens = family(3)
    brought = np.random.default_rng(0).normal(size=(LENGTH, LENGTH))
    brought += brought.T
    features = compute_features(tokens, ("ridge", "expert:mine"), {"mine": brought})
    packed = brought[np.triu_indices(LENGTH, 1)]
    assert np.corrcoef(np.sinh(features.maps[:, 1].astype(float)), packed)[0, 1] > 0.999
    with pytest.raises(ValueError, match="expert:mine"):
        compute_features(tokens, ("expert:mine",))
