"""What operators watch a service by."""

from enum import StrEnum

from pydantic import Field

from service.core.settings.section import Section


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class LogSettings(Section):
    """What is logged, and how."""

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level that is logged.")
    log_format: LogFormat = Field(LogFormat.JSON, description="`json`, or `text` for people.")
    access_log: bool = Field(True, description="Log a line for each request.")
