"""Notebook 01's hourglass: what each of its parts does, measured on random weights in float64."""

import pytest
import torch
from torch import Tensor

from course_lib.lessons.hourglass import Hourglass


def random_net(**switches: bool) -> Hourglass:
    """A small hourglass whose weights are all random: the last layers too, which start at zero."""
    generator = torch.Generator().manual_seed(0)
    net = Hourglass(8, waist=2, **switches).double()
    for weights in net.parameters():
        weights.data = 0.3 * torch.randn(weights.shape, generator=generator, dtype=torch.float64)
    return net.eval().requires_grad_(False)


X = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
T = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)


def shift_error(net: Hourglass, shift: int) -> float:
    return float((net(X.roll(shift, 3), T) - net(X, T).roll(shift, 3)).abs().max())


def test_with_wrapped_edges_and_without_coordinates_shifting_the_input_shifts_the_output():
    net = random_net(wrap=True, coordinates=False)
    assert shift_error(net, 4) < 1e-10
    assert shift_error(net, 1) > 1e-3  # the grid of the lower level shows


@pytest.mark.parametrize("switches", [{"wrap": True}, {"coordinates": False}], ids=["coordinates", "zero edges"])
def test_coordinates_and_zero_edges_both_tell_the_place(switches):
    assert shift_error(random_net(**switches), 4) > 1e-3


def test_the_time_is_told_to_each_image_and_only_if_asked_for():
    told, untold = random_net(), random_net(time=False)
    other = T.flip(0)
    assert bool(((told(X, T) - told(X, other)).abs().flatten(1).max(1).values > 1e-6)[[0, 2]].all())
    assert torch.equal(untold(X, T), untold(X, other))
    torch.testing.assert_close(told(X, T)[1:2], told(X[1:2], T[1:2]))


def test_without_skips_everything_passes_the_waist():
    """Block the waist: with skips the input still shows in the output, without them nothing of it does."""
    for skips in (True, False):
        net = random_net(skips=skips)
        net.into_waist.weight.zero_()
        differs = float((net(X, T[:1].expand(3)) - net(X.flip(0), T[:1].expand(3))).abs().max())
        assert (differs > 1e-3) is skips


def test_every_pixel_can_see_every_other():
    """The Jacobian of one output pixel has no zero column on a 28 x 28 digit."""
    net = random_net()
    x = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    net(x, T[:1])[0, 0, 14, 14].backward()
    gradient: Tensor | None = x.grad
    assert gradient is not None and int((gradient == 0).sum()) == 0


def test_an_untrained_net_answers_zero():
    assert float(Hourglass(8)(X.float(), T.float()).abs().max()) == 0


@pytest.mark.parametrize(
    ("x", "t", "words"),
    [
        (torch.zeros(2, 1, 6, 8), torch.zeros(2), "multiples of 4"),
        (torch.zeros(2, 3, 8, 8), torch.zeros(2), r"expected images \(B, 1, H, W\)"),
        (torch.zeros(2, 1, 8, 8), torch.zeros(()), "one t per image"),
    ],
)
def test_wrong_shapes_are_refused(x, t, words):
    with pytest.raises(ValueError, match=words):
        Hourglass(8)(x, t)
