"""The results of runs, and tools to read them: models, logs, groups, tables, pictures."""

from mmdet_ltnorm.results.logs import read_scalars as read_scalars
from mmdet_ltnorm.results.tables import lvis_table as lvis_table
from mmdet_ltnorm.results.trained import Trained as Trained
from mmdet_ltnorm.results.trained import load_model as load_model
from mmdet_ltnorm.results.trained import load_trained as load_trained
