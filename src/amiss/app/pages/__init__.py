"""The pages: HTML from templates, their style and their scripts. What they show comes from the API."""

from amiss.app.pages._routes import router

__all__ = ["router"]
