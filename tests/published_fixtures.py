"""A tar file in the form of trRosetta's published networks, small and drawn at random."""

import io
import tarfile

import torch

from nets import experts, teacher, trrosetta
from nets.experts import TrRosetta

BLOCKS = 2


def state_bytes(seed):
    torch.manual_seed(seed)
    stream = io.BytesIO()
    torch.save(TrRosetta().state_dict() | {"to_prob_theta.0.bias": torch.zeros(25)}, stream)
    return stream.getvalue()


def write_published(path, states, names="abcde"):
    with tarfile.open(path, "w") as archive:
        for name, content in zip(names, states, strict=False):
            member = tarfile.TarInfo(f"model.xa{name}.pt")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def publish(folder, monkeypatch, seed=0):
    """Five networks of two blocks in the place of the package's; their file."""
    monkeypatch.setattr(experts, "BLOCKS", BLOCKS)
    path = write_published(folder / "models.tar.gz", [state_bytes(seed + k) for k in range(5)])
    for module in (experts, teacher, trrosetta):
        monkeypatch.setattr(module, "find_package_file", lambda _: (path, {"licence": "MIT"}))
    return path
