"""Pages from templates: one look for the reports and the watcher's pages, light and dark, shared with the figures."""

from amiss.pages._colours import DARK, LIGHT, Theme
from amiss.pages._render import Picture, render

__all__ = ["DARK", "LIGHT", "Picture", "Theme", "render"]
