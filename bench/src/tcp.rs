//! A non-blocking TCP connection to this machine, with a buffer for what the kernel does not take at once.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, connect, send, socket_with, sockopt},
};

/// An open or opening connection; closed on drop.
pub struct Tcp {
    socket: OwnedFd,
    unsent: Vec<u8>,
}

impl Tcp {
    /// Begins to connect. The socket is writable once it is connected or has failed.
    pub fn connect(target: SocketAddrV4) -> io::Result<Self> {
        Self::connect_from(Ipv4Addr::UNSPECIFIED, target)
    }

    /// Like [`Tcp::connect`], from this address; if it is unspecified, the kernel chooses.
    pub fn connect_from(source: Ipv4Addr, target: SocketAddrV4) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if !source.is_unspecified() {
            bind(&socket, &SocketAddrV4::new(source, 0))?;
        }
        match connect(&socket, &target) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Self { socket, unsent: Vec::new() }),
            Err(error) => Err(error.into()),
        }
    }

    /// The error that connecting ended with, if it failed.
    pub fn connected(&self) -> io::Result<()> {
        Ok(sockopt::socket_error(&self.socket)??)
    }

    /// Sends, or keeps what the kernel does not take. Returns whether something is kept now and was not before.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(false);
        }
        let sent = self.try_send(bytes)?;
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(!self.unsent.is_empty())
    }

    /// Sends what was kept. Returns whether all of it is sent.
    pub fn flush(&mut self) -> io::Result<bool> {
        let sent = self.try_send(&self.unsent)?;
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Ok(self.unsent.is_empty())
    }

    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads once. None if there is nothing to read now; fails at the end of the connection.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::io::read(&self.socket, buffer) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the server")),
            Ok(read) => Ok(Some(read)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Tcp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
