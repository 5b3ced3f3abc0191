"""The page's template. Jinja escapes every value; pictures are inside, as data addresses."""

TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { max-width: 60rem; margin: 2.5rem auto 5rem; padding: 0 1.25rem; color: #222;
  font: 15px/1.55 system-ui, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; }
h1 { font-size: 1.6rem; font-weight: 600; margin: 0 0 .3rem; line-height: 1.3; }
h1.data { font-size: 1.35rem; margin: 4rem 0 -1.5rem; padding-top: 1rem;
  border-top: 3px solid #bbb; }
h2 { font-size: 1.15rem; font-weight: 600; margin: 3rem 0 .8rem; padding-top: .8rem;
  border-top: 1px solid #ddd; }
h3 { font-size: 1rem; font-weight: 600; margin: 2rem 0 .5rem; }
p, dl { margin: .4rem 0 .8rem; }
.quiet, nav { color: #666; font-size: .87rem; }
a { color: #0072b2; text-decoration: none; }
nav a { margin-right: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem 1.4rem .3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e8e8e8; overflow-wrap: anywhere; }
thead th { color: #666; font-weight: 500; border-bottom-color: #bbb; }
tbody th { font-weight: 500; }
td.number, th.number { text-align: right; white-space: nowrap; padding: .3rem 0 .3rem 1.6rem; }
tr.first-gap > * { border-top: 2px solid #ccc; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; font-size: .87rem; }
dt { color: #666; }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: .8rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.words { white-space: pre-line; }
.figures, .pictures { display: flex; flex-wrap: wrap; gap: 0 1.4rem; align-items: flex-start; }
.figures > * { min-width: min(27rem, 100%); max-width: 100%; }
img { max-width: 100%; height: auto; }
.left-out { color: #666; font-style: italic; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="quiet">{{ runs }} {{ "run" if runs == 1 else "runs" }}
of {{ names | length }} {{ "config" if names | length == 1 else "configs" }};
written by mmdet_ltnorm {{ version }}.</p>
{% if parts | length > 1 %}
<p>The runs are of {{ parts | length }} data sets. Each has a part of this page, and they are not
compared.</p>
{% endif %}
<nav>
{% for part in parts %}
{% set of = loop.index %}
<div>
{% if parts | length > 1 %}<a href="#data-{{ of }}"><b>{{ part.title }}</b></a>{% endif %}
<a href="#trained-{{ of }}">What was trained</a>
<a href="#scores-{{ of }}">Scores</a>
{% for title in part.sections %}
<a href="#part-{{ of }}-{{ loop.index }}">{{ title }}</a>
{% endfor %}
</div>
{% endfor %}
<a href="#environment">Environment</a>
</nav>
{% for part in parts %}
{% set of = loop.index %}
{% if parts | length > 1 %}
<h1 class="data" id="data-{{ of }}">{{ part.title }}</h1>
{% endif %}

<h2 id="trained-{{ of }}">What was trained</h2>
{% if part.facts %}
<dl>
{% for name, value in part.facts.items() %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
</dl>
{% endif %}
{% if part.differences %}
<p>All that differs between the configs:</p>
<div class="wide"><table>
<thead><tr><th></th>{% for name in part.names %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for key, values in part.differences %}
<tr><td><code>{{ key }}</code></td>
{% for value in values %}<td><code>{{ value }}</code></td>{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>
{% elif part.names | length > 1 %}
<p>The configs do not differ.</p>
{% endif %}

<h2 id="scores-{{ of }}">Scores</h2>
{% if part.metrics %}
<div class="wide"><table>
<thead><tr><th>{{ part.measure }}</th><th class="number">runs</th>
{% for metric in part.metrics %}<th class="number">{{ metric }}</th>{% endfor %}
</tr></thead>
<tbody>
{% for name, count, cells in part.means %}
<tr><th>{{ name }}</th><td class="number">{{ count }}</td>
{% for cell in cells %}<td class="number">{{ cell }}</td>{% endfor %}
</tr>
{% endfor %}
{% for name, count, cells in part.gaps %}
<tr{% if loop.first %} class="first-gap"{% endif %}><th>{{ name }}</th>
<td class="number">{{ count }}</td>
{% for cell in cells %}<td class="number">{{ cell }}</td>{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>
<p class="quiet">Last validation. Configs: mean ± standard deviation over seeds.
{% if part.gaps %}Differences: mean over the pairs of the same seed ± standard error.{% endif %}</p>
{% else %}
<p class="left-out">No run has a validation yet.</p>
{% endif %}
<details class="quiet"><summary>All runs</summary>
<table>
<thead><tr><th>config</th><th>seed</th><th>work dir</th></tr></thead>
<tbody>
{% for name, seed, work_dir, scored in part.runs %}
<tr><td>{{ name }}</td><td>{{ seed }}</td><td><code>{{ work_dir }}</code>
{% if not scored %}(no validation yet){% endif %}</td></tr>
{% endfor %}
</tbody></table></details>

{% for title, figures in part.sections.items() %}
<h2 id="part-{{ of }}-{{ loop.index }}">{{ title }}</h2>
<div class="figures">
{% for figure in figures %}
<div>
<h3>{{ figure.title }}</h3>
{% if figure.reason %}
<p class="left-out">Left out: {{ figure.reason }}.</p>
{% endif %}
<div class="pictures">
{% for address, columns in figure.pictures %}
<img src="{{ address }}" alt="{{ figure.title }}"
style="width: {{ (27 * columns) | round(1) }}rem">
{% endfor %}
</div>
{% for block in figure.words %}
{% if block is string %}
<p class="quiet words">{{ block }}</p>
{% else %}
<div class="wide"><table>
<thead><tr>{% for cell in block.header %}
<th{% if not loop.first %} class="number"{% endif %}>{{ cell }}</th>
{% endfor %}</tr></thead>
<tbody>
{% for row in block.rows %}
<tr>{% for cell in row %}
<td{% if not loop.first %} class="number"{% endif %}>{{ cell }}</td>
{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% endfor %}
</div>
{% endfor %}
</div>
{% endfor %}
{% endfor %}

<h2 id="environment">Environment</h2>
{% for names_here, entries in environments %}
{% if environments | length > 1 %}<h3>{{ names_here | join(", ") }}</h3>{% endif %}
{% if entries %}
<dl>
{% for name, value in entries.items() %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
</dl>
{% else %}
<p class="left-out">Left out: the work dir has no log.</p>
{% endif %}
{% endfor %}
</body>
</html>
"""
