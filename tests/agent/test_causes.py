"""Which fault explains which, as a table; the order in which faults are given is nothing."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from agent.causes import Topology, explain, verdict
from agent.model import Fault
from agent.vocabulary import VOCABULARY, act_of

MODEM = Topology(powered_by={"printer": "mains", "reader": "battery", "modem": "host"}, bearer="modem")
CABLE = Topology(powered_by={"printer": "mains"}, bearer="ethernet")


def fault(key: str, first_at: float = 100.0) -> Fault:
    return Fault(
        key=key,
        state="raised",
        severity=VOCABULARY[key].severity,
        device=key.partition("/")[0],
        first_at=first_at,
        last_at=first_at,
    )


CASES = [
    (MODEM, ["printer/paper_out"], {"printer/paper_out": None}),
    (MODEM, ["power/mains_lost", "printer/no_reply"], {"printer/no_reply": "power/mains_lost"}),
    (MODEM, ["power/mains_lost", "reader/no_reply"], {"reader/no_reply": None}),
    (CABLE, ["power/overheat", "printer/no_reply"], {"printer/no_reply": None}),
    (MODEM, ["printer/port_lost", "printer/no_reply", "power/mains_lost"], {"printer/no_reply": "printer/port_lost"}),
    (
        MODEM,
        ["modem/sim_absent", "modem/no_network", "modem/no_data", "network/link_down", "network/dns_failed"],
        {
            "modem/sim_absent": None,
            "modem/no_network": "modem/sim_absent",
            "modem/no_data": "modem/no_network",
            "network/link_down": "modem/no_data",
        },
    ),
    (CABLE, ["modem/no_data", "network/link_down"], {"network/link_down": None}),
    (MODEM, ["modem/no_reply", "network/link_down"], {"network/link_down": "modem/no_reply"}),
    (
        MODEM,
        ["power/battery_critical", "power/battery_low", "power/mains_lost"],
        {"power/battery_low": "power/mains_lost", "power/battery_critical": "power/mains_lost"},
    ),
    (MODEM, ["power/battery_critical", "power/battery_low"], {"power/battery_low": "power/battery_critical"}),
    (CABLE, ["reader/bad_reply", "reader/no_reply"], {"reader/no_reply": "reader/bad_reply"}),
    (CABLE, ["network/flapping", "network/link_down"], {"network/link_down": "network/flapping"}),
    (CABLE, ["system/reboot_loop", "power/unclean_shutdown"], {"power/unclean_shutdown": "system/reboot_loop"}),
    (MODEM, ["system/clock_wrong", "network/tls_failed"], {"network/tls_failed": "system/clock_wrong"}),
    (
        MODEM,
        ["modem/weak_signal", "network/dns_failed", "network/lossy", "network/slow"],
        dict.fromkeys(("network/dns_failed", "network/lossy", "network/slow"), "modem/weak_signal"),
    ),
    (MODEM, ["modem/weak_signal", "network/tls_failed"], {"network/tls_failed": "modem/weak_signal"}),
    (
        MODEM,
        ["modem/weak_signal", "network/dns_failed", "network/acquirer_unreachable"],
        {"network/acquirer_unreachable": "network/dns_failed", "network/dns_failed": "modem/weak_signal"},
    ),
    (CABLE, ["modem/weak_signal", "network/tls_failed"], {"network/tls_failed": None}),
    (CABLE, ["network/dns_failed", "network/lossy"], {"network/lossy": None, "network/dns_failed": "network/lossy"}),
    (
        MODEM,
        ["system/clock_wrong", "security/certificate_expiring"],
        {"security/certificate_expiring": "system/clock_wrong"},
    ),
    (
        MODEM,
        ["printer/paper_out", "network/gateway_unreachable", "network/acquirer_unreachable"],
        {"printer/paper_out": None, "network/acquirer_unreachable": "network/gateway_unreachable"},
    ),
]


@pytest.mark.parametrize(("topology", "raised", "expected"), CASES)
def test_each_fault_has_its_nearest_cause_in_any_order(topology, raised, expected):
    orders = itertools.islice(itertools.permutations(raised), 24)
    results = [explain([fault(key) for key in order], topology) for order in orders]
    for result in results:
        assert {key: result[key].cause for key in expected} == expected
        assert result == results[0]


@pytest.mark.parametrize(
    ("cause", "explained_words", "others"),
    [
        (
            "modem/weak_signal",
            ("timeout", "closed"),
            ("expired", "not_yet_valid", "wrong_host", "untrusted", "authorities"),
        ),
        ("system/clock_wrong", ("expired", "not_yet_valid"), ("wrong_host", "untrusted", "timeout", "closed")),
        ("network/captive_portal", ("wrong_host", "untrusted", "timeout", "expired"), ()),
    ],
)
def test_a_cause_explains_only_what_it_can_do_to_a_handshake(cause, explained_words, others):
    for word in (*explained_words, *others):
        failed = replace(fault("network/tls_failed"), evidence={"tls_why": word})
        expected = cause if word in explained_words else None
        for order in ([failed, fault(cause)], [fault(cause), failed]):
            assert explain(order, MODEM)["network/tls_failed"].cause == expected, word


def test_a_root_names_everything_it_explains_however_far():
    explained = explain(
        [fault("modem/sim_absent"), fault("modem/no_network"), fault("modem/no_data"), fault("network/link_down")],
        MODEM,
    )
    assert explained["modem/sim_absent"].symptoms == ("modem/no_data", "modem/no_network", "network/link_down")


def test_a_symptom_that_outlives_its_cause_becomes_a_root():
    assert explain([fault("printer/no_reply")], MODEM)["printer/no_reply"].cause is None


def test_a_cause_past_what_is_not_raised_is_inferred_and_so_is_a_dead_battery():
    def basis(*keys):
        return {key: found.basis for key, found in explain([fault(key) for key in keys], MODEM).items()}

    assert basis("modem/sim_absent", "network/link_down")["network/link_down"] == "inferred"
    assert set(basis("modem/no_data", "network/link_down").values()) == {"measured"}
    assert basis("power/battery_critical", "reader/no_reply")["reader/no_reply"] == "inferred"
    assert set(basis("power/mains_lost", "printer/no_reply", "power/battery_critical").values()) == {"measured"}


def test_relations_never_run_in_a_circle_whatever_is_raised():
    random.seed(7)
    keys = sorted(VOCABULARY)
    for _ in range(300):
        explained = explain([fault(key) for key in random.sample(keys, 25)], MODEM)
        for key in explained:
            seen, at = set(), key
            while at is not None:
                assert at not in seen, f"{key} explains itself"
                seen.add(at)
                at = explained[at].cause


def test_the_verdict_follows_the_worst_root_and_not_its_symptoms():
    explained = explain(
        [
            fault("printer/paper_out", 1),
            fault("modem/sim_absent", 2),
            fault("modem/no_data", 3),
            fault("network/link_down", 4),
        ],
        MODEM,
    )
    answer = verdict(explained)
    assert (answer.can_sell, answer.cause, answer.act, answer.since) == ("no", "modem/sim_absent", "merchant", 2)


def test_a_printer_fault_alone_leaves_selling_possible():
    assert verdict(explain([fault("printer/paper_out")], MODEM)).can_sell == "degraded"


def test_nothing_known_is_never_good():
    assert verdict({}, blind=["reader"]).can_sell == "unknown"
    assert verdict(explain([fault("printer/paper_near_end")], MODEM), blind=["reader"]).can_sell == "unknown"
    assert verdict({}).can_sell == "yes"


def test_every_kind_says_who_acts():
    assert {act_of(key) for key in VOCABULARY} == {"merchant", "support", "technician", "operator", "none"}


def test_every_relation_of_the_vocabulary_names_a_kind():
    for kind in VOCABULARY.values():
        for pattern in kind.explained_by:
            assert pattern in VOCABULARY or pattern == "power/*"
