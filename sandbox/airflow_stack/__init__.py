"""A real Airflow on a real PostgreSQL, owned by one ``with`` block: for the demo, the tests and the benchmarks."""

from sandbox.airflow_stack.airflow_api import DagRun, ImportFailure, TaskInstance
from sandbox.airflow_stack.stack import AirflowStack
from sandbox.airflow_stack.stack_errors import AirflowApiError, StackError

__all__ = ["AirflowApiError", "AirflowStack", "DagRun", "ImportFailure", "StackError", "TaskInstance"]
