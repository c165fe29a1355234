from collections import Counter

import cv2
import numpy as np
import pytest

from paddlex_maskrcnn.data.check.scan import scan
from paddlex_maskrcnn.data.convert.convert import convert
from paddlex_maskrcnn.data.datasets import DatasetError, DrawnShapes, LabelMeDetection
from paddlex_maskrcnn.data.hold_out import hold_out


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return DrawnShapes(tmp_path_factory.mktemp("drawn"), num_images=20, image_size=64)


def test_all_images_once_and_classes_in_proportion(drawn):
    held = hold_out(scan(drawn, "data", 0), 0.25, seed=0)
    assert sorted(held.train + held.eval) == list(range(20))
    assert len(held.eval) == 5
    objects = [Counter(a["category_id"] for a in record["annotations"]) for record in drawn.records]
    total = sum(objects, Counter())
    for part, share in ((held.train, 0.75), (held.eval, 0.25)):
        counts = sum((objects[k] for k in part), Counter())
        for category, count in total.items():
            assert abs(counts[category] - share * count) <= 3


def test_seed_decides(drawn):
    scanned = scan(drawn, "data", 0)
    assert hold_out(scanned, 0.25, 0) == hold_out(scanned, 0.25, 0)
    assert len({tuple(hold_out(scanned, 0.25, seed).eval) for seed in range(5)}) > 1


def near_copies(drawn, folder, copies):
    """A LabelMe set of the drawn one whose images come again, a little brighter."""
    convert(drawn, "labelme", folder)
    for json in sorted(folder.glob("*.json"))[:copies]:
        picture = next(path for path in folder.glob(f"{json.stem}.*") if path != json)
        again = folder / f"again_{picture.name}"
        cv2.imwrite(str(again), cv2.add(cv2.imread(str(picture)), np.full(4, 3.0)))
        text = json.read_text().replace(picture.name, again.name)
        (folder / f"again_{json.name}").write_text(text)
    return LabelMeDetection(folder)


def test_near_copies_stay_together(drawn, tmp_path):
    dataset = near_copies(drawn, tmp_path / "set", 8)
    names = [record["file_name"] for record in dataset.records]
    for seed in range(3):
        held = hold_out(scan(dataset, "data", 0), 0.3, seed)
        assert held.num_alike == 8
        sides = [{names[k].replace("again_", "") for k in part} for part in (held.train, held.eval)]
        assert not sides[0] & sides[1]
        assert held.eval


def test_what_cannot_be_divided(drawn, tmp_path):
    drawn.set_num_samples(1)
    try:
        with pytest.raises(
            DatasetError, match="has 1 image: one is needed to learn from and another"
        ):
            hold_out(scan(drawn, "data", 0), 0.2, 0)
        dataset = near_copies(drawn, tmp_path / "set", 1)
        with pytest.raises(DatasetError, match="all 2 images look nearly the same"):
            hold_out(scan(dataset, "data", 0), 0.2, 0)
    finally:
        drawn.set_num_samples(20)
