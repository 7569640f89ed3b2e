# Changes a repository with the reference implementation of The Update Framework: fills the list of releases to about so many bytes,
# removes some targets, and signs the list. Arguments: repository, folder of keys, number of bytes, names of targets to remove.
import pathlib, sys
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, TargetFile

repo, keys, wanted = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
folder = repo / "metadata"
root = Metadata.from_file(str(folder / "1.root.json")).signed


def sign(metadata, role, path):
    key = load_pem_private_key(next(keys.glob(f"{role}-*.pem")).read_bytes(), None)
    metadata.sign(CryptoSigner(key, root.keys[root.roles[role].keyids[0]]))
    path.write_bytes(metadata.to_bytes())
    return path.read_bytes()


timestamp = Metadata.from_file(str(folder / "timestamp.json"))
snapshot = Metadata.from_file(str(folder / f"{timestamp.signed.snapshot_meta.version}.snapshot.json"))
targets = Metadata.from_file(str(folder / f"{snapshot.signed.meta['targets.json'].version}.targets.json"))
empty = TargetFile.from_data("x", b"")
# Bytes of one target in the list as berth writes it, with a line for each value.
ONE = 184
listed = targets.signed.targets
for number in range(wanted // ONE):
    if len(listed) < wanted // ONE:
        name = f"other_{number:08}_x86_64.efi"
        listed[name] = TargetFile(0, empty.hashes, name)
for name in sys.argv[4:]:
    del listed[name]
for part in (targets, snapshot, timestamp):
    part.signed.version += 1
meta = lambda part, data: MetaFile.from_data(part.signed.version, data, ["sha256"])
data = sign(targets, "targets", folder / f"{targets.signed.version}.targets.json")
snapshot.signed.meta["targets.json"] = meta(targets, data)
data = sign(snapshot, "snapshot", folder / f"{snapshot.signed.version}.snapshot.json")
timestamp.signed.snapshot_meta = meta(snapshot, data)
sign(timestamp, "timestamp", folder / "timestamp.json")
