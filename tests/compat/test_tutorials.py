"""Scripts with the calls of PaddleX 1.3's three Mask R-CNN tutorials, and of its guide: imports alone change.

Their data set comes from a site on this machine, and networks and images are small; nothing else is changed.
"""

import io
import tarfile

import pytest

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.data import transforms
from support.flaky_site import Site
from support.tiny_training import FAST, SMALL

ARCHIVE = "xiaoduxiong_ins_det.tar.gz"
TUTORIAL = """
import os
os.environ['CUDA_VISIBLE_DEVICES'] = '0'

import paddlex as pdx
from paddlex.det import transforms

pdx.utils.download_and_decompress('SITE/dataset/xiaoduxiong_ins_det.tar.gz', path='./')

for_training = transforms.Compose([
    transforms.RandomHorizontalFlip(),
    transforms.Normalize(),
    transforms.ResizeByShort(short_size=800, max_size=1333),
    transforms.Padding(coarsest_stride=32),
])
for_evaluation = transforms.Compose([
    transforms.Normalize(),
    transforms.ResizeByShort(short_size=800, max_size=1333),
    transforms.Padding(coarsest_stride=32),
])
seen = pdx.datasets.CocoDetection(
    data_dir='xiaoduxiong_ins_det/JPEGImages',
    ann_file='xiaoduxiong_ins_det/train.json',
    transforms=for_training,
    shuffle=True)
held_out = pdx.datasets.CocoDetection(
    data_dir='xiaoduxiong_ins_det/JPEGImages',
    ann_file='xiaoduxiong_ins_det/val.json',
    transforms=for_evaluation)

model = pdx.det.MaskRCNN(num_classes=len(seen.labels) + 1 BACKBONE)
model.train(
    num_epochs=12,
    train_dataset=seen,
    train_batch_size=1,
    eval_dataset=held_out,
    learning_rate=0.00125,
    warmup_steps=10,
    lr_decay_epochs=[8, 11],
    save_dir='output/FOLDER',
    use_vdl=True)
"""
GUIDE = """
import paddlex as pdx

model = pdx.load_model('output/FOLDER/best_model')
image = 'xiaoduxiong_ins_det/JPEGImages/1.png'
result = model.predict(image)
pdx.det.visualize(image, result, threshold=0.0, save_dir='./output/shown')
both = model.batch_predict([image, image])
assert [len(one) for one in both] == [len(result)] * 2
print('attributes', model.model_type, model.status, model.completed_epochs, model.num_classes)

held_out = pdx.datasets.CocoDetection(
    'xiaoduxiong_ins_det/JPEGImages', 'xiaoduxiong_ins_det/val.json',
    transforms=model.eval_transforms)
metrics, details = model.evaluate(held_out, batch_size=1, return_details=True)
pdx.det.draw_pr_curve('output/FOLDER/best_model/eval_details.json', save_dir='./output/shown')
pdx.transforms.visualize(held_out, img_count=1, save_dir='vdl_output')
predictor = pdx.deploy.Predictor('output/FOLDER/best_model', use_gpu=False)
assert len(predictor.predict(image=image)) == len(result)
"""
ANALYSIS = """
pdx.det.coco_error_analysis(
    gt=details['gt'], pred_bbox=details['bbox'], pred_mask=details['mask'], save_dir='./output/errors')
"""


@pytest.fixture
def site(tiny_coco, monkeypatch, tmp_path):
    """The site of the data set; the current folder is an empty one."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(tiny_coco.data_dir, "xiaoduxiong_ins_det/JPEGImages")
        for part in ("train", "val"):
            archive.add(tiny_coco.ann_file, f"xiaoduxiong_ins_det/{part}.json")
    site = Site()
    site.files[f"/dataset/{ARCHIVE}"] = buffer.getvalue()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield site
    site.close()


@pytest.fixture
def small(monkeypatch):
    """Networks, images and runs of seconds, whatever a script asks for; no weights from the network."""
    whole = {name: value for name, value in SMALL.items() if name != "backbone"}

    class Small(pdx.det.MaskRCNN):
        def __init__(self, **given):
            super().__init__(**{**whole, **given})

        def train(self, **given):
            super().train(**{**given, **FAST, "num_epochs": 1, "train_batch_size": 2})

    resize = transforms.ResizeByShort
    monkeypatch.setattr(pdx.det, "MaskRCNN", Small)
    monkeypatch.setattr(transforms, "ResizeByShort", lambda short_size, max_size: resize(64, 96))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is taken back


def run(script, site, backbone="", folder="run"):
    """A script as PaddleX's users have it, after the one change that is asked of them."""
    text = script.replace("SITE", site.address).replace("FOLDER", folder)
    text = text.replace(" BACKBONE", backbone).replace("paddlex", "paddlex_maskrcnn")
    exec(compile(text, folder, "exec"), {"__name__": "__main__"})


def test_resnet18_and_the_guide(site, small, capsys, tmp_path):
    run(TUTORIAL, site, ", backbone='ResNet18'")
    run(GUIDE, site)
    said = capsys.readouterr().out
    assert "[EVAL] Finished, Epoch=1, bbox_mmap=" in said
    assert "attributes detector Normal 1 3" in said
    work = tmp_path / "work"
    names = {path.name for path in (work / "output/run/best_model").iterdir()}
    assert {"model.pth", "model.yml", "eval_details.json", ".success"} <= names
    assert (work / "output/shown/visualize_1.png").is_file()
    assert (work / "output/shown/segm_pr_curve(iou-0.5).png").is_file()
    assert len(list((work / "vdl_output").iterdir())) == 3
    run(TUTORIAL.partition("for_training")[0], site)  # once more: the data is there
    assert len(site.requests) == 1


@pytest.mark.long
@pytest.mark.parametrize("backbone", ["", ", backbone='ResNet50_vd'", ", backbone='HRNet_W18'"])
def test_the_others(site, small, tmp_path, backbone):
    run(TUTORIAL, site, backbone)
    run(GUIDE + ANALYSIS, site)
    assert (tmp_path / "work/output/errors/segm/segm-allclass-allarea.png").is_file()
