"""docker-compose.yaml, Dockerfile, .env.example, the pools and the grant script, judged without a Docker engine."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from airflow.configuration import conf

from sandbox import seed_airflow, seed_sql_server
from sandbox.factory_data.factory import FactoryData
from vte_wats.config.dag_options import OPTIONS
from vte_wats.config.settings import KEY_COLUMNS, OPTIONAL_COLUMNS, parse_settings
from vte_wats.config.sites import Site
from vte_wats.wats.wats_connection import WatsConnection, WatsOptions

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
TLS = yaml.safe_load((REPOSITORY / "docker-compose.tls.yaml").read_text(encoding="utf-8"))
USERS = yaml.safe_load((REPOSITORY / "docker-compose.users.yaml").read_text(encoding="utf-8"))
ENV_EXAMPLE = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")

PRODUCTION = {
    "postgres", "redis", "airflow-init", "api-server", "scheduler", "dag-processor", "triggerer", "worker",
}  # fmt: skip
SANDBOX = {"sqlserver", "vte-plant", "wats", "mail", "sandbox-init"}
ONE_SHOT = {"airflow-init", "sandbox-init"}

VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:[-?])([^}]*))?\}")
PINNED = re.compile(r"[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)


def interpolated(node: Any) -> Any:
    """Put in what compose would put in with an .env that fills every required variable."""
    if isinstance(node, str):
        return VARIABLE.sub(lambda v: v[3] if v[2] == ":-" else "filled", node).replace("$$", "$")
    if isinstance(node, Mapping):
        return {key: interpolated(value) for key, value in node.items()}
    return [interpolated(value) for value in node] if isinstance(node, list) else node


def environment(name: str) -> dict[str, str]:
    return {key: str(value) for key, value in SERVICES[name].get("environment", {}).items()}


def compose_specification() -> dict[str, Any]:
    package = importlib.util.find_spec("check_jsonschema")
    assert package, "check-jsonschema, which ships the compose schema, is not installed; see requirements-dev.txt"
    folder = Path(package.submodule_search_locations[0])
    return json.loads((folder / "builtin_schemas/vendor/compose-spec.json").read_text(encoding="utf-8"))


def test_compose_file_follows_the_compose_specification():
    jsonschema.validate(interpolated(COMPOSE), compose_specification())


def test_production_holds_nothing_of_the_sandbox():
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == PRODUCTION
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["sandbox"]} == SANDBOX
    for name in PRODUCTION:
        assert set(SERVICES[name].get("depends_on", {})) <= PRODUCTION
        assert "sandbox" not in json.dumps(SERVICES[name])


@every_service
def test_every_service_shows_its_health_or_ends(name):
    service = SERVICES[name]
    if name in ONE_SHOT:
        assert service["restart"] == "no"
        assert "healthcheck" not in service
    else:
        assert service["restart"] == "unless-stopped"
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


@every_service
def test_no_service_runs_as_root(name):
    user, _, _group = str(SERVICES[name]["user"]).partition(":")
    assert user.isdecimal()
    assert int(user) > 0


@every_service
def test_every_image_is_pinned_by_digest_or_made_here(name):
    image = interpolated(SERVICES[name]["image"])
    if "build" in SERVICES[name]:
        assert not image.endswith((":latest", ":"))
    else:
        assert PINNED.fullmatch(image)


def test_images_to_choose_are_the_same_in_every_file():
    chosen = dict(re.findall(r"^#(\w+_IMAGE)=(\S+)$", ENV_EXAMPLE, re.MULTILINE))
    defaults = re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", (REPOSITORY / "docker-compose.yaml").read_text())
    assert dict(defaults) == chosen
    assert all(PINNED.fullmatch(image) for image in chosen.values())
    assert [rest for name, rest in instructions() if name == "ARG"] == [f"PYTHON_IMAGE={chosen['PYTHON_IMAGE']}"]


@every_service
def test_waiting_for_a_service_fits_what_that_service_does(name):
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert wait["condition"] == expected, other


@every_service
def test_no_secret_stands_in_the_file(name):
    secret = re.compile(r"PASSWORD$|PASSWORDS$|SECRET|_KEY$|TOKEN|REDISCLI_AUTH|SQL_ALCHEMY_CONN|BROKER_URL|BACKEND")
    for key, value in environment(name).items():
        if secret.search(key):
            assert VARIABLE.search(value), key
            assert not re.search(r":[^/@]+@", VARIABLE.sub("", value)), key


@every_service
def test_ports_are_open_to_this_machine_alone_by_default(name):
    for port in SERVICES[name].get("ports", []):
        assert interpolated(port).startswith("127.0.0.1:")


@every_service
def test_bind_mounts_exist_and_are_read_only(name):
    for volume in SERVICES[name].get("volumes", []):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            assert (REPOSITORY / source).exists()
            assert rest.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


@every_service
def test_networks_and_published_ports_fit(name):
    networks = SERVICES[name]["networks"]
    assert set(networks) <= set(COMPOSE["networks"])
    assert "outside" in networks or not SERVICES[name].get("ports"), "an internal network publishes no ports"


def test_env_example_names_exactly_the_variables_in_use():
    used = {found[1] for text in strings([COMPOSE, TLS]) for found in VARIABLE.finditer(text)}
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", ENV_EXAMPLE, re.MULTILINE))
    assert used == named


def test_env_example_holds_no_value_but_defaults_that_compose_has_too():
    for name, value in re.findall(r"^([A-Z][A-Z0-9_]+)=(.*)$", ENV_EXAMPLE, re.MULTILINE):
        assert value == "", name
    defaults = {
        f[1]: f[3] for text in strings([COMPOSE, TLS]) for f in VARIABLE.finditer(text) if f[2] == ":-" and f[3]
    }
    assert defaults == dict(re.findall(r"^#([A-Z][A-Z0-9_]+)=(.+)$", ENV_EXAMPLE, re.MULTILINE))


def test_production_names_every_missing_secret_and_asks_for_none_of_the_sandbox():
    required, _, rest = ENV_EXAMPLE.partition("# --- Required for --profile sandbox")
    required_names = set(re.findall(r"^([A-Z][A-Z0-9_]+)=", required, re.MULTILINE))
    for text in strings(COMPOSE):
        for found in VARIABLE.finditer(text):
            assert (found[2] == ":?") == (found[1] in required_names), found[1]
    assert re.findall(r"^([A-Z][A-Z0-9_]+)=", rest, re.MULTILINE) == [
        "MSSQL_SA_PASSWORD", "VTE_ADAPTER_PASSWORD", "WATS_PASSWORD",
    ]  # fmt: skip


@every_service
def test_airflow_options_exist(name):
    for variable in environment(name):
        if variable.startswith("AIRFLOW__"):
            _, section, option = variable.lower().split("__")
            if section == "vte_wats":
                assert option in {known.name for known in OPTIONS}, variable
            else:
                assert option in conf.configuration_description[section]["options"], variable


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_can_be_set_in_env_and_has_its_default(option):
    variable = VARIABLE.fullmatch(environment("scheduler")[f"AIRFLOW__VTE_WATS__{option.name.upper()}"])
    assert variable
    assert variable[1] == f"VTE_WATS_{option.name.upper()}"
    assert (variable[2], variable[3]) == (":-", option.default) or option.name == "start_date"
    assert re.search(rf"^#?{variable[1]}=", ENV_EXAMPLE, re.MULTILINE)


POOLS = {"vte_read", "vte_survey", "vte_wats_state", "wats_api"}


@pytest.mark.parametrize("missing", [{"wats_api"}, POOLS - {"wats_api"}, POOLS], ids=sorted)
def test_only_the_pools_that_are_missing_are_created(missing, tmp_path):
    """The part of airflow-init that creates pools, with an `airflow` that notes what it is asked for."""
    script = SERVICES["airflow-init"]["command"][-1].replace("$$", "$")
    part = script[script.index("python - <<") : script.index("umask")]
    part = part.replace("/tmp/", f"{tmp_path}/").replace("/opt/vte-wats", str(REPOSITORY))
    program = tmp_path / "airflow"
    known = "|".join(sorted(POOLS - missing)) or "none"
    program.write_text(
        f'#!/bin/sh\nif [ "$2" = get ]; then case "$3" in {known}) exit 0;; *) exit 1;; esac; fi\ncat "$3"\n'
    )
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-euc", part], env=environ, capture_output=True, text=True, check=True)
    decoder, created, rest = json.JSONDecoder(), {}, done.stdout
    while rest:
        pool, end = decoder.raw_decode(rest)
        created |= pool
        rest = rest[end:]
    pools = json.loads((REPOSITORY / "include" / "pools.json").read_text(encoding="utf-8"))
    assert created == {name: pools[name] for name in missing}


AIRFLOW = PRODUCTION - {"postgres", "redis"}
# Who uses which secret: what Airflow's own code reads in that component.
USERS_OF = {
    "AIRFLOW__CORE__FERNET_KEY": AIRFLOW - {"worker"},
    "AIRFLOW__API__SECRET_KEY": {"api-server"},
    "AIRFLOW__API_AUTH__JWT_SECRET": {"api-server", "scheduler", "triggerer", "worker"},
    "AIRFLOW__CELERY__BROKER_URL": {"scheduler", "worker"},
    "AIRFLOW__CELERY__RESULT_BACKEND": {"scheduler", "worker"},
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": AIRFLOW,
    "ADMIN_PASSWORD": {"airflow-init"},
    "POSTGRES_PASSWORD": {"postgres"},
    "REDISCLI_AUTH": {"redis"},
}


@pytest.mark.parametrize("name", sorted(AIRFLOW))
def test_every_airflow_component_gets_the_same_configuration_beside_the_secrets(name):
    theirs = {key: value for key, value in environment(name).items() if key not in USERS_OF}
    assert theirs == {key: value for key, value in environment("scheduler").items() if key not in USERS_OF}


def test_a_secret_goes_to_the_services_that_use_it_alone():
    secrets = {
        name
        for text in ENV_EXAMPLE.split("# --- Required for")[:1]
        for name in re.findall(r"^([A-Z_]+)=$", text, re.MULTILINE)
    }
    secrets -= {"VTE_WATS_START_DATE"}
    holders = {
        key: {name for name in PRODUCTION if key in environment(name)}
        for name in PRODUCTION
        for key, value in environment(name).items()
        if secrets & {found[1] for found in VARIABLE.finditer(value)}
    }
    assert holders == USERS_OF


@pytest.mark.parametrize("name", sorted(PRODUCTION | {"sandbox-init", "vte-plant", "wats", "mail"}))
def test_file_systems_are_read_only_and_rights_are_dropped(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]


@every_service
def test_memory_and_processes_have_limits_and_own_images_come_from_no_registry(name):
    service = SERVICES[name]
    assert re.fullmatch(r"\d+g", interpolated(service["mem_limit"]))
    assert 0 < service["pids_limit"] <= 1024
    assert service["pull_policy"] == ("build" if "build" in service else "missing")


def test_nobody_can_make_production_connect_to_any_host():
    assert {environment(name)["AIRFLOW__CORE__TEST_CONNECTION"] for name in AIRFLOW} == {"Disabled"}


def test_sandbox_programs_accept_the_arguments_that_compose_gives():
    *python, module = SERVICES["vte-plant"]["command"][:3]
    assert (python, module) == (["python", "-m"], seed_sql_server.__spec__.name)
    options = seed_sql_server._parser().parse_args(SERVICES["vte-plant"]["command"][3:])
    assert (options.host, options.runs, options.oddities, options.live) == ("sqlserver", 600, True, True)
    assert str(options.ready_file) == SERVICES["vte-plant"]["healthcheck"]["test"][-1]
    assert SERVICES["wats"]["command"][:3] == ["python", "-m", "sandbox.wats"]


def test_sandbox_settings_are_those_of_the_plant_and_pass_validation():
    assert FactoryData(1).settings(alerts=seed_airflow.SETTINGS["alerts"]) == seed_airflow.SETTINGS
    parse_settings(json.dumps(seed_airflow.SETTINGS))
    connections = seed_airflow.connections("vte-password", "wats-password")
    assert set(connections) == {"vte_default", "wats_default", "smtp_default"}
    wats = connections["wats_default"]
    fields = {name: wats[name] for name in ("host", "port", "login", "password")}
    WatsConnection.parse("wats_default", **fields, extra=json.dumps(wats["extra"]))
    assert all(connection["host"].removeprefix("http://") in SERVICES for connection in connections.values())


def test_pools_are_those_the_tasks_use():
    pools = json.loads((REPOSITORY / "include/pools.json").read_text(encoding="utf-8"))
    assert {name: pool["slots"] for name, pool in pools.items()} == {
        Site().wats_pool: WatsOptions().concurrent_tasks,
        Site().state_pool: 1,
        Site().vte_pool: 2,
        Site().survey_pool: 1,
    }
    assert all(set(pool) == {"slots", "description", "include_deferred"} for pool in pools.values())


def test_the_page_on_scaling_names_what_compose_sets():
    page = (REPOSITORY / "docs/scaling.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `\[(\w+)\] (\w+)` \| (\S*) ?\| (\S+) \|", page, re.MULTILINE)
    assert len(rows) >= 6
    for section, option, here, default in rows:
        assert environment("worker").get(f"AIRFLOW__{section.upper()}__{option.upper()}", "") == here, option
        known = conf.configuration_description[section]["options"][option]["default"]
        assert default == (known or "86400"), option  # the provider knows this one alone


# Dockerfile


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [(name.upper(), rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def stages() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for name, rest in instructions():
        if name == "ARG":
            continue
        if name == "FROM":
            found[rest.split()[-1]] = []
        found[list(found)[-1]].append((name, rest))
    return found


def copied() -> list[str]:
    return [source for name, rest in instructions() if name == "COPY" for source in shlex.split(rest)[:-1]]


def test_dockerfile_uses_known_instructions_and_pinned_images():
    assert {name for name, _ in instructions()} <= {"ARG", "FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "CMD"}
    assert {found[0][1].split()[0] for found in stages().values()} == {"${PYTHON_IMAGE}", "base"}


@pytest.mark.parametrize("target", sorted({s["build"]["target"] for s in SERVICES.values() if "build" in s}))
def test_dockerfile_targets_end_as_the_user_that_compose_names(target):
    users = [rest for name, rest in stages()[target] if name == "USER"]
    assert users == ["50000:50000"]
    assert {s["user"] for s in SERVICES.values() if s.get("build", {}).get("target") == target} == set(users)


@pytest.mark.parametrize("source", copied())
def test_dockerfile_copies_what_exists_and_reaches_the_builder(source):
    assert (REPOSITORY / source).exists()
    kept = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert any(fnmatch(source.rstrip("/"), pattern) or source.startswith(f"{pattern}/") for pattern in kept)


def test_images_are_made_of_locked_packages_and_hold_no_secret():
    for name, rest in instructions():
        if name == "RUN" and "pip install" in rest:
            assert "--require-hashes" in rest or "--no-deps --no-build-isolation -e ." in rest
        if name == "ENV":
            assert not re.search(r"PASSWORD|SECRET|TOKEN|_KEY=", rest)
    assert (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()[1] == "*"
    assert not any(source.startswith(".env") for source in copied())


def test_airflow_image_reads_dags_and_plugins_from_the_one_copy():
    text = " ".join(rest for _, rest in stages()["airflow"])
    assert "AIRFLOW__CORE__DAGS_FOLDER=/opt/vte-wats/dags" in text
    assert "AIRFLOW__CORE__PLUGINS_FOLDER=/opt/vte-wats/plugins" in text
    assert ("WORKDIR", "/opt/vte-wats") in stages()["base"]
    assert not any("sandbox" in rest for name, rest in stages()["airflow"] if name == "COPY")


# The grant script


def test_the_login_may_read_the_columns_that_are_read_and_nothing_else():
    text = (REPOSITORY / "include/sql/grant_read_only.sql").read_text(encoding="utf-8")
    granted = {
        table: set(re.findall(r"\[(\w+)\]", columns))
        for columns, table in re.findall(r"^GRANT SELECT \(([^)]*)\) ON \[dbo\]\.\[(\w+)\] TO", text, re.MULTILINE)
    }
    assert granted == {table: KEY_COLUMNS[table] | OPTIONAL_COLUMNS[table] for table in KEY_COLUMNS}
    assert "Users" not in granted
    assert set(re.findall(r"^REVOKE SELECT ON \[dbo\]\.\[(\w+)\] FROM", text, re.MULTILINE)) == granted.keys()


def test_the_grant_script_gives_no_other_right():
    text = (REPOSITORY / "include/sql/grant_read_only.sql").read_text(encoding="utf-8")
    batches = list(seed_sql_server.batches(text, {"VTE_DATABASE": "VTE9_3", "VTE_ADAPTER_PASSWORD": "Aa1-x"}))
    assert not re.search(r"ALTER ROLE|sp_addrolemember|CONTROL|EXECUTE|INSERT|UPDATE|DELETE|\$\(", " ".join(batches))
    assert batches[0] == "USE [VTE9_3];"
    assert sum(batch.count("GRANT ") for batch in batches) == 8


# ------------------------------------------------------------------------------------------------------------ overlays
def test_the_overlay_for_tls_follows_the_compose_specification_and_adds_to_services_that_exist():
    jsonschema.validate(interpolated(TLS), compose_specification())
    assert TLS["services"].keys() <= PRODUCTION
    for service in TLS["services"].values():
        assert service.keys() <= {"environment", "volumes", "healthcheck"}
        for variable in service["environment"]:
            _, section, option = variable.lower().split("__")
            assert option in conf.configuration_description[section]["options"], variable


def test_with_the_overlay_for_tls_every_address_of_the_api_server_is_https():
    plain = {name for name, service in SERVICES.items() if "command" in service and "celery" in service["command"]}
    assert plain == {"worker"}  # the only one that asks the execution API over the network
    assert plain <= TLS["services"].keys()
    assert "http://" not in json.dumps(TLS)
    assert TLS["services"]["worker"]["environment"]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == (
        environment("worker")["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].replace("http://", "https://")
    )


def test_the_key_is_mounted_read_only_and_into_the_api_server_alone():
    mounts = {name: interpolated(service["volumes"]) for name, service in TLS["services"].items()}
    assert all(mount.endswith(":ro") for found in mounts.values() for mount in found)
    assert [name for name, found in mounts.items() if any("key.pem" in mount for mount in found)] == ["api-server"]
    for name, service in TLS["services"].items():
        inside = {mount.split(":")[-2] for mount in mounts[name]}
        assert {text for text in service["environment"].values() if text.startswith("/")} <= inside


def test_the_overlay_for_users_gives_every_airflow_component_one_auth_manager():
    jsonschema.validate(interpolated(USERS), compose_specification())
    made = {name for name, service in SERVICES.items() if str(service["image"]).startswith("vte-wats/airflow")}
    assert USERS["services"].keys() == made - SANDBOX
    for service in USERS["services"].values():
        assert (service["image"], service["pull_policy"]) == ("vte-wats/airflow-users:latest", "never")
        (variable,) = service["environment"]
        _, section, option = variable.lower().split("__")
        assert option in conf.configuration_description[section]["options"]


def test_images_made_here_have_the_build_in_their_name_and_label():
    made = {name: service for name, service in SERVICES.items() if "build" in service}
    assert made
    for service in made.values():
        assert service["image"].endswith(":${VTE_WATS_BUILD:-0.1.0}")
        assert service["build"]["labels"]["org.opencontainers.image.version"] == "${VTE_WATS_BUILD:-0.1.0}"
    assert (REPOSITORY / "VERSION").read_text().startswith("0.1.0")
