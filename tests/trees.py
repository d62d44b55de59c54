"""Small data sets in each benchmark's true on-disk layout: file names, folders, JSON and parquet columns as published.

`tree(name, root)` writes one unpacked, `tree(name, root, packed=True)` as it is downloaded (zip, tar in pieces,
pickles). Each has a few questions about short clips that really decode.
"""

import csv
import io
import json
import pickle
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from videval.benchmarks.mvbench_tasks import TASKS, task_file
from videval.video.encode import write_frame_folder, write_video

__all__ = ["BUILDERS", "clip", "frame_folder", "tree"]

FPS, FRAMES = 10, 30
SRT = "1\n00:00:00,100 --> 00:00:00,900\nHello there\n\n2\n00:00:01,000 --> 00:00:02,500\nTwo\nlines\n"


def tree(name: str, root: Path, *, packed: bool = False) -> Path:
    """Write the data set of a benchmark below root and return root."""
    root.mkdir(parents=True, exist_ok=True)
    BUILDERS[name](root, packed)
    return root


@cache
def clip(codec: str = "h264") -> bytes:
    """Three seconds of video in which each frame has a brightness of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        write_video(path, _frames(FRAMES), FPS, codec)
        return path.read_bytes()


def frame_folder(path: Path) -> None:
    """Three seconds as images at 3 a second, 00001.jpg and on."""
    write_frame_folder(path, _frames(9))


def _frames(count: int) -> Any:
    levels = np.linspace(20, 230, count).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, 48, 64, 3)).copy()


def put(root: Path, path: str, content: bytes | str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.encode() if isinstance(content, str) else content)


def put_json(root: Path, path: str, value: object) -> None:
    put(root, path, json.dumps(value, ensure_ascii=False))


def put_parquet(root: Path, path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist([dict(row) for row in rows]), root / path)


def put_zip(root: Path, path: str, files: Mapping[str, bytes | str]) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(root / path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def put_tar(root: Path, path: str, files: Mapping[str, bytes | str], pieces: int = 1) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            raw = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    whole = buffer.getvalue()
    size = -(-len(whole) // pieces)
    for i in range(pieces):
        suffix = f".part.{chr(97)}{chr(97 + i)}" if pieces > 1 else ""
        put(root, f"{path}{suffix}", whole[i * size : (i + 1) * size])


def put_tsv(root: Path, path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    put(root, path, text.getvalue())


def _unpacked(root: Path, folder: str, files: Mapping[str, bytes | str]) -> None:
    for name, content in files.items():
        put(root, f"{folder}/{name}" if folder else name, content)


def _mvbench(root: Path, packed: bool) -> None:
    media = {"ssv2_video/": ("webm", "vp9"), "Moments_in_Time_Raw/videos/": ("gif", "gif")}
    files: dict[str, bytes] = {}
    for task, (folder, kind, bounded) in TASKS.items():
        suffix, codec = media.get(folder, ("mp4", "h264"))
        video = "castle_s01e01_clip" if kind == "frame" else f"clip_{len(files)}.{suffix}"
        if kind == "frame":
            frame_folder(root / "video" / folder / video)
        else:
            files[f"{folder}{video}"] = clip(codec)
        bounds = {"start": 0.5, "end": 2.5, "fps": 3.0} if bounded else {}
        asked = {"video": video, "candidates": ["the book", 'it\'s a "cup"', "Not sure"], **bounds}
        put_json(
            root,
            task_file(task),
            [
                {**asked, "question": f"{task}: what comes first?", "answer": "the book"},
                {**asked, "question": f"{task}: what comes last?", "answer": 'it\'s a "cup"'},
            ],
        )
    if not packed:
        return _unpacked(root, "video", files)
    folders = sorted({name.split("/")[0] for name in files})
    for folder in folders:
        inside = {name: content for name, content in files.items() if name.startswith(f"{folder}/")}
        put_zip(root, f"video/{folder}.zip", inside)
    return None


def _mvbench_mp4(root: Path, packed: bool) -> None:
    asked = {"video": "v.mp4", "question": "What comes first?", "answer": "x", "candidates": ["x", "y"]}
    tasks = {"Action Sequence": "star/Charades_segment", "Object Shuffle": "perception/videos"}
    put_json(root, "test.json", {"root": tasks, "meta": {task: [asked] for task in tasks}})
    for folder in tasks.values():
        put(root, f"{folder}/v.mp4", clip())


def _mvtamperbench(root: Path, packed: bool) -> None:
    from videval.benchmarks.pages.mvtamperbench import _FOLDERS

    files = {}
    for task, folder in _FOLDERS.items():
        files[f"{folder}v_masking.mp4"] = clip()
        asked = {"video": "v_masking.mp4", "question": "What happened?", "tamper_type": "masking"}
        put_json(root, task_file(task), [{**asked, "answer": "masked", "candidates": ["masked", "dropped"]}])
    if packed:
        put_zip(root, "video/all.zip", files)
    else:
        _unpacked(root, "video", files)


def _mmbench_video(root: Path, packed: bool) -> None:
    rows = [
        {
            "index": i, "video": f"vid{i // 3}_processed", "video_type": "News", "question": f"Question {i}?",
            "answer": f"Answer {i}", "dimensions": "['OCR', 'Counting']",
            "video_path": f"./video/vid{i // 3}_processed.mp4",
        }
        for i in range(6)
    ]  # fmt: skip
    put_tsv(root, "MMBench-Video.tsv", rows)
    videos = {f"vid{i}_processed": clip() for i in range(2)}
    if packed:
        put(root, "video_pkl/video_chunk_0.pkl", pickle.dumps({"vid0_processed": videos["vid0_processed"]}))
        put(root, "video_pkl/video_chunk_1.pkl", pickle.dumps({"vid1_processed": videos["vid1_processed"]}))
    else:
        _unpacked(root, "video", {f"{name}.mp4": content for name, content in videos.items()})


def _video_mme(root: Path, packed: bool) -> None:
    rows = [
        {
            "video_id": f"00{i // 3 + 1}", "duration": ("short", "medium")[i // 3], "domain": "Knowledge",
            "sub_category": "Law", "url": "https://example.org", "videoID": f"vid-{i // 3}",
            "question_id": f"00{i // 3 + 1}-{i % 3 + 1}", "task_type": "Counting Problem",
            "question": f"How many ({i})?", "options": ["A. 1.", "B. 2.", "C. 3.", "D. 4."], "answer": "ABC"[i % 3],
        }
        for i in range(6)
    ]  # fmt: skip
    put_parquet(root, "videomme/test-00000-of-00001.parquet", rows)
    videos = {f"vid-{i}.mp4": clip() for i in range(2)}
    if packed:
        put_zip(root, "videos_chunked_01.zip", {f"data/{name}": content for name, content in videos.items()})
        put_zip(root, "subtitle.zip", {"subtitle/vid-0.srt": SRT})
    else:
        _unpacked(root, "video", videos)
        put(root, "subtitle/vid-0.srt", SRT)


def _longvideobench(root: Path, packed: bool) -> None:
    rows = [
        {
            "video_id": f"vid{i}", "question": f"At which moment ({i})?", "question_wo_referring_query": "When?",
            "candidates": ["early", "late", "never"], "correct_choice": i, "position": [10, 20],
            "topic_category": "KG", "question_category": "S2E", "level": "L1-Perception", "id": f"vid{i}_0",
            "video_path": f"vid{i}.mp4", "subtitle_path": f"vid{i}_en.json", "duration_group": 15,
            "starting_timestamp_for_subtitles": 0.0, "duration": 3.0, "view_count": 7,
        }
        for i in range(2)
    ]  # fmt: skip
    put_json(root, "lvb_val.json", rows)
    videos: dict[str, bytes | str] = {f"videos/vid{i}.mp4": clip() for i in range(2)}
    subtitles: dict[str, bytes | str] = {
        "subtitles/vid0_en.json": json.dumps([{"timestamp": [0.1, 1.2], "text": "first words"}]),
        "subtitles/vid1_en.json": json.dumps(
            [{"start": "00:00:00.100", "end": "00:00:02.900", "line": "all the time"}]
        ),
    }
    if packed:
        put_tar(root, "videos.tar", videos, pieces=3)
        put_tar(root, "subtitles.tar", subtitles)
    else:
        _unpacked(root, "", {**videos, **subtitles})


def _mlvu(root: Path, packed: bool) -> None:
    from videval.benchmarks.pages.mlvu import _FREE, _TASKS

    for task, file in _TASKS.items():
        asked: dict[str, Any] = {"video": f"{task}_1.mp4", "duration": 480.0, "question": f"{task}?"}
        if task in _FREE:
            asked |= {"answer": "It is long.", "scoring_points": "a;b"}
        else:
            asked |= {"answer": "one", "candidates": ["one", "two", "three", "four"]}
        put_json(root, f"MLVU/json/{file}.json", [{**asked, "question_type": task}])
        put(root, f"MLVU/video/{file}/{task}_1.mp4", clip())


def _tempcompass(root: Path, packed: bool) -> None:
    asked = {"video_id": "1021488277", "dim": "action", "strategy": "single"}
    choice = {"question": "What is he doing?\nA. dunking\nB. dribbling", "answer": "A. dunking"}
    match = {
        "question": "Which caption matches?\nOption 1: He dunks.\nOption 2: He dribbles.",
        "answer": "Option 1: He dunks.",
    }
    yes_no = {"question": "Is he dunking?", "answer": "yes"}
    caption = {
        "question": "Describe it.\nGenerated Caption:", "answer": "A. dunking",
        "mc_question": "What?", "mc_answer": "A",
    }  # fmt: skip
    parts = {"multi-choice": choice, "caption_matching": match, "yes_no": yes_no, "captioning": caption}
    for task, columns in parts.items():
        put_parquet(root, f"{task}/test-00000-of-00001.parquet", [{**asked, **columns}])
    if packed:
        put_zip(root, "tempcompass_videos.zip", {"videos/1021488277.mp4": clip()})
    else:
        put(root, "videos/1021488277.mp4", clip())


def _worldsense(root: Path, packed: bool) -> None:
    task = {
        "task_domain": "Recognition", "task_type": "Audio Recognition", "question": "What is heard?",
        "answer": "B", "candidates": ["A. wind", "B. rain", "C. fire", "D. cars"],
    }  # fmt: skip
    about = {
        "duration": "<1min", "domain": "Tech & Science", "sub_category": "Chem", "audio_class": ["Speech"],
        "video_caption": "Rain.", "task0": task, "task1": {**task, "answer": "C"},
    }  # fmt: skip
    put_json(root, "worldsense_qa.json", {"aBcD": about, "eFgH": about})
    videos = {f"{name}.mp4": clip() for name in ("aBcD", "eFgH")}
    if packed:
        put_zip(root, "worldsense_videos_1.zip", {f"videos/{n}": content for n, content in videos.items()})
        put_zip(root, "worldsense_subtitles.zip", {"subtitles/aBcD.srt": SRT})
    else:
        _unpacked(root, "videos", videos)
        put(root, "subtitles/aBcD.srt", SRT)


def _video_mmmu(root: Path, packed: bool) -> None:
    asked = {"answer": "B", "options": ["A. x", "B. y"], "question_type": "multiple-choice"}
    image = {"bytes": b"\x89PNG", "path": "dev_Art_1.png"}
    put_parquet(
        root,
        "Adaptation/test-00000-of-00001.parquet",
        [
            {**asked, "id": "dev_Art_1", "question": "Which one? <image 1>", "image": image},
            {"id": "dev_Art_2", "question": "How many? <image 1>", "answer": "4", "options": [],
             "question_type": "open", "image": {**image, "path": "dev_Art_2.png"}},
        ],
    )  # fmt: skip
    for category in ("Comprehension", "Perception"):
        rows = [{**asked, "id": f"new_{category}_1", "question": "Which one?"}]
        put_parquet(root, f"{category}/test-00000-of-00001.parquet", rows)
    names = ("dev_Art_1", "dev_Art_2", "new_Comprehension_1", "new_Perception_1")
    videos: dict[str, bytes | str] = {f"Art/{name}.mp4": clip() for name in names}
    stills = {f"Art_question_only/{name}.mp4": b"" for name in names}
    if packed:
        put_zip(root, "Art.zip", {**videos, **stills})
    else:
        _unpacked(root, "videos", videos)


def _dream1k(root: Path, packed: bool) -> None:
    rows = [
        {"index": i, "video": f"video/{i}", "question": "Describe the video in detail.", "answer": f"It is {i}.",
         "events": '["it is"]'}
        for i in range(2)
    ]  # fmt: skip
    put_tsv(root, "DREAM-1K.tsv", rows)
    if packed:
        put_zip(root, "video/video.zip", {**{f"video/{i}.mp4": clip() for i in range(2)}, "__MACOSX/._0.mp4": b"x"})
    else:
        _unpacked(root, "video", {f"{i}.mp4": clip() for i in range(2)})


def _egoschema(root: Path, packed: bool) -> None:
    options = [f"{letter}. C does {i}" for i, letter in enumerate("ABCDE")]
    rows = [
        {"question_idx": str(i), "question": "What is C doing?", "video_idx": f"uid-{i}", "option": options,
         "answer": str(i + 2)}
        for i in range(2)
    ]  # fmt: skip
    put_parquet(root, "Subset/test-00000-of-00001.parquet", rows)
    videos = {f"videos/uid-{i}.mp4": clip() for i in range(2)}
    if packed:
        put_zip(root, "videos_chunked_01.zip", videos)
    else:
        _unpacked(root, "", videos)


def _nextqa(root: Path, packed: bool) -> None:
    rows = [
        {"video": 4010069381 + i, "frame_count": 30, "width": 64, "height": 48, "question": "why did he sit",
         "answer": i, "qid": i, "type": "CW", **{f"a{k}": f"reason {k}" for k in range(5)}}
        for i in range(2)
    ]  # fmt: skip
    put_parquet(root, "MC/test-00000-of-00001.parquet", rows)
    videos = {f"NExTVideo/{4010069381 + i}.mp4": clip() for i in range(2)}
    if packed:
        put_zip(root, "videos.zip", videos)
    else:
        _unpacked(root, "", videos)


def _lvbench(root: Path, packed: bool) -> None:
    question = "Who came first?\n(A) Ann\n(B) Bob\n(C) Cas\n(D) Dee"
    qa = [
        {"uid": f"{i}", "question": question, "answer": "ABCD"[i], "question_type": ["entity recognition"],
         "time_reference": "00:01-00:02"}
        for i in range(2)
    ]  # fmt: skip
    record = {"key": "Cm73ma6Ibcs", "type": "cartoon", "video_info": {"fps": 25.0}, "qa": qa}
    put(root, "video_info.meta.jsonl", json.dumps(record) + "\n")
    put(root, "videos/Cm73ma6Ibcs.mp4", clip())


BUILDERS: dict[str, Callable[[Path, bool], None]] = {
    "DREAM-1K": _dream1k,
    "EgoSchema": _egoschema,
    "LVBench": _lvbench,
    "LongVideoBench": _longvideobench,
    "MLVU": _mlvu,
    "MMBench-Video": _mmbench_video,
    "MVBench": _mvbench,
    "MVBench_MP4": _mvbench_mp4,
    "MVTamperBench": _mvtamperbench,
    "MVTamperBenchEnd": _mvtamperbench,
    "MVTamperBenchStart": _mvtamperbench,
    "NExT-QA": _nextqa,
    "TempCompass": _tempcompass,
    "Video-MME": _video_mme,
    "VideoMMMU": _video_mmmu,
    "WorldSense": _worldsense,
}
