"""Valid files of six formats, spoiled at random: an error that says why, or nothing is lost without a word.

Whether something is lost is judged by readers that share nothing with the package
(reference/plain_sets.py): the same pictures, classes, crowds and pixels of masks, unless a warning was
logged. What a plain reader cannot make sense of counts as what it was before it was spoiled. Each mutant
has 5 seconds.
"""

import logging
import random
import signal
from collections import Counter
from contextlib import contextmanager

import pytest

from paddlex_maskrcnn.config.check import ConfigError
from paddlex_maskrcnn.data.datasets import DatasetError
from reference import plain_sets
from support.mutants import mutate

SHORT, LONG = 60, 1_800  # mutants of a format; 10 800 in all
SECONDS = 5
_LONGEST_MESSAGE = 15_000


class HangError(BaseException):
    """Not an Exception, so that nobody takes it for trouble with the data."""


@contextmanager
def seconds(limit):
    def interrupt(*_):
        raise HangError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def content_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def restore(folder, valid):
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path not in valid:
            path.unlink()
    for path, data in valid.items():
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)


def verdict(form, folder, skip, caplog, valid_count):
    """(what became of a spoiled set, what is wrong with that)."""
    caplog.clear()
    try:
        with seconds(SECONDS):
            opened = form.open(folder, skip)
    except (DatasetError, ConfigError, FileNotFoundError) as error:
        return "refused", what_is_wrong_with(str(error), form, folder)
    except HangError:
        return "hangs", f"more than {SECONDS} s"
    except Exception as error:
        return "fails", f"{type(error).__name__}: {error}"
    if any(record.levelno >= logging.WARNING for record in caplog.records):
        return "warned", ""
    try:
        expected = form.count(folder)
    except Exception:
        expected = valid_count
    read = plain_sets.counted(opened)
    return "opened", "" if plain_sets.agree(read, expected) else f"silent: {read}, not {expected}"


def what_is_wrong_with(message, form, folder):
    names = (str(folder), *(name.rpartition("/")[2] for name in form.files), "a.png", "b.png")
    if len(message) > _LONGEST_MESSAGE:
        return "a long message"
    return "" if any(name in message for name in names) else f"no file is named: {message}"


def fuzz(kind, num_mutants, folder, caplog):
    """Numbers of verdicts; fails with every wrong one."""
    form, rng = kind(), random.Random(kind.__name__)
    plain_sets.write(form, folder)
    valid = content_of(folder)
    valid_count = form.count(folder)
    verdicts, wrong = Counter(), []
    for number in range(num_mutants):
        done = mutate(folder / rng.choice(form.files), rng)
        spoiled = content_of(folder)
        what, why = verdict(form, folder, rng.random() < 0.5, caplog, valid_count)
        if not why and content_of(folder) != spoiled:
            why = "a file was changed"
        verdicts[what] += 1
        if why:
            wrong.append(f"mutant {number}, {done[:200]}: {what}, {why[:400]}")
        restore(folder, valid)
    assert not wrong, "\n".join([f"{len(wrong)} of {num_mutants}: {dict(verdicts)}", *wrong[:20]])
    return verdicts


@pytest.mark.parametrize("kind", plain_sets.FORMATS)
def test_the_plain_readers_agree_on_what_is_valid(kind, tmp_path, caplog):
    form = kind()
    plain_sets.write(form, tmp_path)
    for skip in (False, True):
        read = plain_sets.counted(form.open(tmp_path, skip))
        assert plain_sets.agree(read, form.count(tmp_path))
    assert not caplog.records


@pytest.mark.parametrize("kind", plain_sets.FORMATS)
def test_a_few_mutants(kind, tmp_path, caplog):
    verdicts = fuzz(kind, SHORT, tmp_path, caplog)
    assert verdicts["refused"]
    assert verdicts["opened"]


@pytest.mark.long
@pytest.mark.parametrize("kind", plain_sets.FORMATS)
def test_thousands_of_mutants(kind, tmp_path, caplog):
    verdicts = fuzz(kind, LONG, tmp_path, caplog)
    print(f"{kind.__name__}: {dict(verdicts)}")
    assert min(verdicts["refused"], verdicts["opened"]) > LONG / 20


def test_a_loss_is_seen(tmp_path):
    """The judge of the tests above: an object that a reader leaves out, and one that shrinks."""
    form = plain_sets.Coco()
    plain_sets.write(form, tmp_path)
    expected = form.count(tmp_path)
    for changed in ([("dog", 150, False)], [("cat", 196, False)], [("dog", 196, True)], []):
        assert not plain_sets.agree(expected | {"b": changed}, expected)
    assert not plain_sets.agree({"a": expected["a"]}, expected)
