"""Small figures as data for the templates: charts with text of constant size, and thumbnails.

A chart's lines are SVG paths in a unit square of 100 x 100 that stretches with the page; its ticks and
labels are text beside it, so that they stay readable at any width and follow the reader's colours.
"""

import base64
import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

from data import scoring
from report.methods import CONTACT_DISTANCE, Style, cut_size
from report.reliability import binned
from report.rendering import percent

_POINTS = 160  # more points than this per line cannot be seen at the size of a chart
_PREDICTED = (0, 114, 178)
_TRUE = (140, 140, 140)
_MARKED = ("L/5", "L/2", "L")
_SHARES = [(100 * value, f"{value:g}") for value in (0, 0.25, 0.5, 0.75, 1)]


@dataclass(frozen=True)
class Line:
    """A line of a chart: SVG path, label, colour (a custom property of the style sheet), dash pattern.

    `fill` fills what is below it, `dots` draws its points alone.
    """

    path: str
    label: str
    colour: str
    dash: str = ""
    fill: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart: lines in the unit square, ticks as (place in percent, label), and what the axes show."""

    title: str
    caption: str
    x_label: str
    y_label: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    lines: list[Line] = field(default_factory=list)


def path(x: np.ndarray, y: np.ndarray, closed: bool = False) -> str:
    """SVG path through points of the unit interval; y runs upwards. `closed` fills down to zero."""
    if len(x) == 0:
        return ""
    keep = (
        np.unique(np.linspace(0, len(x) - 1, _POINTS).round().astype(int))
        if len(x) > _POINTS
        else slice(None)
    )
    across, up = 100 * np.asarray(x)[keep], 100 - 100 * np.asarray(y)[keep]
    steps = "L".join(f"{a:.2f} {b:.2f}" for a, b in zip(across, up, strict=True))
    return f"M{across[0]:.2f} 100L{steps}L{across[-1]:.2f} 100Z" if closed else f"M{steps}"


def round_ticks(top: float, count: int = 4) -> list[float]:
    """Round numbers from 0 up to at most `top`, about `count` steps of 1, 2 or 5 times a power of ten."""
    if top <= 0:
        return [0.0]
    raw = top / count
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    return [step * k for k in range(int(top / step + 1e-9) + 1)]


def precision_at_ranks(values: np.ndarray, distance: np.ndarray, low: int, high: int | None) -> np.ndarray:
    """Precision among the best k pairs of a range, for every k.

    Parameters
    ----------
    values : float [L, L]
        Scores or probabilities.
    distance : float [L, L]
        C-beta distances in angstrom; pairs of unknown distance are not ranked.
    low, high : int
        ``low <= j - i <= high``; no upper limit when `high` is None.

    Returns
    -------
    float64 [K]
        Precision at rank 1..K, ties in the order of (i, j).
    """
    i, j = np.triu_indices(len(values), low)
    keep = np.isfinite(distance[i, j]) & (j - i <= (high or len(values)))
    i, j = i[keep], j[keep]
    order = np.argsort(-values[i, j], kind="stable")
    hits = (distance[i, j] < CONTACT_DISTANCE)[order]
    return np.cumsum(hits) / np.arange(1, len(hits) + 1)


def precision_chart(
    maps: dict[str, np.ndarray],
    styles: dict[str, Style],
    distance: np.ndarray,
    range_name: str,
    measure: str = "precision",
) -> Chart:
    """Precision against rank of every method in one range, up to 1.5 L, with the ceiling.

    Against a predicted model the same number is called agreement (`measure`).
    """
    low, high = scoring.RANGES[range_name]
    length = len(distance)
    limit = max(2, round(1.5 * length))
    separation = np.arange(length)[None, :] - np.arange(length)[:, None]
    inside = (separation >= low) & (separation <= (high or length)) & np.isfinite(distance)
    pairs, contacts = int(inside.sum()), int((inside & (distance < CONTACT_DISTANCE)).sum())
    rank = np.arange(1, min(limit, pairs) + 1)
    across = (rank - 1) / (limit - 1)
    lines = [Line(path(across, np.minimum(1, contacts / rank)), "ceiling", "--muted", "10 3")]
    for name, style in styles.items():
        curve = precision_at_ranks(maps[name], distance, low, high)[: len(rank)]
        lines.append(Line(path(across, curve), name, style.colour, style.dash))
    ticks = _rank_ticks(length, limit)
    span = f"{low} ≤ |i \u2212 j| ≤ {high}" if high else f"|i \u2212 j| ≥ {low}"
    return Chart(
        f"{range_name.capitalize()} range, {span}",
        f"{contacts:,} contacts among {pairs:,} resolved pairs",
        "rank of the pair",
        measure,
        ticks,
        _SHARES,
        lines,
    )


def _rank_ticks(length: int, limit: int) -> list[tuple[float, str]]:
    """Ticks at the usual cuts of an axis of ranks 1 to `limit`."""
    sizes = {cut: cut_size(length, cut) for cut in _MARKED}
    return [(100 * (size - 1) / (limit - 1), f"{cut}\n{size}") for cut, size in sizes.items()]


def expected_chart(maps: dict[str, np.ndarray], styles: dict[str, Style]) -> Chart:
    """Precision that refined maps expect of their best k long-range pairs, up to 1.5 L."""
    low = scoring.RANGES["long"][0]
    length = len(next(iter(maps.values())))
    limit = max(2, round(1.5 * length))
    lines = []
    for name, style in styles.items():
        i, j = np.triu_indices(length, low)
        best = np.sort(maps[name][i, j].astype(np.float64))[::-1][:limit]
        rank = np.arange(1, len(best) + 1)
        expected = np.clip(np.cumsum(best) / rank, 0, 1)
        lines.append(
            Line(
                path(
                    (rank - 1) / (limit - 1),
                    expected,
                ),
                name,
                style.colour,
                style.dash,
            )
        )
    return Chart(
        f"Expected precision, |i \u2212 j| ≥ {low}",
        "Mean calibrated probability of the best pairs down to each rank, " + _names(styles),
        "rank of the pair",
        "expected precision",
        _rank_ticks(length, limit),
        _SHARES,
        lines,
    )


def _names(styles: dict[str, Style]) -> str:
    return "of " + ", ".join(styles)


def reliability_chart(
    maps: dict[str, np.ndarray], styles: dict[str, Style], distance: np.ndarray, min_separation: int = 6
) -> Chart:
    """Share of contacts among pairs of similar probability, against that probability, in this protein."""
    i, j = np.triu_indices(len(distance), min_separation)
    known = np.isfinite(distance[i, j])
    i, j = i[known], j[known]
    contact = distance[i, j] < CONTACT_DISTANCE
    lines = [Line("M0 100L100 0", "as predicted", "--muted", "1 3")]
    for name, style in styles.items():
        rows = binned(maps[name][i, j].astype(np.float64), contact)
        across, up = (np.array([getattr(row, key) for row in rows]) for key in ("predicted", "observed"))
        lines.append(Line(path(across, up), name, style.colour, style.dash))
    return Chart(
        "Do the probabilities hold here?",
        f"{len(i):,} resolved pairs with |i \u2212 j| ≥ {min_separation} in bins of probability; dotted: as "
        f"predicted; bins of one protein hold few pairs; {_names(styles)}",
        "predicted probability",
        "share in contact",
        [(25.0 * k, f"{0.25 * k:g}") for k in range(5)],
        _SHARES,
        lines,
    )


def precision_by_depth_chart(points: dict[str, list[tuple[float, float]]], styles: dict[str, Style]) -> Chart:
    """Precision of each protein against its Neff on a logarithmic axis, a dot per protein and method.

    Parameters
    ----------
    points : dict of str to list of (float, float)
        Neff and precision by method.
    styles : dict of str to Style
        Looks of the methods.
    """
    depths = np.log10([max(neff, 1.0) for found in points.values() for neff, _ in found])
    low = np.floor(depths.min() - 0.03)
    high = max(np.ceil(depths.max() + 0.03), low + 1)
    lines = []
    for name, found in points.items():
        places = [(100 * (np.log10(max(neff, 1.0)) - low) / (high - low), 100 - 100 * y) for neff, y in found]
        dots = "".join(f"M{x:.2f} {y:.2f}h0" for x, y in places)
        lines.append(Line(dots, name, styles[name].colour, dots=True))
    return Chart(
        "Precision against depth",
        "One dot per protein and method: " + ", ".join(points),
        "effective sequences, logarithmic",
        "long-range precision at L/2",
        [(100 * (k - low) / (high - low), f"{10**k:,.0f}") for k in np.arange(low, high + 1)],
        _SHARES,
        lines,
    )


def depth_chart(
    tokens: np.ndarray, weights: np.ndarray, first_index: int, identity: float | None = None
) -> Chart:
    """Sequences and effective sequences with a residue (not a gap) at each query position."""
    present = tokens != 20
    count = present.sum(0)
    effective = weights @ present
    top = float(max(len(tokens), 1))
    weighted = f"weighted at {percent(identity)} identity" if identity is not None else "weighted"
    across = np.linspace(0, 1, len(count))
    return Chart(
        "Depth along the sequence",
        f"All {len(tokens):,} sequences; effective ones are {weighted} "
        f"(Neff {weights.sum():,.1f}); on average {100 * present.mean():.0f} % of the rows cover a position",
        "query residue",
        "sequences with a residue here",
        _residue_ticks(len(count), first_index),
        [(100 * tick / top, f"{tick:,.0f}") for tick in round_ticks(top)],
        [
            Line(path(across, count / top, closed=True), "sequences", "--c-sky", fill=True),
            Line(path(across, effective / top), "effective sequences", "--c-blue"),
        ],
    )


def conservation_chart(tokens: np.ndarray, weights: np.ndarray, first_index: int) -> Chart:
    """Conservation ``1 - H / ln 20`` of the weighted letters at each position, gaps left out."""
    one_hot = np.stack([weights @ (tokens == letter) for letter in range(20)], axis=1)
    total = one_hot.sum(1, keepdims=True)
    share = np.divide(one_hot, total, out=np.zeros_like(one_hot), where=total > 0)
    entropy = -np.sum(share * np.log(np.where(share > 0, share, 1)), axis=1)
    conserved = np.where(total[:, 0] > 0, 1 - entropy / np.log(20), 0)
    return Chart(
        "Conservation along the sequence",
        "1 \u2212 entropy / ln 20 of the weighted residues, gaps left out: 1 is one residue everywhere",
        "query residue",
        "conservation",
        _residue_ticks(len(conserved), first_index),
        [(100 * value, f"{value:g}") for value in (0, 0.5, 1)],
        [Line(path(np.linspace(0, 1, len(conserved)), conserved, closed=True), "", "--c-green", fill=True)],
    )


def identity_chart(tokens: np.ndarray) -> Chart:
    """Histogram of the identity of the sequences to the query, over the positions that they cover."""
    others, query = tokens[1:], tokens[0]
    covered = (others != 20).sum(1)
    same = ((others == query) & (others != 20)).sum(1)
    identity = np.divide(same, covered, out=np.zeros(len(others)), where=covered > 0)
    counts, _ = np.histogram(identity, bins=20, range=(0, 1))
    top = float(max(counts.max(), 1))
    edges = np.repeat(np.arange(21) / 20, 2)[1:-1]
    return Chart(
        "Identity to the query",
        f"{len(others):,} sequences without the query, identity over the positions that each covers",
        "identity",
        "sequences",
        [(25.0 * k, f"{25 * k} %") for k in range(5)],
        [(100 * tick / top, f"{tick:,.0f}") for tick in round_ticks(top)],
        [Line(path(edges, np.repeat(counts / top, 2), closed=True), "", "--c-orange", fill=True)],
    )


def _residue_ticks(length: int, first_index: int) -> list[tuple[float, str]]:
    step = int(max(1, [*round_ticks(length - 1, 5), 1][1]))
    numbers = range(-(-first_index // step) * step, first_index + length, step)
    return [(100 * (number - first_index) / max(length - 1, 1), str(number)) for number in numbers]


def png(pixels: np.ndarray) -> bytes:
    """PNG file of uint8 [height, width, 4] pixels (red, green, blue, opacity)."""
    height, width = pixels.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def thumbnail(values: np.ndarray, distance: np.ndarray | None, size: int = 72) -> str:
    """Data URL of a tiny contact map: best L pairs above the diagonal, true contacts below it.

    Parameters
    ----------
    values : float [L, L]
        Scores or probabilities.
    distance : float [L, L], optional
        C-beta distances in angstrom; nothing below the diagonal without them.
    size : int
        Largest width and height in pixels.
    """
    length = len(values)
    pixels = np.zeros((size, size, 4), np.uint8)
    i, j = np.triu_indices(length, 6)
    best = np.argsort(-values[i, j], kind="stable")[:length]
    scale = min(1.0, size / length)
    pixels[_cells(i[best], scale), _cells(j[best], scale)] = (*_PREDICTED, 255)
    if distance is not None:
        near = distance[i, j] < CONTACT_DISTANCE
        pixels[_cells(j[near], scale), _cells(i[near], scale)] = (*_TRUE, 255)
    side = min(size, length)
    return "data:image/png;base64," + base64.b64encode(png(pixels[:side, :side])).decode("ascii")


def _cells(index: np.ndarray, scale: float) -> np.ndarray:
    return np.floor(index * scale).astype(int)
