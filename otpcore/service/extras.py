"""What a host says of a send besides its text, for the plugins that have use of it. At rest it is sealed."""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs

from otpcore.codes import KeyRing
from otpcore.stores.records import ChallengeRecord

__all__ = ["NOTHING_SAID", "Extras", "seal_extras", "unseal_extras"]

_WHAT = "extras"


@attrs.frozen(kw_only=True)
class Extras:
    """What the host says of one send.

    Args:
        client: Who asks, as the host gave it; None: it named nobody.
        metadata: Texts of the host's, by name.
    """

    client: str | None = attrs.field(default=None, repr=False)
    metadata: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)


NOTHING_SAID = Extras()


def seal_extras(keys: KeyRing, challenge: ChallengeRecord, extras: Extras) -> bytes | None:
    """What is kept of it with a challenge, so that a retry can say it too; None: there is nothing to keep.

    Raises:
        SettingsError: The challenge's key is missing.
    """
    if extras.client is None and not extras.metadata:
        return None
    text = json.dumps({"client": extras.client, "metadata": dict(extras.metadata)})  # ASCII, whatever a client is
    return keys.seal(challenge.id, _WHAT, text, challenge.key_id)


def unseal_extras(keys: KeyRing, challenge: ChallengeRecord) -> Extras:
    """What the host said of the latest send of a challenge.

    Raises:
        SettingsError: The key is missing, or not the one that sealed it.
    """
    if challenge.extras_sealed is None:
        return NOTHING_SAID
    said = json.loads(keys.unseal(challenge.id, _WHAT, challenge.extras_sealed))
    return Extras(client=said["client"], metadata=said["metadata"])
