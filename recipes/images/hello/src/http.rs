//! A small HTTP/1.1 server (RFC 9112), sufficient for curl: one GET per connection, answered with text.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

/// Size limit of a request's head, in bytes.
const HEAD_LIMIT: usize = 8192;
/// Time limit for each read and write.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves requests on `port` of every address, and returns only on an error. Port 0 means any free port. Prints a line when it listens.
pub(crate) fn serve(port: &str, file: Option<&Path>) -> io::Result<()> {
    let port: u16 = port.parse().map_err(|error| io::Error::other(format!("port {port:?}: {error}")))?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    crate::say(format!("listening on {}\n", listener.local_addr()?))?;
    loop {
        let (stream, _) = listener.accept()?;
        let file = file.map(Path::to_owned);
        // An error of one connection, such as a client that disconnects, is ignored: it does not concern other clients.
        thread::spawn(move || _ = answer(stream, file.as_deref()));
    }
}

fn answer(mut stream: TcpStream, file: Option<&Path>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (status, body) = match target(&mut stream)?.as_deref() {
        None => ("405 Method Not Allowed", "only GET is answered\n".to_owned()),
        Some("/net") => text(crate::interfaces()),
        Some("/limits") => text(Ok(crate::limits())),
        Some(_) => text(file.map_or(Ok(String::new()), fs::read_to_string).map(|text| crate::greeting() + &text)),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn text(body: io::Result<String>) -> (&'static str, String) {
    match body {
        Ok(body) => ("200 OK", body),
        Err(error) => ("500 Internal Server Error", format!("{error}\n")),
    }
}

/// Reads a request's head. Returns the path of a GET request; `None` for another method.
fn target(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut buffer)?;
        if read == 0 || head.len() > HEAD_LIMIT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.extend_from_slice(&buffer[..read]);
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.split(' ');
    Ok((words.next() == Some("GET")).then(|| words.next().unwrap_or_default().to_owned()))
}
