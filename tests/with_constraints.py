"""Install the wheel beside an Airflow under Airflow's own constraints, and test the package with what is then there.

Each release of Airflow names the versions it was tested with; whoever installs Airflow the documented way has those,
which are older than the ones this project is developed with. The wheel may add packages and change none, and the code
must work with what stands there: a range that is too wide shows nowhere else.

    python -m tests.with_constraints dist/vte_wats-….whl [tests …]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = REPOSITORY / "tests" / "data"
EXTRAS = "celery,postgres,statsd"
PROVIDERS = ("apprise", "common-io", "microsoft-mssql", "smtp", "standard")
TOOLS = (
    "aiosmtpd", "apache-airflow-client", "botocore", "duckdb", "flask", "hypothesis", "jsonschema",
    "pyarrow", "pytest", "pytest-timeout", "pytest-xdist", "python-tds", "sqlglot",
)  # fmt: skip
LACKS_VERSIONS = "INDEX_LACKS_VERSIONS"  # set to 1 where the package index is a mirror that has not every version
TESTS = ("tests/unit", "tests/integration/test_wats_hook.py", "tests/integration/test_vte_source.py")


def constraints() -> Path:
    """Return the file of the newest release of Airflow that is kept."""
    return max(DATA.glob("constraints-*.txt"), key=lambda file: Version(airflow_version(file)))


def airflow_version(file: Path) -> str:
    """Return the release that a file of constraints belongs to."""
    found = re.fullmatch(r"constraints-([\d.]+)-python-[\d.]+", file.stem)
    if found is None:
        raise ValueError(f"{file.name} is not called constraints-<release>-python-<version>.txt")
    return found[1]


def pinned(text: str) -> dict[str, str]:
    """Return the versions that lines like ``name==version`` pin, by normalised name."""
    found = re.findall(r"(?m)^([\w.-]+)(?:\[[\w,]+\])?==([\w.+!]+)", text)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


class Environment:
    """A virtual environment of its own, filled by pip."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True)
        self.python = folder / "bin" / "python"

    def install(self, *requirements: str, constraint: Path) -> str | None:
        """Install requirements within the constraints; return what pip said when it could not, else nothing."""
        options = ("--quiet", "--disable-pip-version-check", "--constraint", str(constraint))
        command = [str(self.python), "-m", "pip", "install", *options, *requirements]
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        sys.stderr.write(done.stderr)
        return done.stderr if done.returncode else None

    def installed(self) -> dict[str, str]:
        """Return what is installed, by name."""
        command = [str(self.python), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
        return pinned(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def test(self, tests: list[str]) -> int:
        """Run tests of this repository and return the exit code of pytest."""
        with tempfile.TemporaryDirectory() as home:
            options = ["-q", "-m", "not slow and not converge", "--numprocesses=2", "-p", "no:cacheprovider"]
            command = [str(self.python), "-m", "pytest", *options, *tests]
            return subprocess.run(
                command, cwd=REPOSITORY, env=os.environ | {"AIRFLOW_HOME": home}, check=False
            ).returncode


def lacks_a_version(said: str) -> bool:
    """Return whether pip found a package, but not in the version that is asked for.

    Without a network pip says that it found no version at all, or those of another place: it has retried before.
    """
    found = re.search(r"Could not find a version that satisfies .*\(from versions: (?!none\))", said)
    return found is not None and "WARNING: Retrying (" not in said


def not_installed(what: str, said: str) -> int:
    """Return 1: nothing was tested. Return 0 where a version does not exist here and that is said to be known."""
    if not lacks_a_version(said):
        return 1
    sys.stdout.write(
        f"NOT TESTED with Airflow's constraints: {what} cannot be installed here, with or without the wheel. "
        f"{LACKS_VERSIONS}=1 lets that pass\n"
    )
    return 0 if os.environ.get(LACKS_VERSIONS) == "1" else 1


def main(arguments: list[str] | None = None) -> int:
    """Install, compare, test; return 0 if the wheel changed nothing and the tests passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("tests", nargs="*", default=TESTS)
    options = parser.parse_args(arguments)
    file = constraints()
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(Path(folder) / "venv")
        providers = [f"apache-airflow-providers-{name}" for name in PROVIDERS]
        airflow = f"apache-airflow[{EXTRAS}]=={airflow_version(file)}"
        said = environment.install(airflow, *providers, constraint=file)
        if said is not None:
            return not_installed(airflow, said)
        before = environment.installed()
        if environment.install(str(options.wheel.resolve()), constraint=file) is not None:
            return 1
        after = environment.installed()
        changed = {name: (before[name], after.get(name)) for name in before if after.get(name) != before[name]}
        added = sorted(after.keys() - before.keys())
        sys.stdout.write(f"Airflow {airflow_version(file)}: added {', '.join(added)}; changed {changed or 'nothing'}\n")
        if changed:
            return 1
        kept = Path(folder) / "kept.txt"
        developed_with = pinned((REPOSITORY / "requirements-dev.lock").read_text(encoding="utf-8"))
        pins = developed_with | pinned(file.read_text(encoding="utf-8")) | after
        kept.write_text("".join(f"{name}=={pins[name]}\n" for name in sorted(pins) if name != "vte-wats"), "utf-8")
        said = environment.install(*TOOLS, constraint=kept)
        if said is not None:
            return not_installed("what the tests need beside it", said)
        return environment.test(list(options.tests))


if __name__ == "__main__":
    sys.exit(main())
