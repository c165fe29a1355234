"""`MaskRCNN`, with the arguments and results of PaddleX 1.3's `paddlex.det.MaskRCNN`."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .config import signatures
from .config.auto import refuse_open
from .config.schema import EvaluateParams, Experiment, ModelParams, TrainParams
from .config.show import as_plain, section_as_plain
from .config.signature import from_checked, takes_params
from .data.datasets.base import DetectionDataset, check_dataset
from .data.transforms import Compose
from .engine.fingerprint import name_of_optimizer
from .engine.logs import no_log, run_log
from .engine.setup import CHECK_COMMAND, TrainingRun, set_up
from .engine.train import DryRun, dry_run, train
from .engine.trial import Pace, largest_batch, measure_pace
from .inference.evaluate import evaluate_network
from .inference.interop import is_of_paddlex, open_paddlex
from .inference.model_directory import load_model_directory, save_model_directory
from .inference.network import Network, choose_device
from .inference.predict import PredictOptions, predict_images, warm_up
from .inference.published import is_published, published_network
from .metrics.evaluation import Evaluation

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from .export.exporting import Report

logger = logging.getLogger(__name__)


class MaskRCNN:
    """Mask R-CNN: `train`, `evaluate`, `predict`, `batch_predict`, `save_model`.

    The constructor's arguments are those of docs/hyperparameters.md, section `model`.

    Attributes:
        params: the constructor's arguments, checked.
        network: the trained network; None before training or loading.
        last_evaluation: all numbers of the last `evaluate`; None before.
        best_evaluation: those of `best_model` of the last `train`; None without held-out data, or
            when the run was resumed after that evaluation.
        save_dir: folder that the last `train` wrote into, a numbered one perhaps; None before.
        model_type, status: PaddleX's words for what it is.

    Raises:
        ConfigError: (a ValueError) naming every argument that cannot be used.
    """

    model_type = "detector"
    status = "Normal"

    @takes_params(ModelParams, like=signatures.Model)
    def __init__(self, params: ModelParams, given: Collection[str]) -> None:
        for sentence in params.without_effect(given):
            logger.warning(sentence)
        self.params = params
        self.network: Network | None = None
        self.last_evaluation: Evaluation | None = None
        self.best_evaluation: Evaluation | None = None
        self.save_dir: Path | None = None
        self._experiment: Experiment | None = None
        self._check_command = CHECK_COMMAND
        self._loaded_from: str | None = None

    @classmethod
    def from_experiment(
        cls,
        experiment: Experiment,
        given: Collection[str] = (),
        check_command: str = CHECK_COMMAND,
    ) -> MaskRCNN:
        """The model of a checked experiment file; what is recorded of a run is then the whole file.

        Args:
            given: names of the parameters that the file sets, for warnings about idle settings.
            check_command: what the user can type to see all that is wrong with the file's data.

        Raises:
            RuntimeError: when a value is still `auto`.
        """
        refuse_open(experiment)
        model = from_checked(cls, experiment.model, given)
        model._experiment, model._check_command = experiment, check_command
        return model

    @takes_params(TrainParams, like=signatures.Train)
    def train(self, params: TrainParams, given: Collection[str]) -> None:
        """Train, evaluate and save; arguments: docs/hyperparameters.md, section `train`.

        A model from `load_model` trains on from its weights, unless `pretrain_weights` is given; its
        number of classes becomes that of the data.

        Raises:
            ValueError: for every mistake that can be seen before the first step.
            TrainingDivergedError: when the loss is no longer finite.
        """
        with run_log():
            for sentence in params.without_effect(given):
                logger.warning(sentence)
            run = self._set_up(self._from_loaded(params, given))
            reasons = self._experiment.reasons if self._experiment else {}
            self.best_evaluation = train(run, self._record(params), reasons)
        self.network, self.save_dir = run.network, Path(run.params.save_dir)

    @takes_params(TrainParams, like=signatures.Train)
    def dry_run(self, params: TrainParams, given: Collection[str]) -> DryRun:
        """Build all that `train` would, take one step, write nothing; tells steps, memory, pace."""
        return dry_run(self._set_up(self._from_loaded(params, given), writes=False))

    def pace(self, params: TrainParams, seconds: float = 20.0) -> tuple[int, Pace]:
        """What steps and evaluations of `train` are going to take, from a trial that leaves nothing behind.

        Args:
            params: the arguments of `train`, checked.
            seconds: that the trial takes, about.

        Returns:
            the largest batch that fits into memory, of those in `params`, its half, and so on; its pace.
        """
        params = self._from_loaded(params, ())

        def measured(batch_size: int) -> Pace:
            tried = replace(params, train_batch_size=batch_size)
            return measure_pace(self._set_up(tried, writes=False), seconds)

        with no_log():  # the run that follows says the same
            return largest_batch(params.train_batch_size, measured)

    @takes_params(EvaluateParams, like=signatures.Evaluate)
    def evaluate(self, params: EvaluateParams, given: Collection[str]) -> Any:
        """Evaluate on a data set; arguments: docs/hyperparameters.md, section `evaluate`.

        Returns:
            `metrics`, fractions: `bbox_mmap` and `segm_mmap`, or `bbox_map` and `segm_map` with
            metric VOC; with `return_details` a pair of it and a dict: `bbox`, rows [image id,
            category id, [x, y, w, h], score]; `mask`, rows [image id, category id, binary map of the
            box region, score], row i of the same object; `gt`, the annotations.
        """
        evaluation = self._evaluation(params)
        if params.return_details:
            return evaluation.metrics, evaluation.details(params.eval_dataset)
        return evaluation.metrics

    @takes_params(EvaluateParams, like=signatures.Evaluate)
    def full_evaluation(self, params: EvaluateParams, given: Collection[str]) -> Evaluation:
        """As `evaluate`, but all that it finds: the numbers of each class, tables, results, files."""
        return self._evaluation(params)

    def _evaluation(self, params: EvaluateParams) -> Evaluation:
        with run_log():
            return self._logged_evaluation(params)

    def _logged_evaluation(self, params: EvaluateParams) -> Evaluation:
        network, dataset = self._network("evaluate"), params.eval_dataset
        check_dataset(dataset, "eval_dataset")
        evaluation = evaluate_network(
            network,
            dataset,
            self._transforms(dataset.transforms),
            batch_size=params.batch_size,
            metric=params.metric or network.card.metric or "COCO",
        )
        self.last_evaluation = evaluation
        epoch = network.card.completed_epochs if params.epoch_id is None else params.epoch_id
        shown = ", ".join(f"{name}={value:.4f}" for name, value in evaluation.metrics.items())
        logger.info("[EVAL] Finished, Epoch=%d, %s\n%s", epoch, shown, evaluation.table())
        if len(dataset.labels) > 1:
            logger.info("Masks by class\n%s", evaluation.class_table())
        return evaluation

    def predict(
        self,
        img_file: str | os.PathLike[str] | np.ndarray | Image.Image,
        transforms: Compose | None = None,
        *,
        score_threshold: float | None = None,
        mask_format: str = "dense",
        tile: int | tuple[int, int] | None = None,
        overlap: float = 0.2,
        batch_size: int = 8,
    ) -> list[dict[str, Any]]:
        """Objects of one image, best first; equal scores in the network's order.

        Args:
            img_file: a path; an (H, W, C) array of 0 to 255 (or of the range that Normalize declares) in
                BGR order; or a Pillow picture, whose EXIF orientation is applied.
            transforms: operators to apply instead of the model's own.
            score_threshold: least score of an object, applied after NMS; not below the model's own,
                which is what None means.
            mask_format: dense; rle, COCO's compressed run lengths; or box, (left, top, (h, w) uint8),
                zero outside of that window.
            tile: side of square tiles, or (height, width), in pixels of the image, which are looked
                at one by one, for large images; None looks at the whole image at once.
            overlap: least share of a tile's side that it has in common with the next one.
            batch_size: tiles that run together at most; without effect on the results.

        Returns:
            Dicts with `bbox` [xmin, ymin, w, h] in pixels, `mask` (H, W) uint8, made when it is first
            read, or as mask_format says, `category`, `category_id` (1 is the first class), `score`.

        Raises:
            ValueError: when the image cannot be read, there is no trained network, or an argument
                is not what is allowed.
        """
        options = PredictOptions(
            score_threshold=score_threshold,
            mask_format=mask_format,
            tile=tile,
            overlap=overlap,
            batch_size=batch_size,
        )
        return self._predict([img_file], transforms, options)[0]

    def batch_predict(
        self,
        img_file_list: Sequence[Any],
        transforms: Compose | None = None,
        *,
        score_threshold: float | None = None,
        mask_format: str = "dense",
        tile: int | tuple[int, int] | None = None,
        overlap: float = 0.2,
        batch_size: int = 8,
    ) -> list[list[dict[str, Any]]]:
        """As `predict`, for a list of images: one list of objects each.

        Images of one size, after the transforms, run together, `batch_size` at most.
        """
        if not isinstance(img_file_list, (list, tuple)):
            raise ValueError(f"img_file_list is {type(img_file_list).__name__}; allowed: a list")
        options = PredictOptions(
            score_threshold=score_threshold,
            mask_format=mask_format,
            tile=tile,
            overlap=overlap,
            batch_size=batch_size,
        )
        return self._predict(img_file_list, transforms, options)

    def save_model(self, save_dir: str | os.PathLike[str]) -> None:
        """Write a model directory that `load_model` reads; a model that is there is replaced.

        Raises:
            ValueError: when there is no trained network, or something else is in that folder.
        """
        save_model_directory(Path(save_dir).absolute(), self._network("save_model"))

    def export(self, path: str | os.PathLike[str], to: str = "onnx", **options: Any) -> Report:
        """Write the network as one file that runs without Detectron2, and compare the two.

        Args:
            to: onnx or torchscript.
            options: `images`, `transforms`, `tolerance` of `export.exporting.export_network`.

        Returns:
            what was compared; `print` shows it.

        Raises:
            ValueError: when there is no trained network, or the file finds other objects.
        """
        from .export.exporting import export_network  # needed here only

        return export_network(self._network("export"), Path(path), to, **options)

    def export_inference_model(self, save_dir: str | os.PathLike[str]) -> Report:
        """Write the network as ONNX with its card, a folder that `pdx.deploy.Predictor` reads.

        The file is compared with the network first, as by `export`.

        Raises:
            ValueError: when there is no trained network, or the file finds other objects.
            ModuleNotFoundError: when onnx or onnxruntime is missing.
        """
        from .export.exporting import export_model_directory  # needed here only

        network = self._network("export_inference_model")
        return export_model_directory(network, Path(save_dir).absolute())

    @property
    def labels(self) -> list[str] | None:
        """Foreground class names of the trained network."""
        return self.network.card.labels if self.network else None

    @property
    def num_classes(self) -> int | None:
        """Classes and the background; None while neither an argument nor data says it."""
        return self.params.num_classes or (len(self.labels) + 1 if self.labels else None)

    @property
    def completed_epochs(self) -> int:
        """Epochs the network was trained."""
        return self.network.card.completed_epochs if self.network else 0

    @property
    def eval_metrics(self) -> dict[str, float] | None:
        """Metrics of the last evaluation while training; None without one."""
        return (self.network.card.eval_metrics or None) if self.network else None

    @property
    def fixed_input_shape(self) -> list[int] | None:
        """[width, height] in pixels, as given to `load_model`; None: images come as they are."""
        return self.network.card.fixed_input_shape if self.network else None

    def __getattr__(self, name: str) -> Any:
        """The constructor's arguments, which PaddleX's model has as attributes: `backbone` and so on."""
        params = self.__dict__.get("params")
        if params is None or name not in ModelParams.__dataclass_fields__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}", name=name)
        return getattr(params, name)

    def get_model_info(self) -> dict[str, Any]:
        """What PaddleX's model.yml said of a model, as plain data."""
        transforms = self.test_transforms
        form = self.network.card.input_format if self.network else None
        info = {
            "version": __version__,
            "Model": "MaskRCNN",
            "_Attributes": {
                "model_type": self.model_type,
                "num_classes": self.num_classes,
                "labels": self.labels,
                "fixed_input_shape": self.fixed_input_shape,
                "eval_metrics": self.eval_metrics,
            },
            "_init_params": asdict(self.params),
            "completed_epochs": self.completed_epochs,
            "status": self.status,
        }
        if transforms is not None and form is not None:
            info |= {"Transforms": transforms.to_config(), "TransformsMode": form.channel_order}
        return info

    @property
    def test_transforms(self) -> Compose | None:
        """Operators that `predict` applies."""
        return self.network.card.test_transforms() if self.network else None

    eval_transforms = test_transforms

    def _from_loaded(self, params: TrainParams, given: Collection[str]) -> TrainParams:
        """Of a model from `load_model`, its weights to start from, unless others were asked for."""
        if not self._loaded_from or {"pretrain_weights", "resume_checkpoint"} & set(given):
            return params
        logger.info("Training starts from the weights of %s (pretrain_weights)", self._loaded_from)
        if self.params.num_classes is not None and isinstance(
            params.train_dataset, DetectionDataset
        ):
            # nobody wrote this number for the new data: it came with the saved model
            num_classes = len(params.train_dataset.labels) + 1
            self.params = replace(self.params, num_classes=num_classes)
        return replace(params, pretrain_weights=self._loaded_from)

    def _set_up(self, params: TrainParams, *, writes: bool = True) -> TrainingRun:
        data = params.train_dataset, params.eval_dataset
        command = self._check_command
        return set_up(self.params, params, *data, writes=writes, check_command=command)

    def _predict(
        self, images: Sequence[Any], transforms: Compose | None, options: PredictOptions
    ) -> list[list[dict[str, Any]]]:
        network = self._network("predict")
        return predict_images(network, images, self._transforms(transforms), options)

    def _network(self, action: str) -> Network:
        if self.network is None:
            raise ValueError(f"{action}: the model has no weights yet; train it, or use load_model")
        return self.network

    def _transforms(self, given: Compose | None) -> Compose:
        transforms = given or self.test_transforms
        if transforms is None:
            raise ValueError("transforms are needed: the model was saved without any")
        return transforms

    def _record(self, params: TrainParams) -> dict[str, Any]:
        """The settings of a run as plain data."""
        if self._experiment is not None:
            return as_plain(self._experiment)
        data = {"train": params.train_dataset.name}
        if params.eval_dataset is not None:
            data["eval"] = params.eval_dataset.name
        plain = section_as_plain(params)
        plain["optimizer"] = name_of_optimizer(params.optimizer)
        return {"model": asdict(self.params), "data": data, "train": plain}


def load_model(
    model_dir: str | os.PathLike[str],
    device: str | Sequence[int] = "auto",
    *,
    fixed_input_shape: Sequence[int] | None = None,
    warm: bool | None = None,
) -> MaskRCNN:
    """A saved model, ready to predict and evaluate.

    Args:
        model_dir: a directory that `train` or `save_model` wrote, or that PaddleX 1.x did; or
            `coco:ResNet50` and the like, a network of the catalogue with its published COCO weights.
        device: auto, cpu or cuda; a shape in this position is PaddleX's second argument.
        fixed_input_shape: [width, height] in pixels that every image becomes, resized and padded.
        warm: run the network once before returning, so that the first prediction takes no longer
            than the others; None: on a GPU only, where that matters.

    Raises:
        ValueError: when it is no complete model directory, or the weights cannot be had.
    """
    if not isinstance(device, str):
        fixed_input_shape, device = device, "auto"
    name, chosen = str(model_dir), choose_device(device)
    published = is_published(name)
    if published:
        network = published_network(name, chosen)
    elif is_of_paddlex(Path(name)):
        with run_log():
            network = open_paddlex(Path(name), chosen)
    else:
        network = load_model_directory(Path(name), chosen)
    if fixed_input_shape is not None:
        network.card.fix_input_shape(fixed_input_shape)
    model = from_checked(MaskRCNN, network.card.params)
    model.network, model._loaded_from = network, "COCO" if published else name
    # on a GPU the first run loads kernels, which takes seconds
    on_gpu = network.device.type == "cuda"
    if model.test_transforms is not None and (on_gpu if warm is None else warm):
        warm_up(network, model.test_transforms)
    return model
