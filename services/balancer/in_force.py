"""The configuration in force: fitted to the machine, replaced at a reload, or kept when that fails.

A reload checks first; what sockets and memory were made for cannot change while they are in use.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

from services.balancer.columns import assign
from services.balancer.config import Config, Limits
from services.balancer.messages import Configure
from services.balancer.settings import ConfigError
from services.balancer.sockets import fit_limits
from services.balancer.upgrade import needs_restart, settings_of

_log = logging.getLogger(__name__)


class InForce:
    """`load` reads the file again and raises ConfigError; `open_files`: how many there may be."""

    def __init__(self, config: Config, load: Callable[[], Config], open_files: int) -> None:
        self._load = load
        self._open_files = open_files
        self.config = self._fit(config)
        self.version = 1
        self._columns = assign({}, (cluster.name for cluster in config.clusters))

    @property
    def message(self) -> Configure:
        """What a child is told of it."""
        return Configure(config=self.config, version=self.version, columns=self._columns)

    def replace(self) -> tuple[str, ...]:
        """Put in force what the file says now; or return its problems, and nothing has changed."""
        try:
            config = self._load()
            problems = needs_restart(settings_of(self.config), config)
        except ConfigError as error:
            problems = tuple(map(str, error.problems))
        if problems:
            for problem in problems:
                _log.error(
                    "reload refused, the old configuration stays", extra={"problem": problem}
                )
            return problems
        self.version += 1
        self.config = self._fit(config)
        self._columns = assign(self._columns, (cluster.name for cluster in config.clusters))
        _log.info("configuration reloaded", extra={"version": self.version})
        return ()

    def _fit(self, config: Config) -> Config:
        limits = fit_limits(config.limits, self._open_files)
        if limits is config.limits:
            return config
        # Lowering a default is the machine's business; lowering what somebody asked for is theirs.
        asked_for = config.limits.connections != Limits().connections
        _log.log(
            logging.WARNING if asked_for else logging.INFO,
            "limits.connections lowered to what the open-file limit allows",
            extra={
                "configured": config.limits.connections,
                "now": limits.connections,
                "open_files": self._open_files,
            },
        )
        return dataclasses.replace(config, limits=limits)
