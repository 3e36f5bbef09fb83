"""Networks for the tests of training and sampling."""

import torch

from course_lib.unet import UNet, UNetConfig


def awake(layout: UNetConfig) -> UNet:
    """A network with no layer at zero: in a new one, the first gradient is zero but for the last layer."""
    torch.manual_seed(0)
    network = UNet(layout)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return network
