"""Old run against new run: a slowdown is found, noise is not one."""

from dataclasses import replace

import numpy as np
import pytest
from compare import FASTER, SAME, SLOWER, UNSURE, change, main
from side_by_side.record import Check

STEADY = [1.00, 1.01, 0.99, 1.02, 1.00, 0.98, 1.01]
TWICE = [2 * value for value in STEADY]


def scaled(factor):
    return [factor * value for value in STEADY]


@pytest.mark.parametrize(
    ("new_ours", "verdict"),
    [
        pytest.param(scaled(1.0), SAME, id="the same"),
        pytest.param(scaled(1.08), SAME, id="within ten percent"),
        pytest.param(scaled(1.25), SLOWER, id="a fifth slower"),
        pytest.param(scaled(0.7), FASTER, id="faster"),
        pytest.param([0.5, 1.3, 1.2, 2.0, 1.25, 0.6, 1.3], UNSURE, id="slower but scattered"),
    ],
)
def test_verdicts(record, new_ours, verdict):
    old, new = record(STEADY, TWICE).rows[0], record(new_ours, TWICE).rows[0]
    assert change(old, new).verdict == verdict


def test_a_slower_machine_is_no_slower_code(record):
    """All seconds three times as long."""
    old = record(STEADY, TWICE).rows[0]
    new = record(scaled(3), [3 * value for value in TWICE]).rows[0]
    found = change(old, new)
    assert (found.verdict, found.share) == (SAME, pytest.approx(0))


def test_noise_alone_is_hardly_ever_called_slower(record):
    """Two hundred pairs of runs of the same code, one machine as restless as a shared one."""
    random = np.random.default_rng(0)
    draw = lambda: random.lognormal(0, 0.25, 7)  # noqa: E731
    rows = [record(draw(), draw()).rows[0] for _ in range(400)]
    verdicts = [change(a, b).verdict for a, b in zip(rows[::2], rows[1::2], strict=True)]
    assert verdicts.count(SLOWER) <= 4
    assert verdicts.count(UNSURE) > 40, "the noise is large enough to be mistaken"


def saved(record, folder, name):
    path = folder / name
    record.save(path)
    return str(path)


@pytest.mark.parametrize(("factor", "status"), [(1.0, 0), (1.25, 1), (0.5, 0)])
def test_exit_status(record, tmp_path, capsys, factor, status):
    old = saved(record(STEADY, TWICE), tmp_path, "old.json")
    new = saved(record(scaled(factor), TWICE), tmp_path, "new.json")
    assert main([old, new]) == status
    printed = capsys.readouterr().out
    assert "training step, one image: ours against Detectron2" in printed
    assert f"{100 * (1 / factor - 1):+.1f} %" in printed


def test_the_threshold_can_be_set(record, tmp_path):
    old = saved(record(STEADY, TWICE), tmp_path, "old.json")
    new = saved(record(scaled(1.25), TWICE), tmp_path, "new.json")
    assert main([old, new, "--threshold", "0.3"]) == 0


def test_unequal_work_fails(record, tmp_path, capsys):
    """A speed that was bought with other results is none."""
    old = saved(record(STEADY, TWICE), tmp_path, "old.json")
    wrong = [Check("losses", False, "differ by 0.5")]
    new = saved(record(STEADY, TWICE, wrong), tmp_path, "new.json")
    assert main([old, new]) == 1
    assert "not the same work in the new run: losses: differ by 0.5" in capsys.readouterr().out


def test_what_only_one_run_has_and_other_settings_are_told(record, tmp_path, capsys):
    first = record(STEADY, TWICE)
    second = record(STEADY, TWICE, work="two images")
    second.rows += first.rows
    second.about = {**first.about, "settings": {**first.about["settings"], "threads": 1}}
    first.rows = [*first.rows, replace(first.rows[0], work="three images")]
    main([saved(first, tmp_path, "a.json"), saved(second, tmp_path, "b.json")])
    printed = capsys.readouterr().out
    assert "only in the old run: training step, three images" in printed
    assert "only in the new run: training step, two images" in printed
    assert "other settings: threads 2 and 1" in printed


def test_nothing_in_common(record, tmp_path, capsys):
    old = saved(record(STEADY, TWICE), tmp_path, "old.json")
    new = saved(record(STEADY, TWICE, work="other"), tmp_path, "new.json")
    with pytest.raises(SystemExit):
        main([old, new])
    assert "no row in common" in capsys.readouterr().err
