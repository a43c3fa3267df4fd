"""The value of a policy from another one's log, on real and on simulated rounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.comparison import Status
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.off_policy import (
    Estimator,
    LoggedRounds,
    policy_lead,
    policy_value,
)
from tests.experiments.statistics.shared_data import columns
from tests.experiments.statistics.test_laws import agree, known_or_marked

ESTIMATORS: tuple[Estimator, ...] = ("ips", "snips", "clipped", "dr", "switch")


def open_bandit() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Random rounds: clicks, propensities; the other policy's frequency, mean score."""
    played, rounds = columns("obd_bts_men.csv.gz"), columns("obd_random_men.csv.gz")
    count, score = np.zeros((4, 100)), np.zeros((4, 100))
    place = played["position"].astype(int), played["item_id"].astype(int)
    np.add.at(count, place, 1)
    np.add.at(score, place, played["propensity_score"])
    here = rounds["position"].astype(int), rounds["item_id"].astype(int)
    frequency = count / np.maximum(count.sum(axis=1, keepdims=True), 1)
    average = score / np.maximum(count, 1)
    return rounds["click"], rounds["propensity_score"], frequency[here], average[here]


def test_open_bandit_gives_the_figures_computed_from_the_data() -> None:
    clicks, logged, frequency, _ = open_bandit()
    rounds = LoggedRounds.from_propensities(clicks, frequency, logged)
    ips, snips = (policy_value(rounds, estimator=name) for name in ("ips", "snips"))
    assert float(ips.estimate) == pytest.approx(0.0056562667, rel=1e-6)
    assert float(ips.standard_error) == pytest.approx(0.0013975995, rel=1e-6)
    assert float(snips.estimate) == pytest.approx(0.0057398647, rel=1e-6)
    assert float(ips.overlap.mean_weight) == pytest.approx(0.9854355, rel=1e-6)
    assert float(ips.overlap.effective_size) == pytest.approx(2869.28, rel=1e-5)
    # A few dozen clicks carry the value: readable, but approximate.
    assert ips.status == snips.status == Status.SKEW_WARNING
    # What the policy earned when it was live.
    assert float(snips.lower) < 0.0069 < float(snips.upper)


def test_averaged_propensities_are_refused() -> None:
    clicks, logged, _, average = open_bandit()
    result = policy_value(LoggedRounds.from_propensities(clicks, average, logged))
    assert float(result.overlap.mean_weight) == pytest.approx(1.95, abs=0.005)
    assert result.status == Status.WEIGHTS_OFF
    assert np.isnan(result.lower)
    assert "propensities" in Status(result.status.item()).sentence


ARMS = 5


def logs(
    experiments: int, rounds: int, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, float]:
    """Rounds of a contextual bandit and the true value of the target policy."""
    rng = np.random.default_rng(seed)
    context = rng.random((experiments, rounds, 1))
    arm = np.arange(ARMS)
    chance = 0.1 + 0.6 * context * (arm + 1) / ARMS
    logged = (1 + arm[::-1]) / (1 + arm).sum() * np.ones_like(chance)
    target = np.exp(2 * context * arm / ARMS)
    target = target / target.sum(axis=-1, keepdims=True)
    played = (rng.random((experiments, rounds, 1)) > np.cumsum(logged, -1)).sum(-1)
    played = np.minimum(played, ARMS - 1)[..., None]

    def of_played(table: FloatArray) -> FloatArray:
        return np.take_along_axis(table, played, axis=-1)[..., 0]

    reward = (rng.random((experiments, rounds)) < of_played(chance)).astype(float)
    grid = (np.arange(20_000)[:, None] + 0.5) / 20_000
    mix = np.exp(2 * grid * arm / ARMS)
    mix = mix / mix.sum(axis=-1, keepdims=True)
    truth = float((mix * (0.1 + 0.6 * grid * (arm + 1) / ARMS)).sum(-1).mean())
    value = (target * chance).sum(axis=-1)
    return reward, of_played(target), of_played(logged), of_played(chance), value, truth


def test_estimators_find_the_truth_and_cover_it() -> None:
    reward, target, logged, chance, value, truth = logs(1500, 600, seed=0)
    rounds = LoggedRounds.from_propensities(
        reward, target, logged, predicted=chance, predicted_value=value
    )
    noise = {}
    for name in ESTIMATORS:
        result = policy_value(rounds, estimator=name)
        assert np.isfinite(result.lower).mean() > 0.99
        noise[name] = float(result.estimate.var())
        error = (noise[name] / 1500) ** 0.5
        assert abs(float(result.estimate.mean()) - truth) < 2 * error + 1e-4
        miss = (result.lower > truth) | (result.upper < truth)
        assert 0.03 <= float(miss.mean()) <= 0.07
        assert float(
            np.nanmean(result.standard_error**2) / noise[name]
        ) == pytest.approx(1.0, abs=0.15)
    assert noise["dr"] < noise["ips"]
    assert noise["snips"] < noise["ips"]


def test_a_wrong_model_leaves_the_doubly_robust_value_unbiased() -> None:
    reward, target, logged, chance, value, truth = logs(1000, 400, seed=1)
    rounds = LoggedRounds.from_propensities(
        reward, target, logged, predicted=1 - chance, predicted_value=1 - value
    )
    result = policy_value(rounds, estimator="dr")
    error = float(result.estimate.std()) / 1000**0.5
    assert abs(float(result.estimate.mean()) - truth) < 2 * error


def test_the_lead_over_the_log_is_less_noisy_than_two_values() -> None:
    reward, target, logged, *_, truth = logs(1500, 600, seed=2)
    rounds = LoggedRounds.from_propensities(reward, target, logged)
    for name in ("ips", "snips"):
        lead = policy_lead(rounds, estimator=name)
        assert agree(lead)
        on_policy = float(reward.mean())
        miss = (lead.lower > truth - on_policy) | (lead.upper < truth - on_policy)
        assert 0.03 <= float(miss.mean()) <= 0.07
    same = LoggedRounds.from_propensities(reward[0], 0.2, 0.2)
    assert float(policy_lead(same).estimate) == pytest.approx(0.0, abs=1e-12)
    assert policy_lead(same).status == Status.DEGENERATE


def test_rounds_of_one_unit_count_as_one() -> None:
    reward, target, logged, *_ = logs(1, 500, seed=3)
    once = LoggedRounds.from_propensities(reward[0], target[0], logged[0])
    twice = LoggedRounds.from_propensities(
        *(np.repeat(rows[0], 2) for rows in (reward, target, logged)),
        unit=np.repeat(np.arange(500), 2),
    )
    for name in ("ips", "snips"):
        one, two = (policy_value(rounds, estimator=name) for rounds in (once, twice))
        assert float(two.estimate) == pytest.approx(float(one.estimate))
        assert float(two.standard_error) == pytest.approx(float(one.standard_error))


def test_clipping_and_switching_act_on_the_large_weights_alone() -> None:
    rounds = LoggedRounds.from_propensities(
        [1.0, 1.0], [0.5, 0.5], [0.5, 0.05], predicted=[0.5, 0.5], predicted_value=0.4
    )
    clipped = policy_value(rounds, estimator="clipped", threshold=2.0)
    assert float(clipped.estimate) == pytest.approx((1 + 2) / 2)
    switch = policy_value(rounds, estimator="switch", threshold=2.0)
    assert float(switch.estimate) == pytest.approx((0.4 + 0.5 + 0.4) / 2)
    assert float(clipped.overlap.max_weight) == pytest.approx(10.0)


def test_a_log_unlike_the_policy_is_refused_with_a_sentence() -> None:
    few = LoggedRounds.from_propensities(np.ones(90), 0.5, 0.5)
    assert policy_value(few).status == Status.LOW_OVERLAP
    assert float(policy_value(few).estimate) == 1.0
    assert policy_value(few).lower.shape == ()
    rare = np.where(np.arange(5000) % 500 == 0, 1.0, 0.0)
    sparse = LoggedRounds.from_propensities(rare, rare, np.full(5000, 0.002))
    assert sparse.overlap.effective_size == pytest.approx(10.0)
    assert policy_value(sparse).status == Status.LOW_OVERLAP
    halved = LoggedRounds.from_propensities(np.ones(1000), 0.25, 0.5)
    assert policy_value(halved).status == Status.WEIGHTS_OFF
    unlogged = LoggedRounds.from_propensities([1.0, 0.0], [0.5, 0.5], [0.0, 0.5])
    assert policy_value(unlogged).status == Status.WEIGHTS_OFF
    for status in (Status.LOW_OVERLAP, Status.WEIGHTS_OFF):
        assert status.sentence.endswith(".")


shares = st.floats(0, 1)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), shares, shares), max_size=8),
    st.integers(1, 60),
    st.sampled_from(ESTIMATORS),
)
def test_any_log_gives_figures_or_a_status(
    rows: list[tuple[float, float, float]], copies: int, estimator: Estimator
) -> None:
    table = np.tile(np.array(rows).reshape(-1, 3), (copies, 1))
    rounds = LoggedRounds.from_propensities(table[:, 0], table[:, 1], table[:, 2])
    lead = policy_lead(rounds, estimator=estimator)
    assert agree(lead)
    assert known_or_marked(lead)
    value = policy_value(rounds, estimator=estimator)
    shown = value.status in (Status.OK, Status.SKEW_WARNING)
    assert np.isfinite(value.upper) == shown


def test_wrong_arguments_are_named() -> None:
    rounds = LoggedRounds.from_propensities([1.0, 0.0], 0.5, 0.5)
    with pytest.raises(StatisticsError, match=r"target must be <= 1, got 1\.5"):
        LoggedRounds.from_propensities([1.0], 1.5, 0.5)
    with pytest.raises(StatisticsError, match="estimator must be one of"):
        policy_value(rounds, estimator="magic")  # type: ignore[arg-type]  # wrong
    with pytest.raises(StatisticsError, match="threshold must lie in"):
        policy_value(rounds, estimator="clipped", threshold=0.0)
    with pytest.raises(StatisticsError, match=r"unit must have shape \(2,\)"):
        LoggedRounds.from_propensities([1.0, 0.0], 0.5, 0.5, unit=[1])
    with pytest.raises(StatisticsError, match="alpha must lie in"):
        policy_value(rounds, alpha=1.0)
    with pytest.raises(StatisticsError, match="shapes do not fit"):
        LoggedRounds.from_propensities([1.0, 0.0], [0.5] * 3, 0.5)
