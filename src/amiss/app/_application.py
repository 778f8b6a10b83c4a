"""The ASGI application: the API, the pages, and what stands before them."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp

from amiss._version import __version__
from amiss.app import api, pages
from amiss.app._context import AppContext
from amiss.app.security import Authentication, BodyLimit, SafeHeaders, add_problem_handlers

STATIC = "/static/"


def create_app(context: AppContext) -> ASGIApp:
    """The application over a watcher's view. Hosts are checked by the server that it runs on."""
    return protected(create_routes(context), context)


def create_routes(context: AppContext) -> FastAPI:
    """The routes alone, with their OpenAPI description; nothing checks who asks."""
    app = FastAPI(
        title="amiss",
        version=__version__,
        description="See, review, teach. Programs send `Authorization: Bearer TOKEN`; browsers log in.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        redirect_slashes=False,
    )
    app.state.context = context
    add_problem_handlers(app)
    app.include_router(api.open_router)
    app.include_router(api.router)
    app.include_router(pages.router)
    return app


def protected(routes: ASGIApp, context: AppContext) -> ASGIApp:
    """The routes with what stands before them, from the inside to the outside."""
    app: ASGIApp = Authentication(routes, context.accounts, context.settings)
    app = BodyLimit(app, larger=frozenset([api.UPLOAD_PATH]))
    return SafeHeaders(app, context.settings.is_secure, STATIC)
