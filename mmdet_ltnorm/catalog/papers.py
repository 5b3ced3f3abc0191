"""The pages about every table and figure of both papers, made from what the configs say."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mmdet_ltnorm.catalog.config_table import Leaf, leaf_paths, read_leaf

PAPERS_BEGIN = "<!-- tools/configs_table.py --write docs/papers.md writes what follows -->"
PAPERS_END = "<!-- the end of the tables of the papers -->"
INDEX_BEGIN = "<!-- tools/configs_table.py --write configs/README.md writes what follows -->"
INDEX_END = "<!-- the end of the index of configs -->"

_ROW = re.compile(r"(\w+) Tables? ([\w ]+?)(?: \(.*?\))?(?:, (.+))?")


class Item(NamedTuple):
    """A table or figure of a paper, with the facts that its configs do not hold.

    ``measures`` is what it shows; ``reading`` what the paper leaves open and what is done here;
    ``runs`` what runs it beside the configs that name it; ``small`` the demo configs that measure
    the same on small data.
    """

    name: str
    measures: str
    reading: str = ""
    runs: Sequence[str] = ()
    small: Sequence[str] = ()


ANALYZE = "python tools/analyze.py {} CONFIG CHECKPOINT ... --out DIR"
OURS = '"Ours" is NBN with LR: in Table XVII the 53.8 of "Balanced Softmax + Ours" are BS+NBN+LR.'
NBN_ONLY = '"Ours" is NBN alone: its 47.3 are "+NBN" in Table XV.'

NBN_ITEMS = (
    Item(
        "Figure 1",
        "Attention maps of the channels that only a rare or only a frequent class uses, and mean "
        "and deviation of those channels",
        "How many channels count, and by which rule, is not given: the classifier's largest "
        "weights, an eighth of them, that are not the other class's (`--top`).",
        [ANALYZE.format("attention")],
    ),
    Item(
        "Figure 2",
        "g over training on ImageNet-LT: it rises",
        "The start is not given; the authors' code has 1. From √C, the default here, g falls on "
        "real images: compare with `initial_magnitude=1`. "
        "[How NBN works](nbn.md#where-g-starts) has figures.",
        ["python tools/analyze.py magnitude WORK_DIR... --out DIR"],
    ),
    Item(
        "Figure 3",
        "Where NBN sits: the last norm of each block of the last stage, and its down-sampling norm",
        "A ResNet-32 has no norm in its shortcuts (option A): the second norm of each block of "
        "the last of its three stages.",
        ['`positions="residual"`'],
    ),
    Item(
        "Figure 4",
        "The same maps as in Figure 1 for cross entropy, Balanced Softmax and NBN",
        runs=[ANALYZE.format("attention")],
    ),
    Item(
        "Figure 5",
        "γ of the last norm, sorted: ImageNet, ImageNet-LT, ImageNet-LT with NBN",
        "NBN's is the effective one, g·γ̃/‖γ̃‖.",
        [ANALYZE.format("gamma")],
    ),
    Item(
        "Figure 6",
        "Histograms of the features' mean and spread over the channels",
        "The paper calls σ a variance here and a standard deviation in Figure 1. Both are drawn.",
        [ANALYZE.format("features")],
    ),
    Item(
        "Table I",
        "Accuracy on CIFAR-10-LT and CIFAR-100-LT at imbalance 200, 100 and 50",
        f"{OURS} "
        "The text says 4x width for CIFAR-100-LT (`model.backbone.backbone.width=4`). But cross "
        "entropy and Balanced Softmax at imbalance 200 equal, to 0.1, the numbers of Balanced "
        "Softmax's code at the standard width, which the configs have. RIDE + Ours has NBN in "
        "all norms of the last stage and linear classifiers with LR, as in the authors' code. "
        "Their config names a loss that does not run there; RIDE's own loss is used here. "
        "RIDE's authors have no config for CIFAR-10. Focal loss's γ is not given; here it is 2.",
        small=[
            "cls_shapes_ce",
            "cls_shapes_ldam_drw",
            "cls_shapes_lws",
            "cls_shapes_bs",
            "cls_shapes_bs_nbn_lr",
            "cls_shapes_ride",
            "cls_shapes_ride_nbn",
            "cls_digits_ce",
            "cls_digits_bs",
            "cls_digits_bs_nbn_lr",
        ],
    ),
    Item(
        "Table II",
        "Accuracy on ImageNet-LT, ResNeXt-50",
        f"{OURS} "
        "In the authors' code the ResNeXt with NBN cannot have LR, because its constructor "
        "takes no other classifier, and RIDE is a ResNet-50. Here both are ResNeXt-50, as the "
        "text says. RIDE's recipe is that of its own authors; NBN's config has 200 epochs with "
        "a cosine of 90. Rows without a config are cited in the paper.",
    ),
    Item(
        "Table III",
        "Accuracy on iNaturalist 2018, ResNet-50",
        'The setup is "similar to ImageNet-LT except" for 200 epochs. So weight decay is 5e-4 '
        "here, too; Decoupling's and BCL's code have 1e-4, which BCL keeps. RIDE has the 100 "
        "epochs of its authors. The text counts 435,712 images, the public list 437,513.",
    ),
    Item(
        "Table IV",
        "Variance regularization of γ and β instead of NBN",
        "The paper gives no formula. Here it is α̃ times the sum of Var(γ) + Var(β), with 1/(C "
        "- 1), over the norms that NBN would replace."
        f" {NBN_ONLY}",
        small=["cls_shapes_ce", "cls_shapes_ce_variance", "cls_shapes_ce_nbn"],
    ),
    Item(
        "Table V",
        "Accuracy without the channels that are rare-specific, frequent-specific or common",
        "The thresholds are not given. They are options here: `--severe` and `--negligible`, in "
        "points of accuracy. All classes: 42.2 → 41.1, 41.4, 37.1.",
        [ANALYZE.format("channels")],
    ),
    Item(
        "Table VI",
        "Positions of NBN, on CIFAR-10-LT and ImageNet-LT",
        f"{NBN_ONLY} "
        '"Complementary to ours" (type B) is read as the other norms of the last stage, not of '
        "the whole network.",
        ["`imagenet_r50_ce_nbn` is ImageNet-LT's Ours: 47.3"],
    ),
    Item(
        "Table VII",
        "Which layers share g",
        '"Partially" means within each residual block. Here the down-sampling norm shares with '
        "its block.",
        ["`imagenet_r50_ce_nbn` is the row sharing all: 47.3"],
    ),
    Item(
        "Table VIII",
        "cRT after a first stage with or without NBN, on ImageNet-LT and iNaturalist 2018",
        "In stage two the norms stay in training mode, as in the code of cRT's authors. So "
        "their running statistics follow the new sampling.",
        ["stage 1 on ImageNet-LT, `imagenet_r50_ce`: 42.2, `imagenet_r50_ce_nbn`: 47.3"],
        small=["cls_shapes_crt", "cls_shapes_crt_nbn"],
    ),
    Item(
        "Table IX",
        "NBN with a fixed g, and without the normalization",
        "The start of g is not given. Here all rows start from the same g and raw vectors, from "
        "√C or, with `model.backbone.norm_cfg.initial_magnitude=1`, from the authors' 1. The "
        "17.3 fits a start of 1, where γ stays at 1/√C of batch norm's. On Digits-LT "
        "(`cls_digits_ce_nbn`, seed 0, one run) it does not show: from √C and from 1, NBN has "
        "79.9 and 73.9, fixed g 79.8 and 73.8, without normalization 64.2 and 80.7.",
        ["`imagenet_r50_ce_nbn` is the row Ours: 47.3"],
    ),
    Item(
        "Table X",
        "Weight norm on convolutions instead of NBN",
        "The paper does not say which convolutions. Here they are those before NBN's positions. "
        "On CIFAR-10-LT the row NBN equals type A of Table VI (medium 69.4, many 82.6); the row "
        '"Ours" there has 71.6 and 82.1.',
        ["`cifar10_ce`, `cifar10_ce_nbn`, `imagenet_r50_ce`, `imagenet_r50_ce_nbn`"],
    ),
    Item(
        "Table XI",
        "NBN on balanced data",
        "The recipes are not given. Here they are those of the long-tailed sets. CIFAR-100's "
        "70.5 fits the standard width, which the configs have, better than the 4x of the text.",
    ),
    Item(
        "Table XII",
        "Normalizing each sample's features over [C] or [C, H, W]",
        "The paper gives no formula. Here features are divided by their root mean square, after "
        "the batch norms that NBN would replace.",
    ),
    Item(
        "Table XIII",
        "Layer norm and instance norm instead of batch norm, or after it",
        "Positions and affine parts are not given. Here the norms sit at NBN's positions and "
        "are affine.",
    ),
    Item(
        "Table XIV",
        "LVIS v1, box and mask AP",
        "The paper mentions no logits rectification for LVIS; there is none here. It says that "
        'all models start from "random weights" and that it follows Seesaw\'s recipe, which '
        "starts from ImageNet's weights; these are used here. Eq. 2 has one length for all "
        "layers. With pretrained weights `pretrained='preserve'` does not "
        "([configs/lvis](../configs/lvis/README.md)).",
        small=["seesaw", "seesaw_nbn"],
    ),
    Item(
        "Table XV",
        "NBN and LR, one after the other",
        small=["cls_shapes_ce", "cls_shapes_ce_nbn", "cls_shapes_bs", "cls_shapes_bs_nbn"],
    ),
    Item(
        "Table XVI",
        "Var(μ) and Var(σ) of the features over the channels (Eq. 5 and 6): cross entropy 0.040 "
        "and 0.152, NBN 0.028 and 0.074",
        "Both readings of σ are printed, the deviation and the variance.",
        [ANALYZE.format("features")],
    ),
    Item(
        "Table XVII",
        "LR against LogN, ResNeXt-50",
        "LogN's paper calls it training-free, and here it is applied to trained models. In its "
        "code the detectors were trained with normalized logits from the start. The paper does "
        "not say which model has the row's 51.6; here it is cross entropy.",
        [
            "`python tools/test.py CONFIG CHECKPOINT --post logn` with `imagenet_rx50_ce`: 51.6, "
            "`imagenet_rx50_bs`: 49.6, `imagenet_rx50_bs_nbn`: 49.9"
        ],
    ),
)

CBN_ITEMS = (
    Item("Figure 1", "Why one Gaussian fits long-tailed data badly (a drawing)"),
    Item(
        "Figure 2",
        "Compound normalization",
        "Algorithm 2's order does not train: [how CBN works](cbn.md#the-reading-that-trains).",
        ['`norm_cfg=dict(type="CBN")`'],
    ),
    Item("Figure 3", "Split normalization", runs=["`with split_by(labels, ...)`"]),
    Item("Figure 4", "Dual-path learning", runs=['`type="DualPathClassifier"`']),
    Item(
        "Figure 5",
        "Accuracy of many, medium and few against the number M of Gaussians, CIFAR-100-LT",
        "The text says that dual-path learning is on.",
        ["`cifar100_cbn_dpl` with `--cfg-options model.backbone.norm_cfg.num_components=M`"],
    ),
    Item(
        "Figure 6",
        "ResNet-20 to ResNet-110 with batch norm and CBN, CIFAR-10-LT",
        "The paper does not say which parts of the method are on.",
        [
            "`cifar10_bs_400e`, `cifar10_cbn_dpl` with `--cfg-options "
            "model.backbone.backbone.depth=DEPTH`"
        ],
    ),
    Item(
        "Table 1",
        "Sizes of the data sets",
        "The table counts 149,400 test images of iNaturalist 2018, whose labels are not public: "
        "the validation set is tested.",
        ["`CIFAR10LT`, `CIFAR100LT`, `ImageNetLT`, `PlacesLT`, `INaturalist18`"],
    ),
    Item(
        "Table 2",
        "Parts of the method on CIFAR-10-LT and CIFAR-100-LT at imbalance 100, 50 and 10",
        "Weight decay, momentum and the weight of the similarity are not given. The paper does "
        "not say how SBN alone is tested, and what trains it. The text's gains of dual-path "
        "learning on CIFAR-100 (0.67, 1.49, 1.38) are the table's gains on CIFAR-10.",
        small=[
            "cls_digits_bs",
            "cls_digits_cbn",
            "cls_digits_cbn_all",
            "cls_digits_bs_strong",
            "cls_digits_cbn_dpl",
            "cls_shapes_bs",
            "cls_shapes_cbn",
            "cls_shapes_cbn_all",
            "cls_shapes_bs_strong",
            "cls_shapes_cbn_dpl",
        ],
    ),
    Item(
        "Table 3",
        "CBN with decoupled training, re-sampling and re-weighting, CIFAR-100-LT",
        "The loss of the second stage and the form of re-weighting are not given. Here they are "
        "cross entropy and weights by effective numbers.",
    ),
    Item(
        "Table 4",
        "Other methods on CIFAR-10-LT and CIFAR-100-LT",
        "At imbalance 50 the table has 60.0 for CIFAR-100, and Table 2 has 58.13. The other "
        "rows are cited in the paper.",
    ),
    Item(
        "Table 5",
        "Other methods on ImageNet-LT, ResNet-50",
        "The paper gives one recipe for all sets: 400 epochs of batch 128.",
    ),
    Item(
        "Table 6",
        "Other methods on Places-LT, pretrained ResNet-152",
        "No recipe for fine-tuning: PaCo's 30 epochs at lr 0.02.",
    ),
    Item(
        "Table 7",
        "Other methods on iNaturalist 2018, ResNet-50",
        "No recipe but that of all sets; weight decay is PaCo's 1e-4.",
    ),
)


PAPERS = {"NBN": NBN_ITEMS, "CBN": CBN_ITEMS}


def papers_table(configs: Path) -> str:
    """Return a Markdown table for each paper with a row for each of its tables and figures.

    Raises:
        ValueError: see :func:`configs_index`.
    """
    leaves = _leaves(configs)
    by_item = _rows_of_items(leaves.values())
    parts = []
    for paper, items in PAPERS.items():
        lines = [f"## {paper}", "", "| | what it shows | run by: the paper's number "]
        lines[-1] += "| measured here, on small data | what is open, and the reading |"
        lines.append("|---|---|---|---|---|")
        for item in items:
            small = [leaves[stem] for stem in item.small]
            lines.append(f"| {' | '.join(_cells(item, by_item[paper, item.name], small))} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def configs_index(configs: Path) -> str:
    """Return Markdown with the commands of each table and figure, then of the other configs.

    Raises:
        ValueError: a config names a table that does not exist, or see
            :func:`~mmdet_ltnorm.catalog.config_table.read_leaf`.
    """
    leaves = _leaves(configs)
    by_item = _rows_of_items(leaves.values())
    links, sections = [], []
    for paper, items in PAPERS.items():
        run = [item for item in items if by_item[paper, item.name] or item.runs]
        anchors = [f"[{i.name}](#{f'{paper} {i.name}'.lower().replace(' ', '-')})" for i in run]
        links.append(f"**{paper}:** {' · '.join(anchors)}")
        for item in run:
            small = [leaves[stem] for stem in item.small]
            lines = _section(f"{paper} {item.name}", item, by_item[paper, item.name], small)
            sections.append("\n".join(lines))
    links.append("[Configs without a row in the papers](#no-row-in-the-papers)")
    others = [leaf for leaf in leaves.values() if not leaf.rows]
    return "\n\n".join([*links, *sections, "\n".join(_others(others))])


def _leaves(configs: Path) -> dict[str, Leaf]:
    return {path.stem: read_leaf(path) for path in leaf_paths(configs)}


def _rows_of_items(leaves: Iterable[Leaf]) -> dict[tuple[str, str], list[tuple[Leaf, str, str]]]:
    """Return leaf, label and numbers of each row, by paper and name of its table."""
    by_item: dict[tuple[str, str], list[tuple[Leaf, str, str]]] = {
        (paper, item.name): [] for paper, items in PAPERS.items() for item in items
    }
    for leaf in leaves:
        for paper, table, label, numbers in _named_rows(leaf):
            if (paper, table) not in by_item:
                raise ValueError(f"{leaf.path} names {paper}'s {table}, which no list here has")
            by_item[paper, table].append((leaf, label, numbers))
    return by_item


def _named_rows(leaf: Leaf) -> Iterator[tuple[str, str, str, str]]:
    """Yield paper, table, label and numbers of a leaf's rows, a row of two tables twice."""
    for row, numbers in leaf.rows:
        match = _ROW.fullmatch(row)
        if match is None:
            raise ValueError(f"{leaf.path}: cannot tell the table of {row!r}")
        paper, tables, label = match.groups()
        for table in re.findall(r"[IVX]+|\d+", tables):
            yield paper, f"Table {table}", (label or "").strip('"'), numbers


def _cells(
    item: Item, rows: Sequence[tuple[Leaf, str, str]], small: Sequence[Leaf]
) -> Iterator[str]:
    yield item.name
    yield item.measures
    runs = [
        f"{_link(leaf, '../configs/')} {label}{': ' if label else ''}{numbers}"
        for leaf, label, numbers in rows
    ]
    yield "<br>".join([*runs, *_commands(item)]) or "–"
    measured = dict.fromkeys([*(leaf for leaf, _, _ in rows), *small])
    scores = [f"{_link(leaf, '../configs/')} {leaf.measured}" for leaf in measured if leaf.measured]
    yield "<br>".join(scores) or "–"
    yield item.reading or "–"


def _section(
    title: str, item: Item, rows: Sequence[tuple[Leaf, str, str]], small: Sequence[Leaf]
) -> Iterator[str]:
    yield f"## {title}"
    if rows:
        yield "\n| config | row | the paper's number | measured here | command |"
        yield "|---|---|---|---|---|"
    for leaf, label, numbers in rows:
        cells = _link(leaf), label or "–", numbers, leaf.measured or "–", _command(leaf)
        yield f"| {' | '.join(cells)} |"
    if commands := _commands(item):
        yield f"\n{'Also by' if rows else 'By'} {'; '.join(commands)}"
    if small:
        yield f"\nOn small data: {', '.join(map(_link, small))}"


def _others(leaves: Sequence[Leaf]) -> Iterator[str]:
    yield "## No row in the papers"
    yield "\n| config | what it is | measured here | command |\n|---|---|---|---|"
    for leaf in leaves:
        title = leaf.title.rstrip(".")
        yield f"| {_link(leaf)} | {title} | {leaf.measured or '–'} | {_command(leaf)} |"


def _command(leaf: Leaf) -> str:
    return f"`{leaf.command}`" + (f"<br>imbalance N: `{leaf.option}`" if leaf.option else "")


def _commands(item: Item) -> list[str]:
    return [f"`{run}`" if run.startswith("python") else run for run in item.runs]


def _link(leaf: Leaf, configs: str = "") -> str:
    """Return a Markdown link to a leaf from a page; ``configs`` is the way to that folder."""
    return f"[{leaf.path.stem}]({configs}{leaf.path.parent.name}/{leaf.path.name})"
