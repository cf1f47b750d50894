"""The API initiator of the pretend M-Pesa: its certificate, its password, and how it gets locked."""

import base64
import threading
from datetime import datetime
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

INITIATOR, PASSWORD = "testapi", "Safaricom999!*!"  # in the shape of the published sandbox ones
FAILURES_UNTIL_LOCKED = 3


class Initiator:
    """Knows its name and password, and reads a SecurityCredential."""

    def __init__(self, name: str = INITIATOR, password: str = PASSWORD) -> None:
        self.name, self.password = name, password
        self.is_locked = False
        self._failures = 0
        self._made: rsa.RSAPrivateKey | None = None
        self._lock = threading.Lock()

    @property
    def _key(self) -> rsa.RSAPrivateKey:
        """Made when first needed: it takes a moment, and most rehearsals have no use for it."""
        with self._lock:
            if self._made is None:
                self._made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            return self._made

    @cached_property
    def certificate_pem(self) -> bytes:
        """To be named as certificate_file; years past its date, as those in use are."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox.pretend")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self._key.public_key())
        builder = builder.serial_number(1).not_valid_before(datetime(2014, 1, 1)).not_valid_after(datetime(2016, 1, 1))
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    @property
    def public_key_pem(self) -> bytes:
        """The same key without its certificate."""
        shape = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, shape)

    def refusal(self, name: str, credential: str) -> str:
        """The result code for this caller; empty when it may. Repeated failures lock it (8006)."""
        if self.is_locked:
            return "8006"
        if name == self.name and self._opens(credential):
            self._failures = 0
            return ""
        self._failures += 1
        self.is_locked = self._failures >= FAILURES_UNTIL_LOCKED
        return "2001"

    def _opens(self, credential: str) -> bool:
        try:
            secret = self._key.decrypt(base64.b64decode(credential, validate=True), padding.PKCS1v15())
        except ValueError:
            return False
        return secret == self.password.encode()
