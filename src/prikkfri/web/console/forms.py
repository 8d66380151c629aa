"""Forms of the console: their fields, and the reason that a look at a customer's data asks for."""

import email.policy
from email.parser import BytesParser
from urllib.parse import parse_qsl

from prikkfri.web.console.pages import ConsoleRequest

FIELDS_MAX = 20
WHY_CHARACTERS_MIN = 4
WHY_CHARACTERS_MAX = 200
WHY_TROUBLE = f"Say why, in {WHY_CHARACTERS_MIN} to {WHY_CHARACTERS_MAX} characters."


async def form_of(request: ConsoleRequest) -> dict[str, str]:
    """The fields of an ordinary form, without the blanks around them."""
    body = await request.body()
    fields = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=FIELDS_MAX)
    return {name: value.strip() for name, value in fields}


async def file_of(request: ConsoleRequest, field: str) -> str | None:
    """The text of a file in a `multipart/form-data` form (RFC 7578); None when there is none, or it is not UTF-8."""
    kind = request.content_type
    if not kind.startswith("multipart/form-data"):
        return None
    head = f"content-type: {kind}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=email.policy.HTTP).parsebytes(head + await request.body())
    for part in message.iter_parts() if message.is_multipart() else ():
        if part.get_param("name", header="content-disposition") == field:
            content = part.get_payload(decode=True)
            try:
                return content.decode() if isinstance(content, bytes) else None
            except UnicodeDecodeError:
                return None
    return None


def says_why(why: str) -> bool:
    return WHY_CHARACTERS_MIN <= len(why) <= WHY_CHARACTERS_MAX
