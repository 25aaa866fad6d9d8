#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Credentials as `nsc` makes them: credentials.py FOLDER

Makes an operator, an account signed by the operator, and a user signed by the account. The user, whose credentials are
FOLDER/user.creds, may only use the subjects that begin with "vestry.". Prints the server's configuration."""

import base64
import json
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
PREFIXES = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
SEED = 18 << 3


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


def encode(data):
    """Base32 of the bytes, followed by a CRC-16 (XMODEM)."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return base64.b32encode(data + crc.to_bytes(2, "little")).decode().rstrip("=")


class Key:
    def __init__(self, name, kind):
        self.file = FOLDER / f"{name}.key"
        prefix = PREFIXES[kind]
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.file)
        private = openssl("pkey", "-in", self.file, "-outform", "DER")[-32:]
        self.public = encode(bytes([prefix]) + openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")[-32:])
        self.seed = encode(bytes([SEED | prefix >> 5, (prefix & 31) << 3]) + private)

    def sign(self, text):
        file = FOLDER / "text"
        file.write_text(text)
        return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.file, "-in", file)


def url64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def vouch(issuer, subject, name, claims):
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    body = {"jti": name, "iat": int(time.time()), "iss": issuer.public, "sub": subject.public, "name": name,
            "nats": {"version": 2, **claims}}
    text = ".".join(url64(json.dumps(part).encode()) for part in (head, body))
    return f"{text}.{url64(issuer.sign(text))}"


NO_LIMITS = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
OURS = {"allow": ["vestry.>"]}

operator, system, account = Key("operator", "operator"), Key("system", "account"), Key("account", "account")
user = Key("user", "user")
(FOLDER / "operator.jwt").write_text(vouch(operator, operator, "operator", {"type": "operator"}))
accounts = {key.public: vouch(operator, key, name, {"type": "account", "limits": NO_LIMITS})
            for name, key in (("system", system), ("nodes", account))}
jwt = vouch(account, user, "node", {"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": OURS, "sub": OURS})
(FOLDER / "user.creds").write_text(f"""-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{user.seed}
------END USER NKEY SEED------
""")
print(f'operator: "{FOLDER}/operator.jwt"')
print(f"system_account: {system.public}")
print("resolver: MEMORY")
print("resolver_preload: {")
for public, text in accounts.items():
    print(f"  {public}: {text}")
print("}")
