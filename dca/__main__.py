"""``python -m dca ALIGNMENT``: scores of all pairs of query residues, best first.

Prints tab-separated ``i j aa_i aa_j score``, 1-based query columns with i < j. With ``-o MAP.npz`` also
writes score, raw, columns, query and neff, with ``--couplings MODEL.npz`` fields and couplings; several
alignments with ``--out-dir DIR`` get NAME.tsv and NAME.npz each. ``--bootstrap B`` adds the columns
``mean sd top`` (share of B bootstrap replicates that rank the pair among the best L), ``--nulls M`` the
columns ``p q`` against M alignments of independent sites.
Exit code 0 only when every alignment went through.
"""

import argparse
import functools
import gc
import logging
import math
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from data.msa import Alignment
    from dca.methods import Settings

METHODS = ("mi", "mean-field", "ridge", "gaussian", "plm", "plm-asymmetric", "boltzmann")
CORRECTIONS = ("apc", "raw", "entropy", "low-rank")
_ALGEBRA = ("mean-field", "ridge", "gaussian")  # methods that invert large matrices
_SUFFIXES = (".gz", ".a3m", ".a2m", ".fasta", ".fas", ".fa", ".sto", ".stockholm", ".aln")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    gc.set_threshold(50_000)  # after 700 objects, as it is, collections take 4 % of a small run
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(message)s")
    algebra = options.method in _ALGEBRA or options.correction == "low-rank" or options.nulls
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # before numpy is loaded, which reads them once
    if not algebra:  # its threads would spin beside ours, waiting for work that never comes
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from numpy.linalg import LinAlgError

    from data.errors import CovarionError  # after the arguments, so that --help answers at once
    from dca.accelerate import get_threads, set_threads

    set_threads(options.threads)
    if get_threads() < options.threads:
        logging.warning("%d threads were asked for, %d can be used", options.threads, get_threads())
    failed = 0
    for number, path in enumerate(options.alignment, start=1):
        try:
            if options.out_dir:
                print(f"{number}/{len(options.alignment)} {path}", file=sys.stderr)
            _run(path, options)
        except (CovarionError, OSError, RuntimeError, LinAlgError) as error:
            place = "" if str(path) in str(error) else f"{path}: "
            print(f"error: {place}{error}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dca", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "alignment", nargs="+", help="A3M, A2M, FASTA, Stockholm or PSICOV .aln, plain or gzip"
    )
    parser.add_argument("--method", choices=METHODS, default="plm")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument(
        "--min-separation", type=int, default=6, metavar="S", help="print pairs with j - i >= S"
    )
    parser.add_argument("--identity", type=float, default=0.8, help="rows this identical share one vote")
    parser.add_argument(
        "--query", default="", help="name or sequence of the query's row (default: the first)"
    )
    parser.add_argument("--correction", choices=CORRECTIONS, default="apc", help="of the score (default apc)")
    parser.add_argument(
        "--score",
        choices=("norm", "di"),
        default="norm",
        help="Frobenius norm or direct information (not of mi)",
    )
    parser.add_argument("--pseudocount", type=float, metavar="X", help="of mean-field and of di (0.5)")
    parser.add_argument(
        "--penalty", type=float, metavar="X", help="X (L - 1) times each pair's squared norm (0.2)"
    )
    parser.add_argument("--field-penalty", type=float, metavar="X", help="X times each field's square (0.01)")
    parser.add_argument(
        "--tolerance", type=float, metavar="X",
        help="expected relative error at the stop (0.05; replicates of --bootstrap 0.02 at most). "
        "These three are of plm and plm-asymmetric, whose sites each take half of the penalty on couplings",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="of plm: cpu, or a device of torch such as cuda")
    parser.add_argument("--bootstrap", type=int, default=0, metavar="B", help="replicates, at least 2")
    parser.add_argument("--nulls", type=int, default=0, metavar="M", help="alignments of independent sites")
    parser.add_argument("--seed", type=int, default=0, help="of bootstrap and nulls")
    parser.add_argument("--memory", type=float, metavar="GB", help="refuse what needs more (cpu)")
    parser.add_argument("-o", "--output", metavar="MAP.npz", help="write the maps of one alignment here")
    parser.add_argument("--couplings", metavar="MODEL.npz", help="write the Potts model of one alignment")
    parser.add_argument("--out-dir", metavar="DIR", help="write NAME.tsv and NAME.npz of each alignment here")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is done")
    options = parser.parse_args(arguments)
    _check(parser, options)
    _check_settings(parser, options)
    return options


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what does not go together, before anything is read."""
    if len(options.alignment) > 1 and not options.out_dir:
        parser.error("several alignments need --out-dir")
    if options.couplings is not None and (options.out_dir or options.method == "mi"):
        parser.error("--couplings is for one alignment without --out-dir, and mi has none")
    written = [Path(path).absolute() for path in (options.output, options.couplings) if path is not None]
    if len(set(written)) < len(written) or Path(options.alignment[0]).absolute() in written:
        parser.error("-o and --couplings must name two files, and not the alignment")
    if options.output and options.out_dir:
        parser.error("give -o or --out-dir, not both")
    names = [_stem(path) for path in options.alignment]
    if len(set(names)) < len(names):
        parser.error(f"two alignments would write the same file: {', '.join(sorted(names))}")
    if options.bootstrap < 0 or options.bootstrap == 1 or options.nulls < 0 or options.seed < 0:
        parser.error("--bootstrap must be 0 or at least 2, --nulls and --seed not negative")
    if options.device != "cpu" and options.method != "plm":
        parser.error("only --method plm runs on a --device")
    if options.threads < 1 or options.min_separation < 1 or not 0 < options.identity <= 1:
        parser.error("--threads and --min-separation must be at least 1, --identity in (0, 1]")
    if options.memory is not None and not 0 < options.memory < math.inf:
        parser.error(f"--memory must be a positive number of gigabytes, got {options.memory:g}")
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", options.device):
        parser.error(f"--device must be cpu, cuda or cuda:N, got {options.device!r}")


def _check_settings(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse settings that are out of range, or that the method would not read."""
    for name in ("penalty", "field_penalty", "tolerance"):
        given = getattr(options, name)
        if given is not None and options.method not in ("plm", "plm-asymmetric"):
            parser.error(f"--{name.replace('_', '-')} is of plm and plm-asymmetric, not of {options.method}")
        if given is not None and not 0 < given < math.inf:
            parser.error(f"--{name.replace('_', '-')} must be a positive number, got {given:g}")
    if options.score == "di" and options.method == "mi":
        parser.error("mi has no couplings and no direct information")
    if options.pseudocount is not None:
        if options.method != "mean-field" and options.score != "di":
            parser.error(f"--pseudocount is of mean-field and of --score di, not of {options.method}")
        if not 0 < options.pseudocount <= 1 or (options.method, options.pseudocount) == ("mean-field", 1):
            parser.error(f"--pseudocount must lie in (0, 1], below 1 of mean-field: {options.pseudocount:g}")


def _stem(path: str) -> str:
    """File name without folder and known suffixes."""
    name = Path(path).name
    while Path(name).suffix.lower() in _SUFFIXES:
        name = Path(name).stem
    return name


def _run(path: str, options: argparse.Namespace) -> None:
    """Score one alignment; files are written only when all is computed, but for the model of --couplings."""
    from data.errors import AlignmentError
    from data.msa import read_alignment
    from data.store import save_arrays, save_text

    alignment = read_alignment(path, query=options.query, for_columns=True)
    length = alignment.tokens.shape[1]
    if length < 2:
        raise AlignmentError("the query has fewer than two columns", file=path, value=alignment.query)
    if length <= options.min_separation:  # before any work: there would be nothing to print or to test
        raise AlignmentError(
            f"no two of the query's {length} columns are {options.min_separation} apart",
            file=path,
            value=alignment.query[:60],
            remedy=f"give --min-separation {length - 1} or less",
        )
    maps = _maps(alignment, options)
    table = _table(alignment.query, maps, options.min_separation)
    output = Path(options.out_dir, f"{_stem(path)}.npz") if options.out_dir else options.output
    if output:
        save_arrays(output, **maps)
    if options.out_dir:
        save_text(Path(options.out_dir, f"{_stem(path)}.tsv"), table)
    else:
        print_table(table)


def _maps(alignment: "Alignment", options: argparse.Namespace) -> dict[str, Any]:
    """The arrays of MAP.npz."""
    import numpy as np

    from dca.accelerate import get_threads
    from dca.memory import Uncertainty, require_memory
    from dca.methods import corrected, infer, raw_name, save_couplings
    from dca.weights import effective_number, sequence_weights

    tokens = alignment.tokens
    if options.device == "cpu":  # a device looks after its own memory
        limit = None if options.memory is None else int(options.memory * 1e9)
        rows, length = tokens.shape
        beside = Uncertainty(options.bootstrap > 0, options.nulls, _starts_warm(options))
        require_memory(options.method, rows, length, get_threads(), limit, beside)
    weights = sequence_weights(tokens, options.identity)
    settings = _settings(options)
    model, found = infer(tokens, weights, options.method, settings)
    if options.couplings is not None and model is not None:  # now, as it is held no longer than it must
        save_couplings(options.couplings, model)
    raw = found[raw_name(options.method, settings)]
    maps: dict[str, Any] = {
        "score": corrected(raw, options.correction, tokens, weights),
        "raw": raw,
        "columns": alignment.columns,
        "query": np.array(alignment.query),
        "neff": np.float32(effective_number(weights)),
    }
    warm = options.bootstrap and options.method == "plm" and _starts_warm(options)
    start = model if warm else None
    del model  # what follows needs the room
    if options.bootstrap:
        maps |= _resampled(tokens, weights, options, start)
    del start
    if options.nulls:
        maps |= _tested(tokens, weights, options, maps["score"])
    return maps


def _settings(options: argparse.Namespace) -> "Settings":
    """What the command line says of the methods."""
    from dca.methods import Settings

    chosen = {} if options.pseudocount is None else {"pseudocount": options.pseudocount}
    return Settings(
        device=options.device,
        coupling_penalty=options.penalty,
        field_penalty=options.field_penalty,
        tolerance=options.tolerance,
        direct=options.score == "di",
        **chosen,
    )


def _starts_warm(options: argparse.Namespace) -> bool:
    """Whether replicates of a bootstrap of plm start from the first model, which is kept for them."""
    return options.correction == "apc" and options.device == "cpu" and options.score == "norm"


def _map_of(options: argparse.Namespace) -> "Callable[..., np.ndarray]":
    """The map that is asked for, as a function of tokens and weights."""
    from dca.methods import score_map

    chosen = {"method": options.method, "correction": options.correction, "settings": _settings(options)}
    return functools.partial(score_map, **chosen)


def _resampled(
    tokens: "np.ndarray", weights: "np.ndarray", options: argparse.Namespace, start: Any
) -> dict[str, Any]:
    """Arrays of the bootstrap."""
    import numpy as np

    from dca.uncertainty import bootstrap, plm_scores

    map_of = _map_of(options)

    def cold(tokens: np.ndarray, weights: np.ndarray, start: Any) -> tuple[None, np.ndarray]:
        return None, map_of(tokens, weights)

    warm = functools.partial(plm_scores, settings=_settings(options).plm())
    rng = np.random.default_rng(options.seed).spawn(2)[0]
    drawn = bootstrap(
        tokens, weights, cold if start is None else warm, options.bootstrap, rng, start,
        identity=options.identity, min_separation=options.min_separation,
    )  # fmt: skip
    return {"mean": drawn.mean, "sd": drawn.standard_deviation, "top": drawn.top_frequency}


def _tested(
    tokens: "np.ndarray", weights: "np.ndarray", options: argparse.Namespace, score: "np.ndarray"
) -> dict[str, Any]:
    """Arrays of the nulls."""
    import numpy as np

    from dca.significance import coupling_significance

    rng = np.random.default_rng(options.seed).spawn(2)[1]
    tested = coupling_significance(
        tokens, weights, _map_of(options), rng, options.nulls, observed=score,
        min_separation=options.min_separation,
    )  # fmt: skip
    message = "%d nulls: the smallest possible p is %.2g, in the smallest stratum %.2g"
    logging.warning(message, tested.nulls, tested.smallest_p, tested.coarsest_p)
    return {"p": tested.p, "q": tested.q, "smallest_p": np.float64(tested.smallest_p)}


def _table(query: str, maps: dict[str, Any], min_separation: int) -> str:
    """Lines ``i j aa_i aa_j score ...`` of all pairs, best first, ties by (i, j)."""
    import numpy as np

    first, second = np.triu_indices(len(query), min_separation)
    order = np.argsort(-maps["score"][first, second], kind="stable")
    first, second = first[order], second[order]
    columns = [
        maps[name][first, second].tolist()
        for name in ("score", "mean", "sd", "top", "p", "q")
        if name in maps
    ]
    places, letters = [f"{at}\t" for at in range(1, len(query) + 1)], [f"{letter}\t" for letter in query]
    form = "%s%s%s%s" + "\t".join(["%.6g"] * len(columns)) + "\n"
    lines = [
        form % (places[i], places[j], letters[i], letters[j], *values)
        for i, j, *values in zip(first.tolist(), second.tolist(), *columns, strict=True)
    ]
    return "".join(lines)


def print_table(table: str) -> None:
    """Print all of it; a reader that has had enough is no error."""
    try:
        sys.stdout.write(table)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` closes the pipe: what was asked for has been read
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(code: int) -> None:
    """End the process at once: to take modules and arrays apart first takes a tenth of a small run."""
    if sys.modules["__main__"].__dict__ is not globals() or _is_watched():
        sys.exit(code)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it was closed when the process began
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 1
    os._exit(code)


def _is_watched() -> bool:
    """Whether a profiler, a tracer or a debugger has something to say at the end."""
    monitoring = getattr(sys, "monitoring", None)  # of Python 3.12
    tools = [monitoring.get_tool(number) for number in range(6)] if monitoring else []
    return bool(sys.getprofile() or sys.gettrace() or any(tools))


if __name__ == "__main__":
    from data.memory import give_back_freed  # of this process alone: another program has its own habits

    give_back_freed()
    _leave(main())
