# Two images from one file:
#   airflow   every Airflow component; the product and what it needs to run
#   sandbox   the emulated WATS and the seeding of a SQL Server; never part of a production system
# The project is in /opt/vte-wats and is installed from there in place, so that the provider's entry point, dags/,
# plugins/ and include/ are one copy. Built without secrets: passwords and keys come as environment variables at start.

# The tag is for people, the digest decides: the same bytes on every machine. Another one: PYTHON_IMAGE in .env.
ARG PYTHON_IMAGE=python:3.12.14-slim-bookworm@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254
FROM ${PYTHON_IMAGE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH
RUN groupadd --gid 50000 airflow \
    && useradd --uid 50000 --gid airflow --home-dir /opt/airflow --create-home airflow \
    && python -m venv /opt/venv
WORKDIR /opt/vte-wats

FROM base AS airflow
COPY requirements.lock ./
RUN pip install --require-hashes --no-deps --only-binary :all: -r requirements.lock && pip check
COPY pyproject.toml VERSION setup.py LICENSE README.md ./
COPY plugins/ plugins/
COPY dags/ dags/
COPY include/ include/
# Compiled once: the file system is read-only later, and each task is a process that would compile it again.
RUN pip install --no-deps --no-build-isolation -e . && python -m compileall -q plugins
ENV AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/vte-wats/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/vte-wats/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
# The folders that become volumes: a new volume takes over their owner.
RUN mkdir -p /opt/airflow/logs /opt/airflow/vte_wats /opt/airflow/auth \
    && chown -R airflow:airflow /opt/airflow
USER 50000:50000
CMD ["airflow", "version"]

FROM base AS sandbox
COPY requirements-dev.lock ./
RUN pip install --require-hashes --no-deps --only-binary :all: -r requirements-dev.lock && pip check
COPY sandbox/ sandbox/
COPY include/sql/grant_read_only.sql include/sql/grant_read_only.sql
RUN mkdir -p /var/lib/sandbox && chown airflow:airflow /var/lib/sandbox
USER 50000:50000
CMD ["python", "-m", "sandbox", "--help"]
