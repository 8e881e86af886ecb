#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Draws the panels of the Grafana dashboard: of a minute of real traffic, by the dashboard's queries.

usage: panels.py LOADER LIBRARY DASHBOARD PICTURE

Grafana itself is not needed: Prometheus collects what isomer-loader serves and answers the queries,
gnuplot draws its answers. All of it in namespaces of its own, which takes root.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

SECONDS = 75
METRICS, PROMETHEUS = 9600, 9601
VARIABLES = {"__rate_interval": "10s", "instance": ".*", "label": ".*"}
COLUMN, ROW = 46, 40  # pixels of a field of Grafana's grid

SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
while True:
    listener.accept()[0].close()
"""
CONFIG = f"""
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: isomer
    static_configs: [ {{ targets: [ "127.0.0.1:{METRICS}" ] }} ]
"""


class World:
    """A dispatcher with labels, their servers, and clients of each."""

    def __init__(self, loader, library):
        self.loader, self.library = loader, library
        self.processes, self.threads, self.ending = [], [], threading.Event()

    def run(self, *args):
        subprocess.run([self.loader, *args], check=True, stdout=subprocess.DEVNULL)

    def start(self, *args, **environment):
        self.processes.append(subprocess.Popen(args, env={**os.environ, **environment},
                                               stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL))
        return self.processes[-1]

    def serve(self, label, port):
        return self.start(sys.executable, "-c", SERVER, str(port),
                          LD_PRELOAD=self.library, ISOMER_LABEL=label)

    def ask(self, address, port, pause):
        while not self.ending.wait(pause):
            try:
                socket.create_connection((address, port), 1).close()
            except OSError:
                pass  # the dispatcher counts it

    def client(self, *args):
        self.threads.append(threading.Thread(target=self.ask, args=args))
        self.threads[-1].start()

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait()


def live(world):
    """What happens in the picture: a crash that a standby takes, and a label without a server."""
    world.run("load")
    for label, prefix, port in (("web", "127.1.0.0/16", "80"), ("web", "127.1.0.0/16", "443"),
                                ("api", "127.2.0.0/24", "80"), ("game", "127.3.0.7", "0")):
        world.run("bind", label, "tcp", prefix, port)
    first, _, game = (world.serve("web", 8001), world.serve("web", 8002),
                      world.serve("game", 8003))
    world.serve("api", 8004)
    for number, (address, port) in enumerate((("127.1.2.3", 80), ("127.1.2.4", 443),
                                              ("127.2.0.9", 80), ("127.3.0.7", 27015))):
        world.client(address, port, 0.004 * (number + 1))
    time.sleep(SECONDS / 3)
    first.terminate()
    world.run("bind", "api", "tcp", "127.2.1.0/24", "80")
    game.terminate()
    time.sleep(SECONDS / 3)
    world.serve("game", 8003)
    for _ in range(3):
        world.client("127.2.1.1", 80, 0.01)
    time.sleep(SECONDS / 3)


def ask_prometheus(what, **query):
    url = f"http://127.0.0.1:{PROMETHEUS}/api/v1/{what}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def series_of(panel, end):
    """Of each line of the panel its name and its points."""
    for target in panel["targets"]:
        expr = re.sub(r"\$\{?(\w+)\}?", lambda match: VARIABLES[match[1]], target["expr"])
        for result in ask_prometheus("query_range", query=expr, start=end - SECONDS, end=end, step=1):
            name = re.sub(r"{{(\w+)}}", lambda match: result["metric"].get(match[1], ""),
                          target.get("legendFormat", ""))
            yield name, [(float(at) - end, float(value)) for at, value in result["values"]]


def quoted(text):
    return '"' + text.replace('"', '\\"') + '"'


def draw_number(panel, series):
    value = series[0][1][-1][1] if series else 0
    return [f'set title {quoted(panel["title"])}; unset border; unset tics; unset key',
            f'set label 1 "{value:.4g}" at graph 0.5, graph 0.45 center font ",26"',
            "set xrange [0:1]; set yrange [0:1]; plot -1 notitle; unset label 1"]


def draw_lines(panel, series, steps):
    lines = [f'set title {quoted(panel["title"])}; set border 3; set xtics nomirror; set key below',
             f"set xrange [{-SECONDS}:0]; set xlabel 'seconds'"]
    if steps:
        names = ", ".join(f"{quoted(name)} {at}" for at, (name, _) in enumerate(series))
        lines.append(f"set ytics nomirror ({names}); set yrange [-0.5:{len(series) - 0.5}]; unset key")
    else:
        lines.append("set ytics nomirror autofreq; set yrange [0:*]")
    for at, (_, points) in enumerate(series):
        lines.append(f"$data{at} << END")
        lines += [f"{when} {at if steps else value} {value:.0f}" for when, value in points]
        lines.append("END")
    style = ("using 1:2:(0.5):(0.2):($3 > 0 ? 0x2e7d32 : 0xc62828) with boxxyerror fs solid noborder"
             " lc rgb variable notitle"
             if steps else "using 1:2 with lines lw 2 title {}")
    plots = (f"$data{at} " + style.format(quoted(name)) for at, (name, _) in enumerate(series))
    lines.append("plot " + (", ".join(plots) or "NaN notitle"))
    return lines


def draw(panels, end, picture):
    width = 24 * COLUMN
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * ROW
    script = [f"set terminal svg size {width},{height} noenhanced font 'sans-serif,13' background 'white'",
              f"set output {quoted(picture)}", "set multiplot"]
    for panel in panels:
        place = panel["gridPos"]
        series = sorted(series_of(panel, end))
        script += [f"set origin {place['x'] / 24}, {1 - (place['y'] + place['h']) * ROW / height}",
                   f"set size {place['w'] / 24}, {place['h'] * ROW / height}"]
        if panel["type"] == "stat":
            script += draw_number(panel, series)
        else:
            script += draw_lines(panel, series, panel["type"] == "state-timeline")
    subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=True)


def main():
    loader, library, dashboard, picture = map(os.path.abspath, sys.argv[1:5])
    if "ISOMER_PANELS_INSIDE" not in os.environ:
        os.environ["ISOMER_PANELS_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private",
                              sys.executable, *sys.argv])
    subprocess.run(["mount", "-t", "bpf", "bpf", "/sys/fs/bpf"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with open(dashboard, encoding="utf-8") as file:
        # A table says nothing in a picture.
        panels = [panel for panel in json.load(file)["panels"] if panel["type"] != "table"]
    world = World(loader, library)
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/prometheus.yml", "w", encoding="utf-8") as file:
            file.write(CONFIG)
        try:
            world.start("prometheus", f"--config.file={folder}/prometheus.yml",
                        f"--storage.tsdb.path={folder}/data",
                        f"--web.listen-address=127.0.0.1:{PROMETHEUS}")
            world.start(loader, "metrics", "127.0.0.1", str(METRICS))
            live(world)
            draw(panels, time.time(), picture)
        finally:
            world.end()


main()
