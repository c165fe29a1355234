"""Interpolations are resolved by OmegaConf, and counted before."""

import pytest

from paddlex_maskrcnn.config.check import Problem
from paddlex_maskrcnn.config.interpolation import resolve
from support.yaml_bombs import bounded


def resolved(given):
    problems: list[Problem] = []
    return resolve(given, {}, problems), [str(problem) for problem in problems]


def test_what_is_named_takes_the_place(monkeypatch):
    monkeypatch.setenv("SETS", "/sets")
    given = {
        "a": {"x": 3, "y": "${a.x}", "z": "${.x}/${..b[1]}", "home": "${oc.env:SETS}/train"},
        "b": [1, "two", "${a.x}"],
        "c": "${oc.env:NOT_SET_HERE,${a.x}}",
        "d": "${b}",
        "e": "train ${oc.env:NOT_SET_HERE,e}",
    }
    content, problems = resolved(given)
    assert not problems
    assert content["a"] == {"x": 3, "y": 3, "z": "3/two", "home": "/sets/train"}
    assert content["b"] == content["d"] == [1, "two", 3]
    assert content["c"] in (3, "3")
    assert content["e"] == "train e"


def test_what_is_not_there_is_named():
    content, problems = resolved({"a": {"x": "${nothing}"}, "b": 1})
    assert content == {"a": {"x": None}, "b": 1}
    assert problems == ["a.x cannot be resolved: Interpolation key 'nothing' not found"] or (
        "a.x cannot be resolved" in problems[0]
    )


CHAIN = {f"k{k}": f"${{k{k + 1}}}" * 9 for k in range(9)} | {"k9": "x" * 9}
LISTS = {f"k{k}": [f"${{k{k + 1}}}"] * 9 for k in range(9)} | {"k9": "x"}
BOMBS = {
    "texts": CHAIN,
    "the last first": dict(reversed(CHAIN.items())),
    "lists": LISTS,
    "relative": {"s": {f"k{k}": f"${{.k{k + 1}}}" * 9 for k in range(9)} | {"k9": "x"}},
    "by a function": {f"k{k}": f"${{oc.select:k{k + 1}}}" * 9 for k in range(9)} | {"k9": "x"},
    "in defaults": {f"k{k}": f"${{oc.env:NO_,${{k{k + 1}}}}}" * 9 for k in range(9)} | {"k9": "x"},
    "names that are made": {"k": "x", "a": "${k${b}}", "b": "1"},
    "itself": {"a": {"b": "${a}"}},
    "in a circle": {"a": "${b}", "b": "x ${a}"},
    "nested": {"a": "${oc.env:N," * 500 + "x" + "}" * 500},
    "long": {"a": "${b}" + "x" * 100_000, "b": "1"},
    "a day": {"a": __import__("datetime").date(2001, 1, 1), "b": "${c}", "c": 1},
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_not_end_is_refused(name):
    with bounded():
        _, problems = resolved(BOMBS[name])
    assert problems
    assert sum(map(len, problems)) < 1_000


def test_many_wrong_ones_take_no_longer_than_a_few():
    with bounded():
        _, problems = resolved({f"k{k}": "${nothing}" for k in range(1_000)})
    assert 1 < len(problems) < 100
