"""Every message of the product: its code, what follows, what it means, what to do.

An error or a warning names one of these objects where it is raised; docs/troubleshooting.md and the status page show
the same text. A code never changes and is never reused. The messages about errors of SQL Server (VW2..) and answers of
WATS (VW3..) are in ``vte_wats.vte.sql_errors`` and ``vte_wats.wats.response_errors``, beside their rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Consequence(StrEnum):
    """What becomes of the task or the run."""

    STOPS = "stops"
    RETRIED = "tried again"
    DEAD = "dead letter"
    HELD = "held"
    WARNS = "goes on"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, in the words of the person who has to deal with it. As text it is its code."""

    code: str
    follows: Consequence
    symptom: str
    meaning: str
    advice: str

    def __str__(self) -> str:
        return self.code


# What Airflow says to a task of a connection that it cannot decrypt: that there is none.
NO_CONNECTION = (
    "does not exist, or was encrypted with another [core] fernet_key. Create it: Airflow › Admin › Connections; or set "
    "both keys, the newer one first, separated by a comma"
)

# VW1.. settings, connections, storage
VW101 = Message(
    "VW101",
    Consequence.STOPS,
    "the Variable does not exist",
    "the site has no settings yet",
    "create the Variable vte_wats with at least the two settings that the message names",
)
VW102 = Message(
    "VW102",
    Consequence.STOPS,
    "the Variable is not valid JSON",
    "a comma, quote or bracket is wrong, or a name is given twice",
    "correct it in the Airflow UI; the message names the place",
)
VW103 = Message(
    "VW103",
    Consequence.STOPS,
    "N setting(s) are wrong",
    "a value breaks its rule, or a name is not a setting",
    "correct each named field; docs/configuration.md has the rules",
)
VW104 = Message(
    "VW104",
    Consequence.STOPS,
    "[vte_wats] sites: names separated by commas",
    "a site's name cannot be used in ids",
    "use lower-case letters and digits, a letter first",
)
VW105 = Message(
    "VW105",
    Consequence.STOPS,
    "[vte_wats] sites: each name once",
    "two sites have the same name",
    "give each site its own name",
)
VW106 = Message(
    "VW106",
    Consequence.STOPS,
    "[vte_wats] start_date",
    "the deployment does not say where the sync starts",
    "set AIRFLOW__VTE_WATS__START_DATE",
)
VW107 = Message(
    "VW107",
    Consequence.STOPS,
    "[vte_wats] …: a whole number",
    "an option of the section is not a number, or too small",
    "correct it in airflow.cfg or the environment",
)
VW108 = Message(
    "VW108",
    Consequence.STOPS,
    "N field(s) of the WATS connection are wrong",
    "address, token or an option is wrong",
    "correct each named field of the connection",
)
VW109 = Message(
    "VW109",
    Consequence.STOPS,
    "ca_file: must hold certificates",
    "the file is there but is not a PEM file",
    "put the certificate authority of WATS into it",
)
VW110 = Message(
    "VW110",
    Consequence.STOPS,
    "storage_path names a connection that does not exist, or was encrypted with another Fernet key",
    "Airflow does not have the credentials of the bucket, or cannot decrypt them",
    "create that connection, or correct storage_path, or set both keys, the newer one first",
)
VW111 = Message(
    "VW111",
    Consequence.STOPS,
    "storage_path cannot be used",
    "the bucket or its driver is missing, or the driver refuses the connection",
    "do what the message says: create the bucket, install the provider, or correct the connection",
)
VW112 = Message(
    "VW112",
    Consequence.STOPS,
    "the Variable with the requests of the last minute is damaged",
    "somebody changed it by hand",
    "delete it one minute after the last request to WATS",
)
VW113 = Message(
    "VW113",
    Consequence.RETRIED,
    "another task uses WATS at the same time",
    "the pool has more slots than the connection's concurrent_tasks",
    "give the pool of WATS that many slots, one by default",
)
VW114 = Message(
    "VW114",
    Consequence.STOPS,
    "the connection … does not exist, or was encrypted with another Fernet key",
    "Airflow does not know how to reach VTE or WATS, or cannot decrypt it",
    "create the connection with the id that the message names, or set both keys, the newer one first",
)
VW115 = Message(
    "VW115",
    Consequence.STOPS,
    "the client to WATS cannot be opened",
    "a variable of the environment about proxies or certificates cannot be used",
    "correct the variable that the message names, where Airflow's tasks run",
)
VW116 = Message(
    "VW116",
    Consequence.STOPS,
    "N field(s) of the VTE connection are wrong",
    "host, port, database or an extra field is wrong",
    "correct each named field of the connection",
)
# VW2.. VTE, beside its table
VW230 = Message(
    "VW230",
    Consequence.DEAD,
    "a value of a run has another type or is no valid text",
    "the message names column, rule and value",
    "correct the run in VTE, or set column_overrides, then redrive the dead letter",
)
VW231 = Message(
    "VW231",
    Consequence.DEAD,
    "a run is larger than max_steps_per_run or max_run_bytes, or a name of it is too long",
    "it would need more memory than a task may take, so it was not read",
    "raise the setting if the workers have the memory, then redrive the dead letter",
)
VW232 = Message(
    "VW232",
    Consequence.DEAD,
    "a run cannot be read from the VTE database while its neighbours can",
    "SQL Server or the driver fails on the content of its rows",
    "look at the rows that the message names, correct them, then redrive the dead letter",
)
VW233 = Message(
    "VW233",
    Consequence.DEAD,
    "a key that should be unique leads to several rows",
    "serial, product or steps of the run cannot be distinguished",
    "remove the row that is wrong in VTE, then redrive the dead letter",
)
VW234 = Message(
    "VW234",
    Consequence.DEAD,
    "a row of IndexData has no Index_GUID",
    "nothing says which steps are its own, nor which report it is",
    "give the row its GUID in VTE: the next daily comparison (vte_wats_reconcile) reads the run under it, and removes "
    "this dead letter",
)
VW235 = Message(
    "VW235",
    Consequence.STOPS,
    "IndexData.Timestamp has a type whose wall-clock time cannot be read",
    "the column is not datetime, datetime2 or smalldatetime",
    "name a column that is in column_overrides, such as a computed one: CAST([Timestamp] AS datetime2)",
)
VW299 = Message(
    "VW299",
    Consequence.RETRIED,
    "VTE: unexpected error",
    "an error number that vte-wats does not know",
    "nothing, unless it continues: then report it with the message",
)
# VW3.. WATS, beside its table
VW340 = Message(
    "VW340",
    Consequence.WARNS,
    "run … starts in the same second as run … of the same unit",
    "whether WATS keeps both reports is not known: its headers show whole seconds",
    "nothing if both are found in WATS; the acceptance run finds out what your WATS does",
)
VW341 = Message(
    "VW341",
    Consequence.DEAD,
    "the report has … bytes, the largest body is …",
    "no WATS takes a report of this size",
    "shorten what the message names in VTE, or raise max_body_bytes of the connection if your WATS takes more",
)
VW342 = Message(
    "VW342",
    Consequence.RETRIED,
    "WATS: … although it worked within the last hour",
    "the same worked within the last hour, so this is an outage or maintenance",
    "retried; nothing to do unless it lasts",
)
VW344 = Message(
    "VW344",
    Consequence.DEAD,
    "WATS failed for this report in … tries while it answered everything else",
    "something in this report makes WATS fail",
    "ask the WATS administrator with the message; redrive the dead letter afterwards",
)
VW345 = Message(
    "VW345",
    Consequence.WARNS,
    "the Variable … with the profile of WATS is damaged",
    "it holds something else than the acceptance run writes",
    "run the acceptance again, or delete it; without a profile nothing is assumed of WATS",
)
VW346 = Message(
    "VW346",
    Consequence.STOPS,
    "existence_check is uuid, but WATS renames reports",
    "by the profile this WATS keeps reports under ids of its own, so none would ever be found again",
    "set existence_check to source_id, or run the acceptance again if WATS was changed",
)
VW347 = Message(
    "VW347",
    Consequence.DEAD,
    "WATS: HTTP 404, or a web page of another status, for a report twice, but WATS answers",
    "this report is refused, mostly because it is too large",
    "IIS refuses a body over its limit so. Lower max_body_bytes of the connection to that limit, or raise the limit",
)
VW349 = Message(
    "VW349",
    Consequence.WARNS,
    "the Variable … with what was learned of WATS is damaged",
    "it holds something else than the tasks write",
    "nothing; it is learned again",
)
VW391 = Message(
    "VW391",
    Consequence.RETRIED,
    "WATS: asked for a pause",
    "the pause is longer than a task waits",
    "nothing; the task is tried again when the pause is over",
)
VW392 = Message(
    "VW392",
    Consequence.RETRIED,
    "not sent, WATS failed too often just before",
    "WATS is down",
    "see the earlier failure that the message repeats",
)
# VW4.. single runs
VW401 = Message(
    "VW401",
    Consequence.HELD,
    "test plan … matches nothing in process_map",
    "its WATS process is not known",
    "add it to process_map; the runs are then uploaded without further action",
)
VW402 = Message(
    "VW402",
    Consequence.HELD,
    "a run's result code is not listed",
    "IndexData.Result has a value whose meaning is not set",
    "add it to result_codes",
)
VW403 = Message(
    "VW403",
    Consequence.HELD,
    "a step's result code is not listed",
    "TestResultType has a value whose meaning is not set",
    "add it to step_result_codes",
)
VW404 = Message(
    "VW404",
    Consequence.HELD,
    "WATS has no test operation with this process code",
    "process_map names a code that WATS does not know",
    "add the operation in WATS, or correct process_map",
)
VW411 = Message(
    "VW411",
    Consequence.DEAD,
    "serial or part number must not be blank",
    "WATS identifies a unit by it",
    "correct the run in VTE, then redrive the dead letter",
)
VW412 = Message(
    "VW412",
    Consequence.DEAD,
    "serial or part number is too long",
    "WATS accepts 100 characters",
    "correct it in VTE",
)
VW413 = Message(
    "VW413",
    Consequence.DEAD,
    "serial or part number contains characters that are refused here",
    "problem_characters is reject",
    "correct it in VTE, or set problem_characters to keep",
)
VW414 = Message(
    "VW414",
    Consequence.DEAD,
    "station must not be blank",
    "neither the setting's column nor Hostname has a value",
    "correct it in VTE, or name another column in the setting station",
)
VW415 = Message(
    "VW415",
    Consequence.DEAD,
    "the start is outside what WATS stores",
    "Timestamp or TestTime is wrong",
    "correct the run in VTE",
)
VW416 = Message(
    "VW416",
    Consequence.DEAD,
    "a text is too long even for an attachment",
    "a step holds megabytes of text",
    "shorten it in VTE",
)
VW417 = Message(
    "VW417",
    Consequence.DEAD,
    "a field breaks a rule of the report format",
    "the message names field and rule",
    "correct the run in VTE",
)
VW418 = Message(
    "VW418",
    Consequence.DEAD,
    "another run has the same serial, part number, process and start",
    "WATS would overwrite one with the other",
    "correct one of the two in VTE",
)
VW450 = Message(
    "VW450",
    Consequence.STOPS,
    "operator is pseudonym, but its secret is missing or too short",
    "pseudonyms are made with the Variable vte_wats_operator_secret",
    "create it with 32 random characters or more, and keep a copy: another secret gives other pseudonyms",
)
# VW5.. the sync and its state
VW501 = Message(
    "VW501",
    Consequence.STOPS,
    "plan failed, so nothing was transferred",
    "settle failed only because plan did",
    "read the log of plan",
)
VW502 = Message(
    "VW502",
    Consequence.STOPS,
    "N of M slices failed",
    "the logs of their tasks say why",
    "fix the cause; later syncs then transfer the time, clearing the failed tasks does so at once",
)
VW503 = Message(
    "VW503",
    Consequence.STOPS,
    "the counts do not balance",
    "runs and outcomes differ: a bug in vte-wats",
    "keep the staging folder and report it",
)
VW504 = Message(
    "VW504",
    Consequence.STOPS,
    "runs were read, but others have an outcome",
    "as VW503, within one slice",
    "keep the staging folder and report it",
)
VW505 = Message(
    "VW505",
    Consequence.STOPS,
    "WATS rejected N runs for the same reason",
    "a setting is wrong, not the runs; no dead letter was written",
    "correct what WATS names, then clear the task",
)
VW506 = Message(
    "VW506",
    Consequence.RETRIED,
    "N reports could not be uploaded now",
    "WATS failed for some; the others are stored",
    "nothing, unless it continues: then as the first failure says",
)
VW507 = Message(
    "VW507",
    Consequence.RETRIED,
    "SQL Server's clock is too far behind",
    "the window would end in its future",
    "set both clocks by the same time server",
)
VW508 = Message(
    "VW508",
    Consequence.STOPS,
    "sampled reports were altered in WATS",
    "a report differs from its run",
    "find out who changed it, then trigger vte_wats_backfill with the runs and force. The setting repair_altered has "
    "such reports posted again",
)
VW511 = Message(
    "VW511",
    Consequence.STOPS,
    "the Variable is lost",
    "earlier syncs wrote the state, and it does not exist now, or is of an earlier start",
    "restore it, or start again as the message says",
)
VW512 = Message(
    "VW512",
    Consequence.WARNS,
    "the Variable is older than the last sync",
    "a backup was restored",
    "nothing: what was done since is read again and found in WATS",
)
VW513 = Message(
    "VW513",
    Consequence.STOPS,
    "another database, WATS or source_timezone than before, or a restored database",
    "a connection leads to another server, or the setting changed",
    "correct the connection or the setting; if the change is intended, trigger with accept_identity",
)
VW514 = Message(
    "VW514",
    Consequence.STOPS,
    "the Variable covers time in the future",
    "a clock was set back, or the state belongs to another system",
    "correct the clock, or restore the right state",
)
VW515 = Message(
    "VW515",
    Consequence.STOPS,
    "columns that are read are gone",
    "VTE's schema or the grants changed",
    "set column_overrides, or run grant_read_only.sql",
)
VW516 = Message(
    "VW516",
    Consequence.STOPS,
    "the Variable is damaged",
    "it does not hold a valid state",
    "restore it, or start again as the message says",
)
VW520 = Message(
    "VW520",
    Consequence.RETRIED,
    "other tasks write the state all the time",
    "its pool has several slots, or another Airflow syncs the same site",
    "give the pool one slot; let one Airflow sync a site",
)
VW521 = Message(
    "VW521",
    Consequence.STOPS,
    "no dead letter has the signature",
    "the signature has a typing error, or its runs were uploaded since",
    "use one of the signatures in the message",
)
VW522 = Message(
    "VW522",
    Consequence.STOPS,
    "N field(s) of the form are wrong",
    "nothing was started",
    "correct each named field and trigger again",
)
VW523 = Message(
    "VW523",
    Consequence.WARNS,
    "time is not covered yet, a later sync tries it again",
    "the slices of an older gap failed beside the current interval",
    "nothing; when it stays, the status page says why",
)
VW524 = Message(
    "VW524",
    Consequence.WARNS,
    "another task wrote the state at the same time",
    "both writers are kept, or what one wrote over is added again by the next sync",
    "nothing, unless it continues: then as VW520",
)
VW530 = Message(
    "VW530",
    Consequence.WARNS,
    "the near check was skipped",
    "VTE refused or did not answer the statement that shows which runs changed; the sync goes on without it",
    "nothing, when a later sync succeeds; otherwise what the error says, or near_check_h = 0",
)
VW531 = Message(
    "VW531",
    Consequence.STOPS,
    "N thing(s) are wrong",
    "the check before go-live found what would stop or hold runs",
    "do what each line says, then check again",
)
VW532 = Message(
    "VW532",
    Consequence.WARNS,
    "runs that changed in VTE, or that WATS does not show, are not transferred again yet, a later sync tries it again",
    "their slices failed beside the current interval",
    "nothing; when it stays, the log of the failed task says why",
)
VW540 = Message(
    "VW540",
    Consequence.DEAD,
    "WATS confirmed the report several times and does not show it, or showed it for a time only",
    "it may be in quarantine there, or something removes it",
    "ask an administrator of WATS for the report with this id. Once WATS shows it, the next comparison removes the "
    "dead letter; to post it again trigger vte_wats_backfill with the GUID",
)
VW541 = Message(
    "VW541",
    Consequence.WARNS,
    "WATS lists reports without their hash, so they cannot be compared by hash",
    "the headers that WATS answers with have no misc infos; the sample that is compared value by value still counts",
    "ask the WATS administrator why misc infos are not listed; vte_wats_acceptance shows what WATS answers",
)
VW542 = Message(
    "VW542",
    Consequence.WARNS,
    "a sampled report that was altered in WATS is posted again",
    "it differed from its run, and repair_altered is set",
    "find out who changed it; what was changed is in the line before, and WATS may keep the earlier version",
)
VW543 = Message(
    "VW543",
    Consequence.WARNS,
    "WATS lists reports with another serial, part number, process, start or result than their runs have",
    "they have the hash of their runs, so somebody changed them in WATS",
    "nothing: up to 100 of them are compared value by value in the same comparison, as those of the sample are, and "
    "VW922 names those that were altered",
)
VW544 = Message(
    "VW544",
    Consequence.WARNS,
    "WATS lists most reports otherwise than they were posted",
    "it is likely how this WATS writes that field in its headers; the days are not held open for it",
    "nothing when no VW922 follows: up to 100 of them are compared value by value, as those of the sample are",
)
VW545 = Message(
    "VW545",
    Consequence.STOPS,
    "the test button: VTE or WATS cannot be asked",
    "vte-wats does not know the error, whose kind is named",
    "test again; if it stays, the log of the API server has its text and place under this code: report it with them",
)
VW546 = Message(
    "VW546",
    Consequence.WARNS,
    "WATS confirmed N reports and does not show them; they are posted again",
    "they may be in quarantine there, or WATS shows them later than was measured",
    "nothing: the next sync posts them again; a report that was posted unseen_tries times becomes a dead letter with "
    "VW540",
)
VW549 = Message(
    "VW549",
    Consequence.STOPS,
    "a part of the monitor's check failed",
    "what the message names; the other parts of the check were done, and the task fails for it at its end",
    "do what the reason says; if it names nothing to change, report it with the log of the monitor",
)
VW550 = Message(
    "VW550",
    Consequence.HELD,
    "a run has no Timestamp",
    "without one it has no start, and no window holds it",
    "Set IndexData.Timestamp of the run in VTE: the next daily comparison transfers it; or name it in excluded_runs",
)
VW551 = Message(
    "VW551",
    Consequence.HELD,
    "a run starts more than a day ahead, or before 2002 while odd_timestamps is hold",
    "the station's clock was wrong; WATS quarantines reports of the future",
    "correct the Timestamp in VTE and set the clock of the station, or name the run in excluded_runs; what starts "
    "before 2002 goes with odd_timestamps = transfer, and what is ahead once its time has come",
)
VW552 = Message(
    "VW552",
    Consequence.HELD,
    "a run is excluded on purpose",
    "the setting excluded_runs names it",
    "nothing; take it out of excluded_runs to have it transferred",
)
VW553 = Message(
    "VW553",
    Consequence.WARNS,
    "runs lie outside every window and are neither in WATS nor a dead letter",
    "their Timestamps lie before 2002, in the future, or in time before the start that no backfill covered",
    "set the clocks of their stations; what the comparison transfers is proven by the next one",
)
VW554 = Message(
    "VW554",
    Consequence.WARNS,
    "WATS has reports of runs that VTE no longer has",
    "the runs were deleted in VTE after their upload; nothing is deleted in WATS",
    "nothing, if they were deleted on purpose; otherwise restore them from a backup of VTE",
)
VW555 = Message(
    "VW555",
    Consequence.WARNS,
    "WATS does not say which reports are of this VTE",
    "it lists no ranges of start times, or no misc infos: what is gone from VTE shows in the numbers of the days alone",
    "nothing",
)
VW560 = Message(
    "VW560",
    Consequence.WARNS,
    "the page cannot read the survey",
    "settings are wrong, or the storage refuses",
    "the log of the api-server says why; correct the settings or the storage",
)
VW561 = Message(
    "VW561",
    Consequence.WARNS,
    "a file of the survey is not shown",
    "it is damaged, of another version, larger than the page serves, or no regular file",
    "take a large one from survey/ in storage_path; otherwise trigger the survey again",
)
VW562 = Message(
    "VW562",
    Consequence.WARNS,
    "the settings are not in Airflow's database",
    "the Variable comes from an environment variable or a secrets backend, so what the page writes would not be read",
    "change it there, with the values that the page shows",
)
VW563 = Message(
    "VW563",
    Consequence.WARNS,
    "the settings have changed since they were shown",
    "somebody else wrote the Variable; nothing of the proposal was taken over",
    "look at the proposal again, then take it over",
)
VW564 = Message(
    "VW564",
    Consequence.WARNS,
    "a setting is not proposed, or no longer",
    "it was set to something else since the survey, or the survey asks instead of proposing",
    "trigger the survey again, or set it by hand",
)
VW566 = Message(
    "VW566",
    Consequence.WARNS,
    "an estimated plan is not read",
    "it is no plan as SQL Server publishes its form, or too large",
    "nothing: the survey has everything else; look at the plan of that statement in Management Studio",
)
VW567 = Message(
    "VW567",
    Consequence.WARNS,
    "the profile of WATS was measured at another host and is not used",
    "the connection names another WATS than the acceptance run measured, or the profile is from before hosts were kept",
    "run the acceptance at this WATS, or delete the Variable; without a profile nothing is assumed of WATS",
)
VW568 = Message(
    "VW568",
    Consequence.RETRIED,
    "the chat does not accept a message",
    "a target in the Apprise connection is wrong, cannot be reached, or refuses",
    "correct the field that the message names; the next check sends the message",
)
VW569 = Message(
    "VW569",
    Consequence.WARNS,
    "the index of the dead letters cannot be written",
    "the storage refused it, as the message says; the dead letters themselves are written",
    "correct what the message names: until then each look reads every dead letter",
)
# VW6.. alerts
VW601 = Message(
    "VW601",
    Consequence.RETRIED,
    "a notification could not be sent",
    "every channel failed",
    "fix smtp_default or the Apprise connection; the next check sends it",
)
# VW62.. files, and what comes back from Airflow
VW620 = Message(
    "VW620",
    Consequence.STOPS,
    "a file of staging is missing or damaged",
    "somebody removed or changed it, or the disk failed; a link, a pipe or a folder counts as damaged, too",
    "clear the task that writes it, extract or map_runs, with the tasks after it: nothing is lost or doubled",
)
VW621 = Message(
    "VW621",
    Consequence.WARNS,
    "a file in the folder uploading is damaged and left out",
    "somebody changed it; the natural keys that it held are not compared",
    "remove the file",
)
VW622 = Message(
    "VW622",
    Consequence.WARNS,
    "what an earlier try of an upload achieved cannot be read",
    "the file outcomes of the slice is damaged",
    "nothing: WATS is asked about each run again",
)
VW623 = Message(
    "VW623",
    Consequence.STOPS,
    "the plan of the backfill cannot be found",
    "the file with its parts was removed, or the DAG run was triggered with a reference that somebody wrote by hand",
    "trigger vte_wats_backfill again with the form; runs that are in WATS are skipped",
)
VW624 = Message(
    "VW624",
    Consequence.STOPS,
    "a part of a backfill found fewer runs than planned",
    "a GUID was mistyped, or runs were deleted in VTE after they were planned; the other runs are transferred",
    "look for the GUIDs in the log of extract; if they were deleted on purpose, mark the task as success",
)
VW625 = Message(
    "VW625",
    Consequence.STOPS,
    "uploads are marked success, but left no result",
    "somebody marked a failed task by hand: nobody knows what became of its runs",
    "clear the named tasks with the tasks after them; runs that are in WATS are skipped",
)
VW626 = Message(
    "VW626",
    Consequence.WARNS,
    "a value in XCom has another shape and counts as none",
    "another version of the package wrote it, somebody changed it, or the XCom backend lost its file",
    "nothing, unless a task fails for it: then clear the task that the message names",
)
VW627 = Message(
    "VW627",
    Consequence.STOPS,
    "the Variable cannot be read: it was encrypted with another Fernet key",
    "AIRFLOW__CORE__FERNET_KEY is not the one that wrote it",
    "set both keys, the newer one first, separated by a comma; then run airflow rotate-fernet-key",
)
VW628 = Message(
    "VW628",
    Consequence.STOPS,
    "a task's value from XCom is lost",
    "the task before it left nothing that can be read, or was marked success by hand",
    "clear the task that the message names, with the tasks after it",
)
VW630 = Message(
    "VW630",
    Consequence.STOPS,
    "a pool has no open slot, so tasks wait for ever",
    "the pool does not exist or has no slots; an update may have brought a new one",
    "run airflow pools import include/pools.json, or create the pool under Airflow › Admin › Pools; it is named "
    "after the site where sites have names. If it has slots, tasks of other DAGs use all of Airflow's parallelism",
)
VW631 = Message(
    "VW631",
    Consequence.STOPS,
    "the storage refuses: rights, credentials, a missing bucket or folder",
    "storage_path, its connection or the folder is not as it must be",
    "do what the message says, then clear the task",
)
VW632 = Message(
    "VW632",
    Consequence.RETRIED,
    "the storage is full or does not answer",
    "no space is left, or the disk, the mount or the network failed",
    "make room, or check what the message names; the task is tried again",
)
VW633 = Message(
    "VW633",
    Consequence.RETRIED,
    "the mail server does not accept a mail",
    "a field of the connection smtp_default is wrong, or the server refuses",
    "correct the field that the message names; the next check sends the mail",
)
VW634 = Message(
    "VW634",
    Consequence.WARNS,
    "the index of the dead letters cannot be read and is written again",
    "somebody changed it, or the disk failed; the dead letters themselves are not affected",
    "nothing: who looks next reads the dead letters again",
)
VW660 = Message(
    "VW660",
    Consequence.WARNS,
    "the survey did not reach WATS",
    "its connection is not there yet, or it does not answer; no process is proposed by its name",
    "set up the WATS connection and trigger the survey again, or fill in process_map by hand",
)
VW661 = Message(
    "VW661",
    Consequence.WARNS,
    "the survey can read no runs",
    "tables or columns that are read are missing, or the login may not see them",
    "the report lists them: grant them with include/sql/grant_read_only.sql, or name them in column_overrides",
)
# VW9.. warnings: the sync goes on
VW830 = Message(
    "VW830",
    Consequence.WARNS,
    "the page cannot read the dead letters",
    "settings are wrong, or the storage refuses",
    "the log of the api-server says why; correct the settings or the storage",
)
VW831 = Message(
    "VW831",
    Consequence.WARNS,
    "not answered yet",
    "the storage or Airflow's database is slow or does not answer",
    "wait; if it persists, check the storage or the database. Nothing else waits for it",
)
VW832 = Message(
    "VW832",
    Consequence.WARNS,
    "the page cannot read what is stored",
    "Airflow's database refuses, or what it holds is damaged",
    "the log of the api-server says why",
)
VW901 = Message(
    "VW901",
    Consequence.WARNS,
    "nobody is notified of anything",
    "no recipients are set",
    "set alerts.recipients",
)
VW902 = Message(
    "VW902",
    Consequence.WARNS,
    "the storage cannot be read",
    "the folder or bucket is not reachable",
    "fix it; syncs fail as well",
)
VW903 = Message(
    "VW903",
    Consequence.WARNS,
    "the summary is tried again",
    "VTE or the mail server did not answer",
    "nothing",
)
VW904 = Message(
    "VW904",
    Consequence.WARNS,
    "the Variable is damaged and starts empty",
    "it does not hold what the tasks wrote",
    "nothing; it is filled again",
)
VW905 = Message(
    "VW905",
    Consequence.WARNS,
    "late, and …",
    "a deadline was missed, and state or settings cannot be read",
    "as the rest of the message says",
)
VW906 = Message(
    "VW906",
    Consequence.WARNS,
    "nobody is notified, because no recipients are set",
    "this would have been a mail",
    "set alerts.recipients",
)
VW907 = Message(
    "VW907",
    Consequence.WARNS,
    "not sent, tried again at the next check",
    "the mail server or the other channel refused it",
    "fix smtp_default or the Apprise connection",
)
VW908 = Message(
    "VW908",
    Consequence.WARNS,
    "the Variable holds no missed deadline",
    "somebody changed it by hand",
    "nothing",
)
VW909 = Message(
    "VW909",
    Consequence.WARNS,
    "one channel failed",
    "of mail and Apprise, the other channel worked",
    "fix the named channel",
)
VW910 = Message(
    "VW910",
    Consequence.WARNS,
    "the Variable holds no failure",
    "somebody changed it by hand",
    "nothing",
)
VW911 = Message(
    "VW911",
    Consequence.WARNS,
    "SQL Server's clock is behind",
    "the window ends earlier because of it",
    "set both clocks by the same time server",
)
VW912 = Message(
    "VW912",
    Consequence.WARNS,
    "more runs than one DAG run can process",
    "the rest is left for the next one",
    "nothing",
)
VW913 = Message(
    "VW913",
    Consequence.WARNS,
    "accepted: …",
    "the sync was triggered with accept_identity, or source_identity lets the same database be elsewhere",
    "nothing",
)
VW914 = Message(
    "VW914",
    Consequence.WARNS,
    "SQL Server's clock differs from Airflow's",
    "by more than clock_skew_limit_s",
    "set both by the same time server",
)
VW915 = Message(
    "VW915",
    Consequence.WARNS,
    "a column has another type than before",
    "VTE's schema changed",
    "check that its values still mean the same",
)
VW916 = Message(
    "VW916",
    Consequence.WARNS,
    "runs appeared in the oldest part of guard_band_s",
    "other runs may come even later",
    "raise guard_band_s if the daily comparison finds such runs, too",
)
VW917 = Message(
    "VW917",
    Consequence.WARNS,
    "runs are not in WATS although their time was synced",
    "they came later than guard_band_s, or WATS lost them",
    "raise guard_band_s as the message says",
)
VW918 = Message(
    "VW918",
    Consequence.WARNS,
    "WATS failed N times in a row",
    "the other reports are not sent to a server that is down",
    "nothing, unless it continues",
)
VW919 = Message(
    "VW919",
    Consequence.WARNS,
    "opened …",
    "a condition opened",
    "as the mail says",
)
VW920 = Message(
    "VW920",
    Consequence.WARNS,
    "named runs are not in VTE, or no longer",
    "a GUID was mistyped, or the runs were deleted in VTE",
    "nothing if they were deleted; else correct the GUIDs",
)
VW921 = Message(
    "VW921",
    Consequence.WARNS,
    "a run changed after its upload",
    "its report in WATS is outdated",
    "nothing; the next comparison replaces the report",
)
VW922 = Message(
    "VW922",
    Consequence.WARNS,
    "a run is altered in WATS",
    "its report differs from the run",
    "as VW508",
)
VW923 = Message(
    "VW923",
    Consequence.WARNS,
    "is not a dead letter and is not counted as one",
    "somebody wrote or changed the file",
    "look at it, then remove it; vte_wats_reconcile compares its run with WATS",
)
VW924 = Message(
    "VW924",
    Consequence.WARNS,
    "/health has no answer",
    "the option sites is wrong",
    "correct it as the reason says",
)
VW925 = Message(
    "VW925",
    Consequence.WARNS,
    "the Variable is damaged: the progress of a backfill",
    "somebody changed it by hand",
    "nothing; the backfill goes on, its progress is not shown",
)
VW926 = Message(
    "VW926",
    Consequence.WARNS,
    "the Variable is damaged: the state of the monitor",
    "somebody changed it by hand",
    "nothing; every condition is observed again",
)
VW927 = Message(
    "VW927",
    Consequence.WARNS,
    "Airflow does not say how many syncs failed",
    "its API did not answer the monitor",
    "nothing, unless it continues: then see the log of the API server",
)
VW928 = Message(
    "VW928",
    Consequence.WARNS,
    "an error that vte-wats does not know",
    "something keeps VTE, WATS or the storage from being checked",
    "the kind of the error names it; report it with the log of the monitor",
)
VW950 = Message(
    "VW950",
    Consequence.STOPS,
    "report(s) of part number … are not from an acceptance run",
    "the acceptance run must not mix its reports with those of others; nothing was posted",
    "name the connection of a WATS test environment in which that part number is free",
)
VW951 = Message(
    "VW951",
    Consequence.STOPS,
    "WATS cannot be asked for the reports of part number …",
    "it is not known whether the acceptance run may post; nothing was posted",
    "give the user of the token the right to read reports",
)
VW952 = Message(
    "VW952",
    Consequence.STOPS,
    "WATS does not accept a plain report",
    "without it no question of the acceptance run can be answered",
    "do what the answer in the message says; most often the token lacks the right to submit reports",
)
VW953 = Message(
    "VW953",
    Consequence.STOPS,
    "a plain report does not show in any query",
    "WATS took it, and keeps it in quarantine or shows reports later than was waited for",
    "look for it in the quarantine of WATS; run the acceptance again with a longer wait",
)
VW954 = Message(
    "VW954",
    Consequence.STOPS,
    "the form does not name the host of the connection",
    "the acceptance run posts test reports, so a person confirms where",
    "write the host that the message names into the form, if that is a test environment",
)
VW955 = Message(
    "VW955",
    Consequence.STOPS,
    "WATS has no such test operation",
    "the reports of the acceptance run would be put into quarantine",
    "choose a process code that the message lists",
)

MESSAGES: tuple[Message, ...] = tuple(value for value in tuple(globals().values()) if isinstance(value, Message))
"""All of them, in the order of their codes; those of the two tables are there."""
