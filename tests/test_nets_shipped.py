"""What lies in ``nets/pretrained``: small files with their cards, no weights from published networks."""

import numpy as np
import pytest

from data.errors import MapError
from data.store import load_json
from nets.card import learned_clusters, published, tuning_clusters, tuning_proteins
from nets.chain import ChainPrior
from nets.checkpoint import load_refiner
from nets.config import TRROSETTA
from nets.shipped import DEFAULT, PRETRAINED, find_weights
from nets.trrosetta import FITTED

NAMES = sorted(path.stem for path in PRETRAINED.glob("*.safetensors"))


def test_all_together_are_under_20_mb():
    assert DEFAULT in NAMES
    assert sum(path.stat().st_size for path in PRETRAINED.iterdir()) < 20_000_000


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_card_and_nothing_of_a_published_network(name):
    loaded = load_refiner(name)
    assert learned_clusters(loaded.card)
    assert not learned_clusters(loaded.card) & tuning_clusters(loaded.card)
    assert published(loaded.card) == ""
    assert (PRETRAINED / f"{name}.md").read_text().startswith(f"# Data card of `{name}`")


def test_chains_and_calibration_of_the_published_networks_come_of_tuning_families_alone():
    fitted = load_json(FITTED)
    assert ChainPrior(**fitted["chain"]).checked(TRROSETTA.bins).weight == 0.8
    assert np.shape(fitted["calibration"]) == (3, 4)
    known = load_refiner(DEFAULT).card
    assert fitted["tune"]["clusters"]
    assert set(fitted["tune"]["clusters"]) <= tuning_clusters(known)
    assert set(fitted["tune"]["proteins"]) <= tuning_proteins(known)


def test_a_name_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(MapError, match=f"one of: {', '.join(NAMES)}"):
        find_weights("covarion-0")
