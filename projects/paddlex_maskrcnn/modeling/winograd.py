"""3x3 convolutions on a CPU with a quarter of the multiplications, for layers without gradients.

What: Winograd's F(4x4, 3x3). Tiles of 6x6 pixels and the weights are transformed, 36 matrix products
take the place of the convolution, and each product is transformed back into 4x4 pixels. Work is cut
into pieces that stay in the cache, since the transforms only pay there.
Paper: "Fast Algorithms for Convolutional Neural Networks", https://arxiv.org/abs/1509.09308.
Origin: the matrices are those of the paper's section 4.2. oneDNN, which torch convolves with on a CPU,
computes directly, at nearly all multiplications that a core can do.
Differences: equal to direct convolution up to rounding, whose mean is 3 times larger (1.3e-6 on values
around 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from .core_pieces import for_each

_FILTER = (
    (1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1),
)  # fmt: skip
_TILES = 128  # transformed together: 36 * 128 * 256 channels are 4.5 MiB
_FEWEST_CHANNELS = 128  # below, transforms cost more than they save
_FEWEST_TILES = 16  # of an image or a region: 14 x 14 pixels of the mask head
_BIAS = 7  # the product, row 1 and column 1 of 6, that all pixels of a tile have once
_MOST_WASTE = 1.5  # pixels computed by pixels wanted, at borders that 4 does not divide


def pays(x: torch.Tensor, out_channels: int) -> bool:
    """Whether this is faster than direct convolution of x (N, C, H, W); whatever N is."""
    _, channels, height, width = x.shape
    tiles = -(-height // 4) * -(-width // 4)
    return (
        min(channels, out_channels) >= _FEWEST_CHANNELS
        and tiles >= _FEWEST_TILES
        and 16 * tiles <= _MOST_WASTE * height * width
    )


def transformed_weight(weight: torch.Tensor) -> torch.Tensor:
    """Weights (C', C, 3, 3) as the 36 matrices (36, C, C')."""
    matrix = torch.tensor(_FILTER, dtype=torch.float64)
    taps = weight.permute(3, 2, 1, 0).reshape(9, -1).double()
    both = torch.kron(matrix, matrix) @ taps
    return both.view(36, weight.shape[1], weight.shape[0]).to(weight.dtype)


def convolve(
    x: torch.Tensor, matrices: torch.Tensor, bias: torch.Tensor | None, *, relu: bool = False
) -> torch.Tensor:
    """3x3 convolution of x (N, C, H, W) with padding 1: (N, C', H, W), channels last in memory.

    Args:
        matrices: of `transformed_weight`.
        bias: (C',).
        relu: whether negative results become 0.
    """
    images, _, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1)
    out = x.new_empty(images, height, width, matrices.shape[2])

    def convolve_piece(piece: tuple[slice, slice]) -> None:
        some, rows = piece
        products = torch.bmm(_tiles(pixels[some], rows), matrices)
        if bias is not None:
            products[_BIAS] += bias
        _to_pixels(products, out[some, 4 * rows.start : 4 * rows.stop], relu)

    for_each(convolve_piece, list(_pieces(images, -(-height // 4), -(-width // 4))))
    return out.permute(0, 3, 1, 2)


def _pieces(images: int, down: int, across: int) -> Iterator[tuple[slice, slice]]:
    """Images and rows of tiles that are computed together."""
    rows = min(down, max(1, _TILES // across))
    together = max(1, _TILES // (down * across))
    for image in range(0, images, together):
        for row in range(0, down, rows):
            yield slice(image, min(image + together, images)), slice(row, min(row + rows, down))


def _tiles(x: torch.Tensor, rows: slice) -> torch.Tensor:
    """Transformed tiles (36, n * h * w, C) of some rows of tiles of pixels x (n, H, W, C)."""
    images, height, width, channels = x.shape
    down, across = rows.stop - rows.start, -(-width // 4)
    padded = x.new_zeros(images, 4 * down + 2, 4 * across + 2, channels)
    top, bottom = 4 * rows.start - 1, min(4 * rows.stop + 1, height)
    inside = x[:, max(top, 0) : bottom]
    first = max(-top, 0)
    padded[:, first : first + inside.shape[1], 1 : width + 1] = inside
    lines = x.new_empty(6, images, down, 4 * across + 2, channels)
    _transform([padded[:, k : k + 4 * down - 3 : 4] for k in range(6)], lines)
    tiles = x.new_empty(6, 6, images, down, across, channels)
    _transform([lines[:, :, :, k : k + 4 * across - 3 : 4] for k in range(6)], tiles)
    return tiles.view(36, -1, channels)


def _to_pixels(products: torch.Tensor, out: torch.Tensor, relu: bool) -> None:
    """Write pixels out (n, H, W, C'), of products (36, n * h * w, C') of all tiles they are in."""
    images, height, width, channels = out.shape
    down, across = -(-height // 4), -(-width // 4)
    is_whole = (4 * down, 4 * across) == (height, width)
    whole = out if is_whole else out.new_empty(images, 4 * down, 4 * across, channels)
    columns = out.new_empty(4, 6, images, down, across, channels)
    _transform_back(products.view(6, 6, images, down, across, channels), columns)
    pixels = whole.unflatten(2, (across, 4)).unflatten(1, (down, 4))
    _transform_back(columns.permute(1, 2, 3, 4, 0, 5), [pixels[:, :, k] for k in range(4)])
    if relu:
        whole.clamp_min_(0)
    if not is_whole:
        out.copy_(whole[:, :height, :width])


def _transform(x: Sequence[torch.Tensor], out: torch.Tensor) -> None:
    """Six pixels along one side to six numbers."""
    even, odd = torch.sub(x[4], x[2], alpha=4), torch.sub(x[3], x[1], alpha=4)
    torch.sub(even, x[2], out=out[0]).add_(x[0], alpha=4)
    torch.add(even, odd, out=out[1])
    torch.sub(even, odd, out=out[2])
    torch.sub(x[4], x[2], out=even)
    torch.sub(x[3], x[1], out=odd)
    torch.add(even, odd, alpha=2, out=out[3])
    torch.sub(even, odd, alpha=2, out=out[4])
    torch.sub(x[5], x[3], out=out[5]).sub_(odd, alpha=4)


def _transform_back(x: torch.Tensor, out: torch.Tensor | Sequence[torch.Tensor]) -> None:
    """Six numbers to four pixels along one side."""
    near, far = x[1] + x[2], x[3] + x[4]
    torch.add(near, far, out=out[0]).add_(x[0])
    torch.add(near, far, alpha=4, out=out[2])
    torch.sub(x[1], x[2], out=near)
    torch.sub(x[3], x[4], out=far)
    torch.add(near, far, alpha=2, out=out[1])
    torch.add(near, far, alpha=8, out=out[3]).add_(x[5])
