"""Questions that moto 5.2.5 has no answer to: refused, as AWS would refuse, instead of a crash.

`plan` shows what it asked for in vain as "not checked".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from moto.core.exceptions import ServiceException
from moto.ecr.responses import ECRResponse
from moto.iam.responses import IamResponse


def _refused(_: Any) -> Any:
    raise ServiceException("NotImplemented", "the emulator does not know this")


# (class, name of its method, what stands in for it)
PATCHES: Final[tuple[tuple[type, str, Callable[[Any], Any]], ...]] = (
    (IamResponse, "simulate_principal_policy", _refused),
    (ECRResponse, "get_download_url_for_layer", _refused),
)
