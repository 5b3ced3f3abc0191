"""One page about one or several runs, from their work directories."""

from mmdet_ltnorm.report.page import write_html as write_html
