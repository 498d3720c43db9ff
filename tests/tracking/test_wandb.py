import logging
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import wandb
from omegaconf import OmegaConf

from polytag.errors import UserError
from polytag.tracking.loggers import recorded
from polytag.tracking.wandb import choose_mode, connection_failure, has_key, wandb_logger

CONFIG = OmegaConf.create({"seed": 3, "tags": ["planet"], "notes": "why", "recipe": {"sizes": [64, 96]}})
KEY = "0123456789" * 4


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    """Run as a user that W&B has never seen, and forget the settings that it keeps in the process."""
    for name in [name for name in os.environ if name.startswith("WANDB_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def refusing_server():
    """A server that is there and refuses every key."""

    class Refuse(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(401)
            self.end_headers()
            self.wfile.write(b'{"errors": [{"message": "no"}]}')

        def log_message(self, *_):
            pass

    Refuse.do_GET = Refuse.do_POST = Refuse.answer
    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def mute_server():
    """A server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield server.getsockname()[1]


def offline_runs(folder):
    return sorted((folder / "wandb").glob("offline-run-*"))


def record(folder, caplog, **arguments):
    """Record a run of one number, and return what was said about the mode."""
    caplog.clear()
    logger = wandb_logger(str(folder), tags=["planet"], notes="why", **arguments)
    with caplog.at_level(logging.INFO, "polytag.tracking.wandb"), recorded([logger], CONFIG):
        logger.log_metrics({"val/map": 0.5}, step=1)
    (message,) = [r.getMessage() for r in caplog.records if r.name == "polytag.tracking.wandb"]
    return message


def test_without_a_key_a_run_is_recorded_offline_below_the_run_folder(tmp_path, caplog):
    message = record(tmp_path / "new" / "run", caplog)

    (run,) = offline_runs(tmp_path / "new" / "run")
    content = next(run.glob("run-*.wandb")).read_bytes()
    assert all(word in content for word in (b"val/map", b"planet", b"why", b"recipe"))
    assert message.startswith("W&B is offline: there is no key")
    assert wandb.run is None


def test_jobs_of_one_process_are_runs_of_their_own(tmp_path, caplog):
    with pytest.raises(RuntimeError), recorded([wandb_logger(str(tmp_path / "0"))], CONFIG):
        raise RuntimeError("the first job fails")
    assert wandb.run is None
    left_over = wandb_logger(str(tmp_path / "1"))
    left_over.log_metrics({"loss": 1.0}, step=0)  # and this one is never closed
    record(tmp_path / "2", caplog)

    names = [run.name for job in "012" for run in offline_runs(tmp_path / job)]
    assert len(names) == len(set(names)) == 3


@pytest.mark.parametrize(("failed", "code"), [(False, 0), (True, 1)])
def test_a_run_ends_with_the_exit_code_of_the_training(tmp_path, monkeypatch, failed, code):
    logger = wandb_logger(str(tmp_path), mode="disabled")
    codes = []
    monkeypatch.setattr(logger.experiment, "finish", lambda exit_code: codes.append(exit_code))
    try:
        with recorded([logger], CONFIG):
            if failed:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass

    assert codes == [code]


def test_a_closed_port_means_offline_within_seconds(tmp_path, monkeypatch, caplog, closed_port):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{closed_port}")
    start = time.perf_counter()
    message = record(tmp_path / "run", caplog)

    assert time.perf_counter() - start < 15
    assert len(offline_runs(tmp_path / "run")) == 1
    assert f"http://127.0.0.1:{closed_port} cannot be reached" in message


def test_a_refused_key_means_offline(tmp_path, monkeypatch, caplog, refusing_server):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{refusing_server}")
    message = record(tmp_path / "run", caplog, mode="online")

    assert len(offline_runs(tmp_path / "run")) == 1
    assert "starting online failed" in message


def test_a_malformed_key_means_offline(tmp_path, monkeypatch, caplog, refusing_server):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{refusing_server}")

    assert "starting online failed" in record(tmp_path / "run", caplog)
    assert len(offline_runs(tmp_path / "run")) == 1


def test_a_server_that_never_answers_means_offline(tmp_path, monkeypatch, caplog, mute_server):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{mute_server}")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")

    assert "starting online failed" in record(tmp_path / "run", caplog)
    assert len(offline_runs(tmp_path / "run")) == 1


def test_disabled_leaves_no_file(tmp_path, caplog):
    message = record(tmp_path / "run", caplog, mode="disabled")

    assert message == "W&B is disabled: logger.wandb.mode says so."
    assert list((tmp_path / "run").iterdir()) == []


def test_the_environment_chooses_where_the_config_does_not(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert choose_mode(None) == ("offline", "WANDB_MODE=offline")
    assert choose_mode("disabled")[0] == "disabled"
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    assert choose_mode(None)[0] == "offline"


def test_the_environment_stays_as_it_was(tmp_path, caplog):
    record(tmp_path / "run", caplog)

    assert "WANDB_MODE" not in os.environ  # Lightning's offline=True would set it for every later run


def test_unknown_modes_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"logger\.wandb\.mode=onlien is none of online"):
        wandb_logger(str(tmp_path), mode="onlien")
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(UserError, match="WANDB_MODE=sometimes"):
        choose_mode(None)


def test_a_malformed_address_is_refused_in_one_line(monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "not an address")
    with pytest.raises(UserError, match="WANDB_BASE_URL") as caught:
        choose_mode(None)
    assert "\n" not in str(caught.value)
    monkeypatch.delenv("WANDB_BASE_URL")


def test_keys_come_from_the_netrc_file_too(tmp_path):
    assert not has_key("https://wandb.example.org")
    (tmp_path / "netrc").write_text(f"machine wandb.example.org login user password {KEY}\n")
    assert has_key("https://wandb.example.org")
    assert not has_key("https://api.wandb.ai")
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    assert has_key("https://api.forge.coreweave.com")  # the same server under its newer name
    (tmp_path / "netrc").write_text("what is this\n")
    assert not has_key("https://api.wandb.ai")


def test_connections_go_through_the_proxy_where_there_is_one(monkeypatch, closed_port, mute_server):
    unreachable = f"http://127.0.0.1:{closed_port}"
    assert connection_failure(unreachable) is not None
    assert connection_failure(f"http://127.0.0.1:{mute_server}") is None
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{mute_server}")
    monkeypatch.setenv("no_proxy", "")
    assert connection_failure("http://wandb.example.invalid") is None
    monkeypatch.setenv("no_proxy", "wandb.example.invalid")
    assert connection_failure("http://wandb.example.invalid") is not None
