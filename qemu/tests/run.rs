//! `berth run IMAGE -- COMMAND`: the command gets the address of docker in its environment, `berth run` exits with the command's status,
//! and the machine is removed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{berth, build, output, root};
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

/// An image without an engine, in which one service fails.
#[test]
fn a_degraded_host_shows_its_problems_and_gets_the_command_only_on_demand() {
    let scratch = tempfile::tempdir().unwrap();
    let (recipes, services) = (root().join("qemu/tests/recipes"), scratch.path().join("own/usr/lib/berth/services"));
    fs::create_dir_all(&services).unwrap();
    fs::write(
        services.join("broken.toml"),
        "exec = ['/usr/bin/hostctl', '--no-such-option']\nready = 'exit'\nrestart = 'no'\n",
    )
    .unwrap();
    let recipe = scratch.path().join("degraded.toml");
    fs::write(&recipe, format!("extends = '{}'\noverlays = ['./own']\n", recipes.join("small.toml").display()))
        .unwrap();
    // The packages are the same.
    fs::copy(recipes.join("small.lock"), scratch.path().join("degraded.lock")).unwrap();
    let run = |what: &std::path::Path, options: &[&str]| {
        let mut command = Command::new(berth());
        command.args(["run", "--isolated", "--output"]).args([scratch.path(), what]).args(options);
        let out = command.args(["--", "sh", "-c", "echo \"docker: ${DOCKER_HOST-none}\"; exit 3"]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let (status, said, talk) = run(&recipe, &["--anyway", "--disk", "8GiB"]);
    assert_eq!((status, said.trim()), (Some(3), "docker: none"), "{talk}");
    assert!(talk.contains("warning: the host is degraded: service broken failed"), "{talk}");
    assert!(talk.lines().any(|line| line.contains("log broken: ") && line.contains("--no-such-option")), "{talk}");
    // The manifest beside the image says that it has no engine.
    let (status, said, talk) = run(&output(scratch.path(), ".raw"), &[]);
    assert_eq!((status, said.as_str()), (Some(1), ""), "{talk}");
    assert!(
        talk.contains("error: the host is degraded: sh was not run\nhint: --anyway runs it all the same"),
        "{talk}"
    );
}
