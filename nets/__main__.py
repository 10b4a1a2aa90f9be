"""``python -m nets ALIGNMENT``: refined contact probabilities of one alignment.

``python -m nets train MANIFEST -o weights.safetensors`` trains a refiner on a data set, and
``python -m nets verify MANIFEST`` reads it once against its checksums. ``python -m nets teach ALIGNMENT -o
teacher.npz`` and ``python -m nets published NUMBER|all -o weights.safetensors`` ask published networks;
``python -m nets join WEIGHTS WEIGHTS -o joined.safetensors`` makes one file of networks trained apart.
"""

import argparse
import json
import logging
import os
import sys
from typing import Any

import numpy as np

EVERY = "all"  # published networks together
TRY_AGAIN = 75  # exit code of a training run that saved its state and stopped: EX_TEMPFAIL of sysexits.h


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
    parser = argparse.ArgumentParser(
        prog="python -m nets", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("alignment", help="A3M, A2M, FASTA, Stockholm or PSICOV file, plain or gzip")
    parser.add_argument(
        "--weights",
        action="append",
        metavar="NAME|FILE",
        help="shipped weights or a .safetensors file (default: default); given again, the mean is taken",
    )
    parser.add_argument(
        "--expert",
        action="append",
        default=[],
        type=_expert,
        metavar="trrosetta|NAME=MAP",
        help="published network, or foreign map, that the weights read (those that read a foreign map are "
        "trained with the functions of `nets`: the commands make examples without one)",
    )
    parser.add_argument("--query", default="", help="name or sequence of the query (default: the first row)")
    parser.add_argument("--min-separation", type=_positive, default=6, help="smallest j - i that is printed")
    parser.add_argument("--threads", type=_positive, default=1)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("-o", "--output", metavar="MAP.npz", help="probabilities and distances of all pairs")
    return parser.parse_args()


def _print_pairs(contact: np.ndarray, query: str, min_separation: int) -> None:
    from dca.__main__ import print_table

    first, second = np.triu_indices(len(query), min_separation)
    order = np.argsort(-contact[first, second], kind="stable")
    print_table(
        "".join(
            f"{i + 1}\t{j + 1}\t{query[i]}\t{query[j]}\t{contact[i, j]:.4f}\n"
            for i, j in zip(first[order], second[order], strict=True)
        )
    )


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
    from nets.card import published_by
    from nets.checkpoint import choose_device, load_refiner
    from nets.predict import predict_together

    set_threads(options.threads)
    torch.set_num_threads(options.threads)
    members = [load_refiner(name, choose_device(options.device)) for name in options.weights or ["default"]]
    alignment = read_alignment(options.alignment, options.query)
    names = tuple(name for loaded in members for name in loaded.model.config.pair_maps)
    together = " + ".join(loaded.name for loaded in members)
    _check_experts([name for name, _ in options.expert], names, together)
    if origin := published_by(members):
        logging.getLogger(__name__).warning(
            "%s: learned from published networks, %s, which may have seen this protein", together, origin
        )
    foreign = {name: read_map(path, alignment.query) for name, path in options.expert if path}
    prediction, neff = predict_together(members, alignment.tokens, foreign)
    if options.output:
        save_arrays(
            options.output,
            **vars(prediction),
            weights=together,
            weights_sha256=" + ".join(loaded.sha256 for loaded in members),
            query=alignment.query,
            columns=alignment.columns,
            neff=np.float32(neff),
            published=origin,
        )
    _print_pairs(prediction.contact, alignment.query, options.min_separation)


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _training_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m nets train",
        description="Train a refiner on a data set of `snakemake dataset`. Killed, or stopped by SIGTERM, "
        f"SIGUSR1 or --minutes (exit code {TRY_AGAIN}), the same command goes on from its last checkpoint. "
        "Started by torchrun, all processes train together.",
    )
    parser.add_argument("manifest", help="manifest.json of the data set")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="weights.safetensors",
        help="in the folder of the run, with its checkpoint and history; of another name, theirs follow it",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="a field of nets.config.TrainConfig, or model.NAME of RefinerConfig; the value as JSON",
    )
    parser.add_argument("--leave-out", default="", metavar="CLUSTER", help="learn nothing from this cluster")
    parser.add_argument("--start", default="", help="weights to go on from, by name or path")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=_positive, default=1, help="of each process")
    parser.add_argument(
        "--readers", type=_positive, default=1, help="threads that read crops, of each process"
    )
    parser.add_argument("--minutes", type=float, default=0, help="save and stop after so long; 0: never")
    parser.add_argument("--processes", type=_positive, default=1, help="that train together on this machine")
    return parser.parse_args(words)


def _train(options: argparse.Namespace) -> None:
    from nets.launch import train_dataset, train_in_processes

    common: dict[str, Any] = {
        "model": {k.removeprefix("model."): v for k, v in options.set if k.startswith("model.")},
        "settings": {k: v for k, v in options.set if not k.startswith("model.")},
    } | {name: getattr(options, name) for name in ("leave_out", "start", "threads", "readers", "minutes")}
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        common["device"] = options.device
        train_in_processes(options.processes, options.manifest, options.output, **common)
        return
    place: dict[str, Any] = {
        "rank": int(os.environ["RANK"]),
        "size": size,
        "device": _own_device(options.device),
    }
    train_dataset(options.manifest, options.output, **common, **place)


def _own_device(device: str) -> str:
    """Device of this process among those that torchrun started on this machine."""
    from nets.checkpoint import choose_device

    device = choose_device(device)
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else device


def _verify(options: argparse.Namespace) -> None:
    from nets.manifest import verify

    verify(options.manifest)


def _published(options: argparse.Namespace) -> None:
    from nets.trrosetta import published_expert, published_weights

    if options.number == EVERY:
        published_expert(options.output)
    else:
        published_weights(int(options.number), options.output)


def _teach(options: argparse.Namespace) -> None:
    from data.msa import read_alignment
    from dca.accelerate import set_threads
    from nets.teacher import ask_about

    set_threads(options.threads)
    ask_about(
        read_alignment(options.alignment, options.query).tokens, options.alignment, options.output,
        threads=options.threads,
    )  # fmt: skip


def _join(options: argparse.Namespace) -> None:
    from nets.join import join_weights

    join_weights(options.weights, options.output, options.quick_above)


def _join_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m nets join",
        description="One file of networks of one shape, which read maps together. It is not calibrated: go "
        "on with `python -m nets train MANIFEST --start joined.safetensors --set steps=0 --set chain=0.4`.",
    )
    parser.add_argument("weights", nargs="+", help="names or files, two or more")
    parser.add_argument("-o", "--output", required=True, metavar="joined.safetensors")
    parser.add_argument(
        "--quick-above", type=int, default=0, metavar="COLUMNS", help="maps of more are read by the first two"
    )
    return parser.parse_args(words)


def _published_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m nets published",
        description="Write one of trRosetta's five published networks as weights to predict with or to start "
        "from, or all five as one expert with folded chains, calibrated (needs the package "
        "tr-rosetta-pytorch).",
    )
    parser.add_argument("number", choices=[*map(str, range(1, 6)), EVERY])
    parser.add_argument("-o", "--output", required=True, metavar="weights.safetensors")
    return parser.parse_args(words)


def _teach_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m nets teach",
        description="Distance distributions of trRosetta's five published networks for an alignment, as soft "
        "labels (needs the package tr-rosetta-pytorch). What is there of the same inputs stays.",
    )
    parser.add_argument("alignment", help="A3M, A2M, FASTA, Stockholm or PSICOV file, plain or gzip")
    parser.add_argument("-o", "--output", required=True, metavar="teacher.npz")
    parser.add_argument("--query", default="", help="name or sequence of the query (default: the first row)")
    parser.add_argument("--threads", type=_positive, default=1)
    return parser.parse_args(words)


def _command() -> tuple[Any, argparse.Namespace]:
    """What is to be run, and its arguments."""
    words = sys.argv[1:]
    if words[:1] == ["train"]:
        return _train, _training_arguments(words[1:])
    if words[:1] == ["published"]:
        return _published, _published_arguments(words[1:])
    if words[:1] == ["teach"]:
        return _teach, _teach_arguments(words[1:])
    if words[:1] == ["join"]:
        return _join, _join_arguments(words[1:])
    if words[:1] == ["verify"]:
        parser = argparse.ArgumentParser(prog="python -m nets verify")
        parser.add_argument("manifest", help="manifest.json of the data set")
        return _verify, parser.parse_args(words[1:])
    return _run, _arguments()


def main() -> int:
    """Exit code 0 only when the result is whole."""
    from data.errors import CovarionError, TrainingStopped

    run, options = _command()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        run(options)
    except (CovarionError, ValueError, OSError) as error:
        print(f"python -m nets: {error}", file=sys.stderr)
        return TRY_AGAIN if isinstance(error, TrainingStopped) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
