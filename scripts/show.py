"""Shows the events of an engine, JSON lines on standard input, to a person."""

import json
import sys
from typing import Any, Dict


def text_of(event: Dict[str, Any]) -> str:
    """One line for an event; empty for those that say nothing new."""
    kind, name = event["type"], event.get("id")
    if kind == "hello":
        return f"{event['engine']['name']} {event['engine']['version']}, backend {event['backend']}"
    if kind == "progress":
        total = event["bytes_total"]
        share = f", {100 * event['bytes_done'] / total:.0f} %" if total else ""
        rate = event["bytes_per_s"] / 1e6
        return f"{name}: {event['bytes_done'] / 1e6:.0f} MB{share}, {rate:.0f} MB/s"
    if kind == "warning":
        return f"{name}: warning {event['code']}: {event['message']}"
    if kind == "error":
        return f"line {event['line']}: {event['error']['message']}"
    if kind == "result" and "metrics" in event and event["op"] != "hello":
        return result_of(event)
    if kind == "result" and event.get("error"):
        return f"{name}: refused, {event['error']['code']}: {event['error']['message']}"
    return ""


def result_of(event: Dict[str, Any]) -> str:
    """What a command did, in one line, and why where it did not end well."""
    metrics = event["metrics"]
    line = (
        f"{event['id']}: {event['status']}, {metrics['items_ok']} items done, "
        f"{metrics['items_skipped']} skipped, {metrics['items_failed']} failed, "
        f"{metrics['bytes'] / 1e6:.0f} MB in {metrics['elapsed_ms'] / 1e3:.2f} s"
    )
    if event.get("error"):
        line += f"\n  {event['error']['code']}: {event['error']['message']}"
    return line


def main() -> None:
    """Exits with 1 when a command did not end with ok, or nothing came."""
    results = []
    for line in sys.stdin:
        event = json.loads(line)
        text = text_of(event)
        if text:
            print(text, flush=True)
        if event["type"] in ("result", "error"):
            results.append(event.get("status", "error"))
    if not results or any(status != "ok" for status in results):
        sys.exit("not every command ended with ok")


main()
