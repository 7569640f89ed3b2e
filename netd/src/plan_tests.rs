use super::*;

const SETTINGS: &str = r#"
[[link]]
match = { name = "eth0" }
addresses = ["192.0.2.10/24"]
[[link]]
match = { name = "*" }
mtu = 9000
[[bond]]
name = "bond0"
links = ["eth1", "ens*"]
[[vlan]]
name = "vlan10"
id = 10
link = "bond0"
[[bridge]]
name = "br0"
links = ["vlan10"]
"#;

fn card(name: &str) -> Link {
    Link { name: name.to_owned(), mac: Some([2; 6]), is_hardware: true, ..Link::default() }
}

fn made(name: &str, alias: &str) -> Link {
    Link { is_hardware: false, is_ours: true, alias: alias.to_owned(), ..card(name) }
}

fn links(all: Vec<Link>) -> BTreeMap<u32, Link> {
    (1..).zip(all).collect()
}

#[test]
fn the_first_table_that_matches_is_taken_and_links_of_others_are_left_alone() {
    let config: NetworkConfig = toml::from_str(SETTINGS).unwrap();
    let docker = Link { is_hardware: false, ..card("docker0") };
    let taken = Link { master: Some(9), ..card("eth7") };
    let all = links(vec![card("eth0"), card("eth1"), card("eth2"), card("ens3"), docker, taken, made("bond0", "")]);
    let roles = roles(&config, &Choice::Physical, &all);
    assert_eq!(roles.keys().collect::<Vec<_>>(), [&1, &2, &3, &4, &7]);
    let Role::Managed(first) = &roles[&1] else { panic!("{roles:?}") };
    assert_eq!((first.keys.addresses.len(), first.dhcp4, first.dhcp6), (1, false, Dhcp6Use::No));
    assert_eq!(roles[&2], Role::Port { master: "bond0".into(), mtu: Some(9000) });
    let Role::Managed(third) = &roles[&3] else { panic!("{roles:?}") };
    assert_eq!((third.keys.mtu, third.dhcp4, third.dhcp6), (Some(9000), true, Dhcp6Use::Announced));
    assert!(matches!(&roles[&4], Role::Port { .. }) && matches!(&roles[&7], Role::Managed(_)));

    let defaults = super::roles(&NetworkConfig::default(), &Choice::Physical, &links(vec![card("eth0")]));
    assert!(matches!(&defaults[&1], Role::Managed(managed) if managed.dhcp4));
    let other = NetworkConfig { links: config.links[..1].to_vec(), ..NetworkConfig::default() };
    assert!(super::roles(&other, &Choice::Physical, &links(vec![card("eth9")])).is_empty(), "no table matches");
}

/// Plays the kernel: takes each step on the list of links.
#[test]
fn links_are_made_in_the_order_of_their_needs_and_only_once() {
    let mut config: NetworkConfig = toml::from_str(SETTINGS).unwrap();
    let mut all = links(vec![card("eth1"), card("ens3")]);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (now, waits) = steps(&config, &Choice::Physical, &all);
        let has_bond = all.values().any(|link| link.name == "bond0");
        assert_eq!(waits.is_empty(), has_bond, "{waits:?}");
        let text = now.iter().map(|step| match step {
            Step::Make { own, below, .. } => format!("make {} on {below:?}", own.name()),
            Step::Attach { port, master, .. } => format!("port {port} of {master}"),
            other => format!("{other:?}"),
        });
        seen.push(text.collect::<Vec<_>>());
        for step in now {
            match step {
                Step::Make { own, alias, .. } => {
                    let index = all.keys().max().unwrap() + 1;
                    all.insert(index, made(own.name().as_str(), &alias));
                }
                Step::Attach { port, master, .. } => all.get_mut(&port).unwrap().master = Some(master),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(
        seen,
        [
            vec!["make bond0 on None".to_owned(), "make br0 on None".into()],
            vec!["make vlan10 on Some(3)".into(), "port 1 of 3".into(), "port 2 of 3".into()],
            vec!["port 5 of 4".into()],
            vec![],
        ]
    );
    // A bridge is changed in place, a VLAN is made again; what goes out of the settings is removed.
    config.bridges[0].stp = Some(true);
    config.vlans[0].id = 11;
    let (now, _) = steps(&config, &Choice::Physical, &all);
    assert!(matches!(now[..], [Step::Remove { index: 5 }, Step::Change { index: 4, .. }]), "{now:?}");
    config.bonds.clear();
    config.vlans.clear();
    let (now, _) = steps(&config, &Choice::Physical, &all);
    let removed: Vec<_> = now.iter().filter(|step| matches!(step, Step::Remove { .. })).collect();
    assert_eq!(removed, [&Step::Remove { index: 3 }, &Step::Remove { index: 5 }]);
    assert!(now.contains(&Step::Detach { port: 1 }), "{now:?}");
}

#[test]
fn a_name_that_another_link_has_is_a_fault_unless_the_driver_has_made_it() {
    let config: NetworkConfig = toml::from_str("[[bond]]\nname='bond0'\nlinks=['eth1']").unwrap();
    let fresh = Link { is_hardware: false, ..card("bond0") };
    let (now, taken) = steps(&config, &Choice::Physical, &links(vec![fresh.clone()]));
    assert_eq!((now, taken.len()), (vec![Step::Remove { index: 1 }], 0));
    let bridge: NetworkConfig = toml::from_str("[[bridge]]\nname='bond0'").unwrap();
    let (now, taken) = steps(&bridge, &Choice::Physical, &links(vec![fresh.clone()]));
    assert_eq!((now.len(), taken.len()), (0, 1), "a bridge of another program, which is down");
    let used = Link { up: true, ..fresh };
    let (now, taken) = steps(&config, &Choice::Physical, &links(vec![used]));
    assert_eq!((now.len(), taken), (0, vec!["bond0: expected no link of this name, found one in use".to_owned()]));
    assert!(mentions(&config, &Choice::Physical, "eth1") && !mentions(&config, &Choice::Physical, "docker0"));
}

#[test]
fn the_primary_port_of_a_bond_follows_the_settings() {
    let text = "[[bond]]\nname='b'\nmode='active-backup'\nlinks=['eth*']\nprimary='eth1'";
    let mut config: NetworkConfig = toml::from_str(text).unwrap();
    let mut all = links(vec![card("eth0"), card("eth1")]);
    let alias = |config: &NetworkConfig| alias(config.virtual_links().next().unwrap(), None);
    all.insert(9, made("b", &alias(&config)));
    let (now, _) = steps(&config, &Choice::Physical, &all);
    assert!(!now.iter().any(|step| matches!(step, Step::Primary { .. })), "eth1 is no port yet: {now:?}");
    all.values_mut().filter(|link| link.is_hardware).for_each(|link| link.master = Some(9));
    assert_eq!(steps(&config, &Choice::Physical, &all).0, [Step::Primary { master: 9, port: 2 }]);
    all.get_mut(&9).unwrap().primary = Some("eth1".into());
    assert_eq!(steps(&config, &Choice::Physical, &all).0, []);
    config.bonds[0].primary = None;
    assert_eq!(steps(&config, &Choice::Physical, &all).0, [Step::Primary { master: 9, port: 0 }]);
}

#[test]
fn a_bridge_takes_the_hardware_address_of_its_first_card_once() {
    let config: NetworkConfig = toml::from_str("[[bridge]]\nname='br0'\nlinks=['eth*']").unwrap();
    let mut all = links(vec![card("eth0"), card("eth1")]);
    let own = config.virtual_links().next().unwrap();
    all.insert(9, made("br0", &alias(own, None)));
    let attach = |port, mac| Step::Attach { port, master: 9, own, mac };
    assert_eq!(steps(&config, &Choice::Physical, &all).0, [attach(1, Some([2; 6])), attach(2, None)]);
    all.get_mut(&2).unwrap().master = Some(9);
    assert_eq!(steps(&config, &Choice::Physical, &all).0, [attach(1, None)]);
}
