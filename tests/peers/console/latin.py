"""What a page in Chinese says in another language: texts and labels that people read, without names and code."""

from __future__ import annotations

import re

from playwright.sync_api import Page

_READ = """() => {
  const found = [];
  const skipped = "code, kbd, pre, script, style, svg, [lang=en], .q-icon";
  const there = (element) => element && element.checkVisibility() && !element.closest(skipped);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) if (there(walker.currentNode.parentElement)) found.push(walker.currentNode.textContent);
  for (const name of ["aria-label", "title", "placeholder", "alt"])
    for (const element of document.querySelectorAll(`[${name}]`))
      if (there(element)) found.push(element.getAttribute(name));
  return found.map((text) => text.trim()).filter((text) => text);
}"""
_NAMES = re.compile(
    r"""
    (GET|POST|PUT|PATCH|DELETE)\ /\S+ | \{.*\}   # what the audit keeps
    | 异常：.*                                     # what a system that fails says itself
    | (specific\ =\ )?profile\ \w+;.*             # what a family of devices says more exactly
    | \w+(\.\w+)*\ =\ \w+                         # readings of a device, as it names them
    | [a-z]+/[a-z_]+                               # faults
    | [a-z]+\.[a-z_]+                              # metrics
    | [\w.-]*\d[\w.-]*                            # whatever has a digit: names, serials, models, versions
    | (?<![A-Za-z])(posdiag|admin|UTC|WebSocket|CSV|JSON|API|Webhook|PDF|JPEG|PNG|WebP|[KMG]iB|ms|SIM|Twin|GemPC)(?![A-Za-z])
    """,
    re.VERBOSE | re.ASCII,
)


def latin(page: Page, *names: str) -> list[str]:
    """Texts with a word in Latin letters that is no name, no unit and no abbreviation; `names` are allowed here."""
    found = []
    for text in page.evaluate(_READ):
        left = _NAMES.sub(" ", text)
        for name in names:
            left = re.sub(rf"(?<![A-Za-z]){re.escape(name)}(?![A-Za-z])", " ", left)
        if re.search(r"[A-Za-z]{2}", left):
            found.append(text)
    return list(dict.fromkeys(found))
