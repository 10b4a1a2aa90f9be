"""Published networks as experts: their inputs, their file, and the door by which their maps enter."""

import io
import os
import tarfile

import numpy as np
import pytest
import torch
from test_nets_train import MODEL, examples, settings  # noqa: F401 (examples is a fixture)

from data.errors import CovarionError
from data.registry import find_package_file
from dca.weights import sequence_weights
from nets import experts
from nets.checkpoint import load_refiner
from nets.config import PAIR_MAPS, TRROSETTA_MAPS, RefinerConfig
from nets.experts import TRROSETTA_LETTERS, TrRosetta, log_odds, trrosetta, trrosetta_inputs
from nets.features import compute_features
from nets.train import Trainer, data_card

LETTERS = "ACDEFGHIKLMNPQRSTVWY-"
ROWS, LENGTH = 40, 9


@pytest.fixture
def tokens():
    rng = np.random.default_rng(3)
    return rng.integers(0, 21, size=(ROWS, LENGTH)).astype(np.int8) * (rng.random((ROWS, LENGTH)) < 0.6)


def naive_inputs(tokens):
    """Channels from the formulas, in the order of the published code: one-hot in the networks' letters."""
    rows, length = tokens.shape
    hot = np.array([[[LETTERS[t] == letter for letter in TRROSETTA_LETTERS] for t in row] for row in tokens])
    flat, weights = hot.reshape(rows, -1).astype(float), sequence_weights(tokens, 0.8).astype(float)
    points = weights.sum() - np.sqrt(weights.mean())
    centred = (flat - weights @ flat / points) * np.sqrt(weights)[:, None]
    shrunk = centred.T @ centred / points + 4.5 / np.sqrt(weights.sum()) * np.eye(length * 21)
    inverse = np.linalg.inv(shrunk)
    profile = np.einsum("n,nla->la", weights, hot) / weights.sum() + 1e-9
    x = np.zeros((526, length, length))
    norm = np.zeros((length, length))
    for i in range(length):
        for j in range(length):
            block = inverse[i * 21 : i * 21 + 21, j * 21 : j * 21 + 21]
            norm[i, j] = np.sqrt((block[:20, :20] ** 2).sum()) if i != j else 0.0
            x[84:525, j, i] = block.ravel()
            for first, k in ((0, i), (42, j)):
                x[first : first + 20, j, i] = hot[0, k, :20]
                x[first + 20 : first + 41, j, i] = profile[k]
                x[first + 41, j, i] = -(profile[k] * np.log(profile[k])).sum()
    for i in range(length):
        for j in range(length):
            x[525, j, i] = (norm[i, j] - norm[i].sum() * norm[:, j].sum() / norm.sum()) * (i != j)
    return x


def test_inputs_are_those_of_the_formulas(tokens):
    # The covariance's mean has its own denominator in the published code; ours is the frequency.
    ours, naive = trrosetta_inputs(tokens), naive_inputs(tokens)
    assert ours.shape == (526, LENGTH, LENGTH)
    assert ours[:84] == pytest.approx(naive[:84], abs=1e-5)
    assert np.corrcoef(ours[84:525].ravel(), naive[84:525].ravel())[0, 1] > 0.999
    assert ours[525] == pytest.approx(naive[525], abs=0.02 * np.abs(naive[525]).max())


def test_log_odds_are_those_of_the_sum_below_the_edge():
    distance = np.random.default_rng(0).dirichlet(np.ones(37), size=(4, 4)).astype(np.float32)
    below = distance[1, 2, 1:13].sum()  # 2 to 8 angstrom
    assert log_odds(distance)[8.0][1, 2] == pytest.approx(np.log(below / (1 - below)), abs=1e-4)
    assert set(TRROSETTA_MAPS.values()) <= set(log_odds(distance))
    certain = np.zeros((2, 2, 37), dtype=np.float32)
    certain[..., 5] = 1.0
    assert np.isfinite(log_odds(certain)[20.0]).all()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A tar file in the form of the published one; what it holds can be changed."""

    def write(states, names="abcde"):
        path = tmp_path / "models.tar.gz"
        with tarfile.open(path, "w") as archive:
            for name, content in zip(names, states, strict=False):
                member = tarfile.TarInfo(f"model.xa{name}.pt")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        monkeypatch.setattr(experts, "find_package_file", lambda _: (path, {}))
        return path

    return write


def state_bytes(seed):
    torch.manual_seed(seed)
    stream = io.BytesIO()
    torch.save(TrRosetta().state_dict() | {"to_prob_theta.0.bias": torch.zeros(25)}, stream)
    return stream.getvalue()


def test_the_map_is_the_mean_of_five_networks_and_symmetric(published, monkeypatch, tokens):
    monkeypatch.setattr(experts, "BLOCKS", 2)
    states = [state_bytes(seed) for seed in range(5)]
    published(states)
    found = trrosetta(tokens)
    assert found.shape == (LENGTH, LENGTH, 37)
    assert found == pytest.approx(found.transpose(1, 0, 2), abs=1e-6)
    assert found.sum(axis=2) == pytest.approx(1.0, abs=1e-5)
    published([states[0]] * 5)
    assert np.abs(trrosetta(tokens) - found).max() > 1e-3


class Planted:
    """A pickle that would run a command."""

    def __reduce__(self):
        return os.mkdir, ("planted",)


def test_a_file_of_another_kind_is_refused_and_runs_nothing(published, monkeypatch, tokens, tmp_path):
    monkeypatch.setattr(experts, "BLOCKS", 2)
    monkeypatch.chdir(tmp_path)
    stream = io.BytesIO()
    torch.save({"x": Planted()}, stream)
    whole = [state_bytes(0)] * 5
    for states in ([stream.getvalue()] * 5, [b"", *whole[1:]], whole[:4]):
        published(states)
        with pytest.raises(CovarionError, match="not the published networks"):
            trrosetta(tokens)
    assert not (tmp_path / "planted").exists()
    published(whole).write_bytes(b"no tar")
    with pytest.raises(CovarionError, match=r"models\.tar\.gz"):
        trrosetta(tokens)


def test_it_is_the_network_of_the_package():
    package = pytest.importorskip("tr_rosetta_pytorch", reason="tr-rosetta-pytorch is not installed")
    find_package_file(experts.TRROSETTA_FILE)
    torch.manual_seed(1)
    theirs, ours = package.trRosettaNetwork().eval(), TrRosetta().eval()
    ours.load_state_dict({key: theirs.state_dict()[key] for key in ours.state_dict()})
    x = torch.randn(1, 526, 7, 7)
    with torch.no_grad():
        assert torch.allclose(theirs(x)[2], torch.softmax(ours(x), dim=1), atol=1e-5)


@pytest.fixture
def faked(monkeypatch):
    """A published network that is right away there: every pair at 7 angstrom, surely."""

    def distance(tokens):
        found = np.full((tokens.shape[1], tokens.shape[1], 37), 1e-3, dtype=np.float32)
        found[..., 11] = 1 - 36e-3
        return found

    monkeypatch.setattr(experts, "trrosetta", distance)


def test_channels_of_an_expert_keep_their_scale(faked, tokens):
    names = (*PAIR_MAPS, *TRROSETTA_MAPS)
    maps = compute_features(tokens, names).maps
    assert maps.shape == (LENGTH * (LENGTH - 1) // 2, len(names))
    near, six = (names.index(f"expert:trrosetta-{edge}") for edge in (8, 6))
    assert (maps[:, near] > 0.5).all()
    assert (maps[:, six] < -0.5).all()


def test_training_goes_on_from_weights_that_did_not_know_the_expert(faked, examples, tmp_path):  # noqa: F811
    first = Trainer(examples, MODEL, settings(), tmp_path / "first")
    first.run()
    start = load_refiner(str(first.finish(data_card(examples))))
    wider = RefinerConfig(channels=8, blocks=2, pair_maps=(*PAIR_MAPS, "expert:trrosetta-8"))
    model = Trainer(examples, wider, settings(), tmp_path / "second", start=start).model
    assert torch.equal(model.embed_maps.weight[:, :2], start.model.embed_maps.weight)
    assert not model.embed_maps.weight[:, 2].any()
    for other in (
        RefinerConfig(channels=8, blocks=2, pair_maps=("expert:trrosetta-8", *PAIR_MAPS)),
        RefinerConfig(channels=8, blocks=3, pair_maps=wider.pair_maps),
    ):
        with pytest.raises(CovarionError, match="another shape"):
            Trainer(examples, other, settings(), tmp_path / "third", start=start)
