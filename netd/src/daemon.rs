//! The loop: one poll(2) over links, packets and time.

use crate::{
    advertisement::Announcements,
    client::{Moment, Note},
    interface::{Event, Interface},
    lease::Lease,
    link::{self, Choice},
    publish::{Configured, Publisher},
    rtnetlink::{Address, Changes, Rtnetlink},
    sntp::Sntp,
};
use berth_contract::{
    fault::{At, Failure},
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
    fmt::Display,
    fs::File,
    io::{Read, Write},
    net::Ipv4Addr,
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
    /// Which interfaces netd manages.
    pub choice: Choice,
    /// Wait before the time servers are asked again, whether they have answered or not: clocks drift, and machines are paused.
    pub time_again: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let directory = Path::new(paths::NETWORK_STATUS).parent().map(Path::to_owned).unwrap_or_default();
        Self { directory, choice: Choice::Physical, time_again: TIME_AGAIN }
    }
}

/// Manages the interfaces until the process is killed. Writes its actions to `log`, one line each.
///
/// # Errors
/// When no interface can be managed. The supervisor then starts netd again.
pub fn run(options: &Options, log: &mut dyn Write) -> Result<Infallible, Failure> {
    let mut daemon = Daemon {
        choice: &options.choice,
        kernel: Rtnetlink::open()?,
        interfaces: BTreeMap::new(),
        publisher: Publisher::new(&options.directory)?,
        notify: Notify::from_environment()?,
        ready: Ready::By(now() + READY_WITHIN),
        sntp: ClockSync::Unknown,
        time_again: options.time_again,
        clock_said: false,
        announcements: Announcements::default(),
        log,
    };
    // Subscribe before the first scan, so that no change in between is missed.
    let changes = Changes::open()?;
    daemon.scan()?;
    daemon.publish()?;
    loop {
        let came = daemon.wait(&changes)?;
        if came.changes {
            for announcement in changes.drain()? {
                daemon.announcements.learn(announcement, now());
            }
            daemon.scan()?;
        }
        daemon.work(&came)?;
        daemon.publish()?;
    }
}

struct Daemon<'a> {
    choice: &'a Choice,
    kernel: Rtnetlink,
    interfaces: BTreeMap<u32, Interface>,
    publisher: Publisher,
    notify: Notify,
    ready: Ready,
    sntp: ClockSync,
    time_again: Duration,
    /// Whether the log says already how the first question to the time servers ended.
    clock_said: bool,
    announcements: Announcements,
    log: &'a mut dyn Write,
}

enum Ready {
    /// Not reported yet. Will be reported at this time even without a lease.
    By(Moment),
    Said,
}

enum ClockSync {
    /// No server is known.
    Unknown,
    Asked(Sntp),
    /// Ask again at this time. After a power failure of a whole site, its internet connection may come up later than this host.
    Later(Moment),
}

/// The sources of a wakeup.
#[derive(Default)]
struct Came {
    changes: bool,
    time: bool,
    packets: Vec<u32>,
}

impl Daemon<'_> {
    /// Waits for input or for the next deadline.
    fn wait(&self, changes: &Changes) -> Result<Came, Failure> {
        let sntp = if let ClockSync::Asked(sntp) = &self.sntp { Some(sntp) } else { None };
        let ready = if let Ready::By(moment) = self.ready { Some(moment) } else { None };
        let interfaces = self.interfaces.values().filter_map(Interface::deadline);
        let later = if let ClockSync::Later(moment) = self.sntp { Some(moment) } else { None };
        let announced = self.announcements.deadline();
        let due = interfaces.chain(sntp.map(Sntp::deadline)).chain(later).chain(ready).chain(announced).min();
        let limit = due.map(|due| Timespec::try_from(due.saturating_sub(now()))).transpose()?;

        let mut fds = vec![PollFd::new(changes, PollFlags::IN)];
        fds.extend(self.interfaces.values().map(|interface| PollFd::new(interface.packets(), PollFlags::IN)));
        fds.extend(sntp.map(|sntp| PollFd::new(sntp, PollFlags::IN)));
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut came = fds.iter().map(|fd| !fd.revents().is_empty());
        let changes = came.next().unwrap_or(false);
        let packets = self.interfaces.keys().zip(came.by_ref()).filter(|(_, came)| *came).map(|(index, _)| *index);
        let packets = packets.collect();
        Ok(Came { changes, packets, time: came.next().unwrap_or(false) })
    }

    /// Reads all links again, and starts or stops managing interfaces.
    fn scan(&mut self) -> Result<(), Failure> {
        let mut links = link::scan(Path::new(link::SYS_CLASS_NET), self.choice).at("read", link::SYS_CLASS_NET)?;
        let still = |index: &u32, old: &mut Interface| {
            links.get(index).is_some_and(|link| (&link.name, link.mac) == (&old.link.name, old.link.mac))
        };
        let gone: Vec<_> = self.interfaces.extract_if(.., |index, old| !still(index, old)).collect();
        for (_, interface) in gone {
            self.say(&interface.link.name, "gone");
        }
        for (&index, link) in &links {
            if !self.interfaces.contains_key(&index) {
                if !link.up {
                    let up = self.kernel.set_up(index);
                    self.log_error(&link.name, up);
                }
                match Interface::adopt(index, link.clone(), seed()?) {
                    Ok(interface) => _ = self.interfaces.insert(index, interface),
                    Err(error) => self.say(&link.name, format_args!("cannot be managed: {error}")),
                }
            }
        }
        let hostname = hostname();
        let mut news = Vec::new();
        for (index, interface) in &mut self.interfaces {
            if let Some(link) = links.remove(index) {
                if link.carrier != interface.link.carrier {
                    let word = if link.carrier { "carrier" } else { "no carrier" };
                    news.push((*index, Err(word)));
                }
                let events = interface.see(link, now(), hostname.clone(), &mut self.kernel);
                news.extend(events.into_iter().map(|event| (*index, Ok(event))));
            }
        }
        for (index, news) in news {
            match news {
                Ok(event) => self.handle(index, event)?,
                Err(word) => self.say(&self.name(index), word),
            }
        }
        Ok(())
    }

    /// Handles the input, and performs the actions whose time has come.
    fn work(&mut self, came: &Came) -> Result<(), Failure> {
        let mut events = Vec::new();
        for (&index, interface) in &mut self.interfaces {
            let mut news = Vec::new();
            if came.packets.contains(&index) {
                news = interface.receive(now(), &mut self.kernel);
            }
            news.extend(interface.tick(now(), &mut self.kernel));
            events.extend(news.into_iter().map(|event| (index, event)));
        }
        for (index, event) in events {
            self.handle(index, event)?;
        }
        self.announcements.expire(now());
        self.follow_time(came.time)?;
        if let Ready::By(moment) = self.ready
            && now() >= moment
        {
            // A network with IPv6 only has no lease.
            let own = |a: &&Address| a.global && !a.unsure && self.interfaces.contains_key(&a.index);
            let found = self.kernel.addresses()?.iter().find(own).copied();
            let status = found.map(|a| format!("{} {}/{}", self.name(a.index), a.ip, a.prefix));
            self.say_ready(&status.unwrap_or_else(|| "no network yet".to_owned()));
        }
        Ok(())
    }

    /// Reads an answer of a time server if one has come, and asks the servers when it is time.
    fn follow_time(&mut self, came: bool) -> Result<(), Failure> {
        if let ClockSync::Asked(sntp) = &mut self.sntp {
            let answer = if came { sntp.receive() } else { Ok(None) };
            let goes_on = sntp.tick(now());
            let (said, is_news) = match answer {
                Ok(Some(offset)) => {
                    (format!("differed from the time server by {:.3} s", offset.seconds), offset.is_corrected)
                }
                Err(error) => (format!("cannot be set: {error}"), false),
                Ok(None) if !goes_on => ("no time server answers".to_owned(), false),
                Ok(None) => return Ok(()),
            };
            self.sntp = ClockSync::Later(now() + self.time_again);
            if is_news || !self.clock_said {
                self.clock_said = true;
                self.say("clock", said);
            }
        }
        if let ClockSync::Later(moment) = self.sntp
            && now() >= moment
        {
            let leases = self.interfaces.values().filter_map(Interface::lease);
            let servers: Vec<_> = leases.flat_map(|lease| lease.ntp.iter().copied()).collect();
            self.sntp = ask_time(&servers)?;
        }
        Ok(())
    }

    fn handle(&mut self, index: u32, event: Event) -> Result<(), Failure> {
        let name = self.name(index);
        match event {
            Event::Leased(lease, is_new) => {
                if is_new {
                    self.say(&name, describe(&lease));
                }
                if matches!(self.sntp, ClockSync::Unknown) {
                    self.sntp = ask_time(&lease.ntp)?;
                }
                self.say_ready(&format!("{name} {}/{}", lease.address, lease.prefix));
            }
            Event::Lost(loss) => {
                self.say(&name, &loss);
                self.notify_supervisor(|notify| notify.status(&format!("{name}: {loss}")));
            }
            Event::Note(Note::Silence(times)) => {
                self.say(&name, format_args!("no DHCP server answers (asked {times} times)"));
            }
            Event::Note(Note::Unusable(fault)) => self.say(&name, format_args!("unusable DHCP answer: {fault}")),
            Event::Refused(refused) => self.say(&name, refused),
            Event::Unsent(error) => self.say(&name, format_args!("cannot send a DHCP message: {error}")),
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), Failure> {
        let addresses = self.kernel.addresses()?;
        self.announcements.keep_only(|index| self.interfaces.contains_key(&index));
        let Self { interfaces, announcements: known, ready, publisher, .. } = self;
        let configured = interfaces.iter().map(|(&index, interface)| Configured {
            link: &interface.link,
            index,
            lease: interface.lease(),
            servers: known.servers(index).collect(),
            domains: known.domains(index).collect(),
        });
        let configured: Vec<_> = configured.collect();
        publisher.publish(&configured, &addresses, matches!(ready, Ready::Said))?;
        Ok(())
    }

    fn name(&self, index: u32) -> String {
        self.interfaces.get(&index).map(|interface| interface.link.name.clone()).unwrap_or_default()
    }

    fn say_ready(&mut self, status: &str) {
        match std::mem::replace(&mut self.ready, Ready::Said) {
            Ready::By(_) => self.notify_supervisor(|notify| notify.ready(status)),
            Ready::Said => self.notify_supervisor(|notify| notify.status(status)),
        }
    }

    fn notify_supervisor(&mut self, tell: impl FnOnce(&Notify) -> std::io::Result<()>) {
        let told = tell(&self.notify);
        self.log_error("supervisor", told);
    }

    fn log_error<E: Display>(&mut self, what: &str, result: Result<(), E>) {
        if let Err(error) = result {
            self.say(what, error);
        }
    }

    fn say(&mut self, what: &str, text: impl Display) {
        // If the log cannot be written, the error has nowhere else to go.
        let _ = writeln!(self.log, "{what}: {text}");
    }
}

fn describe(lease: &Lease) -> String {
    let time = lease.lifetime.map_or("ever".to_owned(), |life| format!("{} s", life.as_secs()));
    let gateway = lease.gateway().map_or("no gateway".to_owned(), |gateway| format!("gateway {gateway}"));
    format!("{}/{} for {time} from {}, {gateway}", lease.address, lease.prefix, lease.server)
}

/// Time since the host's start. Includes time in suspend, because a lease expires during suspend too.
fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The host name; `None` if the kernel has only a default name.
fn hostname() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    (!["", "(none)", "localhost"].contains(&name.as_str())).then_some(name)
}

fn ask_time(servers: &[Ipv4Addr]) -> Result<ClockSync, Failure> {
    Ok(Sntp::start(servers, seed()?.to_ne_bytes(), now())?.map_or(ClockSync::Unknown, ClockSync::Asked))
}

fn seed() -> Result<u64, Failure> {
    let (path, mut bytes) = ("/dev/urandom", [0; 8]);
    File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).at("read", path)?;
    Ok(u64::from_ne_bytes(bytes))
}
