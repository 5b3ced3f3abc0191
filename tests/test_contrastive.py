"""The contrastive classifier: which view goes where, what learns, and two ranks as one batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from PIL import Image
from ranks import on_two_ranks
from torch import distributed as dist
from torch import nn

import mmdet_ltnorm  # noqa: F401
from mmdet_ltnorm.classification.contrastive import over_ranks
from mmdet_ltnorm.data import ClsDataSample
from mmdet_ltnorm.losses import balanced_contrastive_loss

RESNET_8 = dict(type="ResNetCIFAR", depth=8)
RESNET_50 = dict(
    type="ResNet", depth=50, base_channels=8, norm_eval=False, zero_init_residual=False
)
COSINE = dict(type="NormedLinear", tempearture=30, bias=False)
PROTOTYPES = dict(
    type="PrototypeContrastiveHead",
    hidden_channels=12,
    out_channels=8,
    loss=dict(type="BalancedContrastiveLoss", loss_weight=0.35),
)


def build(backbone=RESNET_8, predictor=COSINE, contrastive_head=PROTOTYPES):
    DefaultScope.get_instance("test", scope_name="mmdet")
    head = dict(type="ClsHead", num_classes=5, predictor=predictor)
    cfg = dict(type="ContrastiveClassifier", backbone=backbone, head=head)
    model = MODELS.build(cfg | dict(contrastive_head=contrastive_head))
    model.init_weights()
    return model


def with_nbn(backbone):
    return dict(type="LTNormBackbone", backbone=backbone, norm_cfg=dict(type="NBN"))


def batch(size=6, views=3, pixels=16):
    samples = [ClsDataSample(gt_label=torch.tensor([k % 5])) for k in range(size)]
    return list(torch.randn(views, size, 3, pixels, pixels)), samples


def labels_of(samples):
    return torch.cat([sample.gt_label for sample in samples])


def test_the_head_learns_from_the_first_view_and_the_contrast_from_the_others():
    model = build()
    views, samples = batch()
    losses = model(views, samples, mode="loss")
    features = model.extract_feat(torch.cat(views)).split(6)  # one batch for the norms
    expected = model.head.loss(features[0], samples)
    torch.testing.assert_close(losses["loss_cls"], expected["loss"])
    assert losses["accuracy"] == expected["accuracy"]
    head = model.contrastive_head
    contrast = balanced_contrastive_loss(
        head.feature_projection(torch.cat(features[1:])),
        labels_of(samples).repeat(2),
        head.prototype_projection(model.head.predictor.weight),
    )
    torch.testing.assert_close(losses["loss_contrastive"], 0.35 * contrast.mean())
    total, log = model.parse_losses(losses)
    torch.testing.assert_close(total, losses["loss_cls"] + losses["loss_contrastive"])
    assert log["loss"] == total


def test_the_backbone_runs_once_a_step():
    model = build()
    calls = []
    model.backbone.register_forward_hook(lambda module, inputs, _: calls.append(len(inputs[0])))
    model(*batch(), mode="loss")
    assert calls == [18]


def test_tests_use_the_head_alone():
    model = build().eval()
    del model.contrastive_head
    (images, *_), samples = batch()
    logits = model(images)
    assert torch.equal(logits, model.head(model.extract_feat(images)))
    predicted = model(images, samples, mode="predict")
    torch.testing.assert_close(torch.stack([s.pred_score for s in predicted]), logits.softmax(1))


@pytest.mark.parametrize("inputs", [batch()[0][0], batch(views=1)[0]], ids=["tensor", "list"])
def test_training_on_one_view_is_refused(inputs):
    with pytest.raises(ValueError, match="two or more views of each image, got one: put MultiView"):
        build()(inputs, batch()[1], mode="loss")


def test_the_contrast_alone_teaches_backbone_projections_and_classifier():
    model = build(with_nbn(RESNET_8))
    model(*batch(), mode="loss")["loss_contrastive"].backward()
    without = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == set()


def test_any_predictor_with_class_weights_serves():
    for predictor in "Linear", "RectifiedLinear":
        losses = build(predictor=dict(type=predictor))(*batch(), mode="loss")
        assert all(torch.isfinite(loss) for loss in losses.values())


class PullViewsTogether(nn.Module):
    """A contrastive head that uses no labels."""

    def __init__(self, in_channels):
        super().__init__()
        self.projection = nn.Linear(in_channels, 4)

    def loss(self, features, labels, class_weights):
        first, second = self.projection(features)
        return {"loss_views": (first - second).square().mean()}


def test_another_contrastive_head_is_a_config_away():
    losses = build(contrastive_head=dict(type=PullViewsTogether))(*batch(), mode="loss")
    assert set(losses) == {"loss_cls", "accuracy", "loss_views"}


def test_training_lowers_both_losses():
    torch.manual_seed(0)
    model = build(with_nbn(RESNET_8))
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9))
    inputs, data_samples = batch(size=10)
    steps = [
        model.train_step(dict(inputs=inputs, data_samples=data_samples), wrapper) for _ in range(25)
    ]
    assert steps[-1]["loss_cls"] < 0.5 * steps[0]["loss_cls"]
    assert steps[-1]["loss_contrastive"] < 0.7 * steps[0]["loss_contrastive"]


@pytest.mark.parametrize("predictor", [COSINE, dict(type="RectifiedLinear")])
def test_nothing_in_bcl_moves_the_shared_magnitude_of_resnet_50(predictor):
    # All its layers scale the features, whose length neither cosines, nor rectified logits, nor
    # the projection's batch norm see. In a CIFAR ResNet the identity shortcut makes a difference.
    gradients = []
    for backbone in RESNET_50, RESNET_8:
        torch.manual_seed(0)
        model = build(with_nbn(backbone), predictor).double()
        for module in model.modules():
            if hasattr(module, "eps"):
                module.eps = 1e-30
        views, samples = batch(pixels=32)
        losses = model([view.double() for view in views], samples, mode="loss")
        (losses["loss_cls"] + losses["loss_contrastive"]).backward()
        (g,) = [p for name, p in model.named_parameters() if name.endswith("magnitude")]
        gradients.append((g * g.grad).abs().item())
    assert gradients[0] < 1e-9 < 1e-4 < gradients[1]


# --- two ranks


def head_and_batch():
    torch.manual_seed(0)
    head = MODELS.build(PROTOTYPES | dict(in_channels=6)).double()
    for module in head.modules():
        if isinstance(module, nn.BatchNorm1d):  # its statistics are each rank's own
            module.eval()
    features = torch.randn(2, 8, 6, dtype=torch.float64)
    return head, features, torch.arange(8) % 3, torch.randn(5, 6, dtype=torch.float64)


def gradients(head, features, labels, class_weights):
    features, class_weights = features.requires_grad_(), class_weights.requires_grad_()
    loss = head.loss(features, labels, class_weights)["loss_contrastive"]
    loss.backward()
    parameters = [p.grad for p in head.parameters()]
    return loss.detach(), features.grad, [class_weights.grad, *parameters]


def on_a_rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    torch.set_num_threads(1)
    head, features, labels, class_weights = head_and_batch()
    own = slice(4 * rank, 4 * rank + 4)
    results = gradients(head, features[:, own].clone(), labels[own], class_weights)
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_the_loss_of_two_ranks_is_that_of_one_big_batch(tmp_path):
    on_two_ranks(on_a_rank, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    loss, by_features, others = gradients(*head_and_batch())
    torch.testing.assert_close(first[0], loss)
    torch.testing.assert_close(second[0], loss)
    # DDP takes the mean over ranks of what each has, features' gradients going on into backbones.
    torch.testing.assert_close(torch.cat([first[1], second[1]], 1) / 2, by_features)
    for one, other, whole in zip(first[2], second[2], others, strict=True):
        torch.testing.assert_close((one + other) / 2, whole, atol=1e-12, rtol=1e-9)


def test_one_process_keeps_its_tensor():
    tensor = torch.randn(2, 3)
    assert torch.equal(over_ranks(tensor, 1), tensor)


# --- the views


def test_the_configs_views_are_one_strong_and_two_that_lose_their_colours_at_times():
    file = Path(__file__).parents[1] / "configs" / "_base_" / "parts" / "bcl.py"
    pipeline = Config.fromfile(file).bcl_pipeline[1:]
    for view in pipeline[0].views:
        view[0].size = 24
    made = Compose(pipeline)
    colourful = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    grey = torch.zeros(3)
    for number in range(400):
        views = made(dict(img=colourful, gt_label=1, sample_idx=number))["inputs"]
        assert [view.shape for view in views] == [(3, 24, 24)] * 3
        grey += torch.tensor([bool((view == view[:1]).all()) for view in views])
    assert grey[0] < 5 and grey[1:].min() > 50 and grey[1:].max() < 115  # 80 is expected


def test_the_hosts_grayscale_is_pillows_with_the_configs_weights():
    cfg = dict(type="RandomGrayscale", prob=1.0, keep_channels=True)
    cfg["channel_weights"] = (0.114, 0.587, 0.299)
    image = np.random.default_rng(0).integers(0, 256, (9, 8, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(image[..., ::-1].copy()).convert("L")).astype(int)
    result = TRANSFORMS.build(cfg)(dict(img=image))["img"]
    assert result.dtype == np.uint8 and np.abs(result - expected[..., None]).max() <= 1
