"""The pieces of the demo: pictures, the application that asks on and on, the stage."""

import http.server
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from examples import stage
from examples.application import Application
from examples.scans import PIXELS, TARGET, append_rows, drawn, parted, slanted
from examples.stage import edited, expect, wait


def test_the_digits_are_parted_the_same_way_each_time() -> None:
    first, second, rest = parted((900, 300))
    assert [len(part.digits) for part in (first, second, rest)] == [900, 300, 597]
    assert np.array_equal(parted((900, 300))[1].images, second.images)
    assert set(first.digits.tolist()) == set(range(10))
    assert next(first.rows()) == dict(zip(PIXELS, first.images[0].ravel().tolist(), strict=True))
    assert len(second.after(2).digits) == 298
    assert len(second.chosen(second.digits == 3).digits) == int((second.digits == 3).sum())


def test_the_second_scanner_turns_pictures_and_keeps_their_range() -> None:
    (scans, _) = parted((50,))
    turned = slanted(scans)
    assert (turned.images != scans.images).any(axis=(1, 2)).all()
    assert (turned.images.min(), turned.images.max() <= 16) == (0, True)
    assert turned.digits is scans.digits


def test_a_table_grows(tmp_path: Path) -> None:
    (some, more, _) = parted((5, 3))
    for part in (some, more):
        append_rows(tmp_path / "digits.csv", part)
    table = pd.read_csv(tmp_path / "digits.csv")
    assert list(table.columns) == [*PIXELS, TARGET]
    assert table[TARGET].tolist() == [*some.digits, *more.digits]


def test_pictures_are_drawn_side_by_side() -> None:
    lines = drawn(np.full((8, 8), 16), np.zeros((8, 8), int)).splitlines()
    assert lines == [f"   {'@@' * 8}"] * 8


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as version 1 twice, refuses, drops the connection, then goes on as version 2."""

    protocol_version = "HTTP/1.1"
    turns = itertools.count()

    def do_POST(self) -> None:
        turn = next(self.turns)
        self.rfile.read(int(self.headers["content-length"]))
        if turn == 3:
            self.close_connection = True
            return
        self.send_response(503 if turn == 2 else 200)
        answer = {"version": 1 if turn < 2 else 2, "predictions": [{"prediction": 3}], "id": f"id-{turn}"}
        body = json.dumps(answer).encode()
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def application() -> Iterator[Application]:
    """An application that asks such a server."""
    Server.turns = itertools.count()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        asking = Application(f"http://127.0.0.1:{server.server_port}", "digits")
        yield asking
        asking.close()
        server.shutdown()
        thread.join()


def test_every_request_is_counted_as_answered_or_lost(application: Application) -> None:
    (scans, _) = parted((300,))
    threes = scans.chosen(scans.digits == 3)
    with application.asking(threes) as tally:
        wait(lambda: tally.answers[2] >= 3, "version 2 answers", patience=30)
    assert tally.asked == sum(tally.answers.values()) + len(tally.lost)
    assert (tally.newest, tally.answers[1], tally.share_right(1), tally.share_right(2)) == (2, 2, 1.0, 1.0)
    assert len(tally.lost) == 2
    assert tally.lost[0].startswith("OSError: 503")
    assert tally.lost[1].startswith("RemoteDisconnected")
    assert list(tally.lines())[-1].startswith(f"{tally.asked:,} requests, 2 lost")


def test_what_is_asked_for_has_an_id_that_labels_name(application: Application) -> None:
    (scans, _) = parted((2,))
    assert application.ask_all(scans) == ["id-0", "id-1"]
    with pytest.raises(OSError, match="503"):
        application.tell("id-0", 3)


def test_sections_of_a_project_file_are_replaced_with_a_reason() -> None:
    text = "# head\nname: a\n# old\nsearch:\n  trials: 2\n  families:\n  - tree\nsplit: {test: 0.3}\n"
    once = edited(text, {"search": {"trials": 3}}, "new")
    assert once == "# head\nname: a\nsplit: {test: 0.3}\n# new\nsearch: {trials: 3}\n"
    assert edited(once, {"search": {"trials": 3}}, "new") == once


def test_what_is_not_as_announced_ends_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    expect(1, 1, "one")
    with pytest.raises(SystemExit, match="the demo failed: the verdict should be 'promote' and is 'refuse'"):
        expect("refuse", "promote", "the verdict")
    with pytest.raises(SystemExit, match="not within 0 s: it answers"):
        wait(_unreachable, "it answers", patience=0.3)
    assert capsys.readouterr().out == ""


def _unreachable() -> bool:
    raise OSError("nobody is there")


def test_progress_is_told_when_it_is_new(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "_LOOK", 0.0)
    monkeypatch.setattr(stage, "_PAUSE", 0.001)
    told = iter(["scheduled", "scheduled", "", "running", "running"])
    seen: list[str] = []

    def progress() -> str:
        seen.append(next(told))
        return seen[-1]

    wait(lambda: len(seen) == 5, "it has ended", progress=progress)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["   scheduled ...", "   running ..."]
    assert lines[2].startswith("=> it has ended, after ")
    assert "\033" not in "".join(lines)
