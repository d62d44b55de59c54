"""One run as a page that stands on its own: no network, no script, every text escaped."""

import json
import time
from collections.abc import Sequence
from html import escape

from videval.db.records import RunInfo
from videval.db.session import Database
from videval.metrics import Estimate, Figure, figure_table
from videval.report import svg
from videval.report.card import run_card
from videval.report.details import failed_videos, failures, time_spent, timeline
from videval.report.index import group_columns, load_index, load_verdicts
from videval.report.scores import ScoreReport, converging, score_report
from videval.report.status import RunStatus, run_status
from videval.words import measured, percent, price

__all__ = ["run_page"]

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1b2430; --soft: #5d6876; --line: #dde2e9 }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --text: #e6eaf0; --soft: #9aa5b3; --line: #333c48 } }
body { font: 15px/1.5 system-ui, sans-serif; background: var(--ground); color: var(--text); margin: 2rem auto;
  max-width: 1160px; padding: 0 1rem }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
p { color: var(--soft); margin: .3rem 0 }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1rem 0 }
.figures b { display: block; font-size: 1.7rem }
.bar { display: flex; gap: 1px; height: 16px; border-radius: 8px; overflow: hidden; background: var(--line) }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)); gap: 0 2.5rem }
svg { width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: var(--soft) }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
pre { overflow: auto; border: 1px solid var(--line); padding: 1rem; font-size: 12.5px }
"""


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(v))}</td>" for v in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _interval(found: Estimate, top: float | None) -> str:
    return f"{measured(found.low, top)} to {measured(found.high, top)}" if found.n else "no scored answer"


def _figures(status: RunStatus, score: ScoreReport) -> str:
    counts, overall = status.counts, score.overall.estimate
    figures = [
        ("answered", f"{counts.done:,} / {counts.total:,}", f"{counts.waiting:,} left"),
        ("failed", f"{counts.failed:,}", "requests"),
        ("rate", f"{status.rate:.2f}/s", "overall"),
        (score.name, measured(overall.mean, score.top), _interval(overall, score.top)),
        ("coverage", percent(score.coverage), f"{score.scored:,} of {score.scorable:,} scored"),
        ("videos", f"{score.overall.videos:,}", f"of {score.videos:,}"),
    ]
    if status.usage.cost is not None:
        tokens = f"{status.usage.prompt:,} tokens in, {status.usage.new:,} out"
        figures.append(("cost", price(status.usage.cost, status.run.currency), tokens))
    return "".join(f"<div>{escape(n)}<b>{escape(v)}</b><p>{escape(b)}</p></div>" for n, v, b in figures)


def _bar(status: RunStatus) -> str:
    counts, total = status.counts, max(status.counts.total, 1)
    parts = ((counts.done, svg.GREEN), (counts.failed, svg.RED), (counts.cancelled, svg.GREY))
    inner = "".join(f'<div style="width:{100 * n / total:.2f}%;background:{c}"></div>' for n, c in parts if n)
    return f'<div class="bar">{inner}</div>'


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _course(database: Database, run: RunInfo, total: int) -> str:
    course = timeline(database, run)
    if len(course) < 2:
        return ""
    first, last = course[0].at, course[-1].at
    ends = (_clock(first), _clock(last))
    places = [(m.at - first) / max(last - first, 1e-9) for m in course]
    fastest = max((m.rate for m in course[1:]), default=0.0) or 1.0
    progress = svg.area(
        [(x, 0.0, float(m.done)) for x, m in zip(places, course, strict=True)],
        label="answers over time", colour=svg.GREEN, y_max=float(max(total, 1)), x_labels=ends, y_label=f"{total:,}",
        middle=[float(m.done) for m in course],
    )  # fmt: skip
    speed = svg.area(
        [(x, 0.0, m.rate) for x, m in zip(places[1:], course[1:], strict=True)],
        label="answers per second over time", colour=svg.BLUE, y_max=fastest, x_labels=ends, y_label=f"{fastest:.1f}/s",
        middle=[m.rate for m in course[1:]],
    )  # fmt: skip
    return (
        f'<div class="columns"><div><h2>Progress</h2>{progress}</div>'
        f"<div><h2>Answers per second</h2>{speed}</div></div>"
    )


def _scores(database: Database, status: RunStatus, score: ScoreReport) -> str:
    if not score.overall.estimate.n:
        return "<h2>Score</h2><p>Nothing is scored" + (f": {escape(score.needs)}" if score.needs else "") + ".</p>"
    groups = [g for found in score.groups.values() for g in found]
    rows = [
        (g.group, e.mean, e.low, e.high)
        for g in [*groups, score.overall]
        if (e := g.estimate).mean is not None and e.low is not None and e.high is not None
    ]
    table = _table(
        ("group", score.name, "95 % interval", "n", "videos", *score.verdicts),
        [
            (
                g.group,
                measured(g.estimate.mean, score.top),
                _interval(g.estimate, score.top),
                g.estimate.n,
                g.videos,
                *(getattr(g, verdict) for verdict in score.verdicts),
            )
            for g in [*groups, score.overall]
        ],
    )
    said = "".join(f"<p>{escape(note)}.</p>" for note in (score.outdated, status.so_far, *score.remarks) if note)
    run = status.run
    index = load_index(database, run.snapshot_id, group_columns(run))
    points = converging(run, index, load_verdicts(database, run, index, with_time=True))
    most = max((p.n for p in points), default=1)
    convergence = svg.area(
        [(p.n / most, p.low, p.high) for p in points],
        label="the score as it converged", colour=svg.BLUE, y_max=1.0, x_labels=("0", f"{most:,} answers"),
        y_label="100 %" if score.top is None else f"{score.top:g}", middle=[p.mean for p in points],
    )  # fmt: skip
    by_group = svg.dots(rows, label="score of each group with its 95 % interval", top=score.top)
    return (
        f'<div class="columns"><div><h2>Score</h2>{by_group}</div>'
        f"<div><h2>How it converged</h2>{convergence}</div></div>{table}{said}"
        f"{_metrics(score.metrics)}{_published(score)}"
    )


def _published(score: ScoreReport) -> str:
    """What can be said of the numbers that are published for the run's recipe."""
    found = ((f"recipe {p.recipe}", p.said, *p.caveats) for p in score.published)
    return "".join(f"<p>{'<br>'.join(map(escape, lines))}</p>" for lines in found)


def _metrics(figures: Sequence[Figure]) -> str:
    """What the benchmark gives beside the headline: figures of the run a line each, those of groups as a table."""
    of_run = [f for f in figures if not f.group]
    lines = [(f.name, *_said(f), "" if f.name == f.about else f.about) for f in of_run]
    said = _table(("metric", "score", "95 % interval", "of"), lines) if lines else ""
    names, rows = figure_table(figures)
    if rows:
        about = next(f.about for f in figures if f.group)
        cells = [[" ".join(_said(f, "({})")) if f else "-" for f in row] for _, row in rows]
        said += _table((about, *names), [(group, *row) for (group, _), row in zip(rows, cells, strict=True)])
    return said


def _said(figure: Figure, form: str = "{}") -> tuple[str, str]:
    return measured(figure.estimate.mean, figure.top), form.format(_interval(figure.estimate, figure.top))


def _time(database: Database, run: RunInfo) -> str:
    spent = time_spent(database, run)
    if not spent.n:
        return ""
    rows = [(stage, s, f"{s:.3f} s") for stage, s in spent.seconds.items() if stage != "queue"]
    slow = [
        (s.key.partition(":")[2], f"{s.decode_s + s.generate_s:.2f} s", s.num_frames, s.video) for s in spent.slowest
    ]
    return (
        f'<div class="columns"><div><h2>Where the time went</h2>{svg.bars(rows, label="mean seconds of each stage")}'
        f"<p>Means of {spent.n:,} answers, after {spent.seconds['queue']:.1f} s in the queue.</p></div>"
        f"<div><h2>Slowest requests</h2>{_table(('sample', 'decode + generate', 'frames', 'video'), slow)}</div></div>"
    )


def _failures(database: Database, run: RunInfo) -> str:
    rows = [(g.count, g.kind, g.message, failed_videos(g), ", ".join(g.examples)) for g in failures(database, run)]
    head = ("n", "kind", "message", "videos", "samples")
    return "<h2>Failures</h2>" + (_table(head, rows) if rows else "<p>None.</p>")


def run_page(database: Database, run: RunInfo) -> str:
    """A run as one HTML page with the dashboard's charts and tables."""
    status, score = run_status(database, run), score_report(database, run)
    card = json.dumps(run_card(database, run), indent=2, ensure_ascii=False)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(run.name)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(run.name)}</h1><p>{escape(run.variant)} on {escape(run.model)}; {escape(status.state)}; "
        f"as of {_clock(status.now or time.time())}</p>"
        f'<div class="figures">{_figures(status, score)}</div>{_bar(status)}'
        f"{_course(database, run, status.counts.total)}{_scores(database, status, score)}{_time(database, run)}"
        f"{_failures(database, run)}<h2>Run card</h2><pre>{escape(card)}</pre></main></body></html>\n"
    )
