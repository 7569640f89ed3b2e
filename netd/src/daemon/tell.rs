//! What netd tells the log and the supervisor.

use super::{Daemon, Ready, now, seed};
use crate::{client::Note, dhcp4::Event as Event4, dhcp6::Event6, interface::Event, lease::Lease, lease6::Lease6};
use berth_contract::fault::Failure;
use berth_control::Notify;
use std::fmt::Display;

impl Daemon<'_> {
    pub(super) fn handle(&mut self, index: u32, event: Event) -> Result<(), Failure> {
        let name = self.name(index);
        match event {
            Event::Four(Event4::Leased(lease, is_new)) => {
                if is_new {
                    self.say(&name, describe(&lease));
                }
                self.clock.learn(&lease.ntp, seed()?, now())?;
                self.say_ready(&format!("{name} {}/{}", lease.address, lease.prefix));
            }
            Event::Four(Event4::Lost(loss)) => {
                self.say(&name, &loss);
                self.notify_supervisor(|notify| notify.status(&format!("{name}: {loss}")));
            }
            Event::Four(Event4::Note(Note::Silence(times))) => {
                self.say(&name, format_args!("no DHCP server answers (asked {times} times)"));
            }
            Event::Four(Event4::Note(Note::Unusable(fault))) => {
                self.say(&name, format_args!("unusable DHCP answer: {fault}"));
            }
            Event::Six(Event6::Leased(lease, is_new)) => {
                if is_new {
                    self.say(&name, describe6(&lease));
                }
                // A link that waits for DHCPv4 too is ready with the latter, which is quicker and which engines need.
                let waits = self.interfaces.get(&index).is_some_and(|interface| interface.settings.dhcp4);
                if let Some(address) = lease.addresses.first().filter(|_| !waits) {
                    self.say_ready(&format!("{name} {}/128", address.ip));
                }
            }
            Event::Six(Event6::Lost(is_elsewhere)) => {
                let why = if is_elsewhere { "the server refused" } else { "the lease has expired" };
                self.say(&name, format_args!("DHCPv6: {why}"));
            }
            Event::Four(Event4::Unsent(error)) | Event::Six(Event6::Unsent(error)) => {
                self.say(&name, format_args!("cannot send a DHCP message: {error}"));
            }
        }
        Ok(())
    }

    pub(super) fn say_ready(&mut self, status: &str) {
        match std::mem::replace(&mut self.ready, Ready::Said) {
            Ready::By(_) => self.notify_supervisor(|notify| notify.ready(status)),
            Ready::Said => self.notify_supervisor(|notify| notify.status(status)),
        }
    }

    fn notify_supervisor(&mut self, tell: impl FnOnce(&Notify) -> std::io::Result<()>) {
        let told = tell(&self.notify);
        self.log_error("supervisor", told);
    }

    pub(super) fn log_error<E: Display>(&mut self, what: &str, result: Result<(), E>) {
        if let Err(error) = result {
            self.say(what, error);
        }
    }

    pub(super) fn say(&mut self, what: &str, text: impl Display) {
        // If the log cannot be written, the error has nowhere else to go.
        let _ = writeln!(self.log, "{what}: {text}");
    }
}

fn describe(lease: &Lease) -> String {
    let time = lease.lifetime.map_or("ever".to_owned(), |life| format!("{} s", life.as_secs()));
    let gateway = lease.gateway().map_or("no gateway".to_owned(), |gateway| format!("gateway {gateway}"));
    format!("{}/{} for {time} from {}, {gateway}", lease.address, lease.prefix, lease.server)
}

fn describe6(lease: &Lease6) -> String {
    let addresses: Vec<_> = lease.addresses.iter().map(|address| format!("{}/128", address.ip)).collect();
    let what = if addresses.is_empty() { "settings".to_owned() } else { addresses.join(" ") };
    format!("{what} by DHCPv6, name servers: {}", lease.dns.len())
}
