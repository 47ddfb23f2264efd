"""Deflated messages, and the dictionary that makes short ones small. Part of the wire: agent and center share it. Pure.

A fault's message is 400 bytes of which deflate alone saves 100: it has nothing to refer back to. The dictionary holds
what the terminal's messages have in common. A stream that needs it says so itself by the dictionary's Adler-32
(RFC 1950, FDICT). The terminal's inventory carries the text, and it is used only while every support center that is
online has said, by `NAME` in its state, that it knows it.
"""

from __future__ import annotations

import zlib
from typing import Final

from agent.wire import CONTENT_DEFLATE, CONTENT_JSON, MAX_PACKET_BYTES, WireError

_WINDOW_BITS: Final = 12  # 4 KiB of history is as good as 32 for a message, and costs an eighth of the memory
_MEMORY_LEVEL: Final = 5

DICTIONARY: Final = (
    # What is rare stands first: what is near the end costs the fewest bits.
    '"shutter":"unsupported"},"failed"timeout"refused"unreachable"discharging"searching"denied"roaming"loaded"'
    'battery_health_percent"cycle_count"charger"voltage_mv"presenter"feed_button"drawer"condition"mechanism"head"'
    '"stacker":"ok","bin":"ok","sensor":"ok","self_test":"ok","card":"absent","cutter":"ok","held":"none","keys":"'
    '"network.latency_ms":"network.loss_percent":"network.dns_ms":"network.acquirer_ms":"system.disk_free_bytes":'
    '"system.memory_available_bytes":"system.memory_available_percent":"system.clock_offset_s":"system.uptime_s":'
    '"power.battery_percent":"power.voltage_mv":"power.temperature_c":"modem.cell":"modem.clock_utc":"modem.sinr_db":'
    '"modem.rsrq_db":"modem.temperature_c":"modem.rssi_dbm":-"modem.rsrp_dbm":-"system.temperature_c":'
    '"system.cpu_percent":"printer.paper":"printer.cover":"reader.card":"keypad.held":{"error":"not_asked"}'
    '{"error":"no_reply"},"probes":[{"probe":"took_ms":"state":"ok","last_at":"'
    '"printer.paper_near_end","printer.cutter_error","printer.no_reply","reader.shutter_error","modem.weak_signal",'
    '"network.acquirer_unreachable","system.payment_app_down","power/mains_lost","keypad/key_stuck","modem/no_network'
    'printer/cover_open","modem/no_data","network/link_down","reader/card_jam"reader/card_left"printer/paper_out"'
    '"id":"accepted","running","succeeded","output":{"verdict":"devices":"readings":{"port":"ok","reply":"ok","ms":'
    ',"symptoms":["cause":"gateway_why":"acquirer_why":"battery_status":"Discharging","battery_percent":'
    '"severity":"critical"severity":"warning"severity":"minor","act":"support"act":"operator"act":"technician"'
    '"can_sell":"no","can_sell":"degraded","cause":"printer/"can_sell":"yes","cause":null,"act":"none","since":"2026-'
    '"status":"online","conn":1,"reason":"running","verdict":{"can_sell":"yes","cause":null,"act":"none","since":"202'
    '"poi":{"GlobalStatus":"Maintenance"OK","PrinterStatus":"OutOfOrder"OK","CardReaderOKFlag":true,"PEDOKFlag":true,'
    '"SecurityOKFlag":true,"CommunicationOKFlag":true}}"faults":[]},"event":"fault.relabelled","data":{'
    '"event":"fault.cleared","data":{"fault":"event":"fault.raised","data":{"fault":"printer/"state":"raised",'
    '"fault":"printer/paper_out","state":"cleared","severity":"major","cause":null,"symptoms":[],"first_at":"2026-'
    '","last_at":"2026-","count":1,"device":"printer","evidence":{"paper":"out","cover":"closed"},'
    '"advice":"printer.","act":"merchant","basis":"measured"},"boot":"seq":"late":true}'
    '{"v":1,"boot":1,"at":"2026-00-00T00:00:00.000Z","up_ms":1000,"clock":"synced"clock":"network","v":1,'
    '"samples":[[0,{"'
).encode("ascii")
NAME: Final = f"{zlib.adler32(DICTIONARY):08x}"


def deflate(payload: bytes, dictionary: bytes = b"") -> tuple[bytes, str]:
    """The payload and its content type: compressed (zlib format, RFC 1950) when that is shorter, else as it is."""
    if dictionary:
        compressor = zlib.compressobj(
            9, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, dictionary
        )
    else:
        compressor = zlib.compressobj(6, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    small = compressor.compress(payload) + compressor.flush()
    return (small, CONTENT_DEFLATE) if len(small) < len(payload) else (payload, CONTENT_JSON)


def plain(payload: bytes) -> bytes:
    """The JSON of a payload, deflated or not; a JSON object never begins as a deflated one. Raises WireError."""
    return payload if payload[:1] in {b"{", b""} else inflate(payload)


def inflate(payload: bytes) -> bytes:
    """The JSON of a deflated payload, with or without the dictionary. Raises WireError, also for a bomb."""
    machine = zlib.decompressobj(zdict=DICTIONARY)
    try:
        text = machine.decompress(payload, MAX_PACKET_BYTES + 1)
    except zlib.error as error:
        raise WireError("not deflated, or with another dictionary") from error
    if len(text) > MAX_PACKET_BYTES or not machine.eof:
        raise WireError(f"a deflated payload that ends early or has more than {MAX_PACKET_BYTES} bytes")
    return text
