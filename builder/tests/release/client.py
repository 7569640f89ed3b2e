# A client of The Update Framework, made with the reference implementation. It reads repositories from folders.
# Each line of stdin is a question, a JSON array: trusted root.json, repository, folder of the client, name of a target, file for the
# target. Each answer is one line on stdout: the target's metadata as JSON, or {"error": ...}.
import json, pathlib, sys, traceback, urllib.parse
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater


class Folder(FetcherInterface):
    def _fetch(self, url):
        path = pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(url).path))
        if not path.is_file():
            raise DownloadHTTPError(f"{path} does not exist", 404)
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk


def ask(root, repo, state, target, out):
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
        return {"error": f"{target} is not listed"}
    updater.download_target(found, out)
    return found.to_dict() | {"root": updater._trusted_set.root.version}


for line in sys.stdin:
    try:
        answer = ask(*json.loads(line))
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
