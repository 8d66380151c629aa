"""What a browser shows in place of a refusal: one sentence, in the language that it asks for."""

from prikkfri.protocols.asgi import NO_STORE, HttpResponse, Scope, header, wants_html
from prikkfri.web.status_page.words import wanted_language

WORDS = {
    "nb": {
        400: "Dette forstår vi ikke.",
        403: "Dette kan bare gjøres fra våre egne sider.",
        404: "Her er det ingenting.",
        405: "Denne siden kan bare leses.",
        413: "Dette var for mye på én gang.",
        500: "Noe gikk galt hos oss. Det er notert.",
        "back": "Til forsiden",
    },
    "sv": {
        400: "Detta förstår vi inte.",
        403: "Detta kan bara göras från våra egna sidor.",
        404: "Här finns ingenting.",
        405: "Den här sidan kan bara läsas.",
        413: "Detta var för mycket på en gång.",
        500: "Något gick fel hos oss. Det är noterat.",
        "back": "Till startsidan",
    },
    "en": {
        400: "We do not understand this.",
        403: "This can be done from our own pages only.",
        404: "There is nothing here.",
        405: "This page can only be read.",
        413: "This was too much at once.",
        500: "Something went wrong on our side. It has been noted.",
        "back": "To the front page",
    },
}
POLICY = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def refusal_words(scope: Scope, refusal: HttpResponse) -> tuple[str, str, str]:
    """The reader's language, and in it what is wrong and the way back."""
    language = wanted_language(header(scope, b"accept-language"))
    words = WORDS[language]
    return language, words.get(refusal.status, words[400]), words["back"]


def refusal_page(scope: Scope, refusal: HttpResponse) -> HttpResponse:
    """The refusal as a page for who asks for HTML; for all others as it is."""
    if not wants_html(scope):
        return refusal
    language, said, back = refusal_words(scope, refusal)
    html = (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f'<title>{said}</title><main><h1>{said}</h1><p><a href="/">{back}</a></p></main></html>'
    )
    headers = (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", POLICY),
        (b"x-content-type-options", b"nosniff"),
        (b"vary", b"Accept, Accept-Language"),
        NO_STORE,
    )
    return HttpResponse(refusal.status, None, (*refusal.headers, *headers), html.encode())
