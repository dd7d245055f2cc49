//! Requests of connections that another process may have. Only the native engine has a relay.

use std::sync::{Arc, Mutex};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, Response, StatusCode},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use jackfield_engine::{Engine, EngineKind, Handshake, Owner, Relay, Transport};
use jackfield_shared::lifecycle::Lifecycle;
use serde_json::Value;

use crate::harness::{Gateway, Permit, limits};

const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// Says of every id that it belongs to the same process, and records what it is to pass on.
struct Cluster {
    owner: Owner,
    passed_on: Mutex<Vec<(Transport, String)>>,
}

impl Relay for Cluster {
    fn new_sid(&self) -> Box<str> {
        "an-id".into()
    }

    fn owner(&self, _: &str) -> Owner {
        self.owner
    }

    fn pass_on(&self, transport: Transport, sid: Box<str>, _: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        self.passed_on.lock().unwrap().push((transport, sid.into()));
        Box::pin(async { Response::new(Body::from("passed on")) })
    }
}

struct Fixture {
    engine: Engine<Permit>,
    cluster: Arc<Cluster>,
    lifecycle: Lifecycle,
}

impl Fixture {
    fn new(owner: Owner) -> Self {
        let cluster = Arc::new(Cluster { owner, passed_on: Mutex::default() });
        let gateway = Arc::new(Gateway::new(|_, _| {}));
        let lifecycle = Lifecycle::new();
        let relay = Arc::clone(&cluster) as Arc<dyn Relay>;
        let engine = Engine::new(EngineKind::Native, gateway, relay, limits(), lifecycle.clone());
        Self { engine, cluster, lifecycle }
    }

    async fn request(&self, method: Method, query: &str, is_passed_on: bool) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(format!("/?EIO=4&{query}"));
        let (parts, body) = request.body(Body::from("3")).unwrap().into_parts();
        let handshake = Handshake::parse(&parts);
        let (engine, request) = (self.engine.clone(), Request::from_parts(parts, body));
        let answer = match is_passed_on {
            true => engine.answer_passed_on(request, handshake).await,
            false => engine.answer(request, handshake, None).await,
        };
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn passed_on(&self) -> Vec<(Transport, String)> {
        self.cluster.passed_on.lock().unwrap().clone()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

#[tokio::test]
async fn a_request_for_another_process_is_passed_on() {
    let fixture = Fixture::new(Owner::Other);
    for method in [Method::GET, Method::POST] {
        let answer = fixture.request(method, "transport=polling&sid=x", false).await;
        assert_eq!(answer, (StatusCode::OK, "passed on".to_owned()));
    }
    assert_eq!(fixture.passed_on(), vec![(Transport::Polling, "x".to_owned()); 2]);
}

#[tokio::test]
async fn a_request_that_no_connection_can_have_is_not_passed_on() {
    let fixture = Fixture::new(Owner::Other);
    for query in ["transport=polling&sid=x", "transport=websocket&sid=x"] {
        assert_eq!(fixture.request(Method::PUT, query, false).await.0, StatusCode::BAD_REQUEST);
    }
    let no_upgrade = fixture.request(Method::GET, "transport=websocket&sid=x", false).await;
    assert_eq!(no_upgrade.0, StatusCode::BAD_REQUEST);
    assert_eq!(fixture.passed_on(), []);
}

#[tokio::test]
async fn a_request_that_was_passed_on_is_not_passed_on_again() {
    let fixture = Fixture::new(Owner::Other);
    let answer = fixture.request(Method::GET, "transport=polling&sid=x", true).await;
    assert_eq!(answer, (StatusCode::BAD_REQUEST, UNKNOWN.to_owned()));
    let begins = fixture.request(Method::GET, "transport=polling", true).await;
    assert_eq!(begins, (StatusCode::BAD_REQUEST, UNKNOWN.to_owned()), "it begins no connection either");
    assert_eq!(fixture.passed_on(), []);
}

#[tokio::test]
async fn own_connections_go_on_although_the_relay_does_not_recognise_them() {
    for owner in [Owner::Nobody, Owner::Other] {
        let fixture = Fixture::new(owner);
        let (_, open) = fixture.request(Method::GET, "transport=polling", false).await;
        let open: Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        assert_eq!(open["sid"], "an-id");
        for is_passed_on in [false, true] {
            let answer = fixture.request(Method::POST, "transport=polling&sid=an-id", is_passed_on).await;
            assert_eq!(answer, (StatusCode::OK, "ok".to_owned()));
        }
        assert_eq!(fixture.passed_on(), []);
    }
}

#[tokio::test]
async fn ids_of_nobody_and_of_ended_connections_are_unknown() {
    for owner in [Owner::Nobody, Owner::Own] {
        let fixture = Fixture::new(owner);
        for method in [Method::GET, Method::POST] {
            let answer = fixture.request(method, "transport=polling&sid=x", false).await;
            assert_eq!(answer, (StatusCode::BAD_REQUEST, UNKNOWN.to_owned()));
        }
    }
}

#[tokio::test]
async fn a_poll_that_is_released_is_answered_with_nothing() {
    let fixture = Fixture::new(Owner::Own);
    fixture.request(Method::GET, "transport=polling", false).await;
    let mut poll = Box::pin(fixture.request(Method::GET, "transport=polling&sid=an-id", true));
    assert!(poll.as_mut().now_or_never().is_none());
    fixture.engine.release_poll("an-id");
    assert_eq!(poll.await, (StatusCode::OK, "6".to_owned()));
    let mut next = Box::pin(fixture.request(Method::GET, "transport=polling&sid=an-id", true));
    assert!(next.as_mut().now_or_never().is_none(), "only that one");
}
