"""`pdx.deploy`: `Predictor`, a saved or exported model that only predicts.

Origin: PaddleX 1.3 `paddlex.deploy.Predictor`. Differences: it reads model directories as well as folders of
`export_inference_model`; what Paddle's engine was told by `use_mkl`, `use_trt` and the like has no
counterpart, so that a value other than the default is answered by a warning.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.structures import Boxes, Instances

from ..data.transforms import Compose
from ..inference.model_directory import GRAPH, is_exported, read_card
from ..inference.network import Network
from ..inference.predict import predict_images
from ..maskrcnn import load_model

logger = logging.getLogger(__name__)

_PADDLES_OWN = {
    "use_mkl": True,
    "use_trt": False,
    "use_glog": False,
    "memory_optimize": True,
    "max_trt_batch_size": 1,
}


class Predictor:
    """A model that predicts.

    Attributes:
        labels: foreground class names.
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str],
        use_gpu: bool = True,
        gpu_id: int = 0,
        use_mkl: bool = True,
        mkl_thread_num: int | None = None,
        use_trt: bool = False,
        use_glog: bool = False,
        memory_optimize: bool = True,
        max_trt_batch_size: int = 1,
    ) -> None:
        """Open a model.

        Args:
            model_dir: a model directory, or a folder of `export_inference_model`, which runs in onnxruntime
                on the CPU.
            use_gpu: where there is one.
            gpu_id: which one.
            mkl_thread_num: threads of the CPU, for the whole process; None: as many as torch takes.

        Raises:
            ValueError: when it is no complete folder.
            ModuleNotFoundError: for an exported model without onnxruntime.
        """
        given = {
            "use_mkl": use_mkl,
            "use_trt": use_trt,
            "use_glog": use_glog,
            "memory_optimize": memory_optimize,
            "max_trt_batch_size": max_trt_batch_size,
        }
        idle = [name for name, value in given.items() if value != _PADDLES_OWN[name]]
        if idle:
            logger.warning("Predictor: without effect here: %s", ", ".join(idle))
        if mkl_thread_num is not None:
            torch.set_num_threads(mkl_thread_num)
        folder = Path(model_dir)
        if is_exported(folder):
            self._network = open_exported(folder)
        else:
            on_gpu = use_gpu and torch.cuda.is_available()
            network = load_model(folder, f"cuda:{gpu_id}" if on_gpu else "cpu").network
            assert network is not None
            self._network = network
        self.labels = self._network.card.labels

    def predict(
        self, image: Any, topk: int = 1, transforms: Compose | None = None
    ) -> list[dict[str, Any]]:
        """Objects of one image, as `MaskRCNN.predict` returns them.

        Args:
            image: as `MaskRCNN.predict` takes.
            topk: PaddleX's, for classifiers; without effect.
            transforms: instead of the model's own.
        """
        return self.batch_predict([image], topk, transforms)[0]

    def batch_predict(
        self, image_list: Sequence[Any], topk: int = 1, transforms: Compose | None = None
    ) -> list[list[dict[str, Any]]]:
        """As `predict`, for a list of images: one list of objects each."""
        operators = transforms or self._network.card.test_transforms()
        if operators is None:
            raise ValueError("transforms are needed: the model was saved without any")
        return predict_images(self._network, image_list, operators)


def open_exported(folder: Path) -> Network:
    """The graph of an exported model in a network's place, with its card.

    Raises:
        ValueError: when it is no complete folder of `export_inference_model`.
        ModuleNotFoundError: without onnxruntime.
    """
    card = read_card(folder, GRAPH)
    if importlib.util.find_spec("onnxruntime") is None:
        raise ModuleNotFoundError(
            f"{folder} is an exported model, which needs onnxruntime: pip install onnxruntime; or name "
            "the model directory it was exported from, which runs without",
            name="onnxruntime",
        )
    return Network(_Graph(folder / GRAPH, card.params.score_threshold), card)


class _Graph:
    """Answers what prediction asks of a Detectron2 network."""

    def __init__(self, path: Path, threshold: float) -> None:
        from ..export.files import OnnxRunner

        self._run, self._threshold = OnnxRunner(path), threshold

    def inference(
        self, inputs: Sequence[dict[str, Any]], do_postprocess: bool = False
    ) -> list[Instances]:
        """Objects in pixels of the network's input."""
        return [self._objects(sample["image"].float()) for sample in inputs]

    def _objects(self, image: torch.Tensor) -> Instances:
        boxes, scores, classes, masks = map(torch.tensor, self._run(image, self._threshold))
        return Instances(
            (image.shape[1], image.shape[2]),
            pred_boxes=Boxes(boxes),
            scores=scores,
            pred_classes=classes,
            pred_masks=masks,
        )
