//! `berth run IMAGE -- COMMAND`: the command gets the address of docker in its environment, `berth run` exits with the command's status,
//! and the machine is removed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{berth, build, output};
use std::{fs, process::Command};

const COMMAND: &str = r#"
set -eu
docker run --rm hello
test "$(docker info --format '{{.Name}}')" = node-2
docker run --detach --name web --publish 80:80 hello serve 80 >/dev/null
python3 - <<END
import os, time, urllib.request
url = 'http://127.0.0.1:' + os.environ['BERTH_PORT_80']
for attempt in range(20):
    try:
        print('web:', urllib.request.urlopen(url, timeout=10).read().decode())
        break
    except OSError:
        time.sleep(0.5)
END
test -S "${BERTH_CONTROL#unix:}"
echo "control: ${BERTH_CONTROL#unix:}"
exit 7
"#;

#[test]
fn a_command_uses_the_guests_docker_and_its_status_is_returned() {
    let image = output(&build(), ".qcow2");
    let scratch = tempfile::tempdir().unwrap();
    let config = scratch.path().join("host.toml");
    fs::write(&config, "hostname = 'node-2'\n").unwrap();
    let out = Command::new(berth())
        .args(["run", "--isolated", "--publish", "0:80", "--output"])
        .args([scratch.path(), "--config".as_ref(), &config, &image])
        .args(["--", "sh", "-c", COMMAND])
        .output()
        .unwrap();
    let (said, talk) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(7), "{said}{talk}");
    assert_eq!(said.matches("Hello from Berth").count(), 2, "{said}{talk}");
    assert!(said.contains("web: Hello from Berth"), "{said}");
    let control = said.lines().find_map(|line| line.strip_prefix("control: ")).unwrap();
    assert!(!fs::exists(control).unwrap(), "the machine's folder is not removed");
    let console = fs::read_to_string(scratch.path().join("console.log")).unwrap();
    assert!(console.contains("ready after"), "{console}");
}
