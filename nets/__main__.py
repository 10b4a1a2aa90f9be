"""``python -m nets ALIGNMENT``: refined contact probabilities of one alignment."""

import argparse
import logging
import sys

import numpy as np


def _positive(text: str) -> int:
    """A whole number of at least one."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _expert(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if text != "trrosetta" and not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is neither trrosetta nor NAME=MAP")
    return name, path


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m nets", description=__doc__)
    parser.add_argument("alignment", help="A3M, A2M, FASTA, Stockholm or PSICOV file, plain or gzip")
    parser.add_argument("--weights", default="default", help="name of shipped weights or a .safetensors file")
    parser.add_argument(
        "--expert",
        action="append",
        default=[],
        type=_expert,
        metavar="trrosetta|NAME=MAP",
        help="published network, or foreign map, that the weights read",
    )
    parser.add_argument("--query", default="", help="name or sequence of the query (default: the first row)")
    parser.add_argument("--min-separation", type=_positive, default=6, help="smallest j - i that is printed")
    parser.add_argument("--threads", type=_positive, default=1)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("-o", "--output", metavar="MAP.npz", help="probabilities and distances of all pairs")
    return parser.parse_args()


def _print_pairs(contact: np.ndarray, query: str, min_separation: int) -> None:
    first, second = np.triu_indices(len(query), min_separation)
    for k in np.argsort(-contact[first, second], kind="stable"):
        i, j = first[k], second[k]
        print(i + 1, j + 1, query[i], query[j], f"{contact[i, j]:.4f}", sep="\t")


def _check_experts(given: list[str], channels: tuple[str, ...], weights: str) -> None:
    """Refuse an expert that the weights do not read, and weights whose expert is not named."""
    from nets.config import TRROSETTA_MAPS
    from nets.features import EXPERT_PREFIX

    read = {
        "trrosetta" if channel in TRROSETTA_MAPS else channel.removeprefix(EXPERT_PREFIX)
        for channel in channels
        if channel.startswith(EXPERT_PREFIX)
    }
    if unused := sorted(set(given) - read):
        raise ValueError(f"weights {weights} do not read the expert {', '.join(unused)}")
    if missing := sorted(read - set(given)):
        raise ValueError(f"weights {weights} read the expert {', '.join(missing)}: name it with --expert")


def _run(options: argparse.Namespace) -> None:
    import torch

    from data.foreign import read_map
    from data.msa import read_alignment
    from data.store import save_arrays
    from dca.accelerate import set_threads
    from nets.checkpoint import choose_device, load_refiner
    from nets.features import compute_features
    from nets.predict import predict

    set_threads(options.threads)
    torch.set_num_threads(options.threads)
    loaded = load_refiner(options.weights, choose_device(options.device))
    alignment = read_alignment(options.alignment, options.query)
    names = loaded.model.config.pair_maps
    _check_experts([name for name, _ in options.expert], names, loaded.name)
    foreign = {name: read_map(path, alignment.query) for name, path in options.expert if path}
    features = compute_features(alignment.tokens, names, foreign)
    prediction = predict(loaded, features)
    if options.output:
        save_arrays(
            options.output,
            **vars(prediction),
            weights=loaded.name,
            weights_sha256=loaded.sha256,
            query=alignment.query,
            columns=alignment.columns,
            neff=np.float32(features.neff),
        )
    _print_pairs(prediction.contact, alignment.query, options.min_separation)


def main() -> int:
    """Exit code 0 only when the result is whole."""
    from data.errors import CovarionError

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        _run(_arguments())
    except (CovarionError, ValueError, OSError) as error:
        print(f"python -m nets: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
