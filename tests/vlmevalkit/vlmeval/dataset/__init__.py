"""Datasets by name."""

from typing import Any

from vlmeval.dataset.toys import Pictured, Silent, Toys

VIDEO_DATASET = [Toys]
DATASET_CLASSES = [*VIDEO_DATASET, Pictured, Silent]
SUPPORTED_DATASETS = [name for cls in DATASET_CLASSES for name in cls.supported_datasets()]


def build_dataset(dataset_name: str, **kwargs: Any) -> Any:
    from vlmeval.dataset.video_dataset_config import supported_video_datasets

    if dataset_name in supported_video_datasets:
        return supported_video_datasets[dataset_name](**kwargs)
    for cls in DATASET_CLASSES:
        if dataset_name in cls.supported_datasets():
            return cls(dataset=dataset_name, **kwargs)
    return None
