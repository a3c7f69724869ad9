"""A real Airflow on a real PostgreSQL, owned by one ``with`` block: for the demo, the tests and the benchmarks."""

from sandbox.airflow_stack.errors import AirflowApiError, StackError
from sandbox.airflow_stack.rest import DagRun, ImportFailure, TaskInstance
from sandbox.airflow_stack.stack import AirflowStack

__all__ = ["AirflowApiError", "AirflowStack", "DagRun", "ImportFailure", "StackError", "TaskInstance"]
