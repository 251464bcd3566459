"""The compose file is what the README promises: a pinned Qdrant with a key and a health check, on this machine only."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.qdrant_stub.faults import Fault
from tests.qdrant_stub.server import QdrantStub

ROOT = Path(__file__).parents[2]
NODES = ("qdrant-1", "qdrant-2", "qdrant-3")
QDRANTS = ("qdrant", *NODES)
OURS = ("serve", "ingest")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    return compose["services"]


def test_it_is_a_compose_file_by_the_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests/data/compose-spec/schema.json").read_text())
    validator = jsonschema.Draft201909Validator(schema)
    assert [error.message for error in validator.iter_errors(compose)] == []
    compose["services"]["qdrant"]["helthcheck"] = {}
    with pytest.raises(jsonschema.ValidationError, match="helthcheck"):
        validator.validate(compose)
    del compose["services"]["qdrant"]["helthcheck"]


def test_without_a_profile_one_server_starts(services: dict[str, Any]) -> None:
    profiles = {name: service.get("profiles", []) for name, service in services.items()}
    assert profiles == {"qdrant": [], "serve": ["serve"], "ingest": ["ingest"]} | {name: ["cluster"] for name in NODES}


def test_the_image_is_one_version_that_goes_with_the_pinned_client(services: dict[str, Any]) -> None:
    images = {services[name]["image"] for name in QDRANTS}
    assert len(images) == 1
    server = re.fullmatch(r"qdrant/qdrant:v(\d+)\.(\d+)\.(\d+)", images.pop())
    client = re.search(r"^qdrant-client==(\d+)\.(\d+)\.", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert server is not None
    assert client is not None
    assert server[1] == client[1] == importlib.metadata.version("qdrant-client").split(".")[0]
    assert abs(int(server[2]) - int(client[2])) <= 1


def test_nothing_starts_without_a_key(services: dict[str, Any]) -> None:
    for name in QDRANTS:
        assert services[name]["environment"]["QDRANT__SERVICE__API_KEY"].startswith("${QDRANT_API_KEY:?"), name
    for name in OURS:
        assert services[name]["environment"]["QDRANT_API_KEY"].startswith("${QDRANT_API_KEY:?"), name
    assert "${QDRANT_API_KEY}" not in (ROOT / "docker-compose.yml").read_text()


def test_a_read_only_key_that_nobody_set_is_no_key_at_all(services: dict[str, Any]) -> None:
    for name in QDRANTS:
        assert services[name]["environment"]["QDRANT__SERVICE__READ_ONLY_API_KEY"] is None, name


def test_the_example_names_every_variable_but_no_key(services: dict[str, Any]) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    passed_on = {name for service in services.values() for name, value in service["environment"].items() if not value}
    models = {"SIFT_RAG_MODEL", "SIFT_RAG_BASE_URL", "SIFT_RAG_API_KEY"}
    assert passed_on > {"QDRANT__SERVICE__READ_ONLY_API_KEY", "SIFT_RAG_SERVER_API_KEY"} | models
    filled_in = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text())) - {"QDRANT_API_KEY"}
    named = [line for line in lines if "=" in line]
    assert named[0] == "QDRANT_API_KEY="
    assert sorted(named[1:]) == [f"# {name}=" for name in sorted(passed_on | filled_in)]
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_image_has_the_extras_and_the_health_check_the_path_that_there_are(services: dict[str, Any]) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (wanted,) = re.findall(r"'\.\[(.+)\]'", (ROOT / "Dockerfile").read_text())
    assert set(wanted.split(",")) <= set(settings["project"]["optional-dependencies"])
    assert ":8600/ready'" in services["serve"]["healthcheck"]["test"][-1]
    assert '"/ready"' in (ROOT / "plugins/sift_rag_server/app.py").read_text()


def test_ports_are_published_on_this_machine_alone_and_each_once(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    published = [port.split(":")[1] for port in ports]
    assert len(set(published)) == len(published)
    assert not any(port.endswith(":6335") for port in ports), "the cluster's own port asks for no key"


def test_what_a_server_holds_is_in_volumes_of_its_own(compose: dict[str, Any], services: dict[str, Any]) -> None:
    mounted = [volume for name in QDRANTS for volume in services[name]["volumes"]]
    assert sorted(volume.split(":")[0] for volume in mounted) == sorted(compose["volumes"])
    for name in QDRANTS:
        targets = {volume.split(":")[1] for volume in services[name]["volumes"]}
        assert targets == {"/qdrant/storage", "/qdrant/snapshots"}
        assert services[name]["environment"]["QDRANT_INIT_FILE_PATH"].startswith("/qdrant/storage/")


def test_no_service_can_write_its_own_files_or_gain_rights(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_cluster_keeps_each_shard_twice_and_joins_at_the_first_node(services: dict[str, Any]) -> None:
    for name in NODES:
        environment = services[name]["environment"]
        assert environment["QDRANT__CLUSTER__ENABLED"] == "true"
        assert environment["QDRANT__STORAGE__COLLECTION__REPLICATION_FACTOR"] == "2"
        command = services[name]["command"]
        assert command[:3] == ["./qdrant", "--uri", f"http://{name}:6335"]
        assert command[3:] == ([] if name == NODES[0] else ["--bootstrap", f"http://{NODES[0]}:6335"])


def test_who_needs_the_server_waits_until_it_is_healthy(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "healthcheck" in service or name == "ingest", name  # which ends
        for needed in service.get("depends_on", {}).values():
            assert needed == {"condition": "service_healthy"}
    for name in OURS:
        assert list(services[name]["depends_on"]) == ["qdrant"]


def test_documents_are_mounted_to_be_read_and_every_service_has_a_limit_of_memory(services: dict[str, Any]) -> None:
    for name in OURS:
        assert services[name]["volumes"] == ["${SIFT_RAG_DOCUMENTS:-./documents}:/documents:ro"], name
    assert services["ingest"]["command"][1] == "/documents"
    assert all(re.fullmatch(r"\$\{[A-Z_]+:-\d+g\}", service["mem_limit"]) for service in services.values())


def test_the_health_check_is_a_line_of_bash_that_tells_ready_from_not(
    services: dict[str, Any], qdrant: QdrantStub
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    kind, *command = services["qdrant"]["healthcheck"]["test"]
    assert kind == "CMD"
    assert command[:2] == ["bash", "-c"]
    line = command[2].replace("$$", "$").replace("6333", str(qdrant.port))

    def check() -> int:
        return subprocess.run(["bash", "-c", line], stderr=subprocess.DEVNULL, timeout=20, check=False).returncode

    assert check() == 0
    qdrant.faults.append(Fault("status", on="health", status=503))
    assert check() != 0
    with qdrant.down():
        assert check() != 0


def test_the_image_is_built_of_what_the_build_is_given() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied == kept
    assert re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)[-1] != "0"
    assert len(re.findall(r"^FROM .+$", dockerfile, re.MULTILINE)) == 2
