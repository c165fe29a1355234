import numpy as np
import pytest

from paddlex_maskrcnn.data.samples import seeded, to_instances
from paddlex_maskrcnn.data.transforms import (
    CopyPaste,
    MixupImage,
    RandomHorizontalFlip,
    RandomVerticalFlip,
)
from paddlex_maskrcnn.data.transforms.operator import ImageContext
from paddlex_maskrcnn.data.transforms.paste import Paste
from paddlex_maskrcnn.data.transforms.sample import Sample

GROUND, PASTED = 10, 77


def box_object(category, x, y, w, h, **other):
    corners = [[float(v) for v in (x, y, x + w, y, x + w, y + h, x, y + h)]]
    one = {"bbox": [float(x), float(y), float(w), float(h)], "bbox_mode": 1, "iscrowd": 0}
    return {**one, "segmentation": corners, "category_id": category, **other}


def grey_scene(objects, value=GROUND, size=(40, 60)):
    image = np.full((*size, 3), value, np.uint8)
    return Sample(image, ImageContext(mean=(0.0, 0.0, 0.0)), objects)


def pasted(below, above, seed=0, **arguments):
    """A sample after pasting all or some objects of another one."""
    below.draw_another = lambda: above
    with seeded(seed):
        CopyPaste(prob=1, **arguments)(below)
    return below


@pytest.mark.parametrize("form", ["polygon", "rle"])
def test_pixels_and_masks_by_brute_force(form, sample):
    """Object after object painted by hand: what shows of each is its mask."""
    for seed in range(8):
        below, above = sample(form), sample(form)
        RandomVerticalFlip(prob=1)(above)
        masks = {o.category: o.rasterized(60, 80) for o in below.annotations() if not o.is_crowd}
        over = {o.category: o.rasterized(60, 80) for o in above.annotations() if not o.is_crowd}
        before, other = below.image, above.image
        after = pasted(below, above, seed)
        new = [o for o in after.annotations() if not o.is_crowd]
        count = len(after.layers) - 1
        assert 1 <= count <= 3
        chosen = [layer.dicts[0]["category_id"] for layer in after.layers[1:]]
        covered = np.any([over[category] for category in chosen], axis=0)
        expected = np.where(covered[:, :, None], other, before)
        np.testing.assert_array_equal(after.image, expected)
        kept = {k: mask & ~covered for k, mask in masks.items() if (mask & ~covered).any()}
        assert [o.category for o in new] == [*kept, *chosen]
        for annotation, mask in zip(new, [*kept.values(), *[over[c] for c in chosen]], strict=True):
            np.testing.assert_array_equal(annotation.rasterized(60, 80), mask)
            ys, xs = np.nonzero(mask)
            tight = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            assert np.abs(annotation.box - tight).max() <= 1


def test_what_is_covered_completely_is_gone_and_what_is_free_stays_as_it_was():
    below = grey_scene([box_object(0, 10, 10, 8, 8), box_object(1, 45, 30, 5, 5.25)])
    above = grey_scene([box_object(2, 5, 5, 20, 20)], PASTED)
    after = pasted(below, above)
    free, new = after.annotations()
    assert (free.category, new.category) == (1, 2)
    assert free.polygons is not None  # to the fraction of a pixel what it was
    assert free.box.tolist() == [45, 30, 50, 35.25]
    assert (after.image[5:25, 5:25] == PASTED).all()
    assert (after.image == PASTED).sum() == 3 * 400


def test_boxes_shrink_to_what_is_left():
    below = grey_scene([box_object(0, 10, 10, 20, 10)])
    after = pasted(below, grey_scene([box_object(1, 20, 0, 30, 30)], PASTED))
    assert after.annotations()[0].box.tolist() == [10, 10, 20, 20]


@pytest.mark.parametrize(("min_visible", "left"), [(0.0, 2), (0.4, 2), (0.6, 1)])
def test_slivers_can_be_dropped(min_visible, left):
    below = grey_scene([box_object(0, 10, 10, 20, 10)])
    above = grey_scene([box_object(1, 20, 0, 30, 30)], PASTED)
    assert len(pasted(below, above, min_visible=min_visible).annotations()) == left


def test_crowd_regions_are_not_pasted_and_stay_below():
    region = box_object(0, 10, 10, 20, 10, iscrowd=1)
    after = pasted(grey_scene([region]), grey_scene([box_object(1, 5, 5, 40, 30)], PASTED))
    crowd, new = after.annotations()
    assert crowd.is_crowd
    assert crowd.box.tolist() == [10, 10, 30, 20]
    assert not new.is_crowd
    nothing = pasted(grey_scene([]), grey_scene([region], PASTED))
    assert len(nothing.layers) == 1
    assert (nothing.image == GROUND).all()


def test_an_image_without_objects_gets_some_and_an_empty_other_gives_none():
    assert len(pasted(grey_scene([]), grey_scene([box_object(1, 5, 5, 4, 4)])).annotations()) == 1
    below = grey_scene([box_object(0, 1, 1, 9, 9)])
    assert len(pasted(below, grey_scene([], PASTED)).annotations()) == 1


@pytest.mark.parametrize("size", [(20, 30), (80, 90), (20, 90), (40, 60)])
def test_another_size_is_cut_or_filled_up_at_a_random_place(size):
    places = set()
    for seed in range(12):
        other = grey_scene([box_object(1, 0, 0, size[1], size[0])], PASTED, size)
        after = pasted(grey_scene([]), other, seed)
        new = after.annotations()[0]
        shown = (after.image == PASTED).all(axis=2)
        assert shown.sum() == min(size[0], 40) * min(size[1], 60)
        np.testing.assert_array_equal(new.rasterized(40, 60), shown)
        places.add(tuple(new.box))
    assert (len(places) > 1) == (size[0] < 40 or size[1] < 60)


def test_steps_after_pasting_go_for_everything():
    below = grey_scene([box_object(0, 0, 0, 10, 10)])
    after = pasted(below, grey_scene([box_object(1, 5, 5, 30, 30)], PASTED))
    RandomHorizontalFlip(1)(after)
    old, new = after.annotations()
    assert new.box.tolist() == [25, 5, 55, 35]
    assert (after.image[5:35, 25:55] == PASTED).all()
    assert old.rasterized(40, 60).sum() == 75
    assert old.box.tolist() == [50, 0, 60, 10]
    instances = to_instances(after.annotations(), after.size)
    assert instances.gt_masks.area().tolist() == [75, 900]


def test_the_number_of_objects_is_drawn_up_to_the_limit():
    objects = [box_object(k, 5 * k, 0, 4, 4) for k in range(10)]
    counts = {
        len(pasted(grey_scene([]), grey_scene(objects), seed, max_objects=4).annotations())
        for seed in range(40)
    }
    assert counts == {1, 2, 3, 4}


def test_probability_and_prediction():
    def unwanted():
        raise AssertionError

    sample = grey_scene([])
    sample.draw_another = unwanted
    CopyPaste(prob=0)(sample)
    assert CopyPaste().deterministic() is None
    assert CopyPaste().smallest_size(40, 40) is None


def test_without_other_images_it_says_so():
    with pytest.raises(ValueError, match="CopyPaste needs the other images of the data set"):
        CopyPaste(prob=1)(grey_scene([]))


def test_a_paste_covers_segmentation_maps():
    mask = np.zeros((4, 4), bool)
    mask[1:3] = True
    paste = Paste(np.zeros((4, 4, 3)), mask, 0)
    np.testing.assert_array_equal(paste.apply_segmentation(np.ones((4, 4), bool)), ~mask)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"prob": 2}, r"CopyPaste\.prob is 2\.0; allowed: >= 0 and <= 1"),
        ({"max_objects": 0}, "max_objects is 0; allowed: >= 1"),
        ({"min_visible": -1}, r"min_visible is -1\.0; allowed: >= 0 and <= 1"),
    ],
)
def test_mistakes(arguments, fragment):
    with pytest.raises(ValueError, match=fragment):
        CopyPaste(**arguments)


@pytest.mark.parametrize("arguments", [{}, {"alpha": 1.5, "mixup_epoch": 10}])
def test_mixup_is_refused_with_the_reason_and_a_way_out(arguments):
    with pytest.raises(ValueError, match=r"not for Mask R-CNN.*YOLOv3.*CopyPaste"):
        MixupImage(**arguments)
