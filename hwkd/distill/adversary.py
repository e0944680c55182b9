"""A discriminator trained beside a student: its losses, and one step of both in one backward pass.

Two terms share a batch. The student's reaches the student alone, because it runs the discriminator
with weights that are cut off; the discriminator's reaches the discriminator alone, because what the
student made is cut off there. Their sum is a simultaneous step of both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.head import Head
from hwkd.core.signals import Batch
from hwkd.distill.kernels import as_maps, at_least_float32

# The golden ratio: multiples of it modulo 1 are spread evenly, and a count is all their state.
_TURN = (math.sqrt(5.0) - 1.0) / 2.0


def generator_loss(judged: Tensor, *, adversarial: str) -> Tensor:
    """Return what a maker lowers.

    Args:
        judged: what the discriminator says of what was made, any shape.
        adversarial: "lsgan": mean (D - 1)^2; else, "wgan-gp" or "hinge", - mean D.
    """
    return (judged - 1.0).square().mean() if adversarial == "lsgan" else -judged.mean()


def discriminator_loss(made: Tensor, real: Tensor, *, adversarial: str) -> Tensor:
    """Return what a discriminator lowers, without a gradient penalty.

    Args:
        made: what it says of what was made.
        real: what it says of what it should take for real.
        adversarial: "wgan-gp": mean D(made) - mean D(real); "hinge": mean relu(1 - D(real)) + mean
            relu(1 + D(made)); "lsgan": half of mean (D(real) - 1)^2 + mean D(made)^2.

    Source:
        Gulrajani et al. 2017, arXiv:1704.00028; Miyato et al. 2018, arXiv:1802.05957; Mao et al.
        2017, arXiv:1611.04076.
    """
    if adversarial == "wgan-gp":
        return made.mean() - real.mean()
    if adversarial == "hinge":
        return torch.relu(1.0 - real).mean() + torch.relu(1.0 + made).mean()
    return ((real - 1.0).square().mean() + made.square().mean()) / 2.0


def gradient_penalty(judge: nn.Module, made: Tensor, real: Tensor, shares: Tensor) -> Tensor:
    """Return the mean of (norm of the gradient - 1)^2 between real samples and made ones.

    Args:
        shares: of the real sample in each mixture, shape [batch], 0 to 1.

    Source:
        Gulrajani et al. 2017, arXiv:1704.00028, equation 3.
    """
    share = shares.reshape(-1, *(1,) * (made.dim() - 1))
    mixed = (share * real + (1.0 - share) * made).detach().requires_grad_()
    (slope,) = torch.autograd.grad(judge(mixed).sum(), mixed, create_graph=True)
    squares = slope.flatten(1).square().sum(1)
    return ((squares + 1e-12).sqrt() - 1.0).square().mean()


class Discriminator(nn.Module):
    """Judges pictures or maps, in patches: three convolutions, two of which halve the size."""

    def __init__(self, channels: int, width: int) -> None:
        """Create it with weights from torch's current generator."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 3, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 3, 1, 1),
        )  # fmt: skip
        self.register_buffer("judged", torch.zeros((), dtype=torch.int64))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return a value for each patch, shape [batch, 1, height, width]."""
        values: Tensor = self.body(pictures)
        return values

    def cut_off(self, pictures: Tensor) -> Tensor:
        """Judge with weights that get no gradient."""
        weights = {name: weight.detach() for name, weight in self.body.named_parameters()}
        values: Tensor = torch.func.functional_call(self.body, weights, (pictures,))
        return values

    def shares(self, count: int) -> Tensor:
        """Return so many numbers from 0 to 1, other ones at each call."""
        judged: Tensor = self.get_buffer("judged")
        places = torch.arange(count, device=judged.device) + judged
        judged += count
        dtype = next(self.parameters()).dtype
        return torch.remainder(places.to(torch.float64) * _TURN, 1.0).to(dtype)


def own_loss(
    judge: Discriminator, made: Tensor, real: Tensor, *, adversarial: str, penalty: float
) -> Tensor:
    """Return what the discriminator lowers, with its penalty where there is one (wgan-gp)."""
    made, real = made.detach(), real.detach()
    loss = discriminator_loss(judge(made), judge(real), adversarial=adversarial)
    if adversarial != "wgan-gp" or not penalty:
        return loss
    return loss + penalty * gradient_penalty(judge, made, real, judge.shares(len(made)))


class JudgedPictures:
    """A maker of pictures learns from targets and from a discriminator, which is kept.

    What it minimises is the head's loss of the targets and a weight of the discriminator's
    judgement, which sees the picture that is shown beside the one that is drawn.

    Source:
        Isola et al. 2017, arXiv:1611.07004.
    """

    def __init__(
        self,
        head: Head,
        input_shape: tuple[int, ...],
        *,
        weight: float,
        width: int,
        adversarial: str,
    ) -> None:
        """Create the discriminator with weights from torch's current generator.

        Args:
            input_shape: of a picture that is shown, without batch.
            weight: of the judgement, beside the targets' loss.
            width: channels of the discriminator.
            adversarial: see `generator_loss`.
        """
        self._head, self._weight, self._adversarial = head, weight, adversarial
        self.judge = picture_judge(head.size, input_shape, width)
        self._sees_picture = sees_picture(input_shape)

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the targets' loss, the judgement and what the discriminator lowers."""
        outputs = module(batch.inputs)
        found = {self._head.loss_name: self._head.loss(outputs.float(), batch.labels)}
        # Autocast would judge in half precision, in which a penalty of gradients has none.
        with torch.autocast(batch.inputs.device.type, enabled=False):
            drawn, real = at_least_float32(as_maps(outputs), as_maps(batch.labels))
            picture = batch.inputs if self._sees_picture else None
            made, real = beside_picture(drawn, picture), beside_picture(real, picture)
            judged = generator_loss(self.judge.cut_off(made), adversarial=self._adversarial)
            own = own_loss(self.judge, made, real, adversarial=self._adversarial, penalty=10.0)
        return found | {"judged": self._weight * judged, "discriminator": own}

    def parameters(self) -> Sequence[nn.Parameter]:
        """Those of the discriminator."""
        return tuple(self.judge.parameters())

    def state(self) -> Mapping[str, Tensor]:
        """The discriminator."""
        return self.judge.state_dict()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state`."""
        self.judge.load_state_dict(state)


def sees_picture(input_shape: tuple[int, ...] | None) -> bool:
    """Tell whether a discriminator can be shown what is drawn after: inputs that are pictures."""
    return input_shape is not None and len(input_shape) == 3


def picture_judge(channels: int, input_shape: tuple[int, ...] | None, width: int) -> Discriminator:
    """Return a discriminator of pictures beside those that they are drawn of.

    Args:
        channels: of what is drawn.
        input_shape: without batch; None where nobody knows.
    """
    shown = input_shape[0] if input_shape is not None and sees_picture(input_shape) else 0
    return Discriminator(channels + shown, width)


def beside_picture(maps: Tensor, picture: Tensor | None) -> Tensor:
    """Return maps with the picture that they are of as further channels, in their size."""
    if picture is None:
        return maps
    size = (maps.shape[2], maps.shape[3])
    sized = functional.adaptive_avg_pool2d(picture.to(maps.dtype), size)
    return torch.cat([maps, sized], dim=1)
