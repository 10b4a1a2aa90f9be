"""ConKit reads our matrix and our RR file.

ConKit pins old packages and needs an environment of its own. With Python 3.8:
``python3.8 -m venv conkit; conkit/bin/pip install conkit; CONKIT_PYTHON=conkit/bin/python make test``.
"""

import json
import os
import subprocess

import numpy as np
import pytest
from report_fixtures import LENGTH, QUERY, symmetric

from report.exports import ranking, write_rr
from report.formats import write_matrix

PYTHON = os.environ.get("CONKIT_PYTHON", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="CONKIT_PYTHON names no Python that has ConKit")
READ = """
import conkit.io, json, sys
contacts = conkit.io.read(sys.argv[1], sys.argv[2]).top_map
json.dump([[c.res1_seq, c.res2_seq, c.raw_score] for c in contacts], sys.stdout)
"""


def read(path, form):
    done = subprocess.run([PYTHON, "-W", "ignore", "-c", READ, path, form], capture_output=True, check=True)
    return [(i, j, score) for i, j, score in json.loads(done.stdout)]


@pytest.fixture
def scores():
    return symmetric(np.random.default_rng(3))


def test_conkit_reads_the_matrix(tmp_path, scores):
    write_matrix(scores, tmp_path / "x.mat")
    found = {(i - 1, j - 1): score for i, j, score in read(tmp_path / "x.mat", "ccmpred")}
    assert len(found) > LENGTH
    for (i, j), score in found.items():
        assert score == pytest.approx(scores[i, j], rel=1e-5)


def test_conkit_reads_the_rr_file(tmp_path, scores):
    probability = (1 / (1 + np.exp(-scores))).astype(np.float32)
    write_rr(QUERY, probability, tmp_path / "x.rr", "refined", kind="probability")
    found = read(tmp_path / "x.rr", "casprr")
    best = ranking(probability, 6, 3 * LENGTH)
    assert {(i - 1, j - 1) for i, j, _ in found} == set(zip(best.i.tolist(), best.j.tolist(), strict=True))
    for i, j, score in found:
        assert score == pytest.approx(probability[i - 1, j - 1], abs=1e-5)
