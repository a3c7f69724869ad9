"""How the emulated WATS behaves where sources disagree: one field per behaviour, and four named sets of them.

The OpenAPI description says how WATS is meant to answer; people with a server report otherwise in places, and nobody
here has tried a real one. Both behaviours exist somewhere, so this server can play either. ``docs/wats.md`` is written
from this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Assumption:
    """What a field rests on: the number of the fact in docs/wats.md, who says so, and the test that shows the field."""

    number: str
    source: str
    test: str


class Verdict(StrEnum):
    TAKEN = "taken"
    REFUSED = "refused"


class PostAnswer(StrEnum):
    OBJECT = "object"
    ARRAY = "array"


class MeasurementStatus(StrEnum):
    ANY = "any"
    P_F_S = "P, F, S"


class SkippedSteps(StrEnum):
    KEPT = "kept"
    WITHOUT_VALUES = "without values"


class HeaderStart(StrEnum):
    WHOLE_SECONDS = "whole seconds"
    FRACTION = "with fraction"


class TooLargeBody(StrEnum):
    STATUS_413 = "413"
    PAGE_404 = "404 page"


class GuidForm(StrEnum):
    BARE = "bare"
    QUOTED = "quoted"
    BOTH = "both"
    NEITHER = "neither"


class GuidStatus(IntEnum):
    BAD_REQUEST = 400
    SERVER_ERROR = 500


class MiscInfos(StrEnum):
    LISTED = "listed"
    NOT_IN_HEADERS = "not in headers"
    NOWHERE = "nowhere"


class Quarantine(StrEnum):
    NONE = "none"
    BY_RULES = "by rules"
    THEN_INVALID = "by rules, invalid after 24 tries"


class Validation(StrEnum):
    JSON = "as little as JSON allows"
    DESCRIPTION = "description"
    VENDOR = "description and vendor rules"


_SERVER = "tests/sandbox/test_wats_profiles.py::"


class WatsProfile(BaseModel):
    """One WATS."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    post_answer: Annotated[
        PostAnswer,
        Assumption(
            "W1",
            "OpenAPI: an object; pyWATS's list of REST workarounds: an array of one",
            _SERVER + "test_a_post_is_answered_with_an_object_or_an_array_of_one",
        ),
    ]
    """How a posted report is answered."""

    renames_reports: Annotated[
        bool,
        Assumption("W2", "OpenAPI", _SERVER + "test_a_server_that_renames_changes_the_uuid_and_keeps_the_id"),
    ]
    """Whether reports are stored under ids of the server's own: `uuid` of the answer changes, `ID` stays."""

    measurement_status: Annotated[
        MeasurementStatus,
        Assumption(
            "W3",
            "WSJF schema in C#, DevKit (`^[PFS]$`), the vendor's converter, exported reports",
            _SERVER + "test_a_measurement_that_is_done_is_refused_where_only_p_f_s_are_known",
        ),
    ]
    """Which statuses a measurement may have; D, E and T are those of steps."""

    done_on_measured_step: Annotated[
        Verdict,
        Assumption(
            "W3",
            "the vendor's converter; an exported report has one",
            _SERVER + "test_a_report_against_one_switch_is_refused_with_field_rule_and_value",
        ),
    ]
    """What becomes of a step with a measurement and status D."""

    skipped_steps: Annotated[
        SkippedSteps,
        Assumption(
            "W4",
            "the vendor's converter and a copy of the vendor's tables: without values; OpenAPI: nothing",
            _SERVER + "test_a_skipped_step_keeps_its_values_or_its_report_text_alone",
        ),
    ]
    """Whether a skipped step is stored with its measurements, chart and attachment; its report text always remains."""

    equal_step_names: Annotated[
        Verdict,
        Assumption(
            "W5",
            "a vendor rule and the DevKit refuse them; exported reports hold them",
            _SERVER + "test_a_report_against_one_switch_is_refused_with_field_rule_and_value",
        ),
    ]
    """What becomes of two steps with one name under the same parent."""

    long_units: Annotated[
        Verdict,
        Assumption(
            "W6",
            "a copy of the vendor's tables",
            _SERVER + "test_a_report_against_one_switch_is_refused_with_field_rule_and_value",
        ),
    ]
    """What becomes of a unit with more than 20 characters."""

    missing_user: Annotated[
        Verdict,
        Assumption(
            "W7",
            "a copy of the vendor's tables; pyWATS and the DevKit always send it",
            _SERVER + "test_a_report_against_one_switch_is_refused_with_field_rule_and_value",
        ),
    ]
    """What becomes of a report without `uut.user`; an empty text is one."""

    header_start: Annotated[
        HeaderStart,
        Assumption("W8", "OpenAPI", _SERVER + "test_the_start_in_headers_has_whole_seconds_or_a_fraction"),
    ]
    """How a header writes `start`, and what a filter compares with."""

    merges_within_second: Annotated[
        bool,
        Assumption("W8", "nobody says", _SERVER + "test_two_starts_within_a_second_are_two_reports_unless_merged"),
    ]
    """Whether two reports that differ in nothing but the fraction of their start are one, as equal starts are."""

    shown_after_s: Annotated[
        float,
        Field(ge=0),
        Assumption(
            "W9",
            "pyWATS's own tests poll for up to 60 s",
            _SERVER + "test_a_report_shows_in_queries_once_its_time_has_come",
        ),
    ]
    """Seconds until a stored report shows in queries; a replaced one shows its earlier content until then."""

    max_body_bytes: Annotated[
        int,
        Field(gt=0),
        Assumption("W10", "Microsoft: IIS's default", _SERVER + "test_a_body_beyond_the_limit_is_refused"),
    ]
    """The largest body that is taken."""

    too_large_body: Annotated[
        TooLargeBody,
        Assumption("W10", "Microsoft", _SERVER + "test_a_body_beyond_the_limit_is_refused"),
    ]
    """How a larger body is answered: with status 413, or with IIS's own page of status 404."""

    large_attachments: Annotated[
        Verdict,
        Assumption(
            "W11",
            "the DevKit, for its own client; nobody says whether the REST interface refuses them",
            _SERVER + "test_an_attachment_beyond_the_limit_is_refused_where_large_ones_are",
        ),
    ]
    """What becomes of a report with an attachment of more than 100 KB."""

    quarantine: Annotated[
        Quarantine,
        Assumption(
            "W12",
            "the vendor's help",
            _SERVER + "test_a_report_is_put_aside_processed_again_and_given_up_as_the_server_does",
        ),
    ]
    """Whether a report that was answered with 200 can be put aside, and how often it is processed again."""

    range_listing: Annotated[
        Verdict,
        Assumption("W13", "OpenAPI", _SERVER + "test_a_listing_is_refused_unless_it_names_its_reports"),
    ]
    """What becomes of a query for a range of time or for many headers that names neither ids nor serial numbers."""

    misc_infos: Annotated[
        MiscInfos,
        Assumption(
            "W19",
            "OpenAPI: listed; the others are not known of any server",
            _SERVER + "test_misc_infos_are_listed_or_stand_in_whole_reports_alone_or_nowhere",
        ),
    ]
    """Where the misc infos of a report show: in headers and whole reports, in whole reports alone, or nowhere."""

    guid_form: Annotated[
        GuidForm,
        Assumption(
            "W18",
            "OData: bare; Microsoft.OData.Core 7.5: quoted",
            _SERVER + "test_guids_in_a_list_have_the_form_the_server_knows",
        ),
    ]
    """How GUIDs in a list, `uuid in (…)`, must be written."""

    wrong_guid_status: Annotated[
        GuidStatus,
        Assumption("W18", "nobody says", _SERVER + "test_guids_in_a_list_have_the_form_the_server_knows"),
    ]
    """The status that the other form of a GUID gets."""

    validation: Annotated[
        Validation,
        Assumption(
            "W14",
            "pyWATS's model, sample reports and published limits; vendor rules: a copy of the vendor's tables",
            _SERVER + "test_each_validation_refuses_what_its_source_does",
        ),
    ]
    """What is required of a report beyond the switches above; the vendor's rules ask for `startUTC` too."""

    def but(self, **changes: Any) -> Self:
        """Return this profile with other values for some fields, validated."""
        return type(self).model_validate({**self.model_dump(), **changes})


class ProfileName(StrEnum):
    DESCRIBED = "described"
    REPORTED = "reported"
    STRICT = "strict"
    LENIENT = "lenient"


DESCRIBED = WatsProfile(
    post_answer=PostAnswer.OBJECT,
    renames_reports=False,
    measurement_status=MeasurementStatus.ANY,
    done_on_measured_step=Verdict.TAKEN,
    skipped_steps=SkippedSteps.KEPT,
    equal_step_names=Verdict.TAKEN,
    long_units=Verdict.TAKEN,
    missing_user=Verdict.TAKEN,
    header_start=HeaderStart.WHOLE_SECONDS,
    merges_within_second=False,
    shown_after_s=0.0,
    max_body_bytes=30_000_000,
    too_large_body=TooLargeBody.STATUS_413,
    large_attachments=Verdict.TAKEN,
    quarantine=Quarantine.BY_RULES,
    range_listing=Verdict.TAKEN,
    misc_infos=MiscInfos.LISTED,
    guid_form=GuidForm.QUOTED,
    wrong_guid_status=GuidStatus.BAD_REQUEST,
    validation=Validation.DESCRIPTION,
)
"""The OpenAPI description, taken literally."""

REPORTED = DESCRIBED.but(
    post_answer=PostAnswer.ARRAY,
    measurement_status=MeasurementStatus.P_F_S,
    skipped_steps=SkippedSteps.WITHOUT_VALUES,
    shown_after_s=2.0,
    too_large_body=TooLargeBody.PAGE_404,
    guid_form=GuidForm.BARE,
)
"""What people with a server report."""

STRICT = REPORTED.but(
    renames_reports=True,
    done_on_measured_step=Verdict.REFUSED,
    equal_step_names=Verdict.REFUSED,
    long_units=Verdict.REFUSED,
    missing_user=Verdict.REFUSED,
    shown_after_s=60.0,
    quarantine=Quarantine.THEN_INVALID,
    range_listing=Verdict.REFUSED,
    guid_form=GuidForm.QUOTED,
    wrong_guid_status=GuidStatus.SERVER_ERROR,
    validation=Validation.VENDOR,
)
"""Everything refused that any source refuses."""

LENIENT = DESCRIBED.but(
    header_start=HeaderStart.FRACTION,
    quarantine=Quarantine.NONE,
    guid_form=GuidForm.BOTH,
    validation=Validation.JSON,
)
"""Everything taken that any source takes."""

PROFILES: Mapping[ProfileName, WatsProfile] = {
    ProfileName.DESCRIBED: DESCRIBED,
    ProfileName.REPORTED: REPORTED,
    ProfileName.STRICT: STRICT,
    ProfileName.LENIENT: LENIENT,
}

DEFAULT_NAME = ProfileName.REPORTED
"""The set that a server plays when it is not asked for another."""

DEFAULT = PROFILES[DEFAULT_NAME]
