"""Muon against PyTorch's own, against a singular value decomposition, and on convolutions."""

import pytest
import torch
from torch import nn

from course_lib.muon import Muon, orthogonalise, split
from course_lib.unet import PRESETS, UNet, channels_last


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_directions_are_kept_and_singular_values_become_about_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    u, v = u[:, s > s[0] / 100], v[s > s[0] / 100]  # far smaller ones need more steps than five
    turned = u.T @ orthogonalise(matrix) @ v.T
    diagonal = turned.diagonal()
    assert diagonal.min() > 0.6 and diagonal.max() < 1.3
    assert (turned - torch.diag(diagonal)).abs().max() < 1e-10


def test_five_steps_lift_singular_values_as_far_as_the_docstring_says():
    matrix = torch.diag(torch.tensor([1.0, 1 / 650, 1 / 1000], dtype=torch.float64))
    matrix /= matrix.norm()
    lifted = orthogonalise(matrix).diagonal()
    assert lifted[1:].tolist() == pytest.approx([0.70, 0.47], abs=1e-2)


def test_a_scaled_gradient_gives_the_same_direction():
    matrix = torch.randn(8, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(orthogonalise(1e4 * matrix), orthogonalise(matrix), rtol=1e-9, atol=1e-12)
    assert orthogonalise(torch.zeros(3, 5)).abs().max() == 0


@pytest.mark.parametrize("shape", [(12, 30), (30, 12)])
def test_it_is_pytorchs_muon_on_matrices(shape):
    theirs_of = getattr(torch.optim, "Muon", None)
    if theirs_of is None:
        pytest.skip("this PyTorch has no Muon of its own")
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(shape, generator=generator)
    mine, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    ours = Muon([mine], lr=0.05, momentum=0.9, weight_decay=0.1)
    other = theirs_of([theirs], lr=0.05, momentum=0.9, weight_decay=0.1)
    for _ in range(4):
        gradient = torch.randn(shape, generator=generator)
        mine.grad, theirs.grad = gradient.clone(), gradient.clone()
        ours.step()
        other.step()
    moved = (theirs - start).norm()
    assert (mine - theirs).norm() < 0.02 * moved  # theirs multiplies in bfloat16
    assert moved > 0.1


def test_a_convolution_moves_as_the_matrix_of_its_weights_in_any_memory_order():
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(3))
    gradient = torch.randn(weight.shape, generator=torch.Generator().manual_seed(4))
    moved = []
    for parameter in (weight.flatten(1), weight, weight.to(memory_format=torch.channels_last)):
        parameter = parameter.clone().requires_grad_()
        parameter.grad = gradient.reshape(parameter.shape).to(parameter)
        Muon([parameter], lr=0.1).step()
        moved.append(parameter.detach().reshape(6, 36))
    torch.testing.assert_close(moved[1], moved[0])
    torch.testing.assert_close(moved[2], moved[0])
    change = torch.linalg.svdvals(moved[0] - (1 - 0.1 * 0.01) * weight.flatten(1))
    assert 0.06 < change.min() and change.max() < 0.13  # lr times about one


def test_every_parameter_has_one_optimiser_and_the_ends_are_not_muons():
    network = channels_last(UNet(PRESETS["tiny"]))
    hidden, others = split(network)
    names = {id(p): name for name, p in network.named_parameters()}
    assert sorted(names[id(p)] for p in hidden + others) == sorted(names.values())
    assert all(p.ndim == 4 for p in hidden) and len(hidden) > 10
    assert {"stem.weight", "head.weight"} <= {names[id(p)] for p in others}


def test_it_refuses_what_is_no_matrix_and_rates_that_are_none():
    with pytest.raises(ValueError, match=r"moves matrices, got a parameter of shape \(5,\)"):
        Muon([nn.Parameter(torch.zeros(5))])
    with pytest.raises(ValueError, match="learning rate of at least 0, got -1"):
        Muon([nn.Parameter(torch.zeros(5, 5))], lr=-1)
    with pytest.raises(ValueError, match="momentum in"):
        Muon([nn.Parameter(torch.zeros(5, 5))], momentum=1.0)


def test_a_parameter_without_a_gradient_stays_and_a_closure_is_called():
    weight, idle = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(2, 2))
    optimizer = Muon([weight, idle])

    def closure():
        loss = (weight @ torch.arange(9.0).reshape(3, 3)).square().sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure)) > 0
    assert (weight != 1).all() and (idle == 1).all()
