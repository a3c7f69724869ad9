"""An Airflow that encrypts its Variables, and Variables that it cannot decrypt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow.models.crypto import get_fernet
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from cryptography.fernet import Fernet


@pytest.fixture
def encrypted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Airflow with a Fernet key, and no Variable that was written with another one, or without."""
    forget_variables()
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    get_fernet.cache_clear()
    yield
    forget_variables()
    monkeypatch.undo()
    get_fernet.cache_clear()


def forget_variables() -> None:
    with create_session() as session:
        session.query(Variable).delete()


def hide(name: str, text: str) -> None:
    """Let a Variable be one that an earlier key encrypted."""
    with create_session() as session:
        row = session.query(Variable).filter(Variable.key == name).one()
        row._val, row.is_encrypted = Fernet(Fernet.generate_key()).encrypt(text.encode()).decode(), True
