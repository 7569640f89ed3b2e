//! A running virtual machine: started from a description, ended with its value.

use crate::{accel::Accel, console::Console, error::VmError, folder::Folder, monitor::Monitor};
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

/// A running machine. Dropping it ends QEMU and removes everything it wrote but the console's file.
#[derive(Debug)]
pub struct Machine {
    program: &'static str,
    child: Child,
    folder: Folder,
    console: Console,
    forwards: Vec<(u16, u16)>,
    accel: Accel,
}

/// How often a state is looked at that QEMU does not announce.
const POLL: Duration = Duration::from_millis(50);

impl Description {
    /// Starts it.
    ///
    /// # Errors
    /// When a file cannot be made, or QEMU not be started.
    pub fn start(&self) -> Result<Machine, VmError> {
        let folder = Folder::new(&std::env::temp_dir())?;
        let real = |&(host, guest): &(u16, u16)| Ok((free_port(host)?, guest));
        let forwards: Vec<_> = self.forwards.iter().map(real).collect::<Result<_, VmError>>()?;
        let (Serial::File(log) | Serial::Terminal(log)) = &self.serial;
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent).map_err(io("make folder", parent))?;
        }
        File::create(log).map_err(io("make", log))?;
        let arguments = self.arguments(folder.path(), log, &forwards)?;
        let errors_path = folder.path().join("qemu.err");
        let errors = File::create(&errors_path).map_err(io("make", &errors_path))?;
        let program = self.arch.qemu.program;
        let mut command = Command::new(program);
        command.args(&arguments).stderr(errors);
        match self.serial {
            Serial::File(_) => command.stdin(Stdio::null()).stdout(Stdio::null()),
            Serial::Terminal(_) => &mut command,
        };
        let child = crate::tool::dies_with_us(&mut command)
            .spawn()
            .map_err(|source| VmError::Program { program: program.to_owned(), source })?;
        let mut machine =
            Machine { program, child, folder, console: Console::new(log.clone()), forwards, accel: self.accel };
        // The monitor is there before QEMU has looked at all it is told, but answers only afterwards.
        machine.wait_until("QEMU's start", Duration::from_secs(20), |machine| machine.monitor().is_ok())?;
        Ok(machine)
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

    /// A connection to the host's control protocol that has been answered ([`berth_control::answering`]); the next answer may take
    /// `timeout`.
    ///
    /// # Errors
    /// When nobody answers within `limit`, or the machine ends.
    pub fn answering(&mut self, limit: Duration, timeout: Duration) -> Result<Client, VmError> {
        let (path, end) = (self.control_path(), Instant::now() + limit);
        let client = answering(&path, seed, |_| self.go_on_waiting("an answer on the control port", limit, end))?;
        client.set_timeout(Some(timeout))?;
        Ok(client)
    }

    /// Waits until the host says that it is running.
    ///
    /// # Errors
    /// When it is degraded, or not running in time, or the machine ends.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), VmError> {
        let end = Instant::now() + limit;
        let mut client = self.answering(limit, limit)?;
        client.set_timeout(Some(end.saturating_duration_since(Instant::now()).max(POLL)))?;
        match client.wait_ready() {
            Ok(()) => Ok(()),
            Err(ClientError::Lost { .. }) => Err(self.not_in_time("the host's readiness", limit)),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the console has said `text` after byte `from` of what it has said.
    ///
    /// # Errors
    /// When it does not in time, or the machine ends.
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
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > end {
                return Err(self.not_in_time("the machine's end", limit));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until `done` says so.
    ///
    /// # Errors
    /// When it does not in time, or the machine ends.
    pub fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> Result<(), VmError> {
        let end = Instant::now() + limit;
        while !done(self) {
            self.go_on_waiting(what, limit, end)?;
        }
        Ok(())
    }

    /// Sleeps for a moment, unless the machine has ended or the time is up.
    fn go_on_waiting(&mut self, what: &str, limit: Duration, end: Instant) -> Result<(), VmError> {
        if let Some(status) = self.ended()? {
            let errors = fs::read_to_string(self.folder.path().join("qemu.err")).unwrap_or_default();
            let status = format!("{status} {}", errors.trim());
            return Err(VmError::Ended { status, what: what.to_owned(), console: self.console.tail() });
        }
        if Instant::now() > end {
            return Err(self.not_in_time(what, limit));
        }
        thread::sleep(POLL);
        Ok(())
    }

    /// Ends it as a power cut does: QEMU is killed. What the guest had written and the host's kernel has taken stays.
    pub fn cut_power(self) {
        drop(self);
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, VmError> {
        self.child.try_wait().map_err(io("wait for", Path::new(self.program)))
    }

    fn not_in_time(&self, what: &str, limit: Duration) -> VmError {
        VmError::TimeOut { what: what.to_owned(), limit, console: self.console.tail() }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended already; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes the ids of one connection unlike those of others.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> VmError + 'a {
    move |source| VmError::Io { doing, path: path.to_owned(), source }
}

/// `wish`, or any free port for 0. Free now: between here and QEMU's start somebody else may take it, and QEMU then says so.
fn free_port(wish: u16) -> Result<u16, VmError> {
    if wish != 0 {
        return Ok(wish);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(io("find a free port on", Path::new("127.0.0.1")))
}
