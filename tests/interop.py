"""The end-to-end format by an independent implementation: `interop.py seal|open KEY`, stdin to stdout."""
import base64
import os
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

command, fragment = sys.argv[1:]
cipher = AESGCM(base64.urlsafe_b64decode(fragment + "="))
data = sys.stdin.buffer.read()
if command == "seal":
    nonce = os.urandom(12)
    data = nonce + cipher.encrypt(nonce, data, None)
else:
    data = cipher.decrypt(data[:12], data[12:], None)
sys.stdout.buffer.write(data)
