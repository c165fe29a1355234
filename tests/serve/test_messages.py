"""What the service answers equals what `predict` finds in a file of the same bytes."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from paddlex_maskrcnn.data.datasets.drawn import draw_scene
from paddlex_maskrcnn.det import transforms

SCENES = [
    draw_scene(np.random.default_rng([1, index]), index, size)[0]
    for index, size in enumerate([(64, 96), (64, 64), (110, 150)])
]


def encoded(pixels, suffix, *parameters):
    return cv2.imencode(suffix, pixels, parameters)[1].tobytes()


def turned_jpeg(orientation):
    """A JPEG whose camera was turned."""
    file = io.BytesIO()
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(SCENES[0][:, :, ::-1]).save(file, "JPEG", exif=exif, quality=95)
    return file.getvalue()


def with_pillow(kind, mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(SCENES[0][:, :, ::-1]).convert(mode).save(file, kind, **options)
    return file.getvalue()


FILES = {
    "png": encoded(SCENES[0], ".png"),
    "jpg": encoded(SCENES[1], ".jpg"),
    "tall.jpg": encoded(SCENES[2], ".jpg"),
    "bmp": encoded(SCENES[0], ".bmp"),
    "webp": encoded(SCENES[0], ".webp"),
    "tif": encoded(SCENES[0], ".tif"),
    "16bit.png": encoded(SCENES[0].astype(np.uint16) * 250 + 3, ".png"),
    "grey.png": encoded(SCENES[0][:, :, 0], ".png"),
    "alpha.png": encoded(np.dstack([SCENES[0], SCENES[0][:, :, :1]]), ".png"),
    "palette.png": with_pillow("PNG", "P"),
    "cmyk.jpg": with_pillow("JPEG", "CMYK"),
    "pages.tif": with_pillow("TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))]),
    **{f"turned{number}.jpg": turned_jpeg(number) for number in (3, 6, 8)},
}


@pytest.mark.parametrize("name", FILES)
def test_equals_predict(served_model, post, tmp_path, name):
    path = tmp_path / f"image.{name.split('.')[-1]}"
    path.write_bytes(FILES[name])
    expected = served_model.predict(str(path), mask_format="rle")
    answer = post(FILES[name])
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert len(expected) > 2
    assert found["objects"] == [
        {
            "bbox": one["bbox"],
            "category": one["category"],
            "category_id": one["category_id"],
            "score": one["score"],
            "segmentation": one["mask"],
        }
        for one in expected
    ]
    height, width = expected[0]["mask"]["size"]
    assert found["image"] == {"width": width, "height": height}


def test_deep_images_keep_their_values(connect, monkeypatch, served_model, tmp_path):
    """Where the model's Normalize asks for them."""
    deep = transforms.Normalize(max_val=[65535] * 3)
    pipeline = transforms.Compose([deep, transforms.ResizeByShort(64, 96)])
    monkeypatch.setattr(served_model.network.card, "transforms", pipeline.to_config())
    (tmp_path / "deep.png").write_bytes(FILES["16bit.png"])
    expected = served_model.predict(str(tmp_path / "deep.png"))
    answer = connect().post("/predict", content=FILES["16bit.png"])
    assert [one["bbox"] for one in answer.json()["objects"]] == [one["bbox"] for one in expected]
    assert len(expected) > 2


def test_masks_decode_to_those_of_predict(served_model, post, tmp_path):
    """Run lengths by pycocotools; polygons drawn by it, holes and parts included."""
    path = tmp_path / "image.png"
    path.write_bytes(FILES["png"])
    expected = served_model.predict(str(path))
    as_rle = post(FILES["png"]).json()["objects"]
    as_polygons = post(FILES["png"], mask_format="polygon").json()["objects"]
    without = post(FILES["png"], mask_format="none").json()["objects"]
    for one, rle, polygon, plain in zip(expected, as_rle, as_polygons, without, strict=True):
        mask = one["mask"]
        assert np.array_equal(coco_mask.decode(rle["segmentation"]), mask)
        assert np.array_equal(rasterised(polygon["segmentation"], *mask.shape), mask)
        assert plain["segmentation"] is None
        assert {**rle, "segmentation": None} == plain


def rasterised(polygons, height, width):
    if not polygons:
        return np.zeros((height, width), np.uint8)
    assert all(isinstance(value, int) for polygon in polygons for value in polygon)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))


def test_an_empty_mask_has_no_polygons():
    from paddlex_maskrcnn.serve.messages import as_answers

    class Empty(dict):
        def as_rle(self):
            return {"mask": {"size": [4, 5], "counts": "d0"}}

    one = Empty(bbox=[0.0, 0.0, 1.0, 1.0], category="a", category_id=1, score=0.5)
    assert not coco_mask.decode(one.as_rle()["mask"]).any()
    assert as_answers([one], "polygon")[0].segmentation == []


def test_options_are_those_of_predict(served_model, post, tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(FILES["tall.jpg"])
    scores = [one["score"] for one in served_model.predict(str(path))]
    threshold = sorted(scores)[len(scores) // 2]
    assert [one["score"] for one in post(FILES["tall.jpg"], score_threshold=threshold).json()[
        "objects"
    ]] == [score for score in scores if score >= threshold]  # fmt: skip
    height = SCENES[2].shape[0]
    for tile, size in ((f"{height}x80", (height, 80)), (f"{height - 8}", height - 8)):
        expected = served_model.predict(str(path), tile=size, overlap=0.3)
        found = post(FILES["tall.jpg"], tile=tile, overlap=0.3).json()["objects"]
        assert [one["bbox"] for one in found] == [one["bbox"] for one in expected]
        assert len(found) > len(scores)


def test_timings_add_up(post):
    timings = post(FILES["png"]).json()["timings"]
    parts = [timings[name] for name in ("decode", "queue", "model", "masks")]
    assert all(part >= 0 for part in parts)
    assert 0 < sum(parts) <= timings["total"]
