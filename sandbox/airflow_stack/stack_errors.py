class StackError(RuntimeError):
    """Part of the stack did not come up or went away; the message holds the last lines of its log."""


class AirflowApiError(StackError):
    """Airflow's REST API answered with an error status."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(status_code, message)
        self.status_code = status_code

    def __str__(self) -> str:
        return f"HTTP {self.status_code}: {self.args[1]}"
