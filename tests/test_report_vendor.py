"""Files of others are what they were when they were taken."""

import hashlib
import re

import pytest

from report.rendering import VENDOR, vendored

LISTED = dict(re.findall(r"^\| `([^`]+)` .*`([0-9a-f]{64})` \|$", (VENDOR / "README.md").read_text(), re.M))


def test_every_vendored_file_is_listed():
    assert {path.name for path in VENDOR.iterdir()} == {*LISTED, "README.md"}
    assert {name for name in LISTED if name.endswith("LICENSE.txt")}


@pytest.mark.parametrize("name", LISTED)
def test_vendored_files_are_unmodified(name):
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == LISTED[name]


def test_a_script_that_would_end_its_element_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("report.rendering.VENDOR", tmp_path)
    (tmp_path / "x.js").write_text("a('</script>')")
    with pytest.raises(ValueError, match=r"x\.js"):
        vendored("x.js")
