"""Systems other than Linux, by what they lack."""

import os
import subprocess
import sys
from pathlib import Path

from paddlex_maskrcnn import system

PACKAGE = Path(system.__file__).parent.parent


def test_cores_where_the_system_does_not_say(monkeypatch):
    assert system.usable_cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert system.usable_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert system.usable_cores() == 1


def test_memory_in_the_units_of_the_system(monkeypatch):
    on_linux = system.peak_process_memory()
    assert on_linux > 2**24, "Python alone takes more"
    monkeypatch.setattr(system.sys, "platform", "darwin")
    assert system.peak_process_memory() * 1024 >= on_linux
    monkeypatch.setattr(system, "resource", None)
    assert system.peak_process_memory() == 0


def test_the_package_is_imported_without_what_only_unix_has():
    code = (
        "import os, sys\n"
        "sys.modules['resource'] = None\n"
        "del os.sched_getaffinity\n"
        "import paddlex_maskrcnn.det, paddlex_maskrcnn.engine.train, paddlex_maskrcnn.cli.processes\n"
        "from paddlex_maskrcnn.system import worker_count\n"
        "assert worker_count('auto') >= 0\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
