//! Queries a program's health endpoints on its internal port: for images that contain no HTTP client.
//!
//! Deliberately uses no HTTP library: it runs every few seconds beside the program, and reads one line.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream, ToSocketAddrs},
    time::Duration,
};

/// For each of connecting, sending and receiving.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Longer than any status line.
const MAX_STATUS_LINE: u64 = 1024;

/// A failed check: the URL, and the error or the status line.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The program does not answer.
    #[error("{0} does not answer: {1}")]
    Unreachable(String, std::io::Error),
    /// The answer is not 200.
    #[error("{0} answered `{1}`, not 200")]
    Unhealthy(String, String),
}

/// Requests `/readyz` if `ready`, else `/healthz`, from the program whose internal port is on `host`.
///
/// # Errors
/// The answer is not 200, or does not come in time.
pub fn ask(host: &str, port: u16, ready: bool) -> Result<(), HealthError> {
    let path = if ready { "/readyz" } else { "/healthz" };
    let url = format!("http://{host}:{port}{path}");
    let line = status_line(host, port, path).map_err(|error| HealthError::Unreachable(url.clone(), error))?;
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(HealthError::Unhealthy(url, line)),
    }
}

fn status_line(host: &str, port: u16, path: &str) -> std::io::Result<String> {
    let address = (connectable(host), port).to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_STATUS_LINE)).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// The address to connect to: loopback for a program that listens on all addresses.
fn connectable(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one request; returns its request line.
    fn answer_once(answer: &'static str) -> (u16, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            let mut reader = BufReader::new(&stream);
            reader.read_line(&mut request).unwrap();
            while reader.read_line(&mut String::new()).unwrap() > 2 {}
            (&stream).write_all(answer.as_bytes()).unwrap();
            request
        });
        (port, served)
    }

    #[test]
    fn only_200_is_healthy() {
        let (port, served) = answer_once("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        ask("0.0.0.0", port, false).unwrap();
        assert_eq!(served.join().unwrap(), "GET /healthz HTTP/1.1\r\n");
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 404 200\r\n\r\n", "200\r\n", ""] {
            let (port, served) = answer_once(answer);
            let error = ask("127.0.0.1", port, true).unwrap_err().to_string();
            assert!(error.contains(&format!("http://127.0.0.1:{port}/readyz")), "{error}");
            assert_eq!(served.join().unwrap(), "GET /readyz HTTP/1.1\r\n");
        }
    }

    #[test]
    fn a_closed_port_is_reported() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert!(ask("127.0.0.1", port, false).unwrap_err().to_string().contains("does not answer"));
    }
}
