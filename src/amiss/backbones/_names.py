"""Names of all backbones, known without importing torch, which takes seconds: a mistyped one is told at once."""

from amiss.errors import UsageError
from amiss.registry import Registry

# one file per family, with its backbones as ENTRIES, in this order
_FAMILIES = {
    "amiss.backbones._motion": "motion",
    "amiss.backbones._torchvision_video": """
        r3d_18 mc3_18 r2plus1d_18 s3d swin3d_t swin3d_s swin3d_b mvit_v1_b mvit_v2_s
    """,
    "amiss.backbones._torchvision_image": """
        alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161 densenet169
        densenet201 efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5
        efficientnet_b6 efficientnet_b7 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s googlenet inception_v3
        maxvit_t mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small
        regnet_x_16gf regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf
        regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf regnet_y_800mf
        regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d resnext101_64x4d
        resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 squeezenet1_0
        squeezenet1_1 swin_b swin_s swin_t swin_v2_b swin_v2_s swin_v2_t vgg11 vgg11_bn vgg13 vgg13_bn vgg16
        vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32 vit_h_14 vit_l_16 vit_l_32 wide_resnet101_2 wide_resnet50_2
    """,
    "amiss.backbones._efficientnet_lite": "efficientnet_lite0 efficientnet_lite0_zoom",
    "amiss.backbones._transformers": """
        videomae_b videomae_l vjepa2_l clip_vit_b_16 clip_vit_l_14
    """,
    "amiss.backbones._c3d": "c3d",
    "amiss.backbones._i3d": "i3d",
    "amiss.backbones._i3d_resnet50": "i3d_resnet50 i3d_resnet50_nl",
    "amiss.backbones._resnet3d": """
        resnet3d_10 resnet3d_18 resnet3d_34 resnet3d_50 resnet3d_101 resnet3d_152 resnet3d_200 preact_resnet3d_18
        preact_resnet3d_34 preact_resnet3d_50 preact_resnet3d_101 preact_resnet3d_152 preact_resnet3d_200
        resnext3d_50 resnext3d_101 resnext3d_152 wide_resnet3d_50
    """,
    "amiss.backbones._densenet3d": """
        densenet3d_121 densenet3d_169 densenet3d_201 densenet3d_264
    """,
    "amiss.backbones._mfnet": "mfnet",
}
FAMILIES = {module: tuple(names.split()) for module, names in _FAMILIES.items()}

_NAMES: Registry[str] = Registry(
    "backbone",
    {name: family for family, names in FAMILIES.items() for name in names},
    group="amiss.backbones",
    listed_by="amiss backbones",
)


def check_backbone_name(name: str) -> None:
    """Refuse a name that no backbone has; several may be joined by `+`.

    Raises:
        UsageError: unknown name; the closest ones are suggested.
    """
    for part in name.split("+"):
        if part not in _NAMES:
            raise UsageError(_NAMES.unknown(part))
