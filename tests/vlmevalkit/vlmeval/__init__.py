"""A small package in the shape of VLMEvalKit's: written for these tests, with its names and signatures."""

import os
import sys
from pathlib import Path

__version__ = "0.2toy"

sys.stdout.write("the toolkit greets everybody on standard output\n")
if log := os.environ.get("TOY_IMPORTS"):
    with Path(log).open("a") as file:
        file.write(f"{os.getpid()}\n")
