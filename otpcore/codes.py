"""Codes and keys: make codes, digest, seal and compare them, and keyed look-ups of phones.

One index key makes look-ups and is never rotated. Code keys digest and seal; one of them is current, the others are kept
to read what they wrote. All of one challenge is under one code key, the one that was current when it began, so that a
process either can do everything for a challenge or knows that it cannot. Every purpose has a sub-key of its own (HKDF-SHA-256, RFC 5869). Digests are HMAC-SHA-256 under a
key that the database does not hold: a million codes fall at once to any unkeyed hash (OWASP ASVS 6.5.2, NIST SP 800-63B).
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from typing import TYPE_CHECKING

import attrs

from otpcore.errors import InvalidArgument, SettingsError, StoreError
from otpcore.models import World
from otpcore.phone.characters import is_mark, plain
from otpcore.phone.numbers import same_phone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = [
    "KeyRing",
    "ReceiptProofs",
    "digest_length",
    "is_bound",
    "make_code",
    "normalise_code",
    "parse_code",
    "typed_code",
]

_LONGEST_SHOWN = 64
_LOOK_UP_DIGITS = 32
_BOUND = "bound."  # before the subject of a code that is bound to a payment
_PROOF_BYTES = 16  # vendors take addresses of some hundred characters only (Vonage: 100)
_CODE = re.compile(r"[0-9]{4,10}")
_LOOKED_AT = 1_000  # characters of a typed code, most of them invisible; nobody types so many
_LONGEST_TYPED = 64  # no code is nearly so long
_NONCE_BYTES = 12  # NIST SP 800-38D: 96 bits for AES-GCM


def make_code(length: int) -> str:
    """Uniform over all codes of this many digits, leading zeros included, from the system's CSPRNG."""
    return f"{secrets.randbelow(10**length):0{length}d}"


def normalise_code(text: str) -> str:
    """The code as it was meant: without spaces, marks of any kind, and what nobody sees; all digits in ASCII.

    Anything else stays, so that it can be told apart from a code.
    """
    if text.isascii() and text.isdigit():
        return text
    return "".join(character for character in plain(text) if character != " " and not is_mark(character))


def typed_code(text: object) -> str:
    """A code as it was meant, whatever it is.

    Raises:
        InvalidArgument: It is no text.
    """
    if not isinstance(text, str):
        raise InvalidArgument(f"code must be text, not {type(text).__name__}: a number has lost its leading zeros")
    return normalise_code(text[:_LOOKED_AT])[:_LONGEST_TYPED]


def parse_code(text: str) -> str:
    """A code as a person types or pastes it, for a form that tells at once what can be none: its digits in ASCII.

    Spaces, marks and what nobody sees do not matter, nor do the digits of other scripts. ``verify`` reads what it is
    given in the same way, so a host need not.

    Raises:
        InvalidArgument: It is no text, or not 4 to 10 digits. It is never quoted.
    """
    meant = typed_code(text)
    if not _CODE.fullmatch(meant):
        raise InvalidArgument("code: has 4 to 10 digits, and nothing else")
    return meant


def is_bound(subject: str) -> bool:
    """Whether a subject is one of a code that is bound to a payment."""
    return subject.startswith(_BOUND)


@attrs.frozen(repr=False)
class _CodeKey:
    digest: hmac.HMAC
    aead: AESGCM


class KeyRing:
    """All keys of a process, ready to use.

    Args:
        index: The index key, base64url.
        code: Code keys by id, base64url.
        current: Id of the code key for everything new.
        world: Whose look-ups: a phone has another one in each world, so that nothing that is kept under it is shared.
    """

    def __init__(self, *, index: str, code: Mapping[str, str], current: str, world: World = World.REAL) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - heavy: at first use

        index_key = _decode(index)
        self._phone = _keyed(index_key, world.mark("phone"))
        self._subject = _keyed(index_key, world.mark("subject"))
        self._relayed = _keyed(index_key, world.mark("relayed"))
        self._client = _keyed(index_key, world.mark("client"))
        self._block = _keyed(index_key, world.mark("block"))
        self._keys = {
            name: _CodeKey(_keyed(_decode(text), "digest"), AESGCM(_derive(_decode(text), "seal")))
            for name, text in code.items()
        }
        self.current = current
        self.receipt_proofs = ReceiptProofs(
            [_keyed(_decode(code[name]), world.mark("receipt address")) for name in sorted(code, key=current.__ne__)]
        )

    @property
    def ids(self) -> frozenset[str]:
        """Ids of the code keys this process has."""
        return frozenset(self._keys)

    def phone_key(self, e164: str) -> str:
        """Keyed look-up of a phone, the same for every spelling of it."""
        return _look_up(self._phone, same_phone(e164))

    def subject(self, e164: str, purpose: str, app: str = "") -> str:
        """Keyed look-up of a phone, in any spelling of it, a purpose, and the word of an app."""
        return _look_up(self._subject, f"{same_phone(e164)}\n{app}\n{purpose}")

    def bound_subject(self, e164: str, purpose: str, app: str, *payment: str) -> str:
        """Keyed look-up of the same for a code that is bound to a payment, told apart by how it begins (``is_bound``)."""
        return _BOUND + _look_up(self._subject, json.dumps([same_phone(e164), app, purpose, *payment]))

    def relayed_subject(self, e164: str, *said: str) -> str:
        """Keyed look-up of a phone, in any spelling of it, and of all that is said to it in a message that is only relayed."""
        return _look_up(self._relayed, json.dumps([same_phone(e164), *said]))

    def client_key(self, client: str | None) -> str:
        """Keyed look-up of what the host calls its client; empty for none."""
        return _look_up(self._client, client) if client else ""

    def block_key(self, block: str) -> str:
        """Keyed look-up of the beginning that neighbouring numbers share."""
        return _look_up(self._block, block)

    def require(self, key_id: str) -> None:
        """Refuse to work on a challenge whose code key is not here.

        Raises:
            SettingsError: It is missing; names the key and the fix.
        """
        self._key(key_id)

    def digest(self, challenge_id: str, code: str, key_id: str | None = None) -> str:
        """``key:length:HMAC`` over challenge id and code.

        Args:
            key_id: The challenge's own key; None: the current one, for a new challenge.

        Raises:
            SettingsError: The key is missing.
        """
        return self._digest(self.current if key_id is None else key_id, challenge_id, code)

    def matches(self, challenge_id: str, code: str, digest: str) -> bool:
        """Whether the code is the one digested, in constant time.

        Raises:
            SettingsError: The key that digested it is missing.
        """
        key_id = digest.partition(":")[0]
        return hmac.compare_digest(_encoded(self._digest(key_id, challenge_id, code)), _encoded(digest))

    def seal(self, challenge_id: str, what: str, text: str, key_id: str | None = None) -> bytes:
        """AES-256-GCM; ``what`` and the challenge id are bound as associated data.

        Args:
            key_id: The challenge's own key; None: the current one, for a new challenge.

        Raises:
            SettingsError: The key is missing.
        """
        name = self.current if key_id is None else key_id
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._key(name).aead.encrypt(nonce, text.encode(), _bound(challenge_id, what))
        return name.encode() + b":" + nonce + sealed

    def unseal(self, challenge_id: str, what: str, sealed: bytes) -> str:
        """The sealed text.

        Raises:
            SettingsError: The key is missing, or the bytes were sealed for something else.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - heavy: at first use

        key_id, _, rest = sealed.partition(b":")
        aead = self._key(key_id.decode(errors="replace")).aead
        try:
            return aead.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _bound(challenge_id, what)).decode()
        except (InvalidTag, ValueError):  # the latter: too short to hold a nonce
            raise SettingsError(
                f"keys.code.{key_id.decode(errors='replace')}: cannot open what a key of this name sealed. "
                "Fix: restore the key that was used"
            ) from None

    def _digest(self, key_id: str, challenge_id: str, code: str) -> str:
        mac = _mac(self._key(key_id).digest, f"{challenge_id}\n{code}")
        return f"{key_id}:{len(code)}:{mac}"

    def _key(self, key_id: str) -> _CodeKey:
        try:
            return self._keys[key_id]
        except KeyError:
            shown = key_id if len(key_id) <= _LONGEST_SHOWN else "?"  # damaged: hardly the name of a key
            raise SettingsError(
                f"keys.code.{shown}: a stored challenge needs this key, and this process lacks it. "
                "Fix: list it as readable in every process"
            ) from None


@attrs.frozen(repr=False)
class ReceiptProofs:
    """By what the address proves itself at which a vendor reports of one delivery: 128 bits of a keyed digest, base64url.

    Args:
        keyed: One for each code key, the current one's first: that makes proofs, and all of them check.
    """

    _keyed: Sequence[hmac.HMAC]

    def make(self, instance: str, delivery_id: str) -> str:
        """The proof for this delivery of this instance; 22 characters."""
        return _proof(self._keyed[0], instance, delivery_id)

    def hold(self, instance: str, delivery_id: str, proof: str) -> bool:
        """Whether it is that proof, made in this world under any key that is here."""
        given = _encoded(proof)
        rights = (_proof(keyed, instance, delivery_id) for keyed in self._keyed)
        return any(hmac.compare_digest(given, right.encode()) for right in rights)


def digest_length(digest: str) -> int:
    """How many characters the digested code has.

    Raises:
        StoreError: It is no digest of ours.
    """
    length = digest.split(":")[1] if digest.count(":") > 1 else ""
    if not (length.isascii() and length.isdigit() and len(length) < 3):  # noqa: PLR2004 - a code has 10 digits at most
        raise StoreError("a stored digest is damaged: restore the database from a backup")
    return int(length)


def _mac(keyed: hmac.HMAC, text: str) -> str:
    mac = keyed.copy()  # half the time of a new one, and the interpreter's lock stays ours
    mac.update(_encoded(text))
    return mac.hexdigest()


def _proof(keyed: hmac.HMAC, instance: str, delivery_id: str) -> str:
    mac = keyed.copy()
    mac.update(_encoded(f"{instance}\n{delivery_id}"))
    return base64.urlsafe_b64encode(mac.digest()[:_PROOF_BYTES]).rstrip(b"=").decode()


def _look_up(keyed: hmac.HMAC, text: str) -> str:
    """128 bits find a row among any number of them, and take half the room in every index."""
    return _mac(keyed, text)[:_LOOK_UP_DIGITS]


def _keyed(key: bytes, purpose: str) -> hmac.HMAC:
    return hmac.new(_derive(key, purpose), digestmod="sha256")


def _encoded(text: str) -> bytes:
    """Never fails: text from JSON may hold half a character (a lone surrogate), and its error would quote the whole text."""
    return text.encode(errors="surrogatepass")


def _bound(challenge_id: str, what: str) -> bytes:
    return f"{challenge_id}/{what}".encode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _derive(key: bytes, purpose: str) -> bytes:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - heavy: at first use
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 - heavy: at first use

    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"otpcore {purpose}".encode()).derive(key)
