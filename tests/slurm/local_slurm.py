"""A real Slurm on this one machine: a controller, several node daemons and munge, with pretended GPUs.

Debian builds slurmd so that several of them can run on one host. There are no cgroups and no system services; all
files and ports are of one folder, and a GPU is a link to /dev/null. Client commands are wrapped, because the
jobstep plugin of Snakemake drops SLURM_CONF before it calls srun.

`python tests/slurm/local_slurm.py start FOLDER` starts one by hand, `stop FOLDER` ends it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ACCOUNTING_PACKAGES = ("slurmdbd", "mariadb-server")
ACCOUNTING_PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "mariadb-admin", "sacctmgr")
PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client")
PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "squeue", "scontrol")
CLIENTS = ("srun", "sbatch", "salloc", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr")
MARK = "F2LLM_LOCAL_SLURM"
PATIENCE = 60.0
CONFIG = """\
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MpiDefault=none
SwitchType=switch/none
{accounting}
JobCompType=jobcomp/none
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0,default_queue_depth=1000
SlurmdTimeout=20
SlurmctldTimeout=20
InactiveLimit=0
KillWait=5
WaitTime=0
OverTimeLimit=0
MinJobAge=600
ReturnToService=2
JobRequeue=1
SlurmdParameters=config_overrides
"""
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge/socket
AccountingStoreFlags=job_comment"""
DATABASE_DAEMON = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct_db
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} Boards=1 SocketsPerBoard=1 "
    "CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory} Gres=gpu:fake:{gpus} State=UNKNOWN\n"
)
PARTITION = "PartitionName=main Nodes=ALL Default=YES MaxTime=7-0 DefaultTime=60 DefMemPerCPU=500 State=UP\n"


def missing_programs(programs: Sequence[str] = PROGRAMS) -> list[str]:
    """Return what of Slurm is not installed."""
    return [name for name in programs if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]


class LocalSlurm:
    """A cluster in `folder`; nodes n1, n2, ... may pretend more CPUs and memory than the machine has."""

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 2,
        cpus: int = 8,
        memory_mb: int = 16000,
        gpus: int = 2,
        accounting: bool = False,
    ) -> None:
        self.folder, self._cpus, self._memory, self._gpus = Path(folder).resolve(), cpus, memory_mb, gpus
        self.nodes = [f"n{number + 1}" for number in range(nodes)]
        self._config = self.folder / "slurm.conf"
        self._accounting = accounting
        self._ports = iter(_free_ports(3 + nodes))
        self._database_port, self._accounting_port = next(self._ports), next(self._ports)

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which the client commands find this cluster."""
        return {"SLURM_CONF": str(self._config), "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def start(self) -> None:
        """Start all daemons and wait until every node is idle."""
        for name in ("run", "log", "state", "spool", "munge", "bin"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "munge").chmod(0o700)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self._write_config()
        self._write_clients()
        munge = {name: self.folder / "munge" / name for name in ("socket", "log", "pid", "seed")}
        self._launch(
            "munged", "munged", "-F", "-f", f"--socket={munge['socket']}", f"--key-file={key}",
            f"--log-file={munge['log']}", f"--pid-file={munge['pid']}", f"--seed-file={munge['seed']}",
        )  # fmt: skip
        _wait("munged", lambda: munge["socket"].exists())
        if self._accounting:
            self._start_accounting()
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        _wait("the nodes", lambda: self.ask("sinfo", "-h", "-o", "%t %D") == f"idle {len(self.nodes)}")

    def _start_accounting(self) -> None:
        """Start a private database and Slurm's daemon in front of it, and register this cluster."""
        data, socket_path = self.folder / "database", self.folder / "run" / "database.sock"
        password = os.urandom(12).hex()
        path = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--user={_user()}", f"--datadir={data}", "--skip-test-db",
             "--auth-root-authentication-method=normal"], check=True, capture_output=True, env=path,
        )  # fmt: skip
        self._launch(
            "mariadbd", "mariadbd", "--no-defaults", f"--user={_user()}", f"--datadir={data}", f"--socket={socket_path}",
            f"--pid-file={self.folder}/run/mariadbd.pid", "--bind-address=127.0.0.1", f"--port={self._database_port}",
            "--innodb-buffer-pool-size=32M", "--innodb-lock-wait-timeout=900",
        )  # fmt: skip
        client = ("--no-defaults", f"--socket={socket_path}", "-u", "root")
        _wait("mariadbd", lambda: "alive" in self.ask("mariadb-admin", *client, "ping"))
        self.ask(
            "mariadb", *client, "-e", "CREATE DATABASE slurm_acct_db; CREATE USER slurm@127.0.0.1 IDENTIFIED BY "
            f"'{password}'; GRANT ALL ON slurm_acct_db.* TO slurm@127.0.0.1;",
        )  # fmt: skip
        config = self.folder / "slurmdbd.conf"
        config.write_text(
            DATABASE_DAEMON.format(
                folder=self.folder, host=socket.gethostname().partition(".")[0], port=self._accounting_port,
                user=_user(), database=self._database_port, password=password,
            )
        )  # fmt: skip
        config.chmod(0o600)
        self._launch("slurmdbd", "slurmdbd", "-D")
        _wait("slurmdbd", lambda: "local" in self.ask("sacctmgr", "-i", "add", "cluster", "local")
              or "local" in self.ask("sacctmgr", "-n", "show", "cluster", "format=cluster"))  # fmt: skip

    def start_controller(self) -> None:
        """Start the controller, again after `kill`."""
        self._launch("slurmctld", "slurmctld", "-D", "-f", str(self._config))
        _wait("slurmctld", lambda: "is UP" in self.ask("scontrol", "ping"))

    def start_node(self, node: str) -> None:
        """Start the daemon of a node, again after `kill`."""
        (self.folder / "spool" / node).mkdir(exist_ok=True)
        self._launch(f"slurmd-{node}", "slurmd", "-D", "-N", node, "-f", str(self._config))

    def kill(self, daemon: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to "slurmctld" or "slurmd-n1"."""
        path = self.folder / "run" / f"{daemon}.own"
        if path.is_file():
            try:
                os.kill(int(path.read_text()), number)
            except ProcessLookupError:
                pass
            path.unlink()

    def ask(self, *command: str) -> str:
        """Return what a client command says, without the last line break."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout.strip()

    def stop(self) -> None:
        """Cancel all jobs and end everything that this cluster started."""
        self.ask("scancel", "--quiet", "--user", os.environ.get("USER") or _user())
        deadline = time.monotonic() + 15
        while self.ask("squeue", "-h") and time.monotonic() < deadline:
            time.sleep(0.2)
        for path in sorted((self.folder / "run").glob("*.own"), reverse=True):
            self.kill(path.stem, signal.SIGTERM)
        for entry in Path("/proc").glob("[0-9]*"):
            if self._is_own(entry):
                os.kill(int(entry.name), signal.SIGKILL)

    def _is_own(self, process: Path) -> bool:
        """Whether a process was started by this cluster and is one of its step daemons."""
        try:
            marked = f"{MARK}={self.folder}".encode() in (process / "environ").read_bytes().split(b"\0")
            return marked and (process / "comm").read_text().strip() == "slurmstepd"
        except OSError:
            return False

    def _write_config(self) -> None:
        host = socket.gethostname().partition(".")[0]
        accounting = "AccountingStorageType=accounting_storage/none"
        if self._accounting:
            accounting = ACCOUNTING.format(port=self._accounting_port, folder=self.folder)
        text = CONFIG.format(host=host, port=next(self._ports), user=_user(), folder=self.folder, accounting=accounting)
        gres = ""
        for node in self.nodes:
            devices = self.folder / "dev" / node
            devices.mkdir(parents=True, exist_ok=True)
            for gpu in range(self._gpus):
                (devices / f"gpu{gpu}").unlink(missing_ok=True)
                (devices / f"gpu{gpu}").symlink_to("/dev/null")
            gres += f"NodeName={node} Name=gpu Type=fake File={devices}/gpu[0-{self._gpus - 1}] AutoDetect=off\n"
            text += NODE.format(
                name=node, host=host, port=next(self._ports), cpus=self._cpus, memory=self._memory, gpus=self._gpus
            )
        self._config.write_text(text + PARTITION)
        (self.folder / "gres.conf").write_text(gres)

    def _write_clients(self) -> None:
        for name in CLIENTS:
            real = shutil.which(name)
            if real:
                wrapper = self.folder / "bin" / name
                wrapper.write_text(f"#!/bin/sh\nSLURM_CONF='{self._config}' exec '{real}' \"$@\"\n")
                wrapper.chmod(0o755)

    def _launch(self, name: str, *command: str) -> None:
        environment = {**os.environ, "SLURM_CONF": str(self._config), MARK: str(self.folder)}
        environment["PATH"] += ":/usr/sbin:/sbin"
        with open(self.folder / "log" / f"{name}.out", "ab") as log:
            daemon = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        (self.folder / "run" / f"{name}.own").write_text(str(daemon.pid))


def _wait(what: str, ready) -> None:  # noqa: ANN001 - a function without arguments
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come up; see the log folder")
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


if __name__ == "__main__":
    cluster = LocalSlurm(Path(sys.argv[2]))
    getattr(cluster, {"start": "start", "stop": "stop"}[sys.argv[1]])()
    if sys.argv[1] == "start":
        print("\n".join(f"export {key}={value}" for key, value in cluster.environment.items()))
