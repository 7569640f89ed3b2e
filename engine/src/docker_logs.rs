//! The stream of `GET /containers/NAME/logs` with `timestamps=1`.
//!
//! Without a terminal it consists of frames: one byte for the stream (1 stdout, 2 stderr), three zeros, the length (big-endian), and a line
//! with its time in front. docker splits lines that are longer than 16 KiB. With a terminal it is plain text.

use super::{
    http::HttpError,
    log::{ContainerLine, LogRequest},
};
use std::{
    io::{self, BufRead, Read},
    ops::ControlFlow,
};

/// Longest frame, and longest line of a terminal: a longer one is split. docker's frames are 16 KiB at most, plus the time. A receiver's limit
/// is [`berth_contract::control::MAX_LINE`] for a line as JSON, which is up to six times as long.
const LONGEST: usize = 64 << 10;
const STDERR: u8 = 2;

/// Path and query of the request. `name` is encoded.
pub(crate) fn target(name: &str, ask: &LogRequest) -> String {
    let since = ask.since_ns.map(|ns| ns.max(0));
    let since = since.map_or(String::new(), |ns| format!("&since={}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000));
    format!("/containers/{name}/logs?stdout=1&stderr=1&timestamps=1&follow={}{since}", u8::from(ask.follow))
}

/// Passes each line of the stream to `line`.
pub(crate) fn read(
    mut stream: impl BufRead,
    is_terminal: bool,
    line: &mut dyn FnMut(ContainerLine) -> ControlFlow<()>,
) -> Result<(), HttpError> {
    let broken = HttpError::Broken;
    loop {
        if is_terminal {
            let mut text = Vec::new();
            let count = stream.by_ref().take(LONGEST as u64).read_until(b'\n', &mut text).map_err(broken)?;
            if count == 0 || line(parse(&text, false)).is_break() {
                return Ok(());
            }
            continue;
        }
        let mut head = [0; 8];
        match stream.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read.map_err(broken)?,
        }
        let length = head[4..].first_chunk().copied().map_or(0, u32::from_be_bytes);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if head[0] > STDERR || head[1..4] != [0; 3] || length > LONGEST {
            return Err(HttpError::protocol("the head of a frame of a container's output", &head));
        }
        let mut text = vec![0; length];
        stream.read_exact(&mut text).map_err(broken)?;
        if line(parse(&text, head[0] == STDERR)).is_break() {
            return Ok(());
        }
    }
}

/// `2026-11-30T10:00:00.123456789Z TEXT`.
fn parse(bytes: &[u8], is_error: bool) -> ContainerLine {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\n', '\r']);
    let dated = text.split_once(' ').unwrap_or((text, ""));
    match dated.0.parse::<jiff::Timestamp>() {
        Ok(time) => {
            ContainerLine { time_ns: i64::try_from(time.as_nanosecond()).ok(), is_error, text: dated.1.to_owned() }
        }
        Err(_) => ContainerLine { time_ns: None, is_error, text: text.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8], is_terminal: bool) -> Result<Vec<ContainerLine>, HttpError> {
        let mut lines = Vec::new();
        read(bytes, is_terminal, &mut |line| {
            lines.push(line);
            ControlFlow::Continue(())
        })?;
        Ok(lines)
    }

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        [&[stream, 0, 0, 0][..], &u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
    }

    #[test]
    fn frames_and_plain_text_become_lines_with_their_time() {
        let wanted = |is_error, text: &str| ContainerLine {
            time_ns: Some(1_795_140_670_000_000_001),
            is_error,
            text: text.to_owned(),
        };
        let at = "2026-11-20T02:11:10.000000001Z";
        let bytes = [
            frame(1, &format!("{at} out \u{e4}\n")),
            frame(2, &format!("{at} err\r\n")),
            frame(1, &format!("{at} \n")),
        ];
        assert_eq!(
            lines(&bytes.concat(), false).unwrap(),
            [wanted(false, "out \u{e4}"), wanted(true, "err"), wanted(false, "")]
        );
        let text = format!("{at} one\r\n{at} two");
        assert_eq!(lines(text.as_bytes(), true).unwrap(), [wanted(false, "one"), wanted(false, "two")]);
        assert_eq!(
            lines(b"no time\n", true).unwrap()[0],
            ContainerLine { time_ns: None, is_error: false, text: "no time".into() }
        );
        assert!(lines(b"HTTP/1.1", false).is_err());
        // Without an end of line, a terminal's output comes in pieces that fit into a line of JSON.
        let pieces = lines(&[0x1b; 3 * LONGEST], true).unwrap();
        assert_eq!(pieces.len(), 3);
        assert!(serde_json::to_string(&pieces[0].text).unwrap().len() < berth_contract::control::MAX_LINE / 2);
        assert!(lines(&[1, 0, 0, 0, 0xff, 0, 0, 0], false).is_err(), "a frame that is too long");
        assert!(lines(&frame(1, "x")[..8], false).is_err(), "a frame without its text");
        let ask = LogRequest { follow: true, since_ns: Some(1_500_000_000) };
        assert!(target("web", &ask).ends_with("follow=1&since=1.500000000"));
    }
}
