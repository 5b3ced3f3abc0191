"""The page's template. Jinja escapes every value; pictures are inside, as data addresses."""

TEMPLATE = """\
{% macro difference(row) %}
<li><code>{{ row.key }}</code>
{% if row.value is none %}
<span class="quiet">is not set, instead of</span> <code>{{ row.first }}</code>
{% else %}
= <code>{{ row.value }}</code>
{% if row.first is not none %}
<span class="quiet">instead of</span> <code>{{ row.first }}</code>
{% endif %}
{% endif %}
</li>
{% endmacro %}
{% macro number(cell) %}
<td class="number">{{ cell | replace("± ", "±\u00a0") }}</td>
{% endmacro %}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { max-width: 60rem; margin: 2.5rem auto 5rem; padding: 0 1.25rem; color: #222;
  font: 15px/1.55 system-ui, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; }
h1, h2, h3, p { overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; font-weight: 600; margin: 0 0 .3rem; line-height: 1.3; }
h1.data { font-size: 1.35rem; margin: 4rem 0 -1.5rem; padding-top: 1rem;
  border-top: 3px solid #bbb; }
h2 { font-size: 1.15rem; font-weight: 600; margin: 3rem 0 .8rem; padding-top: .8rem;
  border-top: 1px solid #ddd; }
h3 { font-size: 1rem; font-weight: 600; margin: 2rem 0 .5rem; }
h3.config { margin: .9rem 0 .1rem; font-size: .93rem; }
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
td.number, th.number { text-align: right; overflow-wrap: normal; padding: .3rem 0 .3rem 1.6rem; }
tr.first-gap > * { border-top: 2px solid #ccc; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; font-size: .87rem; }
dt { color: #666; }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: .8rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.words { white-space: pre-line; }
.figures, .pictures { display: flex; flex-wrap: wrap; gap: 0 1.4rem; align-items: flex-start; }
.figures > * { min-width: min(27rem, 100%); max-width: 100%; }
figure { margin: 0 0 .6rem; max-width: 100%; }
figcaption { color: #555; font-size: .87rem; padding: .1rem 0 .4rem; }
img { width: 100%; height: auto; display: block; }
ul { margin: .2rem 0 .6rem; padding-left: 1.1rem; }
li { overflow-wrap: anywhere; }
.fact { white-space: nowrap; margin-right: .3rem; }
.left-out { color: #666; font-style: italic; }
tbody td:first-child, tbody th:first-child { min-width: 8.5rem; overflow-wrap: break-word; }
@media (max-width: 40rem) {
  body { margin-top: 1.2rem; padding: 0 .9rem; }
  table { font-size: .8rem; }
  td.number, th.number { padding-left: .5rem; }
  tbody td:first-child, tbody th:first-child { min-width: 6.5rem; overflow-wrap: anywhere; }
  nav div { margin-bottom: .4rem; }
}
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="quiet">{{ runs }} {{ "run" if runs == 1 else "runs" }}
of {{ configs }} {{ "config" if configs == 1 else "configs" }};
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
<a href="#scores-{{ of }}">Scores</a>
<a href="#trained-{{ of }}">What was trained</a>
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

<h2 id="scores-{{ of }}">Scores</h2>
{% if part.metrics %}
<div class="wide"><table>
<thead><tr><th>{{ part.measure }}</th><th class="number">runs</th>
{% for metric in part.metrics %}<th class="number">{{ metric }}</th>{% endfor %}
</tr></thead>
<tbody>
{% for name, count, cells in part.means %}
<tr><th>{{ name }}
{%- if loop.first and part.names | length > 1 %}<span class="quiet"> (baseline)</span>
{%- endif %}</th>
<td class="number">{{ count }}</td>
{% for cell in cells %}{{ number(cell) }}{% endfor %}
</tr>
{% endfor %}
{% for name, count, cells in part.gaps %}
<tr{% if loop.first %} class="first-gap"{% endif %}><th>{{ name }}</th>
<td class="number">{{ count }}</td>
{% for cell in cells %}{{ number(cell) }}{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>
<p class="quiet">The scores of the last validation{% if part.several %}: means over the seeds ±
their standard errors{% endif %}.
{% if part.gaps %}Below the line is what each config adds to the baseline, as the mean of the pairs
of the same seed; a difference {{ "below two standard errors" if part.several else "of one pair" }}
may be chance.{% endif %}</p>
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

<h2 id="trained-{{ of }}">What was trained</h2>
{% if part.facts %}
<p>
{% for name, value in part.facts.items() %}
<span class="fact"><span class="quiet">{{ name }}</span>
{{ value }}{{ "" if loop.last else "," }}</span>
{% endfor %}
</p>
{% endif %}
{% for name, rows in part.differences.items() %}
<h3 class="config">{{ name }}, against {{ part.names[0] }}</h3>
{% if rows %}
<ul>
{% for row in rows[:8] %}
{{ difference(row) }}
{% endfor %}
</ul>
{% if rows | length > 8 %}
<details><summary>{{ rows | length - 8 }} more</summary><ul>
{% for row in rows[8:] %}
{{ difference(row) }}
{% endfor %}
</ul></details>
{% endif %}
{% else %}
<p>No setting differs.</p>
{% endif %}
{% endfor %}

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
{% for picture in figure.pictures %}
<figure style="width: {{ (27 * picture.columns) | round(1) }}rem">
<div class="wide"><img src="{{ picture.address }}" alt="{{ picture.caption }}"
style="min-width: {{ (18 * picture.columns) | round(1) }}rem"></div>
<figcaption>{{ picture.caption }}</figcaption>
</figure>
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
{% if loop.first %}<td>{{ cell }}</td>{% else %}{{ number(cell) }}{% endif %}

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
