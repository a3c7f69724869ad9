"""Write the pages of docs/ that follow from the code; ``--check`` only reports whether they are up to date.

``configuration.md`` comes from the settings, the connection form and the options of the DAGs, ``schema.md`` from the
reference schema of the sandbox, ``troubleshooting.md`` from the messages and the tables of SQL errors and responses,
``wats.md`` from the profiles of the emulated WATS.
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
from vte_wats.config.dag_options import OPTIONS
from vte_wats.config.settings import ExcludedRuns, PartRevision, Settings, TableOverride, TextRule
from vte_wats.config.sites import Site
from vte_wats.messages import (
    MESSAGES,
    VW103,
    VW106,
    VW113,
    VW505,
    VW511,
    VW513,
    VW514,
    VW515,
    VW630,
    VW914,
    VW916,
    Consequence,
)
from vte_wats.vte.sql_errors import SQL_ERRORS
from vte_wats.wats.response_errors import RESPONSE_ERRORS, FailureClass
from vte_wats.wats.wats_connection import WatsOptions

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "plugins" / "vte_wats"
REFERENCE_SCHEMA = ROOT / "sandbox" / "vte" / "reference_schema.sql"
SQL_FOLDER = ROOT / "include" / "sql"

HEADER = "<!-- Written by docs/generate.py. Change the code it describes, then run: python docs/generate.py -->\n\n"

# One value for every setting; together they pass validation.
EXAMPLES: dict[str, Any] = {
    "source_timezone": "Europe/Oslo",
    "process_map": {"PSU Final Test": 100, "*Calibration": 110},
    "timestamp_marks": "end",
    "ambiguous_time": "earlier",
    "result_codes": {"1": "Passed", "0": "Failed", "9": "Terminated"},
    "step_result_codes": {"1": "Passed", "0": "Failed", "7": "Skipped"},
    "logged_values": "Done",
    "equal_step_names": "number",
    "step_nesting": "test_number",
    "numbers": "exact",
    "no_limit_values": [9.9e37, -9.9e37],
    "part_number": "product_name",
    "part_revision": {"source": "testplan_variant", "constant": "A"},
    "text_rules": [{"source": "info1", "pattern": "Lot {batch}, socket {socket}"}],
    "error_messages": {"0": None, "17": "Fixture open"},
    "operator": "pseudonym",
    "default_operator": "unknown",
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
    "excluded_runs": {"0fc72977-3b68-47c7-874a-ed0513848d8c": {"by": "quality engineer", "reason": "deleted in WATS"}},
    "lock_timeout_ms": 2000,
    "existence_check": "uuid",
    "rejection_limit": 20,
    "storage_path": "s3://aws_default@bucket/vte_wats",
    "dead_letter_retention_days": 365,
    "staging_retention_days": 14,
    "alerts": {
        "recipients": ["plant-it@factory.example"],
        "apprise_connection": "apprise_default",
        "quiet_hours": {"begin": "22:00", "end": "06:00"},
        "summary_at": "07:00",
    },
}  # fmt: skip

NESTED: dict[str, type[BaseModel]] = {
    "part_revision": PartRevision,
    "text_rules.<rule>": TextRule,
    "excluded_runs.<Index_GUID>": ExcludedRuns,
    "column_overrides.<table>": TableOverride,
    "alerts": AlertSettings,
    "alerts.quiet_hours": QuietHours,
}

PLACES = (
    (
        "connection `vte_default`",
        "how to reach the VTE database",
        (
            "plan, extract, upload (runs that changed), read_expected, read_sample and find_gone of the comparison, "
            "monitor, preflight, survey"
        ),
    ),
    (
        "connection `wats_default`",
        "how to reach WATS, and how fast",
        (
            "upload, compare, list_reports, verify, monitor, preflight, accept, processes of the survey; plan looks at "
            "its address and its budget"
        ),
    ),
    ("Variable `vte_wats`", "what this site's data means: one JSON object", "every task, once at its start"),
    ("section `[vte_wats]` of Airflow's configuration", "when the DAGs run", "Airflow, when it loads the DAG files"),
)

WRITTEN = (
    (
        "`vte_wats_state`",
        "coverage, totals, `lastSync`, and the database and WATS they belong to",
        "settle of the sync, of a backfill and of the daily comparison",
        "the sync stops (VW511): keep it, and back it up with Airflow's database",
    ),
    (
        "`vte_wats_history`",
        "counts of what was settled, per hour and per day",
        "settle",
        "the charts start again",
    ),
    (
        "`vte_wats_seen`",
        "how the runs of the last hours looked when they were transferred",
        "settle",
        "the runs of the last hours are read once more",
    ),
    (
        "`vte_wats_proof`",
        "which days are proven, and what is open",
        "the daily comparison",
        "days are proven again, one comparison after the other",
    ),
    (
        "`vte_wats_profile`",
        "how this site's WATS behaves",
        "the acceptance run",
        "the package works with every behaviour, and with more requests",
    ),
    (
        "`vte_wats_learned`",
        "what tasks learned of WATS: the form of ids, when it last worked",
        "tasks that use WATS",
        "it is learned again",
    ),
    (
        "`vte_wats_budget`",
        "requests of the last minute",
        "tasks that use WATS",
        "the next minute may send more than the budget",
    ),
    ("`vte_wats_backfill`", "how far the last backfill is", "the backfill", "its progress is not shown"),
    (
        "`vte_wats_alerts`",
        "what the monitor measured and which conditions are open",
        "the monitor",
        "conditions are observed from the start",
    ),
    ("`vte_wats_deadline`", "the last missed deadline", "the deadline", "its outage may be notified again"),
    ("`vte_wats_failure`", "why the last failed task failed", "a task that fails", "the next mail has no reason"),
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
    "encryption": "`require` makes TLS mandatory.",
    "read_only": "`true` asks an availability group for its readable secondary.",
}
_CORRECTED = (
    "correct it in VTE: the next sync (younger than `near_check_h`) or the daily comparison tries it again; to have it "
    "at once, trigger `vte_wats_backfill` with its GUID or `signature`"
)
WATS_FIELDS = (
    ("Host (WATS server)", "address of the WATS server, without `/api`", "`https://acme.wats.com`"),
    ("Port", "only when the address has none and it is not the usual one", ""),
    ("Login", "empty with an API token", ""),
    ("Password", "the API token as WATS shows it; with a login, that user's password", ""),
)
MAIL_FIELDS = (
    ("Host, Port", "the mail server", "`smtp.factory.example`, `465`"),
    ("Login, Password", "empty when the server asks for none", ""),
    ("From email", "the address mails come from; required", "`vte-wats@factory.example`"),
    ("Disable SSL, Disable TLS", "port 465: leave both off; port 587: disable SSL; port 25 inside: disable both", ""),
    (
        "Connection timeout, Number of retries",
        "30 s and 5 by default; 10 and 1 are enough, because the monitor tries again at its next check",
        "",
    ),
)
RUN_KINDS = (
    (
        "`dead`",
        "the run can never be uploaded as it is, or WATS refused it",
        f"{_CORRECTED}. After a setting alone was corrected, trigger it, too",
    ),
    (
        "`held`",
        "the run cannot be judged yet: its test plan, a result code or the process code is not known",
        "extend the setting, and the next sync tries it again; or extend WATS, and `vte_wats_reconcile` tries it daily",
    ),
)


SEARCHES = (
    (
        "a dead letter or held run",
        "the DAG run that wrote it",
        "its file names the DAG and the DAG run: Airflow › DAGs › that DAG › Runs",
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
            "report says which"
        ),
    ),
    (
        "a run that is neither in WATS nor a dead letter",
        "the reason",
        "trigger `vte_wats_backfill` with its GUID in **guids**: the log of upload says what became of it",
    ),
)


CONSEQUENCES = {
    Consequence.RETRIED: "Airflow retries with growing waits, or after the wait that the other side asked for",
    Consequence.STOPS: "the task fails at once, because only a person can help; no dead letters are written for it",
    Consequence.DEAD: "this run cannot be uploaded as it is; the other runs continue",
    Consequence.HELD: "this run waits for a setting; the other runs continue",
    Consequence.WARNS: "a warning; the task continues",
}

SYMPTOMS = (
    (
        f"`{VW106}`, DAG import error that names `start_date`",
        "the deployment does not say from when to sync",
        "set `AIRFLOW__VTE_WATS__START_DATE`",
    ),
    (
        f"`{VW103}`, `plan` fails: *{VW103.symptom}*",
        "the Variable `vte_wats` has mistakes",
        "correct each named field; the next try continues",
    ),
    (
        f"`{VW630}`, tasks stay *scheduled* for ever",
        "a pool does not exist",
        "`airflow pools import include/pools.json`",
    ),
    (
        "`VW209` to `VW214`, `plan` or `extract` fails: the login was refused, a table does not exist, …",
        "connection or schema differ",
        "the message names the connection or the setting; `vte_wats_preflight` lists all differences",
    ),
    (
        f"`{VW513}`, `plan` fails: another database or WATS, or a restored database",
        "the connections lead somewhere else than in the syncs so far",
        "correct the connection; or, if it is intended, trigger `vte_wats_sync` with **accept_identity**",
    ),
    (
        f"`{VW511}`, `{VW514}`, `plan` fails: the state is lost, of an earlier start, or covers time in the future",
        "the Variable `vte_wats_state` was deleted, restored or copied",
        "restore it, or do as the message says",
    ),
    (
        f"`{VW515}`, `plan` fails: *{VW515.symptom}*",
        "VTE's schema changed",
        "set `column_overrides`, clear the task",
    ),
    (
        f"`{VW914}`, `plan` warns: *{VW914.symptom}*",
        "the clocks of Airflow and SQL Server differ",
        "set both by the same time server",
    ),
    (
        f"`{VW916}`, `plan` warns: *{VW916.symptom}*",
        "runs appear almost as late as the guard band is long",
        "raise `guard_band_s` if `vte_wats_reconcile` also finds runs",
    ),
    (
        "`VW3…`, `upload` fails after retries: *WATS: …*",
        "WATS is down, or refuses the token",
        "fix it; later syncs transfer what was missed, clearing the failed tasks does so at once",
    ),
    (
        f"`{VW113}`, `upload` fails: *{VW113.symptom}*",
        "the pool `wats_api` has more slots than `concurrent_tasks` of the connection",
        "make both equal, one by default",
    ),
    (
        f"`{VW505}`, `upload` fails: *{VW505.symptom}*",
        "a setting is wrong, not the runs; there are no dead letters for it",
        "correct what WATS names, clear the task",
    ),
    (
        "a run is missing in WATS",
        "it is a dead letter or held",
        f"its file under `dead_letters/` says why; {_CORRECTED}",
    ),
    (
        "Airflow's test button of `vte_default` fails with the driver's words, without a code",
        (
            "the connection has the type Microsoft SQL Server, whose button repeats the driver; the number in its "
            "words may be that of an earlier login"
        ),
        "choose the type VTE (SQL Server): its button says the reason of this try with its code, as the preflight does",
    ),
    (
        "nobody gets a mail",
        "there are no recipients, or `smtp_default` refuses",
        "the log of `vte_wats_monitor` says which; set `alerts.recipients`, or fix the connection",
    ),
    (
        "`lastSync` does not move",
        "a gap fails again and again",
        "the status page says why: fix the cause; later syncs then transfer it by themselves",
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
        "troubleshooting.md": HEADER + troubleshooting(),
        "wats.md": HEADER + wats(),
    }


# What is assumed of WATS ----------------------------------------------------------------------------------------------

_BUILDER = "tests/unit/mapping/test_report_builder.py::"
_UPLOAD = "tests/unit/sync/test_upload.py::"
_HOOK, _VERIFY = "tests/integration/test_wats_hook.py::", "tests/integration/test_verify.py::"

# By the number of the assumption: what the product does, and the test that shows it against the emulated WATS.
PRODUCT_AND_WATS: dict[str, tuple[str, str]] = {
    "W1": (
        "reads either form in one place; any other answer confirms nothing and is tried again under the same id",
        _HOOK + "test_a_report_is_posted_once_and_confirmed_however_wats_answers",
    ),
    "W2": (
        "`existence_check = source_id` finds a report by its run; an `ID` beside another `uuid` is no confirmation",
        _HOOK + "test_by_source_id_a_report_that_wats_renames_is_posted_once_and_confirmed",
    ),
    "W3": ("gives a measurement P, F or S alone", _VERIFY + "test_wats_refuses_nothing_of_what_stations_write"),
    "W4": (
        "writes the value of a skipped step into its report text, too, and its file into a step behind it",
        _VERIFY + "test_a_skipped_step_is_equal_and_sent_once_whether_wats_keeps_its_values_or_not",
    ),
    "W5": ("numbers equal names", _VERIFY + "test_wats_refuses_nothing_of_what_stations_write"),
    "W6": ("shortens a longer unit visibly", _VERIFY + "test_wats_refuses_nothing_of_what_stations_write"),
    "W7": ("always sends an operator", _VERIFY + "test_wats_refuses_nothing_of_what_stations_write"),
    "W8": ("compares by second, then exactly", _HOOK + "test_a_natural_key_is_equal_only_in_all_of_its_parts"),
    "W9": (
        "takes a report that does not show yet neither for lost nor for a reason to send it again",
        _VERIFY + "test_a_sync_that_comes_before_reports_show_sends_none_of_them_again",
    ),
    "W10": (
        "takes 404 or 413 for one report as being about that report",
        _HOOK + "test_a_report_beyond_what_wats_takes_is_about_that_report_alone",
    ),
    "W11": (
        "sends files whole; a WATS that refuses one refuses that report, and its neighbours go through",
        _UPLOAD + "test_upload_keeps_going_after_a_rejected_report",
    ),
    "W12": (
        "proves by a query that a report is there; what does not show is sent again, a bounded number of times",
        "tests/integration/test_confirmed_not_shown.py::test_a_report_in_quarantine_is_posted_again_until_it_shows",
    ),
    "W13": (
        "names reports in its queries, so that nothing depends on listing",
        _VERIFY + "test_reports_equal_their_runs_after_a_sync_and_are_sent_once",
    ),
    "W14": ("sends `startUTC`", _VERIFY + "test_wats_refuses_nothing_of_what_stations_write"),
    "W15": (
        "calls the root by the convention, with the test plan as its sequence call",
        _BUILDER + "test_every_field_of_a_run_stands_in_its_place",
    ),
    "W16": (
        "marks the step that failed the unit, and fills error code, batch, fixture, socket and step ids",
        _BUILDER + "test_the_step_that_failed_the_unit_is_marked_in_the_bytes",
    ),
    "W17": (
        "takes a page in front of a WATS that worked for an outage",
        _HOOK + "test_a_maintenance_page_in_front_of_a_wats_that_worked_passes",
    ),
    "W18": (
        "finds the form out once, and falls back to `eq … or eq …`",
        _HOOK + "test_the_form_of_ids_a_server_understands_is_found_once_and_kept",
    ),
    "W19": (
        "reads the hash in the report itself, and compares content where WATS has never listed misc infos",
        _VERIFY + "test_reports_are_equal_and_sent_once_wherever_wats_shows_misc_infos",
    ),
}

# Assumptions that no switch plays: number, what is known, who says so, why there is none.
WITHOUT_A_SWITCH = (
    (
        "W15",
        "The root step is named `MainSequence Callback`; step paths leave it out",
        "exported reports, the vendor",
        "a convention of what is posted: WATS answers no request otherwise",
    ),
    (
        "W16",
        "Quality engineers filter by the step that failed the unit, error code and message, batch, fixture and socket",
        "WSJF schema in C#, a copy of the vendor's tables, OpenAPI",
        "fields that are posted for people: WATS answers no request otherwise",
    ),
    (
        "W17",
        "Maintenance is a page of status 302, 403, 404 or 503 in front of everything",
        "nobody says",
        "a fault for a time, and no way a WATS always is: `maintenance`, with any status",
    ),
)


def wats() -> str:
    """List what is assumed of WATS, and how the emulated one plays it."""
    sys.path.insert(0, str(ROOT))  # the sandbox is no part of what is installed
    from sandbox.wats.profiles import DEFAULT_NAME, PROFILES, Assumption, WatsProfile  # noqa: PLC0415 -- found from here on

    switches = []
    for name, field in WatsProfile.model_fields.items():
        (assumption,) = (entry for entry in field.metadata if isinstance(entry, Assumption))
        values = [_switch_value(getattr(profile, name)) for profile in PROFILES.values()]
        switches.append(
            [assumption.number, f"`{name}`", " ".join(str(field.description).split()), assumption.source, *values]
        )
    switches.sort(key=lambda row: int(row[0][1:]))
    tests = {
        name: next(entry.test for entry in field.metadata if isinstance(entry, Assumption))
        for name, field in WatsProfile.model_fields.items()
    }
    for test in [*tests.values(), *(test for _, test in PRODUCT_AND_WATS.values())]:
        _require_test(test)
    product = [[number, what, f"`{test}`"] for number, (what, test) in PRODUCT_AND_WATS.items()]
    return f"""# What is assumed of WATS

The public OpenAPI description says how WATS is meant to answer. People with a server report otherwise in places, and
the description has no schema for the body of a report. Where sources disagree both behaviours exist somewhere, so the
product must be right with either. Every assumption has a number here, its source, and a switch of the emulated WATS
that plays it; at the end stand three without a switch. Nothing below was tried on a real server by this project.

## The four sets

The emulated WATS plays one of four sets: `described` (the OpenAPI description, taken literally), `reported` (what
people report), `strict` (everything refused that any source refuses) and `lenient` (everything taken that any source
takes).
Demo, tests and the container play `{DEFAULT_NAME}` unless asked for another:

```sh
make demo ONCE=1 WATS_PROFILE=strict   # the demo; make sandbox takes WATS_PROFILE too
python -m sandbox.wats --profile strict   # the server alone; or WATS_SANDBOX_PROFILE=strict
```

With docker compose, `WATS_PROFILE` in `.env` chooses the set. While a server runs, `PATCH /sandbox/settings` with
`{{"profile": "strict"}}` chooses a set and with `{{"profile": {{"shown_after_s": 5}}}}` changes one switch.

{_table(("no.", "switch", "what", "source", *PROFILES), switches)}
The tests of upload, whole sync and comparison run over all four sets, the fault matrix under `{DEFAULT_NAME}`, and its
WATS cases under `strict` too. The switches that all four sets have in one position are played by tests of their own.

## Which test shows a switch

{_table(("switch", "test"), [[f"`{name}`", f"`{test}`"] for name, test in tests.items()])}
## What the product does about it

{_table(("no.", "the product", "test"), product)}
## What no switch plays

{_table(("no.", "what is known", "source", "why not"), WITHOUT_A_SWITCH)}"""


def _require_test(test: str) -> None:
    """Stop where a test that the page names does not exist."""
    path, _, name = test.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    if not re.search(rf"^def {name}\b", text, re.MULTILINE):
        sys.exit(f"docs/wats.md names {test}, which does not exist")


def _switch_value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) and value > 1_000 else str(getattr(value, "value", value))


# Configuration --------------------------------------------------------------------------------------------------------


def configuration() -> str:
    """Describe everything a site can set."""
    Settings.model_validate_json(json.dumps(EXAMPLES))
    nested = "\n".join(
        f"### `{name}`\n\n" + _settings_table(model, _example_of(name)) for name, model in NESTED.items()
    )
    return f"""# Configuration

A site is configured in four places, each for one kind of question:

{_table(("where", "what", "who reads it"), PLACES)}
Alerts are sent through the connection `smtp_default` and, if a site wants it, one of type Apprise: see
[alerts](alerts.md).

With `operator` = `pseudonym` a fifth is needed: the Variable `vte_wats_operator_secret`, see
[operators](mapping.md#operators).

### Variables that the tasks write

Do not edit them. All but the first may be deleted at any time.

{_table(("Variable", "what it holds", "written by", "if it is deleted"), WRITTEN)}
## Variable `vte_wats`

The smallest settings that work:

```json
{json.dumps({name: EXAMPLES[name] for name in _required(Settings)}, indent=4)}
```

A wrong setting stops the task at once. The message lists all mistakes together, each with its field, the rule and the
given value; names that are no setting are refused.

{_settings_table(Settings, EXAMPLES)}
{nested}
## Variable `vte_wats_alerts`

`vte_wats_monitor` writes it at every check, for the status page and other tools; times are ISO 8601 in UTC.

{_table(("name", "meaning"), list(_fields(MonitorState)))}
`vte` and `wats`:

{_table(("name", "meaning"), list(_fields(ServerCheck)))}
`waiting`:

{_table(("name", "meaning"), list(_fields(Waiting)))}
Each of `conditions`, by the names in [alerts](alerts.md#what-is-watched):

{_table(("name", "meaning"), list(_fields(Condition)))}
## Connection `vte_default`

Connection type: VTE (SQL Server). One of the type Microsoft SQL Server works as well; its test button is Airflow's own.

{_table(("field", "meaning", "example"), VTE_FIELDS)}
`Extra` may hold arguments of `pymssql.connect`, such as `encryption` and `tds_version`. Some have other defaults:

{_table(("name", "default", "meaning"), list(_extras()))}
## Connection `wats_default`

Connection type: WATS.

{_table(("field", "meaning", "example"), WATS_FIELDS)}
{_settings_table(WatsOptions, None)}
`requests_per_minute` holds for all tasks of all DAGs on all workers together. Give the pool `wats_api` as many slots as
`concurrent_tasks` says; [the request budget](budget.md) says when more than one is worth it.

## Connection `smtp_default`

Connection type: SMTP. Needed if `alerts.recipients` names somebody.

{_table(("field", "meaning", "example"), MAIL_FIELDS)}
## Several sites

With `sites` = `oslo, bergen` the same DAG files create a set of DAGs for each, such as `vte_wats_sync_oslo`. Everything
they use has the name, too: connections `vte_oslo` and `wats_oslo`, Variables `vte_wats_oslo` and
`vte_wats_state_oslo`, pools `vte_read_oslo`, `vte_survey_oslo`, `wats_api_oslo` and `vte_wats_state_oslo`, and a folder
`oslo` in the storage. A single site without a name has the names without an ending, and `vte_default` and
`wats_default`; the pages here use those.

## Section `[vte_wats]`

In `airflow.cfg`, or as environment variables `AIRFLOW__VTE_WATS__<NAME>`. A wrong value is an import error in the
Airflow UI.

{_table(("option", "default", "rule", "meaning"), list(_options()))}
## Pools

`include/pools.json` holds them; import it with `airflow pools import include/pools.json`.

{_table(("pool", "slots", "meaning"), list(_pools()))}"""


def _fields(model: type[BaseModel]) -> Iterator[Sequence[str]]:
    for name, field in model.model_json_schema()["properties"].items():
        yield f"`{name}`", field["description"]


def _settings_table(model: type[BaseModel], examples: Mapping[str, Any] | None) -> str:
    described = model.model_json_schema()
    rows = []
    for name, field in described["properties"].items():
        required = name in described.get("required", ())
        row = [
            f"`{name}`",
            _kind(field, described.get("$defs", {})),
            "**required**" if required else _default(model, name),
            field["description"],
        ]
        if examples is not None:
            row.append(f"`{json.dumps(examples[name])}`" if name in examples else "")
        rows.append(row)
    heads = ("name", "allowed", "default", "meaning", "example")
    return _table(heads[: 4 if examples is None else 5], rows)


def _kind(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema allows."""
    if "$ref" in field:
        field = definitions[field["$ref"].rpartition("/")[2]]
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(_kind(choice, definitions) for choice in field["anyOf"])
    if field["type"] == "object":
        inside = "properties" not in field and _kind(field["additionalProperties"], definitions)
        return f"object: name → {inside}" if inside else "object, see below"
    if field["type"] == "array":
        noun, comma, rest = _kind(field["items"], definitions).partition(",")
        return f"list of {noun}s{comma}{rest}"
    return _SIMPLE[field["type"]] + _range(field)


_SIMPLE = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true` or `false`",
    "null": "`null`",
}


def _range(field: Mapping[str, Any]) -> str:
    low = f" from {field['minimum']:,}" if "minimum" in field else ""
    low = f" above {field['exclusiveMinimum']:,}" if "exclusiveMinimum" in field else low
    high = f" to {field['maximum']:,}" if "maximum" in field else ""
    return low + high + (f", at most {field['maxLength']} characters" if "maxLength" in field else "")


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
    if isinstance(example, list):
        return dict(example[0])
    if not entry:
        return dict(example)
    return dict(example[entry] if entry in example else next(iter(example.values())))


def _extras() -> Iterator[Sequence[str]]:
    """Read the defaults without importing the module, which needs Airflow."""
    module = ast.parse((PACKAGE / "vte" / "vte_connection.py").read_text(encoding="utf-8"))
    (options,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "VteOptions")
    fields = {
        node.target.id: node.value
        for node in options.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }
    for name, meaning in EXTRA_MEANINGS.items():
        value = fields[name]
        default = ast.literal_eval(value.args[0] if isinstance(value, ast.Call) else value)
        yield f"`{name}`", f"`{json.dumps(default)}`", meaning


def _options() -> Iterator[Sequence[str]]:
    for option in OPTIONS:
        rule = "`true`; anything else is false" if option.default == "true" else "text"
        if option.at_least is not None:
            rule = f"whole number from {option.at_least}" + (f" to {option.at_most:,}" if option.at_most else "")
        default = f"`{option.default}`" if option.default else "empty"
        yield f"`{option.name}`", "**required**" if option.name == "start_date" else default, rule, option.meaning


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
    scripts = [batch for batch in batches if "CREATE TABLE" in batch]
    parsed = [tree for script in scripts for tree in sqlglot.parse(script, read="tsql")]
    tables = [tree for tree in parsed if isinstance(tree, exp.Create)]
    drawn = "\n".join([*_relations(text, tables), *(_entity(text, table) for table in tables)])
    read = sorted(_tables_read())
    return f"""# The VTE database

Keysight VTE 9.31.1 keeps {len(tables)} tables. What is not marked is documented: the tables, their relations, the
columns of IndexData, UutData and the three TestData tables, and a name for each master table. What is marked
*reconstructed* replaces what is not published, so that the sandbox has whole tables; nothing in the product
depends on it. Lengths of texts, keys and indexes are reconstructed throughout.

The product reads {len(read)} of them: {", ".join(read)}.
Users, which holds passwords, is not among them.

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
        kind, is_placeholder = _written(text, name, column.name)
        note = ' "reconstructed"' if is_placeholder else ""
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


# Troubleshooting ------------------------------------------------------------------------------------------------------

_NEXT = {
    FailureClass.TRANSIENT: Consequence.RETRIED.value,
    FailureClass.AMBIGUOUS: f"{Consequence.RETRIED.value}: the report may be stored already, under the same id",
    FailureClass.REJECTED: Consequence.DEAD.value,
    FailureClass.FATAL: Consequence.STOPS.value,
}


def troubleshooting() -> str:
    """Explain every symptom and every message."""
    return f"""# Troubleshooting

Every message of the product starts with a code such as `VW304`, in the log of a task, in a mail, on a dead letter.
[By symptom](#by-symptom) has what people see; the tables after it have every code.

When several tasks are red in the Airflow UI, read the first one from the left: it says why, the others only follow.
Clearing failed tasks later is always safe: what is in WATS is skipped.

{_table(("what follows", "meaning"), [(follows.value, meaning) for follows, meaning in CONSEQUENCES.items()])}
## By symptom

{_table(("you see", "it means", "what to do"), SYMPTOMS)}
## Find your way

{_table(("you have", "you want", "do"), SEARCHES)}
No report names the DAG run that uploaded it: equal runs give equal reports, however often they are transferred.

DAGs of other teams can run on the asset `vte_wats_reports` (`schedule=[Asset("vte_wats_reports")]`): it is emitted when
a sync has stored new or replaced reports, with their number as its extra, and not otherwise.

## Settings, connections, storage

{_codes("VW1")}
## VTE

An error number of SQL Server that is not listed is tried again as often as any other; then the task fails and
somebody is notified. What a person must change is a closed list: the rows that stop.

{_sql_errors()}
{_codes("VW2")}
## WATS

The first row that applies counts. {_equal_rejections()}

{_response_errors()}
{_codes("VW34", "VW39")}
## Runs

{_table(("kind of dead letter", "why", "how it continues"), RUN_KINDS)}
A dead letter is removed when its run reaches WATS.

{_codes("VW4")}
## The sync and its state

{_codes(*_SYNC)}
## Storage, pools and keys

{_codes("VW569", "VW62", "VW63", but=_ALERTS)}
## Survey

{_codes("VW566", "VW66")}
## Acceptance

{_codes("VW567", "VW95")}
## Status page

{_codes("VW545", "VW560", "VW561", "VW562", "VW563", "VW564", "VW8")}
## Alerts

{_codes(*_ALERTS)}
## Warnings

The task continues.

{_codes("VW90", "VW91", "VW92")}"""


_SYNC = ("VW50", "VW51", "VW52", "VW53", "VW540", "VW541", "VW542", "VW543", "VW544", "VW546", "VW55")
_ALERTS = ("VW549", "VW568", "VW60", "VW633")


def _sql_errors() -> str:
    rows = [
        (
            f"`{failure.message}`",
            ", ".join(map(str, failure.numbers)),
            f"VTE: {failure.message.meaning}",
            failure.message.follows.value,
            failure.advice_for(Site()),
        )
        for failure in SQL_ERRORS
    ]
    return _table(("code", "SQL error", "message", "what follows", "what to do"), rows)


def _response_errors() -> str:
    rows = [
        (
            f"`{failure.message}`",
            failure.message.symptom,
            f"WATS: {failure.message.meaning}",
            _NEXT[failure.failure_class],
            failure.message.advice,
        )
        for failure in RESPONSE_ERRORS
    ]
    return _table(("code", "response", "message", "what follows", "what to do"), rows)


def _codes(*beginnings: str, but: tuple[str, ...] = ()) -> str:
    rows = [
        (f"`{message}`", message.symptom, message.meaning, message.follows.value, message.advice)
        for message in MESSAGES
        if message.code.startswith(beginnings) and message.code not in but
    ]
    return _table(("code", "message", "meaning", "what follows", "what to do"), rows)


def _equal_rejections() -> str:
    limit = Settings.model_fields["rejection_limit"].default
    return f"After {limit} equal rejections among 200 runs (setting `rejection_limit`) the task stops (`{VW505}`)."


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    main()
