"""Run keys and snapshot digests are what they always were: pinned here as hex, for ever.

A test that fails here says that an upgrade would make finished runs look new. Do not change the hex: leave a new field
at a default that means "as it was", or make a new format with a migration.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal

import pytest

from videval.plain import Unreadable, plain, restored
from videval.runkey import KeyParts, content_of, run_key, sampling_of_key, snapshot_digest
from videval.types import (
    ClipRef,
    FrameSampling,
    GenerationSettings,
    LengthRule,
    ModelSpec,
    Pixels,
    PromptSet,
    Sample,
    Sound,
    Wording,
)

PARTS = KeyParts(
    content="c" * 64,
    variant="MVBench_8frame",
    sampling=FrameSampling(policy="segment", num_frames=8),
    load_key="fake:fake@main:auto:x1",
    generation=GenerationSettings(),
)
WITH_ALL = KeyParts(
    content="d" * 64,
    variant="Video-MME_1fps_subs_pack",
    sampling=FrameSampling(policy="rate", fps=0.5, max_frames=64, times="real"),
    load_key="video_llava:LanguageBind/Video-LLaVA-7B-hf@main:bfloat16:x1",
    generation=GenerationSettings(max_new_tokens=32, temperature=0.7, top_p=0.9, seed=7),
    form="frames",
    max_pixels=100_000,
    pack=True,
    subtitles=True,
    prompts=PromptSet.VLMEVALKIT,
    protocol=2,
)
SAMPLES = (
    Sample(id="0", video="a.mp4", question="What?"),
    Sample(
        id="1",
        video="b/\ud800.mp4",
        question="Which \x00?",
        answer="A",
        candidates=("one", "zwei", "三"),
        start=1.0,
        end=2.5,
        row={"index": 1, "b": 3.0, "a": None, "c": True, "d": "x"},
    ),
)


def test_keys_are_pinned() -> None:
    assert run_key(PARTS) == "fa17398e65ae518d8f3a652b5bcac390370c907487da86ae512782ef7967349b"
    assert run_key(WITH_ALL) == "271aa9d6eebf78e0cbe2629d7c282482f7180156188a6107fc454c279b725b52"


def test_digests_are_pinned() -> None:
    assert snapshot_digest("MVBench", SAMPLES) == "99888707b50383e63c424d2d0f24147a250f4bcb20122d900a9c52faa2c7d953"
    assert snapshot_digest("table", ()) == "1c63592a41bdbae36a280126b3dbd367c46ee6c7199fd7f4153626cb5e23af36"


def test_defaults_are_pinned_since_they_are_part_of_what_is_stored() -> None:
    """A default that changed would change what the rows that leave it out mean."""
    assert plain(PARTS.sampling) == {"policy": "segment", "num_frames": 8}
    assert GenerationSettings() == GenerationSettings(max_new_tokens=512, temperature=0.0, top_p=1.0, seed=0)
    assert FrameSampling(policy="p") == FrameSampling(
        policy="p", num_frames=None, fps=None, max_frames=None, times="nominal"
    )
    assert ModelSpec(name="n", adapter="a", checkpoint="c") == ModelSpec(
        name="n", adapter="a", checkpoint="c", revision="main", dtype="auto", form="video", images=True,
        frame_counts=(), max_frames=None, policy=None, needs_device=True, generation=GenerationSettings(), note="",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class LaterSettings(GenerationSettings):
    """What a later videval may know of generating."""

    num_beams: int | None = None
    bad_words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LaterParts(KeyParts):
    """What a later videval may tell runs apart by."""

    devices: int = 1
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class LaterSample(Sample):
    """What a later question may have."""

    sound: str | None = None


def test_a_new_field_at_its_default_changes_nothing() -> None:
    values = {name: getattr(PARTS, name) for name in KeyParts.__dataclass_fields__}
    later = LaterParts(**(values | {"generation": LaterSettings()}))
    assert run_key(later) == run_key(PARTS)
    samples = [LaterSample(**{n: getattr(s, n) for n in Sample.__dataclass_fields__}) for s in SAMPLES]
    assert snapshot_digest("MVBench", samples) == snapshot_digest("MVBench", SAMPLES)


def test_a_new_field_with_a_value_of_its_own_is_another_run() -> None:
    values = {name: getattr(PARTS, name) for name in KeyParts.__dataclass_fields__}
    keys = {
        run_key(LaterParts(**values)),
        run_key(LaterParts(**(values | {"generation": LaterSettings(num_beams=4)}))),
        run_key(LaterParts(**(values | {"generation": LaterSettings(stop=("\n",))}))),
        run_key(LaterParts(**values, devices=2)),
        run_key(LaterParts(**values, extra={"a": "b"})),
    }
    assert len(keys) == 5


LATER = replace(WITH_ALL, pixels=Pixels(max_pixels=50_176), wording=Wording(text="{question}"))
"""With what came after the keys that are pinned."""


@pytest.mark.parametrize("name", list(KeyParts.__dataclass_fields__))
def test_every_part_tells_runs_apart(name: str) -> None:
    assert run_key(replace(PARTS, **{name: getattr(LATER, name)})) != run_key(PARTS)


def test_a_key_with_pixels_and_a_wording_is_pinned_too() -> None:
    assert run_key(LATER) == "9f34c6258ac0d2c1ac6b424913b7a86c19813d28c93b800cf0ad1830864a5985"


BESIDE: dict[str, Any] = {
    "clips": (ClipRef(video="a.mp4"), ClipRef(video="b.mp4", start=1.0, end=2.0)),
    "images": ("i.png",),
    "sounds": (Sound(),),
}
"""What a question may show and hear beside one video."""


@pytest.mark.parametrize("name", list(Sample.__dataclass_fields__))
def test_every_field_of_a_sample_tells_snapshots_apart(name: str) -> None:
    one, other = SAMPLES
    value = BESIDE[name] if name in BESIDE else getattr(other, name)
    assert snapshot_digest("b", [replace(one, **{name: value})]) != snapshot_digest("b", [one])


ODD: tuple[Sample, ...] = (
    Sample(id="1", question="q", video="a.mp4", start=8.0, end=9.5, row={"n": 3, "x": 1.0, "b": True, "no": None}),
    Sample(id="2", question='\ud800 \u2028 "', clips=BESIDE["clips"], images=("i.png",), sounds=BESIDE["sounds"]),
    Sample(id="3", question="", video="", answer="", candidates=("", "A"), row={"": ""}),
    Sample(id="4", question="q", clips=(ClipRef(video="a", sampling=FrameSampling(policy="rate", fps=2.0)),)),
)
"""What a file of questions may hold, and no published one does."""


def written_out(benchmark: str, samples: tuple[Sample, ...]) -> str:
    """A digest by its definition, step by step."""
    lines: list[Any] = [{"format": 1, "snapshot": benchmark}]
    for sample in samples:
        said = json.loads(
            json.dumps(asdict(sample)), parse_float=lambda t: int(float(t)) if float(t) % 1 == 0 else float(t)
        )
        cells = [[name, None if cell is None else str(cell)] for name, cell in sample.row.items()]
        lines.append(without_defaults(sample, said) | ({"row": cells} if cells else {}))
    text = "".join(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n" for line in lines)
    return hashlib.sha256(text.encode()).hexdigest()


def without_defaults(record: Any, said: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record that are not at their default, records in lists too."""
    kept = {}
    for f in fields(record):
        value, default = getattr(record, f.name), {} if f.name == "row" else f.default
        if value == default:
            continue
        kept[f.name] = said[f.name]
        if isinstance(value, tuple) and value and is_dataclass(value[0]):
            kept[f.name] = [without_defaults(one, x) for one, x in zip(value, said[f.name], strict=True)]
        elif is_dataclass(value):
            kept[f.name] = without_defaults(value, said[f.name])
    return kept


@pytest.mark.parametrize("samples", [SAMPLES, ODD, *((one,) for one in ODD)])
def test_a_digest_is_what_its_definition_says(samples: tuple[Sample, ...]) -> None:
    assert snapshot_digest("b", samples) == written_out("b", samples)


def test_the_order_of_samples_and_of_their_columns_is_content_and_the_order_of_fields_is_not() -> None:
    first, second = SAMPLES
    turned = replace(second, row=dict(reversed([*second.row.items()])))
    assert len({snapshot_digest("b", s) for s in ((first, second), (second, first), (first, turned))}) == 3
    assert snapshot_digest("b", SAMPLES) != snapshot_digest("c", SAMPLES)


def test_a_number_that_a_database_gives_back_otherwise_is_the_same_number() -> None:
    whole, real = (replace(SAMPLES[0], start=start, end=9) for start in (3, 3.0))
    assert snapshot_digest("b", [whole]) == snapshot_digest("b", [real])
    one, other = (replace(WITH_ALL, sampling=FrameSampling(policy="rate", fps=fps)) for fps in (1, 1.0))
    assert run_key(one) == run_key(other)


def test_a_cell_is_its_text_however_it_was_read() -> None:
    """0.1.0 read a table's 3 as a number, today it is read as it was written."""
    number, word, real, none = (
        snapshot_digest("b", [replace(SAMPLES[0], row={"n": cell})]) for cell in (3, "3", 3.0, None)
    )
    assert number == word and len({number, real, none}) == 3


def in_key(sampling: FrameSampling, samples: Iterable[Sample]) -> FrameSampling:
    """A sampling as it enters the key of a run that asks these."""
    return sampling_of_key(sampling, has_spans=content_of("b", samples).has_spans)


def test_what_a_second_is_matters_where_seconds_are_asked_for() -> None:
    count = FrameSampling(policy="interior", num_frames=8, times="real")
    rate = FrameSampling(policy="rate", fps=1.0, times="real")
    assert in_key(count, SAMPLES[:1]) == replace(count, times="nominal")
    assert in_key(count, SAMPLES) == count, "one of them has a span"
    assert in_key(count, [replace(SAMPLES[0], clips=BESIDE["clips"])]) == count, "one of its clips has"
    assert in_key(rate, SAMPLES[:1]) == rate
    ruled = replace(rate, fps=None, by_length=(LengthRule(fps=1.0),))
    assert in_key(ruled, SAMPLES[:1]) == ruled, "its rules have rates"


SPEC = ModelSpec(
    name="m", adapter="a", checkpoint="c", frame_counts=(8, 16), generation=GenerationSettings(max_new_tokens=9)
)


@pytest.mark.parametrize("record", [SPEC, *SAMPLES[:1], WITH_ALL.sampling, WITH_ALL.generation, GenerationSettings()])
def test_what_is_written_is_read_back(record: Any) -> None:
    assert restored(type(record), json.loads(json.dumps(plain(record)))) == record


@dataclass(frozen=True, kw_only=True, slots=True)
class LaterSpec(ModelSpec):
    """What a later videval may know of a model."""

    group: int = 1
    generation: LaterSettings = field(default_factory=LaterSettings)


def test_a_record_of_a_newer_videval_that_uses_nothing_new_is_read() -> None:
    assert restored(ModelSpec, plain(LaterSpec(name="m", adapter="a", checkpoint="c"))).name == "m"


@dataclass(frozen=True, kw_only=True, slots=True)
class LaterForm:
    """A field that can be more than it could."""

    form: Literal["video", "frames", "sound"]


@pytest.mark.parametrize(
    ("later", "field_name"),
    [
        ({"group": 2}, "group"),
        ({"generation": LaterSettings(num_beams=5)}, "generation.num_beams"),
    ],
)
def test_a_field_that_is_not_known_here_is_named_and_not_passed_over(later: dict[str, Any], field_name: str) -> None:
    row = plain(LaterSpec(name="m", adapter="a", checkpoint="c", **later))
    with pytest.raises(Unreadable, match=f"^{field_name}$"):
        restored(ModelSpec, row)


def test_a_choice_that_is_not_known_here_and_a_field_that_is_gone_are_named_too() -> None:
    with pytest.raises(Unreadable, match="times 'both'"):
        restored(FrameSampling, {"policy": "p", "times": "both"})
    with pytest.raises(Unreadable, match="policy"):
        restored(FrameSampling, {"num_frames": 3})
