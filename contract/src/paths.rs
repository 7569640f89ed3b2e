//! Paths in the image and on the running host.

/// Directory of Berth's own files in the root file system.
pub const LIB: &str = "/usr/lib/berth";
/// PID 1 after the initrd. The kernel also calls it, as `modprobe`, to load modules.
pub const INIT: &str = "/usr/lib/berth/init";
/// The network process.
pub const NETD: &str = "/usr/lib/berth/netd";
/// The process that stores and forwards logs.
pub const LOGD: &str = "/usr/lib/berth/logd";
/// The program that imports preloaded images and starts declared containers.
pub const WORKLOAD: &str = "/usr/lib/berth/workload";
/// The remote API.
pub const HOSTD: &str = "/usr/lib/berth/hostd";
/// The program that keeps the clock right.
pub const TIMED: &str = "/usr/lib/berth/timed";
/// ntpd-rs, which timed starts.
pub const NTP_DAEMON: &str = "/usr/bin/ntp-daemon";
/// The host's command-line tool.
pub const HOSTCTL: &str = "/usr/bin/hostctl";
/// The description of the image, written by the builder: an [`crate::image_spec::ImageSpec`] as JSON.
pub const IMAGE_SPEC: &str = "/usr/lib/berth/image.json";
/// The program that repairs the file system on /var. The image may lack it.
pub const E2FSCK: &str = "/usr/sbin/e2fsck";
/// Directory of the services: one `NAME.toml` per service, each a [`crate::service::ServiceSpec`].
pub const SERVICES: &str = "/usr/lib/berth/services";
/// Directory of the preloaded OCI images, `NAME.tar`.
pub const IMAGES: &str = "/usr/lib/berth/images";
/// Lines of tmpfiles.d for what packages ship below /var and /run. init applies them before all other lines, as if dpkg had just unpacked
/// the packages.
pub const SHIPPED: &str = "/usr/lib/tmpfiles.d/00-packages.conf";
/// Directory of the kernel modules, which are in `/usr/lib/modules/RELEASE`.
pub const MODULES: &str = "/usr/lib/modules";
/// List of the device nodes that load their module when they are opened, in the directory of a kernel's modules.
pub const MODULES_DEVNAME: &str = "modules.devname";
/// The only persistent directory.
pub const VAR: &str = "/var";
/// Berth's own persistent state.
pub const STATE: &str = "/var/lib/berth";
/// The last machine configuration that was applied without an error.
pub const LAST_GOOD_CONFIG: &str = "/var/lib/berth/host.toml.good";
/// The place that [`LAST_GOOD_CONFIG`] came from, as `hostctl status` shows it: one line of text.
pub const LAST_GOOD_PLACE: &str = "/var/lib/berth/host.toml.place";
/// Exists if the host.toml of the boot before came from the ESP, although the last good one came from a disk.
pub const SUBSTITUTE_CONFIG: &str = "/var/lib/berth/host.toml.substitute";
/// Generations of the machine configuration, see [`crate::generation`].
pub const GENERATIONS: &str = "/var/lib/berth/config";
/// The text of the configuration that [`crate::control::Request::Configure`] takes. hostctl writes it; mode 0600.
pub const NEXT_CONFIG: &str = "/run/berth/host-config.next.toml";
/// The certificate authorities that programs of the host trust: PEM.
pub const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Copies of the image's files that init has changed in /etc.
pub const ORIGINALS: &str = "/run/berth/originals";
/// Kernel parameters of the machine configuration. Its name is the last one in the order of sysctl.d(5).
pub const HOST_SYSCTL: &str = "/etc/sysctl.d/zz-host-toml.conf";
/// Machine id, made at first boot.
pub const MACHINE_ID: &str = "/var/lib/berth/machine-id";
/// UUID of the machine on which [`MACHINE_ID`] was made, from its firmware.
pub const MACHINE_UUID: &str = "/var/lib/berth/machine-uuid";
/// Its modification time is the time of the last trim of /var.
pub const TRIMMED: &str = "/var/lib/berth/trimmed";
/// TUF's root metadata, named by the recipe: the public keys that a release must be signed with.
pub const TRUST_ROOT: &str = "/usr/lib/berth/root.json";
/// Directory of the image's own health checks. Each executable file is a check; they run in the order of their names. Status 0 means
/// healthy.
pub const HEALTH_CHECKS: &str = "/usr/lib/berth/health.d";
/// State of updates.
pub const UPDATE_STATE: &str = "/var/lib/berth/update";
/// The newest metadata that was verified (for TUF's rollback protection).
pub const TRUSTED_METADATA: &str = "/var/lib/berth/update/metadata";
/// What worked before an update: a [`crate::update::Baseline`] as JSON.
pub const BASELINE: &str = "/var/lib/berth/update/baseline.json";
/// Versions that failed: a list of [`crate::update::Quarantined`] as JSON.
pub const QUARANTINE: &str = "/var/lib/berth/update/quarantine.json";
/// The last check of each slot's content: a list of [`crate::update::SlotCheck`] as JSON.
pub const SLOT_CHECKS: &str = "/var/lib/berth/update/slots.json";
/// The kernel images of the installed versions: their digests, as JSON.
pub const KERNEL_IMAGES: &str = "/var/lib/berth/update/kernels.json";
/// Records of the last boots, `BOOT_ID.json`, each a [`crate::update::BootRecord`] as JSON.
pub const BOOTS: &str = "/var/lib/berth/boots";
/// Kernel panics of earlier boots: the content of pstore, copied at boot.
pub const PSTORE: &str = "/var/lib/berth/pstore";
/// The machine configuration in force, written by init: [`crate::host_config::HostConfig`] as JSON. Mode 0600.
pub const HOST_CONFIG: &str = "/run/berth/host-config.json";
/// The EFI variable in which systemd-boot stores the path of the entry that it booted, if the entry has a boot counter (UAPI.1, "boot
/// counting").
pub const LOADER_BOOT_COUNT_PATH: &str =
    "/sys/firmware/efi/efivars/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// The EFI variable in which systemd-boot stores the entry that it booted (Boot Loader Interface).
pub const LOADER_ENTRY_SELECTED: &str =
    "/sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// The EFI variable that names the entry for the next boot only.
pub const LOADER_ENTRY_ONE_SHOT: &str =
    "/sys/firmware/efi/efivars/LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// The EFI variable that names the entry for every boot without [`LOADER_ENTRY_ONE_SHOT`].
pub const LOADER_ENTRY_DEFAULT: &str =
    "/sys/firmware/efi/efivars/LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Runtime state of init.
pub const RUN: &str = "/run/berth";
/// The report of the initrd to the init of the host: a [`crate::boot_report::InitrdReport`] as JSON.
pub const INITRD_REPORT: &str = "/run/berth/initrd.json";
/// The console lines of the initrd, for `hostctl logs init`: a list of [`crate::control::LogLine`] as JSON.
pub const INITRD_LOG: &str = "/run/berth/initrd-log.json";
/// The control socket: newline-delimited JSON, see [`crate::control`]. Mode 0660, for root and [`CONTROL_GROUP`].
pub const CONTROL_SOCKET: &str = "/run/berth/control.sock";
/// The group that may open the control socket. Without this group in the image, the socket is for root only.
pub const CONTROL_GROUP: &str = "berth-control";
/// The control socket of logd, on which init answers only requests for logs. It belongs to the
/// user of the service with `reads_logs`.
pub const LOG_SOCKET: &str = "/run/berth/logs.sock";
/// The stored logs of kernel, init and services.
pub const LOG_STORE: &str = "/var/log/berth/system";
/// The stored logs of containers. Only while logs are forwarded.
pub const CONTAINER_LOG_STORE: &str = "/var/log/berth/containers";
/// The newest logs, while [`LOG_STORE`] cannot be written.
pub const LOG_STORE_IN_MEMORY: &str = "/run/logd/system";
/// The newest logs of containers, while [`CONTAINER_LOG_STORE`] cannot be written.
pub const CONTAINER_LOG_STORE_IN_MEMORY: &str = "/run/logd/containers";
/// How far logs have been forwarded: one file for each target.
pub const LOG_CURSORS: &str = "/var/log/berth/cursors";
/// Socket on which logd takes the lines of containers.
pub const CONTAINER_LOG_SOCKET: &str = "/run/logd/containers.sock";
/// The settings of logd, written by init: an object with the table `log` of host.toml.
pub const LOGD_CONFIG: &str = "/run/berth/config/logd.json";
/// Name of the virtio-serial port that speaks the same protocol.
pub const CONTROL_PORT: &str = "berth.control";
/// The declared containers, for the workload program: a [`crate::container::Declared`] as JSON. init writes it from the recipe and the
/// machine configuration.
pub const CONTAINERS: &str = "/run/berth/containers.json";
/// Directory of the files with the part of host.toml that each service reads.
pub const SERVICE_CONFIG: &str = "/run/berth/config";
/// The workload program's report: a list of [`crate::control::ContainerStatus`] as JSON.
pub const CONTAINERS_STATUS: &str = "/run/berth/containers-status.json";
/// Locked while declared containers are brought up.
pub const CONTAINERS_LOCK: &str = "/run/berth/containers.lock";
/// Settings of hostd, written by init: an object with the table `remote` of host.toml, if there is one.
pub const HOSTD_CONFIG: &str = "/run/berth/config/hostd.json";
/// Directory of hostd's own certificate.
pub const HOSTD_STATE: &str = "/var/lib/hostd";
/// netd's part of host.toml: the tables `network` and `dns` as JSON, written by init.
pub const NETD_CONFIG: &str = "/run/berth/config/netd.json";
/// netd's report: a [`crate::control::NetworkStatus`] as JSON.
pub const NETWORK_STATUS: &str = "/run/netd/status.json";
/// The report about the clock: a [`crate::time_config::TimeStatus`] as JSON.
pub const TIME_STATUS: &str = "/run/timed/status.json";
/// The resolver configuration that netd writes; `/etc/resolv.conf` links here.
pub const RESOLV_CONF: &str = "/run/netd/resolv.conf";

/// Size limit, in bytes, for reading any of these JSON files.
pub const MAX_JSON: u64 = 16 << 20;

/// Directory of unified kernel images on the ESP.
pub const ESP_LINUX: &str = "EFI/Linux";
/// File name ending of a staged unified kernel image. It is in the same folder as the boot entries, but systemd-boot ignores it.
pub const STAGED_ENDING: &str = ".staged";
/// Machine configuration on the ESP.
pub const ESP_HOST_CONFIG: &str = "berth/host.toml";
/// Machine configuration on a configuration disk, whose file system has one of [`CONFIG_LABELS`].
pub const DISK_HOST_CONFIG: &str = "host.toml";
/// File system labels of a configuration disk, in upper or lower case. A FAT label holds only the first 11 characters.
pub const CONFIG_LABELS: [&str; 2] = ["BERTH-CONFIG", "cidata"];
/// Name of the QEMU fw_cfg file with the machine configuration.
pub const FW_CFG_HOST_CONFIG: &str = "opt/berth/host.toml";
