# A client of The Update Framework as its reference implementation has it, reading a repository from a folder.
# Arguments: trusted root.json, repository, folder of its own, target, file for it. Prints what the metadata says of the target.
import json, pathlib, sys, urllib.parse
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater


class Folder(FetcherInterface):
    def _fetch(self, url):
        path = pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(url).path))
        if not path.is_file():
            raise DownloadHTTPError(f"{path} is not there", 404)
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk


root, repo, state, target, out = sys.argv[1:]
pathlib.Path(state).mkdir(exist_ok=True)
base = pathlib.Path(repo).resolve().as_uri()
updater = Updater(
    metadata_dir=state,
    metadata_base_url=f"{base}/metadata/",
    target_dir=state,
    target_base_url=f"{base}/targets/",
    fetcher=Folder(),
    bootstrap=pathlib.Path(root).read_bytes(),
)
updater.refresh()
found = updater.get_targetinfo(target)
if found is None:
    sys.exit(f"{target} is not listed")
updater.download_target(found, out)
print(json.dumps(found.to_dict() | {"root": updater._trusted_set.root.version}))
