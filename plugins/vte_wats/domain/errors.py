"""What can go wrong, named by what to do next.

Every failure of the outside world is translated into one of these classes at the edge where it happens; the verbs,
the retry policy and the operator see nothing else.
"""

from __future__ import annotations

from vte_wats.domain.redaction import redact
from vte_wats.messages import Message


def code_of(reason: str) -> str:
    """Return the code that the text of an error begins with."""
    return reason.partition(" ")[0]


class VteWatsError(Exception):
    """Root of the product's errors: a message of the catalogue, and what it says about this case.

    ``detail`` is redacted. All arguments go to ``Exception``, so every error survives pickling.
    """

    def __init__(self, message: Message, detail: str, *more: object) -> None:
        detail = redact(detail)
        super().__init__(message, detail, *more)
        self.message = message
        self.detail = detail

    @property
    def code(self) -> str:
        """The stable code, such as ``VW304``."""
        return self.message.code

    @property
    def public(self) -> str:
        """What it says to people who may see neither settings nor connections nor logs: no value of any of them."""
        return f"{self.code} {self.message.meaning}"

    def __str__(self) -> str:
        return f"{self.code} {self.detail}"


class RetriableError(VteWatsError):
    """The same call may succeed later: the network, a deadlock, a busy server.

    ``retry_after_s`` is the number of seconds the other side asked us to wait, when it said so.
    """

    def __init__(self, message: Message, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, detail, retry_after_s)
        self.retry_after_s = retry_after_s


class RejectedError(VteWatsError):
    """This run can never be uploaded as it is. It becomes a dead letter; the other runs go on.

    ``signature`` groups equal failures: the same text for every run that fails for the same reason.
    """

    def __init__(self, message: Message, detail: str, signature: str) -> None:
        signature = redact(signature)
        super().__init__(message, detail, signature)
        self.signature = signature


class HeldError(RejectedError):
    """This run waits until a person extends a setting or WATS; it is uploaded once that is done."""


class FatalError(VteWatsError):
    """Nothing can work until a person acts: wrong credentials, wrong address, wrong database, invalid settings.

    ``public`` is the detail without any value, where there is one.
    """

    def __init__(self, message: Message, detail: str, public: str = "") -> None:
        public = redact(public)
        super().__init__(message, detail, public)
        self._public = public

    @property
    def public(self) -> str:
        """See :attr:`VteWatsError.public`."""
        return f"{self.code} {self._public}" if self._public else super().public
