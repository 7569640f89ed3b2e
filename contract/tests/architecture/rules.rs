//! The tables of allowed imports. Each row names a crate or a module, and the crates or modules that it may import. A row may only name
//! rows above it, so that all imports go in one direction.

/// A row of a table: a name, and the names that it may import.
pub(crate) type Row = (&'static str, &'static [&'static str]);

/// Each row: folder of a crate, and folders of the crates that it may depend on.
pub(crate) const CRATES: &[Row] = &[
    ("judge", &[]),
    ("contract", &[]),
    ("file", &["contract"]),
    ("formats", &["contract"]),
    ("fetch", &["contract", "file"]),
    ("control", &["contract"]),
    ("engine", &["contract"]),
    ("init", &["contract", "file", "formats"]),
    ("netd", &["contract", "file", "control"]),
    ("workload", &["contract", "file", "engine"]),
    ("hostd", &["contract", "file", "control", "engine"]),
    ("hostctl", &["contract", "file", "formats", "fetch", "control", "engine"]),
    ("qemu", &["contract", "file", "control"]),
    ("builder", &["contract", "file", "formats", "fetch", "qemu"]),
];

/// The crates that PID 1 may depend on. None of them parses data from a network, and none is an async runtime. If you add a crate, check
/// its dependencies too (`cargo tree -p berth-init -e normal`).
pub(crate) const PID_1: &[&str] = &[
    "berth-contract",
    "berth-file",
    "berth-formats",
    "libc",
    "rustix",
    "seccompiler",
    "serde",
    "serde_json",
    "syscalls",
    "thiserror",
    "toml",
];

/// A crate with a table for its modules: its folder, the name of its library in paths, and the table. A module is a file or a folder
/// directly below `src`.
pub(crate) struct CrateModules {
    pub(crate) folder: &'static str,
    pub(crate) library: &'static str,
    pub(crate) modules: &'static [Row],
}

pub(crate) const MODULES: &[CrateModules] = &[
    CrateModules { folder: "builder", library: "berth", modules: BUILDER },
    CrateModules { folder: "init", library: "berth_init", modules: INIT },
    CrateModules { folder: "netd", library: "berth_netd", modules: NETD },
    CrateModules { folder: "workload", library: "berth_workload", modules: WORKLOAD },
    CrateModules { folder: "hostd", library: "berth_hostd", modules: HOSTD },
    CrateModules { folder: "hostctl", library: "hostctl", modules: HOSTCTL },
];

const BUILDER: &[Row] = &[
    ("date", &[]),
    ("scratch", &[]),
    ("tree", &[]),
    ("recipe", &[]),
    ("report", &["recipe"]),
    ("source", &["tree", "recipe", "scratch", "date"]),
    ("lock", &["source", "tree", "recipe", "scratch", "date"]),
    ("plan", &["lock", "source", "tree", "recipe"]),
    ("assemble", &["plan", "lock", "source", "tree", "recipe", "scratch"]),
    ("check", &["recipe", "tree", "assemble"]),
    ("image", &["plan", "lock", "source", "tree", "recipe", "assemble", "scratch"]),
    ("release", &["image", "assemble", "recipe", "report", "scratch", "date"]),
    ("access", &["release"]),
    (
        "pipeline",
        &["release", "check", "image", "assemble", "plan", "lock", "source", "tree", "recipe", "report", "date"],
    ),
    (
        "cli",
        &[
            "access", "pipeline", "release", "check", "image", "assemble", "plan", "lock", "source", "tree", "recipe",
            "report", "scratch", "date",
        ],
    ),
];

const INIT: &[Row] = &[
    ("sys", &[]),
    ("ending", &[]),
    ("timeline", &[]),
    ("drop_in", &[]),
    ("mount_table", &[]),
    ("kernel_log", &[]),
    ("random_seed", &[]),
    ("console", &["timeline"]),
    ("block", &[]),
    ("efi", &[]),
    ("clock", &[]),
    ("device_modes", &[]),
    ("device_nodes", &["block", "device_modes"]),
    ("mounts", &["console"]),
    ("modules", &["drop_in"]),
    ("crash_records", &["console", "modules", "mounts"]),
    ("services", &["drop_in"]),
    ("slot", &["block"]),
    ("uevent", &["console", "device_modes", "device_nodes", "modules"]),
    ("power", &["console", "modules", "sys", "timeline"]),
    ("config", &["block", "console", "modules"]),
    ("trial", &["block", "console", "efi", "kernel_log", "modules", "mounts", "slot"]),
    ("shutdown", &["console", "ending", "mount_table", "random_seed", "trial"]),
    ("phase", &["console", "shutdown", "timeline"]),
    ("control", &["console", "ending", "kernel_log"]),
    (
        "supervisor",
        &["config", "console", "control", "ending", "power", "services", "shutdown", "sys", "timeline", "trial"],
    ),
    (
        "initrd",
        &[
            "block",
            "console",
            "crash_records",
            "efi",
            "modules",
            "mounts",
            "phase",
            "power",
            "slot",
            "sys",
            "timeline",
            "trial",
            "uevent",
        ],
    ),
    (
        "host",
        &[
            "block",
            "config",
            "console",
            "crash_records",
            "clock",
            "device_nodes",
            "drop_in",
            "efi",
            "ending",
            "modules",
            "mounts",
            "phase",
            "power",
            "random_seed",
            "supervisor",
            "sys",
            "timeline",
            "trial",
            "uevent",
        ],
    ),
    ("sequence", &["host", "initrd", "phase"]),
];

const NETD: &[Row] = &[
    ("sys", &[]),
    ("link", &[]),
    ("message", &[]),
    ("datagram", &["message"]),
    ("lease", &["message"]),
    ("client", &["lease", "message"]),
    ("advertisement", &["client"]),
    ("sntp", &["client"]),
    ("rtnetlink", &["advertisement", "lease"]),
    ("publish", &["lease", "link", "rtnetlink"]),
    ("interface", &["client", "datagram", "lease", "link", "message", "rtnetlink", "sys"]),
    ("daemon", &["advertisement", "client", "interface", "lease", "link", "publish", "rtnetlink", "sntp"]),
];

const WORKLOAD: &[Row] = &[
    ("error", &[]),
    ("network", &[]),
    ("order", &[]),
    ("profiles", &["error"]),
    ("late", &["network"]),
    ("reconcile", &["order"]),
    ("start", &["error", "network"]),
];

const HOSTD: &[Row] = &[
    ("sys", &[]),
    ("places", &[]),
    ("audit", &[]),
    ("answer", &[]),
    ("identity", &[]),
    ("peer", &[]),
    ("failure", &["answer"]),
    ("settings", &["places"]),
    ("tls", &["identity", "peer"]),
    ("query", &["failure"]),
    ("routes", &["query"]),
    ("control", &["failure"]),
    ("events", &["answer", "control", "failure"]),
    ("counters", &[]),
    ("metrics", &["answer", "control", "counters", "failure", "sys"]),
    (
        "api",
        &[
            "answer", "audit", "control", "counters", "events", "failure", "metrics", "peer", "places", "query",
            "routes", "settings",
        ],
    ),
    ("server", &["api", "audit", "control", "counters", "identity", "peer", "places", "settings", "tls"]),
];

const HOSTCTL: &[Row] = &[
    ("file", &[]),
    ("file_lock", &[]),
    ("memory", &[]),
    ("show", &[]),
    ("sys", &[]),
    ("decoder", &["sys"]),
    ("desk", &[]),
    ("slots", &["decoder"]),
    ("source", &[]),
    ("entries", &["file", "slots"]),
    ("host", &["entries", "file"]),
    ("trust", &["file", "slots", "source"]),
    ("health", &["file"]),
    ("why", &["entries", "file", "health"]),
    ("failed_versions", &["entries", "file", "health", "why"]),
    ("kernel_image", &["entries", "slots"]),
    ("exit", &["entries", "file_lock", "slots", "source", "trust"]),
    ("var", &["slots"]),
    ("support", &[]),
    (
        "upgrade",
        &[
            "decoder",
            "entries",
            "failed_versions",
            "file_lock",
            "health",
            "host",
            "kernel_image",
            "memory",
            "slots",
            "source",
            "trust",
        ],
    ),
    ("heal", &["decoder", "entries", "file", "file_lock", "host", "slots", "trust", "upgrade"]),
    (
        "command",
        &[
            "desk",
            "entries",
            "exit",
            "failed_versions",
            "file",
            "file_lock",
            "heal",
            "health",
            "host",
            "show",
            "support",
            "upgrade",
            "var",
            "why",
        ],
    ),
];

/// Crates in which no two files may import each other: the folder, and the name of the library in paths.
pub(crate) const WITHOUT_CIRCLES: &[(&str, &str)] = &[
    ("judge", "berth_judge"),
    ("contract", "berth_contract"),
    ("file", "berth_file"),
    ("formats", "berth_formats"),
    ("fetch", "berth_fetch"),
    ("control", "berth_control"),
    ("engine", "berth_engine"),
    ("init", "berth_init"),
    ("netd", "berth_netd"),
    ("workload", "berth_workload"),
    ("hostd", "berth_hostd"),
    ("hostctl", "hostctl"),
    ("qemu", "berth_qemu"),
    ("builder", "berth"),
];
