"""An independent implementation of both end-to-end formats: `interop.py seal|open|seal2|open2|proof KEY [PASSWORD]`, stdin to
stdout. `seal2` makes a paste of one nameless file; `open2` prints the contents of all files; `proof` the proofs and their hashes."""
import base64
import hashlib
import hmac
import json
import os
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK = 65536


def extract(salt, key):
    return hmac.new(salt, key, "sha256").digest()


def expand(key, info, length=32):
    return hmac.new(key, info + b"\x01", "sha256").digest()[:length]


class Sealed:
    def __init__(self, key, password):
        domain = b"flaskpaste sealed 2"
        self.link = self.root = extract(domain, key)
        self.password = password
        if password is not None:
            salt = expand(self.link, b"password salt", 16)
            stretched = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 600_000)
            self.root = extract(domain, key + stretched)

    def cipher(self, salt):
        return AESGCM(expand(self.root, b"content" + salt))

    def head(self, salt):
        return b"fpaste2\n" + salt + expand(self.root, b"commitment" + salt)

    def proofs(self):
        proofs = [expand(self.link, b"link proof")]
        if self.password is not None:
            proofs.append(expand(self.root, b"password proof"))
        text = lambda proof: base64.urlsafe_b64encode(proof).decode().rstrip("=")
        return "".join(f"{text(proof)} {hashlib.sha256(proof).hexdigest()}\n" for proof in proofs).encode()

    def seal(self, content):
        manifest = json.dumps({"files": [{"size": len(content)}]}).encode()
        plaintext = len(manifest).to_bytes(4, "big") + manifest + content
        plaintext += bytes(-len(plaintext) % 256)
        salt = os.urandom(16)
        cipher, upload = self.cipher(salt), self.head(salt)
        for at in range(0, len(plaintext), CHUNK):
            last = at + CHUNK >= len(plaintext)
            nonce = (at // CHUNK).to_bytes(11, "big") + bytes([last])
            upload += cipher.encrypt(nonce, plaintext[at : at + CHUNK], None)
        return upload

    def open(self, upload):
        salt = upload[8:24]
        assert upload[:56] == self.head(salt), "another key or password"
        cipher, plaintext = self.cipher(salt), b""
        for number, at in enumerate(range(56, len(upload), CHUNK + 16)):
            last = at + CHUNK + 16 >= len(upload)
            plaintext += cipher.decrypt(number.to_bytes(11, "big") + bytes([last]), upload[at : at + CHUNK + 16], None)
        length = int.from_bytes(plaintext[:4], "big")
        sizes = [file["size"] for file in json.loads(plaintext[4 : 4 + length])["files"]]
        return plaintext[4 + length : 4 + length + sum(sizes)]


command, fragment, *password = sys.argv[1:]
key = base64.urlsafe_b64decode(fragment + "=")
data = sys.stdin.buffer.read()
sealed = Sealed(key, password[0] if password else None)
if command == "seal":
    nonce = os.urandom(12)
    data = nonce + AESGCM(key).encrypt(nonce, data, None)
elif command == "open":
    data = AESGCM(key).decrypt(data[:12], data[12:], None)
elif command == "seal2":
    data = sealed.seal(data)
elif command == "open2":
    data = sealed.open(data)
else:
    data = sealed.proofs()
sys.stdout.buffer.write(data)
