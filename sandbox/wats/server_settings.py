"""What can be set on a server while it runs."""

from dataclasses import dataclass
from enum import StrEnum

from sandbox.wats.profiles import DEFAULT, WatsProfile


class RetryAfterForm(StrEnum):
    """The two forms HTTP allows for Retry-After."""

    SECONDS = "seconds"
    HTTP_DATE = "http_date"


@dataclass
class ServerSettings:
    """Settings shared by all parts of one server; assigning takes effect with the next request."""

    profile: WatsProfile = DEFAULT
    version: str = "2025.3.9.824"
    latency_s: float = 0.0
    retry_after_form: RetryAfterForm = RetryAfterForm.SECONDS
    max_filter_nodes: int | None = 100
    max_query_string_chars: int = 2_048
