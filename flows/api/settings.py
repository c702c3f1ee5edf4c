"""How much the service takes, and how long it keeps it."""

from pydantic import BaseModel, ConfigDict, Field

MEBIBYTE = 1024**2


class ApiSettings(BaseModel):
    """Bounds of uploads, of the queue, and of what is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most_bytes: int = Field(1024 * MEBIBYTE, ge=1, description="Largest upload, in bytes.")
    stall_s: float = Field(20, gt=0, description="Longest time without a byte in mid-upload, in seconds.")
    upload_minutes: float = Field(30, gt=0, description="Longest time for one upload, in minutes.")
    queue: int = Field(
        8, ge=1, le=1000, description="Clips that are received, wait or are judged at one time, at most."
    )
    keep_minutes: float = Field(
        60, gt=0, le=10_080, description="How long a result and its evidence stay after judging, in minutes."
    )
    kept: int = Field(200, ge=1, le=100_000, description="Most results that are kept; the oldest goes first.")
