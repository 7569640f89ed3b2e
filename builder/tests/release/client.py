# A client of The Update Framework, made with the reference implementation. It reads repositories from folders.
# Each line of stdin is a question, a JSON array: trusted root.json, repository, folder of the client, name of a target, file for the
# target. Each answer is one line on stdout: the target's metadata as JSON, or {"error": ...}.
import json, pathlib, sys, traceback
import folder_client


def ask(root, repo, state, target, out):
    pathlib.Path(state).mkdir(exist_ok=True)
    updater = folder_client.updater(root, repo, state)
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
