"""What AWS refused: where, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

_LOGIN: Final = "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run: aws configure"
_EXPIRED: Final = (
    "log in again (aws sso login), or fetch new temporary keys; then repeat the command"
)
_AGAIN: Final = "repeat the command"
_DENIED: Final = "let an administrator allow this action for you; the command can be repeated"
_ADVICE: Final = {
    "AuthFailure": "are the keys right, and for an account that has this region enabled?",
    "InvalidClientTokenId": "the access key is unknown; " + _LOGIN,
    "SignatureDoesNotMatch": "the secret key is wrong, or this machine's clock is",
    "UnrecognizedClientException": "the keys are unknown in this region; is it enabled?",
    "OptInRequired": "enable this region or service in the account first",
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "UnauthorizedOperation": _DENIED,
    "InsufficientInstanceCapacity": "this zone is out of that type: repeat later, or name another",
    "InstanceLimitExceeded": "ask for a higher quota, or choose fewer or smaller machines",
    "VcpuLimitExceeded": "ask for a higher quota, or choose fewer or smaller machines",
    "AddressLimitExceeded": "release an Elastic IP that is not used, or ask for a higher quota",
    "RequestLimitExceeded": "AWS is throttling this account: wait a minute, then repeat",
    "Throttling": "AWS is throttling this account: wait a minute, then repeat",
    "DependencyViolation": "something outside this deployment still uses it; find and remove that",
}


class CloudError(Exception):
    """A call or a wait that failed: `place` (what was done, where), `cause`, `suggestion`.

    `code` is AWS's own error code, or empty when there was no answer.
    """

    def __init__(self, place: str, cause: str, suggestion: str = "", code: str = "") -> None:
        self.place = place
        self.cause = " ".join(cause.split())
        self.suggestion = suggestion
        self.code = code
        super().__init__(f"{place}: {self.cause}")


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn what boto3 raises into a `CloudError` at `place`."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        code = told.get("Code", "")
        cause = f"{code}: {told.get('Message') or error}"
        raise CloudError(place, cause, _ADVICE.get(code, ""), code) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise CloudError(place, str(error), _LOGIN) from error
    except (SSOError, TokenRetrievalError) as error:
        raise CloudError(place, str(error), _EXPIRED) from error
    except NoRegionError as error:
        raise CloudError(place, str(error), "name the region in deploy.yaml") from error
    except ResponseParserError as error:
        raise CloudError(place, f"an answer that cannot be read: {error}", _AGAIN) from error
    except EndpointConnectionError as error:
        raise CloudError(
            place, str(error), "is the region's name right, and is there a network?"
        ) from error
    except BotoCoreError as error:
        raise CloudError(place, str(error)) from error
