"""The configuration file as validated data, or every mistake in it at once with its place.

    problems     a mistake: file, line, column, place in the configuration, message, suggestion
    document     YAML text -> plain data, with the line and column of every key and value
    environment  STEELYARD_... variables laid over the data
    shorthand    `policy: p2c`, `file: targets.yaml`, `processes: auto` -> the long form
    schema       types and unknown keys (pydantic over the dataclasses of `config`)
    rules        what a single value may be: an address, a port, a duration, a path
    consistency  what values must be to each other: names, references, overlaps

`load` runs them in this order.
"""

from services.balancer.settings.load import load, parse
from services.balancer.settings.problems import ConfigError, Problem

__all__ = ["ConfigError", "Problem", "load", "parse"]
