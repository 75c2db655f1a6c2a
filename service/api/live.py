"""The page `/live`, where people watch changes arrive. Its script and style come from here alone."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

_PAGE = Path(__file__).parent / "static" / "live.html"
# Neither script nor style stands in the page itself, and its form is sent nowhere: a key never gets into a URL.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def add_live(app: FastAPI) -> None:
    """Serve the page. What it refers to is under `/static`, as that of the documents is."""

    @app.get("/live", include_in_schema=False)
    async def live() -> FileResponse:
        return FileResponse(_PAGE, media_type="text/html", headers={"content-security-policy": _POLICY})
