"""Makes a repository with python-tuf, TUF's reference implementation: make_repo.py FOLDER RECORD NAME.

The file RECORD becomes target NAME; root keys are changed once. Expiry is in 2027, whatever the day.
"""

import datetime
import hashlib
import pathlib
import sys

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

folder, record, name = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
(folder / "metadata").mkdir()
(folder / "targets").mkdir()
expires = datetime.datetime(2027, 1, 1, tzinfo=datetime.timezone.utc)
signers = {role: CryptoSigner.generate_ed25519() for role in ("root", "targets", "snapshot", "timestamp")}


def write(path, metadata, *keys):
    for key in keys:
        metadata.sign(key, append=True)
    metadata.to_file(str(folder / "metadata" / path), JSONSerializer(compact=True))


root = Metadata(Root(expires=expires, consistent_snapshot=True))
for role, signer in signers.items():
    root.signed.add_key(signer.public_key, role)
write("1.root.json", root, signers["root"])

successor = CryptoSigner.generate_ed25519()
root.signatures.clear()
root.signed.version = 2
root.signed.revoke_key(signers["root"].public_key.keyid, "root")
root.signed.add_key(successor.public_key, "root")
write("2.root.json", root, signers["root"], successor)

target = TargetFile.from_file(name, str(record))
id_, version, arch = name.removesuffix(".release.json").split("_", 2)
target.unrecognized_fields["custom"] = {"id": id_, "version": version, "arch": arch, "channel": "stable"}
digest = hashlib.sha256(record.read_bytes()).hexdigest()
(folder / "targets" / f"{digest}.{name}").write_bytes(record.read_bytes())
write("1.targets.json", Metadata(Targets(expires=expires, targets={name: target})), signers["targets"])
write("1.snapshot.json", Metadata(Snapshot(expires=expires, meta={"targets.json": MetaFile(1)})), signers["snapshot"])
write("timestamp.json", Metadata(Timestamp(expires=expires, snapshot_meta=MetaFile(1))), signers["timestamp"])
