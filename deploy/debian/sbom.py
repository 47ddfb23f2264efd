"""What ships in the Debian package: a CycloneDX list, and the licences of everything on it.

    python deploy/debian/sbom.py ENVIRONMENT OUT.json     writes the list
    python deploy/debian/sbom.py --licences OUT.json      writes deploy/debian/THIRD_PARTY.md from it

`cyclonedx-py` lists the distributions of the environment. What is compiled into them, such as OpenSSL, stands only in
the lists that their wheels bring along (PEP 770), so those are laid inside.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boolean import OR
from license_expression import AND, Licensing

HERE = Path(__file__).parent
COMPATIBLE = frozenset(
    {
        "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0",
        "PSF-2.0", "Unicode-3.0", "Unicode-DFS-2016", "Unlicense", "Zlib",
    }
)  # fmt: skip
"""What may be shipped together with Apache-2.0 and asks for no more than its text."""
READ_BY_HAND = {"pyserial": "BSD-3-Clause", "segno": "BSD-3-Clause", "openssl": "Apache-2.0"}
"""Where the metadata names a family of licences or nothing: what their licence files say."""


def listed(environment: Path) -> dict[str, Any]:
    """The CycloneDX list of what is installed in the environment, with what is compiled in below its distribution."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("cyclonedx-py")), "environment", "--output-reproducible", "--of", "JSON",
         "-o", "-", str(environment / "bin/python3")],
        check=True,
        capture_output=True,
    )  # fmt: skip
    bom: dict[str, Any] = json.loads(done.stdout)
    for component in bom["components"]:
        name = component["name"].replace("-", "_").lower()
        inner = [
            {"bom-ref": f"{component['bom-ref']}/{each['name']}@{each['version']}", **_plain(each)}
            for folder in environment.glob("lib/*/site-packages/*.dist-info/sboms")
            if folder.parent.name.lower().startswith(f"{name}-{component['version']}.")
            for file in sorted(folder.glob("*.json"))
            for each in json.loads(file.read_bytes()).get("components", ())
        ]
        if inner:
            component["components"] = sorted(inner, key=lambda each: str(each["bom-ref"]))
    return bom


def _plain(component: dict[str, Any]) -> dict[str, Any]:
    return {key: component[key] for key in ("type", "name", "version", "purl", "licenses") if key in component}


def everything(bom: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each component with the name of the distribution that it is compiled into, "" for a distribution itself."""
    for component in bom["components"]:
        yield "", component
        for inner in component.get("components", ()):
            yield component["name"], inner


def licence(component: dict[str, Any]) -> str:
    """Its SPDX expression; "unknown" where nobody says."""
    if component["name"] in READ_BY_HAND:
        return READ_BY_HAND[component["name"]]
    said = [
        each.get("expression") or each["license"].get("id") or each["license"]["name"]
        for each in component.get("licenses", ())
    ]
    return " AND ".join(sorted(said)) or "unknown"


def compatible(expression: str) -> bool:
    """Whether an SPDX expression leaves us a choice that we may ship."""

    def holds(part: Any) -> bool:
        if isinstance(part, OR):
            return any(map(holds, part.args))
        if isinstance(part, AND):
            return all(map(holds, part.args))
        return str(part) in COMPATIBLE

    return holds(Licensing().parse(expression))


def third_party(bom: dict[str, Any]) -> str:
    """The licences as a Markdown page. Its versions are those of the list."""
    lines = [
        "# What ships in the Debian package, and under which licences",
        "",
        "Written by `make licences`; a test fails when something ships that is not here or that may not be shipped.",
        "The licence texts lie beside each distribution below `/usr/lib/posdiag`, in `*.dist-info`; that of pyserial,",
        "whose wheel has none, is in `/usr/share/doc/posdiag/copyright`.",
        "",
        "| what | version | licence | compiled into |",
        "| --- | --- | --- | --- |",
    ]
    rows = sorted(
        (inside, each["name"], each["version"], licence(each))
        for inside, each in everything(bom)
        if each["name"] != "posdiag"
    )
    lines += [f"| {name} | {version} | {terms} | {inside} |" for inside, name, version, terms in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """See the module's text."""
    if sys.argv[1] == "--licences":
        (HERE / "THIRD_PARTY.md").write_text(third_party(json.loads(Path(sys.argv[2]).read_bytes())))
        return
    environment, out = map(Path, sys.argv[1:])
    out.write_text(json.dumps(listed(environment), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
