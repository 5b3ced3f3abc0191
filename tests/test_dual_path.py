"""Training through the compound and the split path, and what each of them learns."""

import copy
import math

import pytest
import torch
from dual_path_cases import COUNTS, LABELS, classifier, samples, state, views
from torch import nn

from mmdet_ltnorm.classification.dual_path import similarity_loss
from mmdet_ltnorm.norms import CBN, shared_num_components, split_by


def written_out(model, weak, strong):
    """Return Algorithm 1's losses (Eq. 19 and 20), computed line by line and cosine by cosine."""
    labels, groups = torch.tensor(LABELS), torch.tensor(LABELS) // 2
    split = split_by(groups, 3, "modulo")
    weak_compound = model(weak).detach()
    with split:
        weak_split = model(weak).detach()
    strong_compound = model(strong)
    with split:
        strong_split = model(strong)
    terms = []
    for row, label in enumerate(labels):
        adjusted = strong_compound[row].double() + torch.tensor(COUNTS).double().log()
        terms.append(adjusted.exp().sum().log() - adjusted[label])
        pairs = (strong_compound, weak_split), (strong_split, weak_compound)
        for ours, theirs in pairs:
            a, b = ours[row].double(), theirs[row].double()
            terms.append(-(a @ b) / (a @ a).sqrt() / (b @ b).sqrt())
    return sum(terms) / len(labels)


def test_the_loss_its_gradients_and_the_statistics_are_those_of_algorithm_1():
    model = classifier()
    weak, strong = views()
    model.extract_feat(weak)  # so that the components have met a batch
    twin = copy.deepcopy(model)
    losses = model([weak, strong], samples(), mode="loss")
    loss = losses["loss_cls"] + losses["loss_similarity"]
    loss.backward()
    expected = written_out(twin, weak, strong)
    expected.backward()
    assert set(losses) == {"loss_cls", "loss_similarity", "accuracy"}
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert theirs.grad.abs().max() > 0, name
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)
    for name, tensor in model.named_buffers():
        torch.testing.assert_close(tensor, twin.get_buffer(name), rtol=1e-4, atol=1e-5)


def test_statistics_move_four_times_a_step_and_the_prior_twice():
    model = classifier()
    layer, priors = model.backbone.layer3[0].bn2, []
    layer.register_forward_hook(lambda *_: priors.append(layer.prior.clone()))
    model([*views()], samples(), mode="loss")
    assert layer.num_batches_tracked == 4
    moved = [not torch.equal(one, other) for one, other in zip(priors, priors[1:], strict=False)]
    assert moved == [False, True, False]  # compound, split, compound, split


def test_the_weak_views_build_no_graph():
    model = classifier()
    weak, strong = (view.requires_grad_() for view in views())
    losses = model([weak, strong], samples(), mode="loss")
    (losses["loss_cls"] + losses["loss_similarity"]).backward()
    assert weak.grad is None and strong.grad.abs().max() > 0


def test_similarity_is_least_for_parallel_logits_and_its_target_gets_no_gradient():
    logits = torch.randn(5, 4, requires_grad=True)
    target = (3 * logits).detach().requires_grad_()
    loss = similarity_loss(logits, target)
    assert loss.item() == pytest.approx(-1) and similarity_loss(-logits, target) > 0.999
    loss.backward()
    assert target.grad is None
    assert similarity_loss(torch.tensor([[1.0, 0]]), torch.tensor([[1.0, 1]])).item() == (
        pytest.approx(-math.sqrt(0.5))
    )


def test_with_one_component_and_equal_views_the_paths_agree():
    model = classifier(norm_cfg=dict(type="CBN", num_components=1))
    (images,) = views(1)
    losses = model([images, images], samples(), mode="loss")
    assert losses["loss_similarity"].item() == pytest.approx(-2, abs=1e-5)


def test_prediction_is_the_compound_path_and_needs_no_labels():
    model = classifier().eval()
    (images,) = views(1)
    logits = model(images)
    predicted = model(images, None, mode="predict")
    assert [p.pred_label.item() for p in predicted] == logits.argmax(1).tolist()


@pytest.mark.parametrize("grouping", ["contiguous", "modulo", "frequency"])
def test_each_grouping_moves_the_components_of_the_batchs_classes(grouping):
    model = classifier("SplitClassifier", grouping=grouping)
    layer = model.backbone.layer3[0].bn2
    model(views(1)[0], samples(), mode="loss")
    before = state(layer)
    few = samples([0] * len(LABELS))
    model(views(1)[0], few, mode="loss")
    moved = (layer.running_mean != before["running_mean"]).any(1)
    assert moved.tolist() == [True, False, False]
    assert torch.equal(layer.prior, before["prior"])


def test_split_normalization_alone_trains_the_split_path_and_tests_the_compound():
    model = classifier("SplitClassifier")
    (images,) = views(1)
    twin = copy.deepcopy(model)
    loss = model(images, samples(), mode="loss")["loss"]
    with twin.split(samples()):
        expected = twin.head.loss(twin.extract_feat(images), samples())["loss"]
    torch.testing.assert_close(loss, expected)
    model.eval()
    assert torch.equal(model(images), model.head(model.extract_feat(images)))


def test_compound_with_split_statistics_trains_the_compound_path():
    model = classifier("CompoundSplitClassifier")
    (images,) = views(1)
    twin = copy.deepcopy(model)
    loss = model(images, samples(), mode="loss")["loss"]
    with torch.no_grad(), twin.split(samples()):
        twin.extract_feat(images)
    expected = twin.head.loss(twin.extract_feat(images), samples())["loss"]
    torch.testing.assert_close(loss, expected)
    for name, tensor in model.named_buffers():
        torch.testing.assert_close(tensor, twin.get_buffer(name))
    assert model.backbone.layer3[0].bn2.num_batches_tracked == 2


def test_the_split_path_separates_components_that_are_equal():
    """The paper's reason for split normalization: equal components stay equal without it."""
    distances = {}
    for kind in ("ImageClassifier", "CompoundSplitClassifier"):
        torch.manual_seed(0)
        model = classifier(kind)
        layers = [m for m in model.modules() if isinstance(m, CBN)]
        images = views(1)[0] + torch.tensor(LABELS)[:, None, None, None]
        model.extract_feat(images)
        for layer in layers:
            layer.running_mean.copy_(layer.running_mean.mean(0).expand(3, -1))
            layer.running_var.copy_(layer.running_var.mean(0).expand(3, -1))
        for _ in range(3):
            model(images, samples(), mode="loss")
        distances[kind] = layers[0].diagnostics()["distance"].item()
    assert distances["ImageClassifier"] < 1e-3 < 0.1 < distances["CompoundSplitClassifier"]


@pytest.mark.parametrize(("inputs", "got"), [(views(3), "3"), (views(1)[0], "one")])
def test_other_than_two_views_are_refused_with_what_makes_them(inputs, got):
    with pytest.raises(ValueError, match=f"weak and a strong view .* got {got}: .*MultiView"):
        classifier()(inputs, samples(), mode="loss")


def test_a_backbone_without_cbn_or_with_mixed_components_is_refused():
    with pytest.raises(ValueError, match="ResNetCIFAR has no CBN layers: give it norm_cfg"):
        classifier(norm_cfg=dict(type="BN"))
    mixed = nn.Sequential(CBN(3, num_components=2), CBN(3, num_components=4))
    with pytest.raises(ValueError, match=r"Sequential has \[2, 4\]"):
        shared_num_components(mixed)
