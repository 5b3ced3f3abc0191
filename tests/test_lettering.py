"""Class, file and run names are shown as they are, whatever characters they hold."""

import re
import warnings

import matplotlib
import numpy as np
import pytest
import torch
from logged_runs import logged_run
from mmengine.structures import InstanceData

from mmdet_ltnorm import lettering
from mmdet_ltnorm.analysis import commands, plot_curves
from mmdet_ltnorm.analysis.class_scores import ClassScores, draw_class_scores
from mmdet_ltnorm.analysis.confusion import draw_confusion
from mmdet_ltnorm.deployment.drawing import draw_classes, draw_detections
from mmdet_ltnorm.lettering import drawable, literal, markdown, names_as_text
from mmdet_ltnorm.report import write_html
from mmdet_ltnorm.results import pictures
from mmdet_ltnorm.results.tables import markdown_table
from mmdet_ltnorm.results.trained import with_labels
from mmdet_ltnorm.sweep import plot_sweeps, sweep_table

NAMES = {  # and how a picture without further fonts shows them
    "$x_1$": "$x_1$",
    "a$b^{": "a$b^{",
    r"\frac{1}{0}$": r"\frac{1}{0}$",
    "<b>&amp;": "<b>&amp;",
    "50 %s {0}": "50 %s {0}",
    "_start": " _start",
    "a|b": "a|b",
    "two\nlines": r"two\nlines",
    "\x1b[31mred": r"\x1b[31mred",
    "\u202eevil": r"\u202eevil",
    "\udcff": r"\udcff",
    "caf\u00e9 \u0416": "caf\u00e9 \u0416",
    "\u732b": r"\u732b",
    "\U0001f408\u200d\u2b1b\ufe0f": r"\U0001f408" + "\u200d\u2b1b\ufe0f",
    "\u05d7\u05ea\u05d5\u05dc": "\u05d7\u05ea\u05d5\u05dc",
    "x" * 200: "x" * 30 + "…" + "x" * 30,
    "": "",
}


@pytest.fixture(autouse=True)
def _bundled_fonts_alone(monkeypatch):
    """Hide all fonts but matplotlib's own."""
    from matplotlib.font_manager import fontManager

    bundled = [entry for entry in fontManager.ttflist if "matplotlib" in entry.fname]
    monkeypatch.setattr(fontManager, "ttflist", bundled)
    monkeypatch.setattr(lettering, "_NOT_COVERED", set())
    monkeypatch.setattr(lettering, "_TOLD", [])
    monkeypatch.setattr(pictures, "DPI", 40)


@pytest.fixture
def shown(monkeypatch):
    """The texts of all figures that are saved; a warning is an error."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    texts, save = [], Figure.savefig

    def keep(figure, *args, **options):
        save(figure, *args, **options)
        texts.extend(text for text in figure.findobj(Text) if text.get_text())

    monkeypatch.setattr(Figure, "savefig", keep)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield texts
    assert texts and not any(text.get_parse_math() for text in texts)


def said(texts):
    return [text.get_text() for text in texts]


@pytest.mark.parametrize(("name", "expected"), NAMES.items(), ids=map(ascii, NAMES))
def test_a_name_is_drawn_as_it_is_or_escaped_where_no_font_has_it(name, expected):
    before = list(matplotlib.rcParams["font.family"])
    with names_as_text():
        assert drawable(name) == expected
    assert matplotlib.rcParams["font.family"] == before


def test_what_no_font_has_is_said_once(monkeypatch):
    lines = []
    monkeypatch.setattr(lettering, "print_log", lambda line, **_: lines.append(line))
    with names_as_text():
        for name in ("\u732b", "\u72ac", "\u9e1f" * 50):
            drawable(name)
    assert len(lines) == 1
    assert "no installed font has \u732b (U+732B): pictures show it, and others" in lines[0]


def test_a_font_that_has_a_character_is_used_for_it(monkeypatch):
    from matplotlib.font_manager import findfont, fontManager

    serif = next(entry for entry in fontManager.ttflist if entry.name == "DejaVu Serif")
    monkeypatch.setattr(lettering, "_has", lambda path, _: path == serif.fname)
    with names_as_text():
        assert drawable("\u732b") == "\u732b"
        assert matplotlib.rcParams["font.family"] == ["sans-serif", "DejaVu Serif"]
    assert findfont("DejaVu Serif")


@pytest.mark.parametrize("name", NAMES, ids=map(ascii, NAMES))
def test_markdown_shows_a_name_and_gives_it_back(name):
    cell = markdown(name)
    assert re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", cell) == literal(name)
    lines = markdown_table([name, "n"], [[name, "1.0"]]).splitlines()
    assert len(lines) == 3
    assert all(line.replace(r"\|", "").count("|") == 3 for line in lines)


def test_markdown_leaves_plain_names_alone():
    for name in ("cls_digits_bs_nbn_lr", "CE + NBN − CE", "a < b & c", "50.1 ± 0.2", "1 [1, 2]"):
        assert markdown(name) == name
    assert markdown("_x_ *y* `z` <i> &lt; $a$ [l](m)") == (
        r"\_x\_ \*y\* \`z\` \<i> \&lt; \$a\$ [l\](m)"
    )


def test_pictures_of_classes_show_their_names(tmp_path, shown):
    names = [name for name in NAMES if name]
    counts = np.arange(len(names))[::-1] * 9
    groups = {"many": np.arange(5), "medium": np.arange(5, 9), "few": np.arange(9, len(names))}
    matrix = np.eye(len(names), dtype=np.int64)
    labels = dict.fromkeys(names[:3], matrix)
    draw_confusion(labels, counts, groups, names, tmp_path / "confusion.png")
    short = [name for name in names if len(NAMES[name]) < 25]
    assert {NAMES[name] for name in short} <= set(said(shown)) and len(short) > 12
    for few in (names[:4], names[-4:]):
        own = ClassScores(100.0 - counts, counts, groups, "accuracy")
        scores = {name: [own] for name in few}
        draw_class_scores(scores, tmp_path / "classes.png")
    assert {NAMES[name] for name in (*names[:4], *names[-4:])} <= set(said(shown))
    entries = [{"class": name, "score": 0.25} for name in names]
    draw_classes(np.zeros((8, 8, 3), np.uint8), entries, {}, tmp_path / "predicted.png")
    assert "$x_1$  25.0 %" in said(shown)


def test_pictures_of_runs_show_their_names(tmp_path, shown):
    names = ["$x_1$", "_start", "two\nlines", "\u732b", "x" * 200]
    seeds = {0: {"accuracy/all": 50.0}, 1: {"accuracy/all": 51.0}}
    for few in (names[:2], names[2:]):
        results = dict.fromkeys(few, seeds)
        plot_sweeps({"$t$": results}, ["accuracy/all"], tmp_path / "sweep.png")
    assert {"$t$", *(NAMES[name] for name in names)} <= set(said(shown))
    work_dir = logged_run(tmp_path, "run", 0, 10)
    plot_curves(dict.fromkeys(names, work_dir), tmp_path / "curves.png")
    assert all(NAMES[name] in said(shown) for name in names)
    table = sweep_table(dict.fromkeys(names, seeds), ["accuracy/all"])
    assert len(table.splitlines()) == 2 * len(names) + 1


def test_detections_show_the_names_of_their_classes(tmp_path, monkeypatch):
    pytest.importorskip("mmdet.visualization")
    from matplotlib.axes import Axes
    from mmdet.structures import DetDataSample

    names, texts, text = [name for name in NAMES if name], [], Axes.text
    monkeypatch.setattr(
        Axes, "text", lambda self, *args, **options: texts.append(text(self, *args, **options))
    )
    boxes = torch.tensor([[4.0 * i, 10, 4 * i + 9, 30] for i in range(len(names))])
    found = InstanceData(bboxes=boxes, labels=torch.arange(len(names)), scores=boxes[:, 1])
    sample = DetDataSample(pred_instances=found)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        image = np.zeros((80, 80, 3), np.uint8)
        draw_detections(image, sample, names, {}, 0.3, tmp_path / "found.png")
    assert [text.get_text().rpartition(":")[0] for text in texts] == [NAMES[n] for n in names]
    assert not any(text.get_parse_math() for text in texts)
    assert (tmp_path / "found.png").stat().st_size > 1000


def test_a_report_shows_the_names_of_its_runs(tmp_path):
    for name in ("$x_1$", "a|b", "<b>&amp;", "two\nlines", "50 %s {0}", "\u732b"):
        logged_run(tmp_path / "runs", name, 0, 10)
    write_html([tmp_path / "runs"], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    for shown in ("$x_1$", "a|b", "&lt;b&gt;&amp;amp;", r"two\nlines", "50 %s {0}", "\u732b"):
        assert f"<th>{shown}<" in text


def test_labels_of_models_are_one_line(tmp_path):
    assert list(with_labels(["a\nb", "$"], [1, 2])) == [r"a\nb", "$"]
    with pytest.raises(ValueError, match=r"no class 'x'; there are a, b\\n"):
        commands._label(["a", "b\n"], "x")
