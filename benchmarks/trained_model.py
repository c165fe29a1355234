"""A model that you have trained, on your own images: what other settings would make faster.

    python benchmarks/trained_model.py output/mine/best_model output/mine/config.yaml \\
        --variant "fast:model.rcnn_batch_size_per_im=128,model.test_post_nms_top_n=300"

A training step and a prediction with masks, as trained and with each variant's rows, in turns; the
median of the ratios within a round and their range, to the model as trained or to the variant that
--against names. What a network finds decides what its heads cost, so that random weights tell less.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import torch
from detectron2.utils.events import EventStorage
from side_by_side.arguments import positive
from side_by_side.rounds import Spread, ratios, take_turns
from side_by_side.settings import Variant, read_variant
from side_by_side.training import endless

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.cli.experiment import open_dataset
from paddlex_maskrcnn.config.load import LoadedExperiment, load_experiment
from paddlex_maskrcnn.config.schema import ModelParams, TrainParams
from paddlex_maskrcnn.config.show import section_as_plain
from paddlex_maskrcnn.engine.setup import set_up
from paddlex_maskrcnn.engine.train import build_trainer
from paddlex_maskrcnn.inference.network import build_network

AS_TRAINED = "as trained"
_TITLES = {"step": "training step", "predict": "prediction"}
LEARNING_RATE = 1e-6  # the weights stay where they are, so that every step costs the same


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = _parser()
    args = parser.parse_args(arguments)
    logging.disable(logging.WARNING)  # rows that a variant leaves without effect, once for each
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        loaded = load_experiment(args.config, args.overrides)
        variants = [Variant(AS_TRAINED), *(read_variant(one) for one in args.variant)]
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if args.against not in [one.name for one in variants]:
        parser.error(f"--against is {args.against!r}, but no --variant has this name")
    parts: dict[str, Callable[..., dict[str, Callable[[], Any]]]] = {
        "step": steps, "predict": predictions,
    }  # fmt: skip
    names = args.parts.split(",")
    if unknown := [name for name in names if name not in parts]:
        parser.error(f"--parts has {unknown[0]!r}; choose some of {','.join(parts)}")
    for name in names:
        work = parts[name](args.model, loaded, variants, args.images)
        seconds = take_turns(work, args.rounds, clock=args.clock, device=device)
        title = f"{_TITLES[name]}, {args.images} images"
        print("\n".join(_lines(title, seconds, args.against)), flush=True)
    return 0


def steps(
    directory: Path, loaded: LoadedExperiment, variants: Sequence[Variant], images: int
) -> dict[str, Callable[[], Any]]:
    """Variant -> as many training steps of one image as there are to be images."""
    data = open_dataset(loaded, "train")
    rows = section_as_plain(pdx.load_model(directory).params)
    work, batches = {}, None
    for one in variants:
        train = {
            "num_epochs": 10**6, "train_dataset": data, "train_batch_size": 1, "warmup_steps": 0,
            "pretrain_weights": str(directory), "learning_rate": LEARNING_RATE, **one.train,
        }  # fmt: skip
        run = set_up(ModelParams(**rows | one.model), TrainParams(**train), data, None)
        if batches is None:
            batches = list(itertools.islice(run.batches(), images))
        trainer = build_trainer(run, endless(batches))
        run.network.set_training()

        def take(trainer: Any = trainer) -> None:
            with EventStorage():
                for _ in range(images):
                    trainer.run_step()

        work[one.name] = take
    return work


def predictions(
    directory: Path, loaded: LoadedExperiment, variants: Sequence[Variant], images: int
) -> dict[str, Callable[[], Any]]:
    """Variant -> predicting the first held-out images, until every object has its mask."""
    trained = pdx.load_model(directory)
    records = itertools.islice(open_dataset(loaded, "eval").records, images)
    pixels = [cv2.imread(record["file_name"]) for record in records]
    work = {}
    for one in variants:
        model = pdx.det.MaskRCNN(**section_as_plain(trained.params) | one.model)
        card = replace(trained.network.card, params=model.params)
        model.network = build_network(card, str(trained.network.device))
        model.network.module.load_state_dict(trained.network.module.state_dict())
        model.network.module.eval()

        def predict(model: Any = model) -> None:
            for one in pixels:
                model.predict(one, mask_format="dense")

        work[one.name] = predict
    return work


def _lines(name: str, seconds: dict[str, list[float]], against: str) -> Iterator[str]:
    base = seconds[against]
    for variant, values in seconds.items():
        found = ratios(base, values)
        yield (
            f"{name:28.28} {variant:>16.16} {Spread.of(found).median:6.2f} times as fast "
            f"({min(found):.2f} to {max(found):.2f})  {Spread.of(values).median:.2f} s"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trained_model.py", description="A trained model with other settings, in turns."
    )
    parser.add_argument("model", type=Path, help="a model directory")
    parser.add_argument("config", type=Path, help="the experiment it was trained with")
    parser.add_argument(
        "overrides", nargs="*", default=[], help="section.key=value, as for train_net.py"
    )
    parser.add_argument(
        "--variant", action="append", default=[], metavar="NAME:SECTION.KEY=VALUE,...",
        help="rows that differ from those the model was trained with",
    )  # fmt: skip
    parser.add_argument(
        "--against", default=AS_TRAINED, metavar="NAME",
        help="variant that the others are compared with; %(default)s",
    )  # fmt: skip
    parser.add_argument("--parts", default="step,predict", help="%(default)s")
    parser.add_argument("--images", type=positive, default=3, help="of a round; %(default)s")
    parser.add_argument("--rounds", type=positive, default=5, help="that count; %(default)s")
    parser.add_argument("--clock", default="wall", choices=("wall", "cpu"))
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads())
    return parser


if __name__ == "__main__":
    sys.exit(main())
