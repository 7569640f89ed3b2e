//! The loop: one poll(2) over links, packets, settings and time. [`scan`] handles links, [`tell`] says what has happened.

mod scan;
mod tell;

use crate::{
    advertisement::Announcements,
    client::Moment,
    clock::Clock,
    dhcp4::Dhcp4,
    dhcp6::Dhcp6,
    interface::Interface,
    link::Choice,
    pace::Pace,
    publish::Publisher,
    report::{Bare, Facts},
    resolv_conf::Source,
    rtnetlink::{Address, Changes, Rtnetlink},
    settings::Settings,
    sys::signal::Hangup,
};
use berth_contract::{
    fault::{At, Failure},
    network_config::Wireguard,
    paths,
};
use berth_control::Notify;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    time::{ClockId, clock_gettime},
};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// After this time netd reports that it is ready without a lease: the services that need it must start even if there is no network.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// Default of [`Options::time_again`].
const TIME_AGAIN: Duration = Duration::from_secs(600);

/// The options of netd's command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Directory of the files that netd writes.
    pub directory: PathBuf,
    /// File of the settings.
    pub settings: PathBuf,
    /// Which links netd manages.
    pub choice: Choice,
    /// Wait before the time servers are asked again, whether they have answered or not: clocks drift, and machines are paused.
    pub time_again: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let directory = Path::new(paths::NETWORK_STATUS).parent().map(Path::to_owned).unwrap_or_default();
        Self { directory, settings: paths::NETD_CONFIG.into(), choice: Choice::Physical, time_again: TIME_AGAIN }
    }
}

/// Manages the links until the process is killed. Writes its actions to `log`, one line each.
///
/// # Errors
/// When no link can be managed. The supervisor then starts netd again.
pub fn run(options: &Options, log: &mut dyn Write) -> Result<Infallible, Failure> {
    let mut daemon = Daemon {
        options,
        settings: Settings::default(),
        settings_error: None,
        keys: BTreeMap::new(),
        errors: Vec::new(),
        kernel: Rtnetlink::open()?,
        interfaces: BTreeMap::new(),
        bare: BTreeMap::new(),
        pace: Pace::default(),
        is_stale: false,
        publisher: Publisher::new(&options.directory)?,
        notify: Notify::from_environment()?,
        ready: Ready::By(now() + READY_WITHIN),
        clock: Clock::new(options.time_again),
        announcements: Announcements::default(),
        log,
    };
    let hangup = Hangup::open()?;
    daemon.read_settings();
    // Subscribe before the first scan, so that no change in between is missed.
    let changes = Changes::open()?;
    daemon.scan()?;
    daemon.publish()?;
    loop {
        daemon.wait(&changes, &hangup)?;
        let has_new_settings = hangup.came();
        if has_new_settings {
            daemon.read_settings();
        }
        if let Some(announced) = changes.drain()? {
            announced.into_iter().for_each(|announcement| daemon.announcements.learn(announcement, now()));
            daemon.is_stale = true;
        }
        let is_due = daemon.scan_due().is_some_and(|due| due <= now());
        if is_due || has_new_settings {
            daemon.is_stale = false;
            daemon.scan()?;
        }
        daemon.work()?;
        daemon.publish()?;
    }
}

struct Daemon<'a> {
    options: &'a Options,
    settings: Settings,
    /// Why the file of the settings cannot be used.
    settings_error: Option<String>,
    /// The keys and peers of WireGuard links that are set, by index.
    keys: BTreeMap<u32, Wireguard>,
    /// What could not be done when the links were last scanned.
    errors: Vec<String>,
    kernel: Rtnetlink,
    interfaces: BTreeMap<u32, Interface>,
    bare: BTreeMap<u32, Bare>,
    pace: Pace,
    /// Something has changed since the last scan.
    is_stale: bool,
    publisher: Publisher,
    notify: Notify,
    ready: Ready,
    clock: Clock,
    announcements: Announcements,
    log: &'a mut dyn Write,
}

enum Ready {
    /// Not reported yet. Will be reported at this time even without a lease.
    By(Moment),
    Said,
}

impl Daemon<'_> {
    /// When the links are scanned again.
    fn scan_due(&self) -> Option<Moment> {
        let again = self.interfaces.values().filter_map(Interface::again).min();
        if self.is_stale { Some(self.pace.next()) } else { again.map(|again| again.max(self.pace.next())) }
    }

    /// Waits for input or for the next deadline. All input is read afterwards, so it does not matter what has come.
    fn wait(&self, changes: &Changes, hangup: &Hangup) -> Result<(), Failure> {
        let ready = if let Ready::By(moment) = self.ready { Some(moment) } else { None };
        let interfaces = self.interfaces.values().filter_map(Interface::deadline);
        let others =
            [ready, self.scan_due(), self.clock.deadline(), self.announcements.deadline()].into_iter().flatten();
        let due = interfaces.chain(others).min();
        let limit = due.map(|due| Timespec::try_from(due.saturating_sub(now()))).transpose()?;

        let mut fds = vec![PollFd::new(changes, PollFlags::IN), PollFd::new(hangup, PollFlags::IN)];
        let packets = self.interfaces.values().filter_map(Interface::four).map(Dhcp4::packets);
        fds.extend(packets.map(|packets| PollFd::new(packets, PollFlags::IN)));
        let sockets = self.interfaces.values().filter_map(Interface::six).filter_map(Dhcp6::socket);
        fds.extend(sockets.map(|socket| PollFd::new(socket, PollFlags::IN)));
        fds.extend(self.clock.socket().map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the settings. A faulty file changes nothing: at the start there are no settings, which means DHCP on every card.
    fn read_settings(&mut self) {
        match Settings::read(&self.options.settings) {
            Ok(settings) => (self.settings, self.settings_error) = (settings, None),
            Err(error) => {
                self.say("settings", &error);
                self.settings_error = Some(format!("settings: {error}"));
            }
        }
    }

    /// Handles the input, and performs the actions whose time has come.
    fn work(&mut self) -> Result<(), Failure> {
        let mut events = Vec::new();
        for (&index, interface) in &mut self.interfaces {
            let news = interface.work(now());
            if !news.is_empty() {
                let refused = interface.apply(now(), &mut self.kernel);
                events.push((index, news, refused));
            }
        }
        for (index, news, refused) in events {
            let name = self.name(index);
            refused.iter().for_each(|error| self.say(&name, error));
            news.into_iter().try_for_each(|event| self.handle(index, event))?;
        }
        self.announcements.expire(now());
        let leases = self.interfaces.values().filter_map(Interface::lease);
        let servers: Vec<_> = leases.flat_map(|lease| lease.ntp.iter().copied()).collect();
        if let Some(line) = self.clock.follow(&servers, seed()?, now())? {
            self.say("clock", line);
        }
        if let Ready::By(moment) = self.ready {
            let is_late = now() >= moment;
            let status = self.first_address(is_late)?;
            if status.is_some() || is_late {
                self.say_ready(&status.unwrap_or_else(|| "no network yet".to_owned()));
            }
        }
        Ok(())
    }

    /// An address in use. A link with static addresses does not wait for a lease; all others wait, and a network with IPv6 only has none.
    fn first_address(&mut self, of_any_link: bool) -> Result<Option<String>, Failure> {
        let own = |a: &&Address| {
            let is_static = |one: &Interface| one.link.carrier && !one.settings.keys.addresses.is_empty();
            let interface = self.interfaces.get(&a.index);
            a.global && !a.unsure && interface.is_some_and(|one| of_any_link || is_static(one))
        };
        let found = self.kernel.addresses()?.iter().find(own).copied();
        Ok(found.map(|a| format!("{} {}/{}", self.name(a.index), a.ip, a.prefix)))
    }

    fn publish(&mut self) -> Result<(), Failure> {
        let (addresses, routes, rules) = (self.kernel.addresses()?, self.kernel.routes()?, self.kernel.rules()?);
        let hears = |one: &Interface| one.settings.keys.router_advertisements != Some(false);
        self.announcements.keep_only(|index| self.interfaces.get(&index).is_some_and(hears));
        let known = &self.announcements;
        let sources = self.interfaces.iter().map(|(&index, interface)| Source {
            link: &interface.link,
            index,
            keys: &interface.settings.keys,
            lease: interface.lease(),
            lease6: interface.lease6(),
            servers: known.servers(index).collect(),
            domains: known.domains(index).collect(),
        });
        let refused = self.interfaces.values().flat_map(|interface| interface.refused().iter());
        let own = self.settings.network.virtual_links();
        let facts = Facts {
            sources: sources.collect(),
            bare: &self.bare,
            kinds: own.map(|own| (own.name().as_str(), own.kind())).collect(),
            addresses,
            routes,
            rules,
            dns: &self.settings.dns,
            settled: matches!(self.ready, Ready::Said),
            asked_time: self.clock.has_asked(),
            errors: self.settings_error.iter().chain(&self.errors).chain(refused).cloned().collect(),
        };
        self.publisher.publish(&facts)?;
        Ok(())
    }

    fn name(&self, index: u32) -> String {
        self.interfaces.get(&index).map(|interface| interface.link.name.clone()).unwrap_or_default()
    }
}

/// Time since the host's start. Includes time in suspend, because a lease expires during suspend too.
fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn seed() -> Result<u64, Failure> {
    let (path, mut bytes) = ("/dev/urandom", [0; 8]);
    File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).at("read", path)?;
    Ok(u64::from_ne_bytes(bytes))
}
