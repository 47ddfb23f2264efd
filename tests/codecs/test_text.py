from __future__ import annotations

import pytest

from drivers.codecs.text import model_and_firmware, printable


@pytest.mark.parametrize(
    ("text", "model", "firmware"),
    [
        ("CRT-571-SIM V1.02", "CRT-571-SIM", "V1.02"),
        ("VP5300 FW v1.00.S", "VP5300", "v1.00.S"),
        ("GemTwRC2-SIM-V1.02", "GemTwRC2-SIM", "V1.02"),
        ("VP3300-SIM 1.00", "VP3300-SIM", "1.00"),
        ("CRT-591-M001", "CRT-591-M001", "CRT-591-M001"),
        ("V2.0", "", "V2.0"),
        ("", "", ""),
    ],
)
def test_a_text_splits_into_model_and_version(text, model, firmware):
    assert model_and_firmware(text) == (model, firmware)


def test_only_printable_characters_stay_and_not_without_end():
    assert printable(b"\x00 AB\xffC\r\n\x00") == "ABC"
    assert printable(b"x" * 100) == "x" * 64
