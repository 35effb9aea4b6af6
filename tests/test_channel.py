"""A channel is a word: text that is checked, and nothing more."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore import Channel

WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,19}", fullmatch=True)


@given(WORDS)
def test_it_is_its_word_wherever_it_goes(word: str) -> None:
    channel = Channel(word)
    assert (channel, hash(channel), f"{channel}", json.loads(json.dumps({channel: channel}))) == (
        word,
        hash(word),
        word,
        {word: word},
    )
    assert type(str(channel)) is str
    for other in (Channel(channel), copy.deepcopy(channel), pickle.loads(pickle.dumps(channel))):
        assert (type(other), other) == (Channel, channel)


@pytest.mark.parametrize("word", ["sms", "call"])
def test_those_with_a_name_are_one_object_each(word: str) -> None:
    named = {"sms": Channel.SMS, "call": Channel.CALL}[word]
    assert all(one is named for one in (Channel(word), pickle.loads(pickle.dumps(named))))


@pytest.mark.parametrize("word", ["", "SMS", "whats-app", "1a", "_a", "sms\n", "a" * 21, "\u00e9", None, 3, b"sms", []])
def test_anything_else_is_none(word: Any) -> None:
    with pytest.raises(ValueError, match="a channel is"):
        Channel(word)
