"""What can be set on a server while it runs."""

from dataclasses import dataclass
from enum import StrEnum


class RetryAfterForm(StrEnum):
    """The two forms HTTP allows for Retry-After."""

    SECONDS = "seconds"
    HTTP_DATE = "http_date"


@dataclass
class ServerSettings:
    """Settings shared by all parts of one server; assigning takes effect with the next request."""

    version: str = "2025.3.9.824"
    latency_s: float = 0.0
    retry_after_form: RetryAfterForm = RetryAfterForm.SECONDS
    quoted_guids_only: bool = False
    answers_with_array: bool = False  # answer a post with an array of one result, as real servers do
    renames_reports: bool = False  # keep each report under an id of the server's own, always the same one
    max_filter_nodes: int | None = 100
    max_query_string_chars: int = 2_048
    max_body_size_bytes: int = 30_000_000
