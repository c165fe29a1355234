"""Where the faster forms may compute: each asks this for the tensor it is given."""

import torch


def is_faster_here(x: torch.Tensor) -> bool:
    """Whether a tensor is on a CPU, in 32 bits, and nobody records the operators.

    Tracing and compiling are to see Detectron2's own operators.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    return not (torch.jit.is_tracing() or torch.compiler.is_compiling())
