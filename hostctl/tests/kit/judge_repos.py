"""Says what python-tuf, TUF's reference implementation, thinks of repositories.

Each line of stdin is a JSON object: `root` (the trusted root.json), `before` (folders that the client has read before, in order), `repo` (the
folder to judge), `target` (the target to fetch from it), `state` (a new folder of the client), `now` (the time in ISO form). Each line of
stdout is `accepted`, or the error.
"""

import datetime
import json
import pathlib
import sys

import folder_client


def client(case, repo):
    updater = folder_client.updater(case["root"], repo, case["state"])
    updater._trusted_set.reference_time = datetime.datetime.fromisoformat(case["now"])
    updater.refresh()
    return updater


for line in sys.stdin:
    case = json.loads(line)
    pathlib.Path(case["state"]).mkdir()
    for repo in case["before"]:
        client(case, repo)
    try:
        updater = client(case, case["repo"])
        found = updater.get_targetinfo(case["target"])
        if found is None:
            raise ValueError(f"{case['target']} is not listed")
        updater.download_target(found)
        answer = "accepted"
    except Exception as error:
        answer = f"{type(error).__name__}: {str(error)[:300]}".replace("\n", " ")
    print(answer, flush=True)
