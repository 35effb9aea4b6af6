"""What each vendor's own SDK sends: captured on loopback into ``<gateway>.json``, or compared with what is stored.

    python capture.py vonage_sms            # says whether it still sends what vonage_sms.json holds
    python capture.py --write vonage_sms    # writes vonage_sms.json anew
    python capture.py --needs vonage_sms    # names what to install for it; attrs besides

``nox -s captures`` installs each SDK alone and compares. Tests read the files only.
"""

# ruff: noqa: T201 - it says what it found

from __future__ import annotations

import argparse
import importlib.metadata
import json
import pathlib
import sys
from typing import Any

import attrs
from asking import ASKED
from loopback import Loopback, redirected
from sdks import SDKS, Case
from signing import SIGNERS

HERE = pathlib.Path(__file__).parent
ANSWERS = json.loads((HERE / "documented" / "answers.json").read_text(encoding="utf-8"))
REPORTS = json.loads((HERE / "documented" / "receipts.json").read_text(encoding="utf-8"))


def capture(gateway: str) -> dict[str, Any]:
    """What is stored of one gateway."""
    sdk = SDKS[gateway]
    return {
        "gateway": gateway,
        "sdk": f"{sdk.distribution} {importlib.metadata.version(sdk.distribution)}",
        "official": sdk.official,
        "captures": [{"name": name} | _case(case, ANSWERS[f"{gateway} {name}"]) for name, case in sdk.cases.items()],
    } | ({"receipts": _signed(gateway)} if gateway in SIGNERS else {})


def _signed(gateway: str) -> dict[str, Any]:
    """Each documented report as the vendor signs it, and the settings that prove it."""
    signer, signed = SIGNERS[gateway], []
    for report in REPORTS[gateway]:
        made = signer.sign(report)
        if not signer.believe(made):
            sys.exit(f"{gateway}: the SDK does not believe a report that is signed as the table says.")
        if signer.believe(made.changed()):
            sys.exit(f"{gateway}: the SDK believes a report that was changed.")
        signed.append({**attrs.asdict(made), "headers": dict(made.headers), "expect": report["expect"]})
    return {"settings": dict(signer.settings()), "now": ASKED["now"], "signed": signed}


def _case(case: Case, said: list[dict[str, Any]]) -> dict[str, Any]:
    requests, answers = [], []
    with Loopback() as loopback, redirected(loopback.address):
        for answer in said:
            loopback.answer = answer["status"], answer["body"]
            answers.append(answer | _judgement(case, loopback.address))
            requests.extend(loopback.sent)
            loopback.sent.clear()
    if any(request != requests[0] for request in requests):
        sys.exit(f"{case.channel}: the SDK sent different requests for the same message.")
    if not answers[0]["accepted"]:
        sys.exit(f"{case.channel}: the SDK does not take the first answer for a success: {answers[0]['refused']}")
    for answer in answers:
        answer.pop("refused", None)
    return {
        "channel": case.channel,
        "settings": case.settings,
        "send": ASKED | case.asked,
        "request": requests[0],
        "differs": case.differs,
        "answers": answers,
    }


def _judgement(case: Case, address: str) -> dict[str, Any]:
    try:
        reference = case.send(address)
    except Exception as error:  # noqa: BLE001 - each SDK has errors of its own, and any of them is a refusal
        return {"accepted": False, "refused": repr(error)}
    return {"accepted": True, "reference": reference} if reference else {"accepted": False, "refused": "no reference"}


def main() -> None:
    """Compare or write the gateways that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="write the files anew")
    what.add_argument("--needs", action="store_true", help="only name the distributions to be installed")
    parser.add_argument("gateways", nargs="+", choices=sorted(SDKS))
    options = parser.parse_args()
    changed = []
    for gateway in options.gateways:
        if options.needs:
            print(SDKS[gateway].distribution, *SDKS[gateway].needs)
            continue
        place = HERE / f"{gateway}.json"
        now = capture(gateway)
        if options.write:
            place.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"{gateway}: written, {now['sdk']}")
            continue
        stored = json.loads(place.read_text(encoding="utf-8"))
        same = {**stored, "sdk": now["sdk"]} == now
        print(f"{gateway}: {'the same' if same else 'CHANGED'}, {now['sdk']}")
        if not same:
            changed.append(gateway)
            print(json.dumps({"stored": stored, "now": now}, indent=1, ensure_ascii=False))
    if changed:
        sys.exit(f"The SDKs send something else for {', '.join(changed)}: look at each, then the table, then --write.")


if __name__ == "__main__":
    main()
