"""`python -P -m workers worker`: the same as `celery -A workers worker`, whatever modules lie in the current folder."""

import sys

from celery.__main__ import main

if __name__ == "__main__":
    sys.argv[1:1] = ["-A", "workers"]  # this package is loaded already: Celery does not look for it in the folder
    main()
