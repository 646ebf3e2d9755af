"""Measure a sealed paste in headless Chromium: first paint, and when its text is visible, alternating with a plain page of
the same text.

The plain page's time is the cost of the browser alone; the ratio shows what the page and its encryption add. If a page does
not show the text, the benchmark fails.
"""

import json
import math
import statistics

from browser import Browser

# Runs before the page's scripts: marks the element that gets the text, so that the browser reports when it is painted.
PROBE = """new MutationObserver((_, observer) => {
    const texts = document.createTreeWalker(document.body ?? document, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        if (!texts.currentNode.data.includes(%s)) continue;
        texts.currentNode.parentElement.setAttribute('elementtiming', 'text');
        observer.disconnect();
    }
}).observe(document, { childList: true, characterData: true, subtree: true })"""
# Milliseconds from the start of the navigation to the first paint and to that of the text, and whether the text is visible.
TIMES = """const entry = (type, name) => new Promise((resolve) => {
        new PerformanceObserver((list) => list.getEntries().filter((one) => [one.name, one.identifier].includes(name))
            .forEach((one) => resolve(one.renderTime ?? one.startTime))).observe({ type, buffered: true });
    });
    return Promise.all([entry('paint', 'first-paint'), entry('element', 'text')])
        .then((times) => [...times, document.body.innerText.includes(arguments[0])])"""
COLUMNS = ("first paint, cold", "text, cold", "first paint, warm", "text, warm")


class Reader(Browser):
    """A browser that reports when a page, and a text in it, was painted."""

    def __init__(self, port, chromium, profile, text):
        super().__init__(port, chromium, profile)
        self.text = text
        self.devtools("Page.addScriptToEvaluateOnNewDocument", source=PROBE % json.dumps(text))

    def times(self, url):
        """Open an address from an empty page: milliseconds to its first paint and to its text."""
        for address in ("about:blank", url):
            self.open(address)
        first, readable, is_seen = self.run(TIMES, self.text)
        if not is_seen:
            raise SystemExit(f"bench: {url.partition('#')[0]} does not show its text")
        return first, readable

    def cold_and_warm(self, url):
        """The times of a visit with an empty cache, and of the next one."""
        self.devtools("Network.clearBrowserCache")
        return *self.times(url), *self.times(url)


def p95(values):
    return sorted(values)[math.ceil(len(values) * 0.95) - 1]


def measure(browser, addresses, rounds):
    """The lines of the table; `addresses` maps a name to the address of the text, flaskpaste first."""
    runs = {name: [] for name in addresses}
    for url in addresses.values():
        browser.times(url)  # the first page of a browser pays for its start
    for turn in range(rounds):
        names = list(addresses)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            runs[name].append(browser.cold_and_warm(addresses[name]))
    title = f"1 KiB in headless Chromium, ms, p50 / p95 of {rounds}"
    lines = [f"\n{title:<50}" + "".join(f"{column:>19}" for column in COLUMNS)]
    ours = next(iter(runs.values()))
    for name, theirs in runs.items():
        cells = [f"{statistics.median(column):.0f} / {p95(column):.0f}" for column in zip(*theirs)]
        lines.append(f"  {name:<48}" + "".join(f"{cell:>19}" for cell in cells))
        if theirs is not ours:
            ratios = (statistics.median(a[at] / b[at] for a, b in zip(ours, theirs)) for at in range(len(COLUMNS)))
            lines.append(f"  {'  flaskpaste takes':<48}" + "".join(f"{f'{ratio:.1f} ×':>19}" for ratio in ratios))
    return lines
