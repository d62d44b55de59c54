"""A benchmark's variant in the shape of VLMEvalKit's `VideoBaseDataset`, so that what people wrote around it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videval.asking import asking, one_key, packed
from videval.benchmarks.base import Shown
from videval.benchmarks.catalog import find_benchmark, parse_variant
from videval.compat.packs import strict_of
from videval.compat.results import rating_of
from videval.datasets.prepare import locate
from videval.errors import DataMissing, UsageError
from videval.holding import FrameSource
from videval.models.messages import FrameFiles, Message, folder_of, message_of, unread
from videval.settings import Settings
from videval.types import Clip, ClipRef, Image, Part, Prompt, PromptSet, Sample, Sound, Variant
from videval.video.cache import FrameCache, FramesHere
from videval.video.clips import Wanted
from videval.video.cut import as_file
from videval.video.paths import resolve_video
from videval.video.sampling import explicit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dataset", "build_dataset"]


def build_dataset(
    dataset_name: str, *, data_root: str | Path | None = None, prompts: str | None = None, **kwargs: Any
) -> "Dataset":
    """The dataset of a variant's name (MVBench_8frame), or of a benchmark's name with `nframe` or `fps`.

    `kwargs` as VLMEvalKit's: nframe, fps, pack, use_subtitle. `data_root`: the folder of its data, found if it is not
    named; `prompts`: whose wording, VLMEvalKit's where the benchmark has it. Raises UnknownName, UsageError,
    DataMissing.
    """
    variant = _variant(dataset_name, kwargs)
    return Dataset(variant, data_root=Path(data_root) if data_root else None, prompts=prompts)


def _variant(name: str, kwargs: Mapping[str, Any]) -> Variant:
    """The variant that a name and VLMEvalKit's keywords say."""
    asked = {key: value for key, value in kwargs.items() if key != "dataset"}
    if unknown := sorted(asked.keys() - {"nframe", "fps", "pack", "use_subtitle"}):
        raise UsageError(f"build_dataset does not know {', '.join(unknown)}", hint="nframe, fps, pack, use_subtitle")
    if not asked:
        return parse_variant(name)
    try:
        said = parse_variant(name)
    except UsageError:
        said = Variant(name=name, benchmark=find_benchmark(str(kwargs.get("dataset", name))).name)
    frames, fps = _amount(asked, "nframe"), _amount(asked, "fps")
    if frames > 0 and fps > 0:
        raise UsageError(f"{name}: nframe and fps are two ways to say which frames", hint="give one of them")
    if frames <= 0 and fps <= 0:
        frames, fps = said.num_frames or 0, said.fps or 0
    if frames <= 0 and fps <= 0:
        raise UsageError(f"{name}: how many frames?", hint=f'build_dataset("{name}", nframe=8)')
    return find_benchmark(said.benchmark).variant(
        num_frames=int(frames) if frames > 0 else None,
        fps=float(fps) if fps > 0 and frames <= 0 else None,
        pack=bool(asked.get("pack", said.pack)),
        subtitles=bool(asked.get("use_subtitle", said.subtitles)),
    )


def _amount(asked: Mapping[str, Any], key: str) -> float:
    """The number that a keyword says, 0 if it says none."""
    said = asked.get(key) or 0
    if not isinstance(said, int | float):
        raise UsageError(f"{key}={said!r} is not a number", hint=f"{key}=8" if key == "nframe" else f"{key}=1.0")
    return said


class Dataset:
    """A variant with its questions read. `data` may be cut down (`dataset.data = dataset.data[:100]`)."""

    MODALITY = "VIDEO"

    def __init__(self, variant: Variant, *, data_root: Path | None = None, prompts: str | None = None) -> None:
        self.settings = Settings()
        self.benchmark = find_benchmark(variant.benchmark)
        if self.benchmark.is_foreign:
            hint = "from vlmeval.dataset import build_dataset: what it gives is taken as it is"
            raise UsageError(f"{variant.name} is VLMEvalKit's own dataset", hint=hint)
        self.variant = variant
        self.prompts = self._prompts(prompts)
        self.sampling = explicit(self.benchmark.sampling(variant, self.prompts))
        self.root = (data_root or self._located()).expanduser().absolute()
        if not self.root.is_dir():
            raise DataMissing(f"{self.root} is not a folder", hint="data_root=FOLDER")
        self._samples = {s.id: s for s in self.benchmark.load(self.root, variant)}
        self.data: pd.DataFrame = _frame(list(self._samples.values()))
        self.nframe, self.fps = variant.num_frames or 0, variant.fps or -1
        self.pack, self.use_subtitle = variant.pack, variant.subtitles
        self.data_root = str(self.root)

    @property
    def dataset_name(self) -> str:
        """The benchmark's name."""
        return self.benchmark.name

    @property
    def TYPE(self) -> str:
        """What kind of questions they are, as VLMEvalKit calls it."""
        return "Video-MCQ" if any(s.candidates for s in self._samples.values()) else "Video-VQA"

    @property
    def videos(self) -> list[str]:
        """The videos by their name in `data`, sorted."""
        return sorted({str(video) for video in self.data["video"]})

    @property
    def samples(self) -> list[Sample]:
        """The questions that `data` has, in its order. UsageError for one that the benchmark does not have."""
        ids = [str(index) for index in self.data["index"]]
        if unknown := [index for index in ids if index not in self._samples]:
            raise UsageError(f"{self.variant.name} has no question {unknown[0]!r}", hint="leave `index` as it was")
        return [self._samples[index] for index in ids]

    def __len__(self) -> int:
        return len(self.videos) if self.pack else len(self.data)

    def __getitem__(self, position: int) -> Any:
        if self.pack:
            return self.data[self.data["video"] == self.videos[position]]
        return dict(self.data.iloc[position])

    def build_prompt(self, line: Any, video_llm: bool = False, **_: Any) -> Message:
        """The message of a question (its position in `data`, or its row), of a video's questions in pack mode.

        With `video_llm` it names the video as a file, else frames as images.
        """
        key, samples = self._asked(line)
        return self.message(self.prompt(key, samples, video_llm=video_llm, frames=self._frames), samples)

    def message(self, prompt: Prompt, samples: Sequence[Sample]) -> Message:
        """A prompt about these samples as a message: frames, images and sounds as files."""
        named = tuple(self._found(part, samples[0]) for part in prompt.parts)
        return message_of(replace(prompt, parts=named), self._files)

    def prompt(self, key: str, samples: Sequence[Sample], *, video_llm: bool, frames: FrameSource) -> Prompt:
        """The prompt of a request about these samples. Raises VideoFailure for a video that cannot be read."""
        get = self._as_file if video_llm else self._clip
        clips = tuple(get(frames, ref) for ref in samples[0].shown)
        shown = Shown(
            clips=clips,
            form="video" if video_llm else "frames",
            root=self.root,
            subtitles=self.variant.subtitles,
            prompts=self.prompts,
        )
        return Prompt(parts=asking(key, self.benchmark).prompt(samples, shown), clips=clips, prompts=self.prompts)

    def save_video_frames(self, line: Any, *more: Any, **named: Any) -> list[str]:
        """The paths of a question's frames as image files."""
        _, samples = self._asked(line)
        return [path for ref in samples[0].shown for path in self._files.of(self._clip(self._frames, ref))]

    def load_pack_answers(self, data_raw: Mapping[str, str]) -> tuple["pd.DataFrame", Mapping[str, int]]:
        """Responses by video, taken apart by VLMEvalKit's rule: `data` with `prediction`, and its statistics."""
        ids = {v: [str(i) for i in self.data[self.data["video"] == v]["index"]] for v in self.videos}
        found, statistics = strict_of([(data_raw.get(video), asked) for video, asked in ids.items()])
        meta = self.data.copy()
        meta["prediction"] = [found[str(index)] for index in meta["index"]]
        return meta, statistics

    def evaluate(self, eval_file: str | Path, **judge_kwargs: Any) -> Mapping[str, Any]:
        """The rating of the run that a file was written of, as VLMEvalKit's rule path computes it; what it does with a
        judge is not done here. UsageError for a file that is none of ours, and a benchmark that needs a judge."""
        return rating_of(Path(eval_file).expanduser(), self.settings)

    # what it is made of

    def _prompts(self, name: str | None) -> PromptSet:
        if name is None and PromptSet.VLMEVALKIT in self.benchmark.prompt_sets:
            return PromptSet.VLMEVALKIT
        return self.benchmark.prompt_set(name)

    def _located(self) -> Path:
        found = locate(self.benchmark, self.settings)
        if found is None:
            hint = f"videval prepare {self.benchmark.name}"
            raise DataMissing(f"the data of {self.benchmark.name} is not on this machine", hint=hint)
        return found

    def _asked(self, line: Any) -> tuple[str, list[Sample]]:
        """The request of a position, a row, or a video in pack mode: its key and its samples."""
        if self.pack:
            video = self.videos[line] if isinstance(line, int) else line if isinstance(line, str) else line["video"]
            rows = self.data[self.data["video"] == video]
            group = [self._samples[str(index)] for index in rows["index"]]
            if not group:
                raise UsageError(f"{self.variant.name} has no question about {video!r}")
            return next(iter(packed(group).items()))
        row = self.data.iloc[line] if isinstance(line, int) else line
        sample = self._samples[str(row["index"])]
        return one_key(sample.id), [sample]

    def _clip(self, frames: FrameSource, ref: ClipRef) -> Clip:
        wanted = Wanted(
            path=self._file(ref.video),
            sampling=ref.sampling or self.sampling,
            span=ref.span,
            folder_fps=self.benchmark.folder_fps,
        )
        with frames.hold(wanted, on_decode=lambda: None) as fetched:
            return fetched.clip

    def _as_file(self, frames: FrameSource, ref: ClipRef) -> Clip:
        """A clip that stands for a file; with its frames known where subtitles are told by them."""
        path = as_file(self._file(ref.video), ref.span, folder_fps=self.benchmark.folder_fps, into=self._cut)
        if not self.variant.subtitles:
            return unread(str(path))
        return replace(self._clip(frames, ref), path=str(path))

    def _found(self, part: Part, sample: Sample) -> Part:
        match part:
            case Image():
                return Image(path=str(self._file(part.path)))
            case Sound():
                return Sound(path=str(self._file(part.path or sample.shown[part.clip].video)))
        return part

    def _file(self, relative: str) -> Path:
        return resolve_video(self.root, relative, allow_symlinks=self.settings.allow_symlinks)

    @cached_property
    def _frames(self) -> FramesHere:
        return FramesHere(FrameCache(self.settings.frame_cache_path, self.settings.frame_cache_gb))

    @cached_property
    def _files(self) -> FrameFiles:
        return FrameFiles()

    @cached_property
    def _cut(self) -> Path:
        return folder_of(self)


def _frame(samples: Sequence[Sample]) -> "pd.DataFrame":
    """The questions as VLMEvalKit has them: the benchmark's own columns, index, video and question among them."""
    import pandas as pd

    rows: list[dict[str, Any]] = [{**s.row, "index": s.row.get("index", s.id)} for s in samples]
    for row, sample in zip(rows, samples, strict=True):
        row.setdefault("video", sample.video)
        row.setdefault("question", sample.question)
    return pd.DataFrame(rows)
