//! A network of the test's own: a namespace with a tap for the machine, dnsmasq, and chrony. Needs root.

use crate::common::tool;
use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    fs::{self, File},
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// The address of the namespace, and the address that dnsmasq gives to the machine.
pub(crate) const HERE: &str = "10.78.0.1";
pub(crate) const MACHINE: &str = "10.78.0.100";
/// The machine's end of the cable.
pub(crate) const TAP: &str = "t0";

pub(crate) struct Site {
    pub(crate) namespace: String,
    servers: Vec<Child>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self { namespace: format!("berth{}", std::process::id()), servers: Vec::new() };
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
        self.servers.push(child.expect("ip(8) or dnsmasq is missing: run ci/setup"));
        // chrony tells the time of this computer, and leaves the clock alone (-x).
        let file = folder.join("chrony.conf");
        let pid = folder.join("chrony.pid");
        let text = format!("local stratum 5\nallow\ncmdport 0\nbindcmdaddress /\npidfile {}\n", pid.display());
        fs::write(&file, text).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, "chronyd", "-x", "-U", "-d", "-f"]).arg(&file);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.servers.push(child.expect("chronyd is missing: run ci/setup"));
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
        for child in &mut self.servers {
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
