//! One byte stream to a server: TCP or a Unix socket, then TLS if the endpoint has it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UdpSocket, UnixStream, lookup_host},
};

use super::target::{Address, Endpoint};

/// Bytes to and from a server.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// See [`Bytes`].
pub(crate) type Stream = Box<dyn Bytes>;

/// Why there is no stream.
#[derive(Debug)]
pub(crate) enum StreamError {
    /// The server cannot be reached.
    Unreachable(io::Error),
    /// The TLS handshake failed.
    Handshake(io::Error),
}

/// Connects. Has no timeout of its own.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Stream, StreamError> {
    let (host, port) = match &endpoint.address {
        Address::Tcp { host, port } => (&**host, *port),
        Address::Unix(path) => {
            return Ok(Box::new(UnixStream::connect(path).await.map_err(StreamError::Unreachable)?));
        }
    };
    let stream = connect(host, port).await.map_err(StreamError::Unreachable)?;
    match &endpoint.tls {
        Some(tls) => Ok(Box::new(tls.handshake(host, stream).await.map_err(StreamError::Handshake)?)),
        None => Ok(Box::new(stream)),
    }
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    // The resolver's error does not say which name has no address.
    let unknown = |error| io::Error::new(io::ErrorKind::NotFound, format!("{host}: {error}"));
    let addresses: Vec<_> = lookup_host((host, port)).await.map_err(unknown)?.collect();
    let stream = TcpStream::connect(&*addresses).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// This machine's address on the way to the server, loopback if that is a Unix socket. Sends nothing.
pub(crate) async fn local_address(endpoint: &Endpoint) -> io::Result<IpAddr> {
    let Address::Tcp { host, port } = &endpoint.address else { return Ok(Ipv4Addr::LOCALHOST.into()) };
    let to = lookup_host((&**host, *port)).await?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    Ok(socket.local_addr()?.ip())
}
