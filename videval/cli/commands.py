"""Every command by name: what `--help` says of it before it is imported, and where its function is.

A new command is a function of its own module and one entry here; the README's table is made of these lines.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["COMMANDS", "SUMMARIES", "Command", "Groups", "beginning_with"]

MOST_SUMMARY = 60
"""Characters of a summary: no terminal of 80 columns cuts it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One command: `target` is `module:function`, `summary` the first line of its help, `examples` what people type."""

    name: str
    summary: str
    target: str
    examples: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """`list runs` as its words."""
        return tuple(self.name.split())


Groups = Mapping[str, tuple[Command, ...]]


def _command(name: str, target: str, summary: str, *examples: str) -> Command:
    return Command(name=name, summary=summary, target=f"videval.cli.{target}", examples=examples)


COMMANDS: Groups = {
    "Run": (
        _command(
            "enqueue",
            "enqueue:enqueue_command",
            "Write a row and send a message for each question.",
            "videval enqueue MVBench_8frame Video-LLaVA-7B",
            "videval enqueue --data questions.tsv --frames 8 Video-LLaVA-7B",
        ),
        _command(
            "run",
            "run:run_command",
            "Enqueue, answer on this machine, score and export.",
            "videval run MVBench_8frame Video-LLaVA-7B --limit 20",
            "videval run --data MVBench_8frame questions.tsv --model fake Video-LLaVA-7B",
            "videval run suite.toml --dry-run",
            "videval run questions.tsv fake --devices cpu*2",
        ),
        _command(
            "try",
            "trying:try_command",
            "Ask one question about a video, without a run.",
            'videval try park.mp4 "What does the dog chase?" Video-LLaVA-tiny',
            'videval try park.mp4 "Who wins?" Qwen/Qwen3-VL-2B-Instruct --fps 2 --max-frames 64',
        ),
        _command(
            "fleet",
            "fleet:fleet_command",
            "Run one worker per device of this machine.",
            "videval fleet --watch",
            "videval fleet --devices 0,1 --until-done",
        ),
    ),
    "Look": (
        _command(
            "status",
            "status:status_command",
            "Say what is going on now: runs, workers, time left.",
            "videval status --watch",
            "videval status mvbench --json",
        ),
        _command(
            "list runs",
            "lists:list_runs",
            "Runs, newest first: when, how long, score.",
            "videval list runs",
            "videval list runs --state finished -n 5",
        ),
        _command(
            "list benchmarks",
            "lists:list_benchmarks",
            "Benchmarks and their variants; NAME for the details.",
            "videval list benchmarks",
            "videval list benchmarks MVBench",
        ),
        _command(
            "list models",
            "lists:list_models",
            "Models with family, context and size; NAME for the details.",
            "videval list models",
            "videval list models Video-LLaVA-7B",
        ),
        _command(
            "list endpoints",
            "endpoint:list_endpoints",
            "Endpoints of endpoints.toml: model, key, address.",
            "videval list endpoints",
            "VIDEVAL_ENDPOINTS=lab.toml videval list endpoints",
        ),
        _command(
            "list recipes",
            "recipes:list_recipes",
            "Published settings and their numbers; TEXT for some.",
            "videval list recipes",
            "videval list recipes qwen2.5-vl",
        ),
        _command(
            "recipe",
            "recipes:recipe_command",
            "Show a recipe, or what differs from another.",
            "videval recipe qwen2.5-vl-7b/lvbench@team-2025-02",
            "videval recipe qwen2.5-vl-7b/lvbench@team-2025-02 --diff ./mine.toml",
        ),
        _command(
            "score",
            "results:score_command",
            "Print a run's score so far, by group, with intervals.",
            "videval score mvbench",
            "videval score mvbench --protocol vlmevalkit",
        ),
        _command(
            "compare",
            "compare:compare_command",
            "Say whether run A is as good as run B, and what differs.",
            "videval compare mvbench-8frame--a--1 mvbench-8frame--b--1",
            "videval compare mvbench-8frame--a--1 mvbench-8frame--b--1 --flipped 20",
        ),
        _command(
            "gate",
            "gate:gate_command",
            "Say whether a suite's runs are as good as a baseline.",
            "videval gate suite.toml --baseline mvbench-8frame--a--1",
            "videval gate new.toml --baseline old.toml --margin 0.5",
        ),
        _command(
            "errors",
            "errors:errors_command",
            "Show what failed and why, with the line that retries.",
            "videval errors mvbench",
            "videval errors mvbench --index 17",
        ),
        _command(
            "card",
            "results:card_command",
            "Print all that the numbers depend on, as JSON.",
            "videval card mvbench",
            "videval card mvbench > card.json",
        ),
        _command(
            "report",
            "report:report_command",
            "Write one HTML page with a run's charts and tables.",
            "videval report mvbench",
            "videval report mvbench --output mvbench.html",
        ),
        _command(
            "dashboard",
            "dashboard:dashboard_command",
            "Open the dashboard in the browser.",
            "videval dashboard",
            "videval dashboard --port 8702 --allow-actions",
        ),
    ),
    "Act": (
        _command(
            "pause",
            "change:pause_command",
            "Hand out no more of a run's requests.",
            "videval pause mvbench",
            "videval pause mvbench-8frame--video-llava-7b--1",
        ),
        _command(
            "resume",
            "change:resume_command",
            "Go on with a paused run.",
            "videval resume mvbench",
            "videval resume mvbench-8frame--video-llava-7b--1",
        ),
        _command(
            "cancel",
            "change:cancel_command",
            "Give up what a run has not answered; answers stay.",
            "videval cancel mvbench",
            "videval cancel mvbench-8frame--video-llava-7b--1",
        ),
        _command(
            "retry",
            "change:retry_command",
            "Try failed requests again, with no strikes.",
            "videval retry mvbench --kind video,oom",
            "videval retry mvbench --index 17 --index 18",
        ),
    ),
    "Data": (
        _command(
            "prepare",
            "data:prepare_command",
            "Find or fetch a benchmark's data, unpack and check it.",
            "videval prepare MVBench",
            "videval prepare MovingShapes",
        ),
        _command(
            "verify",
            "data:verify_command",
            "Check a benchmark's data: counts, hashes, videos.",
            "videval verify MVBench",
            "videval verify Video-MME",
        ),
        _command(
            "import",
            "importing:import_command",
            "Make runs of other tools' result files, scored by our rules.",
            "videval import results/Video-LLaVA-7B_MVBench_8frame.xlsx --dry-run",
            "videval import old.tsv --benchmark Video-MME_8frame --model Qwen/Qwen2.5-VL-7B-Instruct",
        ),
        _command(
            "merge",
            "results:merge_command",
            "Read predictions and scores from the responses again.",
            "videval merge mvbench",
            "videval merge mvbench --json",
        ),
        _command(
            "export",
            "results:export_command",
            "Write the table that VLMEvalKit's evaluators accept.",
            "videval export mvbench",
            "videval export mvbench --format parquet --output results --partial",
        ),
    ),
    "Machine": (
        _command(
            "doctor",
            "doctor:doctor_command",
            "Say what is configured, reachable and missing.",
            "videval doctor",
            "VIDEVAL_HOME=/data/home videval doctor",
            "videval doctor Qwen/Qwen2.5-VL-7B-Instruct",
        ),
        _command(
            "endpoint check",
            "endpoint:endpoint_check",
            "Ask an endpoint two questions, and say what is wrong.",
            "videval endpoint check lab",
            "videval endpoint check openai:gpt-5 --json",
        ),
        _command(
            "db upgrade",
            "db:db_upgrade",
            "Bring the schema to this version.",
            "videval db upgrade",
            "VIDEVAL_HOME=/data/home videval db upgrade",
        ),
        _command(
            "db status",
            "db:db_status",
            "Say which schema the database has.",
            "videval db status",
            "VIDEVAL_HOME=/data/home videval db status",
        ),
        _command(
            "db downgrade",
            "db:db_downgrade",
            "Take the schema back; rows may be lost.",
            "videval db downgrade 0001 --yes",
            "videval db downgrade base --yes",
        ),
        _command(
            "broker start",
            "broker:broker_start",
            "Start the embedded Redis, if it does not run.",
            "videval broker start",
            "videval broker start --keep",
        ),
        _command(
            "broker status",
            "broker:broker_status",
            "Say whether the broker answers; exit 3 if not.",
            "videval broker status",
            "VIDEVAL_HOME=/data/home videval broker status",
        ),
        _command(
            "broker stop",
            "broker:broker_stop",
            "Stop the embedded Redis; the rows hold what it held.",
            "videval broker stop",
            "VIDEVAL_HOME=/data/home videval broker stop",
        ),
        _command(
            "help",
            "help:help_command",
            "Say how a command is used.",
            "videval help run",
            "videval help list runs",
        ),
    ),
}
"""The commands in the groups of `videval --help`."""

SUMMARIES: Mapping[str, str] = {
    "list": "List runs, benchmarks, models, endpoints or recipes.",
    "endpoint": "Endpoints that models run at: check.",
    "db": "The database's schema: upgrade, status, downgrade.",
    "broker": "The broker (Redis): start, status, stop.",
}
"""What the commands of several words begin with."""


def beginning_with(words: tuple[str, ...]) -> Groups:
    """The commands that begin with these words, in their groups."""
    found = {title: tuple(c for c in group if c.words[: len(words)] == words) for title, group in COMMANDS.items()}
    return {title: group for title, group in found.items() if group}
