import numpy as np
import pytest
import torch
from detectron2.structures import PolygonMasks, polygons_to_bitmask

from paddlex_maskrcnn.data.images import read_image
from paddlex_maskrcnn.data.mapper import TestMapper, TrainMapper
from paddlex_maskrcnn.data.transforms import (
    CLAHE,
    Compose,
    CopyPaste,
    LargeScaleJitter,
    Normalize,
    Padding,
    RandomBlur,
    RandomCrop,
    RandomDistort,
    RandomExpand,
    RandomHorizontalFlip,
    RandomNoise,
    RandomRotation,
    ResizeByShort,
)

PIPELINE = Compose([RandomHorizontalFlip(), Normalize(), ResizeByShort([48, 72], 200), Padding(32)])


def samples(dataset, mapper, epoch=0):
    return [mapper(record, epoch, k) for k, record in enumerate(dataset.records)]


def test_sample_has_what_the_model_takes(tiny_coco):
    dataset = tiny_coco.open()
    for record, sample in zip(
        dataset.records, samples(dataset, TrainMapper(PIPELINE, "RGB", 3, 0)), strict=True
    ):
        image = sample["image"]
        assert image.dtype == torch.uint8
        assert image.is_contiguous()
        assert image.shape[0] == 3
        assert min(image.shape[1:]) in (48, 72)
        assert (sample["height"], sample["width"]) == (record["height"], record["width"])
        assert (sample["image_id"], sample["file_name"]) == (
            record["image_id"],
            record["file_name"],
        )
        assert all(side % 32 == 0 for side in sample["pad_to"])
        assert sample["instances"].image_size == tuple(image.shape[1:])


@pytest.mark.parametrize("flip", [0, 1])
@pytest.mark.parametrize("short", [48, 96, 30])
def test_masks_lie_on_their_objects(tiny_coco, flip, short):
    """Every object is painted in one colour: under its mask there must be that colour."""
    pipeline = Compose([RandomHorizontalFlip(flip), ResizeByShort(short, 300)])
    dataset = tiny_coco.open()
    for record, sample in zip(
        dataset.records, samples(dataset, TrainMapper(pipeline, "BGR", 3, 0)), strict=True
    ):
        instances, size = sample["instances"], sample["image"].shape[1:]
        pixels = sample["image"].numpy().transpose(1, 2, 0).astype(int)
        masks = [polygons_to_bitmask(p, *size) for p in instances.gt_masks.polygons]
        for annotation, mask in zip(record["annotations"], masks, strict=True):
            colour = tiny_coco.colors[annotation["id"]]
            painted = np.abs(pixels - colour).max(axis=2) < 126
            assert (painted & mask).sum() / (painted | mask).sum() > 0.85


def test_every_object_arrives_with_its_mask_as_polygons(tiny_coco):
    found = samples(tiny_coco.open(), TrainMapper(PIPELINE, "RGB", 3, 0))
    assert all(isinstance(sample["instances"].gt_masks, PolygonMasks) for sample in found)
    assert [len(sample["instances"]) for sample in found] == [2, 2, 2, 0]
    assert found[2]["instances"].gt_crowd.tolist() == [False, True]


def test_randomness_depends_on_seed_epoch_and_index_alone(tiny_coco):
    record = tiny_coco.open().records[0]
    mapper = TrainMapper(PIPELINE, "RGB", 3, 5)

    def drawn(seed, epoch, index):
        image = TrainMapper(PIPELINE, "RGB", 3, seed)(record, epoch, index)["image"]
        return image.shape, int((image.long() * torch.arange(image.shape[2])).sum())

    reference = drawn(5, 3, 7)
    np.random.seed(1)
    for _ in range(3):
        mapper(record, 0, 0)
    assert drawn(5, 3, 7) == reference
    for vary in (lambda k: (k, 3, 7), lambda k: (5, k, 7), lambda k: (5, 3, k)):
        assert len({drawn(*vary(k)) for k in range(20)}) == 4  # two lengths, flipped or not


def test_testing_is_never_random(tiny_coco):
    record = tiny_coco.open().records[0]
    pipeline = Compose([RandomHorizontalFlip(1), ResizeByShort([20, 96], 300)])
    found = TestMapper(pipeline, "RGB", 3)(record)
    assert found["image"].shape == (3, 96, 128)
    assert (found["height"], found["width"], found["image_id"]) == (48, 64, 1)
    assert "instances" not in found
    assert "pad_to" not in found
    left = found["image"][2, :, :64].float().mean(), found["image"][0, :, :64].float().mean()
    assert left[1] > left[0]  # the red object is still on the left


def test_record_file_and_array_give_the_same(tiny_coco):
    record = tiny_coco.open().records[0]
    mapper = TestMapper(PIPELINE, "RGB", 3)
    pixels = read_image(record["file_name"], "RGB")
    by_record, by_file, by_array = (mapper(s) for s in (record, record["file_name"], pixels))
    for other in (by_file, by_array):
        assert torch.equal(by_record["image"], other["image"])
        assert by_record["pad_to"] == other["pad_to"]
        assert (other["height"], other["width"]) == (48, 64)
    assert by_array["file_name"] is None
    assert by_file["file_name"] == record["file_name"]


def test_many_channels_arrive(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).uniform(0, 255, (40, 50, 5)))
    pipeline = Compose([RandomHorizontalFlip(1), ResizeByShort(16, 300)])
    found = TestMapper(pipeline, "RGB", 5)(str(tmp_path / "a.npy"))
    assert found["image"].shape == (5, 16, 20)
    assert found["image"].dtype == torch.float32


def test_a_changed_file_is_named(tiny_coco):
    import cv2

    dataset = tiny_coco.open()
    cv2.imwrite(str(tiny_coco.data_dir / "1.png"), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(ValueError, match=r"1\.png' is 20x10 .* say 64x48: was the file changed"):
        TrainMapper(PIPELINE, "RGB", 3, 0)(dataset.records[0], 0, 0)


def test_too_small_a_target_is_an_error(tiny_coco):
    pipeline = Compose([ResizeByShort(96, 300), Padding(target_size=[64, 64])])
    with pytest.raises(ValueError, match=r"target_size is \[64, 64\]"):
        TestMapper(pipeline, "RGB", 3)(tiny_coco.open().records[0])


MIXED = Compose(
    [
        RandomDistort(),
        RandomExpand(2.0),
        RandomCrop(),
        LargeScaleJitter(target_size=64, min_scale=0.6),
        RandomHorizontalFlip(),
        CopyPaste(prob=0.8),
        RandomRotation(),
        RandomBlur(prob=0.5),
        RandomNoise(prob=0.5),
    ]
)


def fingerprint(sample):
    instances = sample["instances"]
    total = sum(float(part.sum()) for parts in instances.gt_masks.polygons for part in parts)
    return int(sample["image"].long().sum()), len(instances), total


def test_every_operator_together_depends_on_seed_epoch_and_index_alone(tiny_coco):
    """Neither what was made before nor another mapper changes a sample; other images are mixed in."""
    records = tiny_coco.open().records
    mapper = TrainMapper(MIXED, "BGR", 3, 5)
    positions = [(epoch, index) for epoch in range(4) for index in range(4)]
    first = [fingerprint(mapper(records[i], e, i, records)) for e, i in positions]
    np.random.seed(1)
    again = TrainMapper(MIXED, "BGR", 3, 5)
    found = {p: fingerprint(again(records[p[1]], *p, records)) for p in positions[::-1]}
    assert [found[p] for p in positions] == first
    assert len(set(first)) == len(first)


def test_pasted_objects_come_from_the_other_images(tiny_coco):
    records = tiny_coco.open().records
    mapper = TrainMapper(Compose([CopyPaste(prob=1)]), "RGB", 3, 0)
    # The picture itself has no objects; every object of the others arrives some time.
    found = [mapper(records[3], epoch, 3, records)["instances"] for epoch in range(60)]
    widths = {round(float(x2 - x1)) for one in found for x1, _, x2, _ in one.gt_boxes.tensor}
    assert {20, 30, 34, 18} <= widths
    with pytest.raises(ValueError, match="CopyPaste needs the other images"):
        mapper(records[3], 0, 3)


def test_the_other_image_goes_through_the_operators_in_front_with_numbers_of_its_own(tiny_coco):
    """Only the first image has objects, so whatever arrives was pasted, flipped or not."""
    dataset = tiny_coco.open()
    only = [dataset.records[0]]
    pipeline = Compose([RandomHorizontalFlip(), ResizeByShort(48, 64), CopyPaste(prob=1)])
    mapper = TrainMapper(pipeline, "RGB", 3, 0)
    lefts = set()
    for epoch in range(30):
        instances = mapper(dataset.records[3], epoch, 3, only)["instances"]
        lefts |= {round(float(box[0])) for box in instances.gt_boxes.tensor}
    assert {4, 40} <= lefts  # object 11 as annotated and mirrored


def test_class_names_reach_the_operators(tiny_coco):
    dataset = tiny_coco.open()
    flip = RandomHorizontalFlip(1, swap_labels=[["nut", "bolt"]])
    plain = TrainMapper(Compose([RandomHorizontalFlip(1)]), "RGB", 3, 0)
    swapping = TrainMapper(Compose([flip]), "RGB", 3, 0, labels=dataset.labels)
    record = dataset.records[0]
    before, after = (m(record, 0, 0)["instances"].gt_classes for m in (plain, swapping))
    assert (before + after).tolist() == [1, 1]
    with pytest.raises(
        ValueError, match=r"swap_labels is .*; a data set with class names is needed"
    ):
        TrainMapper(Compose([flip]), "RGB", 3, 0)
    with pytest.raises(ValueError, match="'nut' is no class"):
        TrainMapper(Compose([flip]), "RGB", 3, 0, labels=["screw"])


def test_what_cannot_work_is_said_before_an_image_is_read():
    with pytest.raises(ValueError, match="RandomDistort: saturation and hue"):
        TrainMapper(Compose([RandomDistort()]), "RGB", 4, 0)
    with pytest.raises(ValueError, match="CLAHE needs images with 1 or 3 channels"):
        TestMapper(Compose([CLAHE()]), "RGB", 4)
    TestMapper(Compose([RandomDistort()]), "RGB", 4)  # prediction leaves it out


def test_prediction_equalises_contrast_as_training_did(tiny_coco):
    record = tiny_coco.open().records[0]
    plain, even = (TestMapper(Compose(p), "BGR", 3) for p in ([ResizeByShort(48)], [CLAHE()]))
    assert (plain(record)["image"] != even(record)["image"]).any()


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pixels_arrive_plane_by_plane(channels, dtype):
    image = np.random.default_rng(0).integers(0, 255, (9, 7, channels)).astype(dtype)[:, ::-1]
    normalize = Normalize([0.5] * channels, [0.5] * channels)
    found = TestMapper(Compose([normalize]), "RGB", channels)(image)["image"]
    np.testing.assert_array_equal(found.numpy(), image.transpose(2, 0, 1))
