"""What lies in ``nets/pretrained``: small files with their cards, nothing in them from published networks."""

import pytest

from data.errors import MapError
from nets.card import learned_clusters, published, tuning_clusters
from nets.checkpoint import load_refiner
from nets.shipped import DEFAULT, PRETRAINED, find_weights

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


def test_a_name_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(MapError, match=f"one of: {', '.join(NAMES)}"):
        find_weights("covarion-0")
