"""Training through `torch.compile`: the same numbers and names, and what happens when it fails."""

import copy
import functools
import logging
import pickle

import pytest
import torch
from detectron2.structures import Boxes, Instances, PolygonMasks
from detectron2.utils.events import EventStorage
from functorch.compile import make_boxed_func
from torch import nn
from torch._dynamo.backends.common import aot_autograd

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.engine import train as train_module
from paddlex_maskrcnn.engine.compiled import (
    CompiledMethod,
    compile_parts,
    drop_compiled,
    in_words,
    why_not,
)
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB
from support.tiny_training import SMALL, numbers, train, weights


class Parts(nn.Module):
    """The parts of a Mask R-CNN, one layer each."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.proposal_generator = nn.Module()
        self.proposal_generator.rpn_head = nn.Conv2d(4, 2, 1)
        self.roi_heads = nn.Module()
        self.roi_heads.box_head = nn.Linear(2, 2)
        self.roi_heads.mask_on = False

    def forward(self, x):
        x = self.proposal_generator.rpn_head(self.backbone(x)).mean(dim=(2, 3))
        return self.roi_heads.box_head(x).square().sum()


class Counting:
    """A backend, and the number of graphs it was given."""

    def __init__(self, backend="eager"):
        self.graphs = 0
        self.backend = torch._dynamo.lookup_backend(backend)

    def __call__(self, graph, inputs):
        self.graphs += 1
        return self.backend(graph, inputs)


def broken(graph, inputs):
    raise RuntimeError("No working C++ compiler found in torch._inductor.config.cpp.cxx: (None)")


@pytest.fixture(autouse=True)
def nothing_compiled():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def step(module, x):
    module.zero_grad()
    loss = module(x)
    loss.backward()
    return [loss.detach(), *(one.grad.clone() for one in module.parameters())]


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def placed(module):
    return [
        one for one in module.modules() for v in vars(one).values() if type(v) is CompiledMethod
    ]


def mask_rcnn(**settings):
    torch.manual_seed(0)
    small = {**SMALL, "norm": "FrozenBN", **settings}
    card = ModelCard(ModelParams(**small), ["a", "b"], [1, 2], IMAGENET_RGB, False)
    return build_network(card, "cpu").module


def batch(height=64, width=96):
    objects = Instances((height, width))
    objects.gt_boxes = Boxes(torch.tensor([[8.5, 8, 60, 50], [20, 10, 60, 40]]))
    objects.gt_classes = torch.tensor([0, 1])
    corners = [[x1, y1, x2, y1, x2, y2, x1, y2] for x1, y1, x2, y2 in objects.gt_boxes.tensor]
    objects.gt_masks = PolygonMasks([[torch.tensor(one).double().numpy()] for one in corners])
    image = torch.arange(3 * height * width).reshape(3, height, width) % 251
    return [{"image": image.to(torch.uint8), "instances": objects, "sample_seed": 1}]


def losses_and_gradients(module):
    with EventStorage():
        losses = module.train()(batch())
    sum(losses.values()).backward()
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return losses, gradients


@pytest.mark.parametrize(
    ("settings", "backend"),
    [
        pytest.param({}, "aot_eager", marks=pytest.mark.long),
        ({"with_fpn": False, "anchor_sizes": [16, 32]}, "eager"),
    ],
    ids=["FPN", "C4"],
)
@pytest.mark.long
def test_losses_and_gradients_are_the_same(settings, backend):
    """With a frozen norm; traced code computes Detectron2's way, so up to rounding.

    Each part is one graph: nothing in it makes torch go back to Python on the way.
    """
    plain, compiled = mask_rcnn(**settings), mask_rcnn(**settings)
    counting = Counting(backend)
    methods = compile_parts(compiled, backend=counting)
    tested = counting.graphs
    assert [one._part for one in methods] == ["backbone", "rpn_head", "box_head", "mask_head"]
    expected, found = losses_and_gradients(plain), losses_and_gradients(compiled)
    assert not any(one.failure for one in methods)
    assert counting.graphs == tested + 4
    for a, b in zip(found, expected, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4, msg=name)


def test_names_copies_and_pickles_know_nothing_of_it():
    module = Parts()
    names = list(module.state_dict()), [name for name, _ in module.named_modules()]
    compile_parts(module, backend="eager")
    step(module, torch.ones(2, 3, 8, 8))
    assert names == (list(module.state_dict()), [name for name, _ in module.named_modules()])
    assert len(placed(module)) == 3
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert not placed(other)
        other.backbone[0].weight.data.zero_()
        assert other.backbone(torch.ones(1, 3, 8, 8)).unique().numel() <= 4, "its own weights"
    drop_compiled(module)
    assert not placed(module)
    drop_compiled(module)


def test_evaluation_is_not_compiled():
    module, backend = Parts(), Counting()
    compile_parts(module, backend=backend)
    tested = backend.graphs  # by the small function
    module.eval()(torch.ones(1, 3, 8, 8))
    assert backend.graphs == tested
    step(module.train(), torch.ones(1, 3, 8, 8))
    assert backend.graphs == tested + 3


def test_images_of_many_sizes_need_few_compilations():
    """One for the first size, then one for any; a batch of one image has its own."""
    module, backend, plain = Parts(), Counting(), Parts()
    compile_parts(module, backend=backend)
    tested = backend.graphs
    for k in range(12):
        x = torch.rand(1 if k > 6 else 2, 3, 8 + 4 * k, 48 - 2 * k)
        assert_same(step(module, x), step(plain, x))
    assert backend.graphs - tested <= 3 * 4


def test_more_shapes_than_torch_will_compile_go_on_without():
    module, backend, plain = Parts(), Counting(), Parts()
    with torch._dynamo.config.patch(
        recompile_limit=2, automatic_dynamic_shapes=False, assume_static_by_default=True
    ):
        methods = compile_parts(module, backend=backend)
        for k in range(5):
            x = torch.rand(2, 3, 8 + 4 * k, 8)
            assert_same(step(module, x), step(plain, x))
    assert not any(one.failure for one in methods)


def test_without_a_compiler_nothing_is_changed_and_one_warning_says_so(caplog):
    module = Parts()
    assert compile_parts(module, backend=broken) == []
    assert not placed(module)
    [record] = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert "the run goes on without torch.compile, with the same results" in record.message
    assert "No working C++ compiler" in record.message
    assert "apt install g++" in record.message


def fails_for_convolutions(graph, inputs):
    if any("conv" in str(node.target) for node in graph.graph.nodes):
        raise RuntimeError("the backend has a bug")
    return graph.forward


def test_what_a_backend_cannot_compile_goes_on_without(caplog):
    module, plain = Parts(), Parts()
    methods = compile_parts(module, backend=fails_for_convolutions)
    for _ in range(2):
        x = torch.rand(2, 3, 8, 8)
        assert_same(step(module, x), step(plain, x))
    failures = [one._part for one in methods if one.failure]
    assert failures == ["backbone", "rpn_head"]
    warned = [one.message for one in caplog.records if one.name.endswith("engine.compiled")]
    warned = [one for one in warned if "goes on" in one]
    assert len(warned) == 2
    assert "backbone goes on without torch.compile, with the same results" in warned[0]
    assert "the backend has a bug. Remedy: set train.compile: false" in warned[0]


def test_a_backward_pass_that_cannot_be_compiled(caplog):
    """It is compiled with the forward pass, and fails there."""

    def backward(graph, inputs):
        if any("convolution" in str(node.target) for node in graph.graph.nodes):
            raise RuntimeError("no backward pass")
        return make_boxed_func(graph.forward)

    module, plain = Parts(), Parts()
    backend = aot_autograd(
        fw_compiler=lambda graph, inputs: make_boxed_func(graph.forward), bw_compiler=backward
    )
    methods = compile_parts(module, backend=backend)
    x = torch.rand(2, 3, 8, 8)
    assert_same(step(module, x), step(plain, x))
    assert [one._part for one in methods if one.failure] == ["backbone", "rpn_head"]


def raising(error):
    def backend(graph, inputs):
        if not any("conv" in str(node.target) for node in graph.graph.nodes):
            return graph.forward

        def run(*args):
            raise error

        return run

    return backend


def test_compiled_code_that_fails_where_plain_code_does_not():
    module, plain = Parts(), Parts()
    methods = compile_parts(module, backend=raising(AssertionError("expected size 4==5")))
    x = torch.rand(2, 3, 8, 8)
    assert_same(step(module, x), step(plain, x))
    assert "expected size 4==5" in methods[0].failure


def test_a_full_memory_is_not_taken_for_a_compiler_s_fault():
    module = Parts()
    methods = compile_parts(module, backend=raising(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(torch.OutOfMemoryError):
        module(torch.rand(2, 3, 8, 8))
    assert not any(one.failure for one in methods)


def test_other_errors_stay_themselves(caplog):
    """Three channels are needed: the message is that of the convolution, without a warning."""
    module = Parts()
    methods = compile_parts(module, backend="eager")
    with pytest.raises(RuntimeError, match=r"expected input.* to have 3 channels"):
        module(torch.rand(2, 5, 8, 8))
    assert not any(one.failure for one in methods)


def test_a_checkpointed_backbone_is_left_out():
    methods = compile_parts(Parts(), checkpointed=True, backend="eager")
    assert [one._part for one in methods] == ["rpn_head", "box_head"]


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (RuntimeError("CppCompileError: C++ compile error\nCommand: g++ ..."), "apt install g++"),
        (RuntimeError("Cannot find a working triton installation."), "pip install triton"),
        (
            RuntimeError("GPU is too old to be supported by the triton compiler"),
            "older than Triton",
        ),
        (RuntimeError("Dynamo is not supported on Python 3.99+"), "a Python that this torch"),
        (KeyError("odd"), "set train.compile: false"),
    ],
)
def test_remedies(error, remedy):
    assert remedy in in_words(error)
    assert "\n" not in in_words(error)


@pytest.mark.long
def test_a_compiled_run_is_saved_resumed_and_evaluated(tiny_run, tiny_data, tmp_path, monkeypatch):
    """Without the backbone, which takes long to trace."""
    in_place = functools.partial(compile_parts, backend="eager")
    monkeypatch.setattr(
        train_module, "compile_parts", lambda module, **_: in_place(module, checkpointed=True)
    )
    train(tiny_data, tmp_path, num_epochs=1, compile=True, ema=0.9)
    assert "train.compile on a CPU: minutes of compiling" in (tmp_path / "train.log").read_text()
    more = {"resume_checkpoint": "auto", "allow_changes": True}
    model = train(tiny_data, tmp_path, num_epochs=2, compile=True, ema=0.9, **more)
    assert not placed(model.network.module)
    assert weights(tmp_path / "epoch_2").keys() == weights(tiny_run[1] / "epoch_2").keys()
    found, expected = numbers(tmp_path), numbers(tiny_run[1])
    assert [row.keys() for row in found] == [row.keys() for row in expected]
    assert found[0]["loss"] == pytest.approx(expected[0]["loss"], rel=1e-3)


@pytest.mark.long
def test_real_compilation():
    """Inductor, forwards and backwards, two sizes."""
    reason = why_not(torch.device("cpu"))
    if reason:
        pytest.skip(reason)
    module, plain = Parts(), Parts()
    methods = compile_parts(module)
    for size in (8, 12):
        x = torch.rand(2, 3, size, size)
        assert_same(step(module, x), step(plain, x))
    assert len(methods) == 3
    assert not any(one.failure for one in methods)


@pytest.mark.gpu
def test_real_compilation_on_a_gpu_with_16_bits():
    reason = why_not(torch.device("cuda"))
    if reason:
        pytest.skip(reason)
    module, plain = Parts().cuda(), Parts().cuda()
    methods = compile_parts(module)
    x = torch.rand(2, 3, 32, 32, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        torch.testing.assert_close(module(x), plain(x), rtol=0.02, atol=0.02)
    assert not any(one.failure for one in methods)
