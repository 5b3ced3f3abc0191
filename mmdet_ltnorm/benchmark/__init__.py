"""Times and memory, measured side by side; tools/benchmark.py and benchmarks/ print them."""

from mmdet_ltnorm.benchmark.spans import Spans as Spans
from mmdet_ltnorm.benchmark.spans import module_spans as module_spans
from mmdet_ltnorm.benchmark.timing import interleaved as interleaved
from mmdet_ltnorm.benchmark.timing import keep_freed_memory as keep_freed_memory
from mmdet_ltnorm.benchmark.timing import machine as machine
from mmdet_ltnorm.benchmark.timing import peak_bytes as peak_bytes
from mmdet_ltnorm.benchmark.timing import ratios as ratios
from mmdet_ltnorm.benchmark.timing import spread as spread
from mmdet_ltnorm.benchmark.timing import timed as timed
from mmdet_ltnorm.benchmark.training import benchmark_table as benchmark_table
