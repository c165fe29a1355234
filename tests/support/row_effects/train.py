"""Cases of the rows of `TrainParams`: what runs of a few steps leave and do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import yaml

from paddlex_maskrcnn.config.schema import TrainParams

from .laboratory import REPLACEMENTS, Laboratory, RunFolder, shared, shows

RUN = {
    "num_epochs": 3,
    "train_batch_size": 2,
    "save_interval_epochs": 2,
    "log_interval_steps": 1,
    "learning_rate": 0.004,
    "warmup_steps": 2,
    "warmup_start_lr": 0.001,
    "lr_decay_epochs": [2],
    "lr_decay_gamma": 0.5,
    "metric": "VOC",
    "use_vdl": True,
    "momentum": 0.7,
    "weight_decay": 0.01,
    "keep_last": 1,
    "best_metric": "val_loss",
    "ema": 0.05,
    "freeze": ["backbone"],
    "save_interval_steps": 1,
    "loggers": ["wandb"],
}
# nothing improves at this rate, and it needs no steps to show it
STOPPED = {
    "num_epochs": 3,
    "learning_rate": 1e-12,
    "early_stop": True,
    "early_stop_patience": 1,
    "validation_loss": True,
    "compile": True,
}
RESUMED = {**STOPPED, "early_stop": False, "validation_loss": False, "compile": False,
           "allow_changes": True, "if_exists": "number"}  # fmt: skip

# disconnected: other pictures; no held-out data is what its default says
REPLACEMENTS[TrainParams, "train_dataset"] = lambda lab: lab.material.drawn("other", 4)
REPLACEMENTS[TrainParams, "num_epochs"] = lambda lab: 2
# ImageNet weights would be downloaded
REPLACEMENTS[TrainParams, "pretrain_weights"] = lambda lab: None


@shared
def run(lab: Laboratory) -> RunFolder:
    """Three epochs of two steps, with everything that can be set together."""
    return lab.train("run", lab.material.train_data, RUN)


@shared
def stopped(lab: Laboratory) -> RunFolder:
    """A run of one image that stops early, compiled by a stand-in."""
    return lab.train("stopped", lab.material.single, STOPPED)


@shared
def resumed(lab: Laboratory) -> RunFolder:
    """The stopped run, taken up again and no longer stopped early, beside a run that is there already."""
    earlier = lab.folder / "resumed" / "epoch_1"
    earlier.mkdir(parents=True)
    (earlier / ".success").touch()
    checkpoint = stopped(lab).folder / "epoch_2"
    settings = {**RESUMED, "resume_checkpoint": str(checkpoint)}
    return lab.train("resumed", lab.material.single, settings)


@shared
def stopped_in_time(lab: Laboratory) -> RunFolder:
    """A run that no step fits into."""
    return lab.train("stopped_in_time", lab.material.single, {"num_epochs": 2, "max_minutes": 1e-9})


# The length of a run and what it is fed with


@shows(TrainParams, "num_epochs", "train_batch_size", "log_interval_steps")
def three_epochs_of_two_steps(lab: Laboratory) -> None:
    steps = [(row["epoch"], row["step"]) for row in run(lab).rows("train")]
    assert steps == [(1, 1), (1, 2), (2, 3), (2, 4), (3, 5), (3, 6)]


@shows(TrainParams, "train_dataset")
def images_are_those_of_the_data_set(lab: Laboratory) -> None:
    training = set(run(lab).watch.files) - files_of(lab.material.eval_data)  # of its loss
    assert training == files_of(lab.material.train_data)


def files_of(dataset: Any) -> set[str]:
    return {record["file_name"] for record in dataset.records}


@shows(TrainParams, "eval_dataset")
def held_out_data_is_evaluated(lab: Laboratory) -> None:
    assert [row["epoch"] for row in run(lab).rows("eval")] == [2, 3]


@shows(TrainParams, "save_dir")
def everything_is_in_the_folder(lab: Laboratory) -> None:
    assert run(lab).folder == lab.folder / "run"
    names = {path.name for path in run(lab).folder.iterdir()}
    assert {"best_model", "epoch_3", "config.yaml", "train.log", "metrics.jsonl"} <= names


# Saving


@shows(TrainParams, "save_interval_epochs")
def every_second_epoch_and_the_last_are_saved(lab: Laboratory) -> None:
    saved = [line for line in run(lab).watch.messages if line.startswith("Model saved in ")]
    assert [line.rpartition("epoch_")[2] for line in saved] == ["2", "3"]


@shows(TrainParams, "keep_last")
def older_epochs_are_removed(lab: Laboratory) -> None:
    assert run(lab).epochs == [3]


@shows(TrainParams, "save_interval_steps")
def the_state_is_saved_between_epochs(lab: Laboratory) -> None:
    saved = [line for line in run(lab).watch.messages if line.startswith("State saved in ")]
    assert len(saved) == 3  # after the first of two steps of each epoch
    assert all(line.endswith("latest") for line in saved)


# Weights and steps


@shows(TrainParams, "pretrain_weights", "freeze")
def frozen_backbone_is_the_one_of_the_weights(lab: Laboratory) -> None:
    before = torch.load(lab.material.saved / "model.pth", weights_only=True)
    after = run(lab).weights(3)
    same = {name for name, weight in after.items() if torch.equal(weight, before[name])}
    frozen = {name for name in after if name.startswith("backbone.bottom_up.")}
    assert frozen
    assert frozen <= same
    assert not any(name.startswith("roi_heads.box_head.fc1.weight") for name in same)


@shows(
    TrainParams,
    "learning_rate", "warmup_steps", "warmup_start_lr", "lr_decay_epochs", "lr_decay_gamma",
)  # fmt: skip
def rate_of_each_step(lab: Laboratory) -> None:
    rates = [row["lr"] for row in run(lab).rows("train")]
    assert rates == pytest.approx([0.001, 0.0025, 0.004, 0.004, 0.002, 0.002])


@shows(TrainParams, "momentum", "weight_decay")
def optimizer_of_the_run(lab: Laboratory) -> None:
    groups = run(lab).state(3)["optimizer"]["param_groups"]
    assert {group["momentum"] for group in groups} == {0.7}
    assert max(group["weight_decay"] for group in groups) == 0.01


@shows(TrainParams, "ema")
def saved_weights_are_an_average(lab: Laboratory) -> None:
    average, live = run(lab).weights(3), run(lab).state(3).get("live_weights", {})
    name = "roi_heads.box_head.fc1.weight"
    assert name in live
    assert not torch.equal(average[name], live[name])


@shows(TrainParams, "optimizer")
def optimizer_is_the_one_given(lab: Laboratory) -> None:
    assert single_step(lab)[2].norms  # it was built and has stepped


@shows(TrainParams, "clip_gradients")
def gradient_is_clipped(lab: Laboratory) -> None:
    assert single_step(lab)[2].norms == pytest.approx([1e-3], rel=1e-2)


@shows(TrainParams, "accumulate")
def batch_is_split(lab: Laboratory) -> None:
    assert [len(batch) for batch in single_step(lab)[1].batches] == [2, 2]


@shows(TrainParams, "amp")
def convolutions_are_in_16_bits(lab: Laboratory) -> None:
    _, watch = lab.dry_run(amp="bf16", train_dataset=lab.material.single)
    assert watch.precisions == {torch.bfloat16}


@shows(TrainParams, "repeat_threshold")
def images_of_rare_classes_are_repeated(lab: Laboratory) -> None:
    """All images of an epoch are in one batch, which then has room for each of them once."""
    files = single_step(lab)[1].files
    assert len(files) == len(lab.material.train_data.records)
    assert len(set(files)) < len(files)


@shows(TrainParams, "deterministic")
def algorithms_are_repeatable(lab: Laboratory) -> None:
    assert single_step(lab)[2].was_deterministic


@shows(TrainParams, "seed")
def another_seed_begins_otherwise(lab: Laboratory) -> None:
    (first, _), (second, _) = (lab.dry_run(seed=seed) for seed in (7, 8))
    assert first.loss != second.loss


@shows(TrainParams, "compile")
def parts_are_compiled(lab: Laboratory) -> None:
    assert stopped(lab).compiled_calls > 0


class RecordingSGD(torch.optim.SGD):
    """SGD that notes what its steps see.

    Attributes:
        norms: of the whole gradient.
        was_deterministic: whether torch had been told to compute repeatably.
    """

    def __init__(self, parameters: list[torch.nn.Parameter]) -> None:
        super().__init__(parameters, lr=1e-4)
        self.norms: list[float] = []
        self.was_deterministic = False

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        gradients = [weight.grad for group in self.param_groups for weight in group["params"]
                     if weight.grad is not None]  # fmt: skip
        self.norms.append(float(torch.nn.utils.get_total_norm(gradients)))
        self.was_deterministic = torch.are_deterministic_algorithms_enabled()
        super().step(closure)


@shared
def single_step(lab: Laboratory) -> tuple[Any, Any, Any]:
    """Report, watch and optimizer of one step with all rows that show in a single one."""
    made: list[RecordingSGD] = []

    def optimizer(parameters: list[torch.nn.Parameter]) -> RecordingSGD:
        made.append(RecordingSGD(parameters))
        return made[-1]

    before = torch.are_deterministic_algorithms_enabled()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        try:
            report, watch = lab.dry_run(
                {"input_channel": 1}, train_dataset=lab.material.grey_data,
                train_batch_size=4, optimizer=optimizer, accumulate=2,
                clip_gradients=1e-3, repeat_threshold=1.0, deterministic=True,
            )  # fmt: skip
        finally:
            torch.use_deterministic_algorithms(before)
    return report, watch, made[0] if made else RecordingSGD([torch.nn.Parameter(torch.zeros(1))])


# Evaluating, stopping, going on


@shows(TrainParams, "metric")
def metric_is_the_one_named(lab: Laboratory) -> None:
    card = yaml.safe_load((run(lab).folder / "epoch_3" / "model.yml").read_text())
    assert set(card["eval_metrics"]) == {"bbox_map", "segm_map"}


@shows(TrainParams, "best_metric")
def best_model_is_that_of_the_least_loss(lab: Laboratory) -> None:
    losses = {row["epoch"]: row.get("val_loss") for row in run(lab).rows("eval")}
    assert None not in losses.values()
    best = yaml.safe_load((run(lab).folder / "best_model" / "model.yml").read_text())
    assert best["completed_epochs"] == min(losses, key=losses.__getitem__)
    assert "val_loss" in run(lab).watch.text.rpartition("Current evaluated best model is ")[2]


@shows(TrainParams, "validation_loss")
def validation_loss_is_written(lab: Laboratory) -> None:
    assert all(row.get("val_loss", 0) > 0 for row in stopped(lab).rows("eval"))


@shows(TrainParams, "early_stop", "early_stop_patience")
def run_stops_after_one_vain_evaluation(lab: Laboratory) -> None:
    assert stopped(lab).epochs == [1, 2]


@shows(TrainParams, "max_minutes")
def run_ends_when_its_time_is_up(lab: Laboratory) -> None:
    assert stopped_in_time(lab).watch.text.count("(max_minutes), at step 1 of 2") == 1


@shows(TrainParams, "resume_checkpoint", "allow_changes")
def run_goes_on_where_it_stopped(lab: Laboratory) -> None:
    assert resumed(lab).epochs == [3]
    assert "Resuming with changes: " in resumed(lab).watch.text


@shows(TrainParams, "if_exists")
def an_earlier_run_stays_where_it_is(lab: Laboratory) -> None:
    assert resumed(lab).folder.name == "resumed_2"
    assert not (lab.folder / "resumed" / "config.yaml").exists()


@shows(TrainParams, "use_vdl")
def visualdl_gets_the_curves(lab: Laboratory) -> None:
    names = run(lab).vdl.names
    assert {"-Metrics/Training(Step): loss", "-Metrics/Eval(Epoch): segm_map"} <= names
    assert run(lab).vdl.closed


@shows(TrainParams, "loggers")
def services_get_the_curves(lab: Laboratory) -> None:
    assert {"train/loss", "eval/segm_map"} <= run(lab).wandb.names
    assert run(lab).wandb.closed
