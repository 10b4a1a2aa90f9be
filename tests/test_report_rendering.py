"""Values are safe in a page, whatever they hold."""

import base64
import json

import jinja2
import numpy as np
import pytest
from report_fixtures import NASTY

from report import rendering


def test_json_cannot_close_its_script_element():
    content = {NASTY: ["</script><!--", "\u2028\u2029"], "n": float("nan"), "i": np.inf, "a": np.arange(2)}
    text = str(rendering.script_json(content))
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == {
        NASTY: ["</script><!--", "\u2028\u2029"],
        "n": None,
        "i": None,
        "a": [0, 1],
    }


def test_templates_escape_and_refuse_what_is_not_given():
    environment = rendering.environment()
    assert "<script>" not in environment.from_string("{{ x }}").render(x=NASTY)
    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{{ missing }}").render()


def test_arrays_are_little_endian_bytes():
    packed = rendering.base64_of(np.array([[1, 258]], dtype=">u2"))
    assert base64.b64decode(packed) == b"\x01\x00\x02\x01"


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.24, "8.2 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (None, "\u2013")]
)
def test_times_are_readable(seconds, text):
    assert rendering.readable_time(seconds) == text


def test_numbers_that_are_missing_are_dashes():
    assert rendering.fixed(float("nan")) == rendering.thousands(None) == "\u2013"
    assert rendering.thousands(12345.6) == "12,346"


def test_nested_settings_become_dotted_rows():
    rows = rendering.flattened({"plm": {"lambda": 0.01, "on": True}, "names": ["a", "b"], "none": None})
    assert rows == [("plm.lambda", "0.01"), ("plm.on", "true"), ("names", '["a", "b"]'), ("none", "null")]
