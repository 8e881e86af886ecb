#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the pods of the Kubernetes example as a node would: as many users, capabilities, mounts and
namespaces as their manifests say, and no more. Only their images are all this machine's files.

usage: pods.py LOADER LIBRARY MANIFEST-OF-ISOMER MANIFEST-OF-A-SERVER
"""
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

try:
    import yaml
except ImportError as error:
    print(f"{error}: tests/packages.sh has python3-kubernetes")
    sys.exit(1 if os.environ.get("ISOMER_TESTS_MUST_RUN") else 77)

INSIDE = "ISOMER_PODS_INSIDE"
LIMIT = 20  # seconds for anything
LIBRARY = "/usr/lib/x86_64-linux-gnu/libisomer_preload.so"  # where the image has it


def fail(text):
    sys.exit(f"FAILED: {text}")


class Node:
    """What pods share: folders of the host, and the image. Its network is this process's."""

    def __init__(self, folder, loader, library):
        self.folder = folder
        for name in ("sys/fs/bpf", "run", "image/usr/sbin", "image" + os.path.dirname(LIBRARY)):
            os.makedirs(self.path(name))
        # As systemd does it: no user may search it.
        self.shell(f"mount -t bpf -o mode=0700 bpf {self.path('sys/fs/bpf')}")
        self.shell(f"install -m 0755 {loader} {self.path('image/usr/sbin/isomer-loader')}")
        self.shell(f"install -m 0644 {library} {self.path('image' + LIBRARY)}")
        self.shell("ip link set lo up; ip route add local 192.0.2.0/24 dev lo")

    def path(self, name):
        return os.path.join(self.folder, name.lstrip("/"))

    @staticmethod
    def shell(script):
        subprocess.run(["bash", "-euc", script], check=True)


class ConfigMap:
    """As kubelets mount one: its files are links into ..data, which is swapped."""

    def __init__(self, folder, data):
        self.folder = folder
        self.version = 0
        self.put(data)
        for name in data:
            os.symlink(f"..data/{name}", os.path.join(folder, name))

    def put(self, data):
        self.version += 1
        os.mkdir(os.path.join(self.folder, f"..{self.version}"))
        for name, text in data.items():
            with open(os.path.join(self.folder, f"..{self.version}", name), "w",
                      encoding="utf-8") as file:
                file.write(text)
        os.symlink(f"..{self.version}", os.path.join(self.folder, "..data_tmp"))
        os.rename(os.path.join(self.folder, "..data_tmp"), os.path.join(self.folder, "..data"))


class Pod:
    """A pod of a template: its volumes, and its containers one by one."""

    def __init__(self, node, template, config_maps):
        self.node = node
        self.spec = template["spec"]
        if not self.spec["hostNetwork"]:
            fail("a pod with a network of its own would need a dispatcher there")
        self.folder = tempfile.mkdtemp(dir=node.folder)
        self.volumes = {}
        self.running = {}
        for volume in self.spec["volumes"]:
            self.volumes[volume["name"]] = self.source(volume, config_maps)

    def source(self, volume, config_maps):
        if "hostPath" in volume:
            path = self.node.path(volume["hostPath"]["path"])
            if volume["hostPath"]["type"] == "DirectoryOrCreate":
                os.makedirs(path, exist_ok=True)
            elif not os.path.isdir(path):
                fail(f"the node has no folder {path}")
            return path
        if "configMap" in volume:
            return config_maps[volume["configMap"]["name"]].folder
        path = os.path.join(self.folder, volume["name"])
        os.mkdir(path)
        os.chmod(path, 0o777)  # as an emptyDir is
        return path

    def script(self, container):
        """Its files, and then its rights."""
        top = tempfile.mkdtemp(dir=self.folder)
        root = os.path.join(top, "root")
        lines = [f"cd {top}", "mkdir root upper work",
                 f"mount -t overlay -o lowerdir={self.node.path('image')}:/,upperdir=upper,"
                 f"workdir=work overlay root",
                 # Of the machine's own there is nothing but devices.
                 "mount -t tmpfs -o ro tmpfs root/tmp", "mount -t tmpfs tmpfs root/run",
                 "mount --bind /dev root/dev", "mount -t proc proc root/proc",
                 "mount -t sysfs -o ro sysfs root/sys"]
        for mount in container["volumeMounts"]:
            target = root + mount["mountPath"]
            lines += [f"mkdir -p {target}",
                      f"mount --bind {self.volumes[mount['name']]} {target}"]
            if mount.get("readOnly"):
                lines.append(f"mount -o remount,bind,ro {target}")
        context = {**self.spec.get("securityContext", {}), **container["securityContext"]}
        if context["readOnlyRootFilesystem"]:
            lines += ["mount -o remount,ro,bind root", "mount -o remount,ro root/run"]
        environment = [f"{item['name']}={item['value']}" for item in container.get("env", [])]
        # The environment is the program's, not the shell's.
        command = ["setpriv", *rights(context), "env", "-i", "PATH=/usr/sbin:/usr/bin:/bin",
                   *environment, *container["command"]]
        lines.append(f"exec chroot root {shlex.join(command)}")
        return "\n".join(lines)

    def start(self, container):
        command = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork",
                   "--kill-child", "bash", "-euc", self.script(container)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def run(self):
        """The init containers to their end, then the containers."""
        for container in self.spec["initContainers"]:
            process = self.start(container)
            output, _ = process.communicate(timeout=LIMIT)
            if process.returncode:
                fail(f"{container['name']} ended with {process.returncode}: {output.decode()}")
        for container in self.spec["containers"]:
            self.running[container["name"]] = self.start(container)
        return self

    def end(self):
        for process in self.running.values():
            # Not unshare: whoever changes his user no longer dies with his parent.
            with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="utf-8") as file:
                for pid in file.read().split():
                    os.kill(int(pid), signal.SIGKILL)
            process.wait()


def rights(context):
    """Options of setpriv: the capabilities that are left over, and the user."""
    if context["allowPrivilegeEscalation"] or context["capabilities"]["drop"] != ["ALL"]:
        fail("a container has more rights than it is to have")
    capabilities = ["-all"] + [f"+{name.lower()}"
                               for name in context["capabilities"].get("add", [])]
    user = context["runAsUser"]
    return ["--reuid", str(user), "--regid", str(context.get("runAsGroup", user)),
            "--clear-groups", "--no-new-privs", "--inh-caps", "-all",
            "--bounding-set", ",".join(capabilities)]


def expect_line(process, text):
    end = time.monotonic() + LIMIT
    seen = b""
    while text.encode() not in seen:
        ready, _, _ = select.select([process.stdout], [], [], max(0, end - time.monotonic()))
        piece = os.read(process.stdout.fileno(), 4096) if ready else b""
        seen += piece
        if not piece:
            fail(f"'{text}' was not printed, but: {seen.decode()}")


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=LIMIT) as answer:
            return answer.status == 200
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            return False
        raise


def expect(url, wanted):
    """In the end: what was started listens, or what was killed is gone."""
    end = time.monotonic() + LIMIT
    while answers(url) != wanted:
        if time.monotonic() > end:
            fail(f"{url} {'is refused' if wanted else 'answers'}")


def expect_answer(url):
    expect(url, True)


def expect_refusal(url):
    expect(url, False)


def load(path):
    with open(path, encoding="utf-8") as file:
        return {document["kind"]: document for document in yaml.safe_load_all(file)}


def play(node, isomer, server):
    bindings = tempfile.mkdtemp(dir=node.folder)
    os.chmod(bindings, 0o755)
    config = isomer["ConfigMap"]
    maps = {config["metadata"]["name"]: ConfigMap(bindings, config["data"])}
    template = isomer["DaemonSet"]["spec"]["template"]
    probe = template["spec"]["containers"][-1]

    loader = Pod(node, template, maps).run()
    expect_line(loader.running["bindings"], "Watching")
    expect_line(loader.running["registrar"], "registrar.sock")
    expect_answer(f"http://127.0.0.1:{probe['ports'][0]['containerPort']}"
                  f"{probe['readinessProbe']['httpGet']['path']}")
    expect_refusal("http://192.0.2.7:80/")
    print("ok - the pod of isomer runs")

    web = Pod(node, server["DaemonSet"]["spec"]["template"], maps).run()
    expect_answer("http://192.0.2.7:80/")
    expect_refusal("http://192.0.2.7:81/")
    print("ok - a server in a container has the traffic")

    maps["bindings"].put({name: text.replace('"port": 80}', '"port": 81}')
                          for name, text in config["data"].items()})
    expect_line(loader.running["bindings"], ":81")
    expect_answer("http://192.0.2.7:81/")
    expect_refusal("http://192.0.2.7:80/")
    print("ok - a changed ConfigMap is in force")

    loader.end()
    expect_answer("http://192.0.2.7:81/")
    print("ok - traffic flows on without the pod of isomer")
    loader = Pod(node, template, maps).run()
    expect_line(loader.running["bindings"], "Watching")
    expect_line(loader.running["registrar"], "registrar.sock")
    expect_answer("http://192.0.2.7:81/")
    print("ok - it comes back to what is loaded")
    web.end()
    expect_refusal("http://192.0.2.7:81/")

    template = server["DaemonSet"]["spec"]["template"]
    template["spec"]["securityContext"].update(runAsUser=10002)
    other = Pod(node, template, maps).run()
    expect_line(other.running["web"], "grant")
    if other.running["web"].wait(timeout=LIMIT) == 0:
        fail("a server without a grant ended well")
    expect_refusal("http://192.0.2.7:81/")
    print("ok - without the grant it does not start")
    loader.end()


def main():
    if INSIDE not in os.environ:
        command = ["unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork",
                   "--kill-child", "--mount-proc", *sys.argv]
        os.environ[INSIDE] = "1"
        os.execvp(command[0], command)
    loader, library, isomer, server = sys.argv[1:]
    folder = tempfile.mkdtemp()
    try:
        Node.shell(f"mount -t tmpfs -o mode=0755 tmpfs {folder}")
        play(Node(folder, loader, library), load(isomer), load(server))
    finally:
        Node.shell(f"umount --lazy {folder}; rmdir {folder}")


main()
