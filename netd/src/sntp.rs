//! Sets the clock by SNTP (RFC 4330): after the host's start, and again and again while it runs. Without a battery, a host's clock starts in 1970 or at the date of
//! the image, and TLS certificates are not valid at that time. The servers are those of DHCP option 42; there is no default server.

use crate::client::Moment;
use berth_contract::paths;
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use std::{
    fs, io,
    net::{Ipv4Addr, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    time::Duration,
};

const PORT: u16 = 123;
const PACKET: usize = 48;
/// RFC 4330 §10: the shortest time between two requests.
const AGAIN: Duration = Duration::from_secs(15);
/// Number of requests without an answer before the client gives up.
const TRIES: u32 = 8;
/// Nanoseconds. A smaller offset is not corrected, because processes see every step of the clock.
const STEP: i128 = 500_000_000;
/// Seconds from 1900, the epoch of NTP, to 1970.
const UNIX_EPOCH: i128 = 2_208_988_800;
const SECOND: i128 = 1_000_000_000;

/// How far the clock was off.
#[derive(Clone, Copy, Debug)]
pub struct Offset {
    /// The absolute difference in seconds.
    pub seconds: f64,
    /// Whether the clock was set. A small difference is left alone.
    pub is_corrected: bool,
}

/// A request that has no answer yet.
#[derive(Debug)]
pub struct Sntp {
    servers: Vec<Ipv4Addr>,
    tries: u32,
    socket: UdpSocket,
    /// Random bytes in place of this host's time. The answer must repeat them. They do not reveal the clock and cannot be guessed.
    nonce: [u8; 8],
    asked: i128,
    due: Moment,
    /// The image's date: an earlier time is wrong.
    earliest: i128,
}

impl Sntp {
    /// Sends a request to the first server. `None` when there are no servers.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub fn start(servers: &[Ipv4Addr], nonce: [u8; 8], now: Moment) -> io::Result<Option<Self>> {
        if servers.is_empty() {
            return Ok(None);
        }
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_nonblocking(true)?;
        let mut question =
            Self { servers: servers.to_vec(), tries: 0, socket, nonce, asked: 0, due: now, earliest: image_date() };
        question.ask(now);
        Ok(Some(question))
    }

    /// When to call [`Sntp::tick`].
    #[must_use]
    pub fn deadline(&self) -> Moment {
        self.due
    }

    /// Sends a request to the next server when it is time. False after the last request.
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
        // Version 4, mode client.
        let mut packet = [0; PACKET];
        packet[0] = 4 << 3 | 3;
        packet[40..].copy_from_slice(&self.nonce);
        self.asked = realtime();
        // An unreachable server is treated like a silent one. The socket is connected, so that only this server's answer is
        // received.
        let server = (self.servers[turn], PORT);
        let _ = self.socket.connect(server).and_then(|()| self.socket.send(&packet));
    }

    /// Reads an answer, and sets the clock when the offset is large. `None` when the packet was not an answer, or its time is before the
    /// image's date.
    ///
    /// # Errors
    /// When the clock cannot be set.
    pub fn receive(&mut self) -> io::Result<Option<Offset>> {
        let mut packet = [0; PACKET];
        let came = matches!(self.socket.recv(&mut packet), Ok(PACKET));
        let now = realtime();
        let Some(offset) = came.then(|| offset(&packet, self.nonce, self.asked, now)).flatten() else {
            return Ok(None);
        };
        let (is_corrected, then) = (offset.abs() > STEP, now + offset);
        if then < self.earliest {
            return Ok(None);
        }
        if is_corrected {
            clock_settime(ClockId::Realtime, timespec(then)?)?;
        }
        let seconds = Duration::from_nanos(u64::try_from(offset.abs()).unwrap_or(u64::MAX)).as_secs_f64();
        Ok(Some(Offset { seconds, is_corrected }))
    }
}

impl AsFd for Sntp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// RFC 4330 §5: offset of the server's clock in nanoseconds. Times are nanoseconds since 1970.
#[must_use]
pub fn offset(packet: &[u8; PACKET], nonce: [u8; 8], asked: i128, came: i128) -> Option<i128> {
    let (leap, mode, stratum) = (packet[0] >> 6, packet[0] & 7, packet[1]);
    if leap == 3 || mode != 4 || !(1..16).contains(&stratum) || packet[24..32] != nonce {
        return None;
    }
    let [received, sent] = [32, 40].map(|at| timestamp(packet[at..at + 8].try_into().ok()?));
    Some(((received? - asked) + (sent? - came)) / 2)
}

/// RFC 4330 §3: when the first bit is 0, the time is in 2036 or later.
fn timestamp(bytes: [u8; 8]) -> Option<i128> {
    let value = u64::from_be_bytes(bytes);
    let seconds = i128::from(value >> 32);
    let seconds = if seconds & 0x8000_0000 == 0 { seconds + (1 << 32) } else { seconds };
    (value != 0).then(|| (seconds - UNIX_EPOCH) * SECOND + ((i128::from(value & 0xffff_ffff) * SECOND) >> 32))
}

/// The time of the image's files; 0 when this does not run on a Berth host.
fn image_date() -> i128 {
    let found = fs::metadata(paths::IMAGE_SPEC);
    found.map_or(0, |found| i128::from(found.mtime()) * SECOND)
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
    fn timestamps_agree_with_the_specification() {
        // 1 January 1970, 20 January 2036 and 7 February 2036: the eras of RFC 4330 §3.
        assert_eq!(timestamp([0x83, 0xaa, 0x7e, 0x80, 0, 0, 0, 0]), Some(0));
        assert_eq!(timestamp([0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0]), Some(1_500_000_000));
        assert_eq!(timestamp([0, 0, 0, 0, 0, 0, 0, 1]), Some(2_085_978_496 * SECOND));
        assert_eq!(timestamp([0; 8]), None);
        assert_eq!(timespec(-1).unwrap().tv_nsec, 999_999_999);
    }

    #[test]
    fn only_an_answer_to_this_request_is_accepted() {
        let nonce = *b"question";
        let mut packet = [0; PACKET];
        (packet[0], packet[1]) = (4 << 3 | 4, 2);
        packet[24..32].copy_from_slice(&nonce);
        packet[32..36].copy_from_slice(&0x83aa_7e8a_u32.to_be_bytes());
        packet[40..44].copy_from_slice(&0x83aa_7e8b_u32.to_be_bytes());
        // Sent at 1 s, received by the server at 10 s, answered at 11 s, received here at 4 s.
        assert_eq!(offset(&packet, nonce, SECOND, 4 * SECOND), Some(8 * SECOND));
        for (at, value) in [(0, 4 << 3 | 3), (0, 0xe4), (1, 0), (1, 16), (24, 0)] {
            let mut bad = packet;
            bad[at] = value;
            assert_eq!(offset(&bad, nonce, 0, 0), None, "{at} {value}");
        }
    }

    #[test]
    fn requests_end_when_no_server_answers() {
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
