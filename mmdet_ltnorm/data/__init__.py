"""Long-tailed data: made, counted and shown."""

from mmdet_ltnorm.data.contact_sheet import draw_contact_sheet as draw_contact_sheet
from mmdet_ltnorm.data.mini_lvis import make_mini_lvis as make_mini_lvis
