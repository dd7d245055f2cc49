//! Messages between users: to all their sockets, on any node.

use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, User, timed};

#[tokio::test(start_paused = true)]
async fn a_private_message_reaches_all_sockets_of_both_users_but_the_sending_one() {
    let cluster = TestCluster::many_sessions().await;
    let [ana, bob] = [User::new("ana"), User::new("bob")];
    let others: [Client; 3] = cluster.clients().await;
    let sender = cluster.client_on(0, &ana).await;
    let anas = [cluster.client_on(0, &ana).await, cluster.client_on(1, &ana).await];
    let bobs = [cluster.client_on(0, &bob).await, cluster.client_on(1, &bob).await, cluster.client_on(2, &bob).await];
    let send = async |to: &str, content: &str| {
        let answer = sender.done("private-message", json!({ "to": to, "content": content })).await;
        let id = answer["messageId"].as_str().unwrap();
        assert_eq!(answer, json!({ "status": "ok", "messageId": id, "delivered": answer["delivered"] }));
        (id.to_owned(), answer["delivered"].as_u64().unwrap())
    };
    let received = |client: &Client| client.all("private-message").into_iter().map(timed).collect::<Vec<_>>();
    let from = json!({ "id": ana.id, "name": ana.name });

    let (first, delivered) = send("bob", "psst 👋").await;
    assert_eq!(delivered, 3);
    let first = json!({ "id": first, "from": from, "to": "bob", "content": "psst 👋" });
    let (note, delivered) = send("ana", "a note").await;
    assert_eq!(delivered, 2, "to the user itself");
    let note = json!({ "id": note, "from": from, "to": "ana", "content": "a note" });
    cluster.quiet().await;
    let [gone, left @ ..] = &bobs;
    assert_eq!(received(gone), std::slice::from_ref(&first));

    gone.cut();
    cluster.quiet().await;
    let (again, delivered) = send("bob", "again").await;
    assert_eq!(delivered, 2);
    let again = json!({ "id": again, "from": from, "to": "bob", "content": "again" });
    assert_eq!(send("nobody", "x").await.1, 0);
    cluster.quiet().await;
    for socket in left {
        assert_eq!(received(socket), [first.clone(), again.clone()]);
    }
    for socket in &anas {
        let own = received(socket);
        assert_eq!(own[..3], [first.clone(), note.clone(), again.clone()]);
        assert_eq!((own.len(), &own[3]["to"]), (4, &json!("nobody")));
    }
    for socket in others.iter().chain([&sender]) {
        assert!(received(socket).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_private_message_reaches_the_other_namespace_of_the_sender_on_the_same_connection() {
    let cluster = TestCluster::many_sessions().await;
    let main = cluster.client_on(0, "ana").await;
    let chat = main.also_in("/chat").await;
    for (from, to) in [(&main, &chat), (&chat, &main)] {
        let (before_from, before_to) = (from.all("private-message").len(), to.all("private-message").len());
        let sent = from.done("private-message", json!({ "to": "bob", "content": "to another" })).await;
        assert_eq!(sent["delivered"], 0);
        let note = from.done("private-message", json!({ "to": "ana", "content": "a note" })).await;
        assert_eq!(note["delivered"], 1);
        cluster.quiet().await;
        let received: Vec<Value> = to.all("private-message")[before_to..].iter().map(|one| one["id"].clone()).collect();
        assert_eq!(received, [sent["messageId"].clone(), note["messageId"].clone()]);
        assert_eq!(from.all("private-message").len(), before_from, "not to the socket itself");
    }
}

#[tokio::test(start_paused = true)]
async fn a_private_message_from_chat_reaches_both_namespaces_of_the_recipient_and_counts_one_session() {
    let cluster = TestCluster::many_sessions().await;
    let main = cluster.client_on(1, "bob").await;
    let chat = main.also_in("/chat").await;
    let sender = cluster.client_in("/chat", 0, "ana").await;
    let answer = sender.done("private-message", json!({ "to": "bob", "content": "in chat" })).await;
    assert_eq!(answer["delivered"], 1);
    cluster.quiet().await;
    for socket in [&main, &chat] {
        let received = socket.all("private-message");
        assert_eq!((received.len(), &received[0]["content"]), (1, &json!("in chat")));
    }
}
