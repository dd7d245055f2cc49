//! The metrics that operators see.

use std::collections::BTreeSet;

use jackfield_auth::metrics::REQUESTS;
use jackfield_shared::metrics::{Listed as _, OTHER};

use crate::{
    harness::{Database, TestServer},
    processes::{addresses, program},
};

/// The value of a series.
fn value(text: &str, series: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

// The service runs in its own process, because the metrics of this one also count other tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_by_route_and_no_client_text_is_exported() {
    let database = Database::sqlite();
    let mut child = program(&[&format!("database.url={}", database.url)]).spawn().unwrap();
    let (addresses, _logs) = addresses(&mut child).await;
    let server = TestServer::elsewhere(addresses);
    server.register("shown-nowhere@mail.com").await.ok(201);
    server.login("shown-nowhere@mail.com", "P44sw0rd").await.ok(200);
    server.login("shown-nowhere@mail.com", "wrong").await.error(401, "invalid_credentials");
    server.get("/api/shown-nowhere").await;
    let first = server.login("shown-nowhere@mail.com", "P44sw0rd").await.ok(200);
    let second = server.refresh(first.refresh_token()).await.ok(200);
    server.refresh(first.refresh_token()).await.ok(200);
    server.refresh(second.refresh_token()).await.ok(200);
    server.refresh(first.refresh_token()).await.error(401, "invalid_refresh_token");
    server.refresh("shown-nowhere").await.error(401, "invalid_refresh_token");
    server.logout(server.login("shown-nowhere@mail.com", "P44sw0rd").await.ok(200).token()).await.ok(204);

    let text = server.get_internal("/metrics").await.text;
    for (series, count) in [
        ("jackfield_auth_requests_total{endpoint=\"/api/auth/register\",status=\"2xx\"}", 1.0),
        ("jackfield_auth_requests_total{endpoint=\"/api/auth/login\",status=\"2xx\"}", 3.0),
        ("jackfield_auth_requests_total{endpoint=\"/api/auth/refresh\",status=\"4xx\"}", 2.0),
        ("jackfield_auth_refreshes_total{outcome=\"rotated\"}", 2.0),
        ("jackfield_auth_refreshes_total{outcome=\"repeated\"}", 1.0),
        ("jackfield_auth_refreshes_total{outcome=\"reused\"}", 1.0),
        ("jackfield_auth_refreshes_total{outcome=\"refused\"}", 1.0),
        ("jackfield_auth_logins_ended_total{reason=\"revoked\"}", 1.0),
        ("jackfield_auth_logins_ended_total{reason=\"logout\"}", 1.0),
        ("jackfield_auth_logins_ended_total{reason=\"limit\"}", 0.0),
        ("jackfield_auth_requests_total{endpoint=\"/api/auth/login\",status=\"4xx\"}", 1.0),
        ("jackfield_auth_requests_total{endpoint=\"other\",status=\"4xx\"}", 1.0),
        ("jackfield_auth_request_seconds_count{endpoint=\"/api/auth/login\"}", 4.0),
        ("jackfield_auth_logins_failed_total", 1.0),
        // One more hash, at the start: the one for unknown users.
        ("jackfield_auth_password_seconds_count{what=\"hash\"}", 2.0),
        ("jackfield_auth_password_seconds_count{what=\"verify\"}", 4.0),
        ("jackfield_auth_password_wait_seconds_count", 6.0),
    ] {
        assert!((value(&text, series) - count).abs() < 0.5, "{series}: {}", value(&text, series));
    }
    for series in ["jackfield_auth_database_connections_limit", "process_resident_memory_bytes"] {
        assert!(value(&text, series) > 0.0, "{series}");
    }
    assert!(!text.contains("shown-nowhere"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_endpoint_is_counted_by_name_and_no_other() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).start().await;
    let document = server.get("/api/openapi.json").await.ok(200).body;
    let mut documented: BTreeSet<_> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    documented.insert(OTHER);
    let endpoint = REQUESTS.labels().iter().find(|label| label.name == "endpoint").unwrap();
    assert_eq!(endpoint.values.iter().copied().collect::<BTreeSet<_>>(), documented);
}
