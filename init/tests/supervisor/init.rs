//! The host under test: the supervisor of init, with all its paths in a folder.

use berth_contract::{
    boot_report::{InitrdReport, NextBoot},
    container::ContainerSpec,
    digest::{RootHash, Sha256},
    disk::Slot,
    engine::EngineKind,
    image_spec::{ImageEngine, ImageSpec},
    update::HealthSpec,
};
use berth_init::{
    config, control,
    ending::Ending,
    power::Watchdogs,
    supervisor::{self, Handover, SupervisorPaths},
    sys::signal::SignalFd,
    timeline::Timeline,
    trial::{Boot, counter, store::Store},
};
use rustix::process::{getpid, set_child_subreaper};
use std::{fs, path::Path};

/// Exit statuses of the host process.
pub(crate) const REBOOT: i32 = 40;
pub(crate) const POWEROFF: i32 = 41;

pub(crate) fn supervise(folder: &Path) -> i32 {
    let signals = SignalFd::block(&supervisor::SIGNALS).unwrap();
    set_child_subreaper(Some(getpid())).unwrap();
    let path = |name: &str| folder.join(name);
    let paths = SupervisorPaths {
        services: path("services"),
        cgroup: None,
        notify: path("notify"),
        control: control::server::ControlPaths {
            group: None,
            socket: path("control"),
            log_socket: path("logs.sock"),
            ports: path("ports"),
            dev: folder.to_owned(),
            kernel_log: path("kmsg"),
        },
        service_config: path("config"),
        next_config: path("next.toml"),
        apply: |_, _| Ok(()),
        containers_status: path("containers.json"),
        network_status: path("network.json"),
        time_status: path("time.json"),
        var: folder.to_owned(),
        hostctl: path("hostctl"),
    };
    let container: ContainerSpec = toml::from_str("name = 'hello'\nimage = 'hello'").unwrap();
    let image = ImageSpec {
        id: "berth-test".parse().unwrap(),
        version: "1".parse().unwrap(),
        arch: "x86_64".parse().unwrap(),
        kernel: "6".into(),
        engine: Some(ImageEngine { kind: EngineKind::Docker, version: "26.1".into() }),
        modules: Vec::new(),
        images: Vec::new(),
        containers: vec![container],
        packages: std::collections::BTreeMap::new(),
        update: berth_contract::update::UpdateSpec::default(),
        health: HealthSpec {
            limit: fs::read_to_string(path("limit")).map_or(10_000_000, |text| text.parse().unwrap()),
        },
        remote: None,
        time: berth_contract::time_config::TimeConfig::default(),
        config_sources: berth_contract::config_source::ConfigSource::all(),
    };
    let initrd = InitrdReport {
        phases: Vec::new(),
        root_hash: RootHash(Sha256([7; 32])),
        slot: Slot::B,
        disk: "/dev/vda".into(),
        named_by_firmware: true,
        next_boot: NextBoot::Usual,
    };
    let mut boot = Boot::begin(&image, &initrd);
    boot.record.counter = counter::read(&path("LoaderBootCountPath")).unwrap();
    let var_in_memory = path("var-in-memory").exists();
    if !var_in_memory {
        boot.store = Some(Store::new(&path("boots")));
    }
    let handover = Handover {
        image,
        initrd,
        boot,
        timeline: Timeline::default(),
        config: config::CurrentConfig::default(),
        is_config_fetched: false,
        machine_id: "0".repeat(32),
        var_persistent: !var_in_memory,
        signals,
        buttons: Vec::new(),
        watchdogs: Watchdogs::default(),
    };
    match supervisor::run_in(handover, paths) {
        Ending::Reboot => REBOOT,
        Ending::Poweroff => POWEROFF,
    }
}
