"""Drafted experiments: what was chosen reads back as it was meant, and says why."""

import json

import pytest

from paddlex_maskrcnn.config.auto_rules import Machine
from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.data.convert.convert import convert
from paddlex_maskrcnn.data.datasets import CocoDetection, DrawnShapes, open_dataset
from paddlex_maskrcnn.draft import EXPERIMENT, _mirror, draft, source_of

CPU = Machine("cpu")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Two parts of a drawn set: part -> data set."""
    folder = tmp_path_factory.mktemp("drawn")
    return {
        split: DrawnShapes(folder, split=split, num_images=count, image_size=64)
        for split, count in (("train", 10), ("val", 4))
    }


def written(drafted, folder):
    """The draft in its folder, loaded as an experiment."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in drafted.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return load_experiment(folder / EXPERIMENT)


def images(loaded, part):
    return {
        record["file_name"]
        for record in open_dataset(getattr(loaded.experiment.data, part)).records
    }


@pytest.mark.parametrize("form", ["labelme", "yolo", "voc", "easydata", "coco"])
def test_a_source_without_held_out_images_is_split(form, drawn, tmp_path):
    source = tmp_path / "set" / "all.json" if form == "coco" else tmp_path / "set"
    convert(drawn["train"], form, source, images="copy")
    drafted = draft(tmp_path / "set", tmp_path / "out", share=0.3, machine=CPU)
    loaded = written(drafted, tmp_path / "out")
    train, held_out = images(loaded, "train"), images(loaded, "eval")
    assert len(train) == 7
    assert len(held_out) == 3
    assert not train & held_out
    labels = [
        open_dataset(getattr(loaded.experiment.data, part)).labels for part in ("train", "eval")
    ]
    assert labels[0] == labels[1]
    assert sorted(labels[0]) == sorted(drawn["train"].labels)
    assert "3 of 10 images, classes in proportion, seed 0" in drafted.files[EXPERIMENT]


def test_a_part_that_the_source_holds_out_is_used(drawn, tmp_path):
    for split in ("train", "val"):
        convert(drawn[split], "labelme", tmp_path / "set" / split)
    drafted = draft(tmp_path / "set", tmp_path / "out", machine=CPU)
    assert list(drafted.files) == [EXPERIMENT]
    loaded = written(drafted, tmp_path / "out")
    assert len(images(loaded, "train")) == 10
    assert len(images(loaded, "eval")) == 4


def test_what_depends_on_the_machine_is_left_to_the_run(drawn, tmp_path):
    convert(drawn["train"], "labelme", tmp_path / "set")
    loaded = written(draft(tmp_path / "set", tmp_path / "out", machine=CPU), tmp_path / "out")
    assert {key.rpartition(".")[2] for key in loaded.experiment.auto} == {
        "num_epochs", "train_batch_size", "learning_rate", "warmup_steps", "lr_decay_epochs",
        "save_interval_epochs", "short_size",
    }  # fmt: skip
    assert loaded.experiment.model.keep_top_k == 100
    assert source_of(tmp_path / "out" / EXPERIMENT) == str(tmp_path / "set")


def only(dataset, names, folder):
    """A COCO set of the objects of some classes; the categories are these alone."""
    convert(dataset, "coco", folder / "all.json", images="copy")
    content = json.loads((folder / "all.json").read_text())
    content["categories"] = [c for c in content["categories"] if c["name"] in names]
    ids = {category["id"] for category in content["categories"]}
    content["annotations"] = [a for a in content["annotations"] if a["category_id"] in ids]
    (folder / "all.json").write_text(json.dumps(content))


def test_parts_of_different_classes_get_the_same(drawn, tmp_path):
    first, second, *_ = drawn["train"].labels
    for form in ("coco", "labelme"):
        for split, names in (("train", [first, second]), ("val", [second])):
            folder = tmp_path / form / split
            only(drawn[split], names, folder)
            if form == "labelme":
                dataset = CocoDetection(folder, folder / "all.json")
                convert(dataset, "labelme", tmp_path / "labelme_source" / split)
                (tmp_path / "labelme_source" / split / "labels.txt").unlink(missing_ok=True)
        source = tmp_path / ("labelme_source" if form == "labelme" else form)
        loaded = written(
            draft(source, tmp_path / f"out_{form}", machine=CPU), tmp_path / f"out_{form}"
        )
        opened = [open_dataset(getattr(loaded.experiment.data, part)) for part in ("train", "eval")]
        assert opened[0].labels == opened[1].labels == sorted([first, second])
        assert opened[0].num_samples == 10


@pytest.mark.parametrize(
    ("labels", "arguments"),
    [
        (["cat", "dog"], None),
        (["bright", "leftover", "call"], None),
        (["left_shoe", "right_shoe"], {"swap_labels": [["left_shoe", "right_shoe"]]}),
        (["LeftHand", "RightHand", "nose"], {"swap_labels": [["LeftHand", "RightHand"]]}),
        (["eye L", "eye R"], {"swap_labels": [["eye L", "eye R"]]}),
        (["LEFT", "RIGHT"], {"swap_labels": [["LEFT", "RIGHT"]]}),
        (["turn left", "stop"], {"prob": 0}),
        (["left_shoe", "right_shoe", "left_glove"], {"prob": 0}),
    ],
)
def test_a_mirror_makes_no_left_one_of_a_right_one(labels, arguments):
    operator = _mirror(labels).value
    if arguments is None:
        assert operator == "RandomHorizontalFlip"
    else:
        (line,) = operator
        assert (line.key, line.value) == ("RandomHorizontalFlip", arguments)
        assert line.reason


def test_anchors_are_chosen_where_the_usual_ones_fit_badly(drawn, tmp_path):
    large = DrawnShapes(tmp_path / "drawn", num_images=8, image_size=256)
    convert(large, "labelme", tmp_path / "set")
    usual = written(draft(tmp_path / "set", tmp_path / "out", machine=CPU), tmp_path / "out")
    assert "model.anchor_sizes" not in usual.origins
    # objects far longer than wide
    stripes = tmp_path / "stripes"
    convert(drawn["train"], "coco", stripes / "all.json", images="copy")
    content = json.loads((stripes / "all.json").read_text())
    for entry in content["annotations"]:
        top = 2 + 3 * (entry["id"] % 18)
        box = [2, top, 58, 4]
        x, y, w, h = box
        entry |= {"bbox": box, "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]}
        entry["area"] = w * h
    (stripes / "all.json").write_text(json.dumps(content))
    drafted = draft(stripes, tmp_path / "out_2", machine=CPU)
    loaded = written(drafted, tmp_path / "out_2")
    assert "model.anchor_sizes" in loaded.origins
    assert "of the objects meet an anchor" in drafted.files[EXPERIMENT]
    assert not any(finding.kind == "anchors" for finding in drafted.findings)
