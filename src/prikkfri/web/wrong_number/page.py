"""How the page looks; what becomes of its form is `sms.http`'s matter."""

from html import escape
from urllib.parse import parse_qsl

from prikkfri.protocols.asgi import NO_STORE, HttpResponse, Request, header
from prikkfri.web.status_page.words import LANGUAGES, wanted_language
from prikkfri.web.wrong_number.words import WORDS

PATH = "/wrong-number"
POLICY = b"default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


def page(request: Request, chosen: str = "", said: str = "") -> HttpResponse:
    """In the language that is `chosen` or asked for; `said`: `done`, or `bad`, a number that is none of ours."""
    return _page(422 if said == "bad" else 200, _language(request, chosen), said)


def _language(request: Request, chosen: str = "") -> str:
    asked = chosen or dict(parse_qsl(request.query.decode("latin-1"))).get("lang", "")
    return asked if asked in LANGUAGES else wanted_language(header(request.scope, b"accept-language"))


def _page(status: int, language: str, said: str = "") -> HttpResponse:
    words = {name: escape(text) for name, text in WORDS[language].items()}
    others = " ".join(
        f'<a href="{PATH}?lang={code}" hreflang="{code}" lang="{code}">{name}</a>'
        for code, name in LANGUAGES.items()
        if code != language
    )
    trouble = f'<p role="alert" id="trouble">{words["bad"]}</p>' if said == "bad" else ""
    form = (
        f'<p>{words["lead"]}</p>{trouble}<form method="post" action="{PATH}">'
        f'<input type="hidden" name="lang" value="{language}">'
        f'<p><label for="number">{words["number"]}</label><br>'
        f'<input id="number" name="number" type="tel" autocomplete="tel" required aria-describedby="hint"><br>'
        f'<small id="hint">{words["hint"]}</small></p><p><button>{words["send"]}</button></p></form>'
        f"<p><small>{words['kept']}</small></p>"
    )
    done = f'<p role="status">{words["done"]}</p>'
    html = (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>{words['title']}</title><main><h1>{words['title']}</h1>{done if said == 'done' else form}</main>"
        f"<footer><p>{others}</p></footer></html>"
    )
    headers = (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", POLICY),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"vary", b"Accept-Language"),
        NO_STORE,
    )
    return HttpResponse(status, None, headers, html.encode())
