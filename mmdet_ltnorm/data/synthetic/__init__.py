"""Data sets that are drawn from a seed: mini-LVIS and Shapes-LT."""

from mmdet_ltnorm.data.synthetic.mini_lvis import make_mini_lvis as make_mini_lvis
from mmdet_ltnorm.data.synthetic.shapes import ShapesLT as ShapesLT
from mmdet_ltnorm.data.synthetic.shapes import draw_class as draw_class
from mmdet_ltnorm.data.synthetic.shapes import make_shapes_lt as make_shapes_lt
