//! Every error has one shape, and the other guarantees of the HTTP interface that belong to no endpoint.

use serde_json::json;

use crate::harness::{Database, TestServer};

const JSON: &str = "application/json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_bodies() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).start().await;
    let broken = server.post_raw(JSON, "{").await.error(400, "validation_failed");
    assert_eq!(broken.body["message"], json!(["body must be valid JSON"]));
    for no_object in ["[]", r#"["a@b.c", "x"]"#, "7", "null"] {
        let reply = server.post_raw(JSON, no_object).await.error(400, "validation_failed");
        assert_eq!(reply.body["message"], json!(["body must be a JSON object"]));
    }
    server.post_raw(JSON, "").await.error(400, "validation_failed");
    let twice = server.post_raw(JSON, r#"{"email":"a@b.c","password":"x","email":"b@b.c"}"#).await;
    let twice = twice.error(400, "validation_failed");
    assert_eq!(twice.body["message"], json!(["property email should not be repeated"]));
    server.post_raw("text/plain", "{}").await.error(415, "unsupported_media_type");
    let form = server.post_raw("application/x-www-form-urlencoded", "email=a").await;
    form.error(415, "unsupported_media_type");
    let large = json!({ "email": "a@b.c", "password": "x".repeat(17_000) }).to_string();
    server.post_raw(JSON, large.clone()).await.error(413, "payload_too_large");
    // The same body, chunked, without a `Content-Length`.
    let pieces =
        futures_util::stream::iter([Ok::<_, std::io::Error>(large[..9_000].to_owned()), Ok(large[9_000..].to_owned())]);
    server.post_raw(JSON, reqwest::Body::wrap_stream(pieces)).await.error(413, "payload_too_large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validation_names_every_broken_rule_as_class_validator_does() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).start().await;
    let register = async |body| {
        let reply = server.post("/api/auth/register", &body).await.error(400, "validation_failed");
        reply.body["message"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        register(json!({ "email": "nobody", "password": "abc", "fullName": " " })).await,
        [
            "email must be an email",
            "fullName must be longer than or equal to 1 characters",
            "password must be longer than or equal to 6 characters",
            "password must have an upper-case letter, a lower-case letter, and a digit or a symbol",
        ]
    );
    // A body of the wrong shape is one error at a time; its rules are not checked.
    let admin = json!({ "email": "nobody", "password": "P44sw0rd", "fullName": "Ann", "roles": ["ADMIN"] });
    assert_eq!(register(admin).await, ["property roles should not exist"]);
    assert_eq!(register(json!({ "email": null, "password": "P44sw0rd" })).await, ["email must be a string"]);
    assert_eq!(register(json!({ "email": "a@b.c", "password": "P44sw0rd" })).await, ["fullName is required"]);
    let nul = json!({ "email": "a@b.c", "password": "P44sw0rd", "fullName": "a\0b" });
    assert_eq!(register(nul).await, ["fullName must not contain control characters"]);

    let login = json!({ "email": "a@b.c", "password": "x", "remember": true });
    let login = server.post("/api/auth/login", &login).await.error(400, "validation_failed");
    assert_eq!(login.body["message"], json!(["property remember should not exist"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_routes_and_wrong_methods() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).start().await;
    for path in ["/", "/nowhere", "/api/nowhere", "/api/auth", "/api/nowhere/", "/healthz", "/api/%00", "/api//"] {
        server.get(path).await.error(404, "not_found");
    }
    let wrong = server.get("/api/auth/login").await.error(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "POST");
    server.post("/.well-known/jwks.json", &json!({})).await.error(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_ignores_a_slash_at_its_end() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).seeded().start().await;
    server.get("/api/").await.ok(200);
    server.get("/api/openapi.json/").await.ok(200);
    assert_eq!(server.get("/api/seed/?again").await.ok(200).body["users"].as_array().unwrap().len(), 2);
    let login = json!({ "email": "test1@mail.com", "password": "test123" });
    let token = server.post("/api/auth/login/", &login).await.ok(200).token().to_owned();
    let request = server.http.get(server.url("/api/auth/check-status/")).bearer_auth(token);
    server.send(request.header("origin", "http://localhost:1")).await.ok(200);
    let wrong = server.get("/api/auth/login/").await.error(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "POST");
    server.post("/api/auth/register/", &json!({})).await.error(400, "validation_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_allowed_origins_may_call() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).start().await;
    let preflight = |origin: &'static str| {
        let request = server.http.request(reqwest::Method::OPTIONS, server.url("/api/auth/login"));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        server.send(request.header("access-control-request-headers", "content-type"))
    };
    for origin in ["http://localhost:5173", "http://127.0.0.1:3000"] {
        let allowed = preflight(origin).await.ok(200);
        assert_eq!(allowed.header("access-control-allow-origin"), origin);
        assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    }
    for origin in ["http://evil.com", "http://localhost.evil.com", "null"] {
        let refused = preflight(origin).await;
        for header in ["access-control-allow-origin", "access-control-allow-credentials"] {
            assert_eq!(refused.header(header), "", "{origin}: {header}");
        }
    }
    let without = server.get("/.well-known/jwks.json").await.ok(200);
    assert_eq!(without.header("access-control-allow-credentials"), "", "no CORS header without an origin");
    // A page of an allowed origin can read errors, too.
    let login = server.http.post(server.url("/api/auth/login")).header("origin", "http://localhost:1");
    let refused = server.send(login.json(&json!({}))).await.error(400, "validation_failed");
    assert_eq!(refused.header("access-control-allow-origin"), "http://localhost:1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_is_documented() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).start().await;
    let page = server.get("/api").await.ok(200);
    assert!(page.header("content-type").starts_with("text/html") && page.text.contains("swagger-ui"));
    assert!(page.text.contains("<base href=\"/api/\">"));
    let script = server.get("/api/swagger-initializer.js").await.ok(200);
    assert!(script.text.contains("/api/openapi.json"));
    let document = server.get("/api/openapi.json").await.ok(200).body;
    let mut paths: Vec<_> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "/.well-known/jwks.json",
            "/api/auth/check-status",
            "/api/auth/login",
            "/api/auth/logout",
            "/api/auth/password",
            "/api/auth/refresh",
            "/api/auth/register",
            "/api/seed",
            "/api/users",
            "/api/users/{id}"
        ]
    );
    let register = &document["components"]["schemas"]["RegisterRequest"];
    assert_eq!(register["required"], json!(["email", "password", "fullName"]));
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_set_is_public_cacheable_and_holds_no_secret() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).start().await;
    let keys = server.get("/.well-known/jwks.json").await.ok(200);
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
    let keys = keys.body["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2, "the key that signs, and the next one");
    assert!(keys.iter().all(|key| key.get("d").is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_health_endpoints_report_the_state() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).start().await;
    assert_eq!(server.get_internal("/healthz").await.ok(200).body["status"], "alive");
    let ready = server.get_internal("/readyz").await.ok(200);
    assert_eq!(ready.body, json!({ "status": "ready", "parts": { "database": true, "draining": false } }));
}
