"""Is a sealed evidence pack what was sealed? Needs Python and the package cryptography; nothing of the center.

    python evidence_verify.py [--key KEY] [--json] PACK …

KEY is the public key of the center that sealed it: 64 hex digits, or a file with its JWK. Without one the seal's own
key is used, and whether it is the center's is left to you: compare the fingerprint. Several packs are also checked to
follow each other. Exit 0: as sealed. 1: not. 2: it could not be looked at.

A pack is a ZIP file: data files, `manifest.json` with the SHA-256 and size of each, and `seal.json` with an Ed25519
signature over `PURPOSE` and the bytes of the manifest. Each manifest holds the SHA-256 of the one sealed before it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import lzma
import struct
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT: Final = "posdiag-evidence/1"
PURPOSE: Final = b"posdiag evidence seal 1\n"
MANIFEST: Final = "manifest.json"
SEAL: Final = "seal.json"
AUDIT: Final = "audit.jsonl"
FIRST: Final = "0" * 64
"""What the first manifest has for the one before it."""
_MOST_BYTES: Final = 4 << 30
_MOST_MANIFEST_BYTES: Final = 4 << 20
_CHUNK: Final = 1 << 20
_BROKEN: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError, KeyError),
    *(RuntimeError, MemoryError),  # of what is encrypted or packed in another way, or says that it needs too much
)
"""What zipfile, and what unpacks for it, raise at a broken stream."""
_ENTRY: Final = ("prev", "at_ms", "who", "what", "target", "detail")


class NotAPackError(Exception):
    """It cannot be looked at."""


@dataclass(slots=True)
class Verdict:
    """What was found. `problems` is empty for a pack that is as it was sealed."""

    file: str
    manifest: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    """SHA-256 of the manifest: the next pack's `previous`."""
    fingerprint: str = ""
    """SHA-256 of the public key that sealed it."""
    vouched: bool = False
    """Whether that is a key which somebody gave."""
    problems: list[str] = field(default_factory=list)


def verify(path: Path, key: bytes | None = None) -> Verdict:
    """Look at one pack. `key` is the center's public key, 32 bytes. Raises NotAPackError, OSError."""
    found = Verdict(str(path))
    try:
        with zipfile.ZipFile(path) as pack:
            _verify(pack, key, found)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise NotAPackError(f"not a whole ZIP file: {error}") from error
    except UnicodeDecodeError as error:
        raise NotAPackError("not a ZIP file with names in UTF-8") from error
    return found


def _verify(pack: zipfile.ZipFile, key: bytes | None, found: Verdict) -> None:
    names = pack.namelist()
    if MANIFEST not in names or SEAL not in names:
        raise NotAPackError(f"a ZIP file without {MANIFEST} and {SEAL}")
    if sum(each.file_size for each in pack.infolist()) > _MOST_BYTES:
        raise NotAPackError("larger than a pack can be")
    content = _small(pack, MANIFEST)
    found.digest = hashlib.sha256(content).hexdigest()
    _check_seal(_object(_small(pack, SEAL), SEAL), content, key, found)
    found.manifest = _object(content, MANIFEST)
    if found.manifest.get("format") != FORMAT:
        found.problems.append(f"{MANIFEST}: not of the format {FORMAT}")
        return
    if pack.comment:
        found.problems.append("the ZIP file has a comment, which nobody sealed")
    _check_files(pack, names, found)


def _small(pack: zipfile.ZipFile, name: str) -> bytes:
    if pack.getinfo(name).file_size > _MOST_MANIFEST_BYTES:
        raise NotAPackError(f"{name} is larger than it can be")
    try:
        return pack.read(name)
    except _BROKEN as error:
        raise NotAPackError(f"{name} cannot be read: {str(error) or type(error).__name__}") from error


def _object(content: bytes, name: str) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotAPackError(f"{name} is not JSON") from error
    if not isinstance(values, dict):
        raise NotAPackError(f"{name} is no JSON object")
    return values


def _check_seal(seal: Mapping[str, Any], manifest: bytes, key: bytes | None, found: Verdict) -> None:
    try:
        public, signature = (base64.b64decode(seal[name], validate=True) for name in ("public", "signature"))
        sealer = Ed25519PublicKey.from_public_bytes(key or public)
    except (KeyError, ValueError, TypeError):
        found.problems.append(f"{SEAL}: holds no Ed25519 key and signature")
        return
    found.fingerprint = hashlib.sha256(key or public).hexdigest()
    found.vouched = key is not None
    if key is not None and key != public:
        found.problems.append(f"{SEAL}: made with another key than the one given")
    if seal.get("manifest_sha256") != found.digest:
        found.problems.append(f"{SEAL}: not of this manifest")
    try:
        sealer.verify(signature, PURPOSE + manifest)
    except InvalidSignature:
        found.problems.append(f"{SEAL}: the signature does not fit {MANIFEST}")


def _check_files(pack: zipfile.ZipFile, names: Sequence[str], found: Verdict) -> None:
    listed = found.manifest.get("files")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        found.problems.append(f"{MANIFEST}: has no list of files")
        return
    expected = [str(each.get("name")) for each in listed]
    twice = sorted({name for name in names if names.count(name) > 1})
    found.problems += [f"{name}: is there twice" for name in twice]
    found.problems += [f"{name}: is not of the pack" for name in sorted({*names} - {*expected, MANIFEST, SEAL})]
    found.problems += [f"{name}: is missing" for name in expected if name not in names]
    for each, name in zip(listed, expected, strict=True):
        if name in names:
            _check_file(pack, name, each, found)


def _check_file(pack: zipfile.ZipFile, name: str, listed: Mapping[str, Any], found: Verdict) -> None:
    try:
        size, digest, rows = _read(pack, name)
    except _BROKEN as error:
        found.problems.append(f"{name}: cannot be read: {str(error) or type(error).__name__}")
        return
    if (size, digest, rows) != (listed.get("bytes"), listed.get("sha256"), listed.get("rows")):
        found.problems.append(f"{name}: was changed")
    elif name == AUDIT:
        _check_audit(pack, found)


def _read(pack: zipfile.ZipFile, name: str) -> tuple[int, str, int]:
    """Bytes, SHA-256 and lines."""
    digest, size, rows = hashlib.sha256(), 0, 0
    with pack.open(name) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            rows += chunk.count(b"\n")
    return size, digest.hexdigest(), rows


def _check_audit(pack: zipfile.ZipFile, found: Verdict) -> None:
    """Each line carries the hash that it has in the center's own chain. What was redacted says so."""
    with pack.open(AUDIT) as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                said = "" if row.get("redacted") else row["hash"]
                entry = [row[name] for name in _ENTRY]
            except (ValueError, KeyError, AttributeError, RecursionError):
                found.problems.append(f"{AUDIT}:{number}: is no line of an audit")
                continue
            text = json.dumps(entry, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            if said and hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() != said:
                found.problems.append(f"{AUDIT}:{number}: is not what the center wrote down")


def check_order(verdicts: Sequence[Verdict]) -> list[str]:
    """What is wrong with how packs follow each other. Gaps between their numbers are no fault."""
    problems = []
    known = {verdict.manifest.get("number"): verdict for verdict in verdicts if verdict.manifest}
    for verdict in verdicts:
        number, previous = verdict.manifest.get("number"), verdict.manifest.get("previous")
        if known.get(number) is not verdict and verdict.manifest:
            problems.append(f"{verdict.file}: number {number} is there twice")
        before = known.get(number - 1) if isinstance(number, int) else None
        if before is not None and before.digest != previous:
            problems.append(f"{verdict.file}: does not follow {before.file}")
        if number == 1 and previous != FIRST:
            problems.append(f"{verdict.file}: is the first and yet follows another")
    return problems


def read_key(text: str) -> bytes:
    """A public key of 64 hex digits, or from a JWK file. Raises NotAPackError."""
    try:
        if len(text) == 64:
            return bytes.fromhex(text)
        values = json.loads(Path(text).read_bytes())
        public = base64.urlsafe_b64decode(values["x"] + "=" * (-len(values["x"]) % 4))
        if (values["kty"], values["crv"], len(public)) == ("OKP", "Ed25519", 32):
            return public
    except OSError as error:
        raise NotAPackError(f"{text}: {(error.strerror or str(error)).lower()}") from error
    except (ValueError, KeyError, TypeError):
        pass
    raise NotAPackError(f"{text}: no Ed25519 public key as JWK or 64 hex digits")


def run(args: argparse.Namespace) -> int:
    """`packs`, `key` and `json`, as in `main`. 0 as sealed, 1 not, 2 unable."""
    try:
        key = read_key(args.key) if args.key else None
        verdicts = [_look(Path(name), key) for name in args.packs]
    except NotAPackError as error:
        print(f"posdiag: {error}", file=sys.stderr)
        return 2
    problems = check_order(verdicts)
    good = not problems and not any(verdict.problems for verdict in verdicts)
    if args.json:
        names = ("file", "manifest", "digest", "fingerprint", "vouched", "problems")
        packs = [{name: getattr(verdict, name) for name in names} for verdict in verdicts]
        print(json.dumps({"good": good, "problems": problems, "packs": packs}))
    else:
        for verdict in verdicts:
            print("\n".join(_told(verdict)))
        print("\n".join(problems) or ("as sealed" if good else "NOT as sealed"))
    return 0 if good else 1


def _look(path: Path, key: bytes | None) -> Verdict:
    try:
        return verify(path, key)
    except OSError as error:
        raise NotAPackError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except NotAPackError as error:
        raise NotAPackError(f"{path}: {error}") from error


def _told(verdict: Verdict) -> list[str]:
    about = verdict.manifest
    who = "the key given" if verdict.vouched else "a key that nobody has vouched for; compare its fingerprint"
    lines = [
        verdict.file,
        f"  pack {about.get('number')} of {about.get('estate')}/{about.get('terminal')}",
        f"  from {about.get('from')} until {about.get('until')}",
        f"  sealed {about.get('made_at')} by {about.get('made_by')}: {about.get('reason')}",
        f"  sealed with {who}: {verdict.fingerprint}",
        f"  manifest {verdict.digest}, after {about.get('previous')}",
    ]
    return lines + [f"  PROBLEM {problem}" for problem in verdict.problems]


def main() -> int:
    """By itself, without the command line of posdiag."""
    parser = argparse.ArgumentParser(description="Is a sealed evidence pack what was sealed?")
    parser.add_argument("packs", nargs="+", metavar="PACK")
    parser.add_argument("--key", metavar="KEY", help="the center's public key: 64 hex digits or a JWK file")
    parser.add_argument("--json", action="store_true")
    return run(parser.parse_intermixed_args())


if __name__ == "__main__":
    sys.exit(main())
