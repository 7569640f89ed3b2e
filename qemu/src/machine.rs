//! A running virtual machine. It is started from a [`Description`] and ends when its value is dropped.

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

pub use crate::description::{Description, Kernel, Serial, Wire};

/// A running machine. When the value is dropped, QEMU is killed. The machine's files are removed, except the console's file and files in
/// [`Description::kept`].
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

/// File in a machine's folder with QEMU's stderr.
const ERRORS: &str = "qemu.err";
/// How long QEMU may take until its monitor answers.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long QEMU may take to read the memory of a saved machine.
const RESUME_LIMIT: Duration = Duration::from_secs(120);
/// Time between two checks of a state for which QEMU sends no event.
const POLL: Duration = Duration::from_millis(50);

impl Description {
    /// Starts a machine with this description.
    ///
    /// # Errors
    /// If a file cannot be made, or QEMU cannot be started.
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
            namespace: self.wire.as_ref().map(|wire| wire.namespace.clone()),
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
    /// The network namespace that QEMU runs in.
    namespace: Option<String>,
    /// The console's file. It is emptied at the start.
    log: PathBuf,
    /// File for QEMU's stderr.
    errors: PathBuf,
    on_terminal: bool,
}

impl Launch {
    fn spawn(&self) -> Result<Child, VmError> {
        File::create(&self.log).map_err(io("make", &self.log))?;
        let errors = File::create(&self.errors).map_err(io("make", &self.errors))?;
        let mut command = match &self.namespace {
            None => Command::new(self.program),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, self.program]);
                command
            }
        };
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

    /// How QEMU executes the guest's instructions.
    #[must_use]
    pub fn accel(&self) -> Accel {
        self.accel
    }

    /// QEMU's process id.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// The port of 127.0.0.1 that is forwarded to the port `guest` of the guest.
    #[must_use]
    pub fn port(&self, guest: u16) -> Option<u16> {
        self.forwards.iter().find(|(_, inside)| *inside == guest).map(|(outside, _)| *outside)
    }

    /// All forwarded ports: (host, guest).
    #[must_use]
    pub fn forwards(&self) -> &[(u16, u16)] {
        &self.forwards
    }

    /// Path of the socket for the control protocol.
    #[must_use]
    pub fn control_path(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    /// The machine's temporary folder. It is removed with the machine.
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
    /// If the monitor does not answer.
    pub fn monitor(&self) -> Result<Monitor, VmError> {
        Monitor::connect(&self.monitor_path())
    }

    /// A connection to the host's control port. Each answer may take `timeout`. The host may not be listening yet.
    ///
    /// # Errors
    /// If QEMU does not listen on the socket.
    pub fn control(&self, timeout: Duration) -> Result<Client, VmError> {
        let client = Client::connect(&self.control_path(), seed())?;
        client.set_timeout(Some(timeout))?;
        Ok(client)
    }

    /// Waits up to `limit` until the host answers on its control port ([`berth_control::answering`]). Returns the connection. Each further
    /// answer may take `timeout`.
    ///
    /// # Errors
    /// If the host does not answer within `limit`, or the machine ends.
    pub fn answering(&mut self, limit: Duration, timeout: Duration) -> Result<Client, VmError> {
        let (path, mut begin) = (self.control_path(), Instant::now());
        let client = answering(
            || Client::connect(&path, seed()),
            |_| self.go_on_waiting("an answer on the control port", limit, &mut begin),
        )?;
        client.set_timeout(Some(timeout))?;
        Ok(client)
    }

    /// Waits until the host reports that it is running.
    ///
    /// # Errors
    /// If the host is degraded, or is not running within `limit`, or the machine ends.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), VmError> {
        let mut client = self.answering(limit, limit)?;
        client.set_timeout(Some(stretched_now(limit)))?;
        match client.wait_ready() {
            Ok(()) => Ok(()),
            Err(ClientError::Lost { .. }) => Err(self.not_in_time("the host's readiness", limit)),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until `text` is on the console. The search starts at byte `from` of the console's text.
    ///
    /// # Errors
    /// If the text is not there within `limit`, or the machine ends.
    pub fn wait_for_text(&mut self, text: &str, from: usize, limit: Duration) -> Result<(), VmError> {
        self.wait_until(&format!("{text:?} on the console"), limit, |machine| {
            machine.console.text().get(from..).is_some_and(|said| said.contains(text))
        })
    }

    /// Waits until QEMU has ended by itself.
    ///
    /// # Errors
    /// If QEMU does not end within `limit`.
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

    /// Waits until `done` returns true. If the first boot hangs before the boot loader or the kernel has written to the console, the
    /// machine is restarted once ([`crate::standstill`]). The time limit then starts again.
    ///
    /// # Errors
    /// If `done` does not return true within `limit`, or the machine ends, or its boot hangs a second time.
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

    /// Sleeps for a moment. Returns an error if the machine has ended or the time is up. Resets `begin` if the machine was restarted.
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

    /// Waits until QEMU answers on the monitor's socket. QEMU makes the socket before it has checked all its arguments, so the socket alone
    /// does not show that QEMU runs.
    fn wait_for_monitor(&mut self) -> Result<(), VmError> {
        self.wait_until("QEMU's start", START_LIMIT, |machine| machine.monitor().is_ok())
    }

    /// Restarts the machine if its first boot hangs. Returns whether it was restarted.
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

    /// Ends the machine like a power cut: QEMU is killed. Files in [`Description::kept`] stay as QEMU has left them.
    pub fn cut_power(self) {
        drop(self);
    }

    fn end(&mut self) {
        // Both calls fail if QEMU has already ended. QEMU is gone in both cases.
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

/// A random number. It makes the request ids of each connection different.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Whether the time since `begin` is longer than `limit`. On a busy computer the limit is stretched.
fn is_over(begin: Instant, limit: Duration) -> bool {
    begin.elapsed() > limit && begin.elapsed() > stretched_now(limit)
}

fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> VmError + 'a {
    move |source| VmError::Io { doing, path: path.to_owned(), source }
}

/// Returns `wish`, or any free port if `wish` is 0. If another program takes the port before QEMU does, QEMU ends with an error.
fn free_port(wish: u16) -> Result<u16, VmError> {
    if wish != 0 {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, wish));
        return free.map(|_| wish).map_err(|source| VmError::Port { port: wish, source });
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(io("find a free port on", Path::new("127.0.0.1")))
}
