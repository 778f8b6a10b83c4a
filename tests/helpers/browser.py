"""JavaScript of pages, run as their readers' browsers run it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_REPORT = """<script type="module">
{body}
const said = document.createElement("pre");
said.id = "said";
said.textContent = encodeURIComponent(JSON.stringify(await test()));
document.body.append(said);
</script>"""


def run_script(source: str, value: Any, folder: Path) -> Any:
    """What `main(value)` of a script gives, by node; by Chromium where there is none."""
    if node := shutil.which("node"):
        script = folder / "script.js"
        ending = "process.stdout.write(JSON.stringify(main(JSON.parse(require('fs').readFileSync(0, 'utf-8')))))"
        script.write_text(f"{source}\n{ending}\n", encoding="utf-8")
        done = subprocess.run([node, script], input=json.dumps(value), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    page = folder / "script.html"
    page.write_text(f"<body><script>{source}\nconst value = {json.dumps(value)};</script>", encoding="utf-8")
    return in_browser(page, "async function test() { return main(value); }")


def in_browser(page: Path, test: str, width: int = 1280) -> Any:
    """Open a copy of a page that lies beside it in headless Chromium, and return what `async function test()` gives."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    copy = page.with_name(f"tested-{page.name}")
    copy.write_text(page.read_text(encoding="utf-8") + _REPORT.format(body=test), encoding="utf-8")
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
        f"--user-data-dir={page.parent / 'browser'}", f"--window-size={width},900", "--virtual-time-budget=15000",
        "--dump-dom", copy.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    copy.unlink()
    said = done.stdout.partition('<pre id="said">')[2].partition("</pre>")[0]
    assert said, f"the page's script ended early: {done.stderr[-2000:]}"
    return json.loads(unquote(said))
