"""The guidance, walked through the whole vocabulary in both languages: complete, short, and bound by what must never be advised."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import get_args

import pytest

import firmware_notes
from agent import guidance as package
from agent.causes import Answer
from agent.guidance import Proof, guidance, verdict_sentence
from agent.show import width
from agent.vocabulary import UNITS, VOCABULARY, act_of
from agent.wire import Act

LANGUAGES = ("en", "zh")
EVERY = [(key, language) for key in VOCABULARY for language in LANGUAGES]
FOLDER = Path(package.__file__).parent
COLUMNS, LINES, TITLE = 38, 3, 40

STOP_NOW = {
    "reader/tamper",
    "reader/card_jam",
    "keypad/tamper",
    "keypad/keys_missing",
    "security/case_opened",
    "security/device_swapped",
}
PAPER_PATH = {key for key in VOCABULARY if key.startswith("printer/")} - {
    f"printer/{kind}" for kind in ("port_lost", "port_busy", "no_reply", "bad_reply")
}
LADDER = {key for key in VOCABULARY if key.startswith("network/")} - {
    "network/broker_unreachable",
    "network/captive_portal",  # nothing is broken there, so nothing is restarted
    "network/slow",  # it works; the way is not changed for that
}
ON_THE_WAY = {key for key in VOCABULARY if key.startswith(("network/", "modem/"))} - {
    "network/broker_unreachable",  # has a row of its own in the table, and disturbs no sale
    "modem/sim_swapped",  # is about who did it; the network works
}
IN_DOUBT = ("network/acquirer_unreachable", "power/unclean_shutdown", "system/payment_app_down", "system/reboot_loop")


def wrapped(text: str, language: str) -> list[str]:
    """As a till's screen breaks it: English between words; Chinese anywhere, but no line begins with a full stop."""
    if language == "en":
        return textwrap.wrap(text, COLUMNS)
    lines = [""]
    for c in text:
        if width(lines[-1] + c) <= COLUMNS:
            lines[-1] += c
        elif c in "，。；：、":
            lines[-1], carried = lines[-1][:-1], lines[-1][-1]
            lines.append(carried + c)
        else:
            lines.append(c)
    return lines


def sentences(key: str, language: str) -> list[str]:
    told = guidance(key, language)
    texts = [told.meaning, *(step.text for step in told.steps), *told.never, told.stop_using, told.sell_on]
    return [text for text in texts if text]


def forbidden(key: str, language: str) -> str:
    return " ".join(guidance(key, language).never)


def advised(key: str, language: str) -> str:
    return " ".join(step.text for step in guidance(key, language).steps)


# --- complete


@pytest.mark.parametrize("unit", UNITS)
def test_a_file_has_the_kinds_of_its_unit_and_each_text_in_both_languages(unit):
    tables = tomllib.loads((FOLDER / f"{unit}.toml").read_text("utf-8"))
    assert set(tables) == {kind.kind for kind in VOCABULARY.values() if kind.unit == unit}
    for kind, table in tables.items():
        texts = table.keys() - {"act", "stop_now", "steps"}
        assert {"title", "meaning", "sell_on"} <= texts <= {"title", "meaning", "never", "stop_using", "sell_on"}, kind
        assert all(table[name].keys() == set(LANGUAGES) for name in texts), kind
        assert all(set(LANGUAGES) <= step.keys() <= {*LANGUAGES, "proof"} for step in table["steps"]), kind
        never = table.get("never", {"en": [], "zh": []})
        assert len(never["en"]) == len(never["zh"]), kind


@pytest.mark.parametrize(("key", "language"), EVERY)
def test_every_kind_says_what_it_means_what_to_do_and_who_acts(key, language):
    told = guidance(key, language)
    assert told.key == key
    assert told.title
    assert told.meaning
    assert 1 <= len(told.steps) <= 5
    assert told.act in get_args(Act)
    assert told.act == act_of(key)
    assert len(set(sentences(key, language))) == len(sentences(key, language)), "says something twice"


def test_a_merchant_who_must_act_has_a_step_that_the_terminal_can_confirm():
    for key in VOCABULARY:
        told = guidance(key, "en")
        if told.act == "merchant":
            assert any(step.proof for step in told.steps), key


# --- short and plain


@pytest.mark.parametrize(("key", "language"), EVERY)
def test_texts_fit_a_till_s_screen(key, language):
    assert width(guidance(key, language).title) <= TITLE
    for text in sentences(key, language):
        lines = wrapped(text, language)
        assert len(lines) <= LINES, text
        assert all(width(line) <= COLUMNS for line in lines), text


@pytest.mark.parametrize("key", VOCABULARY)
def test_english_reads_well_aloud(key):
    title = guidance(key, "en").title
    assert re.fullmatch(r"[A-Z][a-z]*( [A-Za-z'-]+)+", title), title
    for text in sentences(key, "en"):
        assert re.fullmatch(r"[A-Z][a-z]*[A-Za-z0-9 ,;:?.'-]+\.|[A-Z][^?]*\?", text), text
        assert text.isascii()
        assert not re.search(r"  |\.\.|e\.g\.|i\.e\.|etc\.| ,", text), text


@pytest.mark.parametrize("key", VOCABULARY)
def test_chinese_is_chinese_throughout(key):
    title = guidance(key, "zh").title
    assert re.fullmatch("[\u4e00-\u9fff]+", title), title
    for text in sentences(key, "zh"):
        assert re.fullmatch("[\u4e00-\u9fff，、；：]+。", text), text


JARGON = r"\b(TLS|DNS|APN|DHCP|TCP|UPS|MQTT|broker|gateway|daemon|probe|baud|tty|firmware|agent|acquirer|serial|port)\b"
UNFINISHED = r"TODO|FIXME|XXX|TBD|lorem|placeholder|[{}<>\[\]_]|\.\.\."


@pytest.mark.parametrize("key", VOCABULARY)
def test_there_is_no_jargon_no_brand_and_nothing_unfinished(key):
    makers = {m.maker for m in firmware_notes.load_models()} - {"posdiag-sim", ""}
    assert makers
    for language in LANGUAGES:
        for text in (guidance(key, language).title, *sentences(key, language)):
            assert not re.search(JARGON, text), text
            assert not re.search(UNFINISHED, text, re.IGNORECASE), text
            assert not any(re.search(rf"\b{re.escape(maker)}\b", text, re.IGNORECASE) for maker in makers), text


# --- what binds: each row of the table that settles contradictory advice


@pytest.mark.parametrize("key", VOCABULARY)
def test_what_may_be_tampered_with_is_not_used_and_nothing_else_is_stopped_outright(key):
    told = guidance(key, "en")
    assert told.stop_now == (key in STOP_NOW)
    assert not told.stop_now or told.stop_using


@pytest.mark.parametrize("key", sorted(STOP_NOW))
def test_stop_keep_call_and_neither_restart_nor_clear_from_afar(key):
    assert guidance(key, "en").steps[0].text.startswith("Stop using this terminal")
    assert guidance(key, "zh").steps[0].text.startswith("立即停用本机")
    assert re.search(r"\b[Kk]eep it\b", advised(key, "en"))
    assert re.search("看管|保管", advised(key, "zh"))
    assert "Call support on the number this terminal shows." in advised(key, "en")
    assert "拨打本机显示的客服电话。" in advised(key, "zh")
    assert not re.search(r"restart|switch .*(off|on)", advised(key, "en"), re.IGNORECASE)
    assert not re.search("重启|关机|开机", advised(key, "zh"))
    assert re.search(r"Do not restart.*from afar", forbidden(key, "en"))
    assert re.search("不要用重启.*远程消除", forbidden(key, "zh"))
    assert act_of(key) in {"support", "technician"}


@pytest.mark.parametrize("key", sorted(PAPER_PATH))
def test_a_printer_fault_leaves_selling_possible_and_opens_the_paper_cover_only(key):
    assert "Do not open more than the paper cover." in forbidden(key, "en")
    assert "除纸仓盖外，不要打开其他部位。" in forbidden(key, "zh")
    if VOCABULARY[key].severity not in {"warning", "minor"}:
        assert "e-receipts if your payment provider allows" in guidance(key, "en").sell_on
        assert "如收单机构允许，可改用电子小票" in guidance(key, "zh").sell_on


@pytest.mark.parametrize("key", sorted(ON_THE_WAY))
def test_a_network_fault_forbids_repeated_restarts_and_repeated_swipes(key):
    assert "restart again and again" in forbidden(key, "en")
    assert "不要反复重启" in forbidden(key, "zh")
    assert "swipe again for the same sale" in forbidden(key, "en")
    assert "同一笔交易不要重复刷卡" in forbidden(key, "zh")


@pytest.mark.parametrize("key", sorted(LADDER))
def test_a_broken_network_asks_for_the_other_way_and_one_restart(key):
    assert re.search(r"other way|mobile network", advised(key, "en"))
    assert re.search("换一种上网方式|移动网络", advised(key, "zh"))
    assert re.search(r"[Rr]estart the (terminal|router) once", advised(key, "en"))
    assert re.search("重启(本机|路由器)一次", advised(key, "zh"))


@pytest.mark.parametrize("key", VOCABULARY)
def test_whatever_is_restarted_is_restarted_once(key):
    told = {language: [step.text for step in guidance(key, language).steps] for language in LANGUAGES}
    for english, chinese in zip(told["en"], told["zh"], strict=True):
        again = re.search(r"\brestart|off and on\b", english, re.IGNORECASE)
        assert not again or "once" in english, english
        assert bool(again) == bool(re.search("重启|关机再开机", chinese)), (english, chinese)
        assert not again or re.search("一次", chinese), chinese
    for what in ("the terminal", "the router", "the printer"):
        assert sum(bool(re.search(rf"(re)?start {what}|Switch {what} off", text)) for text in told["en"]) <= 1


@pytest.mark.parametrize("key", [k for k in VOCABULARY if k.startswith("power/")] + ["system/screen_off"])
def test_no_power_fault_has_a_swollen_battery_charged(key):
    assert "Do not charge a battery that is swollen" in forbidden(key, "en")
    assert "电池鼓包、漏液或发烫时，不要充电。" in forbidden(key, "zh")


@pytest.mark.parametrize("key", ["power/undervoltage", "power/charger_fault", "system/screen_off"])
def test_the_power_path_comes_before_the_technician(key):
    told = guidance(key, "en")
    assert told.act == "technician"
    assert re.search(r"plug|adapter", " ".join(step.text for step in told.steps[:-1]), re.IGNORECASE)
    assert "technician" in told.steps[-1].text
    assert "维修人员" in guidance(key, "zh").steps[-1].text or "维修" in guidance(key, "zh").steps[-1].text


def test_a_failed_update_stays_powered_and_waits_for_the_old_version():
    key = "firmware/update_failed"
    assert "Leave the terminal connected to power." in advised(key, "en")
    assert "old version should come back by itself" in advised(key, "en")
    assert "Do not power off" in forbidden(key, "en")
    assert "一直接通电源" in advised(key, "zh")
    assert "自动退回旧版本" in advised(key, "zh")
    assert "不要关机" in forbidden(key, "zh")
    assert guidance(key, "en").steps[0].proof == Proof("power.mains", "on")


@pytest.mark.parametrize("key", IN_DOUBT)
def test_a_sale_in_doubt_is_looked_up_before_anybody_swipes_again(key):
    assert re.search(r"Do not (swipe|charge a customer) again", forbidden(key, "en"))
    assert re.search("不要(再次|重复)刷卡", forbidden(key, "zh"))
    if key != "system/reboot_loop":  # there the terminal is not to be touched at all
        assert re.search(r"[Ll]ook up .*payment list", advised(key, "en"))
        assert "在交易记录里查上一笔" in advised(key, "zh")


def test_without_the_center_there_is_the_local_number_and_no_search_on_the_web():
    key = "network/broker_unreachable"
    assert "local case number" in advised(key, "en")
    assert "guide in this terminal" in advised(key, "en")
    assert "Do not search for a support number on the web" in forbidden(key, "en")
    assert "工单号" in advised(key, "zh")
    assert "本机里的指引" in advised(key, "zh")
    assert "不要上网搜索客服电话" in forbidden(key, "zh")


@pytest.mark.parametrize("key", VOCABULARY)
def test_nobody_is_asked_for_card_data(key):
    assert not re.search(r"card number|PIN|photo", advised(key, "en").replace("take no PIN", ""))
    assert not re.search("卡号|拍照|照片", advised(key, "zh"))


# --- reading it


def test_nothing_is_read_before_a_fault_asks():
    code = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda e, a: opened.append(str(a[0])) if e == 'open' else None)\n"
        "import agent.guidance as g\n"
        "assert not any(o.endswith('.toml') for o in opened)\n"
        "g.guidance('printer/paper_out', 'zh')\n"
        "assert [o.rsplit('/')[-1] for o in opened if o.endswith('.toml')] == ['printer.toml']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_key_outside_the_vocabulary_is_refused_but_somebody_acts():
    with pytest.raises(KeyError):
        guidance("printer/on_fire", "en")
    assert act_of("printer/on_fire") == "support"


def test_a_fault_goes_out_even_when_its_text_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(package, "_HERE", tmp_path)
    guidance.cache_clear()
    with pytest.raises(OSError):
        guidance("printer/paper_out", "en")
    assert act_of("printer/paper_out") == "merchant"


# --- the answer in one sentence


def answer(can_sell: str, key: str | None) -> Answer:
    return Answer(can_sell=can_sell, cause=key, act=act_of(key) if key else "none", since=None)


SENTENCES = [
    (
        "degraded",
        "printer/paper_out",
        "This terminal can take payments, but not everything works: the paper roll is empty. You can fix it: open the paper cover.",
        "本机可以收款，但部分功能不正常：打印纸用完了。您可以自己处理：打开纸仓盖。",
    ),
    (
        "no",
        "modem/no_network",
        "This terminal cannot take payments: the mobile network cannot be found. The network operator must act; call support.",
        "本机现在不能收款：找不到移动网络。需要运营商处理，请联系客服。",
    ),
    (
        "no",
        "reader/tamper",
        "Do not use this terminal: the card reader reports tampering. Keep it and call support.",
        "请停用本机：读卡器发出防拆警报。请看管好本机，并联系客服。",
    ),
    (
        "yes",
        "network/slow",
        "This terminal can take payments, but note: the network is slow. It should pass by itself.",
        "本机可以收款，但请注意：网络较慢。一般会自行恢复。",
    ),
    ("yes", None, "This terminal can take payments.", "本机可以收款。"),
    ("unknown", None, "It is not known yet whether this terminal can take payments.", "目前还不清楚本机能不能收款。"),
    (
        "degraded",
        "printer/on_fire",
        "This terminal can take payments, but not everything works. Call support.",
        "本机可以收款，但部分功能不正常。请联系客服。",
    ),
]


@pytest.mark.parametrize(("can_sell", "key", "english", "chinese"), SENTENCES)
def test_the_verdict_in_one_sentence(can_sell, key, english, chinese):
    assert verdict_sentence(answer(can_sell, key), "en") == english
    assert verdict_sentence(answer(can_sell, key), "zh") == chinese


@pytest.mark.parametrize(("key", "language"), EVERY)
def test_every_sentence_names_the_cause_says_who_acts_and_is_whole(key, language):
    title = guidance(key, language).title[1:]
    for can_sell in ("yes", "degraded", "no", "unknown"):
        said = verdict_sentence(answer(can_sell, key), language)
        assert title in said
        assert len(wrapped(said, language)) <= 2 * LINES, said
        assert said.endswith((".", "。"))
        assert not re.search(r"None|[{}]|\.\.|。。|: [A-Z]", said), said
        if key in STOP_NOW:
            assert said.startswith(("Do not use this terminal", "请停用本机"))
        elif act_of(key) == "merchant":
            assert guidance(key, language).steps[0].text[1:] in said
