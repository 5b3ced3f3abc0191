"""Shapes-LT, ResNet-8, BCL with small projections.

The classifier's view is that of the other methods. Sizes tell textures apart, so no view changes
them.
"""

_base_ = ["./cls_demo_shapes.py", "./cls_bcl.py"]

model = _base_.bcl_model
model.head.loss.num_classes = _base_.num_classes
model.contrastive_head.update(hidden_channels=64, out_channels=32)
shifted = dict(type="PadCrop", padding=4)
recolored = [shifted, *_base_.contrastive_view[1:]]
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(
                type="MultiView",
                views=[[dict(type="HorizontalFlip")], recolored, recolored],
            ),
            dict(type="PackClsInputs"),
        ]
    )
)
