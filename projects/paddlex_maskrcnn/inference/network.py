"""A network and its card: all that is needed to build it and to predict with it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.modeling import GeneralizedRCNN, build_model
from torch import nn

from .. import modeling  # noqa: F401  (registers our components)
from ..acceleration import accelerate
from ..config.check import check_arguments, short_repr
from ..config.schema import ModelParams
from ..config.translate import BuildFacts, translate
from ..data.transforms import Compose
from ..weights.input_format import InputFormat
from ..weights.paddlex_model import fix_shape

_COARSEST_STRIDE = 32  # of the pyramid's top, whose maps are enlarged and added


@dataclass
class ModelCard:
    """What model.yml says of a network, so that the directory alone is enough to use it.

    Attributes:
        params: the constructor's arguments.
        labels: foreground class names; entry i is class i inside the network.
        category_ids: the data set's ids of these classes.
        input_format: how images must look.
        pretrained: whether it was built to start from pretrained weights (decides norm and freezing).
        transforms: operators applied before predicting, as plain data; None when unknown.
        metric: COCO or VOC, as in training; None before.
        eval_metrics: metrics of the last evaluation during training.
        completed_epochs: epochs trained.
        fixed_input_shape: [width, height] in pixels that every image becomes; None: as it comes.
    """

    params: ModelParams
    labels: list[str]
    category_ids: list[int]
    input_format: InputFormat
    pretrained: bool
    transforms: list[dict] | None = None
    metric: str | None = None
    eval_metrics: dict[str, float] = field(default_factory=dict)
    completed_epochs: int = 0
    fixed_input_shape: list[int] | None = None

    def as_plain(self) -> dict[str, Any]:
        """Plain data for a YAML file."""
        plain = asdict(self)
        for key in ("pixel_mean", "pixel_std"):
            plain["input_format"][key] = list(plain["input_format"][key])
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ModelCard:
        """The card of a model.yml.

        Raises:
            ValueError: when its settings are not ours.
        """
        # model.yml has more: versions, the experiment; cards of earlier versions have less
        values = {name: plain[name] for name in cls.__dataclass_fields__ if name in plain}
        form = dict(values["input_format"])
        form |= {key: tuple(form[key]) for key in ("pixel_mean", "pixel_std")}
        values["input_format"] = InputFormat(**form)
        values["params"] = check_arguments(ModelParams, values["params"])
        for name, kind in (("labels", str), ("category_ids", int)):
            if not all(isinstance(item, kind) for item in values[name]):
                raise TypeError(f"{name} is {short_repr(values[name])}")
        return cls(**values)

    def test_transforms(self) -> Compose | None:
        """The operators applied before predicting."""
        return None if self.transforms is None else Compose.from_config(self.transforms)

    def fix_input_shape(self, shape: Sequence[int]) -> None:
        """Let every image become one size: PaddleX's `fixed_input_shape`, which changes the operators.

        Args:
            shape: [width, height] in pixels.

        Raises:
            ValueError: when the model has no ResizeByShort, or the network cannot take that size.
        """
        step = _COARSEST_STRIDE if self.params.with_fpn else 1
        wanted = "[width, height] in pixels" + (f", multiples of {step}" if step > 1 else "")
        is_size = len(shape) == 2 and all(isinstance(n, int) and n > 0 for n in shape)
        if not is_size or any(side % step for side in shape):
            raise ValueError(f"fixed_input_shape is {list(shape)!r}; needed: {wanted}")
        operators = copy.deepcopy(self.transforms or [])
        names = [name for operator in operators for name in operator]
        if "ResizeByShort" not in names:
            raise ValueError(
                "fixed_input_shape needs a model whose transforms have ResizeByShort; this one has "
                f"{', '.join(names) or 'none'}"
            )
        operators += [] if "Padding" in names else [{"Padding": {}}]
        fix_shape(operators, list(shape))
        self.transforms, self.fixed_input_shape = operators, list(shape)


@dataclass
class Network:
    """A torch module and its card.

    Attributes:
        frozen: parts that stay in evaluation mode while the rest trains.
    """

    module: GeneralizedRCNN
    card: ModelCard
    frozen: list[nn.Module] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return next(self.module.parameters()).device

    def set_training(self, training: bool = True) -> None:
        """Training or evaluation mode, frozen parts always in the latter."""
        self.module.train(training)
        for part in self.frozen:  # train() has just put them into training mode too
            part.eval()


def detectron2_cfg(card: ModelCard, device: str = "cpu") -> CfgNode:
    """The Detectron2 cfg that builds the card's network."""
    form = card.input_format
    facts = BuildFacts(
        num_classes=len(card.labels),
        channel_order=form.channel_order,
        pixel_mean=form.pixel_mean,
        pixel_std=form.pixel_std,
        stride_in_1x1=form.stride_in_1x1,
        conventions=form.conventions,
        pretrained=card.pretrained,
        device=device,
    )
    return translate(card.params, facts)


def build_network(card: ModelCard, device: str) -> Network:
    """A network with fresh weights, in training mode."""
    return Network(accelerate(build_model(detectron2_cfg(card, device))), card)


def choose_device(name: str) -> str:
    """`auto` to cuda when there is one, else cpu.

    Raises:
        ValueError: when cuda is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', but torch sees no GPU here; choose one of auto, cpu")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name
