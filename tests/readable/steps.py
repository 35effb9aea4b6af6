"""The full run, step by step. A new feature is one more step: write it down here and it is scanned with all the rest."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import attrs

from otpcore import (
    AsyncOTPService,
    Channel,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    Payment,
    ProviderError,
    ProviderInfo,
    RetryJob,
    hookimpl,
)
from otpcore.clock import utc_now
from otpcore.settings.tree import generate_keys
from otpcore.simulators.exchange import Fault

from .forms import Secret
from .scene import CLIENT, COUNTRIES, MESSAGE, METADATA, Scene

Step = Callable[[Scene], Awaitable[None]]
STEPS: list[Step] = []

PAYEE = "Orchid Lantern Traders"

FAULTS = [fault for fault in Fault if fault not in (Fault.HUGE_BODY, Fault.SLOW_BODY)]


def step(work: Step) -> Step:
    """Take part in the full run, in the order of this file."""
    STEPS.append(work)
    return work


@step
async def every_provider_sends_and_its_code_is_verified(scene: Scene) -> None:
    for instance in COUNTRIES:
        phone = scene.phone(instance)
        challenge = await scene.attempt(scene.otp.send_sms(phone))
        await scene.attempt(scene.otp.verify(phone, "0000000000", client="203.0.113.7"))
        await scene.attempt(scene.otp.verify(phone, "12"))
        assert await scene.attempt(scene.otp.verify(challenge_id=challenge.id, code=await scene.arrived(phone)))
        assert not await scene.attempt(scene.otp.verify(phone, await scene.arrived(phone)))


@step
async def every_provider_that_can_calls(scene: Scene) -> None:
    for instance, locale in (("twilio", "de"), ("text", "bg"), ("sinch", "de")):
        phone = scene.phone(instance)
        await scene.attempt(scene.otp.call(phone, locale=locale))
        assert await scene.attempt(scene.otp.verify(phone, await scene.arrived(phone)))


@step
async def messages_of_ones_own_and_resends(scene: Scene) -> None:
    for instance in ("mada", "text"):
        phone = scene.phone(instance)
        for _ in range(2):
            await scene.attempt(scene.otp.send_sms(phone, message=MESSAGE, purpose="pay"))
            await anyio.sleep(0.02)
        await scene.attempt(scene.otp.call(phone, purpose="pay"))
        assert await scene.attempt(scene.otp.verify(phone, await scene.arrived(phone), purpose="pay"))


@step
async def who_asks_and_metadata_go_along(scene: Scene) -> None:
    said: dict[str, Any] = {"client": CLIENT, "metadata": METADATA}
    for instance in COUNTRIES:
        phone = scene.phone(instance)
        await scene.attempt(scene.otp.send_sms(phone, **said))
        await scene.attempt(scene.otp.verify(phone, "1111111111", client=CLIENT))
        assert await scene.attempt(scene.otp.verify(phone, await scene.arrived(phone), client=CLIENT))
    for simulator, instance in zip(scene.simulators, ("twilio", "sinch", "mada"), strict=True):
        phone = scene.phone(instance)
        simulator.down()
        await scene.attempt(scene.otp.send_sms(phone, **said))
        simulator.up()
        assert await scene.attempt(scene.otp.verify(phone, await scene.arrived(phone)))
    for wrong in ({"cave": METADATA["cave"] * 20}, {"cave": f"{METADATA['cave']}\0"}, METADATA["cave"]):
        await scene.attempt(scene.otp.send_sms(scene.phone(), metadata=wrong))  # type: ignore[arg-type] # a mistake


@step
async def codes_that_confirm_a_payment(scene: Scene) -> None:
    payment, phone = Payment(payee=PAYEE, amount="7310442.19", currency="EUR"), scene.phone("text")
    scene.more_secrets |= {Secret("payee", PAYEE), Secret("amount", payment.amount)}
    challenge = await scene.attempt(scene.otp.send_sms(phone, payment=payment))
    code = await scene.arrived(phone)
    assert not await scene.attempt(scene.otp.verify(code=code, challenge_id=challenge.id))
    assert await scene.attempt(scene.otp.verify(phone, code, payment=payment))
    for wrong in (PAYEE, {"payee": PAYEE}):
        await scene.attempt(scene.otp.send_sms(scene.phone("text"), payment=wrong))  # type: ignore[arg-type] # a mistake


@step
async def codes_of_ones_own_replace_one_another_and_texts_are_relayed(scene: Scene) -> None:
    phone, texts = scene.phone("text"), MESSAGE.replace("{code}", "nobody")
    for code in ("7041926385", "5518203947"):
        await scene.attempt(scene.otp.send_sms(phone, code=code, message=MESSAGE, purpose="ours"))
        await anyio.sleep(0.02)
    assert not await scene.attempt(scene.otp.verify(phone, "7041926385", purpose="ours"))
    assert await scene.attempt(scene.otp.verify(phone, await scene.arrived(phone), purpose="ours"))
    await scene.attempt(scene.otp.send_sms(phone, message=texts, verifiable=False))
    scene.more_secrets.add(Secret("code", "61082734955"))
    await scene.attempt(scene.otp.send_sms(phone, code="61082734955"))


@step
async def the_first_provider_fails_in_every_way(scene: Scene) -> None:
    for fault in FAULTS:
        phone = scene.phone("backup")
        scene.mada.fail(fault)
        await scene.attempt(scene.otp.send_sms(phone, message=MESSAGE))
        scene.mada.recover()
        assert await scene.attempt(scene.otp.verify(phone, await scene.arrived(phone)))


@step
async def every_provider_is_down_and_the_retry_arrives(scene: Scene) -> None:
    for simulator, instance in zip(scene.simulators, ("twilio", "sinch", "mada"), strict=True):
        phone = scene.phone(instance)
        simulator.down()
        challenge = await scene.attempt(scene.otp.send_sms(phone))
        scene.show_value(RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=utc_now()))
        simulator.up()
        with anyio.fail_after(20):
            while not any(message.recipient == phone for message in simulator.inbox):
                await anyio.sleep(0.02)
        assert await scene.attempt(scene.otp.verify(phone, await scene.arrived(phone)))


@step
async def a_vendor_does_not_answer_when_it_is_asked_for_a_code(scene: Scene) -> None:
    for simulator, instance in ((scene.twilio, "twilio"), (scene.sinch, "sinch")):
        for fault in FAULTS:
            phone = scene.phone(instance)
            await scene.attempt(scene.otp.send_sms(phone))
            simulator.fail(fault)
            await scene.attempt(scene.otp.verify(phone, "1111111111"))
            simulator.recover()
            await scene.attempt(scene.otp.verify(phone, await scene.arrived(phone)))


@step
async def challenges_are_cancelled_and_people_erased(scene: Scene) -> None:
    for instance in COUNTRIES:
        phone = scene.phone(instance)
        challenge = await scene.attempt(scene.otp.send_sms(phone))
        await scene.attempt(scene.otp.cancel(challenge.id))
        await scene.attempt(scene.otp.purge(phone=phone))
    await scene.attempt(scene.otp.diagnose())


@step
async def what_callers_do_wrong_is_refused(scene: Scene) -> None:
    phone = scene.phone()
    for wrong in (f"{phone} now", f"{phone};ext=1", phone[1:], f"{phone}00000", f"tel:{phone}"):
        await scene.attempt(scene.otp.send_sms(wrong))
        await scene.attempt(scene.otp.verify(wrong, await scene.arrived(scene.phones["mada"][0])))
    await scene.attempt(scene.otp.send_sms(phone, message="Sesame opens without, says the sentinel"))
    await scene.attempt(scene.otp.verify(phone, "1234567890"))
    await scene.attempt(scene.otp.verify(challenge_id="unknown", code="1234567890"))
    await scene.attempt(scene.otp.verify(code="1234567890"))


@step
async def limits_refuse(scene: Scene) -> None:
    phone = scene.phone()
    limited = scene.settings(limits={"phone": ["1/10m"], "lock_after": 2})
    async with AsyncOTPService(limited, observers=[scene]) as otp:
        for _ in range(2):
            await scene.attempt(otp.send_sms(phone))
            await anyio.sleep(0.02)
        for _ in range(3):
            await scene.attempt(otp.verify(phone, "1111111111"))


@attrs.define(eq=False)
class Leaky:
    """A plugin that puts everything it knows into its errors."""

    error: Callable[[str], Exception] = ValueError

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Leaky")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        said = f"could not send {request.code} to {request.recipient.e164}: {request.text}, {request.client}"
        said += f" {request.metadata}"
        try:
            raise KeyError(said)  # noqa: TRY301 - its context is what is looked for
        except KeyError as error:
            raise self.error(said) from error

    @hookimpl
    def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        raise self.error(f"could not call {request.recipient.e164} to say {request.text}")


@step
async def a_plugin_raises_with_everything_that_it_knows(scene: Scene) -> None:
    def unavailable(_: str) -> Exception:
        return ProviderError(ErrorKind.UNAVAILABLE, "in words of its own")

    for error in (ValueError, OSError, unavailable, _group):
        phone, settings = scene.phone(), scene.settings(sms={}, call={})
        async with AsyncOTPService(settings, providers={"leaky": Leaky(error=error)}, observers=[scene]) as otp:
            await scene.attempt(otp.send_sms(phone, client=CLIENT, metadata=METADATA))
            await scene.attempt(otp.call(phone, purpose="other", client=CLIENT, metadata=METADATA))


def _group(said: str) -> Exception:
    """What a task group inside a plugin raises."""
    return ExceptionGroup(said, [ValueError(said)])


@step
async def an_observer_raises_with_the_event(scene: Scene) -> None:
    class Raising:
        @hookimpl
        def otp_event(self, event: Any) -> None:
            raise ValueError(repr(event))

    async with AsyncOTPService(scene.settings(), observers=[Raising(), scene]) as otp:
        phone = scene.phone()
        await scene.attempt(otp.send_sms(phone))


@step
async def keys_rotate_and_one_is_missing(scene: Scene) -> None:
    fresh = generate_keys(utc_now() + timedelta(days=1))
    scene.more_secrets |= {Secret("code key", one) for one in fresh.code.values()}
    phone = scene.phone()
    both = {**scene.keys, "code": {**scene.keys["code"], **fresh.code}, "current": fresh.current}
    async with AsyncOTPService(scene.settings(keys=both), observers=[scene]) as otp:
        await scene.attempt(otp.send_sms(phone))
    await scene.attempt(scene.otp.verify(phone, await scene.arrived(phone)))
    await scene.attempt(scene.otp.send_sms(phone))
    wrong = {**both, "code": {**both["code"], fresh.current: scene.keys["index"]}}
    async with AsyncOTPService(scene.settings(keys=wrong), observers=[scene]) as otp:
        await scene.attempt(otp.send_sms(phone))
    bad = {**scene.keys, "code": {**fresh.code, "Bad Id": "short", fresh.current: fresh.code[fresh.current][:20]}}
    await scene.attempt(AsyncOTPService(scene.settings(keys=bad)).__aenter__())


@step
async def settings_are_wrong(scene: Scene) -> None:
    good = scene.settings()["providers"]
    for name in good:
        for changed in ({"unknown_key": 1}, {"plugin": "nobody"}, dict.fromkeys(good[name], 7)):
            providers = {**good, name: {**good[name], **changed}}
            await scene.attempt(AsyncOTPService(scene.settings(providers=providers)).__aenter__())


@step
async def the_database_is_gone(scene: Scene) -> None:
    file = scene.directory / "other.sqlite3"
    settings = scene.settings(storage={"url": f"sqlite:///{file}"})
    async with AsyncOTPService(settings, observers=[scene]) as otp:
        phone = scene.phone()
        await scene.attempt(otp.send_sms(phone))
        away = file.rename(scene.directory / "away.sqlite3")
        await scene.attempt(otp.verify(phone, await scene.arrived(phone)))
        await scene.attempt(otp.send_sms(phone))
        away.write_bytes(b"no database")
        away.rename(file)
        await scene.attempt(otp.verify(phone, await scene.arrived(phone)))


@step
async def a_send_is_cancelled_half_way(scene: Scene) -> None:
    for simulator, instance in zip(scene.simulators, ("twilio", "sinch", "mada"), strict=True):
        phone = scene.phone(instance)
        simulator.fail(Fault.HANG_AFTER_WORK)
        with anyio.move_on_after(0.2):
            await scene.attempt(scene.otp.send_sms(phone))
        simulator.recover()
        await scene.attempt(scene.otp.verify(phone, await scene.arrived(phone)))


@step
async def what_the_store_keeps_is_shown(scene: Scene) -> None:
    """Records in a debugger."""
    store, keys = scene.otp._service.store, scene.otp._service.keys
    for phone in [number for numbers in scene.phones.values() for number in numbers][:20]:
        for view in await store.view(phone_key=keys.phone_key(phone)):
            scene.show("records", f"{view!r}")
            scene.show("records", repr(attrs.asdict(view)))
    scene.show("parts", f"{scene.otp!r} {scene.otp._service!r} {scene.otp.settings!r} {keys!r}")
    scene.show("parts", repr(await store.settings()))
    gc.collect()
