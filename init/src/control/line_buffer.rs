//! Cuts the bytes of a client into lines of limited length. The cost is linear in the number of bytes, for pieces of any size.

/// Bytes that were received and not processed yet.
#[derive(Debug)]
pub(super) struct LineBuffer {
    bytes: Vec<u8>,
    /// Start of the next line.
    start: usize,
    /// There is no end of a line before this position.
    scanned: usize,
    /// Whether the rest of a line that is too long is being skipped.
    skipping: bool,
    limit: usize,
}

impl LineBuffer {
    /// A buffer that skips lines longer than `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, scanned: 0, skipping: false, limit }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Number of bytes that are kept.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The next complete line, without its newline.
    pub(super) fn next_line(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(end) = self.bytes[self.scanned..].iter().position(|&byte| byte == b'\n') else {
                self.skipping |= self.len() > self.limit;
                if self.skipping {
                    self.bytes.clear();
                } else {
                    self.bytes.drain(..self.start);
                }
                (self.start, self.scanned) = (0, self.bytes.len());
                return None;
            };
            let (start, end) = (self.start, self.scanned + end);
            (self.start, self.scanned) = (end + 1, end + 1);
            if !std::mem::take(&mut self.skipping) && end - start <= self.limit {
                return Some(self.bytes[start..end].to_vec());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_within_the_limit_are_returned_for_every_size_of_the_pieces() {
        let text = [
            b"one\n\n".to_vec(),
            vec![b'x'; 11],
            b"\ntwo\n".to_vec(),
            vec![b'y'; 10],
            b"\n".to_vec(),
            vec![b'z'; 99],
            b"\n3\nopen".to_vec(),
        ]
        .concat();
        for size in 1..text.len() {
            let (mut buffer, mut lines) = (LineBuffer::new(10), Vec::new());
            for piece in text.chunks(size) {
                buffer.push(piece);
                while let Some(line) = buffer.next_line() {
                    lines.push(String::from_utf8(line).unwrap());
                }
                assert!(buffer.len() <= 10, "{}", buffer.len());
            }
            assert_eq!(lines, ["one", "", "two", "yyyyyyyyyy", "3"], "{size}");
        }
    }

    #[test]
    fn a_megabyte_of_newlines_or_of_single_bytes_takes_linear_time() {
        let begin = std::time::Instant::now();
        let mut buffer = LineBuffer::new(1 << 20);
        buffer.push(&vec![b'\n'; 1 << 20]);
        assert_eq!(std::iter::from_fn(|| buffer.next_line()).count(), 1 << 20);
        for _ in 0..1 << 20 {
            buffer.push(b"x");
            assert_eq!(buffer.next_line(), None);
        }
        assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
    }
}
