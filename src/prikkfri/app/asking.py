"""One question to a role, by HTTP: for commands, which do not wait for a larger client to load."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prikkfri.errors import RemoteProtocolError

if TYPE_CHECKING:
    import ssl

BODY_BYTES_MAX = 64 << 20


@dataclass(frozen=True)
class HttpReply:
    status: int
    body: bytes
    date: str = ""
    """When its machine says that this was, to the second (RFC 9110, 6.6.1)."""

    @property
    def document(self) -> Any:
        """Raises `ValueError` when it is no JSON."""
        return json.loads(self.body)


def ask_role(
    url: str,
    method: str,
    path: str,
    *,
    seconds: float,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    tls: "ssl.SSLContext | None" = None,
) -> HttpReply:
    """What the role at `url` answers; `body` goes as JSON, bytes as the CSV that they are. No proxy is asked.

    `tls` is needed for https. Raises `OSError` when nobody answers within `seconds`, `RemoteProtocolError` when what
    answers does not speak HTTP.
    """
    parts = urlsplit(url)
    assert parts.hostname
    connection = (
        http.client.HTTPSConnection(parts.hostname, parts.port, timeout=seconds, context=tls)
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    )
    try:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "text/csv" if body is content else "application/json"}
        connection.request(method, path, body=content, headers={**kind, **(headers or {})})
        answer = connection.getresponse()
        return HttpReply(answer.status, answer.read(BODY_BYTES_MAX), answer.getheader("date", ""))
    except http.client.HTTPException as error:
        raise RemoteProtocolError(f"{url} does not speak HTTP: {type(error).__name__}") from None
    finally:
        connection.close()
