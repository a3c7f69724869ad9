"""Known secrets, and every place they must not turn up in."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from sandbox.environment import READER_PASSWORD
from tests.faults.site import Site


def secrets_of(site: Site) -> tuple[str, ...]:
    """Return the secrets of both connections, also in the forms in which they travel."""
    return READER_PASSWORD, site.plant.wats.token


def leaks(site: Site) -> list[str]:
    """Return where a secret stands in clear: logs, storage, every table of Airflow's database, and what was sent.

    That no mail was sent at all counts as a leak too, for then none was looked at.
    """
    secrets = secrets_of(site)
    mails = [_whole(mail) for mail in site.mail.mails]
    folders = [site.airflow.folders.logs, site.airflow.folders.airflow / "logs", site.storage]
    return [
        *(f"file {path.name}" for folder in folders for path in _files(folder) if _holds(path, secrets)),
        *_tables(site, secrets),
        *(f"mail {number}" for number, text in enumerate(mails) if any(secret in text for secret in secrets)),
        *([] if mails else ["no mail, for none was sent"]),
    ]


def leaks_in_storage(site: Site) -> list[str]:
    """Return the files of staging and dead letters that hold a secret."""
    return [f"file {path.name}" for path in _files(site.storage) if _holds(path, secrets_of(site))]


def _whole(mail: EmailMessage) -> str:
    """Return a mail as it travelled and as it is read."""
    parts = [part.get_content() for part in mail.walk() if part.get_content_maintype() == "text"]
    return "\n".join([mail.as_string(), *parts])


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _holds(path: Path, secrets: tuple[str, ...]) -> bool:
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError):
            return False
    return any(secret.encode() in content for secret in secrets)


def _tables(site: Site, secrets: tuple[str, ...]) -> Iterator[str]:
    fernet = Fernet(site.airflow._env["AIRFLOW__CORE__FERNET_KEY"])
    with site.metadata() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for (table,) in cursor.fetchall():
            for secret in secrets:
                cursor.execute(f'SELECT count(*) FROM "{table}" AS t WHERE t::text LIKE %s', (f"%{secret}%",))
                if cursor.fetchone()[0]:
                    yield f"table {table}"
        cursor.execute("SELECT key, val FROM variable")
        for key, value in cursor.fetchall():
            try:
                text = fernet.decrypt(value.encode()).decode()
            except InvalidToken:
                text = value
            if any(secret in text for secret in secrets):
                yield f"Variable {key}"
