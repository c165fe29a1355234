"""Images of a written set: names that do not meet, copies and links, pixels inside json files."""

import base64
import io
import json

import pytest
from PIL import Image

from paddlex_maskrcnn.data.convert.images import names_for, put, upright


def png():
    file = io.BytesIO()
    Image.new("RGB", (6, 4)).save(file, "PNG")
    return file.getvalue()


def inside_json(folder):
    path = folder / "inside.json"
    path.write_text(json.dumps({"imageData": base64.b64encode(png()).decode(), "shapes": []}))
    return path


def test_stems_differ_in_more_than_case_and_json_gets_the_suffix_of_its_pixels(tmp_path):
    files = ["x/a.png", "y/a.png", "y/A.jpg", str(inside_json(tmp_path))]
    records = [{"file_name": name, "image_id": k} for k, name in enumerate(files, 1)]
    names = names_for(records)
    assert (names[1], names[4]) == ("a.png", "inside.png")
    assert len({name.rpartition(".")[0].lower() for name in names.values()}) == 4
    assert [names[k].rpartition(".")[2] for k in (2, 3)] == ["png", "jpg"]


@pytest.mark.parametrize("how", ["copy", "symlink"])
def test_pictures_are_copied_or_linked_and_those_in_json_written(tmp_path, how):
    (tmp_path / "a.png").write_bytes(png())
    put(str(tmp_path / "a.png"), tmp_path / "new" / "a.png", how)
    put(str(inside_json(tmp_path)), tmp_path / "new" / "inside.png", how)
    assert (tmp_path / "new" / "a.png").is_symlink() == (how == "symlink")
    assert not (tmp_path / "new" / "inside.png").is_symlink()
    for name in ("a.png", "inside.png"):
        assert (tmp_path / "new" / name).read_bytes() == png()


def test_a_record_for_the_stored_pixels_is_turned(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # shown turned clockwise: the stored left column is the upper row
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png", exif=exif)
    annotation = {"bbox": [0, 0, 2, 1], "segmentation": [[0, 0, 2, 0, 2, 1, 0, 1]]}
    record = {"file_name": str(tmp_path / "a.png"), "height": 4, "width": 6}
    turned = upright({**record, "annotations": [annotation]})
    assert (turned["height"], turned["width"]) == (6, 4)
    assert turned["annotations"][0]["bbox"] == [3, 0, 1, 2]
    assert upright(turned) is turned
