"""The call that VLMEvalKit's users have: change one import line, and the rest stays as it is.

    from videval.compat import build_dataset, infer_data_job_video

What is asked is a run like any other, in the database of VIDEVAL_HOME: it is gone on with, shown, scored and exported
as such. See docs/vlmevalkit.md.
"""

from videval.compat.datasets import Dataset, build_dataset
from videval.compat.jobs import infer_data_job_video
from videval.compat.models import NamedModel

__all__ = ["Dataset", "NamedModel", "build_dataset", "infer_data_job_video"]
