"""One Settings object: read from VIDEVAL_* variables and `.env` at the edge, and passed down."""

import hashlib
import os
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ModelWrapValidatorHandler, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from videval.errors import EnvironmentProblem
from videval.paths import expanded
from videval.types import ReaderName
from videval.words import what_is_right

__all__ = ["Settings"]

Seconds = Annotated[float, Field(gt=0)]


def _default_home() -> Path:
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "videval"


def _said(problem: Any) -> str:
    """What is wrong with one variable, by a problem that pydantic found."""
    name = "_".join(str(part) for part in problem["loc"])
    return f"VIDEVAL_{name.upper()} is {what_is_right(problem)}, not {str(problem['input'])!r}"


def _as_text(value: Any) -> str:
    """A setting's value as the environment has it; one that is not set is empty."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return "" if value is None else str(value)


class Settings(BaseSettings):
    """All that a user may set; each field is the variable VIDEVAL_<NAME> in the environment or in `.env`.

    An empty `database_url` or `broker_url` means the embedded default in `home`.
    """

    model_config = SettingsConfigDict(
        env_prefix="VIDEVAL_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    home: Path = Field(default_factory=_default_home, description="where the embedded defaults live")
    database_url: SecretStr = Field(default=SecretStr(""), description="SQLAlchemy URL; empty: SQLite in home")
    broker_url: SecretStr = Field(default=SecretStr(""), description="redis://... ; empty: an embedded Redis")
    api_nproc: int = Field(default=32, ge=1, description="requests that a worker sends to an endpoint at once, at most")
    endpoints: Path | None = Field(default=None, description="file of endpoints; default: endpoints.toml in home")
    data_root: Path | None = Field(default=None, description="folder that holds the benchmarks' data")
    frame_cache: Path | None = Field(default=None, description="folder of decoded clips; default: in home")
    frame_cache_gb: float = Field(default=20.0, gt=0, description="size budget of the frame cache, GB")
    output_dir: Path = Field(default=Path("outputs"), description="where export writes")

    devices: str = Field(default="auto", description="auto, or N, GPU-uuid, MIG-uuid, a+b, cpu:K, cpu*N, api*N")
    lock_dir: Path | None = Field(default=None, description="machine-wide folder of the device locks")

    batch_size: int = Field(default=1, ge=1, description="requests generated together")
    prefix_gb: float | None = Field(default=None, ge=0, description="GB of clips' prefixes kept; unset: a share; 0: no")
    look_ahead: int = Field(default=2, ge=0, description="requests got ready beside; unset: more for a fast model")
    fit_frames: bool = Field(default=True, description="keep frames of long clips at the size that the model sees")
    reader: ReaderName = Field(default="auto", description="who reads videos: auto, pyav, decord, torchcodec, nvdec")
    decoders: int | None = Field(default=None, ge=1, description="decoder processes per worker; unset: as cores allow")

    lease: Seconds = Field(default=60.0, description="seconds a claim holds without a heartbeat")
    heartbeat: Seconds = Field(default=10.0, description="seconds between heartbeats")
    reconcile: Seconds = Field(default=3.0, description="seconds between reconciliations")
    dispatch: Seconds = Field(default=1.0, description="seconds between looks at which queues have work")
    turn: Seconds = Field(default=900.0, description="seconds with one model while another one waits")
    republish: Seconds = Field(default=30.0, description="seconds until a message is presumed lost; doubles")
    retry_delay: Seconds = Field(
        default=5.0, description="first wait after a passing failure; doubles, but at endpoints"
    )
    max_attempts: int = Field(default=3, ge=1, description="strikes until a request is failed as poison")
    max_retries: int = Field(default=5, ge=0, description="tries again after passing failures")
    load_deadline: Seconds = Field(default=1800.0, description="seconds until a model's load is given up")
    decode_deadline: Seconds = Field(default=300.0, description="seconds to decode a video, and as many as it plays")
    generate_deadline: Seconds = Field(default=900.0, description="seconds to prepare, and to generate, one request")
    vllm_args: str = Field(default="", description='more arguments for vLLM: {"gpu_memory_utilization": 0.8}')
    max_rss_gb: float | None = Field(default=None, gt=0, description="a worker that grows past this is replaced")

    tied_to: int | None = Field(default=None, description="process id without which a worker drains (set by run)")
    allow_symlinks: bool = Field(default=False, description="let videos be symlinks to outside the data root")
    dashboard_password: SecretStr = Field(default=SecretStr(""), description="asked for by the dashboard")
    dashboard_allow_actions: bool = Field(default=False, description="let the dashboard change runs")

    @model_validator(mode="wrap")
    @classmethod
    def _told_plainly(cls, given: Any, handler: ModelWrapValidatorHandler["Settings"]) -> "Settings":
        """What is wrong with which variable, as EnvironmentProblem."""
        try:
            return handler(given)
        except ValidationError as error:
            found = "; ".join(_said(problem) for problem in error.errors())
            raise EnvironmentProblem(found, hint="set it right or unset it, in the environment or .env") from None

    @property
    def is_embedded_broker(self) -> bool:
        """Whether the broker is the embedded Redis of this home."""
        return not self.broker_url.get_secret_value()

    @property
    def is_embedded_database(self) -> bool:
        """Whether the database is the SQLite file of this home."""
        return not self.database_url.get_secret_value()

    @property
    def database(self) -> str:
        """The SQLAlchemy URL that is used, password included: never log it."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.home_path / 'videval.db'}"

    @property
    def home_path(self) -> Path:
        """`home`, absolute, with ~ expanded."""
        return expanded(self.home).absolute()

    @property
    def endpoints_path(self) -> Path:
        """The file of endpoints, absolute; it need not be there."""
        return expanded(self.endpoints or self.home_path / "endpoints.toml").absolute()

    @property
    def frame_cache_path(self) -> Path:
        """The folder of decoded clips, absolute."""
        return expanded(self.frame_cache or self.home_path / "frames").absolute()

    @property
    def spool_path(self) -> Path:
        """Where answers wait that could not be stored before a worker had to end."""
        return self.home_path / "spool"

    def as_environ(self) -> dict[str, str]:
        """The variables that make these settings in another process, passwords included: never log it."""
        return {f"VIDEVAL_{name.upper()}": _as_text(getattr(self, name)) for name in sorted(self.model_fields_set)}

    @cached_property
    def runtime_path(self) -> Path:
        """A short per-user folder for sockets and locks, keyed by the home's hash (socket paths are <= 107 bytes)."""
        key = hashlib.sha256(os.fsencode(self.home_path.resolve())).hexdigest()[:12]
        base = os.environ.get("XDG_RUNTIME_DIR") or str(Path(tempfile.gettempdir()) / f"videval-{os.getuid()}")
        return Path(base) / f"videval-{key}"

    @property
    def broker_socket(self) -> Path:
        """The embedded Redis's unix socket."""
        return self.runtime_path / "redis.sock"

    @property
    def broker(self) -> str:
        """The broker URL that is used, password included: never log it."""
        return self.broker_url.get_secret_value() or f"redis+socket://{self.broker_socket}"

    @property
    def lock_path(self) -> Path:
        """The machine-wide folder of the device locks."""
        return self.lock_dir or Path(tempfile.gettempdir()) / "videval-locks"
