"""Write the cipher suites of ``scanner/data/tls-registries.json`` from a registry dump in the shape of cryptodatahub's.

    python scripts/build_tls_names.py tls-registries.json [output]

Codes, IANA names and OpenSSL names come from the input; the other registries in that file are kept by hand. What a suite is
made of is read out of its name, because the name is what the registry defines; a name that cannot be read stops the script, so
that nothing is guessed.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

KEY_EXCHANGES = {
    "NULL": ("NULL", "NULL"),
    "RSA": ("RSA", "RSA"),
    "RSA_FIPS": ("RSA", "RSA"),
    "RSA_EXPORT": ("RSA", "RSA"),
    "RSA_EXPORT1024": ("RSA", "RSA"),
    "DH_DSS": ("DH", "DSS"),
    "DH_DSS_EXPORT": ("DH", "DSS"),
    "DH_RSA": ("DH", "RSA"),
    "DH_RSA_EXPORT": ("DH", "RSA"),
    "DHE_DSS": ("DHE", "DSS"),
    "DHE_DSS_EXPORT": ("DHE", "DSS"),
    "DHE_DSS_EXPORT1024": ("DHE", "DSS"),
    "DHE_RSA": ("DHE", "RSA"),
    "DHE_RSA_EXPORT": ("DHE", "RSA"),
    # the anonymous exchanges are ephemeral on both sides (RFC 5246 section 8.1.2 and RFC 8422 section 2.3)
    "DH_anon": ("DHE", "anon"),
    "DH_anon_EXPORT": ("DHE", "anon"),
    "ECDH_anon": ("ECDHE", "anon"),
    "ECDH_ECDSA": ("ECDH", "ECDSA"),
    "ECDH_RSA": ("ECDH", "RSA"),
    "ECDHE_ECDSA": ("ECDHE", "ECDSA"),
    "ECDHE_RSA": ("ECDHE", "RSA"),
    "PSK": ("PSK", "PSK"),
    "DHE_PSK": ("DHE", "PSK"),
    "PSK_DHE": ("DHE", "PSK"),
    "RSA_PSK": ("RSA", "PSK"),
    "ECDHE_PSK": ("ECDHE", "PSK"),
    "KRB5": ("KRB5", "KRB5"),
    "KRB5_EXPORT": ("KRB5", "KRB5"),
    "SRP_SHA": ("SRP", "SRP"),
    "SRP_SHA_RSA": ("SRP", "RSA"),
    "SRP_SHA_DSS": ("SRP", "DSS"),
    "ECCPWD": ("ECCPWD", "ECCPWD"),
    "CECPQ1_RSA": ("CECPQ1", "RSA"),
    "CECPQ1_ECDSA": ("CECPQ1", "ECDSA"),
    "FORTEZZA_KEA": ("FORTEZZA", "FORTEZZA"),
    "GOSTR341094": ("GOST", "GOST"),
    "GOSTR341001": ("GOST", "GOST"),
    "GOSTR341112_256": ("GOST", "GOST"),
}
# GB/T 38636 names have no WITH; ECC is key transport under an SM2 key, ECDHE an ephemeral exchange, RSA key transport
CHINESE = {
    "ECC": ("ECC", "SM2"),
    "ECDHE": ("ECDHE", "SM2"),
    "RSA": ("RSA", "RSA"),
    "IBC": ("IBC", "SM9"),
    "IBSDH": ("IBSDH", "SM9"),
}
# where the input differs from the registry (RFC 6655 section 4, RFC 9150) or from NSS, which alone used the last two
CORRECTIONS = {
    0xC0AA: ("TLS_PSK_DHE_WITH_AES_128_CCM_8", "DHE-PSK-AES128-CCM8"),
    0xC0AB: ("TLS_PSK_DHE_WITH_AES_256_CCM_8", "DHE-PSK-AES256-CCM8"),
    0xC0B4: ("TLS_SHA256_SHA256", "TLS_SHA256_SHA256"),
    0xC0B5: ("TLS_SHA384_SHA384", "TLS_SHA384_SHA384"),
    0xFFE0: ("OLD_TLS_RSA_FIPS_WITH_3DES_EDE_CBC_SHA", ""),
    0xFFE1: ("OLD_TLS_RSA_FIPS_WITH_DES_CBC_SHA", ""),
}
# RFC 9150: TLS 1.3 with integrity and no encryption
INTEGRITY_ONLY = {"SHA256_SHA256": "SHA256", "SHA384_SHA384": "SHA384"}
AEAD_MODES = ("_GCM", "_CCM", "_CCM_8", "_POLY1305", "_MGM_L", "_MGM_S")
MACS = {
    "SHA": "SHA1", "SHA1": "SHA1", "MD5": "MD5", "SHA256": "SHA256", "SHA384": "SHA384", "SHA512": "SHA512",
    "SM3": "SM3", "IMIT": "IMIT", "OMAC": "OMAC", "GOSTR3411": "GOSTR3411",
}  # fmt: skip


def read_name(name: str) -> tuple[str, str, str, str]:
    """Return (key exchange, authentication, cipher, MAC) of a suite's name. Raises ``ValueError``."""
    bare = name.removeprefix("OLD_").removeprefix("TLS_")
    if bare == "NULL_WITH_NULL_NULL":
        return "NULL", "NULL", "NULL", "NULL"
    if bare in INTEGRITY_ONLY:
        return "TLS13", "any", "NULL", INTEGRITY_ONLY[bare]
    if "_WITH_" in bare:
        exchange, rest = bare.split("_WITH_", 1)
        kx, auth = KEY_EXCHANGES[exchange]
    elif chinese := re.fullmatch(r"(ECC|ECDHE|RSA|IBC|IBSDH)_(SM4_.*)", bare):
        kx, auth = CHINESE[chinese[1]]
        rest = chinese[2]
    else:
        kx, auth, rest = "TLS13", "any", bare
    if rest.endswith(AEAD_MODES):  # no hash in the name: CCM suites of TLS 1.2, GOST with MGM
        return kx, auth, rest, "AEAD"
    cipher, separator, mac = rest.rpartition("_")
    if not separator or mac not in MACS:
        raise ValueError(f"cannot read {name}")
    return kx, auth, cipher, "AEAD" if cipher.endswith(AEAD_MODES) else MACS[mac]


def main(arguments: list[str]) -> int:
    registries = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    output = Path(arguments[1] if len(arguments) > 1 else "scanner/data/tls-registries.json")
    document = json.loads(output.read_text(encoding="utf-8"))
    entries: dict[int, tuple[str, ...]] = {}
    for key, suite in registries["cipher-suite"].items():
        entries[suite["code"]] = (key, suite["openssl_name"] or "", *read_name(key))
    for code, (name, openssl) in CORRECTIONS.items():
        entries[code] = (name, openssl, *read_name(name))
    for key, signal in registries["cipher-suite-extension"].items():
        entries[signal["code"]] = (f"TLS_{key}".replace("TLS_TLS_", "TLS_"), "", "SCSV", "SCSV", "SCSV", "SCSV")
    document["cipher_suites"] = {f"{code:04X}": fields for code, fields in sorted(entries.items())}
    tables = []
    for name, table in document.items():
        lines = ",\n".join(f'"{code}": {json.dumps(entry)}' for code, entry in table.items())
        tables.append(f'"{name}": {{\n{lines}\n}}')
    output.write_text("{\n" + ",\n".join(tables) + "\n}\n", encoding="utf-8")
    print(f"{len(entries)} suites -> {output}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: build_tls_names.py tls-registries.json [output]")
    sys.exit(main(sys.argv[1:]))
