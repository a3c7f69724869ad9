"""`/sandbox/…`: drives the server from another process, without credentials. Never a part of WATS."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.wats.profiles import PROFILES, ProfileName, WatsProfile
from sandbox.wats.report_store import Process, ReportStore
from sandbox.wats.request_log import RequestBudget, RequestLog
from sandbox.wats.server_settings import RetryAfterForm, ServerSettings
from sandbox.wats.wats_faults import Fault, FaultKind, Faults


class FaultIn(BaseModel):
    """A fault as JSON; the fields are those of Fault."""

    model_config = ConfigDict(extra="forbid")

    kind: FaultKind
    method: str | None = None
    path: str | None = None
    body: str | None = None
    times: int | None = None
    after: int = 0
    status: int = Field(default=503, ge=200, le=599)
    retry_after: int | str | None = None
    message: str | None = None
    json_body: Any = Field(default=None, alias="json")
    delay_s: float | None = None
    duration_s: float | None = None
    location: str = "/login"
    reason: str = "Quarantined by a scripted fault."
    store: bool | None = None

    def as_fault(self) -> Fault:
        return Fault(**self.model_dump(by_alias=True))


class ProcessIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: int
    name: str
    description: str = ""
    is_test: bool = True
    is_repair: bool = False
    is_wip: bool = False


class SettingsIn(BaseModel):
    """Settings to change; what is absent stays as it is."""

    model_config = ConfigDict(extra="forbid")

    latency_s: float = Field(default=0.0, ge=0)
    requests_per_minute: int | None = Field(default=None, ge=0)
    retry_after_form: RetryAfterForm = RetryAfterForm.SECONDS
    profile: ProfileName | dict[str, Any] = Field(default_factory=dict)
    """A named profile, or fields of the present one to change."""
    max_filter_nodes: int | None = None
    future_tolerance_s: float = 60.0
    processes: list[ProcessIn] = Field(default_factory=list)


def _profile(present: WatsProfile, wanted: ProfileName | dict[str, Any]) -> WatsProfile:
    if isinstance(wanted, ProfileName):
        return PROFILES[wanted]
    try:
        return present.but(**wanted)
    except ValidationError as exc:
        raise HTTPException(400, f"profile: {exc}") from exc


def create_admin(
    store: ReportStore, settings: ServerSettings, faults: Faults, log: RequestLog, budget: RequestBudget
) -> APIRouter:
    admin = APIRouter(prefix="/sandbox", tags=["sandbox"])

    def current_settings() -> dict[str, Any]:
        return {
            "latency_s": settings.latency_s,
            "requests_per_minute": budget.requests_per_minute,
            "retry_after_form": settings.retry_after_form,
            "profile": settings.profile.model_dump(mode="json"),
            "max_filter_nodes": settings.max_filter_nodes,
            "future_tolerance_s": store.future_tolerance_s,
            "processes": [asdict(process) for process in store.processes],
        }

    @admin.get("/health")
    async def health() -> dict[str, Any]:
        return {"ok": True, **store.counts()}

    @admin.get("/reports")
    async def reports(limit: int = 10_000, offset: int = 0) -> dict[str, Any]:
        return {
            **store.counts(),
            "by_result": store.counts_by_result(),
            "ids": store.summaries(limit=limit, offset=offset),
        }

    @admin.delete("/reports")
    async def forget_reports() -> dict[str, bool]:
        store.clear()
        return {"ok": True}

    @admin.get("/overwrites")
    async def overwrites() -> list[dict[str, Any]]:
        return [asdict(overwrite) for overwrite in store.overwrites()]

    @admin.get("/quarantine")
    async def quarantine() -> list[dict[str, Any]]:
        return [asdict(quarantined) for quarantined in store.quarantined()]

    @admin.get("/log")
    async def requests(limit: int = 1_000) -> dict[str, Any]:
        kept = list(log)
        return {
            "total": log.total,
            "requests_in_worst_minute": log.requests_in_worst_minute(),
            "counts": log.counts(),
            "requests": [asdict(request) for request in kept[-limit:]] if limit > 0 else [],
        }

    @admin.delete("/log")
    async def forget_requests() -> dict[str, bool]:
        log.clear()
        return {"ok": True}

    @admin.get("/faults")
    async def armed() -> list[dict[str, Any]]:
        return faults.listed()

    @admin.post("/faults")
    async def arm(fault: FaultIn) -> dict[str, int]:
        return {"number": faults.add(fault.as_fault())}

    @admin.delete("/faults")
    async def disarm_all() -> dict[str, bool]:
        faults.clear()
        return {"ok": True}

    @admin.delete("/faults/{number}")
    async def disarm(number: int) -> dict[str, bool]:
        if not faults.remove(number):
            raise HTTPException(404, f"There is no fault number {number}.")
        return {"ok": True}

    @admin.get("/settings")
    async def shown() -> dict[str, Any]:
        return current_settings()

    @admin.patch("/settings")
    async def change(wanted: SettingsIn) -> dict[str, Any]:
        given = wanted.model_fields_set
        if "profile" in given:
            settings.profile = _profile(settings.profile, wanted.profile)
        for name in given & vars(settings).keys() - {"profile"}:
            setattr(settings, name, getattr(wanted, name))
        if "requests_per_minute" in given:
            budget.requests_per_minute = wanted.requests_per_minute
        if "future_tolerance_s" in given:
            store.future_tolerance_s = wanted.future_tolerance_s
        if "processes" in given:
            store.processes = [Process(**process.model_dump()) for process in wanted.processes]
        return current_settings()

    return admin
