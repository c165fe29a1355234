"""The loss on held-out data."""

import copy

import pytest
import torch
from detectron2.utils.events import EventStorage

from paddlex_maskrcnn.acceleration import plain
from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.data.loader import build_loss_loader
from paddlex_maskrcnn.data.mapper import TrainMapper
from paddlex_maskrcnn.engine.compiled import compile_parts
from paddlex_maskrcnn.engine.validation_loss import validation_losses
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB
from support.tiny_training import EVAL, SMALL


@pytest.fixture
def network(tiny_shapes):
    torch.manual_seed(0)
    labels = tiny_shapes("val").labels
    card = ModelCard(ModelParams(**SMALL), labels, [1, 2, 3, 4], IMAGENET_RGB, False)
    return build_network(card, "cpu")


def test_mean_of_the_images_losses(network, tiny_shapes):
    """Against a loop over the images, with running statistics, as in evaluation."""
    dataset = tiny_shapes("val", num_images=4, transforms=EVAL)
    found = validation_losses(network, dataset, EVAL, seed=3)
    module = network.module.train()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.eval()
    totals = []
    with EventStorage(), torch.no_grad():
        for one in build_loss_loader(dataset, TrainMapper(EVAL, "RGB", 3, 3)):
            totals.append(sum(module(one).values()).item())
    assert found["val_loss"] == pytest.approx(sum(totals) / 4)
    parts = [value for name, value in found.items() if name != "val_loss"]
    assert sum(parts) == pytest.approx(found["val_loss"])
    assert set(found) >= {"val_loss_bbox", "val_loss_rpn_bbox", "val_loss_mask"}


def test_it_is_not_compiled(network, tiny_shapes):
    """Each image may have a size of its own, and each size costs minutes."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    dataset = tiny_shapes("val", num_images=1, transforms=EVAL)
    plain(network.module)  # as a network is that is compiled
    expected = validation_losses(network, dataset, EVAL, seed=0)
    compile_parts(network.module, backend=backend)
    graphs.clear()  # of the small function that tries the backend
    found = validation_losses(network, dataset, EVAL, seed=0)
    assert not graphs
    assert found == expected


def test_nothing_of_the_network_changes_and_twice_is_the_same(network, tiny_shapes):
    dataset = tiny_shapes("val", num_images=4, transforms=EVAL)
    before = copy.deepcopy(network.module.state_dict())
    state = torch.get_rng_state()
    first = validation_losses(network, dataset, EVAL, seed=0)
    torch.manual_seed(77)
    assert validation_losses(network, dataset, EVAL, seed=0) == first
    assert all(torch.equal(before[k], v) for k, v in network.module.state_dict().items())
    assert network.module.training
    torch.set_rng_state(state)
