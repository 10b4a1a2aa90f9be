"""No bytes make a parser do anything but parse or raise an exception of `data.errors`.

The targets are those of `fuzz`, which searches for longer and is led by coverage; what it found stands as
``TARGET.WHAT`` in ``fixtures/hostile``.
"""

import pytest
from fuzz_targets import HOSTILE, TARGETS, attack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.timeout(300)
SHORT = settings(
    max_examples=30,
    deadline=None,  # of a busy machine; what hangs ends by the time-out below
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def mutated(draw, name):
    """A seed of a target with up to six pieces cut out, doubled, overwritten or put in."""
    target = TARGETS[name]
    content = draw(st.sampled_from(target.seeds))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(content)))
        size = draw(st.integers(0, 40))
        piece = draw(
            st.one_of(
                st.sampled_from([*target.words, b""]),
                st.binary(max_size=4),
                st.just(content[at : at + size] * 2),
            )
        )
        content = content[:at] + piece + content[at + draw(st.sampled_from([0, len(piece), size])) :]
    return content


@pytest.mark.parametrize("name", TARGETS)
def test_good_seeds_are_parsed(tmp_path, name):
    target = TARGETS[name]
    for seed in target.seeds:
        path = tmp_path / target.ending
        path.write_bytes(target.wrap(seed))
        target.parse(path)


@pytest.mark.parametrize("name", TARGETS)
@SHORT
@given(data=st.data())
def test_mutated_seeds_raise_domain_errors_alone(tmp_path, name, data):
    attack(TARGETS[name], data.draw(mutated(name)), tmp_path)


@pytest.mark.parametrize("name", TARGETS)
@SHORT
@given(content=st.binary(max_size=200))
def test_noise_raises_domain_errors_alone(tmp_path, name, content):
    attack(TARGETS[name], content, tmp_path)


@pytest.mark.parametrize("path", sorted(HOSTILE.iterdir()), ids=lambda path: path.name)
def test_what_was_found_before(tmp_path, path):
    attack(TARGETS[path.name.split(".")[0]], path.read_bytes(), tmp_path)
