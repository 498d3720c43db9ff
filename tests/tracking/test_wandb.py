import logging
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import wandb
from fake.wandb_account import no_account
from fake.wandb_files import offline_runs, read_offline
from fake.wandb_server import WandbServer
from omegaconf import OmegaConf

from polytag.errors import UserError
from polytag.tracking.loggers import recorded
from polytag.tracking.wandb import wandb_logger
from polytag.tracking.wandb_mode import choose_mode, connection_failure, has_key

CONFIG = OmegaConf.create({"seed": 3, "tags": ["planet"], "notes": "why", "recipe": {"sizes": [64, 96]}})
CLASSIFIER = SimpleNamespace(metrics={})
KEY = "0123456789" * 4


@pytest.fixture(autouse=True)
def unknown(tmp_path):
    with no_account(tmp_path):
        yield


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

    Refuse.do_HEAD = Refuse.do_GET = Refuse.do_POST = Refuse.answer
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


def record(folder, caplog, **arguments):
    """Record a run of one number, and return what was said about the mode."""
    caplog.clear()
    logger = wandb_logger(str(folder), tags=["planet"], notes="why", **arguments)
    with caplog.at_level(logging.INFO, "polytag.tracking.wandb"), recorded([logger], CONFIG, CLASSIFIER):
        logger.log_metrics({"val/map": 0.5}, step=1)
    (message,) = [r.getMessage() for r in caplog.records if r.name == "polytag.tracking.wandb"]
    return message


def test_without_a_key_a_run_is_recorded_offline_below_the_run_folder(tmp_path, caplog):
    message = record(tmp_path / "new" / "run", caplog)

    (folder,) = offline_runs(tmp_path / "new" / "run")
    recorded = read_offline(folder)
    assert recorded.rows("val/map")[0]["val/map"] == 0.5
    assert (recorded.run["tags"], recorded.run["notes"]) == (["planet"], "why")
    assert recorded.config["recipe"] == {"sizes": [64, 96]}
    assert recorded.exit_code == 0
    assert message.startswith("W&B is offline: there is no key")
    assert wandb.run is None


def test_jobs_of_one_process_are_runs_of_their_own(tmp_path, caplog):
    with pytest.raises(RuntimeError), recorded([wandb_logger(str(tmp_path / "0"))], CONFIG, CLASSIFIER):
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
        with recorded([logger], CONFIG, CLASSIFIER):
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

    (run,) = offline_runs(tmp_path / "run")
    assert "starting online failed" in message
    # The id of the run folder: whenever it is sent, it is one run with what comes of it later.
    assert read_offline(run).run["run_id"] == (tmp_path / "run/wandb/run_id").read_text()


def test_a_malformed_key_means_offline(tmp_path, monkeypatch, caplog, refusing_server):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{refusing_server}")

    assert "starting online failed" in record(tmp_path / "run", caplog)
    assert len(offline_runs(tmp_path / "run")) == 1


def test_a_server_that_never_answers_means_offline_within_seconds(tmp_path, monkeypatch, caplog, mute_server):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{mute_server}")
    start = time.perf_counter()

    assert "cannot be reached (timed out" in record(tmp_path / "run", caplog)
    assert time.perf_counter() - start < 30  # W&B by itself would wait for 90 s
    (run,) = offline_runs(tmp_path / "run")
    assert read_offline(run).rows("val/map")[0]["val/map"] == 0.5


def test_a_server_that_answers_but_starts_no_run_means_offline(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    with WandbServer() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        server.hang_on("POST")

        assert "starting online failed" in record(tmp_path / "run", caplog)
    assert len(offline_runs(tmp_path / "run")) == 1


def test_a_server_that_hangs_later_costs_no_data_and_does_not_keep_the_run_from_ending(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "1")
    with WandbServer() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        logger = wandb_logger(str(tmp_path))
        start = time.perf_counter()
        with recorded([logger], CONFIG, CLASSIFIER):
            assert logger.experiment.settings.mode == "online"
            server.hang_on("POST")
            for step in range(200):
                logger.log_metrics({"train/loss_step": step / 8}, step)
        assert time.perf_counter() - start < 60

    (folder,) = (tmp_path / "wandb").glob("run-*-*")
    assert [row["train/loss_step"] for row in read_offline(folder).rows("train/loss_step")] == [
        step / 8 for step in range(200)
    ]


def test_a_run_that_goes_on_is_the_same_one(tmp_path, caplog):
    for _ in range(2):
        record(tmp_path / "run", caplog)

    one, other = (read_offline(run).run["run_id"] for run in offline_runs(tmp_path / "run"))
    assert one == other == (tmp_path / "run/wandb/run_id").read_text()


def test_only_an_agent_of_wandb_chooses_the_id(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_RUN_ID", "chosen")
    record(tmp_path / "alone", caplog)
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    record(tmp_path / "by_agent", caplog)

    (alone,), (by_agent,) = (offline_runs(tmp_path / name) for name in ("alone", "by_agent"))
    assert read_offline(alone).run["run_id"] != "chosen"
    assert read_offline(by_agent).run["run_id"] == "chosen"


@pytest.mark.parametrize(
    ("arguments", "group", "name"),
    [
        ({}, None, None),
        ({"sweep": "lr"}, "lr", "7"),
        ({"sweep": "lr", "group": "mine", "name": "my run"}, "mine", "my run"),
    ],
)
def test_jobs_of_a_sweep_are_grouped_under_its_name(tmp_path, caplog, arguments, group, name):
    record(tmp_path / "7", caplog, **arguments)

    (folder,) = offline_runs(tmp_path / "7")
    run = read_offline(folder).run
    assert (run.get("run_group"), run.get("display_name"), run["job_type"]) == (group, name, "train")
    assert len(run["git"]["commit"]) == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"watch": "weights"}, r"logger\.wandb\.watch=weights is none of gradients, parameters, all"),
        ({"log_checkpoints": "last"}, r"logger\.wandb\.log_checkpoints=last is none of best, all"),
        ({"log_checkpoints": True}, r"logger\.wandb\.log_checkpoints=True is none of best, all"),
    ],
)
def test_unknown_options_are_refused(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        wandb_logger(str(tmp_path), **arguments)


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


def test_connections_go_through_the_proxy_where_there_is_one(monkeypatch, closed_port, refusing_server):
    assert connection_failure(f"http://127.0.0.1:{closed_port}") is not None
    assert connection_failure(f"http://127.0.0.1:{refusing_server}") is None  # it refuses us, but answers
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{refusing_server}")
    monkeypatch.setenv("no_proxy", "")
    assert connection_failure("http://wandb.example.invalid") is None
    monkeypatch.setenv("no_proxy", "wandb.example.invalid")
    assert connection_failure("http://wandb.example.invalid") is not None
