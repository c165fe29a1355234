"""``split``: parts of a COCO json, complete and unchanged apart from being parts."""

import json
import shutil

import pytest
from PIL import Image

from paddlex_maskrcnn import cli, datasets
from paddlex_maskrcnn.data.datasets import CocoDetection


@pytest.fixture
def split(capsys):
    """The command in this process: exit status, standard output, standard error."""

    def split(*arguments):
        status = cli.main(["split", *map(str, arguments)])
        return status, *capsys.readouterr()

    return split


@pytest.fixture
def source(tmp_path):
    """Twenty images of five patients, two classes, one crowd region, keys that we do not know."""
    images = [
        {"id": k, "file_name": f"p{k % 5}_{k}.png", "height": 9, "width": 9, "patient": k % 5}
        for k in range(20)
    ]
    annotations = [
        {"id": k, "image_id": k % 20, "category_id": 1 + k % 2, "bbox": [0, 0, 3, 3], "extra": [k]}
        for k in range(40)
    ]
    annotations[0]["iscrowd"] = 1
    content = {
        "info": {"year": 2026},
        "licenses": [7],
        "images": images,
        "annotations": annotations,
    }
    content["categories"] = [{"id": 1, "name": "a", "keypoints": []}, {"id": 2, "name": "b"}]
    path = tmp_path / "all.json"
    path.write_text(json.dumps(content))
    return path


def parts_of(folder, *names):
    return [json.loads((folder / f"{name}.json").read_text()) for name in names]


def test_parts_have_everything_once_and_nothing_changed(tmp_path, source, split):
    before = source.read_bytes()
    status, said, errors = split(source, tmp_path / "parts", "--val", "0.2", "--test", "0.1")
    assert (status, errors) == (0, "")
    assert source.read_bytes() == before
    whole = json.loads(before)
    parts = parts_of(tmp_path / "parts", "train", "val", "test")
    assert [len(part["images"]) for part in parts] == [14, 4, 2]
    for key in ("images", "annotations"):
        everything = [one for part in parts for one in part[key]]
        assert sorted(everything, key=lambda one: one["id"]) == whole[key]
    for part in parts:
        assert (part["info"], part["categories"]) == (whole["info"], whole["categories"])
        numbers = [image["id"] for image in part["images"]]
        assert numbers == sorted(numbers)
        assert {one["image_id"] for one in part["annotations"]} <= set(numbers)
    lines = [line.split() for line in said.splitlines()]
    assert ["train", "val", "test"] in lines
    assert ["images", "14", "4", "2"] in lines


def test_the_same_again_and_another_with_another_seed(tmp_path, source, split):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        split(source, tmp_path / name, "--seed", seed)
    a, b, c = ((tmp_path / name / "val.json").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("group_by", ["patient", r"^(p\d)_", r"p\d"])
def test_groups_stay_together(tmp_path, source, split, group_by):
    assert split(source, tmp_path, "--group-by", group_by)[0] == 0
    patients = [
        {one["patient"] for one in part["images"]} for part in parts_of(tmp_path, "train", "val")
    ]
    assert [len(one) for one in patients] == [4, 1]
    assert not patients[0] & patients[1]


def test_parts_open_as_data_sets(tiny_coco, tmp_path, split):
    split(tiny_coco.ann_file, tmp_path, "--val", "0.5")
    parts = [
        CocoDetection(tiny_coco.data_dir, tmp_path / f"{name}.json", num_workers=0)
        for name in ("train", "val")
    ]
    assert [part.num_samples for part in parts] == [2, 2]
    assert parts[0].labels == parts[1].labels == ["nut", "bolt"]


def test_nothing_is_overwritten_without_force(tmp_path, source, split):
    (tmp_path / "val.json").write_text("mine")
    status, _, errors = split(source, tmp_path)
    assert status == 2
    assert "val.json' exists" in errors
    assert not (tmp_path / "train.json").exists(), "nothing is half done"
    assert split(source, tmp_path, "--force")[0] == 0
    assert json.loads((tmp_path / "val.json").read_text())["images"]


def test_the_original_is_never_a_part(tmp_path, source, split):
    source = source.rename(tmp_path / "train.json")
    before = source.read_bytes()
    status, _, errors = split(source, tmp_path, "--force")
    assert status == 2
    assert "is where the original is" in errors
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["--val", "1"], "--val is 1; a share of the images from 0 to below 1"),
        (["--val", "-0.1"], "--val is -0.1"),
        (["--val", "0"], "leave nothing to one of the parts"),
        (["--val", "0.5", "--test", "0.5"], "leave nothing to one of the parts"),
        (["--group-by", "("], "'(' is neither a key of the images"),
        (["--group-by", "x"], "20 images of"),
        (["--group-by", "p"], "has 1 groups of images, too few for 2 parts"),
    ],
)
def test_mistakes_end_with_one_message(tmp_path, source, split, arguments, fragment):
    status, _, errors = split(source, tmp_path / "parts", *arguments)
    assert status == 2
    assert fragment in errors
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize(
    ("spoil", "fragment"),
    [
        (lambda c: c["annotations"][3].update(image_id=99), "1 annotations belong to no image or"),
        (
            lambda c: c["annotations"][3].update(category_id=9),
            "1 annotations belong to no image or",
        ),
        (lambda c: c["images"][3].update(id=2), "image id given twice: image 2"),
        (lambda c: c.pop("categories"), "missing key 'categories'"),
    ],
)
def test_nothing_is_lost_silently(tmp_path, source, split, spoil, fragment):
    content = json.loads(source.read_text())
    spoil(content)
    source.write_text(json.dumps(content))
    status, _, errors = split(source, tmp_path / "parts")
    assert status == 2
    assert fragment in errors


@pytest.fixture
def command(capsys):
    """A command in this process that must work: the lines that it prints."""

    def command(*arguments):
        status = cli.main(list(map(str, arguments)))
        captured = capsys.readouterr()
        assert (status, captured.err) == (0, "")
        return captured.out.splitlines()

    return command


def read_as_said(lines):
    """The data sets that `read it with ...` opens."""
    names = {name: getattr(datasets, name) for name in datasets.__all__}
    calls = [line.removeprefix("read it with pdx.datasets.") for line in lines if "read it" in line]
    return [eval(call, names) for call in calls]


def num_objects(parts):
    return sum(int((~part.records.is_crowd).sum()) for part in parts)


@pytest.mark.parametrize("form", ["coco", "labelme", "voc", "yolo", "easydata"])
def test_every_output_is_an_input_of_the_others(tiny_coco, tmp_path, command, form):
    """Convert, split, convert the parts into one set, split again: all objects, and nothing edited."""
    out = tmp_path / ("out.json" if form == "coco" else "out")
    start = ["--from", "CocoDetection", tiny_coco.ann_file, "--data-dir", tiny_coco.data_dir]
    (whole,) = read_as_said(command("convert", *start, "--to", form, out))
    expected = num_objects([whole])
    assert expected == 5
    source = out / "data.yaml" if form == "yolo" else out
    folder = ["--data-dir", tiny_coco.data_dir] if form == "coco" else []
    lines = command("split", "--from", form, source, tmp_path / "parts", "--val", "0.5", *folder)
    parts = read_as_said(lines)
    assert [part.num_samples for part in parts] == [2, 2]
    assert num_objects(parts) == expected
    if form in ("coco", "labelme"):  # without names for parts: a folder each
        targets = {name: tmp_path / name / "a.json" for name in ("train", "val")}
    else:
        targets = dict.fromkeys(("train", "val"), tmp_path / "again")
    joined = []
    for part, (name, target) in zip(parts, targets.items(), strict=True):
        from_part = [tmp_path / "parts" / f"{name}.json", "--data-dir", part.data_dir]
        joined += read_as_said(
            command("convert", *from_part, "--to", form, target, "--split", name)
        )
    assert num_objects(joined) == expected
    again = targets["train"]
    again = again / "data.yaml" if form == "yolo" else again
    folder = ["--data-dir", parts[0].data_dir] if form == "coco" else []
    lines = command("split", "--from", form, again, tmp_path / "small", "--val", "0.5", *folder)
    assert sum(part.num_samples for part in read_as_said(lines)) == 2


def test_formats_are_named_as_in_experiment_files(tiny_coco, tmp_path, command, split):
    start = [tiny_coco.ann_file, "--data-dir", tiny_coco.data_dir]
    command("convert", *start, "--to", "LabelMeDetection", tmp_path / "labelme")
    command("split", "--from", "LabelMeDetection", tmp_path / "labelme", tmp_path / "parts")
    (tmp_path / "set.txt").write_text("a")
    for name, fragment in (("set.txt", "say which with --from"), ("none", "there is no")):
        status, _, errors = split(tmp_path / name, tmp_path / "others")
        assert status == 2
        assert fragment in errors


def test_a_folder_is_recognised(tiny_coco, tmp_path, command, split):
    start = [tiny_coco.ann_file, "--data-dir", tiny_coco.data_dir]
    for name in ("train", "val"):
        command("convert", *start, "--to", "yolo", tmp_path / "yolo", "--split", name)
    command("split", tmp_path / "yolo", tmp_path / "parts", "--split", "val")
    status, said, errors = split(tmp_path / "yolo", tmp_path / "others", "--split", "x")
    assert status == 2
    assert said.startswith(f"{tmp_path / 'yolo'} is YOLO: data.yaml")
    assert "has several parts (train, val)" in errors


def test_exports_of_labelling_tools(tmp_path, command):
    """CVAT's xml and Label Studio's json are told by what they are."""
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    (tmp_path / "annotations.xml").write_text(
        '<annotations><image id="0" name="a.png" width="20" height="20">'
        '<box label="dog" xtl="1" ytl="1" xbr="9" ybr="9"/></image></annotations>'
    )
    value = {"x": 5, "y": 5, "width": 40, "height": 40, "rectanglelabels": ["dog"]}
    result = {"id": "r", "type": "rectanglelabels", "value": value}
    task = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": [result]}]}
    (tmp_path / "export.json").write_text(json.dumps([task]))
    for name in ("annotations.xml", "export.json"):
        command("convert", tmp_path / name, "--to", "coco", tmp_path / "out" / f"{name}.json")
        (found,) = json.loads((tmp_path / "out" / f"{name}.json").read_text())["annotations"]
        assert found["bbox"] == [1, 1, 8, 8]


def test_predictions_are_a_data_set(tiny_coco, tmp_path, command, monkeypatch):
    """What a model detected is annotated already: to be corrected, split, converted."""
    from support.untrained import save_untrained

    monkeypatch.chdir(tiny_coco.data_dir.parent)
    model = save_untrained(tmp_path / "model")
    cli.main(
        [
            "predict",
            str(model),
            "images",
            "--output",
            str(tmp_path / "out"),
            "--score-threshold",
            "0.1",
        ]
    )
    predictions = tmp_path / "out" / "predictions.json"
    (whole,) = read_as_said(
        command("convert", predictions, "--data-dir", ".", "--to", "yolo", tmp_path / "y")
    )
    assert whole.num_samples == 4
    assert num_objects([whole]) == len(json.loads(predictions.read_text())["annotations"]) > 0
    parts = read_as_said(
        command("split", predictions, tmp_path / "parts", "--data-dir", ".", "--val", "0.5")
    )
    assert num_objects(parts) == num_objects([whole])


def test_an_archive(tiny_coco, tmp_path, command, monkeypatch):
    """It is unpacked once beside, in a folder of its name."""
    monkeypatch.chdir(tmp_path)
    command("convert", tiny_coco.ann_file, "--data-dir", tiny_coco.data_dir, "--to", "yolo", "set")
    shutil.make_archive("set", "zip", ".", "set")
    for _ in range(2):
        lines = command("split", "set.zip", "parts", "--val", "0.5", "--force")
        assert "set.zip is unpacked into set_unpacked" in lines
        assert [part.num_samples for part in read_as_said(lines)] == [2, 2]
