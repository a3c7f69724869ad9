"""Everything random on the plant comes from here, so that one seed gives one plant, on every machine."""

from random import Random
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

_TWO_PI = 6.283185307179586


def random_for(*key: object) -> Random:
    """Return the generator that belongs to a key; equal keys give equal sequences, in every process."""
    return Random("\x1f".join(str(part) for part in key))


def guid(random: Random) -> str:
    """Return a random (version 4) GUID in its canonical lower-case form."""
    return str(UUID(int=random.getrandbits(128), version=4))


def uniforms(random: Random, count: int) -> pa.DoubleArray:
    """Return ``count`` numbers strictly between 0 and 1."""
    integers = pa.Array.from_buffers(pa.uint32(), count, [None, pa.py_buffer(random.randbytes(4 * count))])
    return pc.divide(pc.add(pc.cast(integers, pa.float64()), 0.5), 4294967296.0)


def normals(random: Random, count: int) -> pa.DoubleArray:
    """Return ``count`` numbers of the standard normal distribution (Box-Muller)."""
    radius = pc.sqrt(pc.multiply(pc.ln(uniforms(random, count)), -2.0))
    return pc.multiply(radius, pc.cos(pc.multiply(uniforms(random, count), _TWO_PI)))
