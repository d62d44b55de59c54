"""What every test is spared: the settings of whoever runs it, in the environment and in a `.env` beside the code, and
the size of a terminal that it is not in."""

import os

from videval.settings import Settings

for name in [n for n in os.environ if n.startswith(("VIDEVAL_", "CELERY_")) or n in ("COLUMNS", "LINES")]:
    del os.environ[name]
Settings.model_config["env_file"] = None
