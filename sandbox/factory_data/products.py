"""What the plant builds and how it is tested: products, their parts, and test plans with revisions and variants."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle, islice

from sandbox.factory_data.seeds import random_for

SERIAL = "{serial}"


@dataclass(frozen=True)
class NumericStep:
    """A measurement: normally distributed around ``nominal``, written with ``digits`` decimals."""

    name: str
    description: str
    units: str | None
    nominal: float
    sigma: float
    low: float | None = None
    high: float | None = None

    @property
    def digits(self) -> int:
        """Decimals that still show a hundredth of sigma."""
        return max(0, 2 - math.floor(math.log10(self.sigma)))

    @property
    def can_fail(self) -> bool:
        return self.low is not None or self.high is not None

    def loosened(self, share: float) -> "NumericStep":
        """Return the step with each limit farther from the nominal by ``share`` of its distance."""
        return replace(
            self,
            low=None if self.low is None else self.nominal - (self.nominal - self.low) * (1 + share),
            high=None if self.high is None else self.nominal + (self.high - self.nominal) * (1 + share),
        )


@dataclass(frozen=True)
class TextStep:
    """A text answer: one of ``choices`` when all is well (``SERIAL`` is the unit's own), ``wrong`` when not."""

    name: str
    description: str
    choices: tuple[str, ...]
    wrong: str | None = None

    @property
    def can_fail(self) -> bool:
        return self.wrong is not None


@dataclass(frozen=True)
class OtherStep:
    """Bytes that an instrument left behind."""

    name: str
    description: str
    contents: tuple[bytes, ...]
    can_fail: bool = False


Step = NumericStep | TextStep | OtherStep


@dataclass(frozen=True)
class Testplan:
    """A test plan. Its variant is the rating of the part under test; older revisions have looser limits."""

    __test__ = False  # not a test, although pytest reads the name so

    name: str
    revisions: tuple[str, ...]
    build: Callable[[str], tuple[Step, ...]]
    test_time_s: float
    stations: tuple[str, ...]
    stops_at_failure: bool = False


@dataclass(frozen=True)
class Product:
    """A product family: its parts (name → variant), the route of test plans, and its share of the plant."""

    family: str
    serial_prefix: str
    parts: dict[str, str]
    route: tuple[Testplan, ...]
    share: float


@dataclass(frozen=True)
class Recipe:
    """A test plan in one revision and variant, with the steps it runs and which of them can fail."""

    number: int
    testplan: Testplan
    revision: str
    variant: str
    steps: tuple[Step, ...]
    can_fail: tuple[int, ...]


@cache
def recipes(steps: int | None) -> dict[tuple[str, str, str], Recipe]:
    """Return every recipe by (test plan, revision, variant); ``steps`` makes each exactly that long."""
    found: dict[tuple[str, str, str], Recipe] = {}
    for product in PRODUCTS:
        for testplan in product.route:
            for age, revision in enumerate(reversed(testplan.revisions)):
                for variant in product.parts.values():
                    listed = tuple(
                        step.loosened(0.1 * age) if isinstance(step, NumericStep) else step
                        for step in testplan.build(variant)
                    )
                    if steps is not None:
                        listed = _resized(listed, steps)
                    can_fail = tuple(index for index, step in enumerate(listed) if step.can_fail)
                    found[testplan.name, revision, variant] = Recipe(
                        len(found), testplan, revision, variant, listed, can_fail
                    )
    return found


def _resized(listed: tuple[Step, ...], steps: int) -> tuple[Step, ...]:
    """Cut or repeat to ``steps`` steps, beginning with one that can fail; repetitions are numbered."""
    first = next(index for index, step in enumerate(listed) if step.can_fail)
    turned = listed[first:] + listed[:first]
    return tuple(
        replace(step, name=f"{step.name} (pass {1 + index // len(turned)})") if index >= len(turned) else step
        for index, step in enumerate(islice(cycle(turned), steps))
    )


def _around(name: str, units: str, nominal: float, tolerance: float) -> NumericStep:
    return NumericStep(name, "", units, nominal, tolerance / 6, nominal - tolerance, nominal + tolerance)


def _at_most(name: str, units: str, nominal: float, limit: float, description: str = "") -> NumericStep:
    return NumericStep(name, description, units, nominal, min((limit - nominal) / 6, abs(nominal) / 5), high=limit)


def _at_least(name: str, units: str, nominal: float, limit: float, description: str = "") -> NumericStep:
    return NumericStep(name, description, units, nominal, (nominal - limit) / 15, low=limit)


def _logged(name: str, units: str | None, nominal: float, sigma: float) -> NumericStep:
    return NumericStep(name, "", units, nominal, sigma)


def _waveforms(name: str, size_bytes: int) -> tuple[bytes, ...]:
    return tuple(
        b"\x93WFM\x00\xff" + random_for("waveform", name, index).randbytes(size_bytes - 6) for index in range(4)
    )


def _station_logs(name: str, lines: int) -> tuple[bytes, ...]:
    return tuple(
        "\r\n".join(f"{line:04d};{name};ok;{random.gauss(20, 1):.2f} °C" for line in range(lines)).encode()
        for random in (random_for("log", name, index) for index in range(4))
    )


_VOLTS = {"12V": 12.0, "24V": 24.0, "48V": 48.0}
_WATTS = {"12V": 60.0, "24V": 120.0, "48V": 240.0}


@cache
def _psu_board(variant: str) -> tuple[Step, ...]:
    volts = _VOLTS[variant]
    amperes = _WATTS[variant] / volts
    steps: list[Step] = [
        TextStep("Read board identity", "ID resistor network", ("PSU-CTRL A3", "PSU-CTRL A4"), "PSU-CTRL ?"),
        _at_least("Isolation resistance primary to secondary", "MΩ", 850, 100, "500 V DC, 5 s"),
        _at_most("Input current no load", "mA", 21, 45),
        _at_most("Inrush current", "A", 18, 30, "230 V AC, 90 degrees"),
    ]
    for rail, nominal in (("3V3", 3.3), ("5V", 5.0), ("12V auxiliary", 12.0)):
        steps += [
            _around(f"{rail} voltage", "V", nominal, nominal * 0.03),
            _at_most(f"{rail} ripple", "mV", nominal * 2, nominal * 8, "20 MHz bandwidth, peak to peak"),
            _around(f"{rail} rise time", "ms", 4.2, 1.5),
        ]
    for load in (0, 25, 50, 75, 100):
        steps += [
            _around(f"Output voltage at {load} % load", "V", volts - load * 2e-5 * volts, volts * 0.01),
            _at_most(f"Output ripple at {load} % load", "mV", 12 + load * 0.2, 120, "20 MHz bandwidth, peak to peak"),
        ]
        if load:
            steps.append(_at_least(f"Efficiency at {load} % load", "%", 88 + load * 0.04, 82, "230 V AC"))
    steps += [
        _around("Switching frequency", "kHz", 132, 9),
        _around("Overvoltage trip", "V", volts * 1.2, volts * 0.06),
        _around("Overcurrent trip", "A", amperes * 1.3, amperes * 0.15),
        TextStep("Short circuit recovery", "Output shorted for 500 ms", ("Recovered",), "Latched off"),
        _at_most("Load step undershoot", "mV", volts * 9, volts * 25, "25 % to 75 %, 1 A/µs"),
        _at_most("Load step overshoot", "mV", volts * 8, volts * 25, "75 % to 25 %, 1 A/µs"),
        _at_least("Hold-up time", "ms", 24, 16, "Full load, 230 V AC"),
        _logged("Heat sink temperature", "°C", 41, 2),
        _logged("Ambient temperature", "°C", 23, 0.6),
        OtherStep("Start-up waveform", "Oscilloscope, channel 1", _waveforms("start-up", 512)),
    ]
    return tuple(steps)


@cache
def _psu_burn_in(variant: str) -> tuple[Step, ...]:
    volts = _VOLTS[variant]
    steps: list[Step] = [
        TextStep("Rack position", "Slot read from the rack", ("R1-04", "R1-11", "R2-07", "R2-15")),
        _at_most("Case temperature maximum", "°C", 71, 85),
    ]
    steps += [_around(f"Output voltage after {hours} h", "V", volts, volts * 0.015) for hours in (0, 1, 2, 4, 6, 8)]
    steps += [
        _at_most("Output drift", "mV", volts * 1.5, volts * 6),
        _logged("Energy delivered", "Wh", _WATTS[variant] * 7.9, 3),
        _at_most("Fan speed deviation", "%", 2.1, 8),
        OtherStep("Chamber log", "Temperature profile, text", _station_logs("chamber", 24)),
    ]
    return tuple(steps)


@cache
def _psu_final(variant: str) -> tuple[Step, ...]:
    volts = _VOLTS[variant]
    steps: list[Step] = [
        TextStep("Label barcode", "Scanned from the case", (SERIAL,), "NO READ"),
        TextStep("Firmware version", "Read over PMBus", ("4.1.7", "4.1.9"), "0.0.0"),
        _at_most("Ground bond resistance", "mΩ", 38, 100, "25 A, 10 s"),
        _at_most("Hipot leakage current", "mA", 0.35, 3.5, "3 kV AC, 2 s"),
        _at_least("Insulation resistance", "GΩ", 4.5, 0.5, "500 V DC"),
        _at_most("Touch current", "µA", 62, 250),
        _at_most("Standby power", "W", 0.21, 0.5),
    ]
    for line in (90, 115, 230, 264):
        steps += [
            _around(f"Output voltage at {line} V AC", "V", volts, volts * 0.01),
            _at_least(f"Efficiency at {line} V AC", "%", 89 + line * 0.008, 84),
            _at_least(f"Power factor at {line} V AC", "1", 0.985, 0.92),
            _at_most(f"Input current at {line} V AC", "A", _WATTS[variant] / line / 0.89, _WATTS[variant] / line / 0.7),
        ]
    steps += [
        _around("DC OK threshold", "V", volts * 0.9, volts * 0.03),
        _around("Set-point after trimming", "V", volts, volts * 0.004),
        _at_most("Fan noise", "dB", 34, 42),
        TextStep("Front panel LED", "Colour sensor", ("green",), "off"),
        OtherStep("Output ripple screenshot", "Oscilloscope, raw", _waveforms("ripple", 1024)),
    ]
    return tuple(steps)


_BANDS_MHZ = {"2G4": (2402.0, 3.2), "5G": (5180.0, 20.0)}


@cache
def _rf_calibration(variant: str) -> tuple[Step, ...]:
    lowest, spacing = _BANDS_MHZ[variant]
    steps: list[Step] = [
        TextStep("Module serial number", "Read over SPI", (SERIAL,), "FFFFFFFF"),
        TextStep("Chip revision", "Register 0x01", ("B2", "B3"), "A0"),
        _around("Reference oscillator offset", "ppm", 0.4, 8),
        _around("Supply voltage", "V", 3.3, 0.1),
        _at_most("Supply current idle", "mA", 14, 25),
        _at_most("Supply current transmitting", "mA", 310, 420),
        _logged("Die temperature before", "°C", 29, 1.5),
    ]
    for channel in range(24):
        mhz = lowest + channel * spacing
        for dbm in (0, 6, 12, 18):
            steps += [
                _around(f"Output power at {mhz:.1f} MHz, {dbm} dBm", "dBm", dbm + 0.1, 1.5),
                _at_most(f"EVM at {mhz:.1f} MHz, {dbm} dBm", "dB", -38 + dbm * 0.3, -25),
                _logged(f"Gain correction at {mhz:.1f} MHz, {dbm} dBm", "dB", -0.4, 0.15),
            ]
    steps += [
        _logged("Die temperature after", "°C", 47, 2.5),
        _around("Detector slope", "mV/dB", 22, 3),
        _around("Detector offset", "mV", 480, 40),
        TextStep("Write calibration table", "Verified by reading back", ("verified",), "mismatch"),
        OtherStep("Calibration table", "Binary image as written", _waveforms("calibration", 2048)),
    ]
    return tuple(steps)


@cache
def _rf_final(variant: str) -> tuple[Step, ...]:
    lowest, spacing = _BANDS_MHZ[variant]
    steps: list[Step] = [
        TextStep("Label barcode", "Scanned from the shield", (SERIAL,), "NO READ"),
        TextStep("Firmware version", "Read over UART", ("2.8.0", "2.8.1"), "2.7.3"),
        _at_most("Sleep current", "µA", 2.1, 5),
    ]
    for channel in range(12):
        mhz = lowest + channel * 2 * spacing
        steps += [
            _around(f"Transmit power at {mhz:.1f} MHz", "dBm", 17.5, 2),
            _around(f"Frequency error at {mhz:.1f} MHz", "kHz", 1.2, 25),
            _at_most(f"EVM at {mhz:.1f} MHz", "%", 3.1, 8),
            _at_most(f"ACLR lower at {mhz:.1f} MHz", "dBc", -44, -33),
            _at_most(f"ACLR upper at {mhz:.1f} MHz", "dBc", -44, -33),
            _at_most(f"Sensitivity at {mhz:.1f} MHz", "dBm", -97, -92, "Packet error rate 1 %"),
            _logged(f"RSSI at {mhz:.1f} MHz", "dBm", -60, 0.8),
        ]
    steps += [
        _at_most("Spurious emission", "dBm", -51, -41),
        TextStep("Region lock", "Read over UART", ("EU", "US", "JP"), "none"),
        OtherStep("Spectrum trace", "Analyser trace, raw", _waveforms("spectrum", 1602)),
    ]
    return tuple(steps)


_SENSED = {"Temperature": ("°C", 25.0, 0.3), "Pressure": ("hPa", 1013.25, 1.5), "Humidity": ("%RH", 45.0, 2.0)}


@cache
def _sensor_programming(variant: str) -> tuple[Step, ...]:
    return (
        _at_most("Supply current", "mA", 8.4, 15),
        TextStep("Erase and program", "Programmer's answer", ("OK",), "VERIFY FAILED at 0x0800C000"),
        TextStep("Firmware version", "Read back", (f"{variant[0]}1.12.4", f"{variant[0]}1.12.5"), "unknown"),
        TextStep("Serial number", "Read back", (SERIAL,), "00000000"),
        OtherStep("Programmer log", "Text", _station_logs("programmer", 12)),
    )


@cache
def _sensor_functional(variant: str) -> tuple[Step, ...]:
    units, nominal, tolerance = _SENSED[variant]
    steps: list[Step] = [
        TextStep("Bus scan", "I²C addresses that answer", ("0x44, 0x76", "0x76, 0x44"), "0x76"),
        _around("1V8 rail", "V", 1.8, 0.05),
        _around("3V3 rail", "V", 3.3, 0.08),
        _at_most("Sleep current", "µA", 3.4, 8),
        _at_most("Active current", "mA", 6.1, 10),
        _around("Crystal frequency", "Hz", 32768.0, 1.6),
        _around(f"{variant} at room conditions", units, nominal, tolerance * 4),
        _at_most(f"{variant} noise", units, tolerance * 0.2, tolerance * 0.6, "Standard deviation of 64 readings"),
    ]
    steps += [_around(f"ADC channel {channel}", "mV", 250.0 * (channel + 1), 12) for channel in range(8)]
    steps += [_at_most(f"GPIO {pin} low level", "V", 0.04, 0.4) for pin in range(6)]
    steps += [_at_least(f"GPIO {pin} high level", "V", 3.24, 2.6) for pin in range(6)]
    steps += [
        TextStep("Interrupt line", "Toggled by the unit", ("edge seen",), "no edge"),
        _logged("Fixture cycles", None, 48_000, 5),
        _logged("Room temperature", "°C", 22.8, 0.5),
        TextStep("Fixture", "Fixture that holds the board", ("FX-01", "FX-02", "FX-05")),
    ]
    return tuple(steps)


@cache
def _sensor_calibration(variant: str) -> tuple[Step, ...]:
    units, nominal, tolerance = _SENSED[variant]
    steps: list[Step] = [TextStep("Serial number", "Read over I²C", (SERIAL,), "00000000")]
    for point in range(10):
        at = nominal * (0.5 + 0.1 * point)
        steps += [
            _around(f"Reference at point {point + 1}", units, at, tolerance),
            _around(f"Reading before at point {point + 1}", units, at + tolerance * 0.3, tolerance * 6),
            _around(f"Reading after at point {point + 1}", units, at, tolerance),
            _around(f"Residual at point {point + 1}", units, 0.0, tolerance * 0.5),
            _logged(f"Settling time at point {point + 1}", "s", 14, 1.8),
        ]
    steps += [
        _around("Coefficient c0", "1", 0.012, 0.05),
        _around("Coefficient c1", "1", 1.003, 0.02),
        _around("Coefficient c2", "1", -2.4e-5, 4e-5),
        TextStep("Write coefficients", "Verified by reading back", ("verified",), "mismatch"),
        OtherStep("Chamber log", "Text", _station_logs("climate", 40)),
    ]
    return tuple(steps)


PRODUCTS = (
    Product(
        "Power supply",
        "P",
        {"PSU-12V-60W": "12V", "PSU-24V-120W": "24V", "PSU-48V-240W": "48V"},
        (
            Testplan(
                "PSU Board Test", ("1.3", "1.4", "2.0"), _psu_board, 64.0, ("PCBA-01", "PCBA-02"), stops_at_failure=True
            ),
            Testplan("PSU Burn In", ("1.0",), _psu_burn_in, 178.0, ("BURN-01",)),
            Testplan("PSU Final Test", ("3.1", "3.2"), _psu_final, 47.0, ("EOL-01", "EOL-02")),
        ),
        0.45,
    ),
    Product(
        "RF module",
        "R",
        {"RFM-2G4-18": "2G4", "RFM-5G-18": "5G"},
        (
            Testplan("RF Module Calibration", ("7", "8"), _rf_calibration, 92.0, ("RFCAL-01", "RFCAL-02")),
            Testplan("RF Module Final Test", ("5", "6"), _rf_final, 58.0, ("EOL-03",), stops_at_failure=True),
        ),
        0.15,
    ),
    Product(
        "Sensor board",
        "S",
        {"SNS-T100": "Temperature", "SNS-P200": "Pressure", "SNS-H300": "Humidity"},
        (
            Testplan(
                "Sensor Board Programming", ("A",), _sensor_programming, 11.0, ("PCBA-03",), stops_at_failure=True
            ),
            Testplan(
                "Sensor Board Functional",
                ("A", "B"),
                _sensor_functional,
                26.0,
                ("PCBA-03", "PCBA-04"),
                stops_at_failure=True,
            ),
            Testplan("Sensor Board Calibration", ("C", "D"), _sensor_calibration, 84.0, ("CLIM-01", "CLIM-02")),
        ),
        0.40,
    ),
)

# A test plan that no site maps to a WATS process: engineers try things on it.
UNMAPPED_TESTPLAN = Testplan("Prototype Sandbox Plan", ("0.1",), _psu_board, 64.0, ("PCBA-02",))

SITES = {
    "PCBA-01": "Hall A",
    "PCBA-02": "Hall A",
    "PCBA-03": "Hall A",
    "PCBA-04": "Hall A",
    "RFCAL-01": "Hall B",
    "RFCAL-02": "Hall B",
    "CLIM-01": "Hall B",
    "CLIM-02": "Hall B",
    "BURN-01": "Hall C",
    "EOL-01": "Hall C",
    "EOL-02": "Hall C",
    "EOL-03": "Hall C",
}

# Test plan name or pattern → WATS process code.
PROCESS_MAP = {
    "PSU Board Test": 50,
    "PSU Burn In": 120,
    "Sensor Board Programming": 50,
    "Sensor Board Functional": 50,
    "*Calibration": 110,
    "*Final Test": 100,
}
