"""What operators see and change, in Python: everything that the command line can do, with an audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.operator.asynchronous import AsyncOperator
    from otpcore.operator.blocking import Operator
    from otpcore.operator.results.challenges import (
        ChallengeSeen,
        DeliverySeen,
        Ended,
        Matching,
        Moment,
        RetryPage,
        RetrySeen,
    )
    from otpcore.operator.results.limits import (
        Budget,
        FailureCount,
        LimitsSeen,
        RefusalSeen,
        SendCount,
        SwitchesSeen,
        SwitchState,
    )
    from otpcore.operator.results.lists import (
        ChallengeListed,
        ChallengePage,
        CostSeen,
        CostsSeen,
        DeliveryListed,
        DeliveryPage,
        SeriesStep,
    )
    from otpcore.operator.results.routes import (
        Checked,
        Explained,
        First,
        InForce,
        Moved,
        Preview,
        RouteStepSeen,
        RulesSeen,
        RulesSet,
        Version,
    )
    from otpcore.operator.results.shown import Shown
    from otpcore.operator.results.upkeep import (
        Change,
        Erased,
        Finding,
        InboxMessage,
        InstanceLoaded,
        InstanceState,
        InstanceTested,
        KeyNeed,
        PluginFound,
    )
    from otpcore.operator.words import checked_name, checked_reason, setting_in_words, typed_prefix, typed_rules

__all__ = [
    "AsyncOperator",
    "Budget",
    "ChallengeListed",
    "ChallengePage",
    "ChallengeSeen",
    "Change",
    "Checked",
    "CostSeen",
    "CostsSeen",
    "DeliveryListed",
    "DeliveryPage",
    "DeliverySeen",
    "Ended",
    "Erased",
    "Explained",
    "FailureCount",
    "Finding",
    "First",
    "InForce",
    "InboxMessage",
    "InstanceLoaded",
    "InstanceState",
    "InstanceTested",
    "KeyNeed",
    "LimitsSeen",
    "Matching",
    "Moment",
    "Moved",
    "Operator",
    "PluginFound",
    "Preview",
    "RefusalSeen",
    "RetryPage",
    "RetrySeen",
    "RouteStepSeen",
    "RulesSeen",
    "RulesSet",
    "SendCount",
    "SeriesStep",
    "Shown",
    "SwitchState",
    "SwitchesSeen",
    "Version",
    "checked_name",
    "checked_reason",
    "setting_in_words",
    "typed_prefix",
    "typed_rules",
]

_MODULES = {
    "otpcore.operator.asynchronous": ("AsyncOperator",),
    "otpcore.operator.blocking": ("Operator",),
    "otpcore.operator.results.challenges": (
        "ChallengeSeen",
        "DeliverySeen",
        "Ended",
        "Matching",
        "Moment",
        "RetryPage",
        "RetrySeen",
    ),
    "otpcore.operator.results.limits": (
        "Budget",
        "FailureCount",
        "LimitsSeen",
        "RefusalSeen",
        "SendCount",
        "SwitchState",
        "SwitchesSeen",
    ),
    "otpcore.operator.results.lists": (
        "ChallengeListed",
        "ChallengePage",
        "CostSeen",
        "CostsSeen",
        "DeliveryListed",
        "DeliveryPage",
        "SeriesStep",
    ),
    "otpcore.operator.results.routes": (
        "Checked",
        "Explained",
        "First",
        "InForce",
        "Moved",
        "Preview",
        "RouteStepSeen",
        "RulesSeen",
        "RulesSet",
        "Version",
    ),
    "otpcore.operator.results.shown": ("Shown",),
    "otpcore.operator.results.upkeep": (
        "Change",
        "Erased",
        "Finding",
        "InboxMessage",
        "InstanceLoaded",
        "InstanceState",
        "InstanceTested",
        "KeyNeed",
        "PluginFound",
    ),
    "otpcore.operator.words": ("checked_name", "checked_reason", "setting_in_words", "typed_prefix", "typed_rules"),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
