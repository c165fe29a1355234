"""Files are told apart by their kind and look; processes change nothing."""

import cv2
import numpy as np

from paddlex_maskrcnn.data.check.scan import fingerprint, scan
from support.flawed_coco import pattern


def test_kinds_of_files(tmp_path):
    grey = pattern(4)[:, :, 0]
    wide = grey.astype(np.uint16) * 256
    cv2.imwrite(str(tmp_path / "wide.png"), np.dstack([wide] * 3))
    cv2.imwrite(str(tmp_path / "grey.jpg"), grey)
    cv2.imwrite(str(tmp_path / "wide.tif"), wide)
    np.save(tmp_path / "five.npy", np.zeros((8, 9, 5), np.float32))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    found = {path.name: fingerprint(str(path), (72, 96)) for path in tmp_path.iterdir()}
    assert {name: one.kind for name, one in found.items() if not one.fault} == {
        "wide.png": "colour 16 bits",
        "grey.jpg": "grey 8 bits",
        "wide.tif": "grey 16 bits",
        "five.npy": "5 channels float32",
    }
    assert found["broken.jpg"].fault.startswith("its pixels cannot be decoded")
    assert fingerprint(str(tmp_path / "none.png"), (72, 96)).fault
    assert found["wide.tif"].depth == found["wide.png"].depth == "uint16"
    assert found["wide.tif"].limits == (wide.min(), wide.max())
    assert found["grey.jpg"].depth == ""
    assert found["wide.png"].look == found["wide.tif"].look != 0


def test_workers_change_nothing(tiny_shapes):
    alone, shared = (scan(tiny_shapes(num_images=70), "data", workers) for workers in (0, 2))
    assert alone.files == shared.files
    assert [one.digest for one in alone.fingerprints] == [one.digest for one in shared.fingerprints]
    np.testing.assert_array_equal(alone.objects.box, shared.objects.box)
