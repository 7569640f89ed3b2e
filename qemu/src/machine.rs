//! A running virtual machine. It is started from a description and ends when its value is dropped.

use crate::{
    accel::Accel,
    console::Console,
    description::Places,
    error::VmError,
    folder::Folder,
    monitor::Monitor,
    patience::stretched_now,
    watch::{Action, Watch},
};
use berth_control::{Client, ClientError, answering};
use std::{
    fs::{self, File},
    hash::{BuildHasher, Hasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

pub use crate::description::{Description, Kernel, Serial};

/// A running machine. Dropping it ends QEMU and removes everything that it wrote, except the console's file.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    folder: Folder,
    console: Console,
    forwards: Vec<(u16, u16)>,
    accel: Accel,
    launch: Launch,
    watch: Watch,
}

/// File in a machine's folder with what QEMU says on stderr.
const ERRORS: &str = "qemu.err";
/// How long QEMU may take until its monitor answers.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long QEMU may take to read the memory of a saved machine.
const RESUME_LIMIT: Duration = Duration::from_secs(120);
/// Time between two looks at a state that QEMU does not announce.
const POLL: Duration = Duration::from_millis(50);

impl Description {
    /// Starts it.
    ///
    /// # Errors
    /// When a file cannot be made, or QEMU cannot be started.
    pub fn start(&self) -> Result<Machine, VmError> {
        let folder = Folder::new(&std::env::temp_dir())?;
        let real = |&(host, guest): &(u16, u16)| Ok((free_port(host)?, guest));
        let forwards: Vec<_> = self.forwards.iter().map(real).collect::<Result<_, VmError>>()?;
        let (Serial::File(log) | Serial::Terminal(log)) = &self.serial;
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent).map_err(io("make folder", parent))?;
        }
        let state = self.kept.as_deref().unwrap_or(folder.path());
        let places = Places { folder: folder.path(), state, log };
        self.prepare(&places)?;
        let launch = Launch {
            program: self.arch.qemu.program,
            arguments: self.arguments(&places, &forwards),
            log: log.clone(),
            errors: folder.path().join(ERRORS),
            on_terminal: matches!(self.serial, Serial::Terminal(_)),
        };
        let child = launch.spawn()?;
        let watch = Watch::new(self.silence, self.kernel.is_none() && self.booted.is_none());
        let console = Console::new(log.clone());
        let mut machine = Machine { child, folder, console, forwards, accel: self.accel, launch, watch };
        machine.wait_for_monitor()?;
        if self.booted.is_some() {
            let runs = |machine: &mut Machine| machine.monitor().is_ok_and(|mut qmp| qmp.resume().unwrap_or(false));
            machine.wait_until("the saved machine's memory", RESUME_LIMIT, runs)?;
        }
        Ok(machine)
    }
}

/// How QEMU is started.
#[derive(Debug)]
struct Launch {
    program: &'static str,
    arguments: Vec<String>,
    /// The console's file, which begins empty.
    log: PathBuf,
    /// What QEMU says on stderr.
    errors: PathBuf,
    on_terminal: bool,
}

impl Launch {
    fn spawn(&self) -> Result<Child, VmError> {
        File::create(&self.log).map_err(io("make", &self.log))?;
        let errors = File::create(&self.errors).map_err(io("make", &self.errors))?;
        let mut command = Command::new(self.program);
        command.args(&self.arguments).stderr(errors);
        if !self.on_terminal {
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }
        crate::tool::dies_with_us(&mut command)
            .spawn()
            .map_err(|source| VmError::Program { program: self.program.to_owned(), source })
    }
}

impl Machine {
    /// The serial console.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// How instructions are run.
    #[must_use]
    pub fn accel(&self) -> Accel {
        self.accel
    }

    /// QEMU's process id.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// The port of 127.0.0.1 through which the guest's port is reached.
    #[must_use]
    pub fn port(&self, guest: u16) -> Option<u16> {
        self.forwards.iter().find(|(_, inside)| *inside == guest).map(|(outside, _)| *outside)
    }

    /// All forwarded ports: (host, guest).
    #[must_use]
    pub fn forwards(&self) -> &[(u16, u16)] {
        &self.forwards
    }

    /// The socket that speaks the control protocol.
    #[must_use]
    pub fn control_path(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    /// The machine's throw-away folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn monitor_path(&self) -> PathBuf {
        self.folder.path().join("qmp")
    }

    /// A connection to QEMU's monitor.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn monitor(&self) -> Result<Monitor, VmError> {
        Monitor::connect(&self.monitor_path())
    }

    /// A connection to the host's control protocol; an answer may take `timeout`.
    ///
    /// # Errors
    /// When QEMU does not listen.
    pub fn control(&self, timeout: Duration) -> Result<Client, VmError> {
        let client = Client::connect(&self.control_path(), seed())?;
        client.set_timeout(Some(timeout))?;
        Ok(client)
    }

    /// A connection to the host's control protocol on which the host has answered ([`berth_control::answering`]); the next answer may
    /// take `timeout`.
    ///
    /// # Errors
    /// When the host does not answer within `limit`, or the machine ends.
    pub fn answering(&mut self, limit: Duration, timeout: Duration) -> Result<Client, VmError> {
        let (path, mut begin) = (self.control_path(), Instant::now());
        let client =
            answering(&path, seed, |_| self.go_on_waiting("an answer on the control port", limit, &mut begin))?;
        client.set_timeout(Some(timeout))?;
        Ok(client)
    }

    /// Waits until the host reports that it is running.
    ///
    /// # Errors
    /// When the host is degraded, or not running in time, or the machine ends.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), VmError> {
        let mut client = self.answering(limit, limit)?;
        client.set_timeout(Some(stretched_now(limit)))?;
        match client.wait_ready() {
            Ok(()) => Ok(()),
            Err(ClientError::Lost { .. }) => Err(self.not_in_time("the host's readiness", limit)),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until `text` is on the console, after byte `from` of the console's text.
    ///
    /// # Errors
    /// When the text does not come in time, or the machine ends.
    pub fn wait_for_text(&mut self, text: &str, from: usize, limit: Duration) -> Result<(), VmError> {
        self.wait_until(&format!("{text:?} on the console"), limit, |machine| {
            machine.console.text().get(from..).is_some_and(|said| said.contains(text))
        })
    }

    /// Waits until QEMU has ended by itself.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_for_end(&mut self, limit: Duration) -> Result<ExitStatus, VmError> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if is_over(begin, limit) {
                return Err(self.not_in_time("the machine's end", limit));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until `done` returns true. A first boot that stands still before its kernel or boot loader has said a word is started
    /// anew, once; time counts from there then.
    ///
    /// # Errors
    /// When `done` does not return true in time, or the machine ends, or its boot stands still again.
    pub fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> Result<(), VmError> {
        let mut begin = Instant::now();
        while !done(self) {
            self.go_on_waiting(what, limit, &mut begin)?;
        }
        Ok(())
    }

    /// Sleeps for a moment, unless the machine has ended or the time is up. Sets `begin` anew when the machine was started anew.
    fn go_on_waiting(&mut self, what: &str, limit: Duration, begin: &mut Instant) -> Result<(), VmError> {
        if let Some(status) = self.ended()? {
            let errors = fs::read_to_string(&self.launch.errors).unwrap_or_default();
            let status = format!("{status} {}", errors.trim());
            return Err(VmError::Ended { status, what: what.to_owned(), console: self.console.tail() });
        }
        if self.watch.is_due() && self.look_after_boot()? {
            *begin = Instant::now();
        }
        if is_over(*begin, limit) {
            return Err(self.not_in_time(what, limit));
        }
        thread::sleep(POLL);
        Ok(())
    }

    /// The monitor's socket is there before QEMU has read all its arguments, but is answered only afterwards.
    fn wait_for_monitor(&mut self) -> Result<(), VmError> {
        self.wait_until("QEMU's start", START_LIMIT, |machine| machine.monitor().is_ok())
    }

    /// Returns whether the machine had to be started anew, because its first boot stood still.
    fn look_after_boot(&mut self) -> Result<bool, VmError> {
        let (text, monitor) = (self.console.text(), self.monitor());
        match self.watch.look(&text, self.console.path(), monitor) {
            Action::Wait => Ok(false),
            Action::GiveUp(folder) => Err(VmError::StandsStill { folder, console: self.console.tail() }),
            Action::StartAnew => {
                self.end();
                self.child = self.launch.spawn()?;
                self.wait_for_monitor()?;
                Ok(true)
            }
        }
    }

    /// Ends it as a power cut does: QEMU is killed. What QEMU had written to its files stays.
    pub fn cut_power(self) {
        drop(self);
    }

    fn end(&mut self) {
        // QEMU may have ended already. Either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, VmError> {
        self.child.try_wait().map_err(io("wait for", Path::new(self.launch.program)))
    }

    fn not_in_time(&self, what: &str, limit: Duration) -> VmError {
        VmError::TimeOut { what: what.to_owned(), limit, console: self.console.tail() }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

/// Makes the ids of one connection unlike those of others.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Whether `limit` is over. On a busy machine everything takes longer.
fn is_over(begin: Instant, limit: Duration) -> bool {
    begin.elapsed() > limit && begin.elapsed() > stretched_now(limit)
}

fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> VmError + 'a {
    move |source| VmError::Io { doing, path: path.to_owned(), source }
}

/// `wish`, or any free port for 0. Another program may take the port before QEMU does; QEMU then ends with an error.
fn free_port(wish: u16) -> Result<u16, VmError> {
    if wish != 0 {
        return Ok(wish);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(io("find a free port on", Path::new("127.0.0.1")))
}
