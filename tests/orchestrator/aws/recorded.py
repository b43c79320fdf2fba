"""Which permissions the commands use: recorded from a life on the emulator, kept beside the code.

python -m tests.orchestrator.aws.recorded --update-docs
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Final
from unittest.mock import patch

from orchestrator import ecr
from orchestrator.deploy.kill import enabled_regions, kill
from orchestrator.deploy.least_privilege import RECORDED, action_of, page
from orchestrator.deploy.replace import Speed
from orchestrator.deploy.roll import refresh_balancers
from orchestrator.localcloud.gaps import filled
from services.contract import IMAGE_BALANCER
from tests.orchestrator.aws.account import REGION, Account, an_account, changed, put_image
from tests.orchestrator.aws.fleet import a_fleet

PAGE: Final = Path(__file__).parents[3] / "docs" / "aws-permissions.md"
_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def live(account: Account) -> None:
    """Every command, every change that a deployment can go through."""
    aws = account.aws
    for name in ecr.NAMES:
        aws.call("ecr", "delete_repository", repositoryName=name, force=True)
        ecr.prepare(aws, name)
        ecr.stored(aws, name, "first")
    ecr.login(aws)
    account.stock()
    aws.call("ec2", "create_key_pair", KeyName="mine")
    account.calls[:] = [call for call in account.calls if call.operation != "create_key_pair"]
    mail = "{email: a@example.org}"
    signals = f"alarms: {mail}\nbudget: {{usd_month: 20, email: a@example.org}}"
    account.deployment = changed(**{"ttl: 4h": f"ttl: 4h\nssh: {{key_pair: mine}}\n{signals}"})
    account.up()
    scale = "scale: {min: 0, max: 3, desired: 1}"
    account.deployment = changed(**{scale: "count: 1", "ttl: 4h\n": "", "0.0.0.0/0": "10.0.0.0/8"})
    account.up()
    account.down()
    account.up()
    account.deployment = changed(**{"ttl: 4h": "front: both\nbalancer: {count: 2}"})
    account.up()
    account.deployment = changed()
    account.up()
    account.deployment = changed(**{"ttl: 4h": "front: both\nbalancer: {count: 2}"})
    account.up()
    put_image(IMAGE_BALANCER, "second", seconds_later=60)
    plan = account.up()
    with account.journal as journal:
        quick = Speed(warm_s=0, notice_s=0)
        refresh_balancers(aws, plan, quick, journal=journal, around=account.around)
    enabled_regions(aws)
    kill(aws, [REGION], account.told.append, account.around.patience)


def actions() -> tuple[str, ...]:
    """What `live` needs, sorted."""
    with (
        tempfile.TemporaryDirectory() as folder,
        filled(),
        a_fleet(),
        an_account(Path(folder)) as account,
    ):
        live(account)
        names = {action_of(call) for call in account.calls}
    return tuple(sorted(name for name in names if name is not None))


def main() -> None:
    """Record, and rewrite the list and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update-docs", action="store_true", required=True)
    parser.parse_args()
    with patch.dict(os.environ, dict.fromkeys(_KEYS, "testing")):
        RECORDED.write_text("\n".join(actions()) + "\n")
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
