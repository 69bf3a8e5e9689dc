from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.report.samples import SampleKind, ShownSample, fair_share

KINDS = list(SampleKind)


def sample(number: int, kind: SampleKind) -> ShownSample:
    return ShownSample(
        question=str(number),
        reference_answer="",
        completion="",
        extracted_answer=None,
        verdict="correct",
        score=None,
        kind=kind,
    )


@given(
    kinds=st.dictionaries(st.sampled_from("abc"), st.lists(st.sampled_from(KINDS), max_size=12)),
    limit=st.integers(0, 20),
)
def test_a_limit_falls_on_the_largest_groups(kinds: dict[str, list[SampleKind]], limit: int) -> None:
    given_samples = {name: [sample(n, kind) for n, kind in enumerate(of_model)] for name, of_model in kinds.items()}
    kept = fair_share(given_samples, limit)
    assert list(kept) == list(given_samples)
    assert sum(map(len, kept.values())) == min(limit, sum(map(len, given_samples.values())))
    sizes = {(name, kind): sum(one.kind is kind for one in kept[name]) for name in kept for kind in KINDS}
    for (name, kind), size in sizes.items():
        there = [one for one in given_samples[name] if one.kind is kind]
        assert [one for one in kept[name] if one.kind is kind] == there[:size]
        assert size == len(there) or size >= max(sizes.values()) - 1
