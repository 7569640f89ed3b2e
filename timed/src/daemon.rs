//! The loop: waits for changes of the servers and for the end of ntpd-rs, and writes the report.

use crate::{
    configuration, observation,
    process::Process,
    servers::{Servers, choose},
};
use berth_contract::{
    control::NetworkStatus,
    fault::{At, Failure},
    image_spec::ImageSpec,
    paths,
    time_config::{TimeConfig, TimeStatus},
};
use berth_file::{Flush, read_json, replace};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
    io::Errno,
    time::{ClockId, clock_gettime},
};
use serde::Deserialize;
use std::{
    convert::Infallible,
    fmt::Display,
    fs,
    io::Write,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

/// The name of this service: its file of settings has it.
const SERVICE: &str = "timed";
/// How often the report is renewed: until the clock follows a server, and afterwards.
const OFTEN: Duration = Duration::from_secs(2);
const RARELY: Duration = Duration::from_secs(30);
/// Wait before ntpd-rs is started again after it has ended.
const AGAIN: Duration = Duration::from_secs(30);

/// Files and programs. Tests have others.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the files that this program writes.
    pub directory: PathBuf,
    /// `[time]` of host.toml, written by init.
    pub settings: PathBuf,
    /// The report of netd.
    pub network: PathBuf,
    /// The description of the image. Its date is the earliest time.
    pub image: PathBuf,
    /// ntpd-rs.
    pub program: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            directory: Path::new(paths::TIME_STATUS).parent().map(Path::to_owned).unwrap_or_default(),
            settings: format!("/run/berth/config/{SERVICE}.json").into(),
            network: paths::NETWORK_STATUS.into(),
            image: paths::IMAGE_SPEC.into(),
            program: paths::NTP_DAEMON.into(),
        }
    }
}

/// The part of host.toml that this service reads.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    time: TimeConfig,
}

/// Keeps the clock right until the process is killed. Writes its actions to `log`, one line each.
///
/// # Errors
/// When the changes of files cannot be watched, or the report cannot be written.
pub fn run(options: &Options, log: &mut dyn Write) -> Result<Infallible, Failure> {
    fs::create_dir_all(&options.directory).at("create", &options.directory)?;
    let image: TimeConfig = read_json::<ImageSpec>(&options.image, paths::MAX_JSON).map(|image| image.time)?;
    let watch = watch(&options.network)?;
    let mut clock = Clock { options, image, servers: None, process: None, start: None, problem: None, log };
    loop {
        clock.follow_servers()?;
        clock.keep_running()?;
        let is_synchronised = clock.report()?;
        clock.wait(&watch, is_synchronised)?;
    }
}

struct Clock<'a> {
    options: &'a Options,
    image: TimeConfig,
    /// `None` until netd has tried to set the clock itself.
    servers: Option<Servers>,
    process: Option<Process>,
    /// When ntpd-rs must be started.
    start: Option<Duration>,
    /// Why ntpd-rs has ended.
    problem: Option<String>,
    log: &'a mut dyn Write,
}

impl Clock<'_> {
    /// Reads which servers there are. If they have changed, ntpd-rs must start again.
    fn follow_servers(&mut self) -> Result<(), Failure> {
        // netd's first question ends before its report names servers: two programs must not set the clock at once.
        let network = read_json::<NetworkStatus>(&self.options.network, paths::MAX_JSON).unwrap_or_default();
        let Some(dhcp) = network.ntp else { return Ok(()) };
        let settings = match read_json::<Settings>(&self.options.settings, paths::MAX_JSON) {
            Err(error) if error.is_missing() => Settings::default(),
            other => other?,
        };
        let servers = choose(&settings.time, &dhcp, &self.image);
        if self.servers.as_ref() != Some(&servers) {
            let names: Vec<&str> = servers.list.iter().map(|server| server.address.as_str()).collect();
            match servers.origin {
                Some(origin) => self.say(format_args!("time servers of {origin}: {}", names.join(" "))),
                None => self.say("there is no time server: DHCP names none"),
            }
            self.process = None;
            self.problem = None;
            self.start = (!servers.list.is_empty()).then(now);
            self.servers = Some(servers);
        }
        Ok(())
    }

    /// Starts ntpd-rs when it must run, and learns when it has ended.
    fn keep_running(&mut self) -> Result<(), Failure> {
        if let Some(process) = &mut self.process
            && let Some(why) = process.ended()?
        {
            self.process = None;
            self.start = Some(now() + AGAIN);
            self.say(&why);
            self.problem.get_or_insert(why);
        }
        let Some(servers) = self.servers.as_ref().filter(|_| self.start.is_some_and(|start| now() >= start)) else {
            return Ok(());
        };
        let back = self.age_of_image()?;
        let file = self.options.directory.join("ntp.toml");
        let text = configuration::text(&servers.list, &self.socket(), back);
        replace(&file, text.as_bytes(), 0o600, Flush::Nothing)?;
        self.start = None;
        match Process::start(&self.options.program, &file) {
            Ok(process) => self.process = Some(process),
            Err(error) => {
                let why = format!("cannot start {}: {error}", self.options.program.display());
                self.say(&why);
                self.problem = Some(why);
                self.start = Some(now() + AGAIN);
            }
        }
        Ok(())
    }

    /// Writes the report. Returns whether the clock follows a server.
    fn report(&mut self) -> Result<bool, Failure> {
        let Some(servers) = &self.servers else { return Ok(false) };
        let mut status = TimeStatus {
            origin: servers.origin,
            servers: servers.list.iter().map(|server| server.address.clone()).collect(),
            problem: self.problem.clone(),
            checked_us: u64::try_from(now().as_micros()).unwrap_or(u64::MAX),
            ..TimeStatus::default()
        };
        if self.process.is_some()
            && let Ok(observed) = observation::ask(&self.socket())
        {
            if let Some(server) = observed.far_behind(self.age_of_image()?) {
                let problem = format!("the time of {server} is before the date of the image");
                if self.problem.as_ref() != Some(&problem) {
                    self.say(&problem);
                }
                self.problem = Some(problem);
            }
            status.problem = None;
            observed.describe(&mut status);
            status.problem = self.problem.clone().filter(|_| !status.synchronised).or(status.problem);
        }
        let path = self.options.directory.join(Path::new(paths::TIME_STATUS).file_name().unwrap_or_default());
        replace(&path, &serde_json::to_vec(&status)?, 0o644, Flush::Nothing)?;
        if status.synchronised && self.problem.take().is_some() {
            self.say("the clock follows a time server again");
        }
        Ok(status.synchronised)
    }

    /// Waits until a file has changed, ntpd-rs has ended, or the report is due.
    fn wait(&self, watch: &OwnedFd, is_synchronised: bool) -> Result<(), Failure> {
        let report = self.process.as_ref().map(|_| if is_synchronised { RARELY } else { OFTEN });
        let start = self.start.map(|start| start.saturating_sub(now()));
        let limit = report.into_iter().chain(start).min().map(Timespec::try_from).transpose()?;
        let mut fds = vec![PollFd::new(watch, PollFlags::IN)];
        fds.extend(self.process.as_ref().map(|process| PollFd::new(process, PollFlags::IN)));
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Which file has changed does not matter: all are read again.
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(watch.as_fd(), &mut buffer);
        while events.next().is_ok() {}
        Ok(())
    }

    /// Seconds from the date of the image until now: the clock may be set back by as much.
    fn age_of_image(&self) -> Result<u64, Failure> {
        let image = fs::metadata(&self.options.image).at("examine", &self.options.image)?.mtime();
        Ok(u64::try_from(clock_gettime(ClockId::Realtime).tv_sec.saturating_sub(image)).unwrap_or(0))
    }

    fn socket(&self) -> PathBuf {
        self.options.directory.join("observe")
    }

    fn say(&mut self, text: impl Display) {
        // If the log cannot be written, the message has nowhere else to go.
        let _ = writeln!(self.log, "{text}");
    }
}

/// Watches the folder of netd's report. Files are replaced by renaming. A change of host.toml restarts this service, so the settings are
/// not watched.
fn watch(network: &Path) -> Result<OwnedFd, Failure> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let folder = network.parent().unwrap_or(Path::new("/"));
    inotify::add_watch(&watch, folder, inotify::WatchFlags::MOVED_TO).at("watch", folder)?;
    Ok(watch)
}

/// Time since the host's start, with time in suspend.
fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
