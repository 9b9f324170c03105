"""All that a run has outside its folder: its processes, told by descent; its ports; files that are there after it and were not before.

A process belongs to a run if its environment has the mark of its `Driver`, or if its parent belongs to it; once seen it is remembered by
number and start time. Neither alone would do: a process that sets its title, as Ray's agents do, writes it over the mark, and one whose
parent has ended has another parent. What is looked at is /proc and the folders themselves, never what the code under test says of them.
"""

import getpass
import os
import re
import threading
from pathlib import Path

POLL_S = 0.1
SHARED_MEMORY = Path("/dev/shm")
TEMPORARY = Path("/tmp")
OF_THE_STACK = re.compile(r"ray-|vllm|torch|deepspeed|[0-9a-f]{8}-[0-9a-f]{4}-")
"""Names in /tmp that Ray, vLLM, DeepSpeed and torch give; others use the folder too."""
CACHES = (f"torchinductor_{os.getuid()}", f"torchinductor_{getpass.getuser()}")
"""What outlives a run on purpose: programs that torch has compiled."""
_LISTENS = "0A"


class Family:
    """Watches the processes of one driver from a thread, until it is told to stop.

    Args:
        pid: The driver's process.
        mark: NAME=VALUE, in the environment of the driver and of those it starts.
    """

    def __init__(self, pid, mark):
        self._mark = mark.encode()
        self._known = {pid: _stat(pid)[1]}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def alive(self):
        """Return those that run now, by number, with their command lines."""
        with self._lock:
            running = {pid: stat for pid in _numbers() if (stat := _stat(pid))}
            strangers = {pid for pid in running if self._known.get(pid) != running[pid][1]}
            found = {pid for pid in strangers if self._is_marked(pid)}
            while found:
                self._known |= {pid: running[pid][1] for pid in found}
                strangers -= found
                kin = {pid for pid in running if self._known.get(pid) == running[pid][1]}
                found = {pid for pid in strangers if running[pid][0] in kin}
            return {pid: command_line(pid) for pid in running if self._known.get(pid) == running[pid][1]}

    def _is_marked(self, pid):
        return self._mark in _read(pid, "environ").split(b"\0")

    def _watch(self):
        while not self._over.wait(POLL_S):
            self.alive()


def command_line(pid):
    """Return the command line, or the title that the process gave itself."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()[:200]


def ports_of(pids):
    """Return the TCP ports that processes of `pids` listen on."""
    inodes = set()
    for pid in pids:
        try:
            links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:  # it has ended meanwhile
            continue
        inodes |= {link[8:-1] for link in links if link.startswith("socket:[")}
    return {port for port, inode in _listening().items() if inode in inodes}


def open_ports():
    """Return the TCP ports that anybody listens on."""
    return set(_listening())


class Places:
    """The folders where a run may leave files, as they are before it.

    Args:
        own: The run's own temporary folder, where it has one (`TMPDIR`).
    """

    def __init__(self, own=None):
        self._own = own
        self._before = self._entries()

    def new(self):
        """Return what is there now and was not before."""
        return sorted(self._entries() - self._before)

    def _entries(self):
        folders = [SHARED_MEMORY, TEMPORARY / "ray", *([self._own] if self._own else [])]
        entries = {str(path) for folder in folders if folder.is_dir() for path in folder.iterdir() if path.name not in CACHES}
        return entries | {str(path) for path in TEMPORARY.iterdir() if OF_THE_STACK.match(path.name) and path.name not in CACHES}


def _numbers():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid):
    """Return parent and start time (clock ticks since boot); None for a zombie and for one that has ended."""
    state, parent, *rest = _read(pid, "stat").rpartition(b")")[2].split() or (b"Z", b"0")
    return None if state == b"Z" else (int(parent), rest[17])


def _read(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def _listening():
    """Return port -> inode of each socket that listens; see proc(5)."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS:
                found[int(fields[1].rpartition(":")[2], 16)] = fields[9]
    return found
