"""Layers with weights as matrices, filled one pair of an input and an output after the other."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def linear_matrix(weight: Tensor) -> Tensor:
    """[outputs, inputs] of a linear layer."""
    return weight.clone()


def conv_matrix(
    weight: Tensor,
    size: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> tuple[Tensor, tuple[int, int, int]]:
    """[outputs, inputs] of a convolution of channel-first images of `size`, each flattened; and the output's shape."""
    out_channels, per_group, *kernel = weight.shape
    out_size = [
        (size[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1
        for axis in (0, 1)
    ]
    shape_in, shape_out = (per_group * groups, *size), (out_channels, *out_size)
    matrix = torch.zeros(*shape_out, *shape_in, dtype=weight.dtype)
    for out, row, column in itertools.product(*map(range, shape_out)):
        group = out // (out_channels // groups)
        for channel, i, j in itertools.product(range(per_group), *map(range, kernel)):
            y = row * stride[0] - padding[0] + i * dilation[0]
            x = column * stride[1] - padding[1] + j * dilation[1]
            if 0 <= y < size[0] and 0 <= x < size[1]:
                matrix[out, row, column, group * per_group + channel, y, x] = weight[out, channel, i, j]
    return matrix.reshape(matrix[..., 0, 0, 0].numel(), -1), (out_channels, *out_size)


def conv_transpose_matrix(
    weight: Tensor, size: tuple[int, int], stride: tuple[int, int] = (1, 1), padding: tuple[int, int] = (0, 0)
) -> tuple[Tensor, tuple[int, int, int]]:
    """As `conv_matrix`, of a transposed convolution."""
    in_channels, out_channels, *kernel = weight.shape
    out_size = [(size[axis] - 1) * stride[axis] - 2 * padding[axis] + kernel[axis] for axis in (0, 1)]
    matrix = torch.zeros(out_channels, *out_size, in_channels, *size, dtype=weight.dtype)
    for channel, y, x in itertools.product(range(in_channels), *map(range, size)):
        for out, i, j in itertools.product(range(out_channels), *map(range, kernel)):
            row, column = y * stride[0] - padding[0] + i, x * stride[1] - padding[1] + j
            if 0 <= row < out_size[0] and 0 <= column < out_size[1]:
                matrix[out, row, column, channel, y, x] += weight[channel, out, i, j]
    return matrix.reshape(matrix[..., 0, 0, 0].numel(), -1), (out_channels, *out_size)
