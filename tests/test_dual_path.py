"""Training through the compound and the split path, and what each of them learns."""

import copy
import math

import pytest
import torch
from mmengine.model import BaseModule, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, init_default_scope
from torch import distributed as dist
from torch import nn

import mmdet_ltnorm.classification  # noqa: F401
import mmdet_ltnorm.losses  # noqa: F401
from mmdet_ltnorm.classification.dual_path import similarity_loss
from mmdet_ltnorm.data.cls_data_sample import ClsDataSample
from mmdet_ltnorm.engine.mixed_precision import BFloat16OptimWrapper
from mmdet_ltnorm.norms import CBN, shared_num_components, split_by

COUNTS = [100, 70, 50, 30, 20, 10]
LABELS = [0, 1, 2, 5, 3, 4, 0, 0]
CBN_CFG = dict(type="CBN", num_components=3)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    # mmengine logs each initialized parameter.
    monkeypatch.setattr(BaseModule, "_dump_init_info", lambda self: None)


def classifier(kind="DualPathClassifier", norm_cfg=CBN_CFG, **options):
    model = MODELS.build(
        dict(
            type=kind,
            backbone=dict(type="ResNetCIFAR", depth=8, norm_cfg=norm_cfg),
            head=dict(
                type="ClsHead",
                num_classes=len(COUNTS),
                loss=dict(type="BalancedSoftmaxLoss", num_classes=len(COUNTS)),
            ),
            **options,
        )
    )
    model.init_weights()
    for module in (model, model.head.loss_cls):
        if hasattr(module, "set_class_counts"):
            module.set_class_counts(COUNTS)
    return model


def samples(labels=LABELS):
    made = [ClsDataSample() for _ in labels]
    for sample, label in zip(made, labels, strict=True):
        sample.gt_label = torch.tensor([label])
    return made


def views(count=2):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(len(LABELS), 3, 16, 16, generator=generator) for _ in range(count)]


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def written_out(model, weak, strong):
    """Algorithm 1, line by line: the loss of Eq. 19 and 20 with each cosine worked out."""
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


def batch():
    return dict(inputs=[list(view) for view in views()], data_samples=samples())


@pytest.mark.parametrize("wrap", [OptimWrapper, BFloat16OptimWrapper])
def test_trains_under_mixed_precision_and_gradient_accumulation(wrap):
    model = classifier()
    optimizer = wrap(optimizer=torch.optim.SGD(model.parameters(), 0.05), accumulative_counts=2)
    before = state(model.head)
    optimizer.initialize_count_status(model, 0, 4)
    first = model.train_step(batch(), optimizer)
    assert all(torch.equal(before[k], v) for k, v in model.head.state_dict().items())
    model.train_step(batch(), optimizer)
    assert not torch.equal(before["predictor.weight"], model.head.predictor.weight)
    assert torch.isfinite(first["loss"]) and "loss_similarity" in first


def on_a_rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    torch.set_num_threads(1)
    init_default_scope("mmdet")
    torch.manual_seed(0)  # as in the test's own process
    model = classifier()
    wrapped = MMDistributedDataParallel(model, broadcast_buffers=False)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 0.05))
    for _ in range(2):
        mine = dict(
            inputs=[list(view[rank::2]) for view in views()], data_samples=samples(LABELS[rank::2])
        )
        wrapped.train_step(mine, optimizer)
    torch.save(model.state_dict(), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_equal_one_process_with_the_whole_batch(tmp_path):
    torch.multiprocessing.spawn(on_a_rank, (tmp_path,), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    model = classifier()
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 0.05))
    for _ in range(2):
        model.train_step(batch(), optimizer)
    for name, tensor in model.state_dict().items():
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], tensor, rtol=1e-3, atol=1e-4)


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
