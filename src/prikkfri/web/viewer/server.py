"""Serves the viewer's files from memory, under a content security policy that names the other roles' origins."""

import gzip
import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from prikkfri.config import Viewer
from prikkfri.contrast import ink_on
from prikkfri.errors import UsageError
from prikkfri.protocols.asgi import Application, HttpResponse, Request, Route, edge, header
from prikkfri.web.refusal_page import refusal_page

PAGES = Path(__file__).parent.parent
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}
PREVIEW = "/preview-waiting"
OURS = b"Prikkfri"
"""The name in the page as it lies here; the operator's takes its place."""
OUR_LOOK = Viewer()
MISSING_VENDOR = "browser parts are missing in {folder}; mend it: npm ci && npm run build"


@dataclass(frozen=True)
class ServedFile:
    """One file, ready to send: its body plain and compressed, and the headers of both."""

    body: bytes
    compressed: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    etag: bytes


def content_security_policy(settings: Mapping[str, object]) -> str:
    """The policy that allows scripts from the viewer alone and connections to exactly the roles in `settings`."""
    origin = {role: _origin(str(settings[role])) for role in ("signin", "door", "playout", "status", "assurance")}
    directives = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "manifest-src": "'self'",
        "worker-src": "'self'",
        "connect-src": " ".join(("'self'", *origin.values())),
        "media-src": f"blob: {origin['playout']}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        # Strings never become markup or code; the one named policy lets the service worker be registered.
        "require-trusted-types-for": "'script'",
        "trusted-types": "viewer",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def brand(look: Viewer) -> str:
    """The style sheet that carries the operator's colours; what `config` has checked stands in it, and nothing else."""
    rules = []
    for theme, colour in (("dark", look.colour_dark), ("light", look.colour)):
        if colour:
            ink = ink_on(colour)
            away = "#000000" if ink == "#ffffff" else "#ffffff"  # so that what is written stays as readable
            hover = f"color-mix(in srgb, {colour} 85%, {away})"
            carries = f"{{ --brand: {colour}; --solid: {colour}; --solid-hover: {hover}; --on-solid: {ink}; }}"
            rules.append(f':root[data-theme="{theme}"] .sign-in {carries}')
            rules.append(f"@media (prefers-color-scheme: {theme}) {{ :root:not([data-theme]) .sign-in {carries} }}")
    return "".join(f"{rule}\n" for rule in rules)


def shell_files(settings: Mapping[str, object], pages: Path = PAGES, look: Viewer = OUR_LOOK) -> dict[str, bytes]:
    """Every file of the interface by its path, with the settings, and the service worker that keeps them all.

    Raises `UsageError` with the mend when the browser parts have not been built.
    """
    vendor = pages / "vendor"
    if not (vendor / "hls.mjs").is_file():
        raise UsageError(MISSING_VENDOR.format(folder=vendor))
    page = pages / "viewer" / "page"
    files = {
        f"/{path.relative_to(page).as_posix()}": path.read_bytes() for path in sorted(page.rglob("*")) if path.is_file()
    }
    page_html = files.pop("/index.html").replace(OURS, html.escape(str(settings["operator"])).encode())
    files["/"] = page_html
    # The same page with nobody behind it, to look at: it asks the other roles for nothing.
    files[PREVIEW] = page_html.replace(b'src="/main.js"', b'src="/preview.js"')
    files["/brand.css"] = brand(look).encode()
    files["/tokens.css"] = (pages / "tokens.css").read_bytes()
    files["/vendor/hls.mjs"] = (vendor / "hls.mjs").read_bytes()
    files["/settings.json"] = json.dumps(settings).encode()
    worker = files.pop("/service_worker.js")
    # The worker is told what to keep, and under which name: when any file changes, so does it, and the browser
    # fetches the whole shell anew. Old and new files are never mixed.
    version = hashlib.sha256(b"".join(name.encode() + b"\0" + body for name, body in files.items()))
    shell = {"version": version.hexdigest()[:16], "files": sorted(files)}
    files["/service_worker.js"] = f"const SHELL = {json.dumps(shell)};\n".encode() + worker
    return files


def application(settings: Mapping[str, object], look: Viewer = OUR_LOOK) -> Application:
    """The ASGI application of the viewer role.

    `settings` are what `GET /settings.json` answers: the public URLs of the other roles that it talks to, `demo`, and
    the operator's name and texts.
    """
    policy = content_security_policy(settings).encode()
    served = {path: _served(path, body, policy) for path, body in shell_files(settings, look=look).items()}

    async def file(request: Request) -> HttpResponse:
        return _file(served[request.scope["path"]], request)

    return edge([Route("GET", path, file) for path in served], page=refusal_page)


def _file(file: ServedFile, request: Request) -> HttpResponse:
    if header(request.scope, b"if-none-match").encode("latin-1") == file.etag:
        return HttpResponse(304, None, file.headers)
    if "gzip" in header(request.scope, b"accept-encoding"):
        return HttpResponse(200, None, (*file.headers, (b"content-encoding", b"gzip")), file.compressed)
    return HttpResponse(200, None, file.headers, file.body)


def _served(path: str, body: bytes, policy: bytes) -> ServedFile:
    suffix = Path(path).suffix or ".html"
    etag = b'"' + hashlib.sha256(body).hexdigest()[:24].encode() + b'"'
    headers = (
        (b"content-type", MEDIA_TYPES[suffix].encode()),
        (b"etag", etag),
        (b"cache-control", b"no-cache"),  # ask each time; the service worker is what makes it quick
        (b"vary", b"accept-encoding"),
        (b"content-security-policy", policy),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    )
    return ServedFile(body=body, compressed=gzip.compress(body, mtime=0), headers=headers, etag=etag)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
