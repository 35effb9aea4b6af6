"""A Twilio on loopback: Verify v2, Messages and Calls, with state, limits and failures.

::

    with TwilioSimulator() as twilio:
        settings = {"otp_sms_provider": "Twilio", "providers": {"twilio": twilio.provider_settings()}}
        ...
        twilio.inbox[-1].code

Twilio's own magic numbers mean for Messages and Calls what they mean for its test credentials; Verify has none, so all other
numbers below are ours. Every number not listed is a person whose messages arrive in ``inbox``.

==============  ==================================  ==================================  ===============================
recipient       SMS (Messages)                      Calls                               Verify
==============  ==================================  ==================================  ===============================
+15005550001    21211 not a number                  21217 not a number                  60200 invalid ``To``
+15005550002    21612 not reachable from here       21214 not reachable
+15005550003    21408 geo permissions               21215 geo permissions               60605 geo permissions
+15005550004    21610 opted out                     21216 blocked                       60412 fraud prevention
+15005550009    21614 not a mobile number                                               60205 landline (SMS only)
+15005550203                                                                            60203 five sends
+15005550212                                                                            60212 concurrent starts
+15005550401    20003 credentials                   20003                               20003
+15005550402    20005 account not active            20005                               20005
+15005550410    30450 in a failed 201               21216 blocked                       60410 Fraud Guard (SMS only)
+15005550429    20429, ``Retry-After: 7``           20429                               20429
+15005550500    500, 20500                          500, 20500                          500, 20500
+15005550503    503, 20503                          503, 20503                          503, 20503
+15005550998    201 ``failed``, 30005               201 ``failed``                      201 ``failed``
+15005550999    accepted, never arrives             accepted, never answered            accepted, never arrives
==============  ==================================  ==================================  ===============================

What was taken goes on at once: fetched or listed, a message is ``delivered`` and a call ``completed``. Where it has a ``StatusCallback``, that
is reported there, signed: ``sent`` and ``delivered``, or ``completed``; repeated as connection overrides behind ``#`` say, by default once and
only where nobody answered. Not so:

==============  ==================================  ===================================
recipient       SMS (Messages)                      Calls
==============  ==================================  ===================================
+15005550603    ``sent``, ``undelivered`` 30003     ``no-answer``
+15005550606    ``sent``, ``undelivered`` 30006     ``busy``
+15005550607    ``sent``, ``undelivered`` 30007     ``failed``
+15005550610    ``failed`` 21610
+15005550634    ``undelivered`` 30034
+15005550690    ``undelivered`` 30008, and after
                all ``delivered``; it arrives
+15005550999    ``sent`` and nothing more           nothing
==============  ==================================  ===================================

Senders of Messages: ``+15005550006`` and ``from_number`` work, and so does any short code or sender name;
``+15005550001`` gives 21212, ``+15005550007`` 21606, ``+15005550008`` 21611, any other number 21606. Callers:
``+15005550006`` and ``from_number`` work, ``+15005550001`` gives 21212, any other 21210.
"""

from __future__ import annotations

from otp_twilio.simulator.paths import TwilioSimulator

__all__ = ["TwilioSimulator"]
