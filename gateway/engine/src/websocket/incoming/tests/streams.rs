//! Streams of valid messages, and mutations of them, in any pieces.

use proptest::{prelude::*, sample::Index};

use super::{reference::assert_agrees, *};

/// Payloads: mostly short, some of a length where the header changes.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0usize..20, 4 => 120usize..132, 2 => 0usize..1_000, 1 => 65_530usize..65_540]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    (length(), any::<[u8; 7]>()).prop_map(|(length, pattern)| pattern.into_iter().cycle().take(length).collect())
}

fn words() -> impl Strategy<Value = String> {
    let edge = "\u{10ffff}\u{d7ff}".to_owned();
    let word = prop_oneof!["[a-z]{0,4}", "\\PC{0,3}", Just("κόσμε".to_owned()), Just(edge)];
    (word, 0usize..200).prop_map(|(word, times)| word.repeat(times / 4 / word.len().max(1)))
}

fn control() -> impl Strategy<Value = (u8, Vec<u8>)> {
    (prop_oneof![Just(PING), Just(PONG)], prop::collection::vec(any::<u8>(), 0..126))
}

fn close_payload() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![Just(1000u16), Just(1014), Just(1004), Just(1005), 900u16..5_100, any::<u16>()];
    let reason = prop::sample::select(vec![&b""[..], b"bye", b"Protocol violation", b"\xff"]);
    prop_oneof![
        1 => Just(Vec::new()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        8 => (code, reason).prop_map(|(code, reason)| [&code.to_be_bytes(), reason].concat()),
    ]
}

/// A message in frames, with control frames between them, and all that must be passed on.
fn message() -> impl Strategy<Value = (Vec<Raw>, Vec<Got>)> {
    let payload = prop_oneof![
        words().prop_map(|text| (TEXT, text.clone().into_bytes(), Got::Text(text))),
        bytes().prop_map(|bytes| (BINARY, bytes.clone(), Got::Binary(bytes))),
    ];
    let pieces =
        prop::collection::vec((any::<Index>(), any::<[u8; 4]>(), prop::option::weighted(0.3, control())), 1..5);
    (payload, pieces).prop_map(|((opcode, payload, whole), pieces)| {
        let mut ends: Vec<_> = pieces[1..].iter().map(|piece| piece.0.index(payload.len() + 1)).collect();
        ends.push(payload.len());
        ends.sort_unstable();
        let (mut frames, mut got, mut start) = (Vec::new(), Vec::new(), 0);
        let last = ends.len() - 1;
        for (index, (end, (_, mask, control))) in ends.into_iter().zip(pieces).enumerate() {
            let opcode = if index == 0 { opcode } else { CONTINUATION };
            let first = if index == last { FINAL | opcode } else { opcode };
            let payload = payload[start..end].to_vec();
            start = end;
            frames.push(Raw { first, mask: Some(mask), form: Form::Shortest, payload });
            if index == last {
                got.push(whole.clone());
            }
            if let Some((first, payload)) = control {
                got.push(if first == PING { Got::Ping(payload.clone()) } else { Got::Pong });
                frames.push(Raw { first, mask: Some(mask), form: Form::Shortest, payload });
            }
        }
        (frames, got)
    })
}

fn messages() -> impl Strategy<Value = (Vec<Raw>, Vec<Got>)> {
    prop::collection::vec(message(), 0..5).prop_map(|messages| {
        let (frames, got): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        (frames.concat(), got.concat())
    })
}

fn stream_of(frames: &[Raw]) -> Vec<u8> {
    frames.iter().flat_map(Raw::bytes).collect()
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        1 => Just(vec![]),
        1 => Just(vec![1]),
        4 => prop::collection::vec(prop_oneof![3 => 1usize..12, 1 => 1usize..300, 1 => 1usize..30_000], 1..6),
    ]
}

#[derive(Debug, Clone)]
enum Mutation {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
    /// Of a frame: another first byte.
    First(Index, u8),
    Unmask(Index),
    Form(Index, bool),
    Swap(Index, Index),
    Repeat(Index),
    Close(Index, Vec<u8>),
}

impl Mutation {
    fn of_frames(&self, frames: &mut Vec<Raw>) {
        let count = frames.len();
        if count == 0 {
            return;
        }
        match self {
            Self::First(index, first) => frames[index.index(count)].first = *first,
            Self::Unmask(index) => frames[index.index(count)].mask = None,
            Self::Form(index, is_64) => {
                frames[index.index(count)].form = if *is_64 { Form::Bits64 } else { Form::Bits16 };
            }
            Self::Swap(a, b) => frames.swap(a.index(count), b.index(count)),
            Self::Repeat(index) => frames.push(frames[index.index(count)].clone()),
            Self::Close(index, payload) => {
                let close = Raw { first: CLOSE, mask: Some(MASK), form: Form::Shortest, payload: payload.clone() };
                frames.insert(index.index(count + 1), close);
            }
            _ => {}
        }
    }

    fn of_bytes(&self, stream: &mut Vec<u8>) {
        let length = stream.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Set(index, byte) => stream[index.index(length)] = *byte,
            Self::Flip(index, bit) => stream[index.index(length)] ^= 1 << (bit % 8),
            Self::Insert(index, byte) => stream.insert(index.index(length), *byte),
            Self::Remove(index) => drop(stream.remove(index.index(length))),
            Self::Truncate(index) => stream.truncate(index.index(length)),
            _ => {}
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(index, byte)| Mutation::Set(index, byte)),
        (index(), any::<u8>()).prop_map(|(index, bit)| Mutation::Flip(index, bit)),
        (index(), any::<u8>()).prop_map(|(index, byte)| Mutation::Insert(index, byte)),
        index().prop_map(Mutation::Remove),
        index().prop_map(Mutation::Truncate),
        (index(), any::<u8>()).prop_map(|(index, first)| Mutation::First(index, first)),
        index().prop_map(Mutation::Unmask),
        (index(), any::<bool>()).prop_map(|(index, is_64)| Mutation::Form(index, is_64)),
        (index(), index()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        index().prop_map(Mutation::Repeat),
        (index(), close_payload()).prop_map(|(index, payload)| Mutation::Close(index, payload)),
    ]
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (messages(), prop::collection::vec(mutation(), 0..4)).prop_map(|((mut frames, _), mutations)| {
        mutations.iter().for_each(|mutation| mutation.of_frames(&mut frames));
        let mut stream = stream_of(&frames);
        mutations.iter().for_each(|mutation| mutation.of_bytes(&mut stream));
        stream
    })
}

fn max() -> impl Strategy<Value = usize> {
    prop_oneof![Just(125), Just(200), 125usize..1_000, Just(MAX)]
}

proptest! {
    #[test]
    fn a_valid_stream_gives_its_messages_in_any_pieces((frames, expected) in messages(), sizes in sizes()) {
        prop_assert_eq!(ours(&stream_of(&frames), &sizes, MAX), (expected, End::Idle));
    }

    #[test]
    fn any_stream_gives_the_same_in_any_pieces(stream in mutated(), sizes in sizes(), max in max()) {
        prop_assert_eq!(ours(&stream, &sizes, max), ours(&stream, &[], max));
    }

    #[test]
    fn tungstenite_gives_the_same(stream in mutated(), a in sizes(), b in sizes(), max in max()) {
        assert_agrees(&stream, &a, &b, max);
    }

    #[test]
    fn no_bytes_panic(stream in prop::collection::vec(any::<u8>(), 0..200), sizes in sizes(), max in 0usize..300) {
        let whole = ours(&stream, &[], max);
        prop_assert_eq!(ours(&stream, &sizes, max), whole);
        // Valid first bytes, so that more than the first header is read.
        let mut stream = stream;
        for (index, byte) in [0x01, 0x84, 1, 2, 3, 4].into_iter().enumerate().take(stream.len()) {
            stream[index] = byte;
        }
        let whole = ours(&stream, &[], max);
        prop_assert_eq!(ours(&stream, &sizes, max), whole);
    }
}
