//! A network of the test's own: a namespace with a tap for the machine, dnsmasq, and a time server. Needs root.

use crate::common::tool;
use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The address of the namespace, and the address that dnsmasq gives to the machine.
pub(crate) const HERE: &str = "10.78.0.1";
pub(crate) const MACHINE: &str = "10.78.0.100";
/// The machine's end of the cable.
pub(crate) const TAP: &str = "t0";
/// Seconds from 1900, the epoch of NTP, to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

pub(crate) struct Site {
    pub(crate) namespace: String,
    dnsmasq: Option<Child>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self { namespace: format!("berth{}", std::process::id()), dnsmasq: None };
        tool("ip", &["netns", "add", &site.namespace]).expect("network namespaces need root");
        for words in [
            &["link", "set", "lo", "up"][..],
            &["tuntap", "add", "dev", TAP, "mode", "tap"],
            &["addr", "add", &format!("{HERE}/24"), "dev", TAP],
            &["link", "set", TAP, "up"],
        ] {
            tool("ip", &[&["-n", &site.namespace], words].concat()).unwrap();
        }
        site
    }

    /// Starts the DHCP server, and the time server that it names.
    pub(crate) fn open(&mut self, folder: &Path) {
        let leases = format!("--dhcp-leasefile={}", folder.join("leases").display());
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null"]);
        command.args(["--interface=t0", "--bind-dynamic", "--user=root", "--pid-file=", "--no-ping", "--port=0"]);
        command.args([&leases, "--dhcp-option=option:router,10.78.0.1", "--dhcp-option=option:dns-server,10.78.0.1"]);
        command.args(["--dhcp-option=option:mtu,1400", "--dhcp-option=option:ntp-server,10.78.0.1"]);
        command.arg(format!("--dhcp-range={MACHINE},{MACHINE},255.255.255.0,1h"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.dnsmasq = Some(child.expect("ip(8) or dnsmasq is missing: run ci/setup"));
        let socket = self.inside(|| UdpSocket::bind((HERE, 123))).unwrap();
        thread::spawn(move || tell_time(&socket));
    }

    /// Runs a function in a thread in the namespace.
    fn inside<T: Send>(&self, run: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        inside(&self.namespace, run)
    }

    /// Forwards a free port of this computer to a port of the machine. Returns the free port.
    pub(crate) fn forward(&self, port: u16) -> Result<u16> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (free, namespace) = (listener.local_addr()?.port(), self.namespace.clone());
        let target: SocketAddr = format!("{MACHINE}:{port}").parse().context("address")?;
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = inside(&namespace, || TcpStream::connect_timeout(&target, Duration::from_secs(10)))
                else {
                    continue;
                };
                let (Ok(client_again), Ok(server_again)) = (client.try_clone(), server.try_clone()) else { continue };
                thread::spawn(move || copy(client, server));
                thread::spawn(move || copy(server_again, client_again));
            }
        });
        ensure!(free > 0);
        Ok(free)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(child) = &mut self.dnsmasq {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = tool("ip", &["netns", "del", &self.namespace]);
    }
}

fn inside<T: Send>(namespace: &str, run: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let file = File::open(format!("/run/netns/{namespace}"))?;
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            run()
        });
        thread.join().unwrap()
    })
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// Answers every request with the time of this computer, RFC 4330 §5.
#[expect(clippy::disallowed_methods, reason = "a time server tells the time")]
fn tell_time(socket: &UdpSocket) {
    let mut request = [0; 48];
    while let Ok((length, client)) = socket.recv_from(&mut request) {
        if length < 48 {
            continue;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seconds = u32::try_from((now.as_secs() + NTP_EPOCH) & 0xffff_ffff).unwrap().to_be_bytes();
        let mut answer = [0; 48];
        (answer[0], answer[1]) = (4 << 3 | 4, 2);
        answer[24..32].copy_from_slice(&request[40..]);
        answer[32..36].copy_from_slice(&seconds);
        answer[40..44].copy_from_slice(&seconds);
        let _ = socket.send_to(&answer, client);
    }
}
