"""Libra sampling in plain numpy loops, as PaddleX draws it but with bins over [0, 0.5).

A class gives `round(num / number of classes) + 1` first, a bin a third; see the header of
paddlex_maskrcnn/modeling/samplers/libra.py for the sources.
"""

from __future__ import annotations


def draw(rng, indices, num):
    return list(rng.choice(indices, size=num, replace=False)) if num > 0 else []


def balance(rng, groups, quota, num):
    """A quota from each group, then any others; drop any if that is too many."""
    chosen = []
    for group in groups:
        chosen += draw(rng, group, min(quota, len(group)))
    rest = sorted(set().union(*map(set, groups)) - set(chosen)) if groups else []
    if len(chosen) < num:
        chosen += draw(rng, rest, min(num - len(chosen), len(rest)))
    return draw(rng, chosen, min(num, len(chosen)))


def libra_sample(rng, max_iou, labels, num_samples, positive_fraction, bg_label):
    """Lists of foreground and background indices; rng is a numpy generator."""
    foreground = [i for i, label in enumerate(labels) if label not in (-1, bg_label)]
    num_foreground = int(num_samples * positive_fraction)
    if len(foreground) > num_foreground:
        classes = sorted({int(labels[i]) for i in foreground})
        groups = [[i for i in foreground if labels[i] == c] for c in classes]
        quota = int(round(num_foreground / len(classes)) + 1)
        foreground = balance(rng, groups, quota, num_foreground)
    background = [i for i, label in enumerate(labels) if label == bg_label]
    num_background = num_samples - len(foreground)
    if len(background) > num_background:
        bins = [[i for i in background if int(max_iou[i] / (0.5 / 3)) == b] for b in range(3)]
        background = balance(rng, bins, num_background // 3, num_background)
    return foreground, background
