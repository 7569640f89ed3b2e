use super::*;

fn check(text: &str) -> Result<NetworkConfig, String> {
    let config: NetworkConfig = toml::from_str(text).map_err(|error| error.to_string())?;
    config.check().map_err(|fault| fault.to_string())?;
    Ok(config)
}

/// The example of the documentation, with every kind of virtual link.
const EVERYTHING: &str = r#"
[[link]]
match = { name = "en*", mac = "52:54:00:12:34:56", driver = "virtio_net", path = "0000:00:03.0" }
dhcp = "yes"
addresses = ["192.0.2.10/24", "2001:db8::10/64"]
gateway = ["192.0.2.1"]
routes = [{ to = "10.0.0.0/8", via = "192.0.2.254", metric = 100 }]
rules = [{ from = "192.0.2.10", table = 100, priority = 50 }]
mtu = 1500
dns = ["192.0.2.53"]
search = ["example.org"]

[[vlan]]
name = "vlan10"
id = 10
link = "bond0"

[[bond]]
name = "bond0"
links = ["enp1s0", "enp2s0"]
mode = "802.3ad"
lacp_rate = "fast"
hash_policy = "layer3+4"
up_delay = 200

[[bridge]]
name = "br10"
links = ["vlan10", "vx5"]
stp = true

[[vxlan]]
name = "vx5"
id = 5
remote = "239.1.1.1"
link = "dummy0"

[[wireguard]]
name = "wg0"
private_key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
peers = [{ public_key = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=", allowed_ips = ["10.9.0.0/24"], endpoint = "[2001:db8::1]:51820" }]

[[dummy]]
name = "dummy0"
addresses = ["10.255.0.1/32"]
"#;

#[test]
fn every_kind_of_link_is_read_and_written_back() {
    let config = check(EVERYTHING).unwrap();
    let names: Vec<_> = config.virtual_links().map(|own| own.name().to_string()).collect();
    assert_eq!(names, ["bond0", "dummy0", "vx5", "wg0", "vlan10", "br10"]);
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<NetworkConfig>(&json).unwrap(), config);
    assert!(json.contains("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="), "{json}");
    assert!(!format!("{config:?}").contains("AQIDBAUG"), "Debug does not show a secret");
    assert_eq!(config.links[0].addressing().dhcp(), Dhcp::Yes);
    assert_eq!(config.dummies[0].addressing().dhcp(), Dhcp::No);
}

#[test]
fn each_fault_names_its_key() {
    let link = "[[link]]\nmatch.name='e'\n";
    let bond = "[[bond]]\nname='b'\nlinks=['e']\n";
    let key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
    let peer = format!("{{public_key='{key}',allowed_ips=[]}}");
    let many = vec!["'10.0.0.0/8'"; 1001].join(",");
    for (text, fault) in [
        ("[[link]]\nmatch={}".into(), "network.link[0].match: expected name"),
        (format!("{link}mtu=60"), "network.link[0].mtu: expected 68 to 65535, found 60"),
        (format!("{link}mtu=1000\naddresses=['fd00::1/64']"), "network.link[0].mtu: expected 1280"),
        (format!("{link}addresses=['10.0.0.1']\ngateways=['x']"), "unknown field `gateways`"),
        (format!("{link}addresses=['10.0.0.300/8']"), "expected an address with prefix length"),
        (format!("{link}addresses=['10.0.0.1/24','10.0.0.1/8']"), "addresses[1]: expected each address once"),
        (format!("{link}gateway=['10.0.0.1','10.0.0.2']"), "network.link[0].gateway: expected one gateway"),
        (format!("{link}routes=[{{to='10.1.0.0/8'}}]"), "expected the first address of the network, 10.0.0.0/8"),
        (format!("{link}routes=[{{to='10.0.0.0/8',via='::1'}}]"), "network.link[0].routes[0].via: expected"),
        (format!("{link}rules=[{{table=5}}]"), "network.link[0].rules[0]: expected from"),
        (format!("{link}rules=[{{table=5,from='::/0',to='10.0.0.0/8'}}]"), "network.link[0].rules[0].to: expected"),
        (format!("{link}search=['a b']"), "network.link[0].search: expected domain names"),
        (format!("{link}dhcp='v5'"), "unknown variant `v5`"),
        ("[[link]]\nmatch.mac='52:54'".into(), "expected a hardware address"),
        ("[[vlan]]\nname='v'\nid=4095\nlink='e'".into(), "network.vlan[0].id: expected 1 to 4094, found 4095"),
        ("[[vlan]]\nname='v'\nid=1\nlink='v'".into(), "network.vlan[0]: expected links without a circle"),
        ("[[dummy]]\nname='a/b'".into(), "expected the name of a link"),
        ("[[dummy]]\nname='lo'".into(), "network.dummy[0].name: expected"),
        ("[[dummy]]\nname='a'\n[[dummy]]\nname='a'".into(), "network.dummy[1].name: expected a name of its own"),
        ("[[dummy]]\nname='a'\ndhcp='yes'".into(), "network.dummy[0].dhcp: expected no dhcp"),
        (format!("{bond}lacp_rate='fast'"), "network.bond[0].lacp_rate: expected mode 802.3ad"),
        (format!("{bond}arp_interval=100"), "network.bond[0].arp_targets: expected 1 to 16"),
        (format!("{bond}miimon=50\nup_delay=70"), "network.bond[0].up_delay: expected a multiple of miimon (50)"),
        ("[[bond]]\nname='b'\nlinks=[]".into(), "network.bond[0].links: expected at least one"),
        (format!("{bond}[[bridge]]\nname='c'\nlinks=['e']"), "network.bridge[0].links[0]: expected a port of one link"),
        ("[[bridge]]\nname='c'\nlinks=['*']".into(), "network.bridge[0].links[0]: expected the name of another"),
        ("[[vxlan]]\nname='x'\nid=1\nremote='239.0.0.1'".into(), "network.vxlan[0].link: expected"),
        ("[[wireguard]]\nname='w'\nprivate_key='abc'".into(), "expected 44 characters of base64 (32 bytes), found 3"),
        (
            format!("[[wireguard]]\nname='w'\nprivate_key='{key}'\npeers=[{peer},{peer}]"),
            "network.wireguard[0].peers[1].public_key: expected each key once",
        ),
        (
            format!(
                "[[wireguard]]\nname='w'\nprivate_key='{key}'\npeers=[{{public_key='{key}',allowed_ips=[{many}]}}]"
            ),
            "network.wireguard[0].peers[0].allowed_ips: expected 1000 networks at most, found 1001",
        ),
    ] {
        let found = check(&text).unwrap_err();
        assert!(found.contains(fault), "{text}\n{found}");
    }
    let circle = "[[vlan]]\nname='v'\nid=1\nlink='b'\n[[bridge]]\nname='b'\nlinks=['v*']";
    assert!(check(circle).unwrap_err().contains("below itself"));
    let dns = |text: &str| toml::from_str::<DnsConfig>(text).unwrap().check().map_err(|fault| fault.to_string());
    assert_eq!(dns("servers=['9.9.9.9']\nsearch=['a.example.']\noptions=['timeout:2']"), Ok(()));
    assert!(dns("options=['a b']").unwrap_err().starts_with("dns.options: expected"));
}

#[test]
fn a_match_needs_all_of_its_values() {
    let fits = |text: &str| {
        let wanted: Match = toml::from_str(text).unwrap();
        wanted.fits("enp3s0", Some([2, 0, 0, 0, 0, 1]), Some("e1000e"), Some("pci0000:00/0000:03:00.0"))
    };
    for text in [
        "",
        "name='en*'",
        "name='enp?s0'\nmac='02:00:00:00:00:01'",
        "driver='e1000*'\npath='0000:03:00.0'",
        "path='*/0000:03*'",
    ] {
        assert!(fits(text), "{text}");
    }
    for text in
        ["name='en'", "name='en*'\nmac='02:00:00:00:00:02'", "driver='virtio_net'", "path='03:00.0'", "name='*1'"]
    {
        assert!(!fits(text), "{text}");
    }
    for (pattern, text) in [("*", ""), ("a*b*c", "a-b-b-c"), ("**", "x"), ("", "")] {
        assert!(glob(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("?", ""), ("a*b", "a-b-"), ("", "x")] {
        assert!(!glob(pattern, text), "{pattern} {text}");
    }
}
