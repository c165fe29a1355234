import numpy as np
import pytest

from paddlex_maskrcnn.weights.keys.paddle_arrays import (
    convert,
    drop_background,
    move_background_last,
    sizes_before_ratios,
    transpose_fc,
)


def test_transpose_fc():
    weight = np.arange(6.0).reshape(2, 3)
    turned = transpose_fc(weight)
    x = np.array([1.0, 10.0])
    np.testing.assert_array_equal(turned @ x, x @ weight)
    assert turned.flags["C_CONTIGUOUS"]


def test_background_moves_last():
    np.testing.assert_array_equal(move_background_last(np.array([9, 1, 2, 3])), [1, 2, 3, 9])


def test_background_is_dropped():
    rows = np.arange(12)
    np.testing.assert_array_equal(drop_background(rows, rows_per_class=4), rows[4:])
    np.testing.assert_array_equal(drop_background(rows[:3]), [1, 2])


def test_anchor_order():
    """Rows named (ratio, size, coordinate), ratio-major, come out size-major."""
    named = [(r, s, c) for r in range(3) for s in range(2) for c in range(4)]
    rows = np.array([100 * r + 10 * s + c for r, s, c in named])
    expected = [100 * r + 10 * s + c for s in range(2) for r in range(3) for c in range(4)]
    np.testing.assert_array_equal(sizes_before_ratios(rows, 2, rows_per_anchor=4), expected)
    np.testing.assert_array_equal(sizes_before_ratios(rows, 1, rows_per_anchor=4), rows)


def test_anchor_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="num_anchor_sizes: 4 does not divide the 15 anchors"):
        sizes_before_ratios(np.zeros((15, 2)), 4)


def test_scores_follow_their_class_names():
    """A box scored by both layouts gets the same number for each class."""
    weight = np.random.default_rng(0).normal(size=(5, 4))  # 5 features; background, a, b, c
    bias = np.array([0.0, 1, 2, 3])
    model = convert({"cls_score_w": weight, "cls_score_b": bias, "res2a_branch2c_weights": weight})
    x = np.ones(5)
    theirs = dict(zip(["background", "a", "b", "c"], x @ weight + bias, strict=True))
    prefix = "roi_heads.box_predictor.cls_score"
    scores = model[f"{prefix}.weight"] @ x + model[f"{prefix}.bias"]
    ours = dict(zip(["a", "b", "c", "background"], scores, strict=True))
    assert ours == pytest.approx(theirs)


def test_folded_statistics_become_identity():
    """Only where they are missing: mean 0 and variance 1 - epsilon leave the affine part alone."""
    arrays = {
        "bn2a_branch2c_scale": np.array([2.0]),
        "bn2a_branch2c_offset": np.array([3.0]),
        "bn2b_branch2c_scale": np.array([2.0]),
        "bn2b_branch2c_mean": np.array([7.0]),
        "bn2b_branch2c_variance": np.array([8.0]),
    }
    model = convert(arrays)
    norm = "backbone.res2.0.conv3.norm"
    assert model[f"{norm}.running_mean"] == 0
    assert model[f"{norm}.running_var"] + 1e-5 == pytest.approx(1)
    assert model["backbone.res2.1.conv3.norm.running_mean"] == 7
    assert model["backbone.res2.1.conv3.norm.running_var"] == 8
