"""The queue: what waits and for how long it helps, and what is done with one, several, or all that have something in common."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from console_client import Console, text_of

from otpcore.testing import Outbox

PHONES = ("+359881234567", "+359871234567", "+4915112345678")
_ID = re.compile(r'name="id" value="([^"]+)"')


@attrs.define(eq=False)
class Scene:
    """A console whose providers take nothing unless they are asked to."""

    console: Console
    outboxes: dict[str, Outbox]

    @property
    def operator(self) -> Any:
        return self.console.server.server.service.operator

    def do(self, work: Any) -> Any:
        return self.console.server.do(work)

    def queue(self, phone: str) -> str:
        """The id of a verification whose send waits."""
        for outbox in self.outboxes.values():
            outbox.fail("throttled")
        challenge_id: str = self.do(self.console.server.server.service.send_sms(phone)).id
        return challenge_id

    def waiting(self) -> set[str]:
        return {one.challenge_id for one in self.do(self.operator.retries.list()).items}

    def changes(self) -> list[tuple[str, str, str]]:
        return [(one.action, one.by, one.reason) for one in self.do(self.operator.audit(10))]


def action_of(answer: Any) -> str:
    """Where the form of a question goes."""
    found = re.search(r'<form method="post" action="/console(/queue/[^"]+)"', answer.text)
    assert found is not None
    return html.unescape(found[1])


@pytest.fixture
def open_scene(tmp_path: Any, serve_console: Any) -> Iterator[Callable[..., Scene]]:
    opened = []

    def start(**sections: Any) -> Scene:
        outboxes = {"mada": Outbox(), "twilio_eu": Outbox()}
        more = {"sms": {"retry": True}, "retry": {"runner": "background", "first_delay": 100, "max_delay": 120}}
        opened.append(serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", outboxes, **{**more, **sections}))
        return Scene(opened[-1].__enter__(), outboxes)

    yield start
    for one in opened:
        one.__exit__(None, None, None)


@pytest.fixture
def scene(open_scene: Callable[..., Scene]) -> Scene:
    return open_scene()


def test_nothing_waits(scene: Scene) -> None:
    answer = scene.console.browser("vera").get("/queue")
    assert answer.status_code == 200
    assert "Nothing waits." in text_of(answer)
    assert "<title>Nothing waits · otp</title>" in answer.text


def test_what_waits_is_told_with_its_last_answer_and_for_how_long_it_helps(scene: Scene) -> None:
    for phone in PHONES:
        scene.queue(phone)
    answer = scene.console.browser("vera").get("/queue")
    said = text_of(answer)
    assert "3 sends wait. None is late." in said
    assert "+3598******67 (new tab) default" in said
    assert "twilio_eu throttled 0 of 20" in said
    assert re.search(r"(4 min 5\d s|5 min) ", said)
    assert "twilio_eu tried last 3" in said
    assert not any(phone[1:] in answer.text for phone in PHONES)


def test_a_viewer_picks_nothing(scene: Scene) -> None:
    waits = scene.queue(PHONES[0])
    viewer = scene.console.browser("vera")
    answer = viewer.get("/queue")
    assert "Drop" not in text_of(answer)
    assert not _ID.findall(answer.text)
    assert viewer.get("/queue/drop", id=waits).status_code == 403
    assert viewer.post("/queue", do="drop", id=waits).status_code == 403
    assert viewer.post(f"/queue/drop?id={waits}", reason="x").status_code == 403
    assert scene.waiting() == {waits}


def test_picked_ones_are_dropped_for_a_reason_once_they_were_shown(scene: Scene) -> None:
    first, second, third = map(scene.queue, PHONES)
    otto = scene.console.browser("otto")
    otto.get("/queue")
    asked = otto.does("/queue", do="drop", id=[first, second])
    assert "Drop 2 waiting sends?" in text_of(asked)
    assert "Keep them" in text_of(asked)
    assert scene.waiting() == {first, second, third}
    path = action_of(asked)
    refused = otto.post(path, reason=" ")
    assert refused.status_code == 422
    assert "Say why." in text_of(refused)
    assert scene.waiting() == {first, second, third}
    assert "Dropped: 2 sends." in text_of(otto.does(path, reason="wrong text"))
    assert scene.waiting() == {third}
    assert scene.changes()[:2] == [("retries.drop", "otto", "wrong text")] * 2
    again = otto.does(path, reason="once more")
    assert "Dropped: 0 of 2 sends; the others were over by then" in text_of(again)


def test_one_is_sent_now(scene: Scene) -> None:
    waits = scene.queue(PHONES[0])
    otto = scene.console.browser("otto")
    asked = otto.get("/queue/requeue", id=waits)
    assert "Send 1 send that waits now?" in text_of(asked)
    assert "Made due now: 1 send." in text_of(otto.does(f"/queue/requeue?id={waits}", reason="mada is back"))
    assert scene.changes()[0] == ("retries.requeue", "otto", "mada is back")


def test_all_of_a_prefix_are_counted_shown_and_dropped(scene: Scene) -> None:
    german = scene.queue(PHONES[2])
    for phone in PHONES[:2]:
        scene.queue(phone)
    otto = scene.console.browser("otto")
    otto.get("/queue")
    asked = otto.does("/queue", do="drop", prefix=" \u202a+359\u200b8\u202c ")
    assert "Drop 2 waiting sends to +3598?" in text_of(asked)
    scene.queue("+359891234567")
    more = otto.post("/queue/drop?prefix=%2B3598", reason="pumped", count="2")
    assert more.status_code == 422
    assert "2 were counted, and there are more by now." in text_of(more)
    assert "Drop 3 waiting sends to +3598?" in text_of(more)
    assert "pumped" in more.text
    done = otto.does("/queue/drop?prefix=%2B3598", reason="pumped", count="3")
    assert "Dropped: 3 sends." in text_of(done)
    assert scene.waiting() == {german}


def test_all_that_an_instance_tried_last_are_shown_and_sent_now(scene: Scene) -> None:
    for phone in PHONES:
        scene.queue(phone)
    otto = scene.console.browser("otto")
    shown = text_of(otto.get("/queue", instance="twilio_eu", prefix="+359"))
    assert "3 sends wait. 2 of them are shown." in shown
    assert "2 sends to +359 that tried twilio_eu last" in shown
    assert "None of them waits here" in text_of(otto.get("/queue", instance="mada"))
    assert "Send 3 sends that wait that tried twilio_eu last now?" in text_of(
        otto.get("/queue/requeue", instance="twilio_eu")
    )
    assert "Made due now: 3 sends." in text_of(
        otto.does("/queue/requeue?instance=twilio_eu", reason="they are back", count="3")
    )


def test_no_whole_number_comes_into_an_address(scene: Scene) -> None:
    scene.queue(PHONES[0])
    otto = scene.console.browser("otto")
    otto.get("/queue")
    for typed in (PHONES[0], "359", "", "BULGARIA"):
        refused = otto.post("/queue", do="drop", prefix=typed)
        assert refused.status_code == 422, typed
        assert "No whole number." in text_of(refused)
        assert PHONES[0][1:] not in refused.text
    assert otto.get("/queue/drop", prefix=PHONES[0]).status_code == 404
    assert "Nothing waits to these numbers." in text_of(otto.post("/queue", do="drop", prefix="fr"))
    assert "Pick a send first." in text_of(otto.post("/queue", do="drop"))


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/queue/burn", {"reason": "x"}, 404),
        ("/queue/drop?prefix=BG", {"reason": "x"}, 400),
        ("/queue/drop?prefix=BG", {"reason": "x", "count": "-1"}, 400),
        ("/queue", {"do": "burn"}, 400),
    ],
)
def test_what_no_form_of_ours_says_changes_nothing(scene: Scene, path: str, form: dict[str, str], status: int) -> None:
    waits = scene.queue(PHONES[0])
    otto = scene.console.browser("otto")
    otto.get("/queue")
    assert otto.post(path, **form).status_code == status
    otto.token = "0" * 64
    assert otto.post(f"/queue/drop?id={waits}", reason="forged").status_code == 403
    assert scene.waiting() == {waits}


def test_it_goes_on_page_by_page(scene: Scene) -> None:
    for number in range(53):
        scene.do(scene.operator.instances.take_back("mada", by="the test"))
        scene.queue(f"+35988{1_000_000 + number}")
    vera = scene.console.browser("vera")
    first = vera.get("/queue")
    assert text_of(first).count("+3598******") == 50
    following = re.search(r'href="/console(/queue\?after=[^"]+)" rel="next"', first.text)
    assert following is not None
    last = vera.get(following[1])
    assert text_of(last).count("+3598******") == 3
    assert "First page" in text_of(last)
    assert vera.get("/queue", after="nowhere").status_code == 404


def test_it_says_that_nobody_runs_them(open_scene: Callable[..., Scene]) -> None:
    scene = open_scene(retry={"runner": "worker"})
    scene.queue(PHONES[0])
    said = text_of(scene.console.browser("vera").get("/queue"))
    assert "1 send waits. No process runs them." in said
    assert "otp worker" in said


def test_it_says_who_paused_and_why(scene: Scene) -> None:
    scene.queue(PHONES[0])
    scene.do(scene.operator.sending.pause(by="petar", reason="vendor change"))
    said = text_of(scene.console.browser("otto").get("/queue"))
    assert "Sending is paused. petar paused it at" in said
    assert "“vendor change”. 1 send waits" in said
    assert "Resume sending…" in said
