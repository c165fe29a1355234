"""`--num-gpus` and what torchrun tells a process."""

import argparse

from paddlex_maskrcnn.cli import processes, train


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return parser.parse_args(["--config", "a.yaml", *arguments])


def test_every_process_gets_the_same_command():
    given = parsed("--resume", "--allow-changes", "--num-gpus", "2", "train.seed=3")
    command = train.as_command(given)
    assert command == ["train", "--config", "a.yaml", "--resume", "--allow-changes", "train.seed=3"]
    again = parsed(*command[3:])
    assert vars(again) == {**vars(given), "num_gpus": 1}


def test_evaluation_too():
    command = train.as_command(parsed("--eval-only", "--model", "run/epoch_1", "--num-gpus", "4"))
    assert command == ["train", "--config", "a.yaml", "--eval-only", "--model", "run/epoch_1"]


def test_a_restarted_process_knows(monkeypatch):
    assert not processes.is_launched()
    assert not processes.was_restarted()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert processes.is_launched()
    assert processes.was_restarted()
