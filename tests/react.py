"""React for pages of tests: served as one ES module, `/react.js`, as a bundler would make it."""

from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).parents[1] / ".venv" / "react"
#: The newest major version, and the oldest that the package supports.
NEWEST, OLDEST = "19", "18"
_CLIENT = {NEWEST: "react-dom/cjs/react-dom-client.development.js", OLDEST: "react-dom/client.js"}

#: React as one module: its packages are CommonJS.
_LOADER = """
const paths = {
  react: "react/cjs/react.development.js", "react-dom": "react-dom/cjs/react-dom.development.js",
  "react-dom/client": "CLIENT", scheduler: "scheduler/cjs/scheduler.development.js",
};
const texts = await Promise.all(Object.entries(paths).map(async ([name, path]) =>
  [name, await (await fetch(`/node_modules/${path}`)).text()]));
const sources = Object.fromEntries(texts);
const loaded = {};
function require(name) {
  if (loaded[name]) return loaded[name].exports;
  const module = (loaded[name] = { exports: {} });
  new Function("require", "module", "exports", "process", sources[name])(
    require, module, module.exports, { env: { NODE_ENV: "development" } });
  return module.exports;
}
const React = require("react");
export const { createRoot } = require("react-dom/client");
export const {
  StrictMode, createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useState,
  useSyncExternalStore,
} = React;
"""


def modules_of(version: str) -> Path:
    """The folder `node_modules` with this major version."""
    return _FOLDER / version / "node_modules"


def react_routes(version: str) -> Sequence[web.AbstractRouteDef]:
    """Routes of a page that imports React from `/react.js`."""

    async def loader(_request: web.Request) -> web.Response:
        return web.Response(text=_LOADER.replace("CLIENT", _CLIENT[version]), content_type="text/javascript")

    return [web.get("/react.js", loader), web.static("/node_modules", modules_of(version))]
