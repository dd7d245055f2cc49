//! Encodes frames for clients: unmasked, never in fragments. Pure.

/// Opcode of a text message.
pub(crate) const TEXT: u8 = 1;
/// Opcode of a binary message.
pub(crate) const BINARY: u8 = 2;
/// Opcode of a close frame.
pub(crate) const CLOSE: u8 = 8;
/// Opcode of the answer to a ping.
pub(crate) const PONG: u8 = 10;
/// Bytes of the longest header of a server's frame.
pub(crate) const LONGEST_HEAD: usize = 10;
/// The bit of a message's last frame.
const FINAL: u8 = 0x80;

/// Bytes of the header of a frame with this many bytes of payload.
pub(crate) fn head_length(payload: usize) -> usize {
    match payload {
        0..=125 => 2,
        126..=65_535 => 4,
        _ => LONGEST_HEAD,
    }
}

/// Writes the header of the payload that begins in `bytes` after [`LONGEST_HEAD`] reserved bytes; returns the
/// position in these where the header begins.
pub(crate) fn put_head(bytes: &mut [u8], opcode: u8) -> usize {
    let (reserved, payload) = bytes.split_at_mut(LONGEST_HEAD);
    let begin = LONGEST_HEAD - head_length(payload.len());
    write_head(&mut reserved[begin..], opcode, payload.len());
    begin
}

/// Appends a whole frame.
pub(crate) fn append(bytes: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    let mut head = [0; LONGEST_HEAD];
    let head = &mut head[..head_length(payload.len())];
    write_head(head, opcode, payload.len());
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(payload);
}

/// Fills `head`, which has the length that the payload's length needs.
fn write_head(head: &mut [u8], opcode: u8, payload: usize) {
    let length = (payload as u64).to_be_bytes();
    head[0] = FINAL | opcode;
    match head.len() {
        2 => head[1] = length[7],
        4 => {
            head[1] = 126;
            head[2..].copy_from_slice(&length[6..]);
        }
        _ => {
            head[1] = 127;
            head[2..].copy_from_slice(&length);
        }
    }
}
