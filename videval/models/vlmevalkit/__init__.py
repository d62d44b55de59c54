"""VLMEvalKit's own models and datasets, where the package `vlmeval` is installed.

Nobody here imports it but `adapter`, in an engine's process, and `process`, a child that lists names, words questions
and evaluates: `import vlmeval` takes long, prints, and brings libraries along. Facts: its `config.py`, `vlm/base.py`,
`dataset/__init__.py`, `dataset/video_base.py` and `inference_video.py`, 2024 to 2026.
"""
