//! What operators see.

use crate::harness::{Database, TestServer};

/// The value of a series. Other tests of this process count too.
fn value(text: &str, series: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_by_route_and_nothing_that_a_client_wrote_is_shown() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).start().await;
    server.register("shown-nowhere@mail.com").await;
    server.login("shown-nowhere@mail.com", "P44sw0rd").await;
    server.login("shown-nowhere@mail.com", "wrong").await;
    server.get("/api/shown-nowhere").await;

    let text = server.get_internal("/metrics").await.text;
    for series in [
        "jackfield_auth_requests_total{endpoint=\"/api/auth/register\",status=\"2xx\"}",
        "jackfield_auth_requests_total{endpoint=\"/api/auth/login\",status=\"2xx\"}",
        "jackfield_auth_requests_total{endpoint=\"/api/auth/login\",status=\"4xx\"}",
        "jackfield_auth_requests_total{endpoint=\"other\",status=\"4xx\"}",
        "jackfield_auth_request_seconds_count{endpoint=\"/api/auth/login\"}",
        "jackfield_auth_logins_failed_total",
        "jackfield_auth_password_seconds_count{what=\"hash\"}",
        "jackfield_auth_password_seconds_count{what=\"verify\"}",
        "jackfield_auth_password_wait_seconds_count",
        "jackfield_auth_database_connections_limit",
        "process_resident_memory_bytes",
    ] {
        assert!(value(&text, series) > 0.0, "{series}");
    }
    assert!(!text.contains("shown-nowhere"), "{text}");
}
