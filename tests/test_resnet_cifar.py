"""ResNetCIFAR against the published sizes and a hand-made shortcut; and where its norms sit."""

import pytest
import torch
from torch import nn

import mmdet_ltnorm.classification  # noqa: F401
import mmdet_ltnorm.norms  # noqa: F401
from mmdet_ltnorm.classification import ResNetCIFAR
from mmdet_ltnorm.classification.resnet_cifar import ZeroPadShortcut
from mmdet_ltnorm.surgery import LTNormBackbone, norm_positions


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_resnet_32_has_the_published_number_of_parameters():
    # 461,232 in convolutions, 2,272 in norms, 650 in the classifier.
    assert parameters(ResNetCIFAR(32)) + parameters(nn.Linear(64, 10)) == 464_154


def test_four_times_the_width_has_the_published_number_of_parameters_for_100_classes():
    model = ResNetCIFAR(32, width=4)
    assert model.feat_dim == 256
    total = parameters(model) + parameters(nn.Linear(256, 100))
    assert round(total / 1e6, 2) == 7.41


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)]
)
def test_sizes_are_those_of_table_6_of_the_resnet_paper(depth, millions):
    total = parameters(ResNetCIFAR(depth)) + parameters(nn.Linear(64, 10))
    assert total / 1e6 == pytest.approx(millions, rel=0.02)


def test_option_b_adds_a_convolution_and_a_norm_where_the_shape_changes():
    difference = parameters(ResNetCIFAR(32, shortcut="B")) - parameters(ResNetCIFAR(32))
    assert difference == (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)


def test_option_a_takes_every_other_pixel_between_channels_of_zeros():
    image = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    out = ZeroPadShortcut(4)(image)
    assert out.shape == (1, 4, 2, 2)
    assert not out[:, [0, 3]].any()
    assert out[0, 1].tolist() == [[0, 2], [8, 10]]
    assert out[0, 2].tolist() == [[16, 18], [24, 26]]


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("size", [32, 17])
def test_outputs_are_the_three_stages(shortcut, size):
    half, quarter = (size + 1) // 2, (size + 3) // 4
    outputs = ResNetCIFAR(8, width=2, shortcut=shortcut)(torch.randn(2, 3, size, size))
    assert [tuple(output.shape) for output in outputs] == [
        (2, 32, size, size),
        (2, 64, half, half),
        (2, 128, quarter, quarter),
    ]


def test_convolutions_start_at_the_fan_in_scale_of_the_reference_code():
    model = ResNetCIFAR(20)
    model.init_weights()
    weight = model.layer3[0].conv1.weight  # from 32 to 64 channels
    assert weight.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.02)


def test_the_papers_positions_are_the_last_norms_of_the_last_stages_blocks():
    expected = [f"layer3.{block}.bn2" for block in range(5)]
    assert norm_positions(ResNetCIFAR(32)) == expected
    assert norm_positions(ResNetCIFAR(32, shortcut="B")) == [
        "layer3.0.bn2",
        "layer3.0.downsample.1",
        *expected[1:],
    ]


def test_norms_are_placed_from_a_config_and_in_all_layers_by_norm_cfg():
    placed = LTNormBackbone(dict(type="ResNetCIFAR", depth=20), dict(type="NBN"))
    assert type(placed) is ResNetCIFAR
    everywhere = ResNetCIFAR(20, norm_cfg=dict(type="NBN"))
    assert [type(m).__name__ for m in placed.modules()].count("NBN") == 3
    assert [type(m).__name__ for m in everywhere.modules()].count("NBN") == 19


def test_stem_stride_quarters_the_pixels():
    first, *_ = ResNetCIFAR(8, stem_stride=2)(torch.randn(1, 3, 32, 32))
    assert first.shape == (1, 16, 16, 16)


@pytest.mark.parametrize("depth", [2, 18, 34])
def test_other_depths_are_refused(depth):
    with pytest.raises(ValueError, match=rf"6n \+ 2 .*, got {depth}"):
        ResNetCIFAR(depth)


def test_an_unknown_shortcut_is_refused():
    with pytest.raises(ValueError, match="'A' or 'B', got 'C'"):
        ResNetCIFAR(20, shortcut="C")
