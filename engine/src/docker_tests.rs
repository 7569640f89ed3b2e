use super::*;

fn spec(text: &str) -> ContainerSpec {
    toml::from_str(text).unwrap()
}

#[test]
fn a_declaration_becomes_the_body_that_docker_expects() {
    let full = spec(
        "name = 'web'\nimage = 'hello'\ncommand = ['serve', '80']\nentrypoint = ['/hello']\nenv = { B = '2', A = '1' }\n\
         ports = ['8080:80', '127.0.0.1:81:80', '[::1]:53:53/udp']\nvolumes = ['data:/data', '/var/srv:/srv:ro']\n\
         memory = '64MiB'\ncpus = 0.3\nrestart = 'on-failure'\nuser = '1000:1000'\nworkdir = '/w'\nread_only = true\n\
         privileged = true\ncap_add = ['NET_ADMIN']\ncap_drop = ['ALL']\nstop_timeout = 60",
    );
    assert_eq!(
        create_body(&full, "digest"),
        json!({
            "Image": "hello", "Cmd": ["serve", "80"], "Entrypoint": ["/hello"], "Env": ["A=1", "B=2"], "User": "1000:1000",
            "WorkingDir": "/w", "StopTimeout": 60, "Labels": { "dev.berth.spec": "digest" }, "ExposedPorts": { "80/tcp": {}, "53/udp": {} },
            "HostConfig": {
                "NetworkMode": "bridge", "Binds": ["data:/data", "/var/srv:/srv:ro"],
                "PortBindings": {
                    "80/tcp": [{ "HostIp": "", "HostPort": "8080" }, { "HostIp": "127.0.0.1", "HostPort": "81" }],
                    "53/udp": [{ "HostIp": "::1", "HostPort": "53" }]
                },
                "Memory": 67_108_864, "NanoCpus": 300_000_000, "RestartPolicy": { "Name": "on-failure" },
                "ReadonlyRootfs": true, "Privileged": true, "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"]
            }
        })
    );
    let plain = create_body(&spec("name = 'x'\nimage = 'y'\nnetwork = 'container:web'"), "d");
    assert_eq!(plain["HostConfig"]["NetworkMode"], "container:web");
    assert_eq!(plain["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert!(
        plain.get("Cmd").is_none()
            && plain.get("Entrypoint").is_none()
            && plain.get("User").is_none()
            && plain.get("StopTimeout").is_none()
    );
    for (name, expected) in [
        ("hello", ("hello", "latest")),
        ("hello:1", ("hello", "1")),
        ("r.example.org:5000/a/b", ("r.example.org:5000/a/b", "latest")),
        ("r.example.org:5000/a/b:x", ("r.example.org:5000/a/b", "x")),
    ] {
        assert_eq!(repository_and_tag(name), expected);
    }
}
