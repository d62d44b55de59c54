"""What every test is spared: the settings of whoever runs it, in the environment and in a `.env` beside the code."""

import os

from videval.settings import Settings

for name in [n for n in os.environ if n.startswith(("VIDEVAL_", "CELERY_"))]:
    del os.environ[name]
Settings.model_config["env_file"] = None
