"""The parent of an embedded Redis: ends it when nobody has used it for a while, however its users went.

Run by its path with `python -I -S`, so it imports the standard library only: it starts in a few milliseconds, takes
little memory and sees no module of the current folder. Users hold a shared lock on `users.lock`, which the kernel
releases when they die (`workers/broker.py`). The kernel ends Redis with its guardian.

    python -I -S guardian.py FOLDER SECONDS redis-server OPTION ...
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["KEEP", "USERS", "watch"]

USERS, KEEP = "users.lock", "keep"
LOOKS = 4
"""How often it is looked in the time after which an unused Redis ends."""
END_PATIENCE = 3.0


def watch(redis: "subprocess.Popen[bytes]", folder: Path, patience: float) -> None:
    """Wait until Redis ends, and end it when nobody has held the users' lock for `patience` seconds.

    It is ended with the lock held: who comes meanwhile waits, and then starts another.
    """
    users = os.open(folder / USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    last_used = time.monotonic()
    while redis.poll() is None:
        signal.sigtimedwait({signal.SIGCHLD}, patience / LOOKS)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            last_used = time.monotonic()
            continue
        if (folder / KEEP).exists():
            last_used = time.monotonic()
        elif time.monotonic() - last_used >= patience:
            _end(redis)
        fcntl.flock(users, fcntl.LOCK_UN)


def _end(redis: "subprocess.Popen[bytes]") -> None:
    redis.terminate()
    try:
        redis.wait(END_PATIENCE)
    except subprocess.TimeoutExpired:
        redis.kill()
        redis.wait()


def _ends_with_guardian() -> None:
    """In the child, before it is Redis."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def main() -> None:
    """Start Redis and watch over it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    folder, patience = Path(sys.argv[1]), float(sys.argv[2])
    redis = subprocess.Popen(sys.argv[3:], stdin=subprocess.DEVNULL, preexec_fn=_ends_with_guardian)
    watch(redis, folder, patience)
    sys.exit(redis.returncode)


if __name__ == "__main__":
    main()
