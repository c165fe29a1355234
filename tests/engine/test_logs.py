"""The metrics files, and services beside them."""

import csv
import io
import json
import logging
import sys
from types import SimpleNamespace

import pytest

import paddlex_maskrcnn
from paddlex_maskrcnn.engine.logs import (
    MetricsLog,
    check_loggers,
    open_loggers,
    open_visualdl,
    run_log,
)
from paddlex_maskrcnn.engine.trainer import Progress


def progress(step, closed_epochs=0):
    return Progress(step, steps_per_epoch=4, num_epochs=2, closed_epochs=closed_epochs)


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_what_was_written_beyond_the_checkpoint_goes(tmp_path):
    """Also half a line of a process that was killed, and the evaluation of an epoch not saved."""
    log = MetricsLog(tmp_path, progress(0))
    for step in (2, 4):
        log.write("train", 1, step, {"loss": 1.0})
    log.write("eval", 1, 4, {"segm_mmap": 0.5})
    log.write("train", 2, 6, {"loss": 0.5})
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "epo')
    MetricsLog(tmp_path, progress(4)).close()
    assert [(row["kind"], row["step"]) for row in rows(tmp_path)] == [("train", 2), ("train", 4)]
    with (tmp_path / "metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]


def test_a_closed_epoch_keeps_its_evaluation(tmp_path):
    log = MetricsLog(tmp_path, progress(0))
    log.write("eval", 1, 4, {"segm_mmap": 0.5})
    log.close()
    MetricsLog(tmp_path, progress(4, closed_epochs=1)).close()
    assert [row["kind"] for row in rows(tmp_path)] == ["eval"]


class Recorder:
    """Stands in for mlflow and wandb: notes every call."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def call(*arguments, **more):
            self.calls.append((name, arguments, more))
            return SimpleNamespace(info=SimpleNamespace(run_id="theirs"), log=self.log_of_run,
                                   finish=lambda: self.calls.append(("finish", (), {})))  # fmt: skip

        return call

    def log_of_run(self, values, step):
        self.calls.append(("run.log", values, step))


def test_mlflow_goes_on_under_its_own_id(tmp_path, monkeypatch):
    fake = Recorder()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    for _ in range(2):  # the second time is a resume
        (writer,) = open_loggers(["mlflow"], tmp_path, "ours", {"train.seed": 0})
        writer.add_scalar("eval/segm_ap_by_class/left: shoe", 0.5, 7)
        writer.close()
    starts = [more for name, _, more in fake.calls if name == "start_run"]
    assert starts == [
        {"run_id": None, "run_name": tmp_path.name},
        {"run_id": "theirs", "run_name": None},
    ]
    logged = [call for call in fake.calls if call[0] == "log_metric"]
    assert logged[0] == ("log_metric", ("eval/segm_ap_by_class/left_ shoe", 0.5), {"step": 7})
    assert [call[0] for call in fake.calls].count("log_params") == 1


def test_wandb(tmp_path, monkeypatch):
    fake = Recorder()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    (writer,) = open_loggers(["wandb"], tmp_path, "ours", {"train.seed": 0})
    writer.add_scalar("train/loss", 0.5, 7)
    writer.close()
    name, _, more = fake.calls[0]
    assert name == "init"
    assert more["id"] == "ours"
    assert more["resume"] == "allow"
    assert more["config"] == {"train.seed": 0}
    assert fake.calls[1:] == [("run.log", {"train/loss": 0.5}, 7), ("finish", (), {})]


def test_visualdl_gets_paddlexs_tags(tmp_path, monkeypatch, caplog):
    """Training by steps, evaluations by epochs."""
    written, closed = [], []
    writer = SimpleNamespace(
        add_scalar=lambda tag, value, step: written.append((tag, value, step)),
        close=lambda: closed.append(True),
    )
    monkeypatch.setitem(sys.modules, "visualdl", SimpleNamespace(LogWriter=lambda logdir: writer))
    log = MetricsLog(tmp_path, progress(0), open_visualdl(tmp_path / "vdl_log", 4))
    log.write("train", 2, 6, {"loss": 0.5})
    log.write("eval", 2, 8, {"segm_mmap": 0.25, "segm_ap_by_class": {"nut": 0.3}})
    log.close()
    assert written == [
        ("-Metrics/Training(Step): loss", 0.5, 6),
        ("-Metrics/Eval(Epoch): segm_mmap", 0.25, 2),
        ("-Metrics/Eval(Epoch): segm_ap_by_class/nut", 0.3, 2),
    ]
    assert closed == [True]
    monkeypatch.setitem(sys.modules, "visualdl", None)
    with caplog.at_level(logging.INFO):
        assert open_visualdl(tmp_path, 4) == []
    assert "VisualDL is not installed" in caplog.text


@pytest.mark.parametrize(
    ("level", "shown"),
    [(0, ["broken"]), (1, ["odd", "broken"]), (2, ["so far", "odd", "broken"]),
     (3, ["detail", "so far", "odd", "broken"])],
)  # fmt: skip
def test_the_level_that_a_script_asks_for(monkeypatch, capsys, tmp_path, level, shown):
    """PaddleX's numbers; the file of a run has the same whatever they are."""
    monkeypatch.setattr(paddlex_maskrcnn, "log_level", level)
    with run_log(tmp_path) as logger:
        for write, text in ((logger.debug, "detail"), (logger.info, "so far"),
                            (logger.warning, "odd"), (logger.error, "broken")):  # fmt: skip
            write(text)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[1] for line in lines] == shown
    lines = (tmp_path / "train.log").read_text().splitlines()
    assert [line.split("\t")[1] for line in lines] == ["so far", "odd", "broken"]


@pytest.mark.parametrize("level", [4, -1, "INFO"])
def test_a_level_that_is_none(monkeypatch, level):
    monkeypatch.setattr(paddlex_maskrcnn, "log_level", level)
    with pytest.raises(ValueError, match=r"log_level is .* allowed: 0 \(errors\)"), run_log():
        pass


def test_what_is_not_installed_is_told_before_training(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(
        ValueError, match="loggers names mlflow, which is not installed: pip install"
    ):
        check_loggers(["mlflow"])


@pytest.fixture
def no_logging(monkeypatch):
    """A process in which nobody has set up logging."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


def say():
    logging.getLogger("paddlex_maskrcnn.somewhere").info("a line")


@pytest.mark.usefixtures("no_logging")
def test_each_line_comes_once_however_many_blocks_there_are(capsys, tmp_path):
    say()
    with run_log(), run_log(tmp_path), run_log():
        say()
    say()
    assert capsys.readouterr().out.count("a line") == 1
    assert (tmp_path / "train.log").read_text().count("a line") == 1


@pytest.mark.usefixtures("no_logging")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_users_own_logging_is_enough_and_stays_as_it_is(capsys, stream):
    handler = logging.StreamHandler(getattr(sys, stream))
    root = logging.getLogger()
    root.addHandler(handler)
    before = list(root.handlers)
    level = logging.getLogger("paddlex_maskrcnn").level
    with run_log():
        say()
    assert root.handlers == before
    assert logging.getLogger("paddlex_maskrcnn").level == level
    out, err = capsys.readouterr()
    assert (out + err).count("a line") == 1


@pytest.mark.usefixtures("no_logging")
def test_one_process_of_several_speaks(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with run_log():
        say()
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("no_logging")
def test_a_terminal_gets_lines_of_120_columns_and_colours(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", screen)
    with run_log() as log:
        log.info(
            "%s\n%s", ", ".join(f"loss_{k}=0.1234" for k in range(20)), "| a table |" + 130 * "-"
        )
        log.warning("take care")
    *lines, table, warning = screen.getvalue().splitlines()
    assert len(lines) > 1
    assert " ".join(line.strip() for line in lines).endswith("loss_18=0.1234, loss_19=0.1234")
    assert max(map(len, lines)) <= 120
    assert len(table) > 120
    assert warning.startswith("\x1b[33m")
    assert warning.endswith("take care\x1b[0m")
    assert "\x1b" not in "".join(lines)


def test_damaged_lines_are_left_out_and_the_rest_stays(tmp_path, caplog):
    """As after a power cut: zeros, half a line, a line of another kind."""
    log = MetricsLog(tmp_path, progress(0))
    log.write("train", 1, 2, {"loss": float("inf"), "other": float("nan")})
    log.close()
    path = tmp_path / "metrics.jsonl"
    assert "null" in path.read_text()
    assert "Infinity" not in path.read_text()
    with path.open("ab") as file:
        file.write(bytes(40) + b'\n{"kind": "train", "step": 3\n[1, 2]\n{"step": "x"}\n\xff\xfe\n')
    MetricsLog(tmp_path, progress(4)).close()
    assert [row["step"] for row in rows(tmp_path)] == [2]
    assert "5 damaged lines are left out" in caplog.text


def test_a_kill_while_the_files_are_rewritten_loses_nothing(tmp_path, monkeypatch):
    log = MetricsLog(tmp_path, progress(0))
    log.write("train", 1, 2, {"loss": 1.0})
    log.close()

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        MetricsLog(tmp_path, progress(4))
    assert [row["step"] for row in rows(tmp_path)] == [2]
