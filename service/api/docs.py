"""The documents' pages, `/docs` and `/redoc`. Their scripts come from here: they work without the internet."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

from service.api.files import Files

_STATIC = Path(__file__).parent / "static"
# Scripts from here alone. Both pages set styles from script; ReDoc searches in a worker that it makes from a blob.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; font-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


def add_docs(app: FastAPI) -> None:
    """Serve the pages and their scripts."""
    app.mount("/assets", Files(directory=_assets()), name="assets")
    app.mount("/static", Files(directory=_STATIC), name="static")

    @app.get("/docs", include_in_schema=False)
    async def swagger() -> FileResponse:
        return _page("swagger.html")

    @app.get("/redoc", include_in_schema=False)
    async def redoc() -> FileResponse:
        return _page("redoc.html")


def _page(name: str) -> FileResponse:
    return FileResponse(_STATIC / name, media_type="text/html", headers={"content-security-policy": _POLICY})


def _assets() -> Path:
    """Swagger UI and ReDoc as the package fastapi-offline carries them."""
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("fastapi-offline is not installed")
    return Path(spec.origin).parent / "static"
