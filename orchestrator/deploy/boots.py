"""Boots that failed: what the machine itself tells of its user data and its container.

One command asks all machines; one that SSM does not know yet is asked for its console.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from typing import Final

from orchestrator.aws.door import Aws
from orchestrator.aws.wait import Patience
from orchestrator.deploy.remote import known, run

_LINES: Final = 20
_FAILED: Final = "FAILED"
_OUTPUT: Final = "/var/log/cloud-init-output.log"
_TOLD: Final = "steelyard-boot: "  # what boot.sh says of itself; the last of it is the reason
_CONSOLE_FAILED: Final = f"{_TOLD}failed"
# cloud-init's status is "error" once the user data ended with another status than 0. A container
# that has restarted time and again is as good as a failed boot.
_SCRIPT: Final = f"""
state=$(cloud-init status 2>/dev/null | sed -n 's/^status: *//p')
again=$(docker inspect -f '{{{{.RestartCount}}}}' steelyard 2>/dev/null || echo 0)
if [ "$state" = error ]; then
  echo {_FAILED}
  cloud-init status --long
  tail -n {_LINES} {_OUTPUT} 2>/dev/null ||
    journalctl -q --no-pager -o cat -n {_LINES} -u cloud-final
  grep -a '{_TOLD}' {_OUTPUT} | tail -n 2
elif [ "${{again:-0}}" -ge 3 ]; then
  echo {_FAILED}
  echo "its container was restarted $again times"
  docker logs --tail {_LINES} steelyard 2>&1
fi
exit 0
"""


def boot_failures(aws: Aws, idents: Collection[str], patience: Patience) -> Mapping[str, str]:
    """What went wrong, by machine; machines that are well, or still booting, are not in it.

    Errors:
        CloudError: AWS refused to answer.
    """
    if not idents:
        return {}
    reached = known(aws, idents)
    failures: dict[str, str] = {}
    if reached:
        for ident, ran in run(aws, reached, _SCRIPT, patience, about="boot").items():
            first, _, rest = ran.output.partition("\n")
            if first == _FAILED:
                failures[ident] = rest.strip()
    for ident in sorted(set(idents) - reached):
        text = console(aws, ident)
        if _CONSOLE_FAILED in text:
            failures[ident] = tail(text)
    return failures


def console(aws: Aws, ident: str) -> str:
    """What a machine wrote to its console; empty while EC2 has none. Raises CloudError."""
    told = aws.call("ec2", "get_console_output", InstanceId=ident).get("Output") or ""
    try:
        return base64.b64decode(told, validate=True).decode(errors="replace")
    except binascii.Error:  # botocore decodes it by itself in some versions
        return str(told)


def tail(text: str) -> str:
    """The last lines."""
    return "\n".join(text.strip().splitlines()[-_LINES:])
