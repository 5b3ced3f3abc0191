"""What RIDE (Wang et al., ICLR 2021) adds, for bases that put it into a data set's recipe.

Three experts with a cosine classifier each, and LDAM-DRW as the loss of each.
"""

ride_model = dict(
    backbone=dict(_delete_=True, type="MultiExpertBackbone", num_experts=3),
    head=dict(
        type="MultiExpertHead",
        num_experts=3,
        predictor=dict(type="NormedLinear", tempearture=30, bias=False),
        loss=dict(
            type="RIDELoss",
            loss=dict(
                type="ClassBalancedLoss",
                loss=dict(type="LDAMLoss", input_scale=30),
            ),
        ),
    ),
)
# RIDE_BalancedSoftmaxLoss of the NBN authors' code.
ride_balanced_softmax = dict(
    _delete_=True,
    type="RIDELoss",
    temperature_strength=0,
    loss=dict(type="BalancedSoftmaxLoss"),
)
