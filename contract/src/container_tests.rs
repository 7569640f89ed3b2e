use super::*;

#[test]
fn the_reference_examples_are_read() {
    let spec: ContainerSpec = toml::from_str(
        "name = 'web'\nimage = 'hello'\nports = ['8080:80', '127.0.0.1:53:53/udp', '[::1]:1:2']\n\
         volumes = ['data:/data', '/var/x:/x:ro']\nmemory = '64MiB'\ncpus = 0.5\n",
    )
    .unwrap();
    spec.check().unwrap();
    assert_eq!(spec.memory, Some(ByteSize(64 << 20)));
    assert_eq!(spec.ports[2].to_string(), "[::1]:1:2/tcp");
    assert_eq!(spec.volumes[1].to_string(), "/var/x:/x:ro");
    let again: ContainerSpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
    assert_eq!(again, spec);
}

#[test]
fn values_that_the_engine_would_refuse_are_errors() {
    for bad in ["80", "0:80", "x:80", "80:80/sctp", "70000:1"] {
        assert!(bad.parse::<PortSpec>().is_err(), "{bad}");
    }
    for bad in ["/data", "data:rel", "../x:/x", "/var/../etc:/x", "/a:/b:/c"] {
        assert!(bad.parse::<VolumeSpec>().is_err(), "{bad}");
    }
    for bad in ["", "MiB", "12MB", "99999999999GiB", "-1"] {
        assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
    }
    assert!(toml::from_str::<ContainerSpec>("name='a'\nimage='b'\nnetwork='bridged'").is_err());
    let spec: ContainerSpec = toml::from_str("name='a'\nimage='b'\nnetwork='host'\nports=['1:1']").unwrap();
    assert!(spec.check().is_err());
}
