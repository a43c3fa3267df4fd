"""Out-of-fold predictions as a covariate."""

import numpy as np
import pytest

from experiments.statistics import cupac
from experiments.statistics.comparison import Comparison
from experiments.statistics.cupac import (
    fit_with_predictions,
    folds_of,
    predict_out_of_fold,
    ridge,
)
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.regression import regression_difference


def test_a_unit_keeps_its_fold_whatever_stands_beside_it() -> None:
    words = np.array(["u1", "u2", "a-much-longer-id", "Zoë"])
    assert folds_of(words).tolist() == [folds_of([w])[0] for w in words.tolist()]
    # Frozen: other versions and machines must deal the same.
    assert folds_of(["u1", "u2", "Zoë"], folds=1000).tolist() == [293, 939, 346]
    assert folds_of([1, 2, 3], folds=1000, seed=7).tolist() == [562, 812, 427]


def test_the_hashes_equal_their_published_vectors() -> None:
    """FNV-1a (Noll's test suite) and the first number of SplitMix64 from seed 0."""
    got = cupac._fnv(np.array(["a", "foobar"])).tolist()
    assert got == [0xAF63DC4C8601EC8C, 0x85944171F73967E8]
    assert cupac._mix(np.zeros(1, np.uint64)).tolist() == [0xE220A8397B1DCDAF]


def test_folds_are_even_and_another_seed_deals_anew() -> None:
    ids = np.arange(50_000)
    first, second = folds_of(ids), folds_of(ids, seed=1)
    table = np.zeros((5, 5))
    np.add.at(table, (first, second), 1)
    # 25 cells of 2,000 expected: sd 44.
    assert np.abs(table - 2000).max() < 200
    words = folds_of(np.char.add("user-", ids.astype(str)))
    assert np.abs(np.bincount(words) - 10_000).max() < 400


def outcome(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    return np.asarray(x @ np.array([1.0, 0.5, -1.0]) + rng.standard_normal(len(x)))


def test_no_unit_is_predicted_by_a_model_that_saw_it() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3))
    seen: list[set[float]] = []

    def learner(known: FloatArray, metric: FloatArray, other: FloatArray) -> FloatArray:
        seen.append(set(known[:, 0]) & set(other[:, 0]))
        assert len(known) + len(other) == 200
        return np.full(len(other), metric.mean())

    got = predict_out_of_fold(outcome(x, rng), x, np.arange(200), learner=learner)
    assert len(seen) == 5
    assert not any(seen)
    assert got.r2 < 0.05


def test_ridge_without_penalty_is_least_squares() -> None:
    rng = np.random.default_rng(1)
    x, new = rng.standard_normal((80, 3)), rng.standard_normal((5, 3))
    y = outcome(x, rng)
    design = np.column_stack([np.ones(80), x])
    wanted = (
        np.column_stack([np.ones(5), new]) @ np.linalg.lstsq(design, y, rcond=None)[0]
    )
    np.testing.assert_allclose(ridge(0.0)(x, y, new), wanted)
    np.testing.assert_allclose(ridge()(x, y, new), wanted, atol=0.1)
    heavy = ridge(1e9)(x, y, new)
    np.testing.assert_allclose(heavy, y.mean(), atol=1e-3)


def test_ridge_takes_missing_constant_and_repeated_features() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((300, 3))
    y = outcome(x, rng)
    odd = np.column_stack([x, x[:, 0], np.full(300, 4.0), np.full(300, np.nan)])
    odd[::4, 1] = np.nan
    got = predict_out_of_fold(y, odd, np.arange(300))
    assert np.isfinite(got.values).all()
    assert got.r2 > 0.4


def simulated(seed: int, effect: float) -> tuple[Comparison, Comparison, float]:
    """The adjusted and the plain difference of 600 units, and the model's R^2."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((600, 3))
    arm = rng.integers(0, 2, 600)
    y = outcome(x, rng) + effect * arm
    predicted = predict_out_of_fold(y, x, np.arange(600) + 1000 * seed)
    fitted = fit_with_predictions(y, predicted, arm)
    nothing = predict_out_of_fold(y, np.zeros((600, 1)), np.arange(600))
    nothing.values[:] = 0.0
    plain = fit_with_predictions(y, nothing, arm)
    return regression_difference(fitted), regression_difference(plain), predicted.r2


def test_predictions_shrink_the_interval_and_still_cover() -> None:
    results = [simulated(seed, 0.3) for seed in range(200)]
    missed = np.mean([(r.lower > 0.3) | (r.upper < 0.3) for r, _, _ in results])
    assert 0.005 <= missed <= 0.11
    shrink = np.mean(
        [float(r.standard_error / p.standard_error) for r, p, _ in results]
    )
    assert shrink == pytest.approx(np.sqrt(1 / 3.25), rel=0.03)
    assert np.mean([r2 for _, _, r2 in results]) == pytest.approx(2.25 / 3.25, abs=0.02)


def test_a_learner_that_overfits_does_not_fake_precision() -> None:
    """The nearest known unit's metric: a perfect fit to noise it has seen."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((400, 1)), rng.standard_normal(400)

    def nearest(known: FloatArray, metric: FloatArray, other: FloatArray) -> FloatArray:
        return np.asarray(metric[np.abs(known[:, 0] - other).argmin(axis=1)])

    predicted = predict_out_of_fold(y, x, np.arange(400), learner=nearest)
    assert predicted.r2 < 0
    arm = np.arange(400) % 2
    error = float(
        regression_difference(fit_with_predictions(y, predicted, arm)).standard_error
    )
    assert error == pytest.approx(2 / np.sqrt(400), rel=0.1)


def test_other_covariates_may_stand_beside_the_prediction() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((500, 3))
    y = outcome(x, rng)
    predicted = predict_out_of_fold(y, x[:, :1], np.arange(500))
    arm = np.arange(500) % 2
    alone = fit_with_predictions(y, predicted, arm)
    both = fit_with_predictions(y, predicted, arm, covariates=x[:, 1:])
    assert float(both.reduction) > float(alone.reduction) + 0.2


def test_a_wrong_argument_is_named() -> None:
    y, x, units = np.ones(4), np.ones((4, 1)), np.arange(4)
    with pytest.raises(StatisticsError, match="folds must be >= 2, got 1"):
        predict_out_of_fold(y, x, units, folds=1)
    with pytest.raises(StatisticsError, match="units must be whole numbers or words"):
        folds_of([0.5])
    with pytest.raises(StatisticsError, match=r"got \(4,\), \(3, 1\) and \(4,\)"):
        predict_out_of_fold(y, x[:3], units)
    with pytest.raises(StatisticsError, match=r"metric must hold .* all finite"):
        predict_out_of_fold(y * np.nan, x, units)
    with pytest.raises(StatisticsError, match=r"penalty must be .*got -1"):
        ridge(-1.0)
    with pytest.raises(StatisticsError, match="learner must return shape"):
        predict_out_of_fold(y, x, units, learner=lambda _x, _y, _new: np.ones(9))
    with pytest.raises(StatisticsError, match="arm must hold whole numbers"):
        fit_with_predictions(y, predict_out_of_fold(y, x, units), units - 1)
