//! Paths in the image and on the running host.

/// Directory of our own files in the root file system.
pub const LIB: &str = "/usr/lib/berth";
/// PID 1 of the host stage; also the kernel's modprobe helper when called as `modprobe`.
pub const INIT: &str = "/usr/lib/berth/init";
/// The network process.
pub const NETD: &str = "/usr/lib/berth/netd";
/// Imports preloaded images and starts declared containers.
pub const WORKLOAD: &str = "/usr/lib/berth/workload";
/// The host's command.
pub const HOSTCTL: &str = "/usr/bin/hostctl";
/// What the builder tells init: an [`crate::image_spec::ImageSpec`] as JSON.
pub const IMAGE_SPEC: &str = "/usr/lib/berth/image.json";
/// One `NAME.toml` per service, each a [`crate::service::ServiceSpec`].
pub const SERVICES: &str = "/usr/lib/berth/services";
/// Preloaded OCI images, `NAME.tar`.
pub const IMAGES: &str = "/usr/lib/berth/images";
/// Kernel modules live in `/usr/lib/modules/RELEASE`.
pub const MODULES: &str = "/usr/lib/modules";
/// The only persistent directory.
pub const VAR: &str = "/var";
/// Our own persistent state.
pub const STATE: &str = "/var/lib/berth";
/// The last machine configuration that was applied without an error.
pub const LAST_GOOD_CONFIG: &str = "/var/lib/berth/host.toml.good";
/// Machine id, made at first boot.
pub const MACHINE_ID: &str = "/var/lib/berth/machine-id";
/// The public keys that updates are trusted by: TUF's root metadata, as the recipe names it.
pub const TRUST_ROOT: &str = "/usr/lib/berth/root.json";
/// The image's own health checks: every executable file in it, in order of their names; status 0 is healthy.
pub const HEALTH_CHECKS: &str = "/usr/lib/berth/health.d";
/// State of updates.
pub const UPDATE_STATE: &str = "/var/lib/berth/update";
/// The newest metadata that was trusted (TUF's rollback protection).
pub const TRUSTED_METADATA: &str = "/var/lib/berth/update/metadata";
/// What worked before an update: [`crate::update::Baseline`] as JSON.
pub const BASELINE: &str = "/var/lib/berth/update/baseline.json";
/// Versions that failed: a list of [`crate::update::Quarantined`] as JSON.
pub const QUARANTINE: &str = "/var/lib/berth/update/quarantine.json";
/// The last boots, `BOOT_ID.json`, each a [`crate::update::BootRecord`].
pub const BOOTS: &str = "/var/lib/berth/boots";
/// What pstore held, copied at boot: kernel panics of earlier boots.
pub const PSTORE: &str = "/var/lib/berth/pstore";
/// The machine configuration in force, written by init: [`crate::host_config::HostConfig`] as JSON. Mode 0600.
pub const HOST_CONFIG: &str = "/run/berth/host-config.json";
/// The EFI variable by which systemd-boot tells which counted entry it took (UAPI.1, "boot counting").
pub const LOADER_BOOT_COUNT_PATH: &str =
    "/sys/firmware/efi/efivars/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// The EFI variable by which systemd-boot tells which entry it took (Boot Loader Interface).
pub const LOADER_ENTRY_SELECTED: &str =
    "/sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// The EFI variable that names the entry which systemd-boot takes at the next boot, and at that one only.
pub const LOADER_ENTRY_ONE_SHOT: &str =
    "/sys/firmware/efi/efivars/LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Runtime state of init.
pub const RUN: &str = "/run/berth";
/// What the initrd stage hands to the host stage: a [`crate::boot_report::InitrdReport`] as JSON.
pub const INITRD_REPORT: &str = "/run/berth/initrd.json";
/// The control socket: newline-delimited JSON, see [`crate::control`]. Mode 0600.
pub const CONTROL_SOCKET: &str = "/run/berth/control.sock";
/// Name of the virtio-serial port that speaks the same protocol.
pub const CONTROL_PORT: &str = "berth.control";
/// The declared containers that the workload program is to start: [`crate::container::Declared`] as JSON. init writes it from
/// recipe and machine configuration.
pub const CONTAINERS: &str = "/run/berth/containers.json";
/// What the workload program reports: a list of [`crate::control::ContainerStatus`] as JSON.
pub const CONTAINERS_STATUS: &str = "/run/berth/containers-status.json";
/// netd's report, [`crate::control::NetworkStatus`] as JSON.
pub const NETWORK_STATUS: &str = "/run/netd/status.json";
/// The resolver configuration that netd writes; `/etc/resolv.conf` links here.
pub const RESOLV_CONF: &str = "/run/netd/resolv.conf";

/// Largest JSON file below these paths that a program of the host reads, in bytes.
pub const MAX_JSON: u64 = 16 << 20;

/// Directory of unified kernel images on the ESP.
pub const ESP_LINUX: &str = "EFI/Linux";
/// Ending of a unified kernel image that is staged: beside the entries, but none yet.
pub const STAGED_ENDING: &str = ".staged";
/// Machine configuration on the ESP.
pub const ESP_HOST_CONFIG: &str = "berth/host.toml";
/// Machine configuration on a disk labelled [`CONFIG_LABELS`].
pub const DISK_HOST_CONFIG: &str = "host.toml";
/// File system labels of a configuration disk, upper or lower case; FAT has room for the first 11 characters.
pub const CONFIG_LABELS: [&str; 2] = ["BERTH-CONFIG", "cidata"];
/// Name of the QEMU fw_cfg file with the machine configuration.
pub const FW_CFG_HOST_CONFIG: &str = "opt/berth/host.toml";
