"""Networks written in flax: those of its examples, and layers that they leave out."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

EDGES: Any = ((1, 1), (1, 0))


class Cnn(nn.Module):
    """That of flax's example on MNIST, with its widths."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(features=32, kernel_size=(3, 3))(x)
        x = nn.relu(x)
        x = nn.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = nn.Conv(features=64, kernel_size=(3, 3))(x)
        x = nn.relu(x)
        x = nn.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = x.reshape((x.shape[0], -1))
        x = nn.Dense(features=256)(x)
        x = nn.relu(x)
        return nn.Dense(features=10)(x)


class Mlp(nn.Module):
    """Layers of a list of widths with a nonlinearity between."""

    widths: tuple[int, ...] = (12, 7, 3)
    activation: Any = nn.gelu

    @nn.compact
    def __call__(self, x: Any) -> Any:
        for number, width in enumerate(self.widths):
            x = nn.Dense(width, name=f"layer{number}")(x)
            if number + 1 < len(self.widths):
                x = self.activation(x)
        return x


class Block(nn.Module):
    """The residual block of flax's example on ImageNet."""

    filters: int
    conv: Any
    norm: Any
    strides: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x: Any) -> Any:
        residual = x
        y = self.conv(self.filters, (3, 3), self.strides)(x)
        y = nn.relu(self.norm()(y))
        y = self.conv(self.filters, (3, 3))(y)
        y = self.norm(scale_init=nn.initializers.zeros_init())(y)
        if residual.shape != y.shape:
            residual = self.conv(self.filters, (1, 1), self.strides, name="conv_proj")(residual)
            residual = self.norm(name="norm_proj")(residual)
        return nn.relu(residual + y)


class ResNet(nn.Module):
    """That of flax's example on ImageNet."""

    stages: tuple[int, ...] = (2, 2)
    filters: int = 4
    classes: int = 3

    @nn.compact
    def __call__(self, x: Any, train: bool = True) -> Any:
        conv = partial(nn.Conv, use_bias=False)
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, epsilon=1e-5)
        x = conv(self.filters, (7, 7), (2, 2), padding=[(3, 3), (3, 3)], name="conv_init")(x)
        x = nn.relu(norm(name="bn_init")(x))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        for stage, blocks in enumerate(self.stages):
            for block in range(blocks):
                strides = (2, 2) if stage > 0 and block == 0 else (1, 1)
                x = Block(self.filters * 2**stage, conv, norm, strides)(x)
        return nn.Dense(self.classes)(jnp.mean(x, axis=(1, 2)))


class PreActivation(nn.Module):
    """Residual blocks whose sums no nonlinearity follows (He et al. 2016, Identity mappings)."""

    widths: tuple[int, ...] = (4, 4, 8)

    @nn.compact
    def __call__(self, x: Any) -> Any:
        norm = partial(nn.BatchNorm, use_running_average=True)
        x = nn.max_pool(nn.Conv(self.widths[0], (3, 3))(x), (2, 2), strides=(2, 2))
        for width in self.widths:
            strides = 1 if width == x.shape[-1] else 2
            y = nn.relu(norm()(x))
            if strides > 1:
                x = nn.Conv(width, (1, 1), strides, use_bias=False)(y)
            y = nn.Conv(width, (3, 3), strides, padding=1, use_bias=False)(y)
            x = x + nn.Conv(width, (3, 3), use_bias=False)(nn.relu(norm()(y)))
        return nn.Dense(3)(nn.relu(norm()(x)).mean((1, 2)))


class Mixed(nn.Module):
    """What the examples leave out: depthwise and dilated windows, edges, branches, norms, pools
    that count pixels, constants, dropout and layers on pixels."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(6, (3, 3), strides=2, padding=1)(x / 2.0)
        x = nn.leaky_relu(x, 0.3)
        x = nn.Conv(6, (3, 3), kernel_dilation=2, feature_group_count=6, use_bias=False)(x)
        x = nn.silu(nn.Dense(8)(x))
        left = nn.Conv(4, (1, 3), padding="VALID")(nn.LayerNorm(use_bias=False)(x))
        right = nn.Conv(2, (1, 3), padding="VALID")(
            nn.LayerNorm(use_scale=False, use_bias=False)(x)
        )
        x = jnp.concatenate([left, right], axis=-1)
        x = nn.avg_pool(nn.elu(x, 0.7), (3, 3), (1, 1), "SAME", count_include_pad=False)
        x = nn.avg_pool(nn.softplus(x), (3, 3), (1, 1), EDGES)
        x = nn.Conv(5, (3, 3), padding="CIRCULAR")(x)
        x = nn.Dropout(0.5, deterministic=True)(jnp.tanh(x))
        x = 1.5 * nn.Dense(6)(x.reshape((x.shape[0], -1)))
        return nn.Dense(2)(nn.GroupNorm(1)(jnp.maximum(x, 0)))


class Attention(nn.Module):
    """One block of attention on patches."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(8, (4, 4), strides=4)(x)
        x = x.reshape((x.shape[0], -1, 8))
        x = x + nn.MultiHeadDotProductAttention(2, name="attention")(x)
        return nn.Dense(2)(x.mean(1))


class Branching(nn.Module):
    """Its forward pass depends on the numbers that it is given."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(2)(x) if x.sum() > 0 else x
