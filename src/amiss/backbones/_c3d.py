"""C3D: eight 3×3×3 convolutions; the feature is the ReLU of the first fully connected layer, fc6.

Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015. Tensor names and weights
(Sports-1M, converted from Caffe): github.com/DavideA/c3d-pytorch (MIT).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._video_network import Architecture
from amiss.backbones.weights import PublishedWeights

DIM = 4096


class C3D(nn.Module):
    """C3D up to fc6: clips [N, 3, 16, 112, 112] → features [N, 4096], not negative."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 3, padding=1)
        self.conv2 = nn.Conv3d(64, 128, 3, padding=1)
        self.conv3a = nn.Conv3d(128, 256, 3, padding=1)
        self.conv3b = nn.Conv3d(256, 256, 3, padding=1)
        self.conv4a = nn.Conv3d(256, 512, 3, padding=1)
        self.conv4b = nn.Conv3d(512, 512, 3, padding=1)
        self.conv5a = nn.Conv3d(512, 512, 3, padding=1)
        self.conv5b = nn.Conv3d(512, 512, 3, padding=1)
        self.fc6 = nn.Linear(512 * 4 * 4, DIM)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool3d(F.relu(self.conv1(x)), (1, 2, 2))
        x = F.max_pool3d(F.relu(self.conv2(x)), 2)
        x = F.max_pool3d(F.relu(self.conv3b(F.relu(self.conv3a(x)))), 2)
        x = F.max_pool3d(F.relu(self.conv4b(F.relu(self.conv4a(x)))), 2)
        x = F.max_pool3d(F.relu(self.conv5b(F.relu(self.conv5a(x)))), 2, padding=(0, 1, 1))
        return F.relu(self.fc6(x.flatten(1)))


ARCHITECTURES = (
    Architecture(
        name="c3d",
        build=C3D,
        dim=DIM,
        classifier=("fc7.", "fc8."),
        preprocessing=Preprocessing(resize=(112, 200), crop=112, value_range=(0.0, 255.0)),
        published=(
            PublishedWeights(
                id="sports1m", url="http://imagelab.ing.unimore.it/files/c3d_pytorch/c3d.pickle", megabytes=320
            ),
        ),
        licence="MIT; weights trained on Sports-1M",
        note="C3D, fc6 after ReLU",
    ),
)
ENTRIES = tuple(architecture.entry for architecture in ARCHITECTURES)
