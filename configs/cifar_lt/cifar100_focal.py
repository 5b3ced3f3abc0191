"""CIFAR-100-LT, ResNet-32, focal loss.

    python tools/train.py configs/cifar_lt/cifar100_focal.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, Focal Loss: 41.5, 46.3, 52.0 at imbalance 200, 100, 50.
Not measured here. The paper does not give gamma: 2 is that of the focal loss's own paper, LDAM's
code has 1, --cfg-options model.head.loss.gamma=1.
Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
The paper says 4x width for CIFAR-100, model.backbone.backbone.width=4. Which width the row has is
unclear: cross entropy and Balanced Softmax seem to have the standard one.
"""

_base_ = "../_base_/cls_cifar100_lt.py"

model = dict(head=dict(loss=dict(type="SoftmaxFocalLoss", gamma=2.0)))
