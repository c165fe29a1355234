"""Focal loss of binary labels: easy samples count less.

What: alpha_t * (1 - p_t)^gamma * cross entropy, summed; p_t is the probability given to the label.
Paper: Focal Loss for Dense Object Detection, https://arxiv.org/abs/1708.02002, equation 5.
Origin: written from the paper. `torchvision.ops.sigmoid_focal_loss` computes the same; its gradient
is NaN for gamma below 1 as soon as a sample is perfectly classified, (1 - p_t)^gamma being taken as
a power of 0. Here the factor is exp(gamma * log(1 - p_t)), which is smooth everywhere.
"""

from __future__ import annotations

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid


def sigmoid_focal_loss(
    logits: torch.Tensor, labels: torch.Tensor, alpha: float | None, gamma: float
) -> torch.Tensor:
    """Sum of the focal losses.

    With gamma 0 and no alpha each term is the binary cross entropy, bit for bit.

    Args:
        logits: (N,) any real numbers.
        labels: (N,) 0 or 1.
        alpha: weight of the positives, the negatives have 1 - alpha; None weighs none.
        gamma: how strongly easy samples are turned down; 0 does not.
    """
    logits, labels = logits.float(), labels.float()
    cross_entropy = binary_cross_entropy_with_logits(logits, labels, reduction="none")
    # 1 - sigmoid(z) = sigmoid(-z), where z is the logit seen from the label's side
    log_miss = logsigmoid(logits * (1 - 2 * labels))
    loss = cross_entropy * torch.exp(gamma * log_miss)
    if alpha is not None:
        loss = loss * (alpha * labels + (1 - alpha) * (1 - labels))
    return loss.sum()
