"""The images made from Debian's packages do what the official ones do that they stand for."""

import base64
import gzip
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PYTHON = "sigmax/python:3.13"
NODE = "sigmax/node:20"
POSTGRES = "sigmax/postgres:17"
REDIS = "sigmax/redis:8"
RABBITMQ = "sigmax/rabbitmq:4"
PROMETHEUS = "sigmax/prometheus:2"
ALL = (PYTHON, NODE, POSTGRES, REDIS, RABBITMQ, PROMETHEUS)

# As compose.yaml runs the servers: the server's user from the start, and no right to become another.
HARDENED = ("--user", "999:999", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true")


def _docker(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=60)
    if check:
        assert done.returncode == 0, f"docker {' '.join(words)}\n{done.stdout}{done.stderr}"
    return done


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    if shutil.which("docker") is None or _docker("info", check=False).returncode:
        pytest.skip("no Docker engine answers (infra/images/engine.sh)")


def _need(image: str) -> None:
    if _docker("image", "inspect", image, check=False).returncode:
        pytest.skip(f"{image} is not here (infra/images/build.sh makes it)")


class Container:
    """A running container."""

    def __init__(self, identifier: str) -> None:
        self.identifier = identifier

    def run(self, *words: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program inside."""
        options = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
        return _docker("exec", *options, self.identifier, *words, check=check)

    def url(self, port: int) -> str:
        """Give the address under which this machine reaches a port."""
        return f"http://{_docker('port', self.identifier, f'{port}/tcp').stdout.splitlines()[0]}"

    def server_user(self) -> int:
        """Give the user id under which the server runs."""
        status = self.run("cat", "/proc/1/status").stdout
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:")))

    def until(self, is_ready: Callable[[], bool]) -> None:
        """Wait until it is ready; fail with its log when it has ended or takes a minute."""
        deadline = time.monotonic() + 60
        while not is_ready():
            running = _docker("inspect", "-f", "{{.State.Running}}", self.identifier).stdout.strip()
            if running != "true" or time.monotonic() > deadline:
                log = _docker("logs", self.identifier)
                pytest.fail(f"not ready:\n{log.stdout[-3000:]}{log.stderr[-3000:]}")
            time.sleep(0.1)


@contextmanager
def _running(image: str, *command: str, options: tuple[str, ...] = ()) -> Iterator[Container]:
    _need(image)
    identifier = _docker("run", "-d", *options, image, *command).stdout.strip()
    try:
        yield Container(identifier)
    finally:
        _docker("rm", "-fv", identifier, check=False)


def _get(url: str, user: str = "") -> str | None:
    """Give what is there, None while nothing answers."""
    request = urllib.request.Request(url)
    if user:
        request.add_header("Authorization", f"Basic {base64.b64encode(user.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return str(reply.read().decode())
    except (OSError, urllib.error.URLError):
        return None


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder that the users of containers can read."""
    folder = tmp_path_factory.mktemp("images")
    folder.chmod(0o755)
    return folder


# --- all of them


@pytest.mark.parametrize("image", ALL)
def test_no_program_gives_its_user_the_rights_of_another(image: str) -> None:
    _need(image)
    search = ("/", "-xdev", "-type", "f", "-perm", "/6000")
    assert _docker("run", "--rm", "--user", "0", "--entrypoint", "find", image, *search).stdout == ""


@pytest.mark.parametrize("image", ALL)
def test_an_image_names_itself_in_its_labels(image: str) -> None:
    _need(image)
    labels = json.loads(_docker("image", "inspect", "-f", "{{json .Config.Labels}}", image).stdout)
    name, _, version = image.partition(":")
    assert labels["org.opencontainers.image.title"] == name
    assert labels["org.opencontainers.image.version"] == version
    assert labels["org.opencontainers.image.licenses"]
    assert labels["sigmax.key"]


# --- those that build


def test_python_is_3_13_with_pip_in_a_virtual_environment_and_the_systems_certificates() -> None:
    _need(PYTHON)
    script = (
        "python3 -m venv /tmp/venv && /tmp/venv/bin/pip --version && python --version"
        " && python -c 'import ssl; print(ssl.create_default_context().cert_store_stats())'"
    )
    pip, python, certificates = _docker("run", "--rm", PYTHON, "sh", "-c", script).stdout.splitlines()
    assert "/tmp/venv/" in pip
    assert python.startswith("Python 3.13.")
    assert "'x509_ca': 0" not in certificates


def test_node_is_20_with_npm() -> None:
    _need(NODE)
    node, npm = _docker("run", "--rm", NODE, "sh", "-c", "node --version; npm --version").stdout.splitlines()
    assert node.startswith("v20.")
    assert npm


# --- PostgreSQL


@pytest.fixture(scope="module", params=["as started by itself", "hardened"])
def postgres(request: pytest.FixtureRequest, shared_folder: Path) -> Iterator[Container]:
    """Start PostgreSQL with what the official image documents; the password stands in a file."""
    (shared_folder / "password").write_text("it's secret\n", encoding="utf-8")
    scripts = shared_folder / "scripts"
    if not scripts.exists():
        scripts.mkdir()
        (scripts / "1.sql").write_text("CREATE TABLE made (by_script text);", encoding="utf-8")
        (scripts / "2.sql.gz").write_bytes(gzip.compress(b"INSERT INTO made VALUES ('sql.gz');"))
        insert = 'psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "INSERT INTO made VALUES (\'sh\')"\n'
        (scripts / "3.sh").write_text(insert, encoding="utf-8")
    options = [
        *("-e", "POSTGRES_USER=app", "-e", "POSTGRES_DB=metrics", "-e", "POSTGRES_PASSWORD_FILE=/shared/password"),
        *("-e", "POSTGRES_INITDB_ARGS=--data-checksums --locale='C' --encoding=UTF8 --auth=scram-sha-256 --no-sync"),
        *("-v", f"{shared_folder}:/shared:ro", "-v", f"{scripts}:/docker-entrypoint-initdb.d:ro"),
    ]
    data = "/var/lib/postgresql/data:size=512m"
    if request.param == "hardened":
        data += ",uid=999,gid=999,mode=0700"
        options += [*HARDENED, "--tmpfs", "/tmp", "--tmpfs", "/run/postgresql:uid=999,gid=999,mode=0755"]
    options += ["--tmpfs", data]
    with _running(POSTGRES, "-c", "work_mem=7MB", "-c", "fsync=off", options=tuple(options)) as container:
        container.until(lambda: container.run("pg_isready", "-q", "-h", "127.0.0.1", check=False).returncode == 0)
        yield container


def _psql(postgres: Container, sql: str, password: str = "it's secret") -> subprocess.CompletedProcess[str]:
    words = ("psql", "-XAtq", "-h", "127.0.0.1", "-U", "app", "-d", "metrics", "-v", "ON_ERROR_STOP=1", "-c", sql)
    return postgres.run(*words, check=False, PGPASSWORD=password)


def test_postgres_lets_in_who_has_the_password_of_the_file_and_nobody_else(postgres: Container) -> None:
    assert _psql(postgres, "SELECT current_user || '@' || current_database()").stdout == "app@metrics\n"
    refused = _psql(postgres, "SELECT 1", password="wrong")
    assert refused.returncode != 0
    assert "password authentication failed" in refused.stderr
    assert postgres.server_user() == 999


def test_postgres_has_run_the_scripts_in_order_before_it_can_be_reached(postgres: Container) -> None:
    assert _psql(postgres, "SELECT by_script FROM made").stdout.split() == ["sql.gz", "sh"]


def test_postgres_takes_options_and_arguments_of_initdb(postgres: Container) -> None:
    sql = "SELECT current_setting('work_mem'), current_setting('data_checksums'), current_setting('lc_messages')"
    assert _psql(postgres, sql).stdout == "7MB|on|C\n"


def test_postgres_holds_hypertables_where_timescaledb_is_asked_for_and_reports_to_nobody(postgres: Container) -> None:
    assert _psql(postgres, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'").stdout == "0\n"
    sql = """
        CREATE EXTENSION timescaledb;
        CREATE TABLE bars (at timestamptz NOT NULL, close numeric);
        SELECT create_hypertable('bars', by_range('at', interval '1 day'));
        INSERT INTO bars SELECT '2026-01-01Z'::timestamptz + n * interval '12 hours', n FROM generate_series(0, 5) n;
    """
    made = _psql(postgres, sql)
    assert made.returncode == 0, made.stderr
    assert int(_psql(postgres, "SELECT count(*) FROM show_chunks('bars')").stdout) in {3, 4}
    assert _psql(postgres, "SELECT current_setting('timescaledb.telemetry_level', true)").stdout in {"off\n", "\n"}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ((), "POSTGRES_PASSWORD"),
        (("-e", "POSTGRES_PASSWORD=a", "-e", "POSTGRES_PASSWORD_FILE=/etc/hostname"), "both set"),
        (("-e", "POSTGRES_PASSWORD_FILE=/missing"), "/missing"),
    ],
    ids=["no password", "two passwords", "no file"],
)
def test_postgres_does_not_start_without_one_password(settings: tuple[str, ...], complaint: str) -> None:
    _need(POSTGRES)
    result = _docker("run", "--rm", *settings, POSTGRES, check=False)
    assert result.returncode != 0
    assert complaint in result.stderr


# --- Redis


@pytest.mark.parametrize("options", [(), HARDENED], ids=["as started by itself", "hardened"])
def test_redis_answers_other_machines_and_runs_as_its_own_user(options: tuple[str, ...]) -> None:
    with _running(REDIS, "--appendonly", "yes", options=(*options, "--tmpfs", "/data:uid=999,gid=999")) as redis:
        ask = "redis-cli -h $(hostname -i)"
        redis.until(lambda: redis.run("sh", "-c", f"{ask} ping", check=False).stdout == "PONG\n")
        assert redis.run("sh", "-c", f"{ask} config get appendonly").stdout.split() == ["appendonly", "yes"]
        assert redis.server_user() == 999
        assert redis.run("redis-server", "--version").stdout.startswith("Redis server v=8.")


def test_redis_takes_a_file_of_settings(shared_folder: Path) -> None:
    file = shared_folder / "redis.conf"
    file.write_text("requirepass secret\nprotected-mode yes\n", encoding="utf-8")
    with _running(REDIS, "/shared/redis.conf", options=("-v", f"{shared_folder}:/shared:ro")) as redis:
        redis.until(lambda: redis.run("redis-cli", "-a", "secret", "ping", check=False).stdout == "PONG\n")
        assert "NOAUTH" in redis.run("redis-cli", "ping").stdout


# --- RabbitMQ


def test_rabbitmq_takes_the_official_variables_and_serves_management_and_metrics(shared_folder: Path) -> None:
    (shared_folder / "rabbit.conf").write_text("cluster_name = from the file\n", encoding="utf-8")
    options = (
        *("-e", "RABBITMQ_DEFAULT_USER=app", "-e", "RABBITMQ_DEFAULT_PASS=secret", "-e", "RABBITMQ_DEFAULT_VHOST=desk"),
        *("-e", "RABBITMQ_CONFIG_FILE=/shared/rabbit", "-v", f"{shared_folder}:/shared:ro"),
        *("-p", "127.0.0.1::15672", "-p", "127.0.0.1::15692", *HARDENED),
        *("--tmpfs", "/tmp", "--tmpfs", "/var/log/rabbitmq:uid=999,gid=999"),
        *("--tmpfs", "/var/lib/rabbitmq:uid=999,gid=999,mode=0755", "--ulimit", "nofile=16384"),
    )
    with _running(RABBITMQ, options=options) as rabbitmq:
        management = rabbitmq.url(15672)
        rabbitmq.until(lambda: _get(f"{management}/api/vhosts", "app:secret") is not None)
        assert [host["name"] for host in json.loads(_get(f"{management}/api/vhosts", "app:secret") or "")] == ["desk"]
        overview = json.loads(_get(f"{management}/api/overview", "app:secret") or "")
        assert overview["rabbitmq_version"].startswith("4.")
        assert overview["cluster_name"] == "from the file"
        assert _get(f"{management}/api/overview", "guest:guest") is None
        rabbitmq.until(lambda: "rabbitmq_build_info" in (_get(f"{rabbitmq.url(15692)}/metrics") or ""))
        assert rabbitmq.server_user() == 999
        # The health check of compose.yaml.
        rabbitmq.run("rabbitmq-diagnostics", "-q", "check_port_connectivity")


# --- Prometheus


@pytest.mark.parametrize("program", ["prometheus", "promtool", "alertmanager", "amtool"])
def test_the_image_of_prometheus_holds_the_programs_of_both_official_ones(program: str) -> None:
    _need(PROMETHEUS)
    assert f"{program}, version " in _docker("run", "--rm", "--entrypoint", program, PROMETHEUS, "--version").stdout


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("prometheus", ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]),
        (
            "alertmanager",
            ["--config.file=/shared/alertmanager.yml", "--storage.path=/alertmanager", "--cluster.listen-address="],
        ),
    ],
)
def test_prometheus_and_alertmanager_get_ready_on_a_read_only_system(
    program: str, arguments: list[str], shared_folder: Path
) -> None:
    settings = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
    (shared_folder / "alertmanager.yml").write_text(settings, encoding="utf-8")
    port = {"prometheus": 9090, "alertmanager": 9093}[program]
    options = ("--read-only", "--cap-drop", "ALL", "-p", f"127.0.0.1::{port}", "-v", f"{shared_folder}:/shared:ro")
    with _running(PROMETHEUS, *arguments, options=(*options, "--entrypoint", program)) as container:
        url = container.url(port)
        container.until(lambda: _get(f"{url}/-/ready") is not None)
        assert container.server_user() == 65534
