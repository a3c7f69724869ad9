"""Which failure of a task is worth another try: the error's class decides, Airflow follows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

from vte_wats.domain.errors import RetriableError, VteWatsError


class SyncRetryPolicy(RetryPolicy):
    """Retry what may succeed later, with the wait the other side asked for; fail at once what needs a person.

    Anything else, such as a full disk, follows the task's own ``retries`` and exponential backoff.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Mapping[str, Any] | None = None
    ) -> RetryDecision:
        """Return the decision for a failed try."""
        del try_number, max_tries, context
        if isinstance(exception, RetriableError):
            if exception.retry_after_s is None:
                return RetryDecision.default()
            return RetryDecision.retry(timedelta(seconds=exception.retry_after_s), "the server asked for this wait")
        if isinstance(exception, VteWatsError):
            return RetryDecision.fail(str(exception).partition("\n")[0])
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return the name Airflow stores with the DAG."""
        return {"__type": f"{type(self).__module__}.{type(self).__qualname__}"}
