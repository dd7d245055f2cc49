//! A chat server for tests: one thread for each connection, frames below 64 KiB, and a fault if asked to.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};

/// The server's fault with one message in ten, at one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    Lose,
    Double,
    /// Delivers it after the next one.
    Swap,
    /// Delivers it to a member of another room, too.
    Misdirect,
}

/// Listens until the test process ends.
pub struct Server {
    pub address: SocketAddr,
}

struct Member {
    room: String,
    stream: TcpStream,
    held: Option<String>,
}

struct Chat {
    fault: Fault,
    members: Vec<Member>,
    messages: u64,
}

impl Server {
    pub fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap_or_else(|error| panic!("{error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
        let chat = Arc::new(Mutex::new(Chat { fault, members: Vec::new(), messages: 0 }));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let chat = Arc::clone(&chat);
                // It ends with an error when the client closes.
                std::thread::spawn(move || drop(serve(stream, &chat)));
            }
        });
        Self { address }
    }
}

fn serve(mut stream: TcpStream, chat: &Mutex<Chat>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.extend_from_slice(&byte);
    }
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")?;
    if request.starts_with(b"GET /socket.io/") {
        send(&mut stream, r#"0{"sid":"a"}"#)?;
        loop {
            let text = receive(&mut stream)?;
            socketio(&text, &mut stream, chat)?;
        }
    }
    loop {
        let text = receive(&mut stream)?;
        centrifugo(&serde_json::from_str(&text)?, &mut stream, chat)?;
    }
}

fn socketio(text: &str, stream: &mut TcpStream, chat: &Mutex<Chat>) -> io::Result<()> {
    if text.starts_with("40/chat,") {
        return send(stream, r#"40/chat,{"sid":"b"}"#);
    }
    let Some((id, event)) = text.strip_prefix("42/chat,").and_then(|text| text.split_once('[')) else { return Ok(()) };
    let event: Value = serde_json::from_str(&format!("[{event}"))?;
    let argument = &event[1];
    let mut chat = chat.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = match event[0].as_str() {
        Some("join-room") => {
            chat.join(argument["room"].to_string(), stream)?;
            json!({ "status": "ok" })
        }
        Some("send-message") => {
            let message = json!(["new-message", { "content": argument["content"] }]);
            chat.publish(&argument["room"].to_string(), &format!("42/chat,{message}"))?;
            json!({ "status": "ok" })
        }
        _ => argument.clone(),
    };
    send(stream, &format!("43/chat,{id}[{answer}]"))
}

fn centrifugo(command: &Value, stream: &mut TcpStream, chat: &Mutex<Chat>) -> io::Result<()> {
    let id = &command["id"];
    let mut chat = chat.lock().unwrap_or_else(PoisonError::into_inner);
    if command.get("connect").is_some() {
        return send(stream, &format!(r#"{{"id":{id},"connect":{{"ping":25}}}}"#));
    }
    if let Some(subscribe) = command.get("subscribe") {
        chat.join(subscribe["channel"].to_string(), stream)?;
        // Two packets in one frame, as the real server sends them.
        return send(stream, &format!("{{}}\n{{\"id\":{id},\"subscribe\":{{}}}}"));
    }
    if let Some(publish) = command.get("publish") {
        let (channel, data) = (publish["channel"].to_string(), &publish["data"]);
        chat.publish(&channel, &format!(r#"{{"push":{{"channel":{channel},"pub":{{"data":{data}}}}}}}"#))?;
        return send(stream, &format!(r#"{{"id":{id},"publish":{{}}}}"#));
    }
    Ok(())
}

impl Chat {
    fn join(&mut self, room: String, stream: &TcpStream) -> io::Result<()> {
        self.members.push(Member { room, stream: stream.try_clone()?, held: None });
        Ok(())
    }

    /// Members of earlier runs have left: sending to them may fail.
    fn publish(&mut self, room: &str, message: &str) -> io::Result<()> {
        self.messages += 1;
        let fault = if self.messages.is_multiple_of(10) { self.fault } else { Fault::None };
        let mut first = true;
        for member in self.members.iter_mut().filter(|member| member.room == room) {
            let fault = if first { fault } else { Fault::None };
            first = false;
            let copies = match fault {
                Fault::Lose => 0,
                Fault::Swap => {
                    member.held = Some(message.to_owned());
                    0
                }
                Fault::Double => 2,
                Fault::None | Fault::Misdirect => 1,
            };
            for _ in 0..copies {
                let _ = send(&mut member.stream, message);
            }
            if fault != Fault::Swap
                && let Some(held) = member.held.take()
            {
                let _ = send(&mut member.stream, &held);
            }
        }
        if fault == Fault::Misdirect
            && let Some(other) = self.members.iter_mut().find(|member| member.room != room)
        {
            send(&mut other.stream, message)?;
        }
        Ok(())
    }
}

fn receive(stream: &mut TcpStream) -> io::Result<String> {
    let mut header = [0; 2];
    stream.read_exact(&mut header)?;
    let mut length = usize::from(header[1] & 0x7f);
    if length == 126 {
        let mut long = [0; 2];
        stream.read_exact(&mut long)?;
        length = u16::from_be_bytes(long).into();
    }
    let mut key = [0; 4];
    stream.read_exact(&mut key)?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    String::from_utf8(payload).map_err(io::Error::other)
}

fn send(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    let length = u16::try_from(text.len()).map_err(io::Error::other)?;
    let mut frame = vec![0x81];
    match u8::try_from(length) {
        Ok(short @ ..=125) => frame.push(short),
        _ => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame)
}
