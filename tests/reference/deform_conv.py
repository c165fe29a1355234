"""Deformable convolution, one multiplication at a time (Deformable ConvNets v2, equation 1)."""

import itertools

import numpy as np


def deform_conv(x, offset, mask, weight, stride, padding, dilation, groups, deformable_groups):
    """(N, C, H, W) to (N, C', H', W').

    offset has, per deformable group and kernel tap, dy at the even and dx at the odd channel;
    mask one channel per group and tap, already between 0 and 1, or None for all ones.
    """
    num_images, num_in = x.shape[:2]
    num_out, in_per_group, height, width = weight.shape
    out = np.zeros((num_images, num_out, *offset.shape[2:]))
    for n, c_out, i, j in np.ndindex(*out.shape):
        group = c_out // (num_out // groups)
        for c, ky, kx in itertools.product(range(in_per_group), range(height), range(width)):
            c_in = group * in_per_group + c
            tap = (c_in // (num_in // deformable_groups)) * height * width + ky * width + kx
            y_at = i * stride - padding + ky * dilation + offset[n, 2 * tap, i, j]
            x_at = j * stride - padding + kx * dilation + offset[n, 2 * tap + 1, i, j]
            amount = 1.0 if mask is None else mask[n, tap, i, j]
            out[n, c_out, i, j] += (
                weight[c_out, c, ky, kx] * amount * bilinear(x[n, c_in], y_at, x_at)
            )
    return out


def bilinear(image, y, x):
    """Value of a map (H, W) at fractional pixel coordinates; zero outside."""
    total = 0.0
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                total += image[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total
