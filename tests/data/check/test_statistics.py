"""Numbers and distributions of the drawn data."""

import pytest


def test_numbers(found):
    train = found.summaries[0]
    assert (train.images, train.empty, train.crowd) == (21, 1, 0)
    assert train.objects == sum(row.objects[0] for row in found.classes)
    assert train.with_holes == pytest.approx(1 / train.objects)
    for one in found.histograms:
        for shares in one.parts.values():
            assert shares.sum() == pytest.approx(1), one.title


def test_sizes_after_resizing(found, plan):
    """Twice the side: the 30 x 30 squares (900 pixels) are small in the file, medium afterwards."""
    in_file, resized = found.summaries[1].sizes
    assert in_file == (1.0, 0.0, 0.0)
    assert resized == (0.0, 1.0, 0.0)
