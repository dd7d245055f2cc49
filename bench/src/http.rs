//! HTTP/1.1 answers, as far as the upgrade to WebSocket and long-polling need them. Pure.

use std::ops::Range;

use anyhow::{Context, Result, bail};
use memchr::memmem::find;

/// A complete answer at the start of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The position of the body.
    pub body: Range<usize>,
}

impl Answer {
    /// The answer at the start of the buffer; none if it is not complete. After a 101, what follows the header belongs to
    /// the new protocol. Fails if the answer has no length.
    pub fn parse(buffer: &[u8]) -> Result<Option<Self>> {
        let Some(header) = find(buffer, b"\r\n\r\n") else { return Ok(None) };
        let start = header + 4;
        let header = std::str::from_utf8(&buffer[..header]).context("an HTTP header that is not text")?;
        let status = header.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no HTTP status")?;
        let length = match (status, length(header)) {
            (101 | 204 | 304, _) => 0,
            (_, Some(length)) => length.parse().context("Content-Length")?,
            (status, None) => bail!("an HTTP answer without Content-Length (status {status})"),
        };
        let end: usize = start + length;
        Ok((end <= buffer.len()).then_some(Self { status, body: start..end }))
    }
}

fn length(header: &str) -> Option<&str> {
    let fields = header.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value.trim()).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_an_answer_when_it_is_complete() {
        let answer = b"HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 2\r\n\r\nokHTTP";
        let start = answer.len() - 6;
        assert_eq!(Answer::parse(answer).unwrap(), Some(Answer { status: 200, body: start..start + 2 }));
        for end in 0..start + 2 {
            assert_eq!(Answer::parse(&answer[..end]).unwrap(), None, "{end}");
        }
    }

    #[test]
    fn an_upgrade_has_no_body() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x010";
        let start = answer.len() - 3;
        assert_eq!(Answer::parse(answer).unwrap(), Some(Answer { status: 101, body: start..start }));
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(Answer::parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(Answer::parse(b"nonsense\r\n\r\n").is_err());
    }
}
