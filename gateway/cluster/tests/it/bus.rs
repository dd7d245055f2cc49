//! The contract of `cluster::bus`.

use bytes::Bytes;
use jackfield_cluster::{
    bus::{BusEvent, Channel},
    room_name::RoomName,
    wire::BusMessage,
};

use ::redis::aio::MultiplexedConnection;

use crate::{
    direct::Direct,
    fixture::{Backend, Fixture, contract, until},
};

contract!(
    a_node_receives_the_channels_that_it_subscribed_to,
    a_node_receives_its_own_messages,
    a_message_with_a_key_is_sent_once,
    one_publisher_keeps_its_order,
    the_bus_becomes_healthy,
    emitters_are_listened_to,
    a_room_is_counted_once_however_many_nodes_subscribe,
);

fn channel(name: &str) -> Channel {
    Channel::Namespace(name.into())
}

async fn a_node_receives_the_channels_that_it_subscribed_to(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    let [sender, receiver] = &mut fixture.nodes[..] else { unreachable!() };
    receiver.subscribe(&[channel("a"), channel("b")]).await;
    sender.subscribe(&[]).await;
    for name in ["other", "b", "a"] {
        sender.cluster.bus.publish(&channel(name), BusMessage::Evicted(name.into()).encode()).await.unwrap();
    }
    assert_eq!(receiver.next_message().await, BusMessage::Evicted("b".into()));
    assert_eq!(receiver.next_message().await, BusMessage::Evicted("a".into()));
    assert_eq!(sender.received().await, vec![]);
}

async fn a_node_receives_its_own_messages(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 1);
    let node = &mut fixture.nodes[0];
    node.subscribe(&[Channel::Presence]).await;
    node.cluster.bus.publish(&Channel::Presence, BusMessage::RosterRequest.encode()).await.unwrap();
    assert_eq!(node.next_message().await, BusMessage::RosterRequest);
}

async fn one_publisher_keeps_its_order(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    let [sender, receiver] = &mut fixture.nodes[..] else { unreachable!() };
    receiver.subscribe(&[channel("a")]).await;
    for n in 0..500_u32 {
        let payload = Bytes::copy_from_slice(&n.to_be_bytes());
        sender.cluster.bus.publish(&channel("a"), payload).await.unwrap();
    }
    for n in 0..500_u32 {
        let BusEvent::Message(_, payload) = receiver.events.recv().await.unwrap() else { panic!("a gap") };
        assert_eq!(payload[..], n.to_be_bytes());
    }
}

async fn the_bus_becomes_healthy(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    until("healthy", || async { fixture.nodes[0].cluster.bus.healthy().then_some(()) }).await;
}

async fn a_room_is_counted_once_however_many_nodes_subscribe(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let room = |namespace: &str, name: &str| Channel::Room(RoomName::parse(&namespace.into(), name).unwrap());
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    a.subscribe(&[room("/", "x"), room("/", "y"), room("/chat", "x"), Channel::Presence]).await;
    b.subscribe(&[room("/", "x"), room("/other", "x")]).await;
    assert_eq!(b.cluster.bus.rooms(&["/", "/chat"]).await.unwrap(), 3);
    assert_eq!(b.cluster.bus.rooms(&["/other"]).await.unwrap(), 1);
    b.cluster.bus.unsubscribe(&[room("/other", "x")]);
    until("it is not counted any more", || async { (a.cluster.bus.rooms(&["/other"]).await == Ok(0)).then_some(()) })
        .await;
}

async fn a_message_with_a_key_is_sent_once(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    b.subscribe(&[channel("a"), channel("b")]).await;
    let message = |name: &str| BusMessage::Evicted(name.into()).encode();
    let attempts = (0..20).map(|n| {
        let bus = if n % 2 == 0 { a.cluster.bus.clone() } else { b.cluster.bus.clone() };
        let message = message(&n.to_string());
        tokio::spawn(async move { bus.publish_once(&channel("a"), message, "a key: {x} *").await.unwrap() })
    });
    let mut first = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        first += usize::from(attempt.await.unwrap());
    }
    assert_eq!((first, b.received().await.len()), (1, 1));
    // Another key is another message, on the same channel, too, and so is another channel.
    assert_eq!(a.cluster.bus.publish_once(&channel("b"), message("x"), "other").await, Ok(true));
    assert_eq!(a.cluster.bus.publish_once(&channel("b"), message("y"), "other").await, Ok(false));
    assert_eq!(b.received().await, [BusMessage::Evicted("x".into())]);
}

/// Emitters need Redis; with it, a node gets what they publish under its prefix alone, in order, whatever is in the prefix.
async fn emitters_are_listened_to(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let prefix = format!("{}[a]*?\\", fixture.prefix);
    if let Backend::Redis = backend {
        let escaped = format!("{}\\[a\\]\\*\\?\\\\", fixture.prefix);
        for pattern in [format!("{escaped}#*"), format!("{escaped}-request#*")] {
            Direct::connect().await.allow_pattern(&pattern).await;
        }
    }
    let listening: Vec<_> = fixture.nodes.iter().map(|node| node.cluster.bus.emitters(&prefix)).collect();
    let Backend::Redis = backend else { return assert!(listening.iter().all(Option::is_none)) };
    let mut listening: Vec<_> = listening.into_iter().map(Option::unwrap).collect();
    let direct = Direct::connect().await;
    let publish = async |redis: &MultiplexedConnection, channel: String, payload: String| -> usize {
        let mut redis = redis.clone();
        ::redis::cmd("PUBLISH").arg(channel).arg(payload).query_async(&mut redis).await.unwrap()
    };
    // Of several servers, the nodes listen to one.
    let redis = until("both listen", || async {
        for redis in &direct.0 {
            let emissions = publish(redis, format!("{prefix}#/#"), "probe".to_owned()).await;
            let requests = publish(redis, format!("{prefix}-request#/#"), "probe".to_owned()).await;
            if emissions == 2 && requests == 2 {
                return Some(redis);
            }
        }
        None
    })
    .await;
    for n in 0..100 {
        let channel = if n % 2 == 0 { format!("{prefix}#/#r#") } else { format!("{prefix}-request#/#") };
        publish(redis, channel, n.to_string()).await;
        for other in [format!("{prefix}x#/#"), format!("x{prefix}#/#"), prefix.replace('a', "b") + "#/#"] {
            assert_eq!(publish(redis, other, "other".to_owned()).await, 0);
        }
    }
    for messages in &mut listening {
        let mut numbers = 0..100;
        while let Some(expected) = numbers.clone().next() {
            let message = messages.recv().await.unwrap();
            if message.payload == "probe" {
                continue;
            }
            let channel = if expected % 2 == 0 { "#/#r#" } else { "-request#/#" };
            assert_eq!((message.channel.as_str(), message.payload), (channel, expected.to_string().into()));
            numbers.next();
        }
    }
}
