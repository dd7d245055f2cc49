//! The first request of a connection, for [`First`], which may take the connection over before HTTP does.
//!
//! Guarantees: a connection that is not taken is untouched, with all its bytes still to be read; only a request that is
//! whole, valid and without a body is offered, in its first bytes and at most [`LONGEST`] of them. Everything else is
//! HTTP's: requests that come in pieces, odd ones, and all refusals. So this module answers nothing and waits for nothing
//! but the first bytes.

use std::{
    cell::Cell,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version,
    header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};
use bytes::Bytes;
use tokio::{
    io::{AsyncRead as _, ReadBuf},
    net::TcpStream,
};

/// Bytes and headers of the longest request that is offered.
const LONGEST: usize = 8 * 1024;
const MOST_HEADERS: usize = 64;

/// Takes connections over at their first request.
pub trait First: Send + Sync + 'static {
    /// The function that takes the connection over; `None` leaves it to HTTP. `request` is a GET that asks for an upgrade,
    /// has one `Host` and no body.
    fn takes(&self, request: &Parts, peer: SocketAddr) -> Option<Taker>;
}

/// Takes a connection over, with the bytes that the client sent after its request.
pub type Taker = Box<dyn FnOnce(TcpStream, Vec<u8>) + Send>;

/// The owner of a connection after its first bytes have arrived.
pub(super) enum Owner {
    /// HTTP.
    Http,
    /// A [`First`], which gets these bytes.
    Taken(Taker, Vec<u8>),
    /// Nobody: the client has left.
    Gone,
}

thread_local! {
    /// The thread's buffer, taken out while it is used.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Waits for the first bytes, and offers their request to `first`.
pub(super) async fn owner(stream: &mut TcpStream, peer: SocketAddr, first: &dyn First) -> Owner {
    poll_fn(|cx| {
        let mut buffer = BUFFER.take();
        buffer.resize(LONGEST, 0);
        let owner = poll_owner(stream, peer, first, &mut buffer, cx);
        BUFFER.set(buffer);
        owner
    })
    .await
}

fn poll_owner(
    stream: &mut TcpStream,
    peer: SocketAddr,
    first: &dyn First,
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<Owner> {
    let mut peeked = ReadBuf::new(buffer);
    if !matches!(ready!(stream.poll_peek(cx, &mut peeked)), Ok(1..)) {
        return Poll::Ready(Owner::Gone);
    }
    let Some((length, request)) = parse(peeked.filled()) else { return Poll::Ready(Owner::Http) };
    let Some(taker) = first.takes(&request, peer) else { return Poll::Ready(Owner::Http) };
    let mut read = ReadBuf::new(buffer);
    // Nobody else reads, so what was peeked is there. If it may not be read at once, HTTP reads it.
    let Poll::Ready(result) = Pin::new(stream).poll_read(cx, &mut read) else { return Poll::Ready(Owner::Http) };
    Poll::Ready(match (result, read.filled().get(length..)) {
        (Ok(()), Some(rest)) => Owner::Taken(taker, rest.to_vec()),
        _ => Owner::Gone,
    })
}

/// The request at the beginning of these bytes, and its length; `None` if it is not one to offer.
fn parse(bytes: &[u8]) -> Option<(usize, Parts)> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(bytes).ok()? else { return None };
    let is = |header: &httparse::Header<'_>, name: &HeaderName| header.name.eq_ignore_ascii_case(name.as_str());
    let count = |name: HeaderName| head.headers.iter().filter(|header| is(header, &name)).count();
    let path = head.path.filter(|path| path.starts_with('/'))?;
    if head.method != Some(Method::GET.as_str())
        || head.version != Some(1)
        || [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT].into_iter().any(|name| count(name) > 0)
        || count(HOST) != 1
        || count(UPGRADE) == 0
    {
        return None;
    }
    let mut request = Request::new(());
    *request.uri_mut() = Uri::try_from(path).ok()?;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = header_map(head.headers)?;
    Some((length, request.into_parts().0))
}

/// The headers. Their values share one copy of the bytes.
fn header_map(headers: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let values: Vec<u8> = headers.iter().flat_map(|header| header.value).copied().collect();
    let mut values = Bytes::from(values);
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let value = HeaderValue::from_maybe_shared(values.split_to(header.value.len())).ok()?;
        map.append(HeaderName::from_bytes(header.name.as_bytes()).ok()?, value);
    }
    Some(map)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "GET /x?a=b HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nuPgrade: websocket\r\nCookie: a\r\ncookie: b\r\n\r\n";

    #[test]
    fn a_whole_request_without_a_body_is_offered() {
        let (length, request) = parse(format!("{GOOD}rest").as_bytes()).unwrap();
        assert_eq!(length, GOOD.len());
        assert_eq!((request.uri.path(), request.uri.query()), ("/x", Some("a=b")));
        assert_eq!(
            (&request.headers["host"], &request.headers["upgrade"]),
            (&"here".parse().unwrap(), &"websocket".parse().unwrap())
        );
        assert_eq!(request.headers.get_all("Cookie").iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn everything_else_is_left_to_http() {
        let with = |line: &str| GOOD.replacen("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"), 1);
        assert!(parse(with("X-Other: 1").as_bytes()).is_some());
        let long = format!("X: {}", "x".repeat(LONGEST));
        for line in
            ["Host: there", "Content-Length: 0", "transfer-encoding: chunked", "Expect: 100-continue", " folded", &long]
        {
            let text = with(line);
            assert!(parse(&text.as_bytes()[..text.len().min(LONGEST)]).is_none(), "{line}");
        }
        for (old, new) in [
            ("GET", "POST"),
            ("GET", "get"),
            ("/x", "http://here/x"),
            ("/x", "*"),
            ("/x", "/\u{1}"),
            ("1.1", "1.0"),
            ("1.1", "2.0"),
            ("Host: here\r\n", ""),
            ("uPgrade: websocket\r\n", ""),
            ("Host:", "Host :"),
            ("here", "he\u{0}re"),
        ] {
            assert!(parse(GOOD.replacen(old, new, 1).as_bytes()).is_none(), "{new:?} for {old:?}");
        }
        assert!((0..GOOD.len()).all(|length| parse(&GOOD.as_bytes()[..length]).is_none()), "in pieces");
    }

    proptest! {
        #[test]
        fn any_bytes_parse_without_panic(bytes: Vec<u8>, at in 0..GOOD.len(), with: u8) {
            let _ = parse(&bytes);
            let mut damaged = GOOD.as_bytes().to_vec();
            damaged[at] = with;
            let _ = parse(&damaged);
        }
    }
}
