"""The verdict in the words of nexo POIStatus, which payment hosts understand. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agent.model import Fault

# Worst first: the printer's status is the first of these that holds.
_PRINTER = (
    (
        "OutOfOrder",
        ("port_lost", "no_reply", "bad_reply", "unrecoverable", "mechanical_error", "cover_open", "head_hot"),
    ),
    ("PaperJam", ("cutter_error",)),
    ("NoPaper", ("paper_out",)),
    ("PaperLow", ("paper_near_end",)),
)
_SECURITY = ("reader/tamper", "keypad/tamper", "keypad/keys_missing", "security/case_opened", "security/device_swapped")
_COMMUNICATION = (
    "network/link_down",
    "network/no_address",
    "network/gateway_unreachable",
    "network/dns_failed",
    "network/acquirer_unreachable",
    "network/tls_failed",
    "network/captive_portal",
)
_NOT_STOPPING = ("port_busy", "read_errors", "card_left")


def poi_status(
    raised: Mapping[str, Fault], known_units: Collection[str], *, network_known: bool, maintenance: bool, sells: bool
) -> dict[str, str | bool]:
    """POIStatus of what is raised. An element is absent when the part is not fitted or nothing is known of it.

    GlobalStatus has no word for broken: of OK, Busy, Maintenance and Unreachable, Maintenance is that of a terminal
    which is there and takes no payment (not `sells`).
    """
    out: dict[str, str | bool] = {"GlobalStatus": "OK" if sells and not maintenance else "Maintenance"}
    if "printer" in known_units:
        out["PrinterStatus"] = next(
            (word for word, kinds in _PRINTER if any(f"printer/{kind}" in raised for kind in kinds)), "OK"
        )
    if "reader" in known_units:
        out["CardReaderOKFlag"] = not _has_fault(raised, "reader")
    if "keypad" in known_units:
        out["PEDOKFlag"] = not _has_fault(raised, "keypad")
    if "reader" in known_units or "keypad" in known_units:
        out["SecurityOKFlag"] = not any(key in raised for key in _SECURITY)
    if network_known:
        out["CommunicationOKFlag"] = not any(key in raised for key in _COMMUNICATION)
    return out


def _has_fault(raised: Mapping[str, Fault], unit: str) -> bool:
    return any(
        key.startswith(f"{unit}/") and fault.severity != "warning" and key.partition("/")[2] not in _NOT_STOPPING
        for key, fault in raised.items()
    )
