"""Who may take the faster ways."""

import pytest
import torch

from paddlex_maskrcnn.modeling.fast_path import is_fast, is_fast_on_cpu, plain_path


def test_fast_is_the_default():
    assert is_fast()
    assert is_fast_on_cpu(torch.zeros(1))
    assert not is_fast_on_cpu(torch.zeros(1, dtype=torch.bfloat16))
    assert not is_fast_on_cpu(torch.zeros(1, device="meta"))


def test_a_block_may_be_plain_inside_another():
    with plain_path():
        with plain_path():
            assert not is_fast()
        assert not is_fast()
    assert is_fast()


@pytest.mark.parametrize(
    ("value", "fast"),
    [("1", False), ("true", False), ("0", True), ("off", True), ("False", True), ("", True)],
)
def test_a_process_may_be_plain(monkeypatch, value, fast):
    monkeypatch.setenv("PADDLEX_MASKRCNN_PLAIN", value)
    assert is_fast() is fast


def test_tracing_sees_detectron2s_operators():
    seen = []

    def look(x):
        seen.append(is_fast())
        return x + 1

    torch.jit.trace(look, torch.zeros(1), check_trace=False)
    assert seen == [False]
