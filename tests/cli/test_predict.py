"""``predict`` on files, folders, patterns and videos; what it leaves, and going on with it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from paddlex_maskrcnn import cli
from paddlex_maskrcnn.cli.predict_run import find_inputs
from support.untrained import CATEGORY_IDS, LABELS, load, save_untrained

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_untrained(tmp_path_factory.mktemp("model") / "untrained")


@pytest.fixture
def photos(tmp_path):
    """Three pictures, one of them in a folder below."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(["a.png", "b.png", "more/a.png"]):
        cv2.imwrite(str(folder / name), noise(seed))
    return folder


def noise(seed, size=(64, 80)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture
def predict(capsys, model_dir, tmp_path):
    """The command with an output folder of its own: status, what it says, what it leaves."""

    def predict(*arguments):
        output = tmp_path / "out"
        command = ["predict", str(model_dir), *map(str, arguments), "--output", str(output)]
        status = cli.main(command)
        told = capsys.readouterr()
        return status, told.out + told.err, output

    return predict


def files(output):
    return {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}


def names(output):
    return [
        one["file_name"] for one in json.loads((output / "predictions.json").read_text())["images"]
    ]


def test_a_folder(predict, photos, model_dir):
    status, told, output = predict(photos)
    assert status == 0
    assert "3 images, " in told
    assert files(output) == {
        "predictions.json", "predictions.csv", "predictions.jsonl",
        "visualize_a.png", "visualize_b.png", "more/visualize_a.png",
    }  # fmt: skip
    found = COCO(str(output / "predictions.json"))
    assert names(output) == [str(photos / name) for name in ("a.png", "b.png", "more/a.png")]
    assert {one["id"]: one["name"] for one in found.dataset["categories"]} == dict(
        zip(CATEGORY_IDS, LABELS, strict=True)
    )
    expected = load(model_dir).predict(str(photos / "b.png"))
    rows = found.loadAnns(found.getAnnIds(imgIds=[2]))
    assert len(rows) == len(expected) > 0
    for row, one in zip(rows, expected, strict=True):
        assert row["bbox"] == pytest.approx(one["bbox"], abs=1e-3)
        assert row["category_id"] == CATEGORY_IDS[one["category_id"] - 1]
        assert row["area"] == coco_mask.area(row["segmentation"])
        assert (coco_mask.decode(row["segmentation"]) != one["mask"]).mean() < 0.01
    with (output / "predictions.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(found.anns)
    assert table[0]["file_name"] == str(photos / "a.png")
    assert float(table[0]["width"]) == pytest.approx(found.anns[1]["bbox"][2], abs=0.01)


def test_patterns_and_options(predict, photos):
    status, _, output = predict(
        f"{photos}/**/a.*", "--no-pictures", "--score-threshold", "0.5", "--tile", "48x64"
    )  # fmt: skip
    assert status == 0
    assert names(output) == [str(photos / "a.png"), str(photos / "more" / "a.png")]
    assert files(output) == {"predictions.json", "predictions.csv", "predictions.jsonl"}
    found = json.loads((output / "predictions.json").read_text())["annotations"]
    assert found
    assert all(one["score"] >= 0.5 for one in found)


def test_what_cannot_be_read_is_listed_at_the_end(predict, photos):
    (photos / "broken.png").write_bytes(b"no picture")
    status, told, output = predict(photos, photos / "missing.png")
    assert status == 1
    assert "3 images, " in told
    assert "2 could not be read:" in told
    assert f"{photos}/broken.png: " in told
    assert f"{photos}/missing.png: " in told
    assert len(names(output)) == 3


def test_going_on(predict, photos, monkeypatch):
    """A run that dies in the middle of a line; the next one does only what is missing."""
    from paddlex_maskrcnn.cli import predict_run

    done = []
    draw = predict_run.visualize

    def dies_at_the_third(name, *rest):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(name)
        draw(name, *rest)

    monkeypatch.setattr(predict_run, "visualize", dies_at_the_third)
    status, _, output = predict(photos)
    assert status == 130
    assert "predictions.json" not in files(output)
    with (output / "predictions.part-0.jsonl").open("a") as file:
        file.write('{"file_name": "' + str(photos / "more/a.png") + '", "hei')
    done.clear()
    status, told, _ = predict(photos)
    assert status == 0
    assert done == [str(photos / "more" / "a.png")]
    assert "3 images" in told
    assert "(2 of the inputs were there already)" in told
    assert len(names(output)) == 3


def test_overwriting_and_other_settings(predict, photos):
    assert predict(photos)[0] == 0
    status, told, output = predict(photos, "--score-threshold", "0.3")
    assert status == 2
    assert "other settings (score_threshold None, now 0.3)" in told
    assert "--overwrite" in told
    status, told, _ = predict(photos / "b.png", "--score-threshold", "0.3", "--overwrite")
    assert status == 0
    assert "already" not in told
    assert names(output) == [str(photos / "b.png")]


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (80, 64))
    for seed in range(6):
        writer.write(noise(seed))
    writer.release()
    return path


def test_video(predict, video):
    status, told, output = predict(video)
    assert status == 0
    assert "6 images, " in told
    images = json.loads((output / "predictions.json").read_text())["images"]
    assert [(one["file_name"], one["frame"]) for one in images] == [
        (str(video), k) for k in range(6)
    ]
    drawn = cv2.VideoCapture(str(output / "visualize_clip.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 6
    assert drawn.get(cv2.CAP_PROP_FPS) == pytest.approx(5)
    assert predict(video)[1].startswith("6 images")


def test_half_a_video_is_done_again(predict, video, monkeypatch):
    from paddlex_maskrcnn.cli import predict_run

    draw, drawn = predict_run.draw_objects, []

    def dies(frame, objects):
        if len(drawn) == 4:
            raise KeyboardInterrupt
        drawn.append(frame)
        return draw(frame, objects)

    monkeypatch.setattr(predict_run, "draw_objects", dies)
    assert predict(video)[0] == 130
    monkeypatch.undo()
    status, _, output = predict(video)
    assert status == 0
    assert len(names(output)) == 6
    assert not any("unfinished" in name for name in files(output))


def test_broken_video(predict, tmp_path, photos):
    (photos / "broken.mp4").write_bytes(b"no video")
    status, told, _ = predict(photos)
    assert status == 1
    assert "broken.mp4' cannot be opened" in told
    assert "3 images" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["PHOTOS/*.gif"], "there is no image or video in"),
        (["PHOTOS", "--score-threshold", "0.01"], "drops everything below 0.1"),
        (["PHOTOS", "--tile", "4"], "tile is (4, 4); allowed"),
        (["PHOTOS", "--batch-size", "0"], "--batch-size is 0; at least 1 is needed"),
    ],
)
def test_mistakes(predict, photos, arguments, message):
    status, told, output = predict(*(one.replace("PHOTOS", str(photos)) for one in arguments))
    assert status == 2
    assert message in told
    assert not output.exists()


def test_the_output_folder_is_no_input(tmp_path, photos):
    output = photos / "out"
    output.mkdir()
    (output / "visualize_a.png").write_bytes((photos / "a.png").read_bytes())
    found = find_inputs([str(photos)], output)
    assert [one.name for one in found] == [
        str(photos / n) for n in ("a.png", "b.png", "more/a.png")
    ]
    with pytest.raises(ValueError, match="is the folder of the images; choose another"):
        find_inputs([str(photos)], photos)


def test_same_names_of_two_folders_keep_their_folders(photos, tmp_path):
    found = find_inputs([str(photos / "a.png"), str(photos / "more/a.png")], tmp_path / "out")
    assert [one.folder.as_posix() for one in found] == [".", "more"]


def test_links_keep_the_places_of_their_names(photos, tmp_path):
    album = tmp_path / "album"
    (album / "day").mkdir(parents=True)
    (album / "c.png").symlink_to(photos / "more/a.png")
    (album / "day/d.png").symlink_to(photos / "a.png")
    (album / "linked").symlink_to(photos / "more")
    inputs = find_inputs([str(album)], tmp_path / "out")
    assert [(Path(one.name).relative_to(album).as_posix(), one.folder.as_posix()) for one in inputs] == [
        ("c.png", "."), ("day/d.png", "day"), ("linked/a.png", "linked"),
    ]  # fmt: skip


def test_junk_is_no_input_unless_it_is_named(photos, tmp_path):
    for name in ("._a.png", ".thumbnails/a.png", "__MACOSX/a.png", "@eaDir/a.png"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes((photos / "a.png").read_bytes())

    def names_of(argument):
        inputs = find_inputs([str(photos / argument)], tmp_path / "out")
        return [Path(one.name).relative_to(photos).as_posix() for one in inputs]

    assert names_of(".") == ["a.png", "b.png", "more/a.png"]
    assert names_of("*") == ["a.png", "b.png", "more/a.png"]
    assert names_of("**/a.png") == ["a.png", "more/a.png"]
    assert names_of("__MACOSX/*.png") == ["__MACOSX/a.png"]
    assert names_of(".thumbnails") == [".thumbnails/a.png"]
    assert names_of("._a.png") == ["._a.png"]


@pytest.mark.long
def test_two_processes_share_the_work(model_dir, photos, tmp_path):
    """As torchrun starts them: the same file as of one process, in one piece."""
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    arguments = ["predict", str(model_dir), str(photos), "--no-pictures", "--batch-size", "1"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each process: the number decides how sums are rounded
    try:
        assert cli.main([*arguments, "--output", str(alone)]) == 0
    finally:
        torch.set_num_threads(threads)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "projects"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*torchrun, "--module", "paddlex_maskrcnn", *arguments, "--output", str(shared)],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("3 images") == 1
    assert files(shared) == files(alone)
    assert (shared / "predictions.json").read_text() == (alone / "predictions.json").read_text()


def test_an_address_is_no_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"address .* download it first"):
        find_inputs(["https://example.org/a.jpg"], tmp_path)
