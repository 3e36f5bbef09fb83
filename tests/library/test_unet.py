"""The UNet: layouts, what it accepts, and what its parts compute, checked against plain PyTorch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from course_lib.unet import PRESETS, Attention, LevelEmbedding, UNet, UNetConfig, coordinates, parameter_count


def awake(network: torch.nn.Module) -> torch.nn.Module:
    """`network` with no layer at zero any more, so that every branch matters."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_map_images_to_images(name):
    config = PRESETS[name]
    x = torch.randn(2, config.channels, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert awake(UNet(config))(x, torch.tensor([0.5, -3.0])).shape == x.shape


def test_presets_have_the_sizes_they_are_known_for():
    sizes = {name: parameter_count(UNet(config)) / 1e6 for name, config in PRESETS.items()}
    assert sizes["tiny"] == pytest.approx(0.23, rel=0.05)
    assert sizes["large"] == pytest.approx(36, rel=0.05)  # Ho et al. 2020 report 35.7M for CIFAR-10
    assert sorted(sizes, key=sizes.__getitem__) == ["tiny", "small", "base", "large"]


def test_a_new_network_answers_zero_because_its_last_layer_starts_there():
    x = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert UNet(PRESETS["tiny"])(x, torch.zeros(3)).abs().max() == 0


def test_odd_shapes_work_where_the_levels_divide_them():
    network = awake(UNet(UNetConfig(width=8, head_dim=8, multipliers=(1, 2, 2))))
    assert network.config.divisor == 8
    assert network(torch.zeros(1, 1, 8, 40), torch.zeros(1)).shape == (1, 1, 8, 40)
    with pytest.raises(ValueError, match="multiples of 8, got 28 x 28"):
        network(torch.zeros(1, 1, 28, 28), torch.zeros(1))


@pytest.mark.parametrize(
    ("x", "log_snr", "message"),
    [
        (torch.zeros(2, 3, 28, 28), torch.zeros(2), r"\(B, 1, H, W\)"),
        (torch.zeros(2, 28, 28), torch.zeros(2), r"\(B, 1, H, W\)"),
        (torch.zeros(2, 1, 28, 28), torch.tensor(0.0), "one log_snr per image"),
        (torch.zeros(2, 1, 28, 28), torch.zeros(28), "one log_snr per image"),
    ],
)
def test_wrong_inputs_are_named(x, log_snr, message):
    with pytest.raises(ValueError, match=message):
        UNet(PRESETS["tiny"])(x, log_snr)


def test_wrong_layouts_are_named():
    with pytest.raises(ValueError, match="attn_levels"):
        UNetConfig(attn_levels=(2,))
    with pytest.raises(ValueError, match="head_dim 20 does not divide 48"):
        UNetConfig(head_dim=20)


def test_attention_levels_count_levels_and_head_dim_counts_channels():
    """One meaning each: `attn_levels` are positions in `multipliers`, `head_dim` the channels of one head."""
    network = UNet(UNetConfig(width=16, multipliers=(1, 2, 2), attn_levels=(1,), head_dim=8))
    heads = {name: part.heads for name, part in network.named_modules() if isinstance(part, Attention)}
    assert heads == {"down.1.0.attention": 4, "middle.0.attention": 4, "up.1.0.attention": 4}


def test_attention_equals_softmax_written_out():
    attention = awake(Attention(8, head_dim=4))
    x = torch.randn(2, 8, 3, 5, generator=torch.Generator().manual_seed(1))
    q, k, v = attention.qkv(attention.norm(x)).flatten(2).chunk(3, dim=1)  # each (2, 8, 15)
    mixed = torch.cat(
        [
            torch.einsum("bij,bcj->bci", (torch.einsum("bci,bcj->bij", q[:, h], k[:, h]) / 2).softmax(-1), v[:, h])
            for h in (slice(0, 4), slice(4, 8))
        ],
        dim=1,
    )
    expected = x + attention.out(mixed.reshape(2, 8, 3, 5))
    torch.testing.assert_close(attention(x), expected, rtol=1e-5, atol=1e-6)


def test_the_noise_level_matters_and_infinite_ones_are_finite():
    network = awake(UNet(PRESETS["tiny"]))
    x = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(0)).expand(4, -1, -1, -1)
    answers = network(x, torch.tensor([0.0, 1.0, torch.inf, -torch.inf]))
    assert answers.isfinite().all()
    assert (answers[0] - answers[1]).abs().max() > 1e-3
    features = LevelEmbedding(16)(torch.tensor([torch.inf, 15.0, 99.0]))
    torch.testing.assert_close(features[0], features[1])
    torch.testing.assert_close(features[0], features[2])


def test_images_of_a_batch_do_not_see_each_other():
    network = awake(UNet(replace(PRESETS["tiny"], attn_levels=(0, 1))))
    generator = torch.Generator().manual_seed(0)
    x, log_snr = torch.randn(28, 1, 28, 28, generator=generator), torch.randn(28, generator=generator)  # B == W
    together = network(x, log_snr)
    alone = torch.cat([network(x[i : i + 1], log_snr[i : i + 1]) for i in range(28)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_coordinates_tell_places_apart():
    """Without them the network commutes with a shift by a packed pixel, away from the borders; with them it cannot."""
    grid = coordinates(torch.zeros(1, 1, 2, 3))
    torch.testing.assert_close(grid[0, 0], torch.tensor([[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]]))
    torch.testing.assert_close(grid[0, 1], torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]))
    flat = torch.zeros(1, 1, 64, 64)
    for with_coordinates, spread_is_small in ((False, True), (True, False)):
        config = UNetConfig(width=8, head_dim=8, multipliers=(1,), coordinates=with_coordinates)
        middle = awake(UNet(config))(flat, torch.zeros(1))[..., 28:36, 28:36]
        assert (F.pixel_unshuffle(middle, 2).std(dim=(2, 3)).max() < 1e-4) == spread_is_small


def test_labels_change_the_answer_and_none_means_not_told():
    network = awake(UNet(replace(PRESETS["tiny"], classes=10)))
    x, log_snr = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.zeros(2)
    assert (network(x, log_snr, torch.tensor([1, 2])) - network(x, log_snr)).abs().max() > 1e-3
    torch.testing.assert_close(network(x, log_snr), network(x, log_snr, torch.tensor([10, 10])))
    with pytest.raises(ValueError, match="without labels"):
        UNet(PRESETS["tiny"])(x, log_snr, torch.tensor([1, 2]))


def test_every_parameter_learns():
    """After a first step off zero no parameter is left without a gradient: nothing was built and then not used."""
    for config in (replace(PRESETS["tiny"], coordinates=True, classes=3, attn_levels=(0,)), PRESETS["base"]):
        network = awake(UNet(config)).train()
        x = torch.randn(2, config.channels, 28, 28, generator=torch.Generator().manual_seed(0))
        label = torch.tensor([0, 1]) if config.classes else None
        network(x, torch.zeros(2), label).square().sum().backward()
        silent = [name for name, p in network.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
        assert silent == []
