#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Prints the queries of a Grafana dashboard as recording rules, for promtool to look at.

usage: dashboard.py DASHBOARD

Fails when panels overlap or share an id, when a query has no data source, or when a variable is used
that the dashboard does not have.
"""
import json
import re
import sys

KNOWN = {"__rate_interval": "5m"}


def check_places(panels):
    taken = {}
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if x >= 24 or (x, y) in taken:
                    sys.exit(f"'{panel['title']}' lies over '{taken.get((x, y), 'the edge')}'")
                taken[x, y] = panel["title"]


def without_variables(text, variables):
    def value(match):
        name = match[1]
        if name not in variables and name not in KNOWN:
            sys.exit(f"there is no variable '{name}', in: {text}")
        return KNOWN.get(name, ".*")

    return re.sub(r"\$\{?(\w+)\}?", value, text)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        dashboard = json.load(file)
    panels = dashboard["panels"]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    if len({panel["id"] for panel in panels}) != len(panels):
        sys.exit("two panels have the same id")
    check_places(panels)
    rules = []
    for panel in panels:
        for target in panel["targets"]:
            without_variables(target["datasource"]["uid"], variables)
            rules.append({"record": f"panel{panel['id']}:{target['refId']}",
                          "expr": without_variables(target["expr"], variables)})
    json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout)  # YAML, too


main()
