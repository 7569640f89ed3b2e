//! Sets the clock once after the machine's start, by SNTP (RFC 4330). Machines without a battery clock begin in 1970 or at the
//! image's date, and no certificate is valid there. Servers are those that DHCP names (option 42); there are no others.

use crate::client::Moment;
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

const PORT: u16 = 123;
const PACKET: usize = 48;
/// RFC 4330 §10: no more often than this.
const AGAIN: Duration = Duration::from_secs(15);
/// Then the network's time is not to be had.
const TRIES: u32 = 8;
/// Less is left alone: processes see every step.
const STEP: i128 = 500_000_000;
/// From 1900, where NTP begins, to 1970.
const UNIX_EPOCH: i128 = 2_208_988_800;
const SECOND: i128 = 1_000_000_000;

/// A question that is open.
#[derive(Debug)]
pub struct Sntp {
    servers: Vec<Ipv4Addr>,
    tries: u32,
    socket: UdpSocket,
    /// Sent as our time and expected back: it says nothing about this machine's clock, and nobody guesses it.
    nonce: [u8; 8],
    asked: i128,
    due: Moment,
}

impl Sntp {
    /// Asks the first of the servers. `None` without servers.
    ///
    /// # Errors
    /// When no socket is to be had.
    pub fn start(servers: &[Ipv4Addr], nonce: [u8; 8], now: Moment) -> io::Result<Option<Self>> {
        if servers.is_empty() {
            return Ok(None);
        }
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_nonblocking(true)?;
        let mut question = Self { servers: servers.to_vec(), tries: 0, socket, nonce, asked: 0, due: now };
        question.ask(now);
        Ok(Some(question))
    }

    /// When [`Sntp::tick`] is to be called.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        self.due
    }

    /// Asks the next server when it is time. False when enough was asked.
    pub fn tick(&mut self, now: Moment) -> bool {
        if now >= self.due {
            self.ask(now);
        }
        self.tries <= TRIES
    }

    fn ask(&mut self, now: Moment) {
        let turn = usize::try_from(self.tries).unwrap_or(0) % self.servers.len();
        self.tries += 1;
        self.due = now + AGAIN;
        // Version 4, client.
        let mut packet = [0; PACKET];
        packet[0] = 4 << 3 | 3;
        packet[40..].copy_from_slice(&self.nonce);
        self.asked = realtime();
        // One that cannot be reached is one that does not answer. Connected: only this server's answer comes in.
        let server = (self.servers[turn], PORT);
        let _ = self.socket.connect(server).and_then(|()| self.socket.send(&packet));
    }

    /// Takes an answer; sets the clock when it is far off, and returns by how many seconds. `None`: it was no answer.
    ///
    /// # Errors
    /// When the clock cannot be set.
    pub fn receive(&mut self) -> io::Result<Option<f64>> {
        let mut packet = [0; PACKET];
        let came = matches!(self.socket.recv(&mut packet), Ok(PACKET));
        let now = realtime();
        let Some(offset) = came.then(|| offset(&packet, self.nonce, self.asked, now)).flatten() else {
            return Ok(None);
        };
        if offset.abs() > STEP {
            clock_settime(ClockId::Realtime, timespec(now + offset)?)?;
        }
        Ok(Some(Duration::from_nanos(u64::try_from(offset.abs()).unwrap_or(u64::MAX)).as_secs_f64()))
    }
}

impl AsFd for Sntp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// RFC 4330 §5: how far the server's clock is ahead, in nanoseconds. Times are nanoseconds since 1970.
fn offset(packet: &[u8; PACKET], nonce: [u8; 8], asked: i128, came: i128) -> Option<i128> {
    let (leap, mode, stratum) = (packet[0] >> 6, packet[0] & 7, packet[1]);
    if leap == 3 || mode != 4 || !(1..16).contains(&stratum) || packet[24..32] != nonce {
        return None;
    }
    let [received, sent] = [32, 40].map(|at| timestamp(packet[at..at + 8].try_into().ok()?));
    Some(((received? - asked) + (sent? - came)) / 2)
}

/// RFC 4330 §3: with bit 0 unset the time is in 2036 or later.
fn timestamp(bytes: [u8; 8]) -> Option<i128> {
    let value = u64::from_be_bytes(bytes);
    let seconds = i128::from(value >> 32);
    let seconds = if seconds & 0x8000_0000 == 0 { seconds + (1 << 32) } else { seconds };
    (value != 0).then(|| (seconds - UNIX_EPOCH) * SECOND + ((i128::from(value & 0xffff_ffff) * SECOND) >> 32))
}

fn realtime() -> i128 {
    let now = clock_gettime(ClockId::Realtime);
    i128::from(now.tv_sec) * SECOND + i128::from(now.tv_nsec)
}

fn timespec(time: i128) -> io::Result<Timespec> {
    let part = |value: i128| i64::try_from(value).map_err(io::Error::other);
    Ok(Timespec { tv_sec: part(time.div_euclid(SECOND))?, tv_nsec: part(time.rem_euclid(SECOND))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_specification() {
        // 1 January 1970, 20 January 2036 and 7 February 2036: RFC 4330 §3's eras.
        assert_eq!(timestamp([0x83, 0xaa, 0x7e, 0x80, 0, 0, 0, 0]), Some(0));
        assert_eq!(timestamp([0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0]), Some(1_500_000_000));
        assert_eq!(timestamp([0, 0, 0, 0, 0, 0, 0, 1]), Some(2_085_978_496 * SECOND));
        assert_eq!(timestamp([0; 8]), None);
        assert_eq!(timespec(-1).unwrap().tv_nsec, 999_999_999);
    }

    #[test]
    fn only_the_answer_to_this_question_counts() {
        let nonce = *b"question";
        let mut packet = [0; PACKET];
        (packet[0], packet[1]) = (4 << 3 | 4, 2);
        packet[24..32].copy_from_slice(&nonce);
        packet[32..36].copy_from_slice(&0x83aa_7e8a_u32.to_be_bytes());
        packet[40..44].copy_from_slice(&0x83aa_7e8b_u32.to_be_bytes());
        // Asked at 1 s, received there at 10 s, answered at 11 s, here again at 4 s.
        assert_eq!(offset(&packet, nonce, SECOND, 4 * SECOND), Some(8 * SECOND));
        for (at, value) in [(0, 4 << 3 | 3), (0, 0xe4), (1, 0), (1, 16), (24, 0)] {
            let mut bad = packet;
            bad[at] = value;
            assert_eq!(offset(&bad, nonce, 0, 0), None, "{at} {value}");
        }
    }

    #[test]
    fn a_server_that_is_asked_gets_a_question_and_silence_ends() {
        let second = Duration::from_secs(1);
        let mut question = Sntp::start(&[Ipv4Addr::LOCALHOST], *b"question", second).unwrap().unwrap();
        let mut asked = 0;
        while question.tick(question.deadline()) {
            asked += 1;
        }
        assert_eq!(asked, TRIES - 1);
        assert!(Sntp::start(&[], *b"question", second).unwrap().is_none());
    }
}
