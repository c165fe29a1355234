import cv2
import numpy as np
import pytest

from paddlex_maskrcnn import cli

CONFIG = """
model: {backbone: ResNet18}
data:
  train: {type: CocoDetection, data_dir: IMAGES, ann_file: JSON, num_workers: 0, shuffle: true}
  eval: {type: CocoDetection, data_dir: IMAGES, ann_file: JSON, num_workers: 0}
  transforms:
    train:
      - RandomHorizontalFlip
      - RandomVerticalFlip
      - RandomRotate90
      - ResizeByShort: {short_size: 520}
    eval: [{ResizeByShort: {short_size: 540}}]
train: {num_epochs: 3, train_batch_size: 2, save_dir: OUT, pretrain_weights: null}
"""


@pytest.fixture
def config(tiny_coco, tmp_path):
    text = CONFIG.replace("IMAGES", str(tiny_coco.data_dir)).replace(
        "JSON", str(tiny_coco.ann_file)
    )
    path = tmp_path / "browse.yaml"
    path.write_text(text.replace("OUT", str(tmp_path / "run")))
    return path


@pytest.fixture
def browse(capsys, config):
    """The command: exit status and what it says."""

    def browse(*arguments):
        status = cli.main(["browse", "--config", str(config), *map(str, arguments)])
        told = capsys.readouterr()
        return status, told.out + told.err

    return browse


def pictures(folder):
    return {path.name: cv2.imread(str(path)) for path in sorted(folder.glob("*.png"))}


def test_training_pictures_and_their_sheet(browse, tmp_path):
    status, told = browse()
    folder = tmp_path / "run" / "browse" / "train"
    assert status == 0
    assert told == f"4 pictures in {folder}; all of them on {folder / 'contact_sheet.png'}\n"
    found = pictures(folder)
    assert sorted(name[4:5] for name in found if name[0] == "0") == ["1", "2", "3", "4"]
    sheet = found.pop("contact_sheet.png")
    assert sheet.shape[1] > 4 * 380
    assert all(min(picture.shape[:2]) >= 520 for picture in found.values())


def test_an_epoch_is_the_same_every_time_and_another_is_another(browse, tmp_path):
    for name, epoch in (("a", 0), ("b", 0), ("c", 1)):
        assert browse("--epoch", epoch, "--to", tmp_path / name)[0] == 0
    a, b, c = (pictures(tmp_path / name) for name in "abc")
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert list(a) != list(c) or any(not np.array_equal(a[name], c[name]) for name in a)


def test_the_first_pictures_are_those_of_the_first_batch(browse, tmp_path, tiny_coco):
    """As the loader of a run with the same seed has them."""
    from paddlex_maskrcnn.data.loader import EpochBatches

    dataset = tiny_coco.open()
    ratios = [record["width"] / record["height"] for record in dataset.records]
    batches = iter(EpochBatches(4, 2, ratios, 7, shuffle=True, start_step=2))
    expected = [f"{dataset.records[index]['image_id']}" for _, index in next(batches)]
    browse("--num", 2, "--epoch", 1, "--to", tmp_path / "a", "train.seed=7")
    assert [name[4:5] for name in pictures(tmp_path / "a") if name[0] == "0"] == expected


def test_held_out_pictures_are_as_evaluation_sees_them(browse, tmp_path):
    status, _ = browse("--split", "eval", "--num", 2, "--to", tmp_path / "eval")
    assert status == 0
    found = pictures(tmp_path / "eval")
    assert list(found) == ["000_1.png", "001_2.png", "contact_sheet.png"]
    assert found["000_1.png"].shape[1] == 720  # 48x64 at a short side of 540, not turned
    assert found["000_1.png"][-100:, :50].sum() == 0


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["--num", 0], "--num is 0; at least 1"),
        (["--epoch", -1], "--epoch is -1; epochs count from 0"),
        (["--split", "eval", "--epoch", 1], "--epoch goes with --split train only"),
        (["--split", "eval", "data.eval=null"], "data.eval is missing"),
        (["data.transforms.train=[MixupImage]"], "MixupImage"),
        (["data.transforms.train=[{CopyPaste: {prob: 2}}]"], "prob"),
    ],
)
def test_mistakes(browse, tmp_path, arguments, fragment):
    status, told = browse(*arguments)
    assert status == 2
    assert fragment in told
    assert not (tmp_path / "run").exists()
