"""Sealed files: what age 1.1.1 has written is opened, and what is not whole is refused."""

from __future__ import annotations

import base64
import io

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from center.age import CHUNK, AgeError, Identity, Passphrase, Reader, Recipient, Writer

KEY = Identity.of("AGE-SECRET-KEY-1MPJ85E3QYVEUU5GG5J90D27HK7A5DRFWRA6M2WPDZRGD9PM9P4FSJ05L0J")
PUBLIC = "age15vxjn2a4zjjql7k2szu95x0pmv8dch7c326zchesk4k5pxkpycrsd086vp"
FOR_KEY = (
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBoZFBhZVF5M0xhQ1ZiSjlhN2NrWStGWXNjQkg5OGsrMnlicGFXV2ZwcjA4CnVLMTUzc3pZ"
    "K2M0SnhpaEowZXEzUGlBekJsRWxkQnBSVVFLUGZSOGFHUUEKLS0tIGlKMEpRTm5oZnRoRmcxc2dLQ1QwMGcvOXF2bnhpckZPcWxaNkY3dFUycXMK"
    "h+Lf7Y70RY/diyzNcu64K9bDsbLLOB6VYdEYSl3Hk+j/O2oRobvLx13/Ds4EEMG7UIqB"
)
FOR_PASSPHRASE = (
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCB3azFoalRWZEpBdUxOTWRxUURnTXl3IDE4CjJvWm84QmZpYVpsQ1JhVWxZTzdqV0UwYlpj"
    "S2NJNDdaUVh0MG01UU5CYWcKLS0tIHZkc0tHQmhJdGxsWncwUWdOd0FRa1lvNWNPQlFDTVp5VzlUblp2RFdCUFkKo/bHn6onbnUpNPsm3hG89Tpq"
    "i37xsl972xw0lDkNqX2W1HhoZVf5XL3XxGJgISOMpzTv"
)
WORDS = Passphrase(b"correct horse battery", work=4)


def sealed(data: bytes, whom: Passphrase | Recipient = KEY.recipient) -> bytes:
    out = io.BytesIO()
    writer = Writer(out, whom)
    for start in range(0, len(data), 50_000):
        writer.write(data[start : start + 50_000])
    writer.finish()
    return out.getvalue()


def opened(content: bytes, whom: Passphrase | Identity = KEY) -> bytes:
    return io.BufferedReader(Reader(io.BytesIO(content), whom)).read()


@pytest.mark.parametrize(("content", "whom"), [(FOR_KEY, KEY), (FOR_PASSPHRASE, Passphrase(WORDS.secret))])
def test_what_age_wrote_is_opened(content: str, whom: Passphrase | Identity) -> None:
    assert opened(base64.b64decode(content), whom) == b"what the center was"


def test_keys_are_spelled_as_age_spells_them() -> None:
    assert KEY.recipient.text == PUBLIC
    assert Recipient.of(PUBLIC) == KEY.recipient
    assert Identity.of(KEY.text.lower()).text == KEY.text


@pytest.mark.parametrize("text", ["", "age1", PUBLIC[:-1] + "q", PUBLIC[:9] + "A" + PUBLIC[10:], KEY.text, "age1é"])
def test_what_is_no_key_is_said_to_be_none(text: str) -> None:
    with pytest.raises(AgeError, match="not a key of age"):
        Recipient.of(text)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 200_000])
def test_every_size_comes_back(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert opened(sealed(data[:size])) == data[:size]
    assert opened(sealed(data[:size], WORDS), WORDS) == data[:size]


@pytest.mark.parametrize("whom", [Identity(X25519PrivateKey.generate()), WORDS, Passphrase(b"another one")])
def test_who_has_another_secret_opens_nothing(whom: Passphrase | Identity) -> None:
    for content in (sealed(b"x"), sealed(b"x", WORDS)):
        if whom is WORDS and b"scrypt" in content:
            continue
        with pytest.raises(AgeError, match="another passphrase or key"):
            opened(content, whom)


def test_nothing_can_be_changed_cut_off_or_swapped() -> None:
    content = sealed(bytes(2 * CHUNK + 10))
    head = content.index(b"\n--- ") + 1
    payload = content.index(b"\n", head) + 17
    pieces = [content[payload + n * (CHUNK + 16) : payload + (n + 1) * (CHUNK + 16)] for n in range(3)]
    wrong = [content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :] for place in range(payload)]
    wrong += [content[:-1], content[:payload], content[: -len(pieces[2])], content[:head], content + b"x"]
    wrong += [content[:payload] + b"".join(some) for some in (pieces[1::-1] + pieces[2:], pieces[:1] + pieces[2:])]
    for each in wrong:
        with pytest.raises(AgeError):
            opened(each)


def test_a_passphrase_that_asks_for_too_much_work_is_refused() -> None:
    content = sealed(b"x", WORDS).replace(b" 4\n", b" 31\n", 1)
    with pytest.raises(AgeError, match="more work"):
        opened(content, WORDS)
