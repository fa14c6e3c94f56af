"""Networks written in PyTorch: what ``from_torch`` is tested on, and what is recorded of them.

Weights, running averages, scales and shifts are drawn as training may leave them: scales of both
signs, and one that is 0.
"""

# pyright: reportMissingImports=false, reportOptionalMemberAccess=false

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut, with the strides and names of the published networks."""

    def __init__(self, read: int, made: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(read, made, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(made)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(made, made, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(made)
        self.downsample: nn.Module | None = None
        if stride != 1 or read != made:
            self.downsample = nn.Sequential(
                nn.Conv2d(read, made, 1, stride, bias=False), nn.BatchNorm2d(made)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        out += shortcut
        return self.relu(out)


class ResNet18(nn.Module):
    """He et al. 2016, table 1, with ``width`` channels in the first stage; 64 are published."""

    def __init__(self, width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self._stage(width, width, 1)
        self.layer2 = self._stage(width, 2 * width, 2)
        self.layer3 = self._stage(2 * width, 4 * width, 2)
        self.layer4 = self._stage(4 * width, 8 * width, 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * width, classes)

    @staticmethod
    def _stage(read: int, made: int, stride: int) -> nn.Module:
        return nn.Sequential(BasicBlock(read, made, stride), BasicBlock(made, made, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class PreActBlock(nn.Module):
    """Norm and nonlinearity before the convolutions, and nothing after the sum."""

    def __init__(self, read: int, made: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(read)
        self.conv1 = nn.Conv2d(read, made, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(made)
        self.conv2 = nn.Conv2d(made, made, 3, 1, 1, bias=False)
        self.shortcut: nn.Module | None = None
        if stride != 1 or read != made:
            self.shortcut = nn.Conv2d(read, made, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(y)
        return shortcut + self.conv2(functional.relu(self.bn2(self.conv1(y))))


class PreActResNet18(nn.Module):
    """He et al. 2016, Identity mappings: sums that no nonlinearity follows."""

    def __init__(self, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.pool = nn.MaxPool2d(2)
        stages = [(1, 1, 1), (1, 2, 2), (2, 4, 2), (4, 8, 2)]
        self.blocks = nn.Sequential(
            *(
                block
                for read, made, stride in stages
                for block in (
                    PreActBlock(read * width, made * width, stride),
                    PreActBlock(made * width, made * width, 1),
                )
            )
        )
        self.bn = nn.BatchNorm2d(8 * width)
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn(self.blocks(self.pool(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


class Vgg(nn.Module):
    """Simonyan and Zisserman 2015, table 1: stages of 3×3 convolutions, a classifier of three
    layers with dropout; ``pixels`` are left of an image's side."""

    def __init__(
        self,
        stages: tuple[tuple[int, ...], ...] = ((64,), (128,), (256, 256), (512, 512), (512, 512)),
        pixels: int = 7,
        hidden: int = 4096,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        read = 3
        for stage in stages:
            for made in stage:
                layers += [nn.Conv2d(read, made, 3, padding=1), nn.ReLU(inplace=True)]
                read = made
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((pixels, pixels))
        self.classifier = nn.Sequential(
            nn.Linear(read * pixels**2, hidden),
            nn.ReLU(True),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(True),
            nn.Dropout(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(x.view(x.size(0), -1))


class Mixed(nn.Module):
    """Depthwise convolutions, branches side by side, activations as modules, functions and
    arithmetic, pools that hang over the edge."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6, bias=False)
        self.pointwise = nn.Conv2d(6, 8, 1)
        self.left = nn.Conv2d(8, 4, (1, 3), padding="same")
        self.right = nn.Conv2d(8, 2, 3, padding=1, padding_mode="circular")
        self.norm = nn.BatchNorm2d(6)
        self.middle = nn.Conv2d(6, 5, 3)
        self.scale = nn.Parameter(torch.ones(5, 1, 1))
        self.head = nn.Sequential(nn.Linear(5 * 3 * 3, 7), nn.BatchNorm1d(7), nn.GELU())
        self.last = nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.leaky_relu(self.first(x), 0.2)
        x = self.pointwise(self.depthwise(x))
        x = x * torch.sigmoid(x)
        x = torch.cat([self.left(x), self.right(x)], dim=1)
        x = functional.avg_pool2d(self.norm(x), 3, stride=1, padding=1)
        x = functional.max_pool2d(functional.elu(x), 2, ceil_mode=True)
        x = functional.gelu(self.middle(x) * self.scale, approximate="tanh")
        x = functional.avg_pool2d(x, 2, 1, 0, count_include_pad=False)
        x = functional.dropout(x, 0.5, self.training)
        return self.last(self.head(x.flatten(1)))


class Mlp(nn.Module):
    """Of vectors, with a norm over features."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(5, 12),
            nn.Tanh(),
            nn.LayerNorm(12),
            nn.Linear(12, 6),
            nn.SELU(),
            nn.Linear(6, 2),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Branching(nn.Module):
    """Its forward pass depends on the numbers that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gate(x)


class Gate(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Attention(nn.Module):
    """One block of attention on patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x, _ = self.attention(x, x, x)
        return self.head(x.mean(1))


def drawn(module: nn.Module, seed: int = 0, positive: bool = False) -> Any:
    """The module in ``eval`` mode with weights, averages, scales and shifts of training.

    Args:
        module: it is changed.
        seed: of all of them.
        positive: whether scales are.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                fan_in = part.weight[0].numel()
                part.weight.copy_(normal(part.weight) * fan_in**-0.5)
                if part.bias is not None:
                    part.bias.copy_(0.1 * normal(part.bias))
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
                part.running_mean.copy_(0.3 * normal(part.running_mean))
                part.running_var.copy_(
                    0.5 + torch.rand(part.running_var.shape, generator=generator)
                )
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d | nn.LayerNorm):
                part.weight.copy_(1 + 0.5 * normal(part.weight))
                part.bias.copy_(0.2 * normal(part.bias))
                if positive:
                    part.weight.abs_().add_(0.1)
            if isinstance(part, BasicBlock):
                part.bn1.weight[0], part.bn1.weight[1] = -0.7, 0.0
            if isinstance(part, Mixed):
                part.scale.copy_(normal(part.scale))
    return module.eval()


IMAGES = {"resnet18": (32, 32, 3), "vgg": (16, 16, 3), "mixed": (21, 21, 3), "mlp": (5,)}
"""The networks that are recorded, and the images that they read."""


def small(name: str) -> Any:
    """One of ``IMAGES``, narrow enough to be kept in a file."""
    made = {
        "resnet18": lambda: ResNet18(2, 3),
        "vgg": lambda: Vgg(((3,), (4, 4)), 2, 6, 3),
        "mixed": Mixed,
        "mlp": Mlp,
    }
    return drawn(made[name]())
