//! The output of a container as docker's API sends it (docs.docker.com/reference/api/engine, "Attach to a container", stream format):
//! frames of an 8-byte header and their content, or plain lines if the container has a terminal. Each line begins with its time.

use super::{
    http::HttpError,
    stream::{BodyStream, Piece},
};
use berth_contract::remote_api::{ContainerLine, OutputStream};
use std::{io::Read, ops::ControlFlow};

/// Bytes of a frame's header: the stream, three zeros, the length (big endian).
const HEADER: usize = 8;
/// Longest frame or line, in bytes. docker cuts longer lines at 16 KiB.
const LONGEST: usize = 1 << 20;

/// How the output is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Frames.
    Frames,
    /// Lines of a terminal.
    Lines,
}

/// Passes each line to `take`, and `None` when the container is silent, until the end or until `take` breaks.
///
/// # Errors
/// The connection has broken, or the format is another one.
pub(crate) fn pass<R: Read>(
    body: &mut BodyStream<R>,
    format: Format,
    take: &mut dyn FnMut(Option<ContainerLine>) -> ControlFlow<()>,
) -> Result<(), HttpError> {
    let (mut waiting, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let flow = match body.next(&mut buffer)? {
            Piece::Bytes(count) => {
                waiting.extend_from_slice(&buffer[..count]);
                let flow = match format {
                    Format::Frames => frames(&mut waiting, take)?,
                    Format::Lines => lines(&mut waiting, take),
                };
                if waiting.len() > LONGEST + HEADER {
                    return Err(HttpError::protocol("a frame or a line of at most 1 MiB", &waiting));
                }
                flow
            }
            Piece::Silence => take(None),
            Piece::End => {
                if format == Format::Lines && !waiting.is_empty() {
                    let _ = take(Some(line(OutputStream::Stdout, &waiting)));
                }
                return Ok(());
            }
        };
        if flow.is_break() {
            return Ok(());
        }
    }
}

/// Takes all whole frames out of `waiting`.
fn frames(
    waiting: &mut Vec<u8>,
    take: &mut dyn FnMut(Option<ContainerLine>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, HttpError> {
    let mut at = 0;
    let mut flow = ControlFlow::Continue(());
    while let Some(&[kind, a, b, c, l0, l1, l2, l3]) = waiting.get(at..at + HEADER) {
        let stream = match (kind, a, b, c) {
            (0 | 1, 0, 0, 0) => OutputStream::Stdout,
            (2, 0, 0, 0) => OutputStream::Stderr,
            _ => return Err(HttpError::protocol("the header of a frame", &waiting[at..])),
        };
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err(HttpError::protocol("a frame of at most 1 MiB", &waiting[at..]));
        }
        let start = at + HEADER;
        let Some(content) = waiting.get(start..start + length) else { break };
        at = start + length;
        if flow.is_continue() {
            flow = take(Some(line(stream, content)));
        }
    }
    waiting.drain(..at);
    Ok(flow)
}

fn lines(waiting: &mut Vec<u8>, take: &mut dyn FnMut(Option<ContainerLine>) -> ControlFlow<()>) -> ControlFlow<()> {
    while let Some(end) = waiting.iter().position(|&byte| byte == b'\n') {
        let flow = take(Some(line(OutputStream::Stdout, &waiting[..end])));
        waiting.drain(..=end);
        flow?;
    }
    ControlFlow::Continue(())
}

/// Splits a line from its time.
fn line(stream: OutputStream, bytes: &[u8]) -> ContainerLine {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\r', '\n']);
    let (time, text) = match text.split_once(' ') {
        Some((time, text)) if time.len() >= 20 && time.as_bytes()[10] == b'T' => (time, text),
        _ => ("", text),
    };
    ContainerLine { time: time.to_owned(), stream, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{super::http::Framing, *};
    use std::io::BufReader;

    const TIME: &str = "2026-11-30T09:00:00.000000001Z";

    fn frame(kind: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0], &length[..], text.as_bytes()].concat()
    }

    fn read(bytes: &[u8], format: Format, most: usize) -> Result<Vec<String>, HttpError> {
        let mut body = BodyStream::new(BufReader::new(bytes), Framing::ToTheEnd);
        let mut found = Vec::new();
        pass(&mut body, format, &mut |line| {
            let line = line.unwrap();
            found.push(format!("{:?} {} {}", line.stream, line.time, line.text));
            if found.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    #[test]
    fn frames_and_lines_are_told_apart() {
        let long = "y".repeat(60_000);
        let bytes = [
            frame(1, &format!("{TIME} one\n")),
            frame(2, &format!("{TIME} two\r\n")),
            frame(1, &format!("{TIME} {long}")),
            frame(1, "no time"),
        ]
        .concat();
        let expected = [
            format!("Stdout {TIME} one"),
            format!("Stderr {TIME} two"),
            format!("Stdout {TIME} {long}"),
            "Stdout  no time".into(),
        ];
        assert_eq!(read(&bytes, Format::Frames, 9).unwrap(), expected);
        assert_eq!(read(&bytes, Format::Frames, 2).unwrap(), expected[..2]);
        let text = format!("{TIME} one\r\n{TIME} two\nthe end");
        let lines = read(text.as_bytes(), Format::Lines, 9).unwrap();
        assert_eq!(lines, [format!("Stdout {TIME} one"), format!("Stdout {TIME} two"), "Stdout  the end".into()]);
        assert!(read(b"plain text, no frame", Format::Frames, 9).is_err());
        assert!(read(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], Format::Frames, 9).is_err(), "a frame of 4 GiB");
        assert!(read(&vec![b'x'; 2 << 20], Format::Lines, 9).is_err(), "a line of 2 MiB");
    }
}
