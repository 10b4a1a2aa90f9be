"""Networks that were trained apart in one file: their logits are averaged, their histories added up."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.errors import CovarionError
from data.homology import Family, save_families
from dca.simulate import simulate_family
from nets.card import learned_clusters, tuning_proteins
from nets.checkpoint import load_refiner, save_weights
from nets.config import RefinerConfig
from nets.features import compute_features
from nets.join import join_weights
from nets.lineage import grown
from nets.model import Committee
from nets.networks import network_of
from nets.predict import distance_logits, predict
from nets.probability import IDENTITY
from nets.relatives import families_file, known_families

SHAPE = RefinerConfig(channels=8, blocks=2)


def card(learned, tuned):
    return {
        "train": {"proteins": learned, "clusters": [f"c-{name}" for name in learned], "folds": 2},
        "tune": {"proteins": tuned, "clusters": [f"c-{name}" for name in tuned]},
        "training": {"seed": 1},
    }


def written(path, seed, content, shape=SHAPE):
    torch.manual_seed(seed)
    model = network_of(shape)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    save_weights(path, dict(model.state_dict()), shape, [list(row) for row in IDENTITY], content)
    names = [*content["train"]["proteins"], *content["tune"]["proteins"]]
    save_families(families_file(path), [Family(name, f"c-{name}", "train", "ACDEFG" * 5) for name in names])
    return str(path)


@pytest.fixture
def two(tmp_path):
    return [
        written(tmp_path / "a.safetensors", 1, card(["p", "q"], ["t"])),
        written(tmp_path / "b.safetensors", 2, card(["q", "r"], ["t"])),
    ]


@pytest.fixture(scope="module")
def features():
    contacts = np.zeros((20, 20), dtype=bool)
    tokens, _ = simulate_family(contacts, 40, np.random.default_rng(1))
    return compute_features(tokens)


def test_logits_are_the_mean_of_the_members(two, features, tmp_path):
    out = tmp_path / "joined.safetensors"
    join_weights(two, out)
    joined = load_refiner(str(out))
    assert isinstance(joined.model, Committee)
    assert joined.model.config.members == 2
    each = [distance_logits(load_refiner(name).model, features) for name in two]
    assert float((each[0] - each[1]).abs().max()) > 0.1
    found = distance_logits(joined.model, features)
    torch.testing.assert_close(found, (each[0] + each[1]) / 2, rtol=2e-3, atol=2e-2)  # half precision
    assert predict(joined, features).contact.shape == (20, 20)


def test_dropout_is_no_part_of_the_shape(two, tmp_path):
    other = written(tmp_path / "c.safetensors", 3, card(["s"], []), replace(SHAPE, dropout=0.4))
    join_weights([two[0], other], tmp_path / "joined.safetensors")
    assert load_refiner(str(tmp_path / "joined.safetensors")).model.config.members == 2


def test_a_network_with_triangles_joins_one_without(two, features, tmp_path):
    shape = replace(SHAPE, triangles=1)
    other = written(tmp_path / "c.safetensors", 3, card(["s"], []), shape)
    out = tmp_path / "joined.safetensors"
    join_weights([two[0], other], out)
    joined = load_refiner(str(out)).model
    assert joined.config.triangles == 1
    assert [member.triangle(0) is not None for member in joined.members] == [False, True]
    each = [distance_logits(load_refiner(name).model, features) for name in (two[0], other)]
    mean = (each[0] + each[1]) / 2
    torch.testing.assert_close(distance_logits(joined, features), mean, rtol=2e-3, atol=2e-2)
    third = written(tmp_path / "d.safetensors", 4, card(["s"], []), replace(SHAPE, triangles=2))
    with pytest.raises(CovarionError, match="of one shape"):
        join_weights([other, third], out)


def test_long_maps_are_read_by_the_first_two(two, features, tmp_path):
    third = written(tmp_path / "c.safetensors", 3, card(["s"], []))
    found = {}
    for limit in (0, 19, 20):
        out = tmp_path / f"joined-{limit}.safetensors"
        join_weights([*two, third], out, quick_above=limit)
        found[limit] = distance_logits(load_refiner(str(out)).model, features)
    join_weights(two, tmp_path / "pair.safetensors")
    pair = distance_logits(load_refiner(str(tmp_path / "pair.safetensors")).model, features)
    assert torch.equal(found[0], found[20])
    assert torch.equal(found[19], pair)
    assert float((found[0] - pair).abs().max()) > 0.1


def test_it_may_go_on_with_more_maps(two, tmp_path):
    join_weights(two, tmp_path / "joined.safetensors")
    start = load_refiner(str(tmp_path / "joined.safetensors")).model
    wider = network_of(replace(start.config, pair_maps=(*start.config.pair_maps, "expert:mine")))
    wider.load_state_dict(grown(start.state_dict(), wider.state_dict()))
    for member, before in zip(wider.members, start.members, strict=True):
        assert torch.equal(member.embed_maps.weight[:, :2], before.embed_maps.weight)
        assert not bool(member.embed_maps.weight[:, 2].any())


def test_histories_are_added_up(two, tmp_path):
    join_weights(two, tmp_path / "joined.safetensors")
    joined = load_refiner(str(tmp_path / "joined.safetensors"))
    assert learned_clusters(joined.card) == {"c-p", "c-q", "c-r"}
    assert joined.card["train"]["proteins"] == ["p", "q", "r"]
    assert joined.card["train"]["folds"] == 2
    assert tuning_proteins(joined.card) == {"t"}
    assert [one["sha256"] for one in joined.card["members"]] == [load_refiner(name).sha256 for name in two]
    families = known_families(tmp_path / "joined.safetensors")
    assert sorted(family.family for family in families) == ["p", "q", "r", "t"]


def test_what_cannot_be_joined_is_refused(two, tmp_path):
    out = tmp_path / "joined.safetensors"
    other = written(tmp_path / "c.safetensors", 3, card(["s"], []), RefinerConfig(channels=8, blocks=3))
    for names in ([two[0]], [two[0], other]):
        with pytest.raises(CovarionError, match="networks of one shape can be joined"):
            join_weights(names, out)
    seen = written(tmp_path / "d.safetensors", 4, card(["t"], []))
    with pytest.raises(CovarionError, match=r"learned from what another was tuned on.*c-t"):
        join_weights([two[0], seen], out)
    named = card(["t"], [])
    named["train"]["clusters"] = ["t"]  # a cluster of its own
    with pytest.raises(CovarionError, match="learned from what another was tuned on"):
        join_weights([two[0], written(tmp_path / "e.safetensors", 5, named)], out)
    assert not out.exists()


def test_a_file_that_lacks_a_member_is_refused(two, tmp_path):
    out = tmp_path / "joined.safetensors"
    join_weights(two, out)
    joined = load_refiner(str(out))
    tensors = joined.model.state_dict()
    tensors = {name: value for name, value in tensors.items() if not name.startswith("members.1.")}
    save_weights(out, tensors, joined.model.config, joined.calibration, joined.card)
    with pytest.raises(CovarionError, match=r"members\.1\..*, the settings ask for"):
        load_refiner(str(out))
