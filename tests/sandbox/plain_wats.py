"""A WATS that delays and rounds nothing, for the tests that are about something else."""

from sandbox.wats.profiles import DESCRIBED, GuidForm, HeaderStart

PLAIN = DESCRIBED.but(header_start=HeaderStart.FRACTION, guid_form=GuidForm.BOTH)
