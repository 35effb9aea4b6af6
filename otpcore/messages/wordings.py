"""The texts that otpcore sends and speaks by itself, one entry a language.

In the languages of the GSM 03.38 alphabet a text keeps to its letters ("clave", not "código"): one foreign letter
turns the whole SMS into UCS-2 and halves what fits. The others fit into one UCS-2 segment with a short app name.
"""
# ruff: noqa: RUF001 - texts in other scripts

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

__all__ = ["WORDINGS", "Wording"]


@attrs.frozen(kw_only=True)
class Wording:
    """The texts of one language.

    Args:
        sms: The sentence with ``{code}`` and ``{app}``.
        sms_without_app: The same where the host has no name to show.
        valid: What follows it, with ``{minutes}``, which stands for a phrase of ``minutes``.
        warning: What follows that.
        minutes: Phrases for the time left, each up to and including its number of whole minutes, in rising order.
        payment: What follows the code of a payment, with ``{amount}`` and ``{payee}``, in an SMS and in a call.
        call: What is spoken, with ``{code}`` and ``{app}``.
        call_without_app: The same without a name.
    """

    sms: str
    sms_without_app: str
    valid: str
    warning: str
    minutes: tuple[tuple[float, str], ...]
    payment: str
    call: str
    call_without_app: str


WORDINGS: Mapping[str, Wording] = {
    "ar": Wording(
        sms="رمز {app}: {code}.",
        sms_without_app="رمز التحقق: {code}.",
        valid=" صالح لمدة {minutes}.",
        warning=" لا تشاركه مع أحد.",
        minutes=(
            (0, "أقل من دقيقة"),
            (1, "دقيقة واحدة"),
            (2, "دقيقتين"),
            (10, "{minutes} دقائق"),
            (math.inf, "{minutes} دقيقة"),
        ),
        payment=" به تؤكد دفع {amount} إلى {payee}.",
        call="رمز التحقق الخاص بك في {app} هو: {code}. لا تشاركه مع أحد.",
        call_without_app="رمز التحقق الخاص بك هو: {code}. لا تشاركه مع أحد.",
    ),
    "bg": Wording(
        sms="Код за {app}: {code}.",
        sms_without_app="Вашият код: {code}.",
        valid=" Валиден {minutes}.",
        warning=" Не го споделяйте.",
        minutes=((0, "под 1 минута"), (1, "1 минута"), (math.inf, "{minutes} минути")),
        payment=" С него потвърждавате плащане на {amount} към {payee}.",
        call="Вашият код за {app} е: {code}. Не го споделяйте с никого.",
        call_without_app="Вашият код е: {code}. Не го споделяйте с никого.",
    ),
    "de": Wording(
        sms="{code} ist Ihr Code für {app}.",
        sms_without_app="{code} ist Ihr Code.",
        valid=" Er ist {minutes} gültig.",
        warning=" Geben Sie ihn nicht weiter.",
        minutes=((0, "weniger als eine Minute"), (1, "eine Minute"), (math.inf, "{minutes} Minuten")),
        payment=" Sie bestätigen damit eine Zahlung von {amount} an {payee}.",
        call="Ihr Code für {app} lautet: {code}. Geben Sie ihn nicht weiter.",
        call_without_app="Ihr Code lautet: {code}. Geben Sie ihn nicht weiter.",
    ),
    "en": Wording(
        sms="{code} is your {app} code.",
        sms_without_app="{code} is your code.",
        valid=" It expires in {minutes}.",
        warning=" Do not share it with anyone.",
        minutes=((0, "less than a minute"), (1, "1 minute"), (math.inf, "{minutes} minutes")),
        payment=" It confirms a payment of {amount} to {payee}.",
        call="Your {app} code is: {code}. Do not share it with anyone.",
        call_without_app="Your code is: {code}. Do not share it with anyone.",
    ),
    "es": Wording(
        sms="{code} es su clave de {app}.",
        sms_without_app="{code} es su clave.",
        valid=" Caduca en {minutes}.",
        warning=" No la comparta con nadie.",
        minutes=((0, "menos de un minuto"), (1, "1 minuto"), (math.inf, "{minutes} minutos")),
        payment=" Confirma un pago de {amount} a {payee}.",
        call="Su código de {app} es: {code}. No lo comparta con nadie.",
        call_without_app="Su código es: {code}. No lo comparta con nadie.",
    ),
    "fr": Wording(
        sms="{code} est votre code {app}.",
        sms_without_app="{code} est votre code.",
        valid=" Il expire dans {minutes}.",
        warning=" Ne le communiquez à personne.",
        minutes=((0, "moins d'une minute"), (1, "1 minute"), (math.inf, "{minutes} minutes")),
        payment=" Il confirme un paiement de {amount} à {payee}.",
        call="Votre code {app} est : {code}. Ne le communiquez à personne.",
        call_without_app="Votre code est : {code}. Ne le communiquez à personne.",
    ),
    "hi": Wording(
        sms="{app} कोड: {code}।",
        sms_without_app="आपका कोड: {code}।",
        valid=" {minutes} तक मान्य।",
        warning=" किसी को न बताएं।",
        minutes=((0, "एक मिनट से कम समय"), (math.inf, "{minutes} मिनट")),
        payment=" इससे आप {payee} को {amount} के भुगतान की पुष्टि करते हैं।",
        call="{app} के लिए आपका कोड है: {code}। इसे किसी को न बताएं।",
        call_without_app="आपका कोड है: {code}। इसे किसी को न बताएं।",
    ),
    "it": Wording(
        sms="{code} è il tuo codice {app}.",
        sms_without_app="{code} è il tuo codice.",
        valid=" Scade tra {minutes}.",
        warning=" Non comunicarlo a nessuno.",
        minutes=((0, "meno di un minuto"), (1, "1 minuto"), (math.inf, "{minutes} minuti")),
        payment=" Conferma un pagamento di {amount} a {payee}.",
        call="Il tuo codice {app} è: {code}. Non comunicarlo a nessuno.",
        call_without_app="Il tuo codice è: {code}. Non comunicarlo a nessuno.",
    ),
    "pt": Wording(
        sms="{code} é o seu PIN {app}.",
        sms_without_app="{code} é o seu PIN.",
        valid=" Expira em {minutes}.",
        warning=" Nunca o divulgue a terceiros.",
        minutes=((0, "menos de um minuto"), (1, "1 minuto"), (math.inf, "{minutes} minutos")),
        payment=" Confirma um pagamento de {amount} a {payee}.",
        call="O seu código {app} é: {code}. Não o divulgue a ninguém.",
        call_without_app="O seu código é: {code}. Não o divulgue a ninguém.",
    ),
    "ru": Wording(
        sms="Код {app}: {code}.",
        sms_without_app="Ваш код: {code}.",
        valid=" Действует {minutes}.",
        warning=" Никому его не сообщайте.",
        minutes=((0, "менее 1 мин"), (math.inf, "{minutes} мин")),
        payment=" Он подтверждает платёж {amount}, получатель: {payee}.",
        call="Ваш код {app}: {code}. Никому его не сообщайте.",
        call_without_app="Ваш код: {code}. Никому его не сообщайте.",
    ),
    "tr": Wording(
        sms="{app} kodunuz: {code}.",
        sms_without_app="Kodunuz: {code}.",
        valid=" Kalan süre: {minutes}.",
        warning=" Bu kodu kimseye vermeyin.",
        minutes=((0, "1 dakikadan az"), (math.inf, "{minutes} dakika")),
        payment=" {payee} ödemesi: {amount}.",
        call="{app} kodunuz: {code}. Bu kodu kimseyle paylaşmayın.",
        call_without_app="Kodunuz: {code}. Bu kodu kimseyle paylaşmayın.",
    ),
    "zh": Wording(
        sms="{app}验证码：{code}。",
        sms_without_app="您的验证码：{code}。",
        valid="{minutes}内有效。",
        warning="请勿告诉他人。",
        minutes=((0, "1分钟"), (math.inf, "{minutes}分钟")),
        payment="用于确认向{payee}支付{amount}。",
        call="您的{app}验证码是：{code}。请勿告诉他人。",
        call_without_app="您的验证码是：{code}。请勿告诉他人。",
    ),
}
