"""What servers say when they cannot serve, in the words of Redis 6.2, Redis 7 and Valkey 9, and what it means."""

from __future__ import annotations

import pytest
from otp_redis.trouble import certainly_not_done, is_elsewhere, is_passing, told
from redis.connection import DefaultParser
from redis.exceptions import ConnectionError as LostError

PLACE = "redis://cache/0"
IN_SCRIPT = (
    "ERR Error running script (call to f_82cdd3d7ab6b96f9a5947917c9f163ca06cc907a): @user_script:1: @user_script: 1: "
)


def answer(text):
    return DefaultParser.parse_error(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("READONLY You can't write against a read only replica.", "is a replica now and takes no changes"),
        (f"{IN_SCRIPT}-READONLY You can't write against a read only replica.", "is a replica now and takes no changes"),
        ("READONLY You can't write against a read only replica. script: 82cd, on @user_script:1.", "is a replica now"),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "has lost its primary"),
        ("NOREPLICAS Not enough good replicas to write.", "fewer replicas than its min-replicas-to-write wants"),
        (f"{IN_SCRIPT}-NOREPLICAS Not enough good replicas to write.", "fewer replicas than"),
        ("LOADING Redis is loading the dataset in memory", "is still loading its data"),
        ("CLUSTERDOWN The cluster is down", "is in a cluster that is down"),
        ("CLUSTERDOWN Hash slot not served", "or does not cover all slots"),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "somebody else's"),
    ],
)
def test_what_another_server_may_take_is_asked_for_again_on_a_new_connection(text, says):
    error = answer(text)
    assert (is_elsewhere(error), is_passing(error), certainly_not_done(error)) == (True, True, True)
    assert says in told(PLACE, error)


def test_a_wait_for_replicas_that_a_new_role_ended_says_nothing_of_the_commit_before_it():
    error = answer("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")
    assert (is_elsewhere(error), is_passing(error), certainly_not_done(error)) == (True, True, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "is out of memory (maxmemory)"),
        (f"{IN_SCRIPT}-OOM command not allowed when used memory > 'maxmemory'.", "is out of memory (maxmemory)"),
        (f"{IN_SCRIPT}-MISCONF Redis is configured to save RDB snapshots, but", "cannot write its snapshots to disk"),
        ("NOPERM this user has no permissions to run the 'evalsha' command", "forbids a command or a key"),
        (f"{IN_SCRIPT}The user executing the script can't run this command or subcommand", "forbids a command"),
        ("ERR ACL failure in script: User poor has no permissions to run the 'hset' command", "forbids a command"),
        ("DENIED Redis is running in protected mode because", "is in protected mode"),
        ("WRONGTYPE Operation against a key holding pa55word", "refused: WRONGTYPE"),
        ("ERR value pa55word is not an integer", "refused: ResponseError"),
    ],
)
def test_what_stays_so_is_told_at_once_and_quotes_nothing(text, says):
    error = answer(text)
    assert (is_elsewhere(error), is_passing(error)) == (False, False)
    assert says in told(PLACE, error)
    assert "pa55word" not in told(PLACE, error)


def test_a_server_that_takes_no_more_connections_says_so():
    error = answer("ERR max number of clients reached")
    assert is_passing(error)
    assert told(PLACE, error) == f"{PLACE} cannot be reached: it takes no more connections (maxclients)"


def test_the_librarys_own_words_are_not_passed_on():
    assert told(PLACE, LostError("pa55word")) == f"{PLACE} cannot be reached: the connection broke off"
