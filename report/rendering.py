"""The jinja environment of the pages, and values made safe to stand in them."""

import base64
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import numpy as np

MISSING = "\u2013"
TEMPLATES = Path(__file__).parent / "templates"
VENDOR = Path(__file__).parent / "vendor"


@cache
def environment() -> jinja2.Environment:
    """Jinja environment over the package's templates: everything is escaped, undefined names raise."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        fixed=fixed, thousands=thousands, pretty=pretty, readable_time=readable_time, script_json=script_json
    )
    made.filters.update(percent=percent, scientific=scientific)
    made.globals.update(source=source, vendored=vendored)
    return made


def render(template: str, **values: Any) -> str:
    """Text of a template of this package."""
    return environment().get_template(template).render(**values)


def source(name: str) -> markupsafe.Markup:
    """A style sheet or script of this package, to be inlined as it stands (it holds no data)."""
    return markupsafe.Markup((TEMPLATES / name).read_text())


def vendored(name: str) -> markupsafe.Markup:
    """A script of `report/vendor`, to be inlined as it stands.

    Raises
    ------
    ValueError
        It holds the end of a script element, which would break the page.
    """
    text = (VENDOR / name).read_text()
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError(f"{name} cannot stand inside a script element")
    return markupsafe.Markup(text)


def script_json(content: Any) -> markupsafe.Markup:
    """JSON that is safe inside a script element.

    ``<``, ``>`` and ``&`` become escapes so that no text can close the element, everything beyond
    ASCII (U+2028 is a line end to older parsers) as well, and NaN and infinity become null.
    """
    text = json.dumps(without_nan(content), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return markupsafe.Markup(text)


def without_nan(content: Any) -> Any:
    """Copy of nested lists and dicts in plain Python values, NaN and infinity replaced by None."""
    if isinstance(content, dict):
        return {str(key): without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    if isinstance(content, np.ndarray | np.generic):
        return without_nan(content.tolist())
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content if isinstance(content, str | int | float | bool | None) else str(content)


def base64_of(array: np.ndarray) -> str:
    """Base64 of an array's bytes, little-endian, as the page's typed arrays read them."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(np.ascontiguousarray(little).tobytes()).decode("ascii")


def fixed(value: float | None, digits: int = 2) -> str:
    """A number with a fixed count of decimals; an en dash where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.{digits}f}"


def scientific(value: float | None) -> str:
    """A small number with one digit, as ``0.02`` or ``3e-05``; an en dash where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.1g}" if value >= 0.001 or value == 0 else f"{value:.0e}"


def percent(share: float | None) -> str:
    """A share in percent, with decimals where it has some; an en dash where there is none."""
    return MISSING if share is None or not math.isfinite(share) else f"{round(100 * share, 1):g} %"


def thousands(value: float | None, digits: int = 0) -> str:
    """A number with commas between thousands; an en dash where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.{digits}f}"


def pretty(content: Any) -> str:
    """Indented JSON for reading."""
    return json.dumps(without_nan(content), indent=2, ensure_ascii=False)


def readable_time(seconds: float | None) -> str:
    """Seconds as ``8.2 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def flattened(content: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted key, value) rows."""
    if not isinstance(content, dict):
        plain = without_nan(content)
        return [(prefix, plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False))]
    rows: list[tuple[str, str]] = []
    for key, value in content.items():
        rows.extend(flattened(value, f"{prefix}.{key}" if prefix else str(key)))
    return rows
