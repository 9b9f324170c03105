"""Slurm on one machine, for a test: munged, slurmctld and a slurmd for each node, with keys, ports, logs and spools of its own. Needs root.

The nodes have names of their own and one address: what Slurm starts on one is told apart from what it starts on another by name alone.

Packages: slurm-wlm and munge of Debian. What runs already is left alone: ports and sockets are the test's own.
"""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from toolrl.pipelines.serve import free_port

START_S = 60
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol", "squeue", "scancel")
_PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def available():
    return os.geteuid() == 0 and all(shutil.which(name, path=_PATH) for name in PROGRAMS)


MARKS = [
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not available(), reason="starts Slurm, which takes root and `apt-get install slurm-wlm munge`"),
]


class Slurm:
    """A cluster of nodes n1, n2, …, each of `cpus` CPUs. Its commands are run through `run`."""

    def __init__(self, folder: Path, *, nodes: int, cpus: int) -> None:
        self._daemons = []
        self._folder = folder
        host = socket.gethostname()
        munge = folder / "munge"
        munge.mkdir(mode=0o755)
        key = munge / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        names = [f"n{i + 1}" for i in range(nodes)]
        for name in ("state", *names):
            (folder / name).mkdir()
        ports = ",".join(str(free_port("127.0.0.1", 0)) for _ in names)
        self.configuration = folder / "slurm.conf"
        self.configuration.write_text(
            "\n".join(
                [
                    "ClusterName=test",
                    f"SlurmctldHost={host}(127.0.0.1)",
                    f"SlurmctldPort={free_port('127.0.0.1', 0)}",
                    "SlurmUser=root",
                    "SlurmdUser=root",
                    "AuthType=auth/munge",
                    f"AuthInfo=socket={munge}/socket",
                    "CredType=cred/munge",
                    "ProctrackType=proctrack/linuxproc",
                    "TaskPlugin=task/none",
                    "JobAcctGatherType=jobacct_gather/none",
                    "SelectType=select/cons_tres",
                    "SelectTypeParameters=CR_CPU",
                    "ReturnToService=2",
                    "MailProg=/bin/true",
                    "KillWait=5",
                    "SlurmdParameters=config_overrides",
                    f"StateSaveLocation={folder}/state",
                    f"SlurmdSpoolDir={folder}/%n",
                    f"SlurmctldLogFile={folder}/slurmctld.log",
                    f"SlurmdLogFile={folder}/slurmd-%n.log",
                    f"SlurmctldPidFile={folder}/slurmctld.pid",
                    f"SlurmdPidFile={folder}/slurmd-%n.pid",
                    f"NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports}] CPUs={cpus} RealMemory=4096",
                    f"PartitionName=test Nodes=n[1-{nodes}] Default=YES MaxTime=INFINITE State=UP",
                    "",
                ]
            )
        )
        self.environment = os.environ | {"SLURM_CONF": str(self.configuration), "PATH": _PATH}
        try:
            sockets = [f"--socket={munge}/socket", f"--key-file={key}", f"--pid-file={munge}/pid", f"--seed-file={munge}/seed"]
            self._start("munged", "--foreground", *sockets, f"--log-file={munge}/log", "--force")
            self._wait("munge's socket", lambda: (munge / "socket").exists())
            self._start("slurmctld", "-D", "-c")
            for name in names:
                self._start("slurmd", "-D", "-N", name)
            self._wait("idle nodes", lambda: self.run("sinfo", "-h", "-t", "idle", "-o", "%D", check=False).stdout.strip() == str(nodes))
        except BaseException:
            self.stop()
            raise

    def run(self, *command, check=True, **settings):
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=check, **settings)

    def job(self, number):
        """What Slurm knows of a job, by name."""
        words = self.run("scontrol", "show", "job", str(number), "-o").stdout.split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def log(self):
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self._folder.glob("slurm*.log"))

    def stop(self):
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def _start(self, name, *arguments):
        out = (self._folder / f"{name}-{len(self._daemons)}.out").open("w")
        program = shutil.which(name, path=_PATH)
        self._daemons.append(subprocess.Popen([program, *arguments], stdout=out, stderr=subprocess.STDOUT, env=self.environment))

    def _wait(self, what, there):
        end = time.monotonic() + START_S
        while not there():
            dead = [daemon.args[0] for daemon in self._daemons if daemon.poll() is not None]
            told = "\n".join(path.read_text(errors="replace")[-2000:] for path in self._folder.glob("*.out"))
            assert not dead, (dead, told, self.log())
            assert time.monotonic() < end, (what, told, self.log())
            time.sleep(0.2)
