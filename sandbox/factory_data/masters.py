"""The master data of a plant: every product, test plan, station and user with its GUID."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.factory_data.products import PRODUCTS, SITES, UNMAPPED_TESTPLAN
from sandbox.factory_data.seeds import guid, random_for

OPERATORS = tuple(f"op{number:02d}" for number in range(1, 10))

_CREATED = datetime(2019, 8, 12, 9, 30)  # noqa: DTZ001 - wall-clock time, like every time in VTE
_INSTRUMENTS = ("Power supply", "Multimeter", "Oscilloscope", "Switch unit")
_FAILURE_CODES = ("Solder bridge", "Missing part", "Wrong part", "Defective part", "No fault found")
_ACTION_CODES = ("Part replaced", "Resoldered", "Reprogrammed", "None")


@dataclass
class Masters:
    """GUIDs by name, and the rows of the master tables. Both follow from the seed alone."""

    seed: int
    product_guids: dict[str, str] = field(init=False, default_factory=dict)
    testplan_guids: dict[str, str] = field(init=False, default_factory=dict)
    revision_guids: dict[tuple[str, str], str] = field(init=False, default_factory=dict)
    testsystem_guids: dict[str, str] = field(init=False, default_factory=dict)
    user_guids: dict[str, str] = field(init=False, default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random_for("masters", self.seed)
        testplans = [testplan for product in PRODUCTS for testplan in product.route] + [UNMAPPED_TESTPLAN]
        for product in PRODUCTS:
            for part in product.parts:
                self.product_guids[part] = self._add(
                    "Products", "Product_GUID", Name=part, Description=product.family, Created=_CREATED
                )
        for testplan in testplans:
            plan_guid = self._add("Testplans", "Testplan_GUID", Name=testplan.name, Description=None, Created=_CREATED)
            self.testplan_guids[testplan.name] = plan_guid
            for revision in testplan.revisions:
                self.revision_guids[testplan.name, revision] = self._add(
                    "TestplanRevisions",
                    "TestplanRevision_GUID",
                    Testplan_GUID=plan_guid,
                    Revision=revision,
                    Comment=None,
                    Created=_CREATED,
                )
        for station, site in SITES.items():
            self._add_station(station, site)
        for name in OPERATORS:
            self.user_guids[name] = self._add(
                "Users",
                "User_GUID",
                Name=name,
                Password=f"never-to-be-read-{self._random.getrandbits(64):016x}",
                Active=True,
            )
            self._add(
                "UserRegistrations",
                "UserRegistration_GUID",
                User_GUID=self.user_guids[name],
                Testsystem_GUID=None,
                Name="Operator",
                Registered=_CREATED,
            )
        for product in PRODUCTS:
            for part in product.parts:
                for testplan in product.route:
                    self._add(
                        "ProductRegistrations",
                        "ProductRegistration_GUID",
                        Product_GUID=self.product_guids[part],
                        Testplan_GUID=self.testplan_guids[testplan.name],
                        Name=f"{part} on {testplan.name}",
                        Registered=_CREATED,
                    )
        for code, name in enumerate(_FAILURE_CODES, start=1):
            self._add("RepairFailureCodes", "RepairFailureCode_GUID", Name=name, Code=code)
        for code, name in enumerate(_ACTION_CODES, start=1):
            self._add("RepairActionCodes", "RepairActionCode_GUID", Name=name, Code=code)

    def hostname(self, station: str) -> str:
        """Return the name of the station's computer."""
        return f"VTE-{station}"

    def _add_station(self, station: str, site: str) -> None:
        station_guid = self._add(
            "TestSystems", "Testsystem_GUID", Name=station, Hostname=self.hostname(station), Site=site
        )
        self.testsystem_guids[station] = station_guid
        for instrument in _INSTRUMENTS:
            self._add(
                "TestsystemComponents",
                "TestsystemComponent_GUID",
                Testsystem_GUID=station_guid,
                Name=instrument,
                Model=f"M{self._random.randrange(3000, 9999)}A",
                SerialNumber=f"MY{self._random.randrange(10**8):08d}",
                CalibrationDue=_CREATED.replace(year=2031, month=self._random.randrange(1, 13)),
            )

    def _add(self, table: str, key: str, **columns: object) -> str:
        added = guid(self._random)
        self.rows.setdefault(table, []).append({key: added, **columns})
        return added
