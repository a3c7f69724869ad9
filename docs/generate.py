"""Write the pages of docs/ that say what the code says already; ``--check`` only tells whether they are up to date.

``configuration.md`` comes from the settings, the connection form and the options of the DAGs, ``schema.md`` from the
reference schema of the sandbox, ``failures.md`` from the two failure tables, ``troubleshooting.md`` from the codes.
"""  # noqa: INP001 - a program, not a package

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlglot
from pydantic import BaseModel
from sqlglot import exp

from vte_wats.alerting.monitor_state import Condition, MonitorState, ServerCheck, Waiting
from vte_wats.config.alert_settings import AlertSettings, QuietHours
from vte_wats.config.settings import PartRevision, Settings, TableOverride
from vte_wats.config.sites import Site
from vte_wats.messages import MESSAGES
from vte_wats.vte.sql_errors import SQL_ERRORS
from vte_wats.wats.connection import WatsOptions
from vte_wats.wats.response_errors import RESPONSE_ERRORS, FailureClass

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "plugins" / "vte_wats"
REFERENCE_SCHEMA = ROOT / "sandbox" / "vte" / "reference_schema.sql"
SQL_FOLDER = ROOT / "include" / "sql"

HEADER = "<!-- Written by docs/generate.py. Change the code it describes, then run: python docs/generate.py -->\n\n"

# One value for every setting; together they are an answer that passes validation.
EXAMPLES: dict[str, Any] = {
    "source_timezone": "Europe/Oslo",
    "process_map": {"PSU Final Test": 100, "*Calibration": 110},
    "timestamp_marks": "end",
    "ambiguous_time": "earlier",
    "result_codes": {"1": "Passed", "0": "Failed", "9": "Terminated"},
    "step_result_codes": {"1": "Passed", "0": "Failed", "7": "Skipped"},
    "no_limit_values": [9.9e37, -9.9e37],
    "part_number": "product_name",
    "part_revision": {"source": "testplan_variant", "constant": "A"},
    "station": "hostname",
    "purpose": "Production",
    "default_location": "Hall 3",
    "problem_characters": "reject",
    "source_schema": "dbo",
    "column_overrides": {
        "UutData": {"table": "Units", "columns": {"Serial": "SerialNo"}},
        "IndexData": {"columns": {"Info3": None}},
    },
    "guard_band_s": 900,
    "settle_delay_s": 60,
    "batch_size": 200,
    "lock_timeout_ms": 2000,
    "existence_check": "uuid",
    "rejection_limit": 20,
    "storage_path": "s3://aws_default@bucket/vte_wats",
    "alerts": {
        "recipients": ["floor-it@factory.example"],
        "apprise_connection": "apprise_default",
        "quiet_hours": {"begin": "22:00", "end": "06:00"},
        "summary_at": "07:00",
    },
}  # fmt: skip

NESTED: dict[str, type[BaseModel]] = {
    "part_revision": PartRevision,
    "column_overrides.<table>": TableOverride,
    "alerts": AlertSettings,
    "alerts.quiet_hours": QuietHours,
}

OPTION_MEANINGS = {
    "sites": "Names of the sites, separated by commas, when there are several: each has DAGs, connections, Variables "
    "and pools of its own, with its name at their end. Empty: one site without a name.",
    "start_date": "The instant from which runs are synced, ISO 8601. Catchup reads everything since then, interval by "
    "interval; older history is for a backfill. Required.",
    "schedule": "When the sync runs: a cron expression in UTC. One interval lies between two of its times.",
    "max_active_runs": "Intervals in work at the same time, when several were missed. With more than one slot in the "
    "pool of WATS set it to 1: intervals that share a guard band would post the same run twice.",
    "backfill_slices": "Slices that one DAG run of a backfill carries before the next one goes on.",
    "retries": "Further tries of a failed task.",
    "retry_delay_s": "Seconds before the first further try; they double each time, up to ten minutes. WATS may ask for "
    "more with Retry-After.",
    "reconcile_schedule": "When VTE and WATS are compared: a cron expression in UTC.",
    "monitor_schedule": "When the monitor looks at everything: a cron expression in UTC.",
    "deadline_s": "Seconds after the end of its interval by which a sync must have ended; later, a mail is sent. "
    "0: no deadline.",
}

PLACES = (
    (
        "connection `vte_default`",
        "how to reach the VTE database",
        "plan, extract, upload (runs that changed), verify, monitor and preflight",
    ),
    (
        "connection `wats_default`",
        "how to reach WATS, and how fast",
        "compare, upload, verify, monitor and preflight; plan looks at its address",
    ),
    ("Variable `vte_wats`", "what this site's data means: one JSON object", "every task, once at its start"),
    ("section `[vte_wats]` of Airflow's configuration", "when the DAGs run", "Airflow, when it loads the DAG files"),
)

VTE_FIELDS = (
    ("Host", "name or address of the SQL Server", "`vte-sql.factory.example`"),
    ("Port", "TCP port; empty means 1433", "`1433`"),
    ("Database schema", "the database (Airflow calls it schema)", "`VTE9_3`"),
    ("Login", "the read-only login of `include/sql/grant_read_only.sql`", "`vte_adapter_readonly`"),
    ("Password", "its password", ""),
    ("Extra", "options of pymssql, see below", '`{"encryption": "require"}`'),
)
EXTRA_MEANINGS = {
    "timeout": "Seconds one statement may take.",
    "login_timeout": "Seconds connecting may take.",
    "charset": "Keep it; other values damage text.",
    "appname": "The name under which the database administrator sees the connection.",
}
WATS_FIELDS = (
    ("Host (WATS server)", "address of the WATS server, without `/api`", "`https://acme.wats.com`"),
    ("Port", "only when the address has none and it is not the usual one", ""),
    ("Login", "empty with an API token", ""),
    ("Password", "the API token as WATS shows it; beside a login, that user's password", ""),
)
MAIL_FIELDS = (
    ("Host, Port", "the mail server", "`smtp.factory.example`, `465`"),
    ("Login, Password", "empty when the server asks for none", ""),
    ("From email", "the address mails come from; required", "`vte-wats@factory.example`"),
    ("Disable SSL, Disable TLS", "port 465: leave both off; port 587: disable SSL; port 25 inside: disable both", ""),
    (
        "Connection timeout, Number of retries",
        "30 s and 5 unless set; 10 and 1 are plenty, the monitor comes again",
        "",
    ),
)
RUN_KINDS = (
    (
        "`dead`",
        "the run can never be uploaded as it is, or WATS refused it",
        (
            "correct the run in VTE or the setting its letter names, then trigger `vte_wats_backfill` with its GUID or "
            "signature"
        ),
    ),
    (
        "`held`",
        "the run cannot be judged yet: its test plan, a result code or the process code is not known",
        "extend the setting, and the next sync tries it again; extend WATS, and `vte_wats_reconcile` does so daily",
    ),
)


WAYS = (
    (
        "a dead letter or held run",
        "the DAG run that wrote it",
        "its file names `dag_id` and `run_id`: Airflow › DAGs › that DAG › Runs",
    ),
    (
        "a line in a log",
        "the report in WATS",
        (
            "the GUID of the run is the id of its report; the button **Open in WATS** of the upload task "
            "leads to one of its slice"
        ),
    ),
    (
        "a report in WATS",
        "the run in VTE",
        "misc info `source_id` is `VTE:` and the run's `Index_GUID`, `source_system` the `Testsystem_GUID`",
    ),
    (
        "a report in WATS",
        "the log of its upload",
        (
            "search the logs of the upload tasks for the GUID; intervals are named by their time, and the start in the "
            "report tells which"
        ),
    ),
    (
        "a run that is nowhere",
        "why",
        "trigger `vte_wats_backfill` with its GUID in **guids**: the log of upload tells what became of it",
    ),
)


def main() -> None:
    """Write the pages, or with ``--check`` exit with 1 when one of them is not what would be written."""
    parser = argparse.ArgumentParser(prog="python docs/generate.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a page is stale")
    check_only = parser.parse_args().check
    stale = []
    for name, text in pages().items():
        path = DOCS / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(f"docs/{name}")
        if not check_only:
            path.write_text(text, encoding="utf-8")
    if check_only and stale:
        sys.exit(f"out of date: {', '.join(stale)}. Run: python docs/generate.py")
    sys.stdout.write(f"{'written' if stale else 'up to date'}: {', '.join(stale or pages())}\n")


def pages() -> dict[str, str]:
    """Return every page by file name."""
    return {
        "configuration.md": HEADER + configuration(),
        "schema.md": HEADER + schema(),
        "failures.md": HEADER + failures(),
        "troubleshooting.md": HEADER + troubleshooting(),
    }


# Configuration --------------------------------------------------------------------------------------------------------


def configuration() -> str:
    """Describe everything a site can set."""
    Settings.model_validate_json(json.dumps(EXAMPLES))
    nested = "\n".join(
        f"### `{name}`\n\n" + _settings_table(model, _example_of(name)) for name, model in NESTED.items()
    )
    return f"""# Configuration

Four places, each for one kind of answer:

{_table(("where", "what", "who reads it"), PLACES)}
Alerts go out through the connection `smtp_default` and, where a site wants it, one of type Apprise: see
[alerts](alerts.md).

The Variable `vte_wats_state` is written by the sync alone: coverage, totals, `lastSync`, and the database and WATS they
belong to. Leave it as it is, and back it up with Airflow's database.

## Variable `vte_wats`

The smallest answer that works:

```json
{json.dumps({name: EXAMPLES[name] for name in _required(Settings)}, indent=4)}
```

A wrong answer stops the task at once. The message lists every mistake together, each with its field, the rule and the
value given; names that are no setting are refused.

{_settings_table(Settings, EXAMPLES)}
{nested}
## Variable `vte_wats_alerts`

Written by `vte_wats_monitor` at every check, for the status page and other tools; times are ISO 8601 in UTC.

{_table(("name", "meaning"), list(_fields(MonitorState)))}
`vte` and `wats`:

{_table(("name", "meaning"), list(_fields(ServerCheck)))}
`waiting`:

{_table(("name", "meaning"), list(_fields(Waiting)))}
Each of `conditions`, by the names in [alerts](alerts.md#what-is-watched):

{_table(("name", "meaning"), list(_fields(Condition)))}
## Connection `vte_default`

Connection type: Microsoft SQL Server.

{_table(("field", "meaning", "example"), VTE_FIELDS)}
What `Extra` may hold beside other arguments of `pymssql.connect`, such as `encryption` and `tds_version`:

{_table(("name", "default", "meaning"), list(_extras()))}
## Connection `wats_default`

Connection type: WATS.

{_table(("field", "meaning", "example"), WATS_FIELDS)}
{_settings_table(WatsOptions, None)}
`requests_per_minute` holds for all tasks of all DAGs on all workers together. Give the pool `wats_api` as many slots as
`concurrent_tasks` says; [the budget](budget.md) tells when more than one is worth it.

## Connection `smtp_default`

Connection type: SMTP. Needed once `alerts.recipients` names somebody.

{_table(("field", "meaning", "example"), MAIL_FIELDS)}
## Several sites

With `sites` = `oslo, bergen` the same DAG files make a set of DAGs for each, such as `vte_wats_sync_oslo`. Everything
they use carries the name, too: connections `vte_oslo` and `wats_oslo`, Variables `vte_wats_oslo` and
`vte_wats_state_oslo`, pools `wats_api_oslo` and `vte_wats_state_oslo`, and a folder `oslo` in the storage. The one
unnamed site of the pages here has the names without an ending, and `vte_default` and `wats_default`.

## Section `[vte_wats]`

In `airflow.cfg`, or as environment variables `AIRFLOW__VTE_WATS__<NAME>`. A wrong value is an import error in the
Airflow UI.

{_table(("option", "default", "rule", "meaning"), list(_options()))}
## Pools

`include/pools.json` holds both; import it with `airflow pools import include/pools.json`.

{_table(("pool", "slots", "meaning"), list(_pools()))}"""


def _fields(model: type[BaseModel]) -> Iterator[Sequence[str]]:
    for name, one in model.model_json_schema()["properties"].items():
        yield f"`{name}`", one["description"]


def _settings_table(model: type[BaseModel], examples: Mapping[str, Any] | None) -> str:
    described = model.model_json_schema()
    rows = []
    for name, one in described["properties"].items():
        required = name in described.get("required", ())
        row = [
            f"`{name}`",
            _kind(one, described.get("$defs", {})),
            "**required**" if required else _default(model, name),
            one["description"],
        ]
        if examples is not None:
            row.append(f"`{json.dumps(examples[name])}`" if name in examples else "")
        rows.append(row)
    heads = ("name", "allowed", "default", "meaning", "example")
    return _table(heads[: 4 if examples is None else 5], rows)


def _kind(one: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema allows."""
    if "$ref" in one:
        one = definitions[one["$ref"].rpartition("/")[2]]
    if "enum" in one:
        return ", ".join(f"`{value}`" for value in one["enum"])
    if "anyOf" in one:
        return " or ".join(_kind(choice, definitions) for choice in one["anyOf"])
    if one["type"] == "object":
        inside = "properties" not in one and _kind(one["additionalProperties"], definitions)
        return f"object: name → {inside}" if inside else "object, see below"
    if one["type"] == "array":
        return f"list of {_kind(one['items'], definitions)}s"
    return _SIMPLE[one["type"]] + _range(one)


_SIMPLE = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true` or `false`",
    "null": "`null`",
}


def _range(one: Mapping[str, Any]) -> str:
    low = f" from {one['minimum']:,}" if "minimum" in one else ""
    low = f" above {one['exclusiveMinimum']:,}" if "exclusiveMinimum" in one else low
    high = f" to {one['maximum']:,}" if "maximum" in one else ""
    return low + high + (f", at most {one['maxLength']} characters" if "maxLength" in one else "")


def _default(model: type[BaseModel], name: str) -> str:
    value = model.model_fields[name].get_default(call_default_factory=True)
    plain = json.loads(json.dumps(value, default=lambda v: v.model_dump(mode="json")))
    text = json.dumps(plain)
    return f"`{text}`" if len(text) <= _LONGEST_DEFAULT else "see below"


_LONGEST_DEFAULT = 100


def _required(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.is_required()]


def _example_of(name: str) -> Mapping[str, Any]:
    setting, _, entry = name.partition(".")
    example = EXAMPLES[setting]
    if not entry:
        return dict(example)
    return dict(example[entry] if entry in example else next(iter(example.values())))


def _extras() -> Iterator[Sequence[str]]:
    for node in ast.parse((PACKAGE / "vte" / "reader.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_CONNECT_DEFAULTS":
            for name, value in ast.literal_eval(node.value).items():
                yield f"`{name}`", f"`{json.dumps(value)}`", EXTRA_MEANINGS[name]


def _options() -> Iterator[Sequence[str]]:
    """Find every option that dag_settings.py reads: ``conf.get`` for texts, ``_whole_number`` for numbers."""
    tree = ast.parse((PACKAGE / "orchestration" / "dag_options.py").read_text(encoding="utf-8"))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = ast.unparse(call.func)
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        if function == "conf.get" and isinstance(call.args[1], ast.Constant):
            name, default, rule = str(call.args[1].value), ast.literal_eval(keywords["fallback"]), "text"
        elif function == "_whole_number":
            name, default = (ast.literal_eval(argument) for argument in call.args)
            rule = f"whole number from {ast.literal_eval(keywords['at_least'])}"
            rule += f" to {ast.literal_eval(keywords['at_most']):,}" if "at_most" in keywords else ""
        else:
            continue
        if name not in OPTION_MEANINGS:
            sys.exit(f"docs/generate.py: OPTION_MEANINGS does not say what [vte_wats] {name} means")
        shown = f"`{default}`" if default != "" else "**required**" if name == "start_date" else "empty"
        yield f"`{name}`", shown, rule, OPTION_MEANINGS[name]


def _pools() -> Iterator[Sequence[str]]:
    pools = json.loads((ROOT / "include" / "pools.json").read_text(encoding="utf-8"))
    for name, pool in pools.items():
        yield f"`{name}`", str(pool["slots"]), pool["description"]


# Schema ---------------------------------------------------------------------------------------------------------------

_RECONSTRUCTED_TABLE = re.compile(r"-- (\w+): reconstructed table")


def schema() -> str:
    """Draw the 21 tables and their relations."""
    text = REFERENCE_SCHEMA.read_text(encoding="utf-8")
    batches = re.split(r"^GO$", text, flags=re.MULTILINE)
    parsed = [one for batch in batches if "CREATE TABLE" in batch for one in sqlglot.parse(batch, read="tsql")]
    tables = [one for one in parsed if isinstance(one, exp.Create)]
    drawn = "\n".join([*_relations(text, tables), *(_entity(text, one) for one in tables)])
    read = sorted(_tables_read())
    return f"""# The VTE database

Keysight VTE 9.31.1 keeps {len(tables)} tables. What is not marked is documented: the tables, their relations, the
columns of IndexData, UutData and the three TestData tables, and a name for each master table. What is marked
*reconstructed* stands in for what is not published, so that the sandbox has whole tables; nothing in the product
depends on it. Lengths of texts, keys and indexes are reconstructed throughout.

The product reads {len(read)} of them: {", ".join(read)}.
Users, where passwords are kept, is not among them.

```mermaid
erDiagram
{drawn}
```

The source is [`sandbox/vte/reference_schema.sql`](../sandbox/vte/reference_schema.sql). A site whose tables or columns
have other names says so in the setting `column_overrides`, see [configuration](configuration.md).
"""


def _entity(text: str, table: exp.Create) -> str:
    name = table.this.this.name
    foreign = _foreign_keys(text)
    is_reconstructed = name in _RECONSTRUCTED_TABLE.findall(text)
    lines = []
    for column in table.find_all(exp.ColumnDef):
        marks = ["PK"] if column.find(exp.PrimaryKeyColumnConstraint) else []
        marks += ["FK"] if (name, column.name) in foreign else []
        kind, is_stand_in = _written(text, name, column.name)
        note = ' "reconstructed"' if is_stand_in else ""
        lines.append(f"        {kind} {column.name} {', '.join(marks)}".rstrip() + note)
    title = f'{name}["{name} (reconstructed)"]' if is_reconstructed else name
    return f"    {title} {{\n" + "\n".join(lines) + "\n    }"


def _written(text: str, table: str, column: str) -> tuple[str, bool]:
    """Return a column's type as the schema has it, and whether the column is marked as reconstructed."""
    body = text.partition(f"CREATE TABLE [dbo].[{table}] (")[2].partition("\n);")[0]
    line = next(line.strip() for line in body.splitlines() if line.strip().startswith(f"[{column}]"))
    return line.split()[1], line.endswith("-- reconstructed")


def _foreign_keys(text: str) -> dict[tuple[str, str], str]:
    found = re.findall(
        r"ALTER TABLE \[dbo\]\.\[(\w+)\] ADD CONSTRAINT \[\w+\]\s+"
        r"FOREIGN KEY \(\[(\w+)\]\) REFERENCES \[dbo\]\.\[(\w+)\]",
        text,
    )
    return {(child, column): parent for child, column, parent in found}


def _relations(text: str, tables: Sequence[exp.Create]) -> Iterator[str]:
    required = {
        (table.this.this.name, column.name)
        for table in tables
        for column in table.find_all(exp.ColumnDef)
        if column.find(exp.NotNullColumnConstraint)
    }
    for (child, column), parent in _foreign_keys(text).items():
        yield f"    {parent} {'||' if (child, column) in required else '|o'}--o{{ {child} : {column}"


def _tables_read() -> set[str]:
    return {
        table
        for file in SQL_FOLDER.glob("select_*.sql")
        for table in re.findall(r"\[dbo\]\.\[(\w+)\]", file.read_text(encoding="utf-8"))
    }


# Failures -------------------------------------------------------------------------------------------------------------

_NEXT = {
    FailureClass.TRANSIENT: "tried again",
    FailureClass.AMBIGUOUS: "tried again: it may be stored, and the report id is ours",
    FailureClass.REJECTED: "a dead letter; the other runs go on",
    FailureClass.FATAL: "stops",
}


def failures() -> str:
    """List what can go wrong outside, what it means and what is done about it."""
    sql = [
        (
            ", ".join(map(str, failure.numbers)),
            failure.message.meaning,
            failure.message.follows.value,
            failure.advice_for(Site()),
        )
        for failure in SQL_ERRORS
    ]
    wats = [(f.message.symptom, f.message.meaning, _NEXT[f.failure_class], f.message.advice) for f in RESPONSE_ERRORS]
    return f"""# Failures

What the outside world can answer, and what becomes of it. *Tried again* means Airflow's retries with growing waits, or
the wait that the other side asked for. *Stops* means that the task fails at once, because only a person can help;
nothing becomes a dead letter for it. Clearing the failed tasks later is always safe.

## SQL Server

A number that is not listed stops, so that somebody looks at it.

{_table(("error number", "meaning", "what happens", "what to do"), sql)}
## WATS

The first line that applies counts. {_equal_rejections()}

{_table(("what comes back", "meaning", "what happens", "what to do"), wats)}
## Runs

{_table(("kind of dead letter", "why", "how it goes on"), RUN_KINDS)}
A letter disappears by itself when its run reaches WATS.
"""


# Troubleshooting ------------------------------------------------------------------------------------------------------


def troubleshooting() -> str:
    """Explain every message by its code."""
    sql = [
        (
            f"`{f.message}`",
            f.message.follows.value,
            f"VTE: {f.message.meaning}",
            f.message.symptom,
            f.advice_for(Site()),
        )
        for f in SQL_ERRORS
    ]
    wats = [
        (f"`{f.message}`", _NEXT[f.failure_class], f"WATS: {f.message.meaning}", f.message.symptom, f.message.advice)
        for f in RESPONSE_ERRORS
    ]
    return f"""# Troubleshooting

Every message of the product begins with a code, in the log of a task, in a mail, on a dead letter. Find the code here.
What is red in the Airflow UI is best read from the left: the first red task says why, the others only follow.

## Find your way

{_table(("you have", "you want", "go"), WAYS)}
No report names the DAG run that carried it: equal runs give equal reports, whoever carries them and however often.

DAGs of other teams can run on the asset `vte_wats_reports` (`schedule=[Asset("vte_wats_reports")]`): it is emitted when
a sync has stored new or replaced reports, with how many as its extra, and not otherwise.

## Settings, connections, storage

{_codes("VW1")}
## VTE

{_table(("code", "what follows", "message", "when", "what to do"), sql)}
{_codes("VW29")}
## WATS

{_table(("code", "what follows", "message", "when", "what to do"), wats)}
{_codes("VW39")}
## Runs

{_codes("VW4")}
## The sync and its state

{_codes("VW5")}
## Alerts

{_codes("VW6")}
## Warnings

The sync goes on.

{_codes("VW9")}"""


def _codes(beginning: str) -> str:
    rows = [
        (f"`{message}`", message.follows.value, message.symptom, message.meaning, message.advice)
        for message in MESSAGES
        if message.code.startswith(beginning)
    ]
    return _table(("code", "what follows", "message", "meaning", "what to do"), rows)


def _equal_rejections() -> str:
    limit = Settings.model_fields["rejection_limit"].default
    return f"After {limit} equal rejections in one slice (setting `rejection_limit`) the task stops instead."


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    main()
