"""A client of The Update Framework, made with the reference implementation (python-tuf). It reads repositories from folders."""

import pathlib
import urllib.parse

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


def updater(root, repo, state):
    """A client that trusts the file `root`, reads the folder `repo`, and keeps its files in the folder `state`."""
    base = pathlib.Path(repo).resolve().as_uri()
    return Updater(
        metadata_dir=state,
        metadata_base_url=f"{base}/metadata/",
        target_dir=state,
        target_base_url=f"{base}/targets/",
        fetcher=Folder(),
        bootstrap=pathlib.Path(root).read_bytes(),
    )
