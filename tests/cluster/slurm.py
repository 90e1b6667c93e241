"""A throw-away Slurm: a controller and a few nodes as ordinary processes on the loopback of one machine.

    python tests/cluster/slurm.py start FOLDER [--accounting]   # prints the two `export` lines a shell needs
    python tests/cluster/slurm.py stop FOLDER

Slurm is the real one (Debian's packages slurmctld, slurmd, slurm-client and munge); only the machines are emulated.
Every node is a `slurmd` with its own name, with more CPUs than the machine has and two GPUs, which are the devices
/dev/null and /dev/zero, so that Slurm allocates them and sets CUDA_VISIBLE_DEVICES as it does for real ones. All keys,
sockets, logs and state are under FOLDER, and all ports are on 127.0.0.1. Neither root nor systemd nor cgroups are
required. Only processes that were started here are stopped: they are identified by number and start time.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

from tests.cluster.processes import began, descendants, ended, kill, open_files, processes

__all__ = ["PARTITION", "Cluster", "missing"]

PARTITION = "main"  # as in workflow/profiles/slurm, so that the profile runs here unchanged
ACCOUNT = "lab"
NODE_CPUS, NODE_MB, NODE_GPUS = 8, 16000, 2
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "munged")
ACCOUNTING_PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db")
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def missing(accounting: bool = False) -> list[str]:
    """Returns the programs that are needed and not installed."""
    needed = PROGRAMS + (ACCOUNTING_PROGRAMS if accounting else ())
    return [name for name in needed if shutil.which(name, path=PATH) is None]


@dataclass
class Cluster:
    """A cluster whose files are under `folder`.

    Arguments:
        folder: Where all its files go; short, since the paths of Unix sockets end at 107 characters.
        nodes: How many nodes, named n1, n2 and so on.
        accounting: Whether a database records the requested and used resources of jobs (`sacct`).
    """

    folder: Path
    nodes: int = 2
    accounting: bool = False
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which Slurm's commands, and jobs, find this cluster."""
        # The plugin's job step strips SLURM_CONF before it calls srun; a srun of our own, first in PATH, restores it.
        return {
            "SLURM_CONF": str(self.folder / "etc" / "slurm.conf"),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{PATH}",
        }

    @property
    def names(self) -> list[str]:
        """The nodes' names."""
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    # --- as a whole

    def start(self) -> None:
        """Starts everything and waits until all nodes are idle.

        Raises:
            RuntimeError: If a part of it does not come up; the message ends with the end of its log.
        """
        for name in ("etc", "log", "run", "state", "munge", "bin"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "munge").chmod(0o700)
        self.ports = _free_ports(["slurmctld", "slurmdbd", "database", *self.names])
        try:
            self._start_munge()
            if self.accounting:
                self._start_accounting()
            self._configure()
            self.start_controller()
            for name in self.names:
                self.start_node(name)
            self.wait_idle()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Cancels all jobs, waits for their processes to end, and stops everything that was started."""
        if "slurmctld" in self._recorded():
            with suppress(subprocess.SubprocessError, OSError):
                self.call("scancel", "--user", getuser(), timeout=10)
                _wait(lambda: not self.steps(), 10)
        for name in self.names:
            self.lose_node(name)
        for name in ("slurmctld", "slurmdbd", "mariadbd", "munged"):
            self._stop(name)

    def call(self, *words: str, timeout: float = 30) -> str:
        """Runs one of Slurm's commands and returns what it printed."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, check=True, timeout=timeout
        )
        return done.stdout

    # --- its parts, which tests stop and start

    def start_controller(self) -> None:
        """Starts the controller, which restores its jobs from the saved state."""
        self._start("slurmctld", "slurmctld", "-D")
        _wait(lambda: self._answers("scontrol", "ping", said="is UP"), 30, lambda: self._log("slurmctld"))

    def stop_controller(self) -> None:
        """Kills the controller; running jobs continue."""
        self._stop("slurmctld", signal.SIGKILL)

    def start_node(self, name: str) -> None:
        """Starts a node."""
        (self.folder / f"spool-{name}").mkdir(exist_ok=True)
        self._start(name, "slurmd", "-D", "-N", name)

    def lose_node(self, name: str) -> None:
        """Kills a node with all its processes, like a power failure."""
        self._stop(name, signal.SIGKILL)
        quiet = 0
        # A step that is just being started is not in the first list.
        while quiet < 3:
            found = self.steps(name)
            quiet = 0 if found else quiet + 1
            for process in found:
                kill(process, signal.SIGKILL)
            time.sleep(0.1)

    def wait_idle(self, seconds: float = 60) -> None:
        """Waits until every node is idle.

        Raises:
            RuntimeError: If one is not by then.
        """
        idle = ("sinfo", "--noheader", "--Node", "--states", "idle", "--format", "%N")
        _wait(
            lambda: set(self._answers(*idle).split()) >= set(self.names),
            seconds,
            lambda: "".join(self._log(name) for name in ("slurmctld", *self.names)),
        )

    def steps(self, node: str | None = None) -> list[int]:
        """Returns the processes of jobs on a node, or on all: the step daemons and what descends from them."""
        sockets = str(self.folder / f"spool-{node}" if node else self.folder / "spool-")
        inodes = set()
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
            words = line.split()
            if len(words) > 7 and words[7].startswith(sockets):
                inodes.add(f"socket:[{words[6]}]")
        daemons = {pid for pid in processes() if inodes & set(open_files(pid))}
        daemons -= {record["pid"] for record in self._recorded().values()}
        return sorted(descendants(daemons))

    # --- starting and stopping

    def _start_munge(self) -> None:
        key = self.folder / "munge" / "key"
        if not key.exists():
            key.write_bytes(os.urandom(128))
            key.chmod(0o600)
        where = {"key-file": "munge/key", "seed-file": "munge/seed"}
        where |= {"socket": "run/munge.socket", "pid-file": "run/munged.pid"}
        options = [f"--{option}={self.folder / path}" for option, path in where.items()]
        self._start("munged", "munged", "--foreground", "--force", *options)
        knock = ("munge", "--no-input", f"--socket={self.folder / where['socket']}")
        _wait(lambda: self._answers(*knock, said="MUNGE:"), 20, lambda: self._log("munged"))

    def _start_accounting(self) -> None:
        data, door = self.folder / "database", self.folder / "run" / "mysql.socket"
        who = ["--no-defaults", f"--user={getuser()}", f"--datadir={data}"]
        if not (data / "mysql").exists():
            made = ["mariadb-install-db", *who, "--auth-root-authentication-method=normal", "--skip-test-db"]
            subprocess.run(made, check=True, capture_output=True, env={**os.environ, "PATH": PATH})
        self._start(
            "mariadbd",
            "mariadbd",
            *who,
            f"--socket={door}",
            "--bind-address=127.0.0.1",
            f"--port={self.ports['database']}",
            "--innodb-buffer-pool-size=128M",
            "--innodb-log-file-size=32M",
            "--innodb-lock-wait-timeout=900",
            "--innodb-flush-log-at-trx-commit=0",
        )
        client = ["mariadb", "--no-defaults", f"--socket={door}"]
        _wait(lambda: self._answers(*client, "-e", "SELECT 1", said="1"), 60, lambda: self._log("mariadbd"))
        secret = os.urandom(12).hex()
        grant = (
            f"CREATE OR REPLACE USER slurm@'%' IDENTIFIED BY '{secret}'; GRANT ALL ON slurm.* TO slurm@'%'"
        )
        self.call(*client, "-e", f"CREATE DATABASE IF NOT EXISTS slurm; {grant}; FLUSH PRIVILEGES")
        conf = self.folder / "etc" / "slurmdbd.conf"
        conf.touch(mode=0o600)
        conf.write_text(
            _settings(
                **self._munge(),
                DbdHost="localhost",
                DbdAddr="127.0.0.1",
                DbdPort=self.ports["slurmdbd"],
                SlurmUser=getuser(),
                LogFile=self.folder / "log" / "slurmdbd",
                PidFile=self.folder / "run" / "slurmdbd.pid",
                StorageType="accounting_storage/mysql",
                StorageHost="127.0.0.1",
                StoragePort=self.ports["database"],
                StorageUser="slurm",
                StoragePass=secret,
                StorageLoc="slurm",
                CommunicationParameters="NoInAddrAny",
            )
        )
        self._configure()  # sacctmgr reads it too
        self._start("slurmdbd", "slurmdbd", "-D")
        _wait(
            lambda: self._answers("sacctmgr", "--noheader", "list", "qos", said="normal"),
            60,
            lambda: self._log("slurmdbd"),
        )
        for words in (
            ("cluster", "lab"),
            ("account", ACCOUNT, "Description=lab", "Organization=lab"),
            ("user", getuser(), f"Account={ACCOUNT}"),
        ):
            # After a second start the entry exists already, which is not an error.
            with suppress(subprocess.CalledProcessError):
                self.call("sacctmgr", "--immediate", "add", *words)

    def _munge(self) -> dict[str, str]:
        return {"AuthType": "auth/munge", "AuthInfo": f"socket={self.folder / 'run' / 'munge.socket'}"}

    def _configure(self) -> None:
        """Writes slurm.conf, gres.conf and the `srun` that finds them."""
        host, here, user = socket.gethostname().split(".")[0], self.folder, getuser()
        kept: dict[str, object] = {"AccountingStorageType": "accounting_storage/none"}
        if self.accounting:
            kept = {
                "AccountingStorageType": "accounting_storage/slurmdbd",
                "AccountingStorageHost": "127.0.0.1",
                "AccountingStoragePort": self.ports["slurmdbd"],
                "AccountingStoragePass": here / "run" / "munge.socket",
                "AccountingStorageTRES": "gres/gpu",
                "AccountingStoreFlags": "job_comment",
            }
        text = _settings(
            ClusterName="lab",
            SlurmctldHost=f"{host}(127.0.0.1)",
            SlurmctldPort=self.ports["slurmctld"],
            SlurmUser=user,
            SlurmdUser=user,
            **self._munge(),
            CredType="cred/munge",
            CommunicationParameters="NoCtldInAddrAny,NoInAddrAny",
            MpiDefault="none",
            ProctrackType="proctrack/pgid",
            TaskPlugin="task/none",
            SwitchType="switch/none",
            SelectType="select/cons_tres",
            SelectTypeParameters="CR_Core_Memory",
            # More cores are declared than the machine has.
            SlurmdParameters="config_overrides",
            ReturnToService=2,
            SchedulerType="sched/backfill",
            SchedulerParameters="sched_interval=1,bf_interval=1,sched_min_interval=100000,batch_sched_delay=0,"
            "default_queue_depth=1000",
            StateSaveLocation=here / "state",
            SlurmctldPidFile=here / "run" / "slurmctld.pid",
            SlurmctldLogFile=here / "log" / "slurmctld",
            SlurmdPidFile=here / "run" / "slurmd-%n.pid",
            SlurmdSpoolDir=here / "spool-%n",
            SlurmdLogFile=here / "log" / "%n",
            # The time in which squeue lists a finished job.
            MinJobAge=300,
            DefMemPerCPU=500,
            InactiveLimit=0,
            KillWait=2,
            # A dead node is detected, and a job over its time limit is ended, within seconds instead of minutes.
            SlurmdTimeout=10,
            MaxJobCount=20000,
            GresTypes="gpu",
            JobAcctGatherType="jobacct_gather/linux",
            JobAcctGatherFrequency="task=1",
            JobAcctGatherParams="OverMemoryKill",
            PlugStackConfig="/dev/null",
            **kept,
        )
        shape = f"CPUs={NODE_CPUS} RealMemory={NODE_MB} Gres=gpu:{NODE_GPUS} State=UNKNOWN"
        for name in self.names:
            text += (
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={self.ports[name]} {shape}\n"
            )
        text += (
            f"PartitionName={PARTITION} Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO\n"
        )
        (here / "etc" / "slurm.conf").write_text(text)
        # Slurm allocates character devices only; these exist on every machine and are accessible to all users.
        (here / "etc" / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
        srun = here / "bin" / "srun"
        real = shutil.which("srun", path=PATH)
        srun.write_text(
            f'#!/bin/sh\nSLURM_CONF={shlex.quote(self.environment["SLURM_CONF"])} exec {real} "$@"\n'
        )
        srun.chmod(0o755)

    def _answers(self, *words: str, said: str = "") -> str:
        """Returns the output of a command; empty if it failed or did not print `said`."""
        try:
            out = self.call(*words, timeout=10)
        except (subprocess.SubprocessError, OSError):
            return ""
        return out if said in out else ""

    def _log(self, name: str) -> str:
        lines = []
        for path in (self.folder / "log" / f"{name}.out", self.folder / "log" / name):
            if path.exists():
                lines += [f"\n--- {path}", *path.read_text(errors="replace").splitlines()[-15:]]
        return "\n".join(lines)

    def _recorded(self) -> dict[str, dict]:
        records = {path.stem: json.loads(path.read_text()) for path in self.folder.glob("run/*.json")}
        return {name: record for name, record in records.items() if began(record["pid"]) == record["began"]}

    def _start(self, name: str, *words: str) -> None:
        with open(self.folder / "log" / f"{name}.out", "ab") as log:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                cwd=self.folder,
                start_new_session=True,
            )
        record = {"pid": process.pid, "began": began(process.pid)}
        (self.folder / "run" / f"{name}.json").write_text(json.dumps(record))

    def _stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        record = self._recorded().get(name)
        (self.folder / "run" / f"{name}.json").unlink(missing_ok=True)
        if record is None:
            return
        pid = record["pid"]
        kill(pid, how)
        if not ended(pid, record["began"], 10):
            kill(pid, signal.SIGKILL)
            ended(pid, record["began"], 10)


def _free_ports(names: list[str]) -> dict[str, int]:
    # All sockets are open at once, so that no port occurs twice.
    held = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: one.getsockname()[1] for name, one in zip(names, held, strict=True)}
    for one in held:
        one.close()
    return ports


def _settings(**values: object) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _wait(true: Callable[[], object], seconds: float, why: Callable[[], str] = str) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds} s{why()}")
        time.sleep(0.1)


def main() -> None:
    """Starts or stops a cluster by hand."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=("start", "stop"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--accounting", action="store_true", help="with a database, for sacct")
    args = parser.parse_args()
    cluster = Cluster(args.folder.resolve(), args.nodes, args.accounting)
    if args.verb == "stop":
        cluster.stop()
        return
    if lacking := missing(args.accounting):
        sys.exit(f"not installed: {', '.join(lacking)}; see tests/cluster/install.sh")
    cluster.start()
    for name, value in cluster.environment.items():
        # Only the first part of PATH is added; the rest is that of the shell.
        shown = shlex.quote(value.split(os.pathsep)[0]) + ':"$PATH"' if name == "PATH" else shlex.quote(value)
        print(f"export {name}={shown}")


if __name__ == "__main__":
    main()
