"""An exported network finds what the network finds: each backbone, neck, NMS and convention once."""

import numpy as np
import onnxruntime
import pytest
import torch

from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.export import verification
from paddlex_maskrcnn.export.exporting import export_network
from paddlex_maskrcnn.export.files import OnnxRunner
from paddlex_maskrcnn.export.network import ExportableRCNN
from paddlex_maskrcnn.export.verification import TOLERANCE, Differences, Objects, match
from paddlex_maskrcnn.modeling.box_predictor import scores_above

SIZES = [(64, 96), (75, 61), (33, 140)]
PADDED = transforms.Compose(
    [transforms.Normalize(), transforms.ResizeByShort(64, 96), transforms.Padding(48)]
)
FRAMED = transforms.Compose(
    [
        transforms.Normalize([0.4], [0.3]),
        transforms.Resize([90, 70]),
        transforms.Padding(target_size=[130, 97]),
    ]
)
# to, settings: every value that changes the graph stands somewhere, and none more often than needed
CASES = {
    "fpn-hard": ("onnx", {"pipeline": PADDED}),
    "fpn-torchscript-grey": (
        "torchscript",
        {"channels": 1, "rcnn_nms": "MultiClassCiouNMS", "pipeline": FRAMED},
    ),
    "c4-soft-torchvision": (
        "onnx",
        {
            "with_fpn": False,
            "backbone": "ResNet50_vd",
            "rcnn_nms": "MultiClassSoftNMS",
            "conventions": "torchvision",
            "test_post_nms_top_n": 10,
            "score_threshold": 0.01,
        },
    ),
    "c4-torchscript-matrix": (
        "torchscript",
        {"with_fpn": False, "rcnn_nms": "MatrixNMS", "test_post_nms_top_n": 10},
    ),
    "fpn-dcn-gn-matrix-focal-four-channels-one-class": (
        "onnx",
        {
            "with_dcn": True,
            "norm": "GN",
            "rcnn_nms": "MatrixNMS",
            "rpn_cls_loss": "SigmoidFocalLoss",
            "channels": 4,
            "labels": ["a"],
            "pipeline": transforms.Compose(
                [transforms.Normalize([0.4] * 4, [0.3] * 4), transforms.ResizeByShort(64, 96)]
            ),
        },
    ),
    "hrnet-diou-paddlex": (
        "onnx",
        {"backbone": "HRNet_W18", "rcnn_nms": "MultiClassCiouNMS", "conventions": "paddlex"},
    ),
}

IN_SHORT = ("fpn-hard",)


# A random network may enlarge rounding to hundredths of a pixel, each in its own measure and on each CPU
# in another. Here 64 layers in a row at most, each of which rounds by 2^-24: a file may differ as much as
# if all these errors were made in the pixels, and added up.
ROUNDING = 64 * 2**-24
ARITHMETIC = (
    16 * 2**-14
)  # of a box of up to 640 pixels: some units in the last place of its coordinates


@torch.no_grad()
def differences_of_noise(module, inputs, threshold) -> Differences:
    """How far PyTorch's own boxes move when each pixel does by ROUNDING of the image's range."""
    differences = Differences()

    def found(one, image):
        with scores_above(threshold):
            [objects] = module.inference([{**one, "image": image}], do_postprocess=False)
        tensors = (objects.pred_boxes.tensor, objects.scores, objects.pred_classes)
        return Objects(*[tensor.numpy() for tensor in (*tensors, objects.pred_masks[:, 0])])

    generator = torch.Generator().manual_seed(0)
    for _, one in inputs:
        image = one["image"].float()
        size = ROUNDING * (image.max() - image.min())
        for _ in range(3):
            noise = torch.rand(image.shape, generator=generator) * 2 - 1
            pair = found(one, image), found(one, image + size * noise)
            differences.widen(match(*pair, TOLERANCE).differences)
    return differences


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case in IN_SHORT else pytest.mark.long) for case in CASES],
)
def test_exported_networks_pass_their_verification(case, build_tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(verification, "_SIZES", [(480, 640), (480, 170), (150, 151)])
    to, settings = CASES[case]
    network = build_tiny(**settings)
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    report = export_network(network, tmp_path / "file", to)
    assert report.wrong == []
    assert report.objects >= 10
    inputs = verification.inputs_of(network.card, network.card.test_transforms())
    own = differences_of_noise(network.module, inputs, report.threshold)
    assert report.differences.box <= ARITHMETIC + own.box
    after = network.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("size", SIZES)
def test_onnx_equals_the_network(exported, size):
    """Not by our own verification: object by object, in order."""
    model, path, _ = exported
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(size[0])) * 255
    with torch.no_grad():
        [expected] = model.network.module.inference([{"image": image}], do_postprocess=False)
    session = onnxruntime.InferenceSession(str(path))
    boxes, scores, labels, masks = session.run(None, {"image": image.numpy()})
    assert len(expected) > 5
    np.testing.assert_array_equal(labels, expected.pred_classes.numpy())
    np.testing.assert_allclose(boxes, expected.pred_boxes.tensor.numpy(), atol=1e-4)
    np.testing.assert_allclose(scores, expected.scores.numpy(), atol=1e-5)
    np.testing.assert_allclose(masks, expected.pred_masks[:, 0].numpy(), atol=1e-5)
    assert [one.dtype for one in (boxes, scores, labels, masks)] == [
        np.float32, np.float32, np.int64, np.float32,
    ]  # fmt: skip


def test_nothing_found_is_an_empty_result(exported):
    _, path, _ = exported
    image = torch.rand(3, 64, 96) * 255
    boxes, scores, labels, masks = OnnxRunner(path)(image, 1.0)
    assert boxes.shape == (0, 4)
    assert scores.shape == labels.shape == (0,)
    assert masks.shape == (0, 28, 28)


def test_no_proposal_is_an_empty_result(exported):
    """Pixels that are no numbers leave the RPN without a single box."""
    _, path, _ = exported
    boxes, _, _, masks = OnnxRunner(path)(torch.full((3, 64, 96), float("nan")), 0.0)
    assert (len(boxes), len(masks)) == (0, 0)


def test_the_threshold_can_be_given(exported):
    _, path, _ = exported
    runner, image = OnnxRunner(path), torch.rand(3, 64, 96) * 255
    scores = runner(image, 0.1)[1]
    middle = float(np.median(scores))
    assert len(scores) > 5
    np.testing.assert_allclose(runner(image, middle)[1], scores[scores > middle], atol=1e-6)


def test_an_nms_without_a_traceable_form_is_refused(build_tiny):
    module = build_tiny().module
    module.roi_heads.box_predictor.nms = lambda *_: None
    with pytest.raises(ValueError, match="cannot be exported; choose one of hard_nms"):
        ExportableRCNN(module, None)
