"""``convert``: there and back again masks are exact, counts kept, originals untouched."""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pycocotools.mask as mask_util
import pytest

from paddlex_maskrcnn import cli
from paddlex_maskrcnn.data.datasets import CocoDetection
from reference.tiny_sets import SQUARES, Coco, EasyData, LabelMe, Voc, Yolo, draw, mask

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
FORMATS = {"coco": Coco, "labelme": LabelMe, "easydata": EasyData, "voc": Voc, "yolo": Yolo}
SOURCES = {"coco": "instances.json", "yolo": "data.yaml"}  # the others: the folder


@pytest.fixture
def convert(capsys):
    """The command in this process: exit status, standard output, standard error."""

    def convert(*arguments):
        status = cli.main(["convert", *map(str, arguments)])
        return status, *capsys.readouterr()

    return convert


def build(form, folder):
    """A tiny set; what to name as SOURCE, and the arguments that its layout needs."""
    folder.mkdir(parents=True)
    draw(folder)
    FORMATS[form](folder)
    lists = form in ("easydata", "voc")
    return folder / SOURCES.get(form, ""), ["--file-list", folder / "list.txt"] if lists else []


def content_of(folder):
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def masks_of(dataset):
    """(class name, crowd, RLE) of each object, image by image."""
    return [
        [
            (
                dataset.labels[one["category_id"]],
                one["iscrowd"],
                one["segmentation"]
                if isinstance(one["segmentation"], dict)
                else mask_util.merge(
                    mask_util.frPyObjects(one["segmentation"], record["height"], record["width"])
                ),
            )
            for one in record["annotations"]
        ]
        for record in dataset.records
    ]


@pytest.mark.parametrize(("source", "target"), list(itertools.product(FORMATS, repeat=2)))
def test_every_format_to_every_other_and_to_coco(tmp_path, convert, source, target):
    path, options = build(source, tmp_path / "original")
    before = content_of(tmp_path / "original")
    out = tmp_path / ("out.json" if target == "coco" else "out")
    status, said, errors = convert("--from", source, path, "--to", target, out, *options)
    assert (status, errors) == (0, "")
    assert "1 images, 2 annotations" in said
    final = tmp_path / "final.json"
    again = out / "data.yaml" if target == "yolo" else out
    options = ["--data-dir", tmp_path / "original"] if target == "coco" else []
    status, _, errors = convert("--from", target, again, "--to", "coco", final, *options)
    assert (status, errors) == (0, "")
    assert content_of(tmp_path / "original") == before
    pictures = tmp_path / "original" if target == "coco" else next(out.rglob("a.png")).parent
    found = masks_of(CocoDetection(pictures, final, num_workers=0))
    for (name, crowd, rle), (expected, square) in zip(found[0], SQUARES, strict=True):
        assert (name, crowd) == (expected, 0)
        np.testing.assert_array_equal(mask_util.decode(rle), mask(*square))


def test_what_is_said_reads_the_result(tmp_path, convert):
    path, _ = build("coco", tmp_path / "original")
    for target in ("coco", "labelme", "voc", "yolo", "easydata"):
        out = tmp_path / ("a/out.json" if target == "coco" else target)
        _, said, _ = convert("--from", "coco", path, "--to", target, out)
        line = next(line for line in said.splitlines() if line.startswith("read it with "))
        from paddlex_maskrcnn import datasets

        names = {name: getattr(datasets, name) for name in datasets.__all__}
        assert eval(line.removeprefix("read it with pdx.datasets."), names).num_samples == 1


@pytest.mark.parametrize("how", ["copy", "symlink"])
def test_pictures_beside_a_coco_json(tmp_path, convert, how):
    path, _ = build("coco", tmp_path / "original")
    out = tmp_path / "new" / "out.json"
    convert("--from", "coco", path, "--to", "coco", out, "--images", how)
    picture = out.parent / "images" / "a.png"
    assert picture.is_symlink() == (how == "symlink")
    assert json.loads(out.read_text())["images"][0]["file_name"] == "images/a.png"
    assert CocoDetection(out.parent, out, num_workers=0).num_samples == 1


@pytest.mark.parametrize("target", ["coco", "yolo"])
def test_nothing_is_overwritten_without_force(tmp_path, convert, target):
    path, _ = build("coco", tmp_path / "original")
    out = tmp_path / ("out.json" if target == "coco" else "out")
    arguments = ["--from", "coco", path, "--to", target, out]
    assert convert(*arguments)[0] == 0
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "mine.txt").write_text("mine")
    status, _, errors = convert(*arguments)
    assert status == 2
    assert "--force" in errors
    assert convert(*arguments, "--force")[0] == 0
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert not list(tmp_path.glob(".out*")), "nothing temporary is left"


@pytest.mark.parametrize(
    ("source", "target", "out"),
    [
        ("coco", "coco", "instances.json"),
        ("labelme", "labelme", "."),
        ("labelme", "coco", "a.json"),
        ("yolo", "yolo", "."),
        ("voc", "voc", "."),
    ],
)
def test_originals_are_never_replaced_not_even_with_force(tmp_path, convert, source, target, out):
    path, options = build(source, tmp_path / "original")
    before = content_of(tmp_path / "original")
    out = tmp_path / "original" / out
    status, _, errors = convert("--from", source, path, "--to", target, out, *options, "--force")
    assert status == 2
    assert "is where the original is" in errors
    assert content_of(tmp_path / "original") == before


def test_pictures_are_never_copied_onto_themselves(tmp_path, convert):
    path, _ = build("coco", tmp_path / "original" / "images")
    before = content_of(tmp_path)
    out = tmp_path / "original" / "new.json"
    arguments = ["--from", "coco", path, "--to", "coco", out, "--images", "copy", "--force"]
    status, _, errors = convert(*arguments)
    assert status == 2
    assert "a.png' is where the original is" in errors
    assert content_of(tmp_path) == before


def test_what_a_format_has_no_words_for_is_counted(tmp_path, convert):
    path, _ = build("coco", tmp_path / "original")
    content = json.loads(path.read_text())
    content["annotations"][0]["ignore"] = 1
    content["annotations"][1]["iscrowd"] = 1
    path.write_text(json.dumps(content))
    for target in ("yolo", "easydata"):
        _, said, _ = convert("--from", "coco", path, "--to", target, tmp_path / target)
        assert "1 images, 1 annotations" in said
        assert "1 crowd regions left out" in said
        assert "1 objects to be ignored in evaluation" in said
    for target in ("labelme", "voc"):
        convert("--from", "coco", path, "--to", target, tmp_path / target)
        final = tmp_path / f"{target}.json"
        convert("--from", target, tmp_path / target, "--to", "coco", final)
        first, second = json.loads(final.read_text())["annotations"]
        assert (first["ignore"], first["iscrowd"], second["iscrowd"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["--from", "coco", "gone.json", "--to", "yolo", "out"], "ann_file 'gone.json': missing"),
        (["--from", "yolo", "gone.yaml", "--to", "coco", "out"], "data_yaml 'gone.yaml': missing"),
        (["--from", "labelme", "gone", "--to", "coco", "out"], "data_dir 'gone' is not a folder"),
        (["--from", "voc", "gone", "--to", "coco", "out"], "data_dir 'gone' is not a folder"),
    ],
)
def test_mistakes_end_with_one_message(convert, arguments, fragment, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, _, errors = convert(*arguments)
    assert status == 2
    assert fragment in errors
    assert not list(tmp_path.iterdir())


def test_pictures_inside_json_files_have_to_be_written(tmp_path, convert):
    import base64

    path, _ = build("labelme", tmp_path / "original")
    content = json.loads((path / "a.json").read_text())
    content["imageData"] = base64.b64encode((path / "a.png").read_bytes()).decode()
    (path / "a.json").write_text(json.dumps(content))
    data = (path / "a.png").read_bytes()
    (path / "a.png").unlink()
    arguments = ["--from", "labelme", path, "--to", "coco", tmp_path / "new" / "out.json"]
    status, _, errors = convert(*arguments)
    assert status == 2
    assert "--images copy" in errors
    assert convert(*arguments, "--images", "symlink")[0] == 0
    assert (tmp_path / "new" / "images" / "a.png").read_bytes() == data


@pytest.mark.real_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not there")
@pytest.mark.parametrize("target", ["labelme", "voc", "yolo", "easydata"])
@pytest.mark.parametrize(
    ("name", "ann", "pictures"),
    [
        ("fruits_nuts", "instances_val.json", "images"),
        ("dsb2018_nuclei", "instances_val.json", "images/val"),
        ("dsb2018_nuclei", "instances_val_poly.json", "images/val"),
        ("coco128", "instances_train.json", "images"),
    ],
)
def test_real_sets_there_and_back(tmp_path, convert, name, ann, pictures, target):
    """Polygons, and run lengths of up to hundreds of nuclei an image: every mask is the same."""
    source = SHARED / name / "annotations" / ann
    content = json.loads(source.read_text())
    content["images"] = content["images"][:3]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in kept]
    part = tmp_path / "part.json"
    part.write_text(json.dumps(content))
    folder = SHARED / name / pictures
    out, final = tmp_path / "out", tmp_path / "final.json"
    there = ["--from", "coco", part, "--data-dir", folder, "--to", target, out]
    assert convert(*there, "--images", "symlink")[0] == 0
    again = out / "data.yaml" if target == "yolo" else out
    assert convert("--from", target, again, "--to", "coco", final)[0] == 0
    written = next(path for path in out.rglob("*") if path.is_symlink()).parent
    first = masks_of(CocoDetection(folder, part, num_workers=0))
    second = masks_of(CocoDetection(written, final, num_workers=0))
    by_name = {
        Path(i["file_name"]).name: k for k, i in enumerate(json.loads(final.read_text())["images"])
    }
    for image, objects in zip(content["images"], first, strict=True):
        others = second[by_name[Path(image["file_name"]).name]]
        assert [one[:2] for one in objects] == [one[:2] for one in others]
        for (*_, a), (*_, b) in zip(objects, others, strict=True):
            assert mask_util.iou([a], [b], [0])[0, 0] > 0.99
