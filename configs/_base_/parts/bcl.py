"""What BCL (Zhu et al., CVPR 2022) adds, for bases that put it into a data set's recipe.

One view for the classifier, strongly augmented, and two as in SimCLR for the contrastive loss:
"sim-sim" of the authors' code.
"""

crop_and_flip = [dict(type="RandomResizedCrop", size=224), dict(type="HorizontalFlip")]
contrastive_view = [
    *crop_and_flip,
    dict(
        type="RandomApply",
        prob=0.8,
        transforms=[
            dict(type="ColorJitter", brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
        ],
    ),
    dict(
        type="RandomGrayscale",
        prob=0.2,
        keep_channels=True,
        channel_weights=(0.114, 0.587, 0.299),
    ),
]
bcl_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="MultiView",
        views=[
            [
                *crop_and_flip,
                dict(type="ColorJitter", brightness=0.4, contrast=0.4, saturation=0.4),
                dict(type="ClsRandAugment", num_ops=2, magnitude=10, magnitude_std=0.5),
            ],
            contrastive_view,
            contrastive_view,
        ],
    ),
    dict(type="PackClsInputs"),
]
bcl_model = dict(
    type="ContrastiveClassifier",
    head=dict(
        predictor=dict(type="NormedLinear", tempearture=30, bias=False),
        loss=dict(type="BalancedSoftmaxLoss"),
    ),
    contrastive_head=dict(
        type="PrototypeContrastiveHead",
        hidden_channels=2048,
        out_channels=1024,
        loss=dict(type="BalancedContrastiveLoss", temperature=0.07, loss_weight=0.35),
    ),
)
