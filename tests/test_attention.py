"""Attention of the channels that one class relies on and another does not."""

import numpy as np
import pytest
import torch
from analysis_cases import CHANNELS, classifier, images_and_labels

from mmdet_ltnorm.analysis.attention import attention_map, class_attention, unique_channels
from mmdet_ltnorm.data import ClsDataSample


def items(number):
    images, labels = images_and_labels()
    pairs = zip(images[:number], labels[:number], strict=True)
    return [
        {"inputs": i, "data_samples": ClsDataSample(gt_label=label[None])} for i, label in pairs
    ]


def test_a_map_is_the_normalized_sum_of_squares():
    # Channels 0 and 2: 1 + 4 = 5 at one pixel, 4 + 64 = 68 at the other, scaled to length 1.
    activations = torch.tensor([[[[1.0, -2.0]], [[9.0, 9.0]], [[2.0, 8.0]]]])
    found = attention_map(activations, np.array([0, 2]))
    expected = np.array([5.0, 68.0]) / np.hypot(5, 68)
    np.testing.assert_allclose(found.numpy(), expected[None, None], rtol=1e-6)


def test_channels_are_unique_to_a_class_if_only_it_ranks_them_high():
    weight = torch.tensor([[5.0, 4.0, 3.0, 0.0, -9.0], [5.0, 0.0, 4.0, 3.0, -9.0]])
    rare, frequent = unique_channels(weight, 0, 1, top=3)
    assert (rare.tolist(), frequent.tolist()) == ([1], [3])


def test_maps_equal_a_loop_over_images_and_channels():
    model = classifier()
    found = class_attention(model, items(3), rare=4, frequent=0, top=8)
    weight = model.head.predictor.weight.detach().numpy()
    tops = [set(np.argsort(-weight[c])[:8].tolist()) for c in (4, 0)]
    chosen = [range(CHANNELS), tops[0] - tops[1], tops[1] - tops[0]]
    assert [c.tolist() for c in found.channels] == [sorted(c) for c in chosen]
    with torch.no_grad():
        images = images_and_labels()[0][:3]
        activations, logits = model.backbone(images)[-1].numpy(), model(images)
    assert found.predicted.tolist() == logits.argmax(1).tolist()
    for image in range(3):
        for place, channels in enumerate(chosen):
            total = sum(np.abs(activations[image, k]) ** 2 for k in channels)
            np.testing.assert_allclose(
                found.maps[image, place], total / np.sqrt((total**2).sum()), rtol=1e-5
            )
    assert not model.backbone._forward_hooks


@pytest.mark.parametrize("top", [0, CHANNELS + 1])
def test_more_channels_than_the_model_has_are_refused(top):
    with pytest.raises(ValueError, match=rf"top must be in 1\.\.64, the channels, got {top}"):
        class_attention(classifier(), items(1), 4, 0, top)


def test_classes_with_the_same_channels_are_refused():
    with pytest.raises(ValueError, match="5 most important channels of classes 1 and 2 are the"):
        unique_channels(torch.arange(6.0).expand(3, -1), 1, 2, 5)


def test_a_model_that_does_not_classify_pooled_channels_is_refused():
    model = classifier()
    model.head.predictor = torch.nn.Linear(16, 5)
    model.extract_feat = lambda inputs: model.backbone(inputs)[0].mean((2, 3))
    with pytest.raises(TypeError, match=r"ImageClassifier with 64 of them and a classifier of 16"):
        class_attention(model, items(1), 4, 0, 3)
