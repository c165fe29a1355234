"""What holds whatever computes the network: weights that change, batches in parts, crowd regions."""

import copy

import pytest
import torch
from detectron2.structures import BitMasks, Boxes, Instances
from torch.optim.lr_scheduler import LambdaLR

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.engine.optimizer import Ema
from paddlex_maskrcnn.engine.trainer import Progress, Trainer
from support.seeded import seeded_weights, uniform
from support.untrained import save_untrained

# few proposals, far apart: rounding changes no decision (tests/test_earlier_versions.py)
FEW = {"test_pre_nms_top_n": 3, "test_post_nms_top_n": 6, "keep_top_k": 5, "nms_threshold": 0.3}


def image():
    pixels = uniform("image 0", (8, 12, 3), 0, 256).to(torch.uint8).numpy()
    return pixels.repeat(8, axis=0).repeat(8, axis=1)


def scores_and_boxes(model) -> list[list[float]]:
    return [[one["score"] * 100, *one["bbox"]] for one in model.predict(image())]


def write(model, weights):
    """Into the weights as they are, which raises their versions."""
    with torch.no_grad():
        for name, one in model.network.module.state_dict(keep_vars=True).items():
            one.copy_(weights[name])


def load(model, weights):
    model.network.module.load_state_dict(weights)


def exchange(model, weights):
    """As averaged weights are evaluated."""
    average = Ema(model.network.module, 0.5)
    average.restart_from(weights, 1)
    average.swap()


def train_through_data(model, weights):
    """Raises no version; `eval()` must be enough."""
    model.network.module.train()
    for name, one in model.network.module.state_dict(keep_vars=True).items():
        one.data.copy_(weights[name])
    model.network.module.eval()


def train_with_a_fused_optimizer(model, weights):
    """One step of SGD at rate 1 leads to these weights; statistics follow through `.data`."""
    module = model.network.module.train()
    for name, one in module.named_parameters():
        one.requires_grad_().grad = one.detach() - weights[name]
    torch.optim.SGD(module.parameters(), lr=1.0, fused=True).step()
    for name, one in module.named_buffers():
        if name in weights:
            one.data.copy_(weights[name])
    module.eval()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model that has never predicted, other weights for it, and what it predicts with these."""
    directory = save_untrained(tmp_path_factory.mktemp("model") / "model", **FEW)
    shapes = {
        name: one.shape
        for name, one in torch.load(directory / "model.pth", weights_only=True).items()
    }
    first, other = seeded_weights(shapes), seeded_weights(shapes, "other ")
    torch.save(other, directory / "model.pth")
    expected = scores_and_boxes(pdx.load_model(directory))
    torch.save(first, directory / "model.pth")
    return pdx.load_model(directory), other, expected


@pytest.mark.parametrize(
    "change", [write, load, exchange, train_through_data, train_with_a_fused_optimizer]
)
def test_changed_weights_change_the_next_prediction(change, models):
    fresh, other, expected = models
    model = copy.deepcopy(fresh)
    before = scores_and_boxes(model)
    assert before != pytest.approx(expected, abs=1)
    assert scores_and_boxes(model) == before, "nothing changed"
    change(model, other)
    found = scores_and_boxes(model)
    assert len(found) == len(expected)
    for one, wanted in zip(found, expected, strict=True):
        assert one == pytest.approx(wanted, rel=0, abs=1e-3)


def training_image(number: int, *, crowd: bool) -> dict:
    """Four objects that lie apart, the last of them a crowd region if asked for."""
    targets = Instances((64, 96))
    corners = torch.tensor([[4.0, 4], [40, 6], [70, 10], [8, 36]])
    targets.gt_boxes = Boxes(torch.cat([corners, corners + 16 + number], dim=1))
    targets.gt_classes = torch.tensor([0, 1, 2, number])
    noise = uniform(f"masks {number}", (4, 64, 96), 0, 1)
    targets.gt_masks = BitMasks(noise > 0.5)
    if crowd:
        targets.gt_crowd = torch.tensor([False, False, False, True])
    pixels = uniform(f"pixels {number}", (3, 8, 12), 0, 256).to(torch.uint8)
    pixels = pixels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    return {"image": pixels, "instances": targets, "image_id": number, "sample_seed": number}


@pytest.fixture(scope="module")
def trainable(tmp_path_factory):
    """Frozen norms, and as many regions of each image whatever is proposed: losses are means of images."""
    directory = save_untrained(
        tmp_path_factory.mktemp("trainable") / "model",
        norm="FrozenBN",
        train_pre_nms_top_n=3,
        train_post_nms_top_n=6,
        rcnn_batch_size_per_im=4,
    )
    shapes = {
        name: one.shape
        for name, one in torch.load(directory / "model.pth", weights_only=True).items()
    }
    torch.save(seeded_weights(shapes), directory / "model.pth")
    return pdx.load_model(directory).network


def one_step(network, batch, accumulate: int = 1):
    """The record of a step, and the gradients by name."""
    network = copy.deepcopy(network)
    optimizer = torch.optim.SGD(network.module.parameters(), lr=0.1)
    schedule = LambdaLR(optimizer, lambda step: 1.0)
    progress = Progress(step=0, steps_per_epoch=1, num_epochs=1)
    batches = iter([batch])
    Trainer(network, optimizer, schedule, batches, progress, accumulate=accumulate).run()
    grads = {name: one.grad for name, one in network.module.named_parameters()}
    return progress.records[0], grads


def test_a_batch_in_parts_gives_the_gradients_of_the_whole(trainable):
    batch = [training_image(0, crowd=True), training_image(1, crowd=False)]
    whole, expected = one_step(trainable, batch)
    parts, grads = one_step(trainable, batch, accumulate=2)
    assert parts.losses == pytest.approx(whole.losses, rel=1e-4)
    assert min(whole.losses.values()) > 0
    for name, grad in expected.items():
        assert (grads[name] - grad).norm() <= 1e-3 * grad.norm() + 1e-6, name


def test_a_crowd_region_is_no_object(trainable):
    """Its class and mask do not show in a loss; those of an object do."""
    losses = []
    for crowd in (True, False):
        for number in (0, 2):
            image = training_image(0, crowd=crowd)
            image["instances"].gt_classes[3] = number
            image["instances"].gt_masks.tensor[3] ^= number == 2
            record, _ = one_step(trainable, [image, training_image(1, crowd=True)])
            losses.append(record.losses)
    assert losses[0] == losses[1]
    assert losses[2] != losses[3]
